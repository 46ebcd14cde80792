"""The folder in which the code of a page is run: recipes, data, trained models, small files."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from folders import ROOT, SHARED
from PIL import Image

SHORT = {  # of a documented training
    "--trainer.max_steps": "2",
    "--trainer.max_epochs": "1",
    "--trainer.limit_val_batches": "1",
    "--trainer.check_val_every_n_epoch": "1",
    "--trainer.accelerator": "cpu",
    "--trainer.devices": "1",
    "--trainer.strategy": "auto",
    "--test_after_fit": "false",
    "--report": "false",
    "--data.num_workers": "0",
    "--data.batch_size": "8",
}
_RUN = re.compile(r"runs/(\w+)(/<time>)?")
_FILE = re.compile(r"(?<![\w./-])((?:[\w-]+/)*[\w.-]+\.(?:png|wav|txt|csv))(?![\w/])")
_FOLDER = re.compile(r"(image|sound)=([\w-]+)/(?![\w<])")
_WRITTEN = re.compile(r"--out[ =]\S+|#.*")  # what a command writes is not there before it
TIME = "2026-01-01_00-00-00"


class PreparedFolder:
    """Holds what the commands of a page expect to find, made when a block names it.

    Args:
        trained: the folder of a short run of a recipe, by the recipe's name.
    """

    def __init__(self, base: Path, trained: Callable[[str], Path]) -> None:
        self.path = base / "unitf"
        self.path.mkdir()
        self.trained = trained
        (base / "shared").symlink_to(SHARED)  # where recipes look for their data
        for name in ("configs", "benchmarks", "plugins"):
            (self.path / name).symlink_to(ROOT / name)

    def prepare(self, text: str) -> str:
        """Makes what a block names; returns the block with `<time>` filled in."""
        named = _WRITTEN.sub("", text)
        for name, timed in _RUN.findall(named):
            self._link_run(name, timed)
        for name in _FILE.findall(named):
            if not name.startswith(("runs/", "configs/", "benchmarks/")):
                self._write(self.path / name)
        for column, folder in _FOLDER.findall(named):
            for number in range(3):
                suffix = "png" if column == "image" else "wav"
                self._write(self.path / folder / f"{number}.{suffix}", number)
        return _RUN.sub(self._filled_in, text)

    def _link_run(self, name: str, timed: str) -> None:
        folder = self.path / "runs" / name / TIME if timed else self.path / "runs" / name
        known = (ROOT / "configs" / f"{name}.yaml").is_file()
        if known and not folder.exists() and (timed or not folder.parent.joinpath(name).exists()):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(self.trained(name))

    def _filled_in(self, run: re.Match[str]) -> str:
        return f"runs/{run[1]}/{TIME}" if run[2] else run[0]

    @staticmethod
    def _write(file: Path, number: int = 0) -> None:
        if file.exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(number)
        if file.suffix == ".png":
            Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
        elif file.suffix == ".wav":
            soundfile.write(file, generator.normal(0, 0.1, 4000).astype(np.float32), 8000)
        elif file.suffix == ".csv":
            file.write_text("text\nsieben\ntrois\n")
        else:
            file.write_text("a dull film\nseven of nine\n")
