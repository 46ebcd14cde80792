"""Attention over a packed batch: one small implementation for each case, chosen in one place.

A kernel is made once for each forward pass, from lengths that are known on the host, and called
by every block. It takes queries (N, H, d) and keys and values (M, H', d) as packed rows, where H'
divides H, and gives (N, H, d). No sequence sees another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

Bias = Callable[[Tensor, Tensor], Tensor]  # positions (…, P, Lq), (…, P, Lk) → (…, H, Lq, Lk)

# queries (N, H, d), keys and values (M, H', d), chance of dropout → (N, H, d)
Kernel = Callable[[Tensor, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True, eq=False)
class Pattern:
    """Who may attend to whom: sequence s of the queries to sequence s of the keys."""

    query_lengths: tuple[int, ...]
    key_lengths: tuple[int, ...]
    causal: bool = False
    window: int | None = None  # only those at most this many places away
    bias: Bias | None = None
    positions: Tensor | None = None  # (P, N), for the bias

    @property
    def plain(self) -> bool:
        """Whether every query sees every key of its sequence, and nothing is added."""
        return not self.causal and self.window is None and self.bias is None


def visible(
    queries: Int[Tensor, " Lq"], keys: Int[Tensor, " Lk"], causal: bool, window: int | None
) -> Bool[Tensor, "Lq Lk"] | None:
    """Which keys each query sees, by their places in the sequence; None: all."""
    distance = queries[:, None] - keys[None, :]
    seen = distance >= 0 if causal else None
    if window is not None:
        near = distance.abs() <= window
        seen = near if seen is None else seen & near
    return seen


def dense(
    q: Float[Tensor, "S H Lq d"],
    k: Float[Tensor, "S H2 Lk d"],
    v: Float[Tensor, "S H2 Lk d"],
    mask: Tensor | None,
    dropout: float,
    causal: bool = False,
) -> Float[Tensor, "S H Lq d"]:
    """Attention of equally long sequences; `mask` is added to the scores (S or 1, H or 1, Lq, Lk).

    `causal` says the same as a mask would, to a kernel that need not read one.
    """
    if q.is_cpu and (q.dtype in (torch.bfloat16, torch.float16) or dropout):
        return _explicit(q, k, v, mask, dropout, causal)
    mask = None if mask is None else mask.to(q.dtype)
    return F.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
    )


def _explicit(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    """Scores, softmax, sum: on CPU much faster in bfloat16 than the fused kernel's backward."""
    num_sequences, num_heads, _, head_dim = q.shape
    shape = q.shape
    if k.shape[1] != num_heads:
        k, v = (x.repeat_interleave(num_heads // x.shape[1], dim=1) for x in (k, v))
    if causal:
        places = torch.arange(q.shape[2], device=q.device)
        mask = to_additive(places[:, None] >= places, q.dtype)[None, None]
    q, k, v = (x.reshape(num_sequences * num_heads, -1, head_dim) for x in (q, k, v))
    scale = head_dim**-0.5
    if mask is None:
        scores = torch.bmm(q * scale, k.mT)
    else:
        if mask.shape[0] * mask.shape[1] > 1:
            mask = mask.expand(num_sequences, num_heads, -1, -1)
        scores = torch.baddbmm(mask.to(q.dtype).flatten(0, 1), q, k.mT, alpha=scale)
    weights = scores.softmax(-1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return torch.bmm(weights, v).view(shape)


def to_additive(seen: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """0 where seen, hugely negative elsewhere, but finite: a row that sees nothing has no NaN."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(
        ~seen, torch.finfo(dtype).min / 2
    )


class EqualLengths:
    """All sequences are equally long: a batch is a reshape."""

    def __init__(self, pattern: Pattern, device: torch.device, dtype: torch.dtype) -> None:
        self.num_sequences = len(pattern.query_lengths)
        lq, lk = pattern.query_lengths[0], pattern.key_lengths[0]
        self.causal = pattern.causal and pattern.window is None and pattern.bias is None
        self.mask = None
        if not self.causal and not pattern.plain:
            seen = visible(
                torch.arange(lq, device=device),
                torch.arange(lk, device=device),
                pattern.causal,
                pattern.window,
            )
            self.mask = None if seen is None else to_additive(seen, dtype)[None, None]
            if pattern.bias is not None:
                assert pattern.positions is not None
                places = pattern.positions.unflatten(1, (-1, lq)).transpose(0, 1)  # (S, P, L)
                bias = pattern.bias(places, places)
                self.mask = bias if self.mask is None else bias + self.mask

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        q4, k4, v4 = (x.unflatten(0, (self.num_sequences, -1)).transpose(1, 2) for x in (q, k, v))
        out = dense(q4, k4, v4, self.mask, dropout, self.causal)
        return out.transpose(1, 2).reshape(q.shape)


class Padded:
    """Lengths differ: padded inside attention only."""

    def __init__(self, pattern: Pattern, device: torch.device, dtype: torch.dtype) -> None:
        self.queries = Padding(pattern.query_lengths, device)
        same = pattern.query_lengths == pattern.key_lengths
        self.keys = self.queries if same else Padding(pattern.key_lengths, device)
        lq, lk = self.queries.longest, self.keys.longest
        lengths = torch.tensor(pattern.key_lengths).to(device, non_blocking=True)
        places = torch.arange(lk, device=device)
        seen = (places < lengths[:, None])[:, None, None, :]  # (S, 1, 1, Lk)
        inner = visible(torch.arange(lq, device=device), places, pattern.causal, pattern.window)
        mask = to_additive(seen if inner is None else seen & inner, dtype)
        if pattern.bias is not None:
            assert pattern.positions is not None
            padded = self.queries.pad(pattern.positions.mT).transpose(1, 2)  # (S, P, L)
            mask = mask + pattern.bias(padded, padded)
        self.mask = mask

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        q4 = self.queries.pad(q).transpose(1, 2)
        k4, v4 = (self.keys.pad(x).transpose(1, 2) for x in (k, v))
        out = dense(q4, k4, v4, self.mask, dropout)
        return self.queries.unpad(out.transpose(1, 2))


class Padding:
    """To and from (S, L, …), padded with zeros at the end."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.num_sequences, self.longest = len(lengths), max(lengths)
        starts = np.arange(len(lengths)) * self.longest
        runs = [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)]
        self.index = torch.from_numpy(np.concatenate(runs)).to(device, non_blocking=True)

    def pad(self, rows: Tensor) -> Tensor:
        padded = rows.new_zeros(self.num_sequences * self.longest, *rows.shape[1:])
        padded = padded.index_copy(0, self.index, rows)
        return padded.view(self.num_sequences, self.longest, *rows.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        return padded.flatten(0, 1).index_select(0, self.index)


class Nothing:
    """No queries, or no keys: nothing to attend to, but the gradients still find their way."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        return (q * 0).add(k.sum() * 0 + v.sum() * 0)


class Separate:
    """Long sequences of different lengths: one at a time, in blocks where a mask would be large."""

    def __init__(self, pattern: Pattern, device: torch.device, dtype: torch.dtype) -> None:
        self.pattern, self.dtype = pattern, dtype
        self.parts = list(zip(pattern.query_lengths, pattern.key_lengths, strict=True))

    @torch.compiler.disable
    def __call__(self, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        p = self.pattern
        outs = []
        queries, keys = q.split(p.query_lengths), k.split(p.key_lengths)
        values = v.split(p.key_lengths)
        ends = accumulate(p.query_lengths)
        for qs, ks, vs, end in zip(queries, keys, values, ends, strict=True):
            if len(qs) == 0 or len(ks) == 0:
                outs.append(qs * 0)
                continue
            places = None if p.positions is None else p.positions[:, end - len(qs) : end]
            outs.append(self._one(qs, ks, vs, places, dropout))
        # sequences without a partner still belong to the graph
        return torch.cat(outs) + (k[:0].sum() + v[:0].sum())

    def _one(
        self, q: Tensor, k: Tensor, v: Tensor, positions: Tensor | None, dropout: float
    ) -> Tensor:
        q4, k4, v4 = (x.transpose(0, 1)[None] for x in (q, k, v))
        pattern = Pattern(
            (len(q),),
            (len(k),),
            self.pattern.causal,
            self.pattern.window,
            self.pattern.bias,
            positions,
        )
        single = EqualLengths(pattern, q.device, self.dtype)
        return dense(q4, k4, v4, single.mask, dropout, single.causal)[0].transpose(0, 1)


def make_kernel(pattern: Pattern, device: torch.device, dtype: torch.dtype) -> Kernel:
    """The implementation for this batch."""
    if sum(pattern.query_lengths) == 0 or sum(pattern.key_lengths) == 0:
        return Nothing()
    if len(set(pattern.query_lengths)) == 1 and len(set(pattern.key_lengths)) == 1:
        return EqualLengths(pattern, device, dtype)
    return Padded(pattern, device, dtype)
