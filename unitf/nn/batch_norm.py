"""Batch normalisation over all that is in a batch: of several sizes, and in several processes."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy, 2015, arXiv:1502.03167) of each channel.

    While training, mean and variance are those of the global batch, of whatever process holds it,
    so that several processes learn what one does (torch's SyncBatchNorm needs a GPU, and takes one
    size at a time: it shall not replace this, which is therefore none of torch's). Where there is
    only one position in all of it, which has no variance, the running statistics serve.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how much of a batch's statistics enters the running ones.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features: int = num_features
        self.eps: float = eps
        self.momentum: float = momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"

    def forward(self, input: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *positions"]:
        return self.normalise([input])[0]

    def normalise(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Normalises tensors (B, C, *positions) of several sizes as one batch.

        In several processes each must call this equally often, if with no sample.
        """
        if not self.training:
            return [self._by_running(input) for input in inputs]
        if len(inputs) == 1 and not _several_processes():
            return [self._fused(inputs[0])]
        return self._plain(inputs)

    def _by_running(self, input: Tensor) -> Tensor:
        statistics = self.running_mean, self.running_var
        return F.batch_norm(input, *statistics, self.weight, self.bias, eps=self.eps)

    def _fused(self, input: Tensor) -> Tensor:
        """Of one tensor that is the whole batch."""
        if input.numel() // self.num_features < 2:
            return self._by_running(input)
        self.num_batches_tracked.add_(1)
        statistics = self.running_mean, self.running_var
        settings = True, self.momentum, self.eps
        return F.batch_norm(input, *statistics, self.weight, self.bias, *settings)

    def _plain(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        count, mean, variance = self._statistics(inputs)
        learned = self.weight, self.bias
        return list(_Normalise.apply(*learned, mean, variance, count, self.eps, *inputs))

    @torch.no_grad()
    def _statistics(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The number of positions in all processes (0: too few), their mean and their variance."""
        parts = [_in_full(input) for input in inputs]
        sums = torch.stack([_over_positions(part) for part in parts]).sum(0)
        count = sum(part.numel() for part in parts) / self.num_features
        totals = sum_over_processes(torch.cat([sums, sums.new_full((1,), count)]))
        sums, count = totals.split([self.num_features, 1])
        mean = sums / count.clamp(min=1)
        squares = [_over_positions((part - _beside(mean, part)).square()) for part in parts]
        variance = sum_over_processes(torch.stack(squares).sum(0)) / count.clamp(min=1)
        enough = count > 1  # not asked on the host, which would wait for the device
        kept = self.running_mean.dtype
        mean = torch.where(enough, mean.to(kept), self.running_mean)
        variance = torch.where(enough, variance.to(kept), self.running_var)
        unbiased = variance * torch.where(enough, count / (count - 1), 1.0)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased.to(kept), self.momentum)
        self.num_batches_tracked.add_(enough.squeeze())
        return count * enough, mean, variance


class _Normalise(torch.autograd.Function):
    """Tensors by the mean and the variance of all of them together."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(weight, mean, (variance + eps).rsqrt(), count, *inputs)
        return tuple(F.batch_norm(input, mean, variance, weight, bias, eps=eps) for input in inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, mean, scale, count, *inputs = ctx.saved_tensors
        parts = [
            (_in_full(gradient), (_in_full(input) - _beside(mean, input)) * _beside(scale, input))
            for gradient, input in zip(gradients, inputs, strict=True)
        ]
        of_bias = torch.stack([_over_positions(g) for g, _ in parts]).sum(0)
        of_weight = torch.stack([_over_positions(g * x) for g, x in parts]).sum(0)
        # through mean and variance each position has moved all others, in all processes
        both = sum_over_processes(torch.stack([of_bias, of_weight])) / count.clamp(min=1)
        shift, tilt = torch.where(count > 0, both, 0.0)
        factor = weight * scale
        of_inputs = [
            ((g - _beside(shift, g) - x * _beside(tilt, g)) * _beside(factor, g)).to(input.dtype)
            for (g, x), input in zip(parts, inputs, strict=True)
        ]
        own = of_weight.to(weight.dtype), of_bias.to(weight.dtype)
        return (*own, None, None, None, None, *of_inputs)


def _in_full(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _over_positions(values: Float[Tensor, "B C *positions"]) -> Float[Tensor, " C"]:
    return values.sum((0, *range(2, values.ndim)))


def _beside(one: Float[Tensor, " C"], values: Float[Tensor, "B C *positions"]) -> Tensor:
    """A number for each channel, shaped so that it goes with the values."""
    return one.view(1, -1, *[1] * (values.ndim - 2))


def _several_processes() -> bool:
    there = distributed.is_available() and distributed.is_initialized()
    return there and distributed.get_world_size() > 1


def sum_over_processes(own: Tensor) -> Tensor:
    """The sum of what the processes have, in place."""
    if _several_processes():
        distributed.all_reduce(own)
    return own
