"""Spans of entities, as tags of tokens say them (B-PER, I-PER, O)."""

import re
from collections.abc import Sequence

_TAG = re.compile(r"O|([BIESLU])-(.+)", re.DOTALL)
_AS_BIOES = str.maketrans("LU", "ES")  # BILOU says the same with other letters
Entity = tuple[str, int, int]  # its type, and its first and last token


def entity_types(classes: Sequence[object]) -> list[str]:
    """Returns the types of entities that the names of classes speak of, sorted.

    There are none, unless all classes are O or B-, I-, E-, S- (L-, U-) and a type.
    """
    found = [_TAG.fullmatch(str(name)) for name in classes]
    tags = [match for match in found if match is not None]
    if len(tags) < len(found) or not {"B", "I"} & {match[1] for match in tags}:
        return []
    return sorted({match[2] for match in tags if match[2]})


def entities(tags: Sequence[str]) -> list[Entity]:
    """Returns the entities of one sequence of tags (IOB1, IOB2, BIOES or BILOU), in their order.

    Tags that break the rules of a scheme are read as conlleval reads them: an I- after O begins an
    entity.
    """
    found: list[Entity] = []
    first, before, kind_before = 0, "O", ""
    for index, tag in enumerate([*tags, "O"]):
        letter, _, kind = tag.partition("-")
        letter = letter.translate(_AS_BIOES)
        changes = kind != kind_before
        if before != "O" and (before in "ES" or letter in "BSO" or changes):
            found.append((kind_before, first, index - 1))
        if letter != "O" and (letter in "BS" or before in "ESO" or changes):
            first = index
        before, kind_before = letter, kind
    return found
