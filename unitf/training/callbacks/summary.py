"""Summary: how good the model is, and where everything lies, at the end of a run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.training.callbacks.run_report import results_of

_HIDDEN = {"num_samples"}


class Summary(Callback):
    """Prints a table of all figures by split, task and modality, the files, and how to predict.

    Args:
        folder: the run's; by default the trainer's `default_root_dir`.
        test_follows: whether the end of training is not yet the end.
    """

    def __init__(self, folder: str | None = None, test_follows: bool = False) -> None:
        self.folder = folder
        self.test_follows = test_follows

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            for line in _beginning(pl_module):
                _print(line)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.test_follows:
            self.show(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.show(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.show(trainer, pl_module)

    def show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints it, once."""
        if not trainer.is_global_zero:
            return
        results = results_of(trainer, pl_module)
        for task, rows in _metrics(results).items():
            _print_table(task, rows)
        folder = Path(self.folder or trainer.default_root_dir)
        tasks = dict(getattr(pl_module, "tasks", {}).items())
        verbs = ["predict", *["generate"] * any(task.can_generate for task in tasks.values())]
        for what, text in _next_steps(folder, _inputs(results, tasks), verbs).items():
            _print(f"{what:<9} {text}")


def _print(line: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(line, highlight=False, markup=False)


def _beginning(pl_module: LightningModule) -> list[str]:
    """How large the parts of the model are, and where it trains."""
    parts = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in pl_module.named_children()
    }
    text = ", ".join(f"{name} {count:,}" for name, count in parts.items() if count)
    lines = [f"parameters {sum(parts.values()):,} ({text}) on {pl_module.device}"]
    trained = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
    if trained < sum(parts.values()):
        lines.append(f"trained    {trained:,} of them")
    begun = getattr(getattr(pl_module, "start", None), "told", None)
    return lines if begun is None else [*lines, begun]


def _inputs(results: dict[str, Any], tasks: Any) -> list[str]:
    """Columns that a sample was measured with; where nothing was, one that a task reads."""
    known = {column for task in tasks.values() for column in task.inputs}
    for tasks_of_split in results.values():
        for modalities in tasks_of_split.values():
            for modality in modalities:
                columns = modality.split("+")
                if set(columns) <= known:
                    return columns
    return [column for task in tasks.values() for column in task.inputs][:1]


def _next_steps(folder: Path, inputs: list[str], verbs: Sequence[str]) -> dict[str, str]:
    """Where everything lies, and how to go on from there."""
    names = {"model": "checkpoints/best.ckpt", "figures": "metrics.json", "pictures": "*.png"}
    names["adapters"] = "adapters"
    files = {what: sorted(folder.glob(name)) for what, name in names.items()}
    next_steps = {what: ", ".join(map(str, paths)) for what, paths in files.items() if paths}
    if "model" in next_steps and inputs:
        words = " ".join(f"{column}=…" for column in inputs)
        next_steps |= {v: f"unitf {v} --checkpoint {folder} --input {words}" for v in verbs}
    return next_steps


def _metrics(results: dict[str, Any]) -> dict[str, list[list[str]]]:
    """For each task a row of headings, and then one for each split and modality."""
    made = {}
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
        made[task] = [headings]
        for split, modality, metrics in rows:
            samples = metrics.get("num_samples")
            counted = "" if samples is None else f"{int(samples):,}"
            cells = ("" if name not in metrics else f"{metrics[name]:.4f}" for name in names)
            made[task].append([split, modality, counted, *cells])
    return made


def _print_table(title: str, rows: list[list[str]]) -> None:
    """Prints a table; on its side, where the terminal is too narrow and that is narrower."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    tables = [_table(title, rows, 2), _table(title, [*zip(*rows, strict=True)], 1)]
    anywhere = console.options.update(max_width=10_000)
    widths = [console.measure(table, options=anywhere).maximum for table in tables]
    lies = widths[0] > console.width and widths[1] < widths[0]
    console.print(tables[lies])


def _table(title: str, rows: Sequence[Sequence[str]], names: int) -> Any:
    """Rows of cells, of which the first is the heading, and the first `names` of each are words."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="left" if number < names else "right")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _worth_showing(by_modality: dict[str, Any]) -> dict[str, Any]:
    """Without "all" where it says what the only modality says."""
    if len(by_modality) == 2 and "all" in by_modality:
        return {"all": by_modality["all"]}
    return by_modality
