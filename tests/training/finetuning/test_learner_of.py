"""`Learner.of`: a model that was loaded is trained further, itself and not a copy."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from small_models import fit, samples, weights_of

import unitf
from unitf import Learner, Model, UserError
from unitf.core.lora import LoRA
from unitf.training.finetuning import Freeze

ADAMW = partial(torch.optim.AdamW, lr=1e-2)


class Losses(Callback):
    """Keeps the loss of every training step."""

    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append(float(outputs["loss"]))


def losses_of(learner, folder):
    losses = Losses()
    fit(learner, folder, callbacks=[losses], max_epochs=2)
    assert len(losses.found) == 8
    return losses.found


def test_a_loaded_model_is_a_plain_module_in_evaluation_mode(source):
    model = unitf.load(source)
    assert type(model) is Model and not model.training
    assert all(not module.training for module in model.modules())


def test_it_trains_as_one_that_begins_from_the_same_weights(source, tmp_path):
    of = Learner.of(unitf.load(source), optimizer=ADAMW)
    pretrained = Learner(pretrained=source, optimizer=ADAMW)
    assert losses_of(of, tmp_path / "of") == losses_of(pretrained, tmp_path / "pretrained")
    ours, theirs = weights_of(of), weights_of(pretrained)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_nothing_is_copied_or_fitted_again(source, tmp_path):
    model = unitf.load(source)
    before, fitted = weights_of(model), model.tokenizers["waves"].fitted
    names = list(model.state_dict())
    learner = Learner.of(model, optimizer=ADAMW)
    assert learner.training and list(learner.state_dict()) == names
    assert (learner.core, learner.tokenizers, learner.tasks) == (
        model.core,
        model.tokenizers,
        model.tasks,
    )
    fit(learner, tmp_path)
    assert model.tokenizers["waves"].fitted is fitted
    assert any(not torch.equal(before[name], weight) for name, weight in weights_of(model).items())
    assert model.predict(samples()) == learner.predict(samples())


def test_what_it_saves_is_loaded_again(source, tmp_path):
    learner = Learner.of(unitf.load(source), optimizer=ADAMW)
    learner.origin = {"hub": "timm", "source": None, "recipe": {}}
    fit(learner, tmp_path).save_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    again = unitf.load(tmp_path)
    assert again.predict(samples()) == learner.predict(samples())
    assert again.origin == learner.origin


def test_the_other_settings_are_those_of_a_learner(source, tmp_path):
    model = unitf.load(source)
    core = weights_of(model.core)
    learner = Learner.of(model, ADAMW, freeze=Freeze(("core",)), rates={"tasks": 0.5})
    fit(learner, tmp_path)
    assert all(torch.equal(core[name], weight) for name, weight in weights_of(model.core).items())
    usual = Learner.of(model)
    assert isinstance(usual.optimizer([torch.nn.Parameter(torch.zeros(1))]), torch.optim.AdamW)


def test_adapters_are_put_into_the_model(source, tmp_path):
    model = unitf.load(source)
    expected = model.predict(samples())
    learner = Learner.of(model, ADAMW, lora=LoRA(rank=2))
    assert model.predict(samples()) == expected
    fit(learner, tmp_path).save_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    grown = [w for name, w in weights_of(model).items() if "lora_B" in name]
    assert grown and all(weight.abs().max() > 0 for weight in grown)
    assert unitf.load(tmp_path).predict(samples()) == model.predict(samples())
    with pytest.raises(UserError, match="the model has adapters, expected one without them"):
        Learner.of(model, lora=LoRA(rank=2))
