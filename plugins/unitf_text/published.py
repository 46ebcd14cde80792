"""What published text models have in common: their tokenizers, activations and rotary angles."""

from pathlib import Path
from typing import Any

from unitf import UserError
from unitf_text.subwords import Subwords
from unitf_text.text import TextTokenizer
from unitf_text.token_ids import TokenIds

_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def make_text(dim: int, source: str | None, config: Any, **options: Any) -> TextTokenizer:
    """The tokenizer of a published model; one that takes ids where the source has none.

    Args:
        config: of the model; its table may have more rows than the tokenizer has pieces.
    """
    if (published := _open(source)) is None:
        ids = {f"{ours}_id": _first(config, f"{theirs}_token_id") for ours, theirs in _SPECIAL}
        return TokenIds(dim, config.vocab_size, **ids, **options)
    assert source is not None
    first, last = _added(published)
    tokenizer = Subwords(
        dim, pretrained=source, add_start=bool(first), add_end=bool(last), **options
    )
    tokenizer.fit([])
    size, expected = tokenizer.vocabulary_size or 0, ([tokenizer.start_id], [tokenizer.end_id])
    if (first and first != expected[0]) or (last and last != expected[1]):
        raise UserError(f"{source}: its tokenizer adds {first} and {last} around a text")
    if size > config.vocab_size:
        raise UserError(
            f"{source}: its tokenizer has {size} pieces, its model {config.vocab_size} vectors"
        )
    tokenizer.fitted["size"] = config.vocab_size
    return tokenizer


_SPECIAL = (("start", "bos"), ("end", "eos"))


def _first(config: Any, name: str) -> int | None:
    """A special id of a configuration, the first where it lists several."""
    found = getattr(config, name, None)
    return found[0] if isinstance(found, list | tuple) else found


def _open(source: str | None) -> Any:
    """The tokenizer in a folder, or of a name on the hub; None: there is none."""
    from transformers import AutoTokenizer

    if source is None:
        return None
    folder = Path(source).expanduser()
    if folder.is_dir() and not any((folder / name).exists() for name in _FILES):
        return None
    try:
        return AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else source)
    except (OSError, ValueError, KeyError) as error:
        if folder.is_dir():
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{source}: its tokenizer cannot be opened ({reason})") from error
        return None


def _added(published: Any) -> tuple[list[int], list[int]]:
    """The ids that a tokenizer puts before and after a text."""
    plain = published("a", add_special_tokens=False)["input_ids"]
    whole = published("a")["input_ids"]
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    raise UserError("its tokenizer changes a text where it adds special tokens")


def rotary_unsupported(config: Any, partial: bool = False) -> str | None:
    """Why the rotary angles of a configuration cannot be said; None: they can.

    Args:
        partial: only some numbers of a head turn, so that the others must not be scaled with them.
    """
    known, settings = ["default", "linear", "llama3"], _rope_settings(config)
    if not partial and len(settings) == 1:  # it multiplies what turns, which the scale can say
        known.append("yarn")
    for kind in {one["rope_type"] for one in settings}:
        if kind not in known:
            return f"its rotary angles are of type {kind!r}"
    return None


def rotary_of(config: Any, layer_type: str | None = None) -> tuple[dict[str, Any], float]:
    """Rotary angles as arguments of TransformerConfig, and what turned numbers are multiplied by.

    Args:
        layer_type: where blocks of several types have angles of their own.
    """
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = config.rope_parameters
    settings = settings if layer_type is None else settings[layer_type]
    if settings["rope_type"] == "default":
        return {"rotary_base": float(settings["rope_theta"])}, 1.0
    angles, factor = ROPE_INIT_FUNCTIONS[settings["rope_type"]](config, layer_type=layer_type)
    return {"rotary_frequencies": angles.tolist()}, float(factor)


def _rope_settings(config: Any) -> list[dict[str, Any]]:
    settings = config.rope_parameters
    if "rope_type" in settings:
        return [settings]
    return [one for one in settings.values() if one is not None]
