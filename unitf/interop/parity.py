"""Checks of an architecture, for the tests of plugins and for the table of parity."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from unitf.interop.convert import to_model, to_peer
from unitf.interop.hub import ModelHub, describe
from unitf.interop.proof import Difference, Proof, compare, compare_gradients

GRADIENT_TOLERANCE: float = 1e-4  # relative; in float32


@dataclass(frozen=True)
class Parity:
    """How close unitf is to a published model with random parameters.

    Args:
        proof: the differences of the outputs.
        gradients: the differences of the gradients of all parameters.
        lost: the tensors that import and export do not preserve bit for bit.
    """

    proof: Proof
    gradients: list[Difference]
    lost: list[str]

    @property
    def worst_gradient(self) -> Difference:
        """The largest relative difference of a gradient."""
        return max(self.gradients, key=lambda difference: difference.relative)

    def raise_if_broken(self) -> None:
        """Checks that outputs, gradients and exported tensors are equal.

        Raises:
            AssertionError: they are not; the message names the largest difference.
        """
        worst, gradient = self.proof.worst, self.worst_gradient
        assert self.proof.holds, f"{worst.name} differs by {worst.relative:.1e} of its size"
        assert gradient.relative <= GRADIENT_TOLERANCE, (
            f"the gradient of {gradient.name} differs by {gradient.relative:.1e} of its size"
        )
        assert not self.lost, f"do not come back: {', '.join(self.lost)}"


def measure(hub: ModelHub, published: nn.Module, seed: int = 0) -> Parity:
    """Imports a published model with random parameters, compares both, and exports it again."""
    published = randomise(published.eval(), seed)
    architecture = describe(hub, published)
    model = to_model(architecture)
    proof = compare(architecture, model, seed)
    gradients = compare_gradients(architecture, model, seed)
    target = describe(hub, randomise(deepcopy(published), seed + 1))
    exported = to_peer(target, model.state_dict()).state_dict()
    tensors = published.state_dict().items()
    lost = [name for name, tensor in tensors if not torch.equal(tensor, exported[name])]
    return Parity(proof, gradients, lost)


def randomise(published: nn.Module, seed: int = 0) -> nn.Module:
    """Makes every parameter and statistic random, so that none stays zero or one."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for parameter in published.parameters():
            if not parameter.requires_grad:  # a constant of the family: tables of sinusoids
                continue
            if parameter.ndim > 1 and parameter[0].numel() > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for name, buffer in published.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return published
