"""Clipping of gradients, with fused optimizers and in every precision."""

from functools import partial

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision
from toys import make_data, make_learner, make_trainer

from unitf import UserError

LIMIT = 1e-3


class Gradients(Callback):
    """The gradients that the optimizer sees, all in a row, step by step."""

    def __init__(self):
        self.steps = []

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        found = [p.grad.flatten().clone() for p in pl_module.parameters() if p.grad is not None]
        if found:
            self.steps.append(torch.cat(found).float())


def train(folder, precision, algorithm="norm", fused=True):
    learner, gradients = make_learner(), Gradients()
    learner.optimizer = partial(torch.optim.AdamW, lr=1e-2, fused=fused)
    trainer = make_trainer(
        folder,
        max_steps=3,
        limit_val_batches=0,
        # float16 on a CPU only through the plugin: the trainer would change it for bfloat16
        **(
            {"plugins": [MixedPrecision(precision, "cpu")]}
            if precision == "16-mixed"
            else {"precision": precision}
        ),
        gradient_clip_val=LIMIT,
        gradient_clip_algorithm=algorithm,
        callbacks=[gradients],
    )
    trainer.fit(learner, datamodule=make_data())
    return gradients.steps


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fused_optimizer_sees_clipped_gradients(tmp_path, precision):
    norms = [step.norm().item() for step in train(tmp_path, precision)]
    assert norms == pytest.approx([LIMIT] * len(norms), rel=1e-2) and len(norms) >= 2
    largest = [step.abs().max().item() for step in train(tmp_path, precision, "value")]
    assert largest == pytest.approx([LIMIT] * len(largest)) and len(largest) >= 2


def test_scaled_gradients_of_a_fused_optimizer_are_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"16-mixed scales gradients.*fused: false"):
        train(tmp_path, "16-mixed")
    assert train(tmp_path, "16-mixed", fused=False)
