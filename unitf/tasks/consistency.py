"""R-Drop: two passes over the same tokens, which differ in what dropout left out, shall agree."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def losses_of_two(
    logits: tuple[Float[Tensor, "V N"], Float[Tensor, "V N"]],
    ids: Int[Tensor, " N"],
    label_smoothing: float,
    consistency: float,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Of each token its cross-entropy, and the loss to be minimised: the mean of both passes.

    To the smoothed cross-entropy comes `consistency` times a quarter of the divergences
    KL(p‖q) + KL(q‖p), so that α is that of Liang et al. (2021, "R-Drop: Regularized Dropout for
    Neural Networks", equation 4), whose loss is the sum of both passes.

    Args:
        logits: of both passes.
    """
    one, other = (each.float().log_softmax(0) for each in logits)
    index = ids.long()[None]
    plain = -(one.gather(0, index) + other.gather(0, index))[0] / 2
    smoothed = torch.lerp(plain, -(one.mean(0) + other.mean(0)) / 2, label_smoothing)
    divergences = ((one.exp() - other.exp()) * (one - other)).sum(0)
    return plain, smoothed + consistency / 4 * divergences
