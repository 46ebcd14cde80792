"""EntityF1: how well spans of entities are found, counted as seqeval and conlleval count them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from unitf.tasks.metrics.entity_spans import Entity, entities, entity_types


class EntityF1(Metric):
    """Precision, recall and F1 of entities: over all (micro), by type, and their mean (macro).

    An entity counts as found if its type, its first and its last token are right. A type that
    occurs neither in the targets nor in the predictions is in no figure.

    Args:
        classes: the tags, in the order of the probabilities.
    """

    full_state_update: bool | None = False
    counts: Tensor

    def __init__(self, classes: Sequence[object]) -> None:
        super().__init__()
        self.tags: list[str] = [str(name) for name in classes]
        self.types: list[str] = entity_types(classes)
        # of each type: entities that were found, that were predicted, and that there are
        zeros = torch.zeros(3, len(self.types), dtype=torch.long)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(
        self,
        predicted: Float[Tensor, "N C"],
        target: Int[Tensor, " N"],
        sequence: Int[Tensor, " N"],
    ) -> None:
        """Adds tokens with the number of their sequence; those of one stand side by side."""
        lengths = torch.unique_consecutive(sequence, return_counts=True)[1].tolist()
        pairs = zip(predicted.argmax(1).split(lengths), target.split(lengths), strict=True)
        for guesses, truths in pairs:
            guessed, true = self._entities(guesses), self._entities(truths)
            for row, group in enumerate((guessed & true, guessed, true)):
                for kind, _, _ in group:
                    self.counts[row, self.types.index(kind)] += 1

    def _entities(self, indices: Int[Tensor, " N"]) -> set[Entity]:
        return set(entities([self.tags[index] for index in indices.tolist()]))

    def compute(self) -> dict[str, Tensor]:
        """Returns the figures by their names; those without an entity are NaN."""
        by_type = _figures(self.counts)
        occurring = self.counts[1:].sum(0) > 0
        values = dict(zip(_NAMES, _figures(self.counts.sum(1, keepdim=True))[:, 0], strict=True))
        macro = by_type[:, occurring].mean(1)
        values |= {name.replace("_", "_macro_"): v for name, v in zip(_NAMES, macro, strict=True)}
        for index, kind in enumerate(self.types):
            figures = zip(_NAMES, by_type[:, index], strict=True)
            values |= {f"{name}_{kind}": value for name, value in figures}
        return values


_NAMES = ("entity_f1", "entity_precision", "entity_recall")


def _figures(counts: Int[Tensor, "3 T"]) -> Float[Tensor, "3 T"]:
    """Returns F1, precision and recall of each column; 0 where only one of both sides has any."""
    right, predicted, true = counts.double()
    either = predicted + true
    precision, recall = right / predicted.clamp(min=1), right / true.clamp(min=1)
    figures = torch.stack([2 * right / either.clamp(min=1), precision, recall]).float()
    return figures.masked_fill(either == 0, torch.nan)
