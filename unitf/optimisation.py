"""Which parameters decay, and how the learning rate goes."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Two groups: weight matrices, which decay; the rest (biases, norms, tables), which don't."""
    tables = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    trained = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim >= 2 and min(p.shape) > 1 and id(p) not in tables]
    known = {id(p) for p in decayed}
    rest = [p for p in trained if id(p) not in known]
    groups = [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class WarmupCosine(LRScheduler):
    """Linear warm-up, then half a cosine down to `final`; a step is an optimizer step.

    Args:
        warmup: share of all steps in which the rate rises from zero.
        final: the rate at the end, as a share of the highest.
        total_steps: of the run; the Learner fills it in. 0: the rate stays after the warm-up.
        warmup_steps: instead of `warmup`, a number of steps.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        warmup: float = 0.1,
        final: float = 0.0,
        total_steps: int = 0,
        warmup_steps: int | None = None,
    ) -> None:
        self.warmup = warmup
        self.final = final
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """The rate at a step, as a share of the highest."""
        warmup = self.warmup_steps
        if warmup is None:
            warmup = round(self.warmup * self.total_steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.total_steps <= warmup:
            return 1.0
        progress = min((step - warmup) / (self.total_steps - warmup), 1.0)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))

    def get_lr(self) -> list[float | torch.Tensor]:
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def set_total_steps(self, total_steps: int) -> None:
        """Fills in the length of the run, and sets the rate of the step that comes."""
        self.total_steps = total_steps
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where another run stopped, but to the end of this one, should it be longer."""
        own = {"total_steps": self.total_steps} if self.total_steps else {}
        super().load_state_dict({**state_dict, **own})
