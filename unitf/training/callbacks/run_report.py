"""RunReport: what a run leaves in its folder, in numbers and pictures."""

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from unitf.checkpoints.atomic import write_text
from unitf.training.callbacks import gallery
from unitf.training.callbacks.throughput import Throughput
from unitf.training.callbacks.versions import versions


class RunReport(Callback):
    """Writes metrics.json, versions.json, curves.png, confusion_<task>.png and modalities.png.

    After training, and again after a test, which adds its splits. The figures of the validation
    split are those of the best checkpoint.

    Args:
        folder: the run's; by default the trainer's `default_root_dir`.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self.history: list[dict[str, float]] = []
        self.totals: dict[str, float] = {"seconds": 0.0, "samples": 0, "tokens": 0}
        self._meter = Throughput()
        self._row_at_step = -1
        self._since: float | None = None

    # ---- what is counted ---------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.monotonic()
        self._row_at_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._meter.count(batch, outputs, trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "fit":
            self._add_row(trainer)
        elif trainer.state.fn == "validate":
            self.write(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
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
        """The name of its state in a checkpoint, which stays if the class is renamed."""
        return "RunReport" if type(self) is RunReport else super().state_key

    def state_dict(self) -> dict[str, Any]:
        totals = {
            "seconds": self.totals["seconds"] + self._running(),
            "samples": self.totals["samples"] + self._meter.samples,
            "tokens": self.totals["tokens"] + self._meter.tokens,
        }
        return {"history": self.history, "totals": totals}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.history:  # the test that follows a training loads its best state, not its last
            return
        self.history = copy.deepcopy(state_dict["history"])
        self.totals = dict(state_dict["totals"])

    def _running(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    # ---- what is written ---------------------------------------------------------------

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.totals["seconds"] += self._running()
        self._since = None
        counts = torch.tensor(
            [self.totals["samples"], self.totals["tokens"]], dtype=torch.float64, device="cpu"
        )
        if trainer.world_size > 1:
            counts = trainer.strategy.reduce(counts.to(pl_module.device), reduce_op="sum").cpu()
        self.totals["samples"], self.totals["tokens"] = map(int, counts.tolist())

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.write(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.write(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if self.history:
            self.write(trainer, pl_module)

    def write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes everything that there is so far; first the figures, then the pictures."""
        if not trainer.is_global_zero:
            return
        folder = Path(self.folder or trainer.default_root_dir)
        results = results_of(trainer, pl_module)
        # a model that was trained further is another one than that of which earlier figures are
        report = {} if trainer.state.fn == "fit" else _read_json(folder / "metrics.json")
        report["results"] = report.get("results", {}) | _scalars(results)
        if self.history:
            report |= self._training(trainer, pl_module)
        write_text(folder / "metrics.json", json.dumps(_plain(report), indent=2) + "\n")
        write_text(folder / "versions.json", json.dumps(versions(), indent=2) + "\n")
        tasks: dict[str, Any] = dict(getattr(pl_module, "tasks", {}).items())
        gallery.draw(folder, tasks, self.history, results)

    def _training(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        seconds = max(self.totals["seconds"] + self._running(), 1e-9)
        best = _best(trainer)
        last = self.history[-1]
        return {
            "best": {
                key: best[key] for key in ("monitor", "value", "epoch", "step") if key in best
            },
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


def results_of(trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
    """split → task → modality → figure; of the validation split those of the best checkpoint."""
    results = dict(getattr(pl_module, "results", {}))
    if trainer.state.fn != "validate" and (best := _best(trainer).get("results")):
        results["validation"] = best
    return results


def _best(trainer: Trainer) -> dict[str, Any]:
    """What the run's Checkpoint knows of its best epoch."""
    for callback in trainer.checkpoint_callbacks:
        value: Any = getattr(callback, "best_model_score", None)
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _plain(value: Any) -> Any:
    """As JSON knows it, without NaN and infinity; in as many digits as mean something."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _scalars(results: dict[str, Any]) -> dict[str, Any]:
    """Without matrices, which are written on their own."""
    if any(not isinstance(value, dict) for value in results.values()):
        return {key: value for key, value in results.items() if not isinstance(value, list)}
    return {key: _scalars(value) for key, value in results.items()}
