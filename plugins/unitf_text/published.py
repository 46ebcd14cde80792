"""What published text models have in common: their tokenizers, activations and rotary angles."""

from pathlib import Path
from typing import Any

from unitf import UserError
from unitf_text.subwords import Subwords
from unitf_text.text import TextTokenizer
from unitf_text.token_ids import TokenIds

_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


def make_text(dim: int, source: str | None, config: Any, **options: Any) -> TextTokenizer:
    """Returns the tokenizer of a published model; without one in the source, one that reads ids.

    Args:
        config: the model's configuration; its table may have more rows than the tokenizer has
            pieces.
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
    """Returns a special id of a configuration; the first one of a list."""
    ids = getattr(config, name, None)
    return ids[0] if isinstance(ids, list | tuple) else ids


def _open(source: str | None) -> Any:
    """Opens the tokenizer of a folder or of a hub name; None: there is none."""
    from transformers import AutoTokenizer

    if source is None:
        return None
    folder = Path(source).expanduser()
    if folder.is_dir() and not any((folder / name).exists() for name in _FILES):
        return None
    try:
        return AutoTokenizer.from_pretrained(
            str(folder) if folder.is_dir() else source, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        if folder.is_dir():
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{source}: its tokenizer cannot be opened ({reason})") from error
        return None


def _added(published: Any) -> tuple[list[int], list[int]]:
    """Returns the ids that a tokenizer adds before and after a text."""
    plain = published("a", add_special_tokens=False)["input_ids"]
    framed = published("a")["input_ids"]
    for start in range(len(framed) - len(plain) + 1):
        if framed[start : start + len(plain)] == plain:
            return framed[:start], framed[start + len(plain) :]
    raise UserError("its tokenizer changes a text where it adds special tokens")


def rotary_unsupported(config: Any, partial: bool = False) -> str | None:
    """Returns why the rotary angles of a configuration are not supported; None: they are.

    Args:
        partial: whether only a part of each head is rotary, so that the rest must not be scaled.
    """
    known, settings = ["default", "linear", "llama3"], _rope_settings(config)
    if not partial and len(settings) == 1:  # its factor becomes part of the attention scale
        known.append("yarn")
    for kind in {one["rope_type"] for one in settings}:
        if kind not in known:
            return f"its rotary angles are of type {kind!r}"
    return None


def rotary_of(config: Any, layer_type: str | None = None) -> tuple[dict[str, Any], float]:
    """Returns arguments of TransformerConfig, and the factor on rotated numbers.

    Args:
        layer_type: the type of block, if each type has angles of its own.
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
