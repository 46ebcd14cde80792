"""Batch normalisation over all that is in a batch: of several sizes, and in several processes."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation (Ioffe and Szegedy, 2015, arXiv:1502.03167) of each channel.

    While training, mean and variance are those of the global batch, of whatever process holds it,
    so that several processes learn what one does (torch's SyncBatchNorm needs a GPU). Where there
    is only one place in all of it, which has no variance, the running statistics serve.
    """

    def forward(self, input: Float[Tensor, "B C *places"]) -> Float[Tensor, "B C *places"]:
        return self.normalise([input])[0]

    def normalise(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Normalises tensors (B, C, *places) of several sizes as one batch.

        In several processes each must call this equally often, if with no sample.
        """
        if not self.training:
            return [self._by(input, self.running_mean, self.running_var) for input in inputs]
        if len(inputs) == 1 and not _several_processes():
            return [self._fused(inputs[0])]
        return self._plain(inputs)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of places is fine."""

    def _fused(self, input: Tensor) -> Tensor:
        if input.numel() // self.num_features < 2:
            return self._by(input, self.running_mean, self.running_var)
        return super().forward(input)

    def _plain(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        rows = [input.movedim(1, -1).flatten(0, -2) for input in inputs]  # (places, C)
        rows = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in rows]
        count = rows[0].new_tensor([float(sum(map(len, rows)))])
        sums = torch.stack([part.sum(0) for part in rows]).sum(0)
        sums, count = _of_all_processes(torch.cat([sums, count])).split([self.num_features, 1])
        mean = sums / count.clamp(min=1)
        squares = torch.stack([(part - mean).square().sum(0) for part in rows]).sum(0)
        variance = _of_all_processes(squares) / count.clamp(min=1)
        enough = count > 1  # not asked on the host, which would wait for the device
        mean = torch.where(enough, mean, self.running_mean)  # type: ignore[arg-type]
        variance = torch.where(enough, variance, self.running_var)  # type: ignore[arg-type]
        self._remember(enough, mean, variance * torch.where(enough, count / (count - 1), 1.0))
        return [self._by(input, mean, variance) for input in inputs]

    @torch.no_grad()
    def _remember(self, enough: Tensor, mean: Tensor, variance: Tensor) -> None:
        momentum: Any = self.momentum
        kept: Any = self.running_mean, self.running_var, self.num_batches_tracked
        kept[0].lerp_(mean.to(kept[0].dtype), momentum)
        kept[1].lerp_(variance.to(kept[1].dtype), momentum)
        kept[2].add_(enough.squeeze())

    def _by(self, input: Tensor, mean: Any, variance: Any) -> Tensor:
        if not variance.requires_grad:
            return F.batch_norm(input, mean, variance, self.weight, self.bias, eps=self.eps)
        shape = (1, -1) + (1,) * (input.ndim - 2)
        scale = self.weight * (variance + self.eps).rsqrt()
        centred = input.to(scale.dtype) - mean.view(shape)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


class _Sum(torch.autograd.Function):
    """A sum over all processes, whose losses all depend on it."""

    @staticmethod
    def forward(ctx: FunctionCtx, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def _several_processes() -> bool:
    there = distributed.is_available() and distributed.is_initialized()
    return there and distributed.get_world_size() > 1


def _of_all_processes(own: Tensor) -> Tensor:
    return _Sum.apply(own) if _several_processes() else own  # type: ignore[return-value]
