"""How far training depends on the way its steps are cut: the same model, whatever the cut?

    python -m benchmarks.equality [--tasks NextToken Embedding] [--out docs/equality.md]

Every task is trained for three steps of SGD on 16 samples each, but for the last one, which has
fewer: once with batches of 16, then with smaller batches that are accumulated, with gloo processes,
and with both. The table has the largest difference of a weight from the first of these models, and
for the processes that share batches of 16 that of a figure of the validation.
"""

import argparse
import logging
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from unitf_series import Forecast

import unitf
import unitf.tasks as unitf_tasks
from unitf import Learner, Source, TransformerConfig
from unitf.tasks.task import Task
from unitf.testing.examples import TASKS
from unitf.testing.toy_tokenizers import toy_tokenizer
from unitf.training import DataModule, RandomState

STEPS = 3
STEP_SIZE = 16


class Cut(NamedTuple):
    """How a step is cut: the batch of each process, accumulated batches, and processes."""

    batch_size: int
    accumulated: int = 1
    processes: int = 1

    def __str__(self) -> str:
        parts = [f"{self.batch_size} samples"]
        parts += [f"{self.accumulated} accumulated"] * (self.accumulated > 1)
        parts += [f"{self.processes} processes"] * (self.processes > 1)
        return " × ".join(parts)


WHOLE = Cut(16)
SHARED = Cut(8, 1, 2)
CUTS = [Cut(8, 2), SHARED, Cut(4, 1, 4), Cut(4, 2, 2)]
LASTS = (16, 5, 1)  # the number of samples of the last step
VALIDATION = "validation/"


class Rows(Source):
    """The same few samples again and again."""

    def __init__(self, rows: Sequence[Mapping[str, object]], size: int) -> None:
        self.rows = list(islice(cycle(rows), size))

    def read(self, split: str, root: Path) -> Sequence[Mapping[str, Any]]:
        return self.rows if split in self.splits() else []

    def splits(self) -> Sequence[str]:
        return ["train", "validation"]


class Case(NamedTuple):
    """What is trained: the tasks, their samples and the factories of their tokenizers."""

    tasks: Mapping[str, Task]
    samples: Sequence[Mapping[str, Any]]
    tokenizers: Mapping[str, Callable[[int], Any]]
    core: Mapping[str, Any] = {}


def cases() -> dict[str, Callable[[], Case]]:
    """Returns every task of unitf and of the box by name, several tasks at once, and experts."""
    made: dict[str, Callable[[], Case]] = {name: partial(_own, name) for name in TASKS}
    made["Forecast"] = lambda: Case(
        {"task": Forecast(**Forecast.examples()["init_args"])},
        Forecast.examples()["samples"],
        Forecast.examples()["tokenizers"],
    )
    made["R-Drop (no dropout)"] = partial(_own, "SequenceToSequence", consistency=5.0)
    made["Embedding, temperature learned"] = partial(_own, "Embedding", learn_temperature=True)
    made["several tasks, absent modalities"] = _several
    return made


def _own(name: str, **settings: object) -> Case:
    example: Mapping[str, Any] = TASKS[name]
    task = getattr(unitf_tasks, name)(**{**example["init_args"], **settings})
    samples, tokenizers = example["samples"], {}
    for column, tokenizer in task.tokenized:
        value = next(s[column] for s in samples if s.get(column) is not None)
        tokenizers.setdefault(tokenizer, toy_tokenizer(value))
    return Case({"task": task}, samples, tokenizers, example.get("core", {}))


def _several() -> Case:
    names = ["Classification", "Regression", "MaskedTokens", "Detection"]
    parts = [_own(name) for name in names]
    tasks = {name: part.tasks["task"] for name, part in zip(names, parts, strict=True)}
    samples = [sample for part in parts for sample in part.samples]
    tokenizers = {name: make for part in parts for name, make in part.tokenizers.items()}
    tasks["Regression"].weight = 0.5
    return Case(tasks, samples, tokenizers)


class Weights(Callback):
    """Keeps the weights at the end of the training, and the figures of the validation."""

    weights: dict[str, Tensor]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.weights = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
        figures = trainer.callback_metrics.items()
        self.weights |= {name: f.cpu() for name, f in figures if name.startswith(VALIDATION)}


def train(case: Case, cut: Cut, last: int) -> dict[str, Tensor]:
    """Returns the weights after the steps; the last step has `last` samples."""
    torch.manual_seed(0)
    core: dict[str, Any] = {"dim": 16, "depth": 1, "num_heads": 2, **case.core}
    learner = Learner(
        TransformerConfig(**core),
        dict(case.tokenizers),
        dict(case.tasks),
        partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    )
    size = (STEPS - 1) * STEP_SIZE + last
    data = DataModule({"rows": Rows(case.samples, size)}, batch_size=cut.batch_size, num_workers=0)
    kept = Weights()
    trainer = L.Trainer(
        accelerator="cpu",
        devices=cut.processes,
        strategy="ddp" if cut.processes > 1 else "auto",
        accumulate_grad_batches=cut.accumulated,
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=[RandomState(), kept],
    )
    trainer.fit(learner, datamodule=data)
    return kept.weights


def train_all(names: Sequence[str], cut: Cut, file: Path) -> None:
    """Trains the named cases in this process, and saves the weights, or the refusal, of each."""
    results: dict[tuple[str, int], dict[str, Tensor] | str] = {}
    for name in names:
        for last in LASTS:
            try:
                results[name, last] = train(cases()[name](), cut, last)
            except unitf.UserError as error:
                results[name, last] = str(error)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        torch.save(results, file)


def run(names: Sequence[str], cut: Cut, folder: Path) -> dict[tuple[str, int], Any]:
    """Trains the named cases in processes of their own, and returns what they saved."""
    file = folder / f"{cut}.pt"
    words = [sys.executable, "-m", "benchmarks.equality", "--cut", *map(str, cut)]
    words += ["--out", str(file), "--tasks", *names]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(words, env={**os.environ, **together, **_rank(cut, rank)})
        for rank in range(cut.processes)
    ]
    statuses = [process.wait() for process in processes]
    if any(statuses):
        raise SystemExit(f"{cut}: a process failed")
    return torch.load(file, weights_only=True)


def _rank(cut: Cut, rank: int) -> dict[str, str]:
    return {"LOCAL_RANK": str(rank), "NODE_RANK": "0"} if cut.processes > 1 else {}


def difference(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor] | str, figures: bool = False
) -> str:
    """Returns the largest difference of a weight, or of a figure, or that there is none."""
    if isinstance(other, str):
        return "refused"
    names = [name for name in one if name.startswith(VALIDATION) == figures]
    return f"{max(float((one[n] - other[n]).abs().max()) for n in names):.1e}"


def main() -> None:
    """Prints the table, or trains one cut of it."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description="The same model, however a step is cut.")
    parser.add_argument("--tasks", nargs="+", default=list(cases()))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cut", nargs=3, type=int)
    options = parser.parse_args()
    if options.cut is not None:
        train_all(options.tasks, Cut(*options.cut), options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = {cut: run(options.tasks, cut, Path(folder)) for cut in (WHOLE, *CUTS)}
    heads = ["task", "last step", *map(str, CUTS), "validation"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in options.tasks:
        for last in LASTS:
            found = [difference(runs[WHOLE][name, last], runs[cut][name, last]) for cut in CUTS]
            shared = runs[WHOLE][name, last], runs[SHARED][name, last]
            found.append(difference(*shared, figures=True))
            lines.append(f"| {name} | {last} | {' | '.join(found)} |")
    table = "\n".join(lines) + "\n"
    if options.out is None:
        sys.stdout.write(table)
    else:
        options.out.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
