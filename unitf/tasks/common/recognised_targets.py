"""Recognises what a column of targets is: classes, sets of labels, numbers or texts."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from unitf.errors import UserError
from unitf.proposal import Column, Proposal
from unitf.tasks.common.label_names import as_label

_FEW_NUMBERS = 20  # different whole numbers that may be names of classes
_WORDS_OF_A_TEXT = 2  # on average; less is a name
_MOST_TOKENS = 200  # that a test generates for a text
_SEPARATORS = (";", "|", ",")  # between the labels of one text, the most usual first


def propose_classes(target: Column) -> Proposal | None:
    """Returns how a target of classes is learned; None: its values do not return."""
    try:
        labels = [as_label(value) for value in target.values]
    except UserError:
        return None
    counts = Counter(map(str, labels))
    if len(counts) < 2 or len(counts) * 2 > len(labels):
        return None
    settings = {"label_smoothing": 0.1, "dropout": 0.1}
    reason = f"{target.name} has {len(counts)} values: {_shown(counts)}"
    numbers = numbers_of(labels)
    if numbers is not None and len(counts) > _FEW_NUMBERS:
        return Proposal(settings, 0.3, reason)
    return Proposal(settings, 0.7 if numbers is not None and len(counts) > 2 else 0.9, reason)


def propose_label_sets(target: Column) -> Proposal | None:
    """Returns how a target of any number of labels is learned; None: it has no such values."""
    values = target.values
    if all(isinstance(value, list | tuple) for value in values):
        lists = [list(value) for value in values if isinstance(value, list | tuple)]
        labels = Counter(str(label) for one in lists for label in one)
        if not _return(labels, len(values)):
            return None
        return Proposal({}, 0.9, f"{target.name} has lists of {len(labels)} labels")
    if not all(isinstance(value, str) for value in values):
        return None
    for separator in _SEPARATORS:
        parts = [[part.strip() for part in str(value).split(separator)] for value in values]
        labels = Counter(part for row in parts for part in row if part)
        several = sum(len(row) > 1 for row in parts)
        if several * 20 > len(values) and _return(labels, len(values)) and _are_short(labels):
            reason = f"{target.name} has {len(labels)} labels with {separator!r} between them"
            settings: dict[str, object] = {"separator": separator}
            if target.num_missing:
                settings["empty_is_none"] = True
                reason += ", and none where it is empty"
            return Proposal(settings, 0.95, reason)
    return None


def propose_numbers(target: Column) -> Proposal | None:
    """Returns how a target of numbers is learned; None: its values are no numbers."""
    numbers = numbers_of(target.values)
    if numbers is None:
        return None
    distinct = np.unique(numbers)
    if len(distinct) < 3:
        return None
    reason = f"{target.name} is a number from {distinct[0]:g} to {distinct[-1]:g}"
    are_whole = bool((distinct == distinct.round()).all())
    if not are_whole or len(distinct) > _FEW_NUMBERS:
        return Proposal({"dropout": 0.1}, 0.9 if not are_whole else 0.8, reason)
    return Proposal({"dropout": 0.1}, 0.6, reason)


def propose_texts(target: Column) -> Proposal | None:
    """Returns how a target of texts is generated; None: its values are words, or return."""
    texts = [value for value in target.values if isinstance(value, str)]
    counts = [len(text.split()) for text in texts]
    if not texts or len(texts) < len(target.values) or len({*texts}) * 2 < len(texts):
        return None
    if sum(counts) < _WORDS_OF_A_TEXT * len(counts):
        return None
    longest = min(_MOST_TOKENS, 10 + 3 * max(counts))
    settings = {
        "label_smoothing": 0.1,
        "generate": {"max_tokens": longest},
        "metrics": ["bleu", "chrf"],
    }
    reason = f"{target.name} has texts of about {sum(counts) / len(counts):.0f} words to write"
    recipe = {"model.core.kind": "encoder-decoder", "trainer.max_epochs": 30}
    return Proposal(settings, 0.3, reason, recipe)


def propose_objects(target: Column) -> Proposal | None:
    """Returns how a target of objects with boxes is learned; None: it is no such target."""
    labels: Counter[str] = Counter()
    for value in target.values:
        if not isinstance(value, dict) or not {"labels", "boxes"} <= value.keys():
            return None
        labels.update(map(str, value["labels"]))
    if not labels:
        return None
    count = sum(labels.values()) / len(target.values)
    reason = f"{target.name} has about {count:.0f} boxes of {len(labels)} classes: {_shown(labels)}"
    return Proposal({}, 0.95, reason)


def numbers_of(values: Sequence[object]) -> np.ndarray | None:
    """Returns values, or the numbers that are written in texts; None: some are none."""
    try:
        numbers = [float(value) for value in values if not isinstance(value, bool)]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    is_right = len(numbers) == len(values) > 0 and all(map(math.isfinite, numbers))
    return np.array(numbers) if is_right else None


def _return(labels: Counter[str], num_samples: int) -> bool:
    return len(labels) > 1 and len(labels) * 2 <= num_samples


def _are_short(labels: Counter[str]) -> bool:
    """Returns whether labels are names, and not the clauses of sentences."""
    return sum(len(label.split()) for label in labels) <= 3 * len(labels)


def _shown(counts: Counter[str]) -> str:
    names = [name for name, _ in counts.most_common(4)]
    return ", ".join(names) + (", …" if len(counts) > len(names) else "")
