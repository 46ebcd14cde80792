"""Names and types of metrics that need no import of torchmetrics, which takes a second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from unitf.errors import UserError

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

    from unitf.tasks.metrics.task_metrics import TaskMetrics
else:  # tasks use both only in annotations; `Task.metrics` imports the real class
    MetricCollection = TaskMetrics = object

__all__ = ["MetricCollection", "TaskMetrics", "TextMetric", "check_text_figures"]

TextMetric = Literal["bleu", "chrf", "wer", "cer", "exact_match", "f1"]


def check_text_figures(names: Sequence[str]) -> None:
    """Checks that there is a metric of texts for each of these names.

    Raises:
        UserError: a name is unknown.
    """
    known = get_args(TextMetric)
    for name in names:
        if name not in known:
            raise UserError(f"metrics: expected some of {', '.join(known)}, found {name!r}")
