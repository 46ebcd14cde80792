"""Files beside the weights of a published text model: its vocabulary and sentence pooling."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unitf import UserError
from unitf.tasks import PoolingName
from unitf_text.subwords import Subwords
from unitf_text.text import TextTokenizer
from unitf_text.token_ids import TokenIds

_VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_POOLINGS: dict[str, PoolingName] = {
    "cls_token": "first",
    "mean_tokens": "mean",
    "lasttoken": "last",
}


def companion(source: str | None, name: str) -> Path | None:
    """Returns a file beside a model's weights, in a folder or on the hub; None: there is none."""
    from transformers.utils import cached_file

    if source is None:
        return None
    folder = Path(source).expanduser()
    if folder.is_absolute() or folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    file = cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if file is None else Path(str(file))


def settings_of(source: str | None, name: str) -> Any:
    """Returns the content of a JSON file beside a model's weights; None: there is no such file."""
    file = companion(source, name)
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable as JSON ({error})") from error


def text_tokenizer(
    source: str | None,
    dim: int,
    config: Any,
    num_positions: int,
    num_segments: int = 0,
    limit: int | None = None,
    read_special: bool = False,
    **options: Any,
) -> TextTokenizer:
    """Returns the tokenizer of a published model; without a vocabulary file, one that reads ids.

    Args:
        config: the model's configuration: the size of its table, the ids of its special tokens.
        num_positions: the longest sequence that the model can read.
        limit: a smaller maximum, to which longer texts are cut.
        read_special: see Subwords.
        options: the options of TextTokenizer.
    """
    options = {"num_segments": num_segments, "num_positions": num_positions, **options}
    if not any(companion(source, name) for name in _VOCABULARIES):
        return TokenIds(
            dim,
            config.vocab_size,
            start_id=_id(config, "cls", "bos"),
            end_id=_id(config, "sep", "eos"),
            max_tokens=num_positions,
            **options,
        )
    assert source is not None
    frame, longest = _frame(source, num_segments)
    tokenizer = Subwords(
        dim,
        pretrained=source,
        max_tokens=min(num_positions, longest, limit or num_positions),
        truncate=True,
        read_special=read_special,
        **frame,
        **options,
    )
    tokenizer.fit(())
    num_tokens = tokenizer.vocabulary_size or 0
    if num_tokens > config.vocab_size:
        raise UserError(f"{source}: {num_tokens} tokens, but the model knows {config.vocab_size}")
    tokenizer.fitted["size"] = config.vocab_size  # a table may have more rows than there are tokens
    return tokenizer


def _id(config: Any, *kinds: str) -> int | None:
    """Returns the id of the first of these special tokens that the vocabulary has."""
    ids = [getattr(config, f"{kind}_token_id", None) for kind in kinds]
    return next((i for i in ids if isinstance(i, int) and 0 <= i < config.vocab_size), None)


def _frame(source: str, num_segments: int) -> tuple[dict[str, Any], int]:
    """Returns which tokens a published tokenizer adds, and the length of its longest sequence."""
    from transformers import AutoTokenizer

    published = AutoTokenizer.from_pretrained(
        str(Path(source).expanduser()), trust_remote_code=False
    )
    text = published("a", add_special_tokens=False)["input_ids"]
    single = published("a")["input_ids"]
    pair = published("a", "a", return_token_type_ids=True)
    start = next((i for i in (published.cls_token_id, published.bos_token_id) if i is not None), -1)
    end = next((i for i in (published.sep_token_id, published.eos_token_id) if i is not None), -1)
    add_start, add_end = single[:1] == [start], single[-1:] == [end]
    if single != [start] * add_start + text + [end] * add_end:
        raise UserError(f"{source}: its tokenizer adds more around a text than a start and an end")
    between = len(pair["input_ids"]) - len(single) - len(text)
    framed = single + [end] * (between - add_end) + text + [end] * add_end
    known = between > 0 and pair["input_ids"] == framed
    if num_segments > 1:
        known &= pair["token_type_ids"] == [0] * len(single) + [1] * (len(framed) - len(single))
    frame = {"add_start": add_start, "add_end": add_end, "pair_separators": between * known}
    return frame, int(min(published.model_max_length, 2**31))


@dataclass(frozen=True)
class SentencePooling:
    """How a model of sentence-transformers turns a text into one vector.

    Args:
        limit: the number of tokens to which longer texts are cut.
        lacking: the part that unitf does not support; None: it supports all.
    """

    pooling: PoolingName = "mean"
    normalise: bool = False
    limit: int | None = None
    lacking: str | None = None


def sentence_pooling(source: str | None) -> SentencePooling | None:
    """Reads the pooling from the files beside the weights; None: it is another kind of model."""
    modules = settings_of(source, "modules.json")
    if modules is None:
        return None
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        return SentencePooling(lacking=f"its sentence embedding is {' → '.join(kinds)}")
    pooling = settings_of(source, f"{modules[1]['path']}/config.json") or {}
    modes = [
        name.removeprefix("pooling_mode_")
        for name, chosen in pooling.items()
        if name.startswith("pooling_mode_") and chosen is True
    ]
    if "pooling_mode" in pooling:  # the key of newer versions
        mode = pooling["pooling_mode"]
        modes = [{"cls": "cls_token", "mean": "mean_tokens"}.get(mode, str(mode))]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        return SentencePooling(lacking=f"its sentence embedding pools by {' and '.join(modes)}")
    limit = (settings_of(source, "sentence_bert_config.json") or {}).get("max_seq_length")
    return SentencePooling(_POOLINGS[modes[0]], "Normalize" in kinds, limit)
