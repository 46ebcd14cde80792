"""What the tests of fine-tuning share: a small trained model, and what begins from it."""

from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from toys import Beats, Swings, Waves, make_data, make_trainer

from unitf import Learner, TransformerConfig
from unitf.tasks import Classification
from unitf.training import RandomState


class CutError(Exception):
    """The end of a run that was cut off."""


class Cut(Callback):
    """Ends a run at the beginning of an epoch, as a crash would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise CutError


CORE = {"dim": 32, "depth": 3, "num_heads": 2, "dropout": 0.1, "attention_dropout": 0.1}


def new_task(classes=("fast", "slow", "still"), **settings):
    return Classification(["waves", "beats"], "speed", classes=list(classes), **settings)


def learner_from(**settings) -> Learner:
    """A Learner with a new task; everything else as given."""
    return Learner(
        **{
            "tasks": {"pace": new_task()},
            "optimizer": partial(torch.optim.AdamW, lr=1e-2),
            **settings,
        }
    )


def fresh_learner(core=CORE, **settings) -> Learner:
    """A Learner with all parts, of no source."""
    return learner_from(
        core=TransformerConfig(**core), tokenizers={"waves": Waves, "beats": Beats}, **settings
    )


def built(learner: Learner) -> Learner:
    """The same with all its parameters."""
    learner.fit_components(make_data())
    learner.build_components()
    return learner


def fit(learner: Learner, folder: Path, callbacks=(), resume=None, **settings):
    """Trains it for a short while."""
    settings = {"max_epochs": 1, "limit_train_batches": 4, "limit_val_batches": 1, **settings}
    trainer = make_trainer(folder, callbacks=[RandomState(), *callbacks], **settings)
    trainer.fit(learner, datamodule=make_data(), ckpt_path=resume, weights_only=True)
    return trainer


def weights_of(learner: Learner) -> dict[str, torch.Tensor]:
    """A copy of all parameters and buffers."""
    state = learner.state_dict()
    return {name: value.clone() for name, value in state.items() if torch.is_tensor(value)}


def samples() -> list[dict]:
    """Raw samples without their labels."""
    found = Swings(size=9).read("test", Path())
    return [{k: v for k, v in sample.items() if k != "speed"} for sample in found]


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> str:
    """A checkpoint of a model with learned positions, and a task of two classes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("source")
    learner = Learner(
        TransformerConfig(**CORE),
        {"waves": partial(Waves, position_embedding="learned", max_tokens=12), "beats": Beats},
        {"speed": Classification(["waves", "beats"], "speed", pooling="class_token")},
    )
    trainer = fit(learner, folder)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    return str(folder)
