"""PageContent: all that the page of a run is made of, before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from unitf.analysis.report.recorded_run import Intervals, Metrics, RecordedRun
from unitf.analysis.report.tried_samples import TriedSample, TriedSplit
from unitf.batch import Sample
from unitf.model import Model
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer


@dataclass(eq=False)
class PageContent:
    """What is known of a run.

    Args:
        run: the files of the run.
        model: its best model; None: there is none, or it cannot be loaded.
        counts: the number of samples by split and source.
        examples: some training samples of each source, as the model reads them.
        tried: what each task was tried on, by split and task.
        intervals: the 95 % intervals of the figures.
        interval_notes: how the intervals were measured.
        peak_memory: the most bytes that the training used; None: that is not known.
        notices: what a reader must know first, such as that the run was interrupted.
    """

    run: RecordedRun
    model: Model | None = None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[Sample]] = field(default_factory=dict)
    tried: dict[str, dict[str, TriedSplit]] = field(default_factory=dict)
    intervals: Intervals = field(default_factory=dict)
    interval_notes: list[str] = field(default_factory=list)
    peak_memory: int | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name; none without a model."""
        return {} if self.model is None else dict(self.model.tasks.items())

    @property
    def tokenizers(self) -> Mapping[str, Tokenizer]:
        """The tokenizers by name; none without a model."""
        return {} if self.model is None else dict(self.model.tokenizers.items())

    @property
    def splits(self) -> list[str]:
        """The splits that were measured: tests first."""
        return sorted(self.run.figures, key=lambda split: not split.startswith("test"))

    def tried_samples(self, task: str) -> list[TriedSample]:
        """Returns the samples of all splits that a task was tried on."""
        return [
            sample
            for by_task in self.tried.values()
            if task in by_task
            for sample in by_task[task].samples
        ]

    def num_samples(self, split: str, metrics: Metrics) -> int | None:
        """Returns over how many samples figures are, at most those of their split.

        A task may count something else, such as the channels of its samples.
        """
        count, known = metrics.get("num_samples"), sum(self.counts.get(split, {}).values())
        if count is None:
            return None
        return min(int(count), known) if known else int(count)

    def monitor(self, task: str) -> str:
        """Returns the name of the figure that says most about a task."""
        by_split = [self.run.figures.get(split, {}).get(task, {}) for split in self.splits]
        known = dict.fromkeys(
            name for by_modality in by_split for metrics in by_modality.values() for name in metrics
        )
        if task in self.tasks and self.tasks[task].monitor in known:
            return self.tasks[task].monitor
        kept = self.run.monitors.get(task)
        return kept if kept in known else next((n for n in known if n != "loss"), "loss")
