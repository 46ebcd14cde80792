"""Parameter groups for the optimizer, and learning rates by depth, by name and over time."""

import math
import re
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import TypeAlias, cast

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from unitf.errors import UserError, did_you_mean
from unitf.training.parallel.step_length import steps_of_run

# what torch's optimizers take: "params", and settings that differ from the optimizer's own
ParameterGroup: TypeAlias = dict[str, object]
OptimizerFactory: TypeAlias = Callable[[Iterable[ParameterGroup]], Optimizer]
ScheduleFactory: TypeAlias = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]


class LayerIds:
    """Maps the name of a parameter or module of a Learner to its layer.

    Layer 0 holds what makes tokens, layer 1 is the first block of the core, layer `depth` is its
    last block (the blocks of an encoder come before those of a decoder), and layer `depth + 1`
    holds everything after the core.
    """

    def __init__(self, names: Iterable[str]) -> None:
        blocks = [(m[1], int(m[2])) for name in names if (m := _BLOCK.match(name))]
        counts = {kind: 1 + max(n for k, n in blocks if k == kind) for kind in dict(blocks)}
        self._before = {"encoder": 0, "decoder": counts.get("encoder", 0)}
        self.depth: int = sum(counts.values())

    def __call__(self, name: str) -> int:
        """Returns the layer, from 0 to `depth + 1`."""
        if (block := _BLOCK.match(name)) is not None:
            return self._before[block[1]] + int(block[2]) + 1
        return 0 if _INPUT.match(name) else self.depth + 1


_BLOCK = re.compile(r"core\.(encoder|decoder)\.blocks\.(\d+)")
# tokenizers without their output projections, and the learned tokens that tasks insert
_INPUT = re.compile(r"tokenizers(?!\.\w+\.unembedding)|core\.\w+\.input_norm|tasks\..*\.column$")


def parameter_groups(
    module: nn.Module,
    trained: Container[str] | None = None,
    layer_decay: float | None = None,
    rates: Mapping[str, float] | None = None,
) -> list[ParameterGroup]:
    """Groups parameters into weight matrices, which decay, and all others, which do not.

    The others are biases, norms and embedding tables. They are marked `use_muon: False`, so that
    timm's Muon, which orthogonalises its updates of matrices, trains them by AdamW. Other
    optimizers ignore the mark.

    Args:
        trained: the names of the parameters to train; by default those that require a gradient.
        layer_decay: if given, parameters are also grouped by layer. `rate_scale` of a group is
            then this factor to the power of the number of layers above (as in ELECTRA and BEiT).
        rates: factors of the learning rate by prefix of a parameter's name (`tokenizers.text`).
            If several prefixes fit, the longest counts.

    Raises:
        UserError: `layer_decay` is not above 0 and at most 1, a factor in `rates` is not above 0,
            or a prefix in `rates` fits no parameter.
    """
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise UserError(f"model.layer_decay: expected more than 0, at most 1, found {layer_decay}")
    tables = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
    named = dict(module.named_parameters())
    layer_of, factor_of = LayerIds(named), _factors(named, rates or {})
    groups: dict[tuple[bool, int, float], list[nn.Parameter]] = {}
    for name, p in named.items():
        if p.requires_grad if trained is None else name in trained:
            decays = p.ndim >= 2 and min(p.shape) > 1 and id(p) not in tables
            layer = layer_of.depth + 1 if layer_decay is None else layer_of(name)
            groups.setdefault((not decays, -layer, -factor_of(name)), []).append(p)
    result: list[ParameterGroup] = []
    for (undecayed, layer, factor), parameters in sorted(groups.items(), key=lambda item: item[0]):
        group: ParameterGroup = {"params": parameters}
        if undecayed:
            group["weight_decay"] = 0.0
            group["use_muon"] = False
        if layer_decay is not None or rates:
            group["rate_scale"] = (layer_decay or 1.0) ** (layer_of.depth + 1 + layer) * -factor
        result.append(group)
    return result


def _factors(names: Collection[str], rates: Mapping[str, float]) -> Callable[[str], float]:
    """Returns a function from the name of a parameter to the factor of its rate."""
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


def scale_rates(optimizer: Optimizer) -> list[float]:
    """Multiplies the rate of each group by its `rate_scale`; returns the resulting rates."""
    for group in optimizer.param_groups:
        group["lr"] *= group.get("rate_scale", 1.0)
    return [group["lr"] for group in optimizer.param_groups]


def check_scaled(
    optimizer: Optimizer, schedule: LRScheduler | ReduceLROnPlateau, rates: list[float]
) -> None:
    """Checks that a schedule starts from the rates that `scale_rates` returned.

    Raises:
        UserError: the schedule has set other rates, so `rate_scale` has no effect.
    """
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if "rate_scale" in group and group.get("initial_lr", rate) != rate:
            raise UserError(
                f"model.schedule: {type(schedule).__name__} sets rates of its own, which "
                "model.layer_decay and model.rates do not reach; expected one that begins with "
                "the optimizer's"
            )


class WarmupCosine(LRScheduler):
    """A linear warm-up, then half a cosine down to `final`; a step is an optimizer step.

    Args:
        warmup: the fraction of all steps in which the rate rises from zero.
        final: the rate at the end, as a fraction of the highest rate.
        total_steps: the number of steps of the run, which the Learner fills in. With 0 the rate
            stays constant after the warm-up.
        warmup_steps: the number of warm-up steps; it replaces `warmup`.
    """

    interval: str = "step"  # Lightning steps it after every optimizer step, not every epoch

    def __init__(
        self,
        optimizer: Optimizer,
        warmup: float = 0.1,
        final: float = 0.0,
        total_steps: int = 0,
        warmup_steps: int | None = None,
    ) -> None:
        self.warmup: float = warmup
        self.final: float = final
        self.total_steps: int = total_steps
        self.warmup_steps: int | None = warmup_steps
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        """Returns the rate at a step, as a fraction of the highest rate."""
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
        """Returns the rate of each parameter group at the current step."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def set_total_steps(self, total_steps: int) -> None:
        """Sets the number of steps of the run, and the rate of the next step."""
        self.total_steps = total_steps
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def go_on(self, step: int, total_steps: int) -> None:
        """Goes on at a step of a run of another length."""
        self.last_epoch = step
        self.set_total_steps(total_steps)

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Continues the schedule of another run; a known `total_steps` of this run is kept."""
        kept = {"total_steps": self.total_steps} if self.total_steps else {}
        super().load_state_dict({**state_dict, **kept})


def check_optimizer(optimizer_factory: OptimizerFactory, schedule_factory: ScheduleFactory) -> None:
    """Checks the settings of an optimizer and of a schedule before the data is read.

    Raises:
        ValueError: they refuse their settings; which, the error says.
    """
    optimizer = optimizer_factory([{"params": [nn.Parameter(torch.zeros(2, 2))]}])
    schedule_factory(optimizer)


def make_optimizer(
    groups: list[ParameterGroup],
    optimizer_factory: OptimizerFactory,
    schedule_factory: ScheduleFactory,
    trainer: Trainer,
) -> tuple[list[Optimizer], list[LRSchedulerConfigType]]:
    """Returns an optimizer and its schedule, as Lightning's `configure_optimizers` does.

    Raises:
        UserError: see `check_scaled`.
    """
    optimizer = optimizer_factory(groups)
    rates = scale_rates(optimizer)
    schedule = schedule_factory(optimizer)
    check_scaled(optimizer, schedule, rates)
    if hasattr(schedule, "set_total_steps"):
        steps = steps_of_run(trainer)
        cast(WarmupCosine, schedule).set_total_steps(0 if math.isinf(steps) else int(steps))
    if isinstance(schedule, OneCycleLR) and schedule.total_steps < steps_of_run(trainer):
        raise UserError(
            f"model.schedule: OneCycleLR has {schedule.total_steps} steps, expected at least the "
            f"{steps_of_run(trainer):.0f} of this training"
        )
    settings: LRSchedulerConfigType = {
        "scheduler": schedule,
        "monitor": getattr(schedule, "monitor", None),
    }
    each_step = isinstance(schedule, OneCycleLR | CyclicLR)
    settings["interval"] = "step" if each_step else getattr(schedule, "interval", "epoch")
    return [optimizer], [settings]


def go_on_with_schedule(trainer: Trainer, step: int, total_steps: int) -> str:
    """Lets the schedules of a resumed run go on by the share of the run that is done.

    A schedule with a method `go_on`, as `WarmupCosine`, goes on at that step. One with a length
    of its own, as `OneCycleLR`, keeps it. Schedules that step once an epoch go on by themselves.

    Args:
        step: the number of optimizer steps that are done, if they had all been as they are now.
        total_steps: the number of optimizer steps of such a run; 0: unknown.

    Returns:
        What has changed, in words, or "".

    Raises:
        UserError: a schedule has a length of its own, and more steps are left.
    """
    described = ""
    for settings in trainer.lr_scheduler_configs:
        schedule = settings.scheduler
        if not isinstance(schedule, LRScheduler) or settings.interval != "step" or not total_steps:
            continue
        before = schedule.last_epoch, getattr(schedule, "total_steps", None)
        name = type(schedule).__name__
        if hasattr(schedule, "go_on"):
            if before != (step, total_steps):
                cast(WarmupCosine, schedule).go_on(step, total_steps)
                described += f"; the schedule goes on at step {step} of {total_steps}"
        elif isinstance(before[1], int):
            left = total_steps - step
            if before[0] + left > before[1]:
                raise UserError(
                    f"model.schedule: {name} is at step {before[0]} of its own {before[1]}, "
                    f"and {left} steps are left; expected at most {before[1] - before[0]}: change "
                    "trainer.max_epochs or trainer.max_steps, or train as before"
                )
            described += f"; {name} keeps its length of {before[1]} steps and is at {before[0]}"
    return described
