"""LabelledTask: the base class of both kinds of classification."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from jaxtyping import Float
from torch import Tensor

from unitf.batch import Sample
from unitf.tasks.common.label_names import Label, LabelNames
from unitf.tasks.common.pooled import Pooled
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import PoolingName

TOP: int = 5  # the number of classes that a prediction names


class LabelledTask(Pooled, LabelNames):
    """The base class of both kinds of classification: a logit for each of the known classes.

    Args:
        classes: the names of the classes; None: those of the training samples, sorted.
        pooling: how a sequence's columns become one: their mean, a learned class token before
            them, attention with learned queries ("latent": with a feed-forward after it), the
            first column, the last, or the first joined with the mean of the others.
        dropout: the dropout of the pooled column, before the linear head.
        head: other layers between the pooled column and the logits.
    """

    fitted_parameters: tuple[str, ...] = ("head.linear.",)

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        pooling: PoolingName = "mean",
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, classes, weight)
        self.pooling: PoolingName = pooling
        self.dropout: float = dropout
        self.head_settings: Head | None = head

    @abstractmethod
    def labels(self, value: object) -> list[Label]:
        """Returns the classes that a raw target names."""

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the classes from the training samples, unless they are given."""
        self.learn_from(
            label
            for sample in samples
            if self.accepts(sample)
            for label in self.labels(self._raw_target(sample))
        )

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: PooledHead = PooledHead(
            dim, self.num_classes, self.pooling, self.dropout, self.head_settings
        )

    def _best(self, probabilities: Float[Tensor, "S C"]) -> list[dict[str, float]]:
        """Returns the most probable classes of each sample, with their probabilities."""
        best, indices = probabilities.topk(min(TOP, self.num_classes), dim=1)
        return [
            {str(self.classes[index]): p for index, p in zip(row, values, strict=True)}
            for row, values in zip(indices.tolist(), best.tolist(), strict=True)
        ]
