"""Checks of an architecture, for a plugin's own tests and for the table of parity."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from unitf.interop.convert import to_model, to_peer
from unitf.interop.hub import ModelHub, describe
from unitf.interop.proof import Difference, Proof, compare, compare_gradients

GRADIENT_TOLERANCE = 1e-4  # relative; in float32


@dataclass(frozen=True)
class Parity:
    """How near unitf is to a peer whose every parameter is random.

    Args:
        proof: of the outputs.
        gradients: of every parameter.
        lost: the tensors that do not come back bit for bit.
    """

    proof: Proof
    gradients: list[Difference]
    lost: list[str]

    @property
    def worst_gradient(self) -> Difference:
        return max(self.gradients, key=lambda difference: difference.relative)

    def raise_if_broken(self) -> None:
        """Raises AssertionError with what differs most, or does not come back."""
        worst, gradient = self.proof.worst, self.worst_gradient
        assert self.proof.holds, f"{worst.name} differs by {worst.relative:.1e} of its size"
        assert gradient.relative <= GRADIENT_TOLERANCE, (
            f"the gradient of {gradient.name} differs by {gradient.relative:.1e} of its size"
        )
        assert not self.lost, f"do not come back: {', '.join(self.lost)}"


def measure(hub: ModelHub, published: nn.Module, seed: int = 0) -> Parity:
    """Gives a peer random parameters, says it in unitf, compares both, and takes the way back."""
    published = randomise(published.eval(), seed)
    architecture = describe(hub, published)
    model = to_model(architecture)
    proof = compare(architecture, model, seed)
    gradients = compare_gradients(architecture, model, seed)
    empty = describe(hub, randomise(deepcopy(published), seed + 1))
    back = to_peer(empty, model.state_dict()).state_dict()
    lost = [name for name, t in published.state_dict().items() if not torch.equal(t, back[name])]
    return Parity(proof, gradients, lost)


def randomise(published: nn.Module, seed: int = 0) -> nn.Module:
    """Makes every parameter and statistic random, so that none is left at zero or one."""
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
