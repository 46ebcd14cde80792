"""Prefixes: the first tokens of each sequence see each other, also where the rest is causal."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from unitf.core.attention.kernels import Kernel, make_kernel
from unitf.core.attention.sdpa import AttentionSpec
from unitf.errors import UserError


class PrefixKernel:
    """One kernel over whole sequences, and what another, over their prefixes, gives instead.

    Whatever implementations are best for both are used; computing the prefixes twice costs less
    than a mask of every sequence.
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
        self.column_indices = torch.from_numpy(order).to(device, non_blocking=True)
        positions = pattern.positions
        inner = replace(
            pattern,
            query_lengths=tuple(prefix),
            key_lengths=tuple(prefix),
            causal=False,
            positions=None if positions is None else positions.index_select(1, self.column_indices),
        )
        self.whole = make_kernel(pattern, device, dtype)
        self.inner = make_kernel(inner, device, dtype)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = self.whole(q, k, v)
        inside = self.inner(*(x.index_select(0, self.column_indices) for x in (q, k, v)))
        return out.index_copy(0, self.column_indices, inside.to(out.dtype))


def make_prefix_kernel(
    pattern: AttentionSpec, prefix: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Kernel:
    """The kernel of a batch whose sequences begin with prefixes of these lengths.

    Raises:
        UserError: they do not lie within the sequences.
    """
    lengths = pattern.query_lengths
    if len(prefix) != len(lengths) or any(
        not 0 <= n <= length for n, length in zip(prefix, lengths, strict=True)
    ):
        raise UserError(f"prefixes of {list(prefix)} tokens in sequences of {list(lengths)}")
    return PrefixKernel(pattern, prefix, device, dtype)
