"""Writes the page of a run when it has ended; that never breaks the run."""

import sys
import warnings
from pathlib import Path

from lightning.pytorch import Trainer

from unitf.errors import one_line
from unitf.training import DataModule

LONGEST: float = 20.0  # seconds that the page may take …
SHARE: float = 0.05  # … or this share of the training, if that is shorter …
SHORTEST: float = 0.5  # … but not less
SAMPLES: int = 1_000  # that the model is tried on, at most


def write_page(trainer: Trainer, data: DataModule, notice: str | None = None) -> None:
    """Writes report.html into the folder of a run, in the first process alone.

    A failure is a line on stderr.

    Args:
        trainer: the trainer of the run.
        data: its samples.
        notice: why the run ended early; the page then has no samples, and is written at once.
    """
    folder = Path(trainer.default_root_dir)
    if not trainer.is_global_zero or not (folder / "metrics.json").is_file():
        return
    if not (folder / "config.yaml").is_file():  # the folder of no run
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = _written(folder, trainer, data, notice)
        sys.stdout.write(f"{'report':<9} {file}\n")
    except Exception as error:
        sys.stderr.write(f"unitf: warning: {folder}/report.html: {one_line(error)}\n")


def _written(folder: Path, trainer: Trainer, data: DataModule, notice: str | None) -> Path:
    from unitf.analysis.measuring.peak_memory import peak_memory
    from unitf.analysis.report import RecordedRun, write_report
    from unitf.loading import load

    device = trainer.strategy.root_device
    memory = peak_memory(device)
    if notice is not None or not any((folder / "checkpoints").glob("*.ckpt")):
        notices = [] if notice is None else [notice]
        return write_report(folder, peak_memory=memory, notices=notices)
    trained = float(RecordedRun(folder).training.get("seconds", 0.0))
    seconds = min(LONGEST, max(SHORTEST, SHARE * trained))
    model = load(folder).to(device)
    return write_report(folder, model, data, SAMPLES, seconds, memory)
