"""ContinuedCSVLogger: `metrics.csv` of a run that resumes in the same folder."""

import csv
from collections.abc import Mapping
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from unitf.checkpoints.atomic import replacing


class ContinuedCSVLogger(CSVLogger):
    """Lightning's CSVLogger, which however keeps what an earlier part of the run wrote.

    Args:
        folder: the folder of the run, which holds the file.
        step: the step from which the run resumes; rows of later steps are written again.
    """

    def __init__(self, folder: str, step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self.step: int = step
        self._logged: tuple[object, object] = (None, None)
        self._repeated: list[tuple[int | None, set[str]]] = []  # rows that will be logged again

    @rank_zero_only
    def log_metrics(  # type: ignore[override]
        self, metrics: dict[str, Tensor | float], step: int | None = None
    ) -> None:
        """Writes a row, unless the file has it: of `log_step`, or of an earlier part of the run."""
        writer = self.experiment  # which reads the earlier rows
        if self._logged != (step, metrics) and (step, set(metrics)) not in self._repeated:
            writer.log_metrics(metrics, step)
        self._logged = (step, dict(metrics))

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:
        """The writer of the file, which begins with the rows of the earlier part."""
        if self._experiment is None:
            file = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
            header, rows = self._earlier(file)
            writer = _WholeWriter(self.log_dir)
            if rows:
                writer.metrics_keys = header
                # a validation after the step of the checkpoint may follow once more
                last = [row for row in rows if int(row["step"]) == self.step - 1]
                self._repeated = [(self.step - 1, _columns(row)) for row in last]
                _write(file, header, rows)
            else:
                file.unlink(missing_ok=True)
            self._experiment = writer
        return super().experiment

    def _earlier(self, file: Path) -> tuple[list[str], list[dict[str, str]]]:
        """Returns the columns and rows that were written before `step`."""
        if not self.step or not file.is_file():
            return [], []
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            # a row that lacks cells was being written when the run was killed
            rows = [r for r in reader if None not in r.values() and r.get("step", "").isdigit()]
            return list(reader.fieldnames or []), [r for r in rows if int(r["step"]) < self.step]


def _columns(row: Mapping[str, str]) -> set[str]:
    return {name for name, value in row.items() if value and name != "step"}


def log_step(trainer: Trainer) -> None:
    """Logs the metrics of a training step, for a checkpoint that is about to be written.

    Lightning does it after all callbacks, and a run may end between the two.
    """
    trainer._logger_connector.on_batch_end()
    trainer._logger_connector.update_train_step_metrics()


class _WholeWriter(ExperimentWriter):
    """A writer that keeps what a file holds, also if it is killed while it adds a column."""

    def _check_log_dir_exists(self) -> None:
        """Leaves out that Lightning deletes an earlier file."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        _write(file, fieldnames, rows)


def _write(file: Path, header: list[str], rows: list[dict[str, str]]) -> None:
    with replacing(file) as part, part.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, header)
        writer.writeheader()
        writer.writerows(rows)
