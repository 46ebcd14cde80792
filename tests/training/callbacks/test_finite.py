"""FiniteLoss: a loss that is no number ends the training with one clear line."""

import re

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_runs import STEPS, small_data
from toys import make_learner, make_trainer

from unitf import UserError
from unitf.training.callbacks import Checkpoint, FiniteLoss
from unitf.training.callbacks.finite_loss import _first_of_all_processes

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")


class Poison(Callback):
    """Makes the loss of one step what it should not be."""

    def __init__(self, step, weight):
        self.step, self.weight = step, weight

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            with torch.no_grad():
                pl_module.tasks["speed"].head.linear.weight.fill_(self.weight)


def fit(folder, guard, *others, **settings):
    trainer = make_trainer(
        folder,
        callbacks=[guard, *others],
        **{"max_epochs": 2, "num_sanity_val_steps": 0, "enable_checkpointing": True, **settings},
    )
    trainer.fit(make_learner(), datamodule=small_data())
    return trainer


@pytest.mark.parametrize(("weight", "told"), [(float("nan"), "nan"), (float("inf"), "nan|inf")])
def test_training_stops_at_the_step_and_says_so_in_one_line(tmp_path, weight, told):
    keeper = Checkpoint(str(tmp_path))
    with pytest.raises(UserError, match=rf"^loss is ({told}) at step 9 \(epoch 1") as error:
        fit(tmp_path, FiniteLoss(), Poison(8, weight), keeper)
    assert "\n" not in str(error.value)
    assert "learning rate 0.00" in str(error.value)
    # the batch has 8 samples, each with the name that it has in an epoch in that order
    named = re.search(
        r"of the samples (toy/train\[\d+\](?:, toy/train\[\d+\]){7});", str(error.value)
    )
    assert named and len(set(named[1].split(", "))) == 8
    assert torch.load(keeper.last_path, weights_only=True)["global_step"] == STEPS


def test_a_checkpoint_is_not_written_after_a_loss_that_nobody_has_looked_at(tmp_path):
    class Late(FiniteLoss):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            # as on a device: looked at later
            self.remember(trainer, outputs["loss"].detach(), batch, batch_idx)

    keeper = Checkpoint(str(tmp_path), every_minutes=0.0)
    with pytest.raises(UserError, match="loss is nan at step 4"):
        fit(tmp_path, Late(), Poison(3, float("nan")), keeper)
    state = torch.load(keeper.last_path, weights_only=True)["state_dict"]
    assert all(v.isfinite().all() for v in state.values() if isinstance(v, torch.Tensor))


def test_a_sound_run_is_left_alone(tmp_path):
    trainer = fit(tmp_path, FiniteLoss(), Checkpoint(str(tmp_path)))
    assert trainer.global_step == 2 * STEPS


def test_the_batch_that_was_at_fault_is_named_under_accumulation(tmp_path):
    class Named(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.names = batch.task_batches["speed"].names

    named = Named()
    with pytest.raises(UserError, match="loss is nan at step 2 ") as error:
        fit(tmp_path, FiniteLoss(), Poison(1, float("nan")), named, accumulate_grad_batches=2)
    assert f"of the samples {', '.join(named.names)};" in str(error.value)


def test_every_process_says_the_first_step_at_fault_of_all(monkeypatch):
    theirs = (3, float("nan"), ("toy/train[5]",))

    def gather(found, own):
        found[:] = [own, None, theirs]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    assert _first_of_all_processes(iter([])) == theirs
    own = (2, float("inf"), ("toy/train[1]",))
    assert _first_of_all_processes(iter([own, (4, 1.0, ())])) == own


class PoisonedValidation(Callback):
    """Validates other weights than it trains, as an average that went wrong."""

    def on_validation_start(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.tasks["speed"].head.linear.weight.fill_(float("nan"))


def test_a_validation_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(UserError, match=rf"validation/loss is nan after step {STEPS} .epoch 0"):
        fit(tmp_path, FiniteLoss(), PoisonedValidation())
