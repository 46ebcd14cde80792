"""Summary: the metrics and the files of a run, printed at its end."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from unitf import registry
from unitf.data.joined_columns import asked_for
from unitf.model import Model
from unitf.tasks.task import Task
from unitf.training.callbacks.run_report import results_of
from unitf.training.results import Results, TaskResults, tasks_of

if TYPE_CHECKING:
    from rich.table import Table
else:  # rich is imported when something is printed; only annotations need the name
    Table = object

_HIDDEN = {"num_samples"}


class Summary(Callback):
    """Prints a table of all metrics by split, task and modality, the files, and the next commands.

    Args:
        folder: the run's folder; by default the trainer's `default_root_dir`.
        test_follows: whether a test follows the training, so that the training prints nothing.
    """

    def __init__(self, folder: str | None = None, test_follows: bool = False) -> None:
        self.folder: str | None = folder
        self.test_follows: bool = test_follows

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the sizes of the model, and where its first weights come from."""
        if trainer.is_global_zero:
            for line in _beginning(pl_module):
                _print(line)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the summary, unless a test follows."""
        if not self.test_follows:
            self.show(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the summary."""
        self.show(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the summary for `unitf validate`."""
        if trainer.state.fn == "validate":
            self.show(trainer, pl_module)

    def show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the summary, in the first process only."""
        if not trainer.is_global_zero:
            return
        results = results_of(trainer, pl_module)
        for task, rows in _metrics(results).items():
            _print_table(task, rows)
        folder = Path(self.folder or trainer.default_root_dir)
        tasks = tasks_of(pl_module)
        verbs = ["predict", *["generate"] * any(task.can_generate for task in tasks.values())]
        tokenizers = cast(Model, pl_module).tokenizers
        inputs = asked_for(tokenizers, tasks, _inputs(results, tasks))
        for what, text in _next_steps(folder, inputs, verbs).items():
            _print(f"{what:<9} {text}")


def _print(line: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(line, highlight=False, markup=False)


def _beginning(pl_module: LightningModule) -> list[str]:
    """Returns lines on the parameters, the device, and the first weights of the model."""
    parts = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in pl_module.named_children()
    }
    text = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    lines = [f"parameters {sum(parts.values()):,} ({text}) on {pl_module.device}"]
    trained = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
    if trained < sum(parts.values()):
        lines.append(f"trained    {trained:,} of them")
    described: str | None = getattr(getattr(pl_module, "start", None), "described", None)
    return lines if described is None else [*lines, described]


def _inputs(results: Results, tasks: Mapping[str, Task]) -> list[str]:
    """Returns columns that a measured sample had, or else one input of a task."""
    known = {column for task in tasks.values() for column in task.inputs}
    for tasks_of_split in results.values():
        for modalities in tasks_of_split.values():
            for modality in modalities:
                columns = modality.split("+")
                if set(columns) <= known:
                    return columns
    return [column for task in tasks.values() for column in task.inputs][:1]


def _next_steps(folder: Path, words: str, verbs: Sequence[str]) -> dict[str, str]:
    """Returns the paths of the files, and the commands that use them, by their headings."""
    names = {"model": "checkpoints/best.ckpt", "figures": "metrics.json", "pictures": "*.png"}
    names["adapters"] = "adapters"
    files = {what: sorted(folder.glob(name)) for what, name in names.items()}
    next_steps = {what: ", ".join(map(str, paths)) for what, paths in files.items() if paths}
    if "model" in next_steps and words:
        unitf = registry.invocation()
        call = f"{unitf} {{}} --checkpoint {shlex.quote(str(folder))}"
        next_steps |= {v: f"{call.format(v)} --input {words}" for v in verbs}
        if "predict" in next_steps:  # it can be pasted as it is
            next_steps["predict"] = f"{call.format('predict')}  # its test samples; --input {words}"
    return next_steps


def _metrics(results: Results) -> dict[str, list[list[str]]]:
    """Returns for each task a row of headings, and a row for each split and modality."""
    tables: dict[str, list[list[str]]] = {}
    for task in dict.fromkeys(name for by_task in results.values() for name in by_task):
        rows = [
            (split, modality, metrics)
            for split, by_task in results.items()
            for modality, metrics in _worth_showing(by_task.get(task, {})).items()
        ]
        names = [
            name
            for name in dict.fromkeys(name for *_, metrics in rows for name in metrics)
            if name not in _HIDDEN
            and not any(isinstance(metrics.get(name), list) for *_, metrics in rows)
        ]
        headings = ["split", "modality", "samples", *(name.replace("_", " ") for name in names)]
        tables[task] = [headings]
        for split, modality, metrics in rows:
            samples = metrics.get("num_samples")
            counted = f"{int(samples):,}" if isinstance(samples, int | float) else ""
            cells = ("" if name not in metrics else f"{metrics[name]:.4f}" for name in names)
            tables[task].append([split, modality, counted, *cells])
    return tables


def _print_table(title: str, rows: list[list[str]]) -> None:
    """Prints a table; it is transposed if the terminal is too narrow and that makes it narrower."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    tables = [_table(title, rows, 2), _table(title, [*zip(*rows, strict=True)], 1)]
    unlimited = console.options.update(max_width=10_000)
    widths = [console.measure(table, options=unlimited).maximum for table in tables]
    transposed = widths[0] > console.width and widths[1] < widths[0]
    console.print(tables[transposed])


def _table(title: str, rows: Sequence[Sequence[str]], num_words: int) -> Table:
    """Returns a table whose first row is the heading.

    The first `num_words` columns hold words, and all others numbers.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="left" if number < num_words else "right")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _worth_showing(by_modality: TaskResults) -> TaskResults:
    """Returns the results by modality; if there is only one modality, those of "all" alone."""
    if len(by_modality) == 2 and "all" in by_modality:
        return {"all": by_modality["all"]}
    return by_modality
