"""RunReport: the numbers and pictures that a run writes into its folder."""

import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from unitf.checkpoints.atomic import write_text
from unitf.training.callbacks import gallery
from unitf.training.callbacks.throughput import Throughput
from unitf.training.callbacks.versions import versions
from unitf.training.results import Results, SplitResults, measured_results, tasks_of

_Json: TypeAlias = dict[str, object]  # an object in a JSON file
_COUNTED = ("samples", "tokens")


class RunReport(Callback):
    """Writes metrics.json, versions.json, curves.png, confusion_<task>.png and modalities.png.

    It writes them after training, and again after a test, which adds its splits. The metrics of
    the validation split are those of the best checkpoint.

    Args:
        folder: the run's folder; by default the trainer's `default_root_dir`.
        test_follows: whether a test follows the training, so that pictures are drawn after it.
    """

    def __init__(self, folder: str | None = None, test_follows: bool = False) -> None:
        self.folder: str | None = folder
        self.test_follows: bool = test_follows
        self.history: list[dict[str, float]] = []
        self.totals: dict[str, float] = {"seconds": 0.0, "samples": 0, "tokens": 0}
        self._meter = Throughput()
        self._row_at_step = -1
        self._since: float | None = None
        self._is_of_all = False  # whether what was counted is that of all processes
        self._trained = False

    # ---- what is counted ---------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._trained = True
        self._since = time.monotonic()
        self._row_at_step = trainer.global_step
        if self._is_of_all:
            self._leave_to_the_first(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Counts a training step."""
        self._meter.count(batch, outputs)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds a point to the curves; `unitf validate` writes the report."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "fit":
            self._add_row(trainer)
        elif trainer.state.fn == "validate":
            self.write(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds a point to the curves, unless a validation has added one."""
        if self._row_at_step != trainer.global_step:  # no validation
            self._add_row(trainer)

    def _add_row(self, trainer: Trainer) -> None:
        self._row_at_step = trainer.global_step
        progress = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        epoch = trainer.current_epoch + progress / max(float(trainer.num_training_batches), 1.0)
        logged = {
            key: float(value)
            for key, value in trainer.callback_metrics.items()
            if key.startswith("validation/")
        }
        training = {"train/loss": self._meter.loss} if self._meter.steps else {}
        self.history.append({"epoch": epoch, "step": trainer.global_step, **training, **logged})
        self.totals["samples"] += self._meter.samples
        self.totals["tokens"] += self._meter.tokens
        self._meter.reset()

    @property
    def state_key(self) -> str:
        """The key of this callback's state in a checkpoint; it stays if the class is renamed."""
        return "RunReport" if type(self) is RunReport else super().state_key

    def state_dict(self) -> dict[str, object]:
        """Returns the points of the curves, and the totals and counts so far."""
        totals = {**self.totals, "seconds": self.totals["seconds"] + self._running()}
        return {"history": self.history, "totals": totals, "meter": self._meter.state()}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Adds what the other processes counted: another number of them may go on."""
        states = cast("dict[str, dict[str, dict[str, int | float]]]", checkpoint["callbacks"])
        totals, meter = states[self.state_key]["totals"], states[self.state_key]["meter"]
        counts = _over_processes(trainer, [totals[n] + meter[n] for n in _COUNTED])
        totals |= {name: count - meter[name] for name, count in zip(_COUNTED, counts, strict=True)}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restores the points of the curves and the totals, for a run that resumes."""
        if self.history:  # a test after training loads the best state, which is not the last
            return
        self.history = copy.deepcopy(cast(list[dict[str, float]], state_dict["history"]))
        self.totals = dict(cast(dict[str, float], state_dict["totals"]))
        if (meter := cast("dict[str, int | float] | None", state_dict.get("meter"))) is not None:
            self._meter.load(meter)
            self._is_of_all = True

    def _running(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    # ---- what is written ---------------------------------------------------------------

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adds up the totals over all processes."""
        self.totals["seconds"] += self._running()
        self._since = None
        counts = _over_processes(trainer, [self.totals[name] for name in _COUNTED])
        self.totals |= dict(zip(_COUNTED, counts, strict=True))
        self._leave_to_the_first(trainer)

    def _leave_to_the_first(self, trainer: Trainer) -> None:
        """Lets the first process alone have the counts of all."""
        if not trainer.is_global_zero:
            self.totals |= dict.fromkeys(_COUNTED, 0)
            self._meter.reset()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the report; its pictures wait for a test that follows."""
        self.write(trainer, pl_module, pictures=not self.test_follows)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the report again, with the test splits."""
        self.write(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Writes what there is of a run that failed."""
        if self.history:
            self.write(trainer, pl_module)

    def write(self, trainer: Trainer, pl_module: LightningModule, pictures: bool = True) -> None:
        """Writes everything that there is so far: first the numbers, then the pictures."""
        if not trainer.is_global_zero:
            return
        folder = Path(self.folder or trainer.default_root_dir)
        results = results_of(trainer, pl_module)
        # after further training, earlier results would be those of another model
        report = {} if trainer.state.fn == "fit" else _read_json(folder / "metrics.json")
        report["results"] = cast(_Json, report.get("results", {})) | _scalars(results)
        # a checkpoint brings the history until it was written: a test of it keeps a longer one
        history = self.history if self._trained or "training" not in report else []
        if history:
            report |= self._training(trainer, pl_module)
        write_text(folder / "metrics.json", json.dumps(_plain(report), indent=2) + "\n")
        write_text(folder / "versions.json", json.dumps(versions(), indent=2) + "\n")
        if pictures:
            gallery.draw(folder, tasks_of(pl_module), history, results)

    def _training(self, trainer: Trainer, pl_module: LightningModule) -> _Json:
        seconds = max(self.totals["seconds"] + self._running(), 1e-9)
        best = {key: value for key, value in _best(trainer).items() if key != "results"}
        last = self.history[-1]
        return {
            **({"best": best} if best else {}),
            "training": {
                "seconds": round(seconds, 2),
                "epochs": last["epoch"],
                "steps": int(last["step"]),
                "samples": int(self.totals["samples"]),
                "tokens": int(self.totals["tokens"]),
                "samples_per_second": round(self.totals["samples"] / seconds, 2),
                "tokens_per_second": round(self.totals["tokens"] / seconds, 2),
                "loss": last.get("train/loss"),
            },
            "parameters": {
                "total": _size(pl_module),
                **{
                    name: _size(child) for name, child in pl_module.named_children() if _size(child)
                },
            },
        }


def _over_processes(trainer: Trainer, counts: Sequence[int | float]) -> list[int]:
    """Returns the sums of counts over all processes."""
    if trainer.world_size > 1:
        sums = torch.tensor(counts, dtype=torch.float64, device=trainer.strategy.root_device)
        counts = cast(torch.Tensor, trainer.strategy.reduce(sums, reduce_op="sum")).tolist()
    return [int(count) for count in counts]


def results_of(trainer: Trainer, pl_module: LightningModule) -> Results:
    """Returns the results of all splits; those of validation are of the best checkpoint."""
    results = measured_results(pl_module)
    if trainer.state.fn != "validate" and (best := _best(trainer).get("results")):
        results["validation"] = cast(SplitResults, best)
    return results


def _best(trainer: Trainer) -> _Json:
    """Returns what the run's Checkpoint knows of its best epoch."""
    for callback in trainer.checkpoint_callbacks:
        value = getattr(callback, "best_model_score", None)
        if value is not None:
            return {
                "monitor": getattr(callback, "monitor", None),
                "value": float(value),
                "epoch": getattr(callback, "best_epoch", None),
                "step": getattr(callback, "best_step", None),
                "results": getattr(callback, "best_results", None),
            }
    return {}


def _size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _read_json(path: Path) -> _Json:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _plain(value: object) -> object:
    """Returns a value as JSON has it: seven digits, and null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _scalars(results: Results) -> _Json:
    """Returns results without matrices, which are written to their own files."""
    return {
        split: {
            task: {
                modality: {k: v for k, v in metrics.items() if not isinstance(v, list)}
                for modality, metrics in by_modality.items()
            }
            for task, by_modality in by_task.items()
        }
        for split, by_task in results.items()
    }
