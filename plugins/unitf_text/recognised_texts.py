"""Recognises the texts of a column, and proposes how they become words, pieces or characters."""

from collections.abc import Sequence
from statistics import fmean

from unitf import Column, Proposal, UserError
from unitf_text.reading import read_text

_MANY_WORDS = 512  # a longer text is cut
_FEW_TEXTS = 1_000  # with fewer samples a word that occurs once is kept
_ONE_WORD = 1.2  # words of a text on average; less is a name or a category


def texts_of(column: Column) -> list[str]:
    """Returns the values of a column as texts; none if one of them is no text."""
    if not all(isinstance(value, str) for value in column.values):
        return []
    try:
        return [read_text(value) for value in column.values]
    except UserError:
        return []


def propose_words(column: Column) -> Proposal | None:
    """Returns how Words encodes the texts of a column; None: they are no texts of words."""
    texts = texts_of(column)
    counts = [len(text.split()) for text in texts]
    if not texts or not _has_words(texts):
        return None
    settings: dict[str, object] = {"lowercase": True}
    if column.num_samples >= _FEW_TEXTS:
        settings["min_count"] = 2
    reason = f"texts of about {fmean(counts):.0f} words"
    if max(counts) > _MANY_WORDS / 2:
        settings |= {"max_tokens": _MANY_WORDS, "truncate": True}
        reason += f", cut after {_MANY_WORDS}"
    if not column.written:
        settings["token_dropout"] = 0.2
    return Proposal(settings, _confidence(column, counts), reason, _READ)


def propose_subwords(column: Column) -> Proposal | None:
    """Returns how Subwords encodes the texts of a column; None: they are no texts."""
    texts = texts_of(column)
    if not texts:
        return None
    size = sum(len(text) for text in texts) / len(texts) * column.num_samples
    pieces = 1024 if size < 5e6 else 4096 if size < 5e7 else 16_384
    settings: dict[str, object] = {"vocabulary_size": pieces}
    reason = f"texts of about {fmean(map(len, texts)):.0f} characters, in up to {pieces} pieces"
    if column.is_target:
        return Proposal(settings, 0.8, reason)
    if column.written:
        settings["position_embedding"] = "none"
        return Proposal(settings, 0.8, reason, _WRITTEN)
    return Proposal(settings, 0.4 if len(set(texts)) * 2 > len(texts) else 0.2, reason, _READ)


_READ = {
    "model.core.dropout": 0.1,
    "model.optimizer.init_args.lr": 0.001,
    "model.optimizer.init_args.weight_decay": 0.1,
}
_WRITTEN = {
    "model.core.relative_positions": "rotary",
    "model.core.dropout": 0.1,
    "model.optimizer.init_args.lr": 0.003,
    "model.optimizer.init_args.weight_decay": 0.1,
}


def _has_words(texts: Sequence[str]) -> bool:
    """Returns whether most texts have letters, and spaces between words that are no sentences."""
    letters = [any(character.isalpha() for character in text) for text in texts]
    longest = [max(map(len, text.split()), default=0) for text in texts]
    return sum(letters) * 2 > len(texts) and fmean(longest) < 40


def _confidence(column: Column, counts: Sequence[int]) -> float:
    if column.written:
        return 0.3
    if fmean(counts) <= _ONE_WORD or len(set(column.values)) * 5 < len(column.values):
        return 0.3  # a few values that return again and again
    return 0.8
