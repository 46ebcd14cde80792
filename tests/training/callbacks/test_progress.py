"""Progress: a line for every validation, with speed and time left; a bar only in a terminal."""

import re
import sys
from pathlib import Path

import pytest
from lightning.pytorch import Callback
from small_runs import STEPS, small_data
from toys import make_learner, make_trainer

from unitf.training import RandomState
from unitf.training.callbacks import Progress
from unitf.training.callbacks.progress import _clock, _short
from unitf.training.callbacks.throughput import Throughput

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")


def fit(folder, capsys, bar=None, **settings):
    trainer = make_trainer(
        folder,
        callbacks=[bar or Progress()],
        **{"max_epochs": 2, **settings},
        enable_progress_bar=True,
    )
    trainer.fit(make_learner(), datamodule=small_data())
    return capsys.readouterr(), trainer


LINE = re.compile(
    r"epoch (\d)/2 \| loss \d\.\d{4} \| "
    r"validation: loss \d\.\d{4}, speed accuracy \d\.\d{4} \| "
    r"[\d.]+k? samples/s, [\d.]+k? tokens/s \| \d:\d\d left"
)


def test_without_a_terminal_there_is_a_line_for_every_epoch(tmp_path, capsys):
    written, _ = fit(tmp_path, capsys)
    lines = written.out.splitlines()
    assert [LINE.fullmatch(line).group(1) for line in lines] == ["1", "2"]
    assert "it/s" not in written.err


def test_without_validation_there_is_a_line_too(tmp_path, capsys):
    written, _ = fit(tmp_path, capsys, limit_val_batches=0)
    lines = written.out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "validation" not in written.out


def test_validations_within_an_epoch_have_lines_of_their_own(tmp_path, capsys):
    written, _ = fit(tmp_path, capsys, max_epochs=1, val_check_interval=2)
    places = [line.split(" | ")[0] for line in written.out.splitlines()]
    assert places == ["epoch 1/1, step 2", "epoch 1/1, step 4", "epoch 1/1"]


class Save(Callback):
    """Keeps a checkpoint from the midst of the first epoch."""

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == STEPS // 2:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "half.ckpt")


def test_a_run_that_goes_on_within_an_epoch_has_its_speed(tmp_path, capsys):
    for path in (None, tmp_path / "half.ckpt"):
        callbacks = [Progress(), RandomState(), Save()]
        trainer = make_trainer(
            tmp_path, callbacks=callbacks, max_epochs=2, enable_progress_bar=True
        )
        trainer.fit(make_learner(), datamodule=small_data(), ckpt_path=path)
        lines = capsys.readouterr().out.splitlines()
        assert [LINE.fullmatch(line).group(1) for line in lines] == ["1", "2"]


def test_a_run_that_is_measured_in_steps_counts_steps(tmp_path, capsys):
    written, _ = fit(tmp_path, capsys, max_epochs=-1, max_steps=8, val_check_interval=4)
    places = [line.split(" | ")[0] for line in written.out.splitlines()]
    assert places[0] == "step 4/8"
    assert places[-1] == "step 8/8"


def test_in_a_terminal_there_is_a_bar_with_the_speeds(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    bar = Progress()
    written, trainer = fit(tmp_path, capsys, bar)
    assert "samples/s=" in written.out and "tokens/s=" in written.out and "left=" in written.out
    assert f"{STEPS}/{STEPS}" in written.out
    assert len(LINE.findall(written.out)) == 2
    assert set(bar.get_metrics(trainer, trainer.lightning_module)) >= {"loss", "samples/s"}


def test_speeds_are_of_the_training_steps_alone(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("unitf.training.callbacks.throughput.time.monotonic", lambda: now[0])
    batch = type("Batch", (), {"num_samples": 8, "num_tokens": 80})
    meter = Throughput()
    meter.start()
    for _ in range(5):
        now[0] += 1.0
        meter.count(batch, None)
    meter.stop()
    now[0] += 1000.0  # a validation
    assert meter.rates() == (8.0, 80.0)


def test_numbers_and_times_are_short():
    assert [_short(n) for n in (0.0, 12.34, 999.0, 1234.0, 2.5e6, 3e9)] == [
        "0", "12.3", "999", "1.23k", "2.5M", "3G",
    ]  # fmt: skip
    assert [_clock(s) for s in (0.0, 59.6, 61.0, 3661.0)] == ["0:00", "1:00", "1:01", "1:01:01"]
