"""What `unitf fit` adds to a bare loop around the same training step, and Lightning alone.

    python -m benchmarks loop [--pairs 7] [--threads 1]

Three processes in turn train the quickstart's model, made small, on the same batches: a bare loop
(forward, backward, clipping, optimizer, schedule), Lightning's Trainer around that step as its
users have it (loss logged to CSV, progress bar), and `unitf fit` with all that it has.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from benchmarks.speed.runner import Spread, told_by

WARM_UP, STEPS = 20, 400
SIDES = ("bare", "lightning", "fit")
MUST, AIM = 0.2, 0.05  # milliseconds a step beyond Lightning
_RECIPE = (
    "--config", "configs/quickstart.yaml",
    "--model.core.dim", "32", "--model.core.depth", "1", "--model.core.num_heads", "1",
    "--data.batch_size", "8", "--data.num_workers", "0", "--trainer.max_epochs", "1",
)  # fmt: skip


def measure(pairs: int, threads: int) -> dict[str, Any]:
    """CPU milliseconds a step of the three, and what the outer ones add, pair by pair."""
    rounds = [{side: _told(side, threads) for side in SIDES} for _ in range(pairs)]
    differences = {
        "lightning": [told["lightning"] - told["bare"] for told in rounds],
        "unitf": [told["fit"] - told["lightning"] for told in rounds],
    }
    return {
        "name": "loop",
        "step_ms": {side: vars(Spread.of([told[side] for told in rounds])) for side in SIDES},
        "added_ms": {name: vars(Spread.of(found)) for name, found in differences.items()},
        "must": MUST,
        "aim": AIM,
    }


def line(found: dict[str, Any]) -> str:
    """What was measured, in one line."""
    added, step = found["added_ms"], found["step_ms"]
    told = ", ".join(
        f"{name} adds {one['median']:.2f} ms a step ({one['least']:.2f} to {one['most']:.2f})"
        for name, one in added.items()
    )
    return (
        f"loop: a bare step takes {step['bare']['median']:.2f} ms; {told} "
        f"(must {found['must']}, aim {found['aim']})"
    )


def _told(side: str, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return told_by("benchmarks.speed.loop", side, folder, str(threads))


# ---- in a process of its own ----------------------------------------------------------------


class Batches:
    """A loader that has loaded all when the first is asked for."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.batches: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        self.batches = self.batches or list(islice(self.loader, len(self)))
        yield from self.batches

    def __len__(self) -> int:
        return WARM_UP + STEPS


class Timer:
    """CPU milliseconds a step between the end of the warm-up and the last step."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def __call__(self, step: int) -> None:
        if step == WARM_UP:
            self.began = time.process_time()
        if step == WARM_UP + STEPS:
            self.ended = time.process_time()

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.ended - self.began) / STEPS


class _Timed(Callback):
    """Tells a timer of the steps of a training."""

    def __init__(self, timer: Timer) -> None:
        self.timer = timer

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.timer(trainer.global_step)


class _Module(LightningModule):
    """The step as a user of Lightning would write it."""

    def __init__(self, learner: Any, optimizer: Any, schedule: Any) -> None:
        super().__init__()
        self.parts = [learner]  # in a list: its own hooks are not called
        self.made = {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.parts[0].loss(batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=batch.num_samples)
        return loss

    def configure_optimizers(self) -> Any:
        return self.made

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch


def _bare(trainer: Any, learner: Any, batches: Batches, folder: str) -> float:
    (optimizer,), (schedule,) = trainer.optimizers, trainer.lr_scheduler_configs
    timer = Timer()
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        learner.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        schedule.scheduler.step()
        timer(number + 1)
    return timer.milliseconds


def _lightning(trainer: Any, learner: Any, batches: Batches, folder: str) -> float:
    (optimizer,), (schedule,) = trainer.optimizers, trainer.lr_scheduler_configs
    timer = Timer()
    outer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        gradient_clip_val=1.0,
        logger=CSVLogger(folder),
        callbacks=[_Timed(timer)],
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    outer.fit(_Module(learner, optimizer, schedule.scheduler), batches)
    return timer.milliseconds


def _prepared(
    side: Callable[[Any, Any, Batches, str], float], arguments: list[str], folder: str
) -> float:
    """Calls a side with what `unitf fit` has made ready."""
    from unitf.cli.untrained import RecipeCLI
    from unitf.training.callbacks.prepared import training_batches

    cli = RecipeCLI("bench", arguments)

    def run() -> float:
        batches = Batches(training_batches(cli.trainer))
        return side(cli.trainer, cli.model, batches, folder)

    return cli.run_prepared(run)


def _fit(arguments: list[str], folder: str) -> float:
    from unitf.cli.training_cli import TrainingCLI, prepare

    timer = Timer()
    cli = TrainingCLI("fit", prepare([*arguments, "--out", folder, "--test_after_fit", "false"]))
    cli.trainer.callbacks.append(_Timed(timer))  # type: ignore[attr-defined]
    load = cli.datamodule.train_dataloader
    cli.datamodule.train_dataloader = lambda: Batches(load())
    cli.run()
    return timer.milliseconds


def main(side: str, folder: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    answers, sys.stdout = sys.stdout, sys.stderr
    arguments = list(_RECIPE)
    if side == "fit":
        milliseconds = _fit(arguments, folder)
    else:
        milliseconds = _prepared({"bare": _bare, "lightning": _lightning}[side], arguments, folder)
    print(json.dumps(milliseconds), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
