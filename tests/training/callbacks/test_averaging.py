"""EMA: the average is what is validated, tested and kept."""

from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from small_runs import STEPS, Cut, CutError, small_data
from toys import make_learner, make_trainer

import unitf
from unitf.training import RandomState
from unitf.training.callbacks import EMA, Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")
NAME = "tasks.speed.head.linear.weight"  # it does not exist before the Learner's setup


class Trace(Callback):
    """The weights after each step, and those that are validated."""

    def __init__(self):
        self.steps, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        self.steps.append(pl_module.state_dict()[NAME].clone())

    def on_validation_epoch_start(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.validated.append(pl_module.state_dict()[NAME].clone())


def fit(folder, resume=None, epochs=2, others=(), ema=None, limits=None):
    torch.manual_seed(0)
    learner, trace = make_learner(), Trace()
    learner.register_buffer("limits", limits, persistent=False)
    trainer = make_trainer(
        folder,
        # the average is swapped in before the trace looks, in the order of callbacks
        callbacks=[ema or EMA(0.9), trace, *others, Checkpoint(str(folder)), RandomState()],
        enable_checkpointing=True,
        max_epochs=epochs,
    )
    trainer.fit(learner, datamodule=small_data(), ckpt_path=resume, weights_only=True)
    return learner, trainer, trace


def by_hand(steps, decay):
    average = steps[0]
    for n, weights in enumerate(steps[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        average = keep * average + (1 - keep) * weights
    return average


def test_the_average_is_validated_kept_and_left_in_the_model(tmp_path):
    learner, _, trace = fit(tmp_path)
    assert len(trace.steps) == 2 * STEPS
    average = by_hand(trace.steps, 0.9)
    assert not torch.allclose(average, trace.steps[-1], atol=1e-6)
    torch.testing.assert_close(trace.validated[0], by_hand(trace.steps[:STEPS], 0.9))
    torch.testing.assert_close(trace.validated[1], average)
    torch.testing.assert_close(learner.state_dict()[NAME], average)
    kept = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    torch.testing.assert_close(kept["state_dict"][NAME], average)
    torch.testing.assert_close(kept["current_model_state"][NAME], trace.steps[-1])


def test_a_test_after_fit_takes_the_average(tmp_path):
    learner, trainer, trace = fit(tmp_path)
    last = tmp_path / "checkpoints/last.ckpt"
    trainer.test(learner, datamodule=small_data(), ckpt_path=last, verbose=False, weights_only=True)
    torch.testing.assert_close(learner.state_dict()[NAME], by_hand(trace.steps, 0.9))
    torch.testing.assert_close(unitf.load(last).state_dict()[NAME], by_hand(trace.steps, 0.9))


def test_the_same_callback_serves_another_fit_after_an_error(tmp_path):
    ema = EMA(0.9)
    with pytest.raises(CutError):
        fit(tmp_path / "first", others=[Cut(epoch=1)], ema=ema)
    for name in ("second", "third"):
        learner, _, trace = fit(tmp_path / name, ema=ema)
        torch.testing.assert_close(learner.state_dict()[NAME], by_hand(trace.steps, 0.9))


class Normed(LightningModule):
    """Parameters of two types, averages and a counter."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2, dtype=torch.float64)


def test_every_kind_of_tensor_has_its_average_and_counters_are_copied():
    model, ema, trainer = Normed(), EMA(0.9), Mock(spec=Trainer)
    model.trainer = trainer
    ema._make(model)
    steps = []
    for step in range(1, 5):
        for tensor in model.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape) if tensor.is_floating_point() else 7 * step)
        steps.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        trainer.global_step = step
        ema.on_train_batch_end(trainer, model, None, None, step - 1)
    for name, average in ema._average_model.module.state_dict().items():
        if average.is_floating_point():
            torch.testing.assert_close(average, by_hand([s[name] for s in steps], 0.9))
        else:
            assert average == 28
    assert ema._average_model.n_averaged == 4


def test_a_run_goes_on_with_its_average_and_its_weights(tmp_path):
    whole, _, trace = fit(tmp_path / "whole", epochs=3)
    with pytest.raises(CutError):
        fit(tmp_path / "first", epochs=3, others=[Cut(epoch=2)])
    again, _, rest = fit(tmp_path / "again", tmp_path / "first/checkpoints/last.ckpt", epochs=3)
    assert all(map(torch.equal, trace.steps[2 * STEPS :], rest.steps))
    assert torch.equal(whole.state_dict()[NAME], again.state_dict()[NAME])


def test_the_temperature_of_the_average_is_kept(tmp_path):
    """A validation fits it for the average, while the copy of the model has none."""
    learner, *_ = fit(tmp_path)
    kept = unitf.load(tmp_path / "checkpoints" / "last.ckpt").tasks["speed"].temperature
    assert kept == learner.tasks["speed"].temperature != 1


def test_a_buffer_that_is_worked_out_is_not_averaged(tmp_path):
    """The mean of two infinite limits is no number: all cells of a table became NaN."""
    limits = torch.tensor([-torch.inf, 0.5, torch.inf])
    learner, trainer, _ = fit(tmp_path, limits=limits.clone())
    assert torch.equal(learner.limits, limits)
    assert trainer.callback_metrics["validation/loss"].isfinite()
