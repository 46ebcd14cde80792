"""Dropout (Srivastava et al., 2014), with random numbers drawn sixteen bits at a time on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unitf.nn.reference_mode import is_reference_mode

_LEVELS = 2**16


def dropout(
    values: Float[Tensor, "*shape"], probability: float, training: bool = True
) -> Float[Tensor, "*shape"]:
    """Each number is 0 with probability `share` (in [0, 1)), else divided by 1 - share.

    On a CPU torch draws one random number of 64 bits for each; here four share one, which makes
    it 3 to 4 times faster. The share is then right to 1/65536.
    """
    if not training or probability == 0:
        return values
    # compiled code asks for nothing else: a context variable would break its graph
    if torch.compiler.is_compiling() or not values.is_cpu or is_reference_mode():
        return F.dropout(values, probability)
    bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64)
    bits.random_(torch.iinfo(torch.int64).min, None)  # None: up to the largest
    levels = bits.view(torch.int16)[: values.numel()].view(values.shape)
    first = min(round(probability * _LEVELS), _LEVELS - 1) - _LEVELS // 2
    kept = (levels >= first).view(torch.uint8)  # bool is converted more slowly
    return values * kept.to(values.dtype).mul_(1 / (1 - probability))
