"""Which parameters decay, and how the learning rate goes."""

import math
import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from unitf.errors import UserError, did_you_mean


class LayerIds:
    """How deep in a Learner each parameter or module lies, by its name.

    0 is what makes tokens, 1 the first block of the core, `depth` the last one (an encoder's
    come before a decoder's), and `depth + 1` what comes after.
    """

    def __init__(self, names: Iterable[str]) -> None:
        blocks = [(m[1], int(m[2])) for name in names if (m := _BLOCK.match(name))]
        counts = {kind: 1 + max(n for k, n in blocks if k == kind) for kind in dict(blocks)}
        self._before = {"encoder": 0, "decoder": counts.get("encoder", 0)}
        self.depth = sum(counts.values())

    def __call__(self, name: str) -> int:
        if (block := _BLOCK.match(name)) is not None:
            return self._before[block[1]] + int(block[2]) + 1
        return 0 if _INPUT.match(name) else self.depth + 1


_BLOCK = re.compile(r"core\.(encoder|decoder)\.blocks\.(\d+)")
# tokenizers without the way back, and the learned tokens that tasks put among theirs
_INPUT = re.compile(r"tokenizers(?!\.\w+\.unembedding)|core\.\w+\.input_norm|tasks\..*\.column$")


def parameter_groups(
    module: nn.Module,
    trained: Container[str] | None = None,
    layer_decay: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Weight matrices, which decay; the rest (biases, norms, tables), which don't.

    The rest is marked `use_muon: False`: timm's Muon, which orthogonalises what it adds to
    matrices, trains them by AdamW. Other optimizers don't read that.

    Args:
        trained: the names of the parameters; by default those that require a gradient.
        layer_decay: groups also by depth, with the factor of their rate as `rate_scale`: this
            number, once more for each level below the top (as in ELECTRA and BEiT).
        rates: factors of the rate of what these names begin (`tokenizers.text`); of several that
            fit, the longest counts.

    Raises:
        UserError: `layer_decay` is no factor that makes rates smaller, or `rates` names no
            parameter.
    """
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise UserError(f"model.layer_decay: expected more than 0, at most 1, found {layer_decay}")
    tables = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    named = dict(module.named_parameters())
    levels, factor_of = LayerIds(named), _factors(named, rates or {})
    groups: dict[tuple[bool, int, float], list[nn.Parameter]] = {}
    for name, p in named.items():
        if p.requires_grad if trained is None else name in trained:
            decays = p.ndim >= 2 and min(p.shape) > 1 and id(p) not in tables
            level = levels.depth + 1 if layer_decay is None else levels(name)
            groups.setdefault((not decays, -level, -factor_of(name)), []).append(p)
    made = []
    for (rest, level, factor), parameters in sorted(groups.items(), key=lambda item: item[0]):
        group: dict[str, Any] = {"params": parameters}
        if rest:
            group["weight_decay"] = 0.0
            group["use_muon"] = False
        if layer_decay is not None or rates:
            group["rate_scale"] = (layer_decay or 1.0) ** (levels.depth + 1 + level) * -factor
        made.append(group)
    return made


def _factors(names: Collection[str], rates: Mapping[str, float]) -> Callable[[str], float]:
    """The factor of each parameter by its name."""
    for begin, factor in rates.items():
        if not factor > 0:
            raise UserError(f"model.rates: {begin}: expected a factor above 0, found {factor}")
        if not any(_begins(name, begin) for name in names):
            known = dict.fromkeys(".".join(name.split(".")[:2]) for name in names)
            raise UserError(
                f"model.rates: no parameter's name begins with {begin!r}"
                + did_you_mean(begin, known)
            )
    longest_first = sorted(rates, key=len, reverse=True)
    return lambda name: next((rates[b] for b in longest_first if _begins(name, b)), 1.0)


def _begins(name: str, begin: str) -> bool:
    return name == begin or name.startswith(f"{begin}.")


def scale_rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """Multiplies the rate of each group by its `rate_scale`, and tells the rates."""
    for group in optimizer.param_groups:
        group["lr"] *= group.get("rate_scale", 1.0)
    return [group["lr"] for group in optimizer.param_groups]


def check_scaled(optimizer: torch.optim.Optimizer, schedule: Any, rates: list[float]) -> None:
    """Raises UserError if a schedule begins with other rates than `scale_rates` left."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if "rate_scale" in group and group.get("initial_lr", rate) != rate:
            raise UserError(
                f"model.schedule: {type(schedule).__name__} sets rates of its own, which "
                "model.layer_decay and model.rates do not reach; expected one that begins with "
                "the optimizer's"
            )


class WarmupCosine(LRScheduler):
    """Linear warm-up, then half a cosine down to `final`; a step is an optimizer step.

    Args:
        warmup: share of all steps in which the rate rises from zero.
        final: the rate at the end, as a share of the highest.
        total_steps: of the run; the Learner fills it in. 0: the rate stays after the warm-up.
        warmup_steps: instead of `warmup`, a number of steps.
    """

    interval = "step"  # of the optimizer, not an epoch

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
