"""ContinuedCSVLogger: `metrics.csv` of a run that resumes in the same folder."""

import csv
import warnings
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


class ContinuedCSVLogger(CSVLogger):
    """Lightning's CSVLogger, which however keeps what an earlier part of the run wrote.

    Args:
        folder: the folder of the run, which holds the file.
        step: the step from which the run resumes; rows of later steps are written again.
    """

    def __init__(self, folder: str, step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self.step: int = step

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of the file, which begins with the rows of the earlier part."""
        if self._experiment is None:
            file = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
            header, rows = self._earlier(file)
            with warnings.catch_warnings():  # of the file, which Lightning deletes
                warnings.simplefilter("ignore", UserWarning)
                writer = super().experiment
            if rows:
                writer.metrics_keys = header
                writer.metrics = rows
                writer.save()
        return super().experiment

    def _earlier(self, file: Path) -> tuple[list[str], list[dict[str, str]]]:
        """Returns the columns and rows that were written before `step`."""
        if not self.step or not file.is_file():
            return [], []
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            rows = [row for row in reader if (row.get("step") or "").isdigit()]
            return list(reader.fieldnames or []), [r for r in rows if int(r["step"]) < self.step]
