"""The kernel of packed sequences of any lengths, on CUDA."""

import torch
from torch import Tensor

from unitf.core.attention.sdpa import HALF, AttentionSpec
from unitf.features import to_offsets


class VariableLengths:
    """Torch's attention over packed sequences, on CUDA in half precision."""

    @staticmethod
    def can(pattern: AttentionSpec, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether this device supports this pattern in this dtype."""
        return (
            device.type == "cuda"
            and torch.cuda.get_device_capability(device) >= (8, 0)
            and dtype in HALF
            and pattern.head_dim % 8 == 0
            and pattern.head_dim <= 256
            and pattern.bias is None
            and pattern.softcap is None
            and pattern.dropout == 0
        )

    def __init__(self, pattern: AttentionSpec, device: torch.device) -> None:
        self.offsets: list[Tensor] = [
            to_offsets(lengths).to(device, non_blocking=True)
            for lengths in (pattern.query_lengths, pattern.key_lengths)
        ]
        self.longest: tuple[int, int] = max(pattern.query_lengths), max(pattern.key_lengths)
        self.scale: float | None = pattern.scale
        reach = -1 if pattern.window is None else pattern.window
        self.window: tuple[int, int] = (reach, 0 if pattern.causal else reach)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        queries_per_key = q.shape[1] // k.shape[1]
        if queries_per_key > 1:
            k, v = (rows.repeat_interleave(queries_per_key, dim=1) for rows in (k, v))
        (starts, key_starts), (longest, key_longest) = self.offsets, self.longest
        out = varlen_attn(
            q,
            k,
            v,
            starts,
            key_starts,
            longest,
            key_longest,
            scale=self.scale,
            window_size=self.window,
        )
        assert isinstance(out, Tensor)
        return out
