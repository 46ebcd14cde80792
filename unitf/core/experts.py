"""Mixture of experts: each token goes through a few of many feed-forwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from unitf.core.auxiliary import Auxiliary, AuxiliaryLoss, Figure
from unitf.core.config import TransformerConfig
from unitf.core.dropout import dropout
from unitf.core.feedforward import DenseFeedForward, FeedForward
from unitf.core.uncompiled import uncompiled
from unitf.errors import UserError
from unitf.nn.batch_norm import sum_over_processes
from unitf.nn.projection import Projection
from unitf.nn.reference_mode import is_reference_mode
from unitf.nn.typed import split, to_integers, unflatten


@dataclass(frozen=True, eq=False)
class Routing:
    """The experts of each token, and their weights."""

    logits: Float[Tensor, "N E"]
    probabilities: Float[Tensor, "N E"]
    experts: Int[Tensor, "N k"]
    weights: Float[Tensor, "N k"]  # the weight of each chosen expert's output


class Router(nn.Linear):
    """Chooses experts for each token by a softmax over a linear layer, in float32 or wider.

    Args:
        renormalise: whether the weights of the chosen experts sum to 1.
    """

    def __init__(self, dim: int, num_experts: int, top_k: int, renormalise: bool) -> None:
        super().__init__(dim, num_experts, bias=False)  # pyright: ignore[reportUnknownMemberType]
        self.top_k: int = top_k
        self.renormalise: bool = renormalise

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input: Float[Tensor, "N D"]
    ) -> Routing:
        """Returns the routing of N tokens."""
        wide = torch.promote_types(input.dtype, torch.float32)
        with torch.autocast(input.device.type, enabled=False):
            logits = F.linear(input.to(wide), self.weight.to(wide))
        probabilities = logits.softmax(-1)
        weights, experts = probabilities.topk(self.top_k, dim=-1)
        if self.renormalise:
            weights = weights / weights.sum(-1, keepdim=True)
        return Routing(logits, probabilities, experts, weights)


class MixtureOfExperts(FeedForward):
    """A router sends each token through `top_k` of `num_experts` feed-forwards (Shazeer, 2017).

    No token is dropped, whatever the load of an expert. Each expert is a dense feed-forward as the
    configuration describes it, with or without a gate. In training the mixture returns the balance
    loss of Switch Transformers (Fedus et al., 2022), which is 1 if all experts receive equally
    many tokens; the router's z-loss of ST-MoE (Zoph et al., 2022); and as `expert_load` the
    fraction of all assignments that each expert receives.

    Args:
        balance: the coefficient of the balance loss; 0: no balance loss.
        router_z: the coefficient of the z-loss; 0: no z-loss.
        renormalise: whether the weights of the chosen experts sum to 1; None: if top_k > 1.
    """

    has_auxiliary: ClassVar[bool] = True

    def __init__(
        self,
        config: TransformerConfig,
        num_experts: int = 8,
        top_k: int = 2,
        balance: float = 0.01,
        router_z: float = 0.0,
        renormalise: bool | None = None,
    ) -> None:
        super().__init__()
        if config.norm_over_tokens and config.hidden_norm:
            raise UserError(f"hidden_norm within experts cannot be {config.norm!r}")
        if not 1 <= top_k <= num_experts:
            raise UserError(f"top_k must be from 1 to num_experts {num_experts}, found {top_k}")
        for name, coefficient in (("balance", balance), ("router_z", router_z)):
            if not 0 <= coefficient < float("inf"):
                raise UserError(f"{name} must be a number of at least 0, found {coefficient}")
        self.num_experts: int = num_experts
        self.top_k: int = top_k
        self.balance: float = balance
        self.router_z: float = router_z
        if renormalise is None:  # a single weight of 1 would give the router no gradient
            renormalise = top_k > 1
        self.router: Router = Router(config.dim, num_experts, top_k, renormalise)
        self.experts: nn.ModuleList = nn.ModuleList(
            DenseFeedForward(config) for _ in range(num_experts)
        )

    def forward(
        self, rows: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"] | tuple[Float[Tensor, "N D"], Auxiliary]:
        """Returns the rows, and in training also both losses and the load."""
        routing: Routing = self.router(rows)
        # compiled code does not ask for the mode: a context variable would break its graph
        reference = not torch.compiler.is_compiling() and is_reference_mode()
        mixed = self._reference(rows, routing) if reference else self._sorted(rows, routing)
        return (mixed, self._auxiliary(routing)) if self.training else mixed

    def _reference(self, rows: Float[Tensor, "N D"], routing: Routing) -> Float[Tensor, "N D"]:
        """The reference: every expert reads every token, and most results have the weight 0."""
        mixed = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            weight = (routing.weights * (routing.experts == number)).sum(-1, keepdim=True)
            mixed = mixed + expert(rows) * weight.to(rows.dtype)
        return mixed

    def _sorted(self, rows: Float[Tensor, "N D"], routing: Routing) -> Float[Tensor, "N D"]:
        """The fast way: each expert reads only its own tokens."""
        chosen = routing.experts.flatten()  # (N · k,)
        order = chosen.argsort(stable=True)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        repeated = rows[:, None].expand(-1, self.top_k, -1).flatten(0, 1)
        sent = repeated.index_select(0, order)
        counts = _count(chosen, self.num_experts)
        if sent.is_cuda and can_multiply_at_once(self.experts):
            computed = multiply_at_once(self.experts, sent, counts, chosen.index_select(0, order))
        else:
            computed = self._each(sent, counts)
        returned = unflatten(computed.index_select(0, back), 0, (-1, self.top_k))
        return (returned * routing.weights[..., None].to(returned.dtype)).sum(1)

    @uncompiled  # every load would be compiled anew
    def _each(self, rows: Float[Tensor, "M D"], counts: Int[Tensor, " E"]) -> Float[Tensor, "M D"]:
        """Runs one expert after the other; one without a token runs too, for gradients of zero."""
        parts = split(rows, to_integers(counts))
        return torch.cat([expert(part) for expert, part in zip(self.experts, parts, strict=True)])

    def _auxiliary(self, routing: Routing) -> Auxiliary:
        """Returns both losses and the load; the load is that of the global batch."""
        num_tokens = len(routing.probabilities)
        counts = _count(routing.experts.flatten(), self.num_experts)
        # in several processes the load is that of all tokens, so that they learn what one would
        load = sum_over_processes(counts.to(routing.logits.dtype))
        load = load / load.sum().clamp(min=1)
        auxiliary: dict[str, AuxiliaryLoss | Figure] = {"expert_load": Figure(load)}
        if self.balance:
            mean = routing.probabilities.sum(0) / max(num_tokens, 1)
            value = self.num_experts * (load * mean).sum()
            auxiliary["balance"] = AuxiliaryLoss(value, self.balance)
        if self.router_z:
            squares = routing.logits.logsumexp(-1).square()
            auxiliary["router_z"] = AuxiliaryLoss(squares.sum() / max(num_tokens, 1), self.router_z)
        return auxiliary


def _count(chosen: Int[Tensor, " M"], num_experts: int) -> Int[Tensor, " E"]:
    """Returns how many tokens each expert receives."""
    counts = torch.zeros(num_experts, dtype=torch.long, device=chosen.device)
    return counts.scatter_add(0, chosen, torch.ones_like(chosen))


def can_multiply_at_once(experts: Iterable[nn.Module]) -> bool:
    """Whether experts are nothing but their two projections (no adapters, no norm inside)."""
    dense = [cast(DenseFeedForward, expert) for expert in experts]
    layers = [layer for expert in dense for layer in (expert.inner, expert.out)]
    return all(type(layer) is Projection for layer in layers) and dense[0].norm is None


def multiply_at_once(
    experts: Iterable[nn.Module],
    rows: Float[Tensor, "M D"],
    counts: Int[Tensor, " E"],
    chosen: Int[Tensor, " M"],
) -> Float[Tensor, "M D"]:
    """Computes all experts by two grouped products, without waiting for the counts.

    Args:
        rows: the rows, sorted by their experts.
        chosen: the expert of each row.
    """
    ends = counts.cumsum(0).to(torch.int32)

    def product(rows: Tensor, layers: Sequence[nn.Linear]) -> Tensor:
        weights = torch.stack([layer.weight for layer in layers])
        kind = rows.dtype
        if torch.is_autocast_enabled(rows.device.type):
            kind = torch.get_autocast_dtype(rows.device.type)
        output = F.grouped_mm(rows.to(kind), weights.to(kind).mT, offs=ends)
        if cast(Tensor | None, layers[0].bias) is None:
            return output
        biases = torch.stack([layer.bias for layer in layers]).to(output.dtype)
        return output + biases.index_select(0, chosen)

    dense = [cast(DenseFeedForward, expert) for expert in experts]
    first = dense[0]
    hidden = first.activation(product(rows, [expert.inner for expert in dense]))
    hidden = dropout(hidden, first.dropout, first.training)
    return product(hidden, [expert.out for expert in dense])
