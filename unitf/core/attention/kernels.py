"""make_kernel: the one place that chooses among the implementations of attention.

A kernel is made once for each forward pass, from lengths that are known on the host, and every
block calls it. It reads queries (N, H, d), and keys and values (M, H2, d), as packed rows, where H2
divides H, and returns (N, H, d). No sequence attends to another.
"""

from functools import partial

import torch

from unitf.core.attention.blockwise import Blockwise
from unitf.core.attention.grouped import Grouped, group
from unitf.core.attention.kernel import Kernel
from unitf.core.attention.nothing import Nothing
from unitf.core.attention.padded import Padded
from unitf.core.attention.reference import ReferenceKernel
from unitf.core.attention.reshaped import Reshaped
from unitf.core.attention.sdpa import BLOCK, AttentionSpec
from unitf.core.attention.variable_lengths import VariableLengths
from unitf.nn.reference_mode import is_reference_mode

__all__ = ["AttentionSpec", "Grouped", "Kernel", "make_kernel"]


def make_kernel(
    pattern: AttentionSpec, device: torch.device, dtype: torch.dtype, grouped: bool = False
) -> Kernel:
    """Returns the implementation for this batch; `dtype` is that of queries, keys and values.

    Args:
        grouped: whether the sequences are already a group of similar lengths.
    """
    if sum(pattern.query_lengths) == 0 or sum(pattern.key_lengths) == 0:
        return Nothing(pattern)
    if is_reference_mode():
        return ReferenceKernel(pattern)
    longest = max(pattern.query_lengths), max(pattern.key_lengths)
    large_mask = pattern.masked and longest[0] > 2 * BLOCK
    if pattern.equal_lengths and not large_mask:
        return Reshaped(pattern, device, dtype)
    if VariableLengths.can(pattern, device, dtype):
        return VariableLengths(pattern, device)
    pairs = list(zip(pattern.query_lengths, pattern.key_lengths, strict=True))
    separate = _cost_of_one_more(device)
    padded = len(pairs) * longest[0] * longest[1]
    if large_mask:
        return Blockwise(pattern)
    if not grouped and len(groups := group(pairs, separate)) > 1:
        make = partial(make_kernel, device=device, dtype=dtype, grouped=True)
        return Grouped(pattern, groups, device, make)
    if sum(q * k + separate for q, k in pairs) < padded:
        return Blockwise(pattern)
    return Padded(pattern, device, dtype)


def _cost_of_one_more(device: torch.device) -> int:
    """Returns the cost of one more sequence, or group, computed by itself, in scores.

    The number was measured on a CPU. On other devices one more costs kernel launches, in whose time
    far more scores are computed.
    """
    return 8_000 if device.type == "cpu" else 1_000_000
