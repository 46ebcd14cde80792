"""How honest the probabilities of classes are, and whether they tell what no class is."""

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, multiclass_calibration_error
from torchmetrics.utilities import dim_zero_cat

NUM_BINS: int = 15  # of the expected calibration error
KEPT: float = 0.95  # the share of known samples that a threshold of the confidence lets through
_MOST = 5_000  # samples by which a temperature is fitted
_PRIOR = 2.0  # how many samples' worth of loss a temperature e times too high or too low costs
_LIMIT = math.log(20.0)


def fitted_temperature(log_probabilities: Float[Tensor, "S C"], target: Int[Tensor, " S"]) -> float:
    """Returns the temperature at which the true classes are likeliest (Guo et al., 2017).

    Few samples, or samples without a mistake, move it little from 1: its logarithm has a normal
    prior. Of more than 5,000 samples every second (third, …) is used.

    Args:
        log_probabilities: of all classes; or logits.
        target: the true classes.
    """
    from scipy.optimize import minimize_scalar

    step = -(-len(target) // _MOST) if len(target) else 1
    logits, true = log_probabilities[::step].double().cpu(), target[::step].cpu()
    if not len(true):
        return 1.0

    def loss(logarithm: float) -> float:
        nll = torch.nn.functional.cross_entropy(logits / math.exp(logarithm), true)
        return float(nll) + _PRIOR / 2 * logarithm**2 / len(true)

    found = minimize_scalar(loss, bounds=(-_LIMIT, _LIMIT), method="bounded")
    return math.exp(cast(float, found.x))


class Calibration(Metric):
    """Expected calibration error and negative log-likelihood, before and after a temperature.

    Args:
        num_classes: C.
        temperature: divides the logits; None: the one that suits the measured samples best.
    """

    names: tuple[str, ...] = ("ece", "nll", "uncalibrated_ece", "uncalibrated_nll", "temperature")
    full_state_update: bool | None = False
    log_probabilities: list[Tensor]
    target: list[Tensor]

    def __init__(self, num_classes: int, temperature: float | None = 1.0) -> None:
        super().__init__()
        self.num_classes: int = num_classes
        self.temperature: float | None = temperature
        for name in ("log_probabilities", "target"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Removes all samples."""
        super().reset()
        # torchmetrics gathers an empty list as float32: see `MacroAUROC`
        self.log_probabilities = [torch.zeros(0, self.num_classes, device=self.device)]
        self.target = [torch.zeros(0, dtype=torch.long, device=self.device)]

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds samples."""
        tiny = torch.finfo(torch.float32).tiny
        self.log_probabilities.append(probabilities.detach().float().clamp(min=tiny).log())
        self.target.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Returns the figures by their names; NaN without samples."""
        logits, target = dim_zero_cat(self.log_probabilities), dim_zero_cat(self.target)
        if not len(target):
            return dict.fromkeys(self.names, torch.tensor(torch.nan))
        temperature = self.temperature
        if temperature is None:
            temperature = fitted_temperature(logits, target)
        after, before = self._figures(logits / temperature, target), self._figures(logits, target)
        return dict(zip(self.names, (*after, *before, torch.tensor(temperature)), strict=True))

    def _figures(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = logits.softmax(1)
        error = multiclass_calibration_error(probabilities, target, self.num_classes, NUM_BINS)
        return error, torch.nn.functional.cross_entropy(logits, target)


class OutOfScope(Metric):
    """How well the confidence tells samples of no known class from the others.

    `out_of_scope_auroc` is the probability that such a sample is less confident than another;
    `out_of_scope_passed` is the share of them that a threshold lets through which lets 95 % of the
    others through. Without such samples both are NaN.
    """

    names: tuple[str, ...] = ("out_of_scope_auroc", "out_of_scope_passed", "num_out_of_scope")
    full_state_update: bool | None = False
    confidence: list[Tensor]
    known: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("confidence", "known"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Removes all samples."""
        super().reset()
        self.confidence = [torch.zeros(0, device=self.device)]
        self.known = [torch.zeros(0, dtype=torch.long, device=self.device)]

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds samples; a target below 0 is of no known class."""
        self.confidence.append(probabilities.detach().float().amax(1))
        self.known.append((target >= 0).long())

    def compute(self) -> dict[str, Tensor]:
        """Returns the figures by their names."""
        confidence, known = dim_zero_cat(self.confidence), dim_zero_cat(self.known)
        count = len(known) - known.sum()
        if not count or count == len(known):
            return dict.fromkeys(self.names, torch.tensor(torch.nan))
        inside = confidence[known == 1].double().cpu().numpy()
        threshold = np.quantile(inside, 1 - KEPT, method="lower")
        passed = (confidence[known == 0] >= float(threshold)).double().mean()
        return dict(zip(self.names, (binary_auroc(confidence, known), passed, count), strict=True))
