"""Prefixes: the first tokens of each sequence see each other, although the rest is causal."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from unitf.core.attention.kernel import Kernel
from unitf.core.attention.kernels import make_kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.errors import UserError
from unitf.nn.typed import from_numpy


class PrefixKernel:
    """A kernel over whole sequences, and another over their prefixes, whose output replaces it.

    Each uses the implementation that is best for it. Computing the prefixes twice costs less than a
    mask of every sequence.

    Args:
        prefix: the number of tokens in the prefix of each sequence.
    """

    def __init__(
        self,
        pattern: AttentionSpec,
        prefix: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        starts = accumulate(pattern.query_lengths, initial=0)
        runs = [np.arange(start, start + n) for start, n in zip(starts, prefix, strict=False)]
        order = np.concatenate(runs) if runs else np.zeros(0, np.int64)
        self.column_indices: Tensor = from_numpy(order, device)
        positions = pattern.positions
        inner = replace(
            pattern,
            query_lengths=tuple(prefix),
            key_lengths=tuple(prefix),
            causal=False,
            positions=None if positions is None else positions.index_select(1, self.column_indices),
        )
        self.whole: Kernel = make_kernel(pattern, device, dtype)
        self.inner: Kernel = make_kernel(inner, device, dtype)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = self.whole(q, k, v)
        prefixes = (rows.index_select(0, self.column_indices) for rows in (q, k, v))
        inside = self.inner(*prefixes)
        return out.index_copy(0, self.column_indices, inside.to(out.dtype))


def make_prefix_kernel(
    pattern: AttentionSpec, prefix: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Kernel:
    """Returns the kernel of a batch whose sequences begin with prefixes of these lengths.

    Raises:
        UserError: a prefix is longer than its sequence, or there is not one for each sequence.
    """
    lengths = pattern.query_lengths
    if len(prefix) != len(lengths) or any(
        not 0 <= n <= length for n, length in zip(prefix, lengths, strict=True)
    ):
        raise UserError(f"prefixes of {list(prefix)} tokens in sequences of {list(lengths)}")
    return PrefixKernel(pattern, prefix, device, dtype)
