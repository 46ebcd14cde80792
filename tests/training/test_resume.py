"""A run that was cut off goes on as if nothing had happened."""

import itertools
import logging
from collections import Counter

import pytest
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping
from lightning.pytorch.cli import ReduceLROnPlateau
from parts import Listed, Regressor, data, samples, trainer
from torch.optim.lr_scheduler import OneCycleLR
from toys import Swings, make_learner, make_trainer

from unitf.errors import UserError
from unitf.training import DataModule, RandomState, WarmupCosine

# Lightning 2.6 uses what torch 2.12 calls old
pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec.*:FutureWarning")
SOURCES = {"train": samples(22), "validation": samples(5, 100)}


TOKENS = {"tokens_per_batch": 14, "batch_size": None}


def fit(folder, callbacks=(), checkpoint=None, workers=0, size=TOKENS, model=None, **arguments):
    torch.manual_seed(1 if checkpoint is None else 2)
    model = model or Regressor()
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    callbacks = [RandomState(), *callbacks]
    runner = trainer(folder, callbacks=callbacks, enable_checkpointing=saves, **arguments)
    module = data(Listed(**SOURCES), num_workers=workers, **size)
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


class Logged(Regressor):
    """A Regressor with a plateau that logs its losses, and the mean of them over an epoch."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("train/loss", loss, on_step=True, on_epoch=True, batch_size=batch.num_samples)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("validation/loss", float(self.trainer.global_step), batch_size=1)

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        plateau = ReduceLROnPlateau(optimizer, monitor="validation/loss", patience=0, factor=0.5)
        return [optimizer], [{"scheduler": plateau, "monitor": "validation/loss"}]


class Events(Callback):
    """What happens in a run; a checkpoint holds how much of it had happened."""

    def __init__(self):
        self.happened, self.before = [], 0

    def state_dict(self):
        return {"before": self.before + len(self.happened)}

    def load_state_dict(self, state):
        self.before = state["before"]

    def on_train_batch_end(self, trainer, module, *arguments):
        self.happened.append(("step", module.losses[-1]))

    def on_validation_end(self, trainer, module):
        self.happened.append(("validation", trainer.global_step, self.rate(trainer)))

    def on_train_epoch_start(self, trainer, module):
        self.happened.append(("start", trainer.current_epoch, self.rate(trainer)))

    def on_train_epoch_end(self, trainer, module):
        mean = float(trainer.callback_metrics["train/loss_epoch"])
        self.happened.append(("end", trainer.current_epoch, trainer.global_step, mean))

    @staticmethod
    def rate(trainer):
        return trainer.optimizers[0].param_groups[0]["lr"]


class EverySave(Checkpoint):
    """Saves wherever a run may be saved."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0

    def save(self, trainer, where):
        if not trainer.fit_loop._should_accumulate():
            self.number += 1
            name = f"{self.number:03d}-{trainer.global_step:03d}-{where}.ckpt"
            trainer.save_checkpoint(self.folder / name)

    def on_train_batch_end(self, trainer, *arguments):
        self.save(trainer, "step")

    def on_validation_end(self, trainer, *arguments):
        self.save(trainer, "validation")

    def on_epoch_complete(self, trainer, *arguments):
        self.save(trainer, "epoch")


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_epochs": 3},
        {"max_steps": 15, "max_epochs": -1, "val_check_interval": 2},
        {"max_steps": 14, "max_epochs": -1, "val_check_interval": 4},
        {"max_epochs": 3, "accumulate_grad_batches": 4, "limit_train_batches": 6},
    ],
    ids=str,
)
def test_all_that_happens_after_a_resume_is_what_would_have_happened(tmp_path, arguments):
    events = Events()
    fit(tmp_path, [events, EverySave(tmp_path)], model=Logged(), **arguments)
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) > 10
    for checkpoint in checkpoints:
        again = Events()
        fit(tmp_path, [again], checkpoint, model=Logged(), **arguments)
        assert again.happened == events.happened[again.before :], checkpoint.name


class Means(Callback):
    """The mean training loss of each epoch."""

    def __init__(self):
        self.means = []

    def on_train_epoch_end(self, trainer, module):
        self.means.append(float(trainer.callback_metrics["train/loss_epoch"]))


def test_the_mean_of_an_epoch_is_whole_after_a_resume_within_a_step(tmp_path):
    """A validation may come between two batches of a step; then the step is done again."""
    settings = {"max_epochs": 1, "accumulate_grad_batches": 2, "val_check_interval": 3}

    def run(*callbacks, checkpoint=None):
        means = Means()
        saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
        runner = make_trainer(
            tmp_path,
            callbacks=[RandomState(), means, *callbacks],
            enable_checkpointing=saves,
            num_sanity_val_steps=0,
            **settings,
        )
        model = make_learner(dropout=0.0)
        data = DataModule({"toy": Swings(48)}, batch_size=8, num_workers=0)
        runner.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        return means.means

    class InHalfAStep(EverySave):
        def save(self, trainer, where):
            if trainer.fit_loop._should_accumulate():
                trainer.save_checkpoint(self.folder / "half.ckpt")

    whole = run(InHalfAStep(tmp_path))
    assert run(checkpoint=tmp_path / "half.ckpt") == whole and len(whole) == 1


def test_a_run_that_was_told_to_stop_stays_at_its_end(tmp_path):
    def stopping():
        return EarlyStopping("validation/loss", patience=1)

    events = Events()
    fit(tmp_path, [events, stopping(), EverySave(tmp_path)], model=Logged(), max_epochs=9)
    last = sorted(tmp_path.glob("*.ckpt"))[-1]
    for more in (9, 12):
        again = Events()
        fit(tmp_path, [again, stopping()], last, model=Logged(), max_epochs=more)
        assert again.happened == []
    free = Events()
    fit(tmp_path, [free], last, model=Logged(), max_epochs=9)
    assert len(free.happened) > 10


class Scheduled(Regressor):
    """A Regressor with a schedule, which keeps the rate of every step."""

    def __init__(self, make=WarmupCosine):
        super().__init__()
        self.make, self.rates = make, []

    def on_train_batch_start(self, batch, batch_idx):
        self.rates.append(self.optimizers().param_groups[0]["lr"])

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = self.make(optimizer)
        if isinstance(schedule, WarmupCosine):
            schedule.set_total_steps(int(self.trainer.estimated_stepping_batches))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Cut(Callback):
    def __init__(self, folder, step):
        self.file, self.step = folder / "cut.ckpt", step

    def on_train_batch_end(self, trainer, *arguments):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)
            trainer.should_stop = True


OTHERWISE = [
    ({"batch_size": 4}, {}, {"batch_size": 2}, {}),
    ({"batch_size": 2}, {}, {"batch_size": 4}, {}),
    (TOKENS, {}, {"batch_size": 3}, {}),
    ({"batch_size": 3}, {}, TOKENS, {"accumulate_grad_batches": 2}),
    ({"batch_size": 2}, {}, {"batch_size": 2}, {"accumulate_grad_batches": 3}),
    ({"batch_size": 1}, {"accumulate_grad_batches": 4}, {"batch_size": 4}, {}),
]


@pytest.mark.parametrize(("size", "first", "then", "second"), OTHERWISE, ids=str)
def test_other_batches_in_mid_epoch_have_the_rest_of_it_and_of_the_schedule(
    tmp_path, caplog, size, first, then, second
):
    cut = Cut(tmp_path, 8)
    begun = fit(tmp_path, [cut], size=size, model=Scheduled(), max_epochs=4, **first)
    with caplog.at_level(logging.WARNING):
        ended = fit(tmp_path, (), cut.file, size=then, model=Scheduled(), max_epochs=4, **second)
    assert caplog.text.count("the run goes on with") == 1
    seen = Counter(name for model in (begun, ended) for *_, names in model.losses for name in names)
    assert set(seen.values()) == {4} and len(seen) == 22
    last, rates = begun.rates[-1], ended.rates
    assert rates[-1] > 0 and all(one >= other for one, other in itertools.pairwise(rates))
    assert 0.6 * last < rates[0] <= 1.1 * last
    assert rates[-1] < 0.1 * max(begun.rates)


def test_a_third_stretch_goes_on_in_the_same_epoch(tmp_path):
    sizes = [{"batch_size": 2}, TOKENS, {"batch_size": 3}, {"batch_size": 3}]
    seen, checkpoint = Counter(), None
    for step, size in zip((2, 4, 6, 99), sizes, strict=True):
        cut = Cut(tmp_path, step)
        model = fit(tmp_path, [cut], checkpoint, size=size, model=Scheduled(), max_epochs=1)
        seen.update(name for *_, names in model.losses for name in names)
        checkpoint = cut.file
    assert set(seen.values()) == {1} and len(seen) == 22


def test_a_schedule_with_its_own_length_keeps_it_or_is_refused(tmp_path, caplog):
    def one_cycle(steps):
        return lambda optimizer: OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)

    cut = Cut(tmp_path, 8)
    settings = {"size": {"batch_size": 4}, "max_epochs": 4}  # 24 steps
    fit(tmp_path, [cut], model=Scheduled(one_cycle(24)), **settings)
    smaller = settings | {"size": {"batch_size": 2}}
    with pytest.raises(UserError, match=r"OneCycleLR is at step 8 of its own 24, and .* are left"):
        fit(tmp_path, (), cut.file, model=Scheduled(one_cycle(44)), **smaller)
    larger = settings | {"size": {"batch_size": 8}}
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, (), cut.file, model=Scheduled(one_cycle(12)), **larger)
    assert "OneCycleLR keeps its length of 24 steps and is at 8" in caplog.text
