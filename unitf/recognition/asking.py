"""Asks every registered class of a kind whether it fits, and ranks the answers."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from unitf import registry
from unitf.proposal import Proposal, checked_proposal
from unitf.registry.plugin_errors import one_line

_log: logging.Logger = logging.getLogger(__name__)
_CLOSE = 0.15  # how much less confident a second is that is worth a word


class Answer(NamedTuple):
    """A class that fits, and how it would be used."""

    cls: type
    name: str  # as a recipe says it
    plugin: str  # the name of the plugin that registered it
    proposal: Proposal


def answers(kind: str, *question: object) -> list[Answer]:
    """Returns the answers of all registered classes of a kind, the most confident first.

    Equally confident ones are in the order of their registration: those of unitf come first. A
    class whose answer fails, or is no proposal, is named in a warning and left out.

    Args:
        kind: "sources", "tokenizers" or "tasks".
        question: the arguments of the method `recognise` of this kind.
    """
    classes = registry.resolve_all(kind)
    plugins = {entry.name: entry.plugin for entry in registry.entries_of(kind)}
    found = [
        Answer(cls, name, plugins[name], proposal)
        for name, cls in classes.items()
        if not _is_inherited(cls, classes.values())
        and (proposal := _answer(cls, question)) is not None
    ]
    return sorted(found, key=lambda answer: -answer.proposal.confidence)


def close_second(ranked: list[Answer]) -> Answer | None:
    """Returns the second of some answers if it is nearly as confident as the first."""
    if len(ranked) < 2:
        return None
    first, second = (answer.proposal.confidence for answer in ranked[:2])
    return ranked[1] if first - second <= _CLOSE else None


def _answer(cls: type, question: tuple[object, ...]) -> Proposal | None:
    called = f"{cls.__name__}.recognise"
    try:
        return checked_proposal(getattr(cls, "recognise")(*question), called)  # noqa: B009
    except Exception as error:
        _log.warning("%s is left out: %s", called, one_line(error))
        return None


def _is_inherited(cls: type, others: Iterable[type]) -> bool:
    """Returns whether the answer is that of another registered class, which gives it itself."""
    return any(
        other is not cls and issubclass(cls, other) and _method(other) is _method(cls)
        for other in others
    )


def _method(cls: type) -> object:
    return getattr(cls, "recognise").__func__  # noqa: B009 (a type has no such method)
