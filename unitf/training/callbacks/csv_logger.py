"""ContinuedCSVLogger: `metrics.csv` of a run that goes on in the same folder."""

import csv
import warnings
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class ContinuedCSVLogger(CSVLogger):
    """Lightning's, which deletes what an earlier part of the run wrote; this keeps it.

    Args:
        folder: of the run; the file is directly in it.
        step: where the run goes on; what was written of later steps is written again.
    """

    def __init__(self, folder: str, step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self.step = step

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        if self._experiment is None:
            file = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
            header, rows = self._earlier(file)
            with warnings.catch_warnings():  # that it deletes the file, which follows
                warnings.simplefilter("ignore", UserWarning)
                writer = super().experiment
            if rows:
                writer.metrics_keys = header
                writer.metrics = rows
                writer.save()
        return super().experiment

    def _earlier(self, file: Path) -> tuple[list[str], list[dict[str, str]]]:
        """The columns and the rows of the steps before this one."""
        if not self.step or not file.is_file():
            return [], []
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            rows = [row for row in reader if (row.get("step") or "").isdigit()]
            return list(reader.fieldnames or []), [r for r in rows if int(r["step"]) < self.step]
