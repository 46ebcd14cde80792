"""What tasks say of metrics before they are scored: without torchmetrics, which takes a second."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from unitf.errors import UserError

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

    from unitf.tasks.metrics.task_metrics import TaskMetrics
else:  # annotations are all that tasks use them for; `Task.metrics` imports what it makes
    MetricCollection = TaskMetrics = Any

__all__ = ["MetricCollection", "TaskMetrics", "TextMetric", "check_text_figures"]

TextMetric = Literal["bleu", "chrf", "wer", "cer", "exact_match", "f1"]


def check_text_figures(names: Sequence[str]) -> None:
    """Checks that there are metrics of texts of these names.

    Raises:
        UserError: there is no such metric.
    """
    known = get_args(TextMetric)
    for name in names:
        if name not in known:
            raise UserError(f"metrics: expected some of {', '.join(known)}, found {name!r}")
