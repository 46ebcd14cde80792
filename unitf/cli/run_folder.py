"""The folder of a run: one run at a time uses it, and all its processes use the same one."""

import errno
import fcntl
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

import yaml
from lightning.fabric.utilities.rank_zero import _get_rank
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from unitf.cli.notation import long_form
from unitf.errors import UserError

LOCK: str = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)


class RunFolder:
    """Reserves the folder of a run for as long as this process lives, or until `release`.

    The lock is one of POSIX: it ends with the process, also if that is killed, and works on network
    file systems. Data workers do not inherit it. Only the first process of a run has it.
    """

    def __init__(self) -> None:
        self._lock: int | None = None  # the file that is locked
        self._path: Path | None = None
        self._made: list[Path] = []  # the folders that are new, from the inside out

    def new(self, parent: Path) -> Path:
        """Makes a folder named by the time; it is another one for each run."""
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        if _get_rank():  # the first process says which: see `SharedFolder`
            return parent / stamp
        number, path = 1, parent / stamp
        while True:
            try:
                self._make(path)
                break
            except FileExistsError:  # of a run that began in the same second
                number += 1
                path = parent / f"{stamp}_{number}"
        self._path = path
        return path

    def lock(self, path: Path) -> None:
        """Locks a folder; makes it if it does not exist.

        Raises:
            UserError: another run uses the folder.
        """
        if _get_rank():
            return
        if not path.exists():
            self._make(path)
        self._path = path
        while self._lock is None:
            self._lock = _locked(path)

    def _make(self, path: Path) -> None:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True)
        self._made = missing

    def discard(self) -> None:
        """Removes what a run wrote that failed before its first step, if the folder is its own."""
        if self._path is not None and self._path in self._made:
            shutil.rmtree(self._path, ignore_errors=True)

    def release(self) -> None:
        """Ends the lock; removes the folders that were made here and are still empty."""
        if self._lock is not None and self._path is not None:
            (self._path / LOCK).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
        with suppress(OSError):  # it holds a run
            for folder in self._made:
                if folder.exists():
                    folder.rmdir()


def _locked(folder: Path) -> int | None:
    """Returns the locked file of a folder; None: another process has just removed the file."""
    path = folder / LOCK
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(file, 200).decode(errors="replace") or "another run"
        if error.errno in _HELD:
            os.close(file)
            raise UserError(
                f"{folder}: found {owner} at work there, expected a folder that no run uses"
            ) from error
        return file  # a file system without locks
    if not path.exists() or path.stat().st_ino != os.fstat(file).st_ino:
        os.close(file)
        return None
    os.truncate(file, 0)
    os.write(file, f"a run (process {os.getpid()} of {socket.gethostname()})".encode())
    return file


class SharedFolder(Callback):
    """Gives every process the folder that the first process named.

    The time is the folder's name, and processes begin at different times, whoever starts them
    (Lightning, torchrun, a cluster). No process writes before it is connected to the others.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the folder of the first process."""
        folder = trainer.strategy.broadcast(trainer.default_root_dir)
        trainer._default_root_dir = folder  # type: ignore[attr-defined]


class SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` to the run's folder; Lightning's goes where the first logger writes.

    A run that goes on with another configuration keeps the earlier one as `config-1.yaml`; the next
    is `config-2.yaml`, and so on.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Writes the configuration; the run is then not finished."""
        file = Path(trainer.default_root_dir) / self.config_filename
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / _FINISHED).unlink(missing_ok=True)
        part = file.with_name(f".{file.name}.part")
        self.parser.save(
            self.config, str(part), skip_none=False, overwrite=True, multifile=self.multifile
        )
        if file.exists() and _settings(file) != _settings(part):
            number = 1 + len(list(file.parent.glob(f"{file.stem}-*.yaml")))
            file.rename(file.with_name(f"{file.stem}-{number}.yaml"))
        part.replace(file)


_FINISHED = ".finished"
_OF_THE_COMMAND = ("ckpt_path", "config", "out")  # not of what is trained


def _settings(file: Path) -> dict[str, object]:
    """Returns what a configuration says of the training."""
    settings = long_form(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    return {key: value for key, value in settings.items() if key not in _OF_THE_COMMAND}


def mark_finished(folder: Path) -> None:
    """Marks a run whose training, and the test after it, are done."""
    if folder.is_dir():
        (folder / _FINISHED).touch()


def is_finished(folder: Path) -> bool:
    """Returns whether `mark_finished` was called for a run."""
    return (folder / _FINISHED).exists()
