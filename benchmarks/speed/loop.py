"""The cost of `unitf fit`, and of Lightning alone, beyond a bare loop of the same training step.

    python -m benchmarks loop [--pairs 7] [--threads 1]

Three processes in turn train a small version of the quickstart's model on the same batches: a bare
loop (forward, backward, clipping, optimizer, schedule), Lightning's Trainer around that step with
its usual logging (loss to CSV, progress bar), and `unitf fit` with all its callbacks.
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

from benchmarks.speed.runner import Spread, json_from

WARM_UP, STEPS = 20, 400
SIDES = ("bare", "lightning", "fit")
MUST, AIM = 0.2, 0.05  # milliseconds of a step beyond Lightning
_RECIPE = (
    "--config", "configs/quickstart.yaml",
    "--model.core.dim", "32", "--model.core.depth", "1", "--model.core.num_heads", "1",
    "--data.batch_size", "8", "--data.num_workers", "0", "--trainer.max_epochs", "1",
)  # fmt: skip


def measure(pairs: int, threads: int) -> dict[str, Any]:
    """Returns CPU milliseconds of a step in each loop, and their differences round by round."""
    rounds = [{side: _milliseconds(side, threads) for side in SIDES} for _ in range(pairs)]
    differences = {
        "lightning": [one["lightning"] - one["bare"] for one in rounds],
        "unitf": [one["fit"] - one["lightning"] for one in rounds],
    }
    return {
        "name": "loop",
        "step_ms": {side: vars(Spread.of([one[side] for one in rounds])) for side in SIDES},
        "added_ms": {name: vars(Spread.of(added)) for name, added in differences.items()},
        "must": MUST,
        "aim": AIM,
    }


def line(result: dict[str, Any]) -> str:
    """Returns the result in one line."""
    added, step = result["added_ms"], result["step_ms"]
    additions = ", ".join(
        f"{name} adds {one['median']:.2f} ms a step ({one['least']:.2f} to {one['most']:.2f})"
        for name, one in added.items()
    )
    return (
        f"loop: a bare step takes {step['bare']['median']:.2f} ms; {additions} "
        f"(must {result['must']}, aim {result['aim']})"
    )


def _milliseconds(side: str, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return json_from("benchmarks.speed.loop", side, folder, str(threads))


# ---- in the child process ----------------------------------------------------------------


class Batches:
    """A loader that loads all batches on the first access."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.batches: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        self.batches = self.batches or list(islice(self.loader, len(self)))
        yield from self.batches

    def __len__(self) -> int:
        return WARM_UP + STEPS


class Timer:
    """Measures CPU milliseconds of a step between the end of the warm-up and the last step."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def __call__(self, step: int) -> None:
        if step == WARM_UP:
            self.began = time.process_time()
        if step == WARM_UP + STEPS:
            self.ended = time.process_time()

    @property
    def milliseconds(self) -> float:
        """CPU milliseconds of one step."""
        return 1000 * (self.ended - self.began) / STEPS


class _Timed(Callback):
    """Calls a timer after each training step."""

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
        self.parts = [learner]  # in a list, so that Lightning does not call its hooks
        self.optimizers_and_schedules = {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.parts[0].loss(batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=batch.num_samples)
        return loss

    def configure_optimizers(self) -> Any:
        return self.optimizers_and_schedules

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
    """Runs a side with the trainer, model and batches that `unitf fit` prepares."""
    from unitf.cli.untrained import RecipeCLI
    from unitf.training.callbacks.prepared import training_batches

    cli = RecipeCLI("bench", arguments)

    def run() -> float:
        batches = Batches(training_batches(cli.trainer))
        return side(cli.trainer, cli.model, batches, folder)

    return cli.run_prepared(run)


def _fit(arguments: list[str], folder: str) -> float:
    from unitf.cli.preparing import prepare
    from unitf.cli.training_cli import TrainingCLI

    timer = Timer()
    cli = TrainingCLI("fit", prepare([*arguments, "--out", folder, "--test_after_fit", "false"]))
    cli.trainer.callbacks.append(_Timed(timer))  # type: ignore[attr-defined]
    load = cli.datamodule.train_dataloader
    cli.datamodule.train_dataloader = lambda: Batches(load())
    cli.run()
    return timer.milliseconds


def main(side: str, folder: str, threads: str) -> None:
    """Runs one side and prints its milliseconds as JSON."""
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
