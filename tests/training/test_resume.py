"""A run that was cut off goes on as if nothing had happened."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from parts import Listed, Regressor, data, samples, trainer

from unitf.training import RandomState

# Lightning 2.6 uses what torch 2.12 calls old
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")
SOURCES = {"train": samples(22), "validation": samples(5, 100)}


def fit(folder, callbacks=(), checkpoint=None, workers=0, **arguments):
    torch.manual_seed(1 if checkpoint is None else 2)
    model = Regressor()
    runner = trainer(folder, callbacks=[RandomState(), *callbacks], **arguments)
    module = data(Listed(**SOURCES), num_workers=workers, tokens_per_batch=14, batch_size=None)
    runner.fit(model, datamodule=module, ckpt_path=checkpoint, weights_only=True)
    return model


def test_overfit_batches_are_the_same_in_every_epoch(tmp_path):
    model = fit(tmp_path, overfit_batches=2, max_epochs=3)
    first, second, *others = [names for _, _, names in model.losses]
    assert first != second
    assert others == [first, second] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"accumulate_grad_batches": 2},
        {"val_check_interval": 2},
        {"max_steps": 13, "max_epochs": -1},
        {"limit_train_batches": 3},
    ],
    ids=str,
)
def test_resumed_from_any_checkpoint_the_losses_are_the_same_bit_for_bit(tmp_path, arguments):
    class Everywhere(Callback):
        """Saves after every step, validation and epoch."""

        def save(self, trainer, place):
            # in the midst of an accumulation the gradients are lost: no one saves there
            if not trainer.fit_loop._should_accumulate():
                trainer.save_checkpoint(tmp_path / f"{trainer.global_step:03d}-{place}.ckpt")

        def on_train_batch_end(self, trainer, *arguments):
            self.save(trainer, "step")

        def on_validation_end(self, trainer, *arguments):
            self.save(trainer, "validation")

        def on_train_epoch_end(self, trainer, *arguments):
            self.save(trainer, "epoch")

    whole = fit(tmp_path, [Everywhere()], **arguments).losses
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) > 8
    for checkpoint in checkpoints:
        rest = fit(tmp_path, checkpoint=checkpoint, **arguments).losses
        assert rest == whole[len(whole) - len(rest) :], checkpoint.name
        done = int(checkpoint.name[:3]) * arguments.get("accumulate_grad_batches", 1)
        assert abs(len(whole) - len(rest) - done) <= 1, checkpoint.name


def test_resumed_from_the_middle_of_a_step_twice(tmp_path):
    class Cut(Callback):
        """Saves in the middle of step 8, and after step 10."""

        def on_before_optimizer_step(self, trainer, *arguments):
            if trainer.global_step == 8 and not (tmp_path / "8.ckpt").exists():
                trainer.save_checkpoint(tmp_path / "8.ckpt")

        def on_train_batch_end(self, trainer, *arguments):
            if trainer.global_step == 11:
                trainer.save_checkpoint(tmp_path / "11.ckpt")

    whole = fit(tmp_path, [Cut()]).losses
    assert fit(tmp_path, [Cut()], tmp_path / "8.ckpt").losses == whole[8:]
    assert fit(tmp_path, checkpoint=tmp_path / "11.ckpt").losses == whole[11:]


def test_a_longer_run_goes_on_where_a_finished_one_ended(tmp_path):
    class AtEnd(Callback):
        def on_train_end(self, trainer, *arguments):
            trainer.save_checkpoint(tmp_path / "end.ckpt")

    by_epochs = {"max_epochs": 1}, {"max_epochs": 2}, 6
    by_steps = {"max_steps": 9, "max_epochs": -1}, {"max_steps": 13, "max_epochs": -1}, 9
    for limit, longer, ended in (by_epochs, by_steps):
        fit(tmp_path, [AtEnd()], **limit)
        whole = fit(tmp_path, **longer).losses
        rest = fit(tmp_path, checkpoint=tmp_path / "end.ckpt", **longer).losses
        assert rest == whole[len(whole) - len(rest) :]
        assert len(whole) - len(rest) == ended


def test_workers_change_nothing(tmp_path):
    class Halfway(Callback):
        def on_train_batch_end(self, trainer, *arguments):
            if trainer.global_step == 8:
                trainer.save_checkpoint(tmp_path / "8.ckpt")

    whole = fit(tmp_path, [Halfway()], workers=2).losses
    assert whole == fit(tmp_path).losses
    assert fit(tmp_path, checkpoint=tmp_path / "8.ckpt", workers=2).losses == whole[8:]


def test_every_step_has_its_own_dropout_and_every_epoch_its_own_order(tmp_path):
    losses = fit(tmp_path).losses
    assert len({loss for _, loss, _ in losses}) == len(losses)
    first, second = ([names for _, _, names in losses[half]] for half in (slice(6), slice(6, 12)))
    assert sorted(sum(first, ())) == sorted(sum(second, ()))
    assert first != second
