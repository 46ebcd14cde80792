"""The Transformer as textbooks write it: one sequence, a loop over heads and tokens, float64."""

import math

import torch
from torch import Tensor

from unitf.core import TransformerConfig

State = dict[str, Tensor]


def linear(state: State, name: str, x: Tensor) -> Tensor:
    y = x @ state[f"{name}.weight"].T
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def norm(config: TransformerConfig, state: State, name: str, x: Tensor) -> Tensor:
    if config.norm == "layer":
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / (((x - mean) ** 2).mean(1, keepdim=True) + config.norm_eps).sqrt()
    elif config.norm == "rms":
        x = x / ((x**2).mean(1, keepdim=True) + config.norm_eps).sqrt()
    else:  # batch norm of a model that is not training
        x = (x - state[f"{name}.running_mean"]) / (
            state[f"{name}.running_var"] + config.norm_eps
        ).sqrt()
    x = x * state[f"{name}.weight"]
    return x + state[f"{name}.bias"] if f"{name}.bias" in state else x


def activation(config: TransformerConfig, x: Tensor) -> Tensor:
    name = {"geglu": "gelu", "reglu": "relu", "swiglu": "silu"}.get(
        config.activation, config.activation
    )
    if name == "gelu":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    if name == "gelu_tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if name == "relu":
        return torch.where(x > 0, x, torch.zeros_like(x))
    return x / (1 + torch.exp(-x))


def feedforward(config: TransformerConfig, state: State, name: str, x: Tensor) -> Tensor:
    hidden = linear(state, f"{name}.inner", x)
    if config.activation in ("geglu", "reglu", "swiglu"):
        width = hidden.shape[1] // 2
        hidden = activation(config, hidden[:, :width]) * hidden[:, width:]
    else:
        hidden = activation(config, hidden)
    return linear(state, f"{name}.out", hidden)


def turn(config: TransformerConfig, head: Tensor, positions: Tensor) -> Tensor:
    """Rotary: pair i of a token turns by position / base^(i / pairs of its axis)."""
    half = config.head_dim // 2
    share = half // config.position_axes
    columns = list(head.unbind(1))
    for axis in range(config.position_axes):
        for i in range(share):
            pair = axis * share + i
            angle = positions[axis] * config.rotary_base ** (-i / share)
            a, b = head[:, pair], head[:, pair + half]
            columns[pair] = a * torch.cos(angle) - b * torch.sin(angle)
            columns[pair + half] = a * torch.sin(angle) + b * torch.cos(angle)
    return torch.stack(columns, dim=1)


def mix(angles: Tensor, head: Tensor, positions: Tensor) -> Tensor:
    """Mixed rotary: pair i of a token turns by the sum over axes of position · angle (P, pairs)."""
    half = head.shape[1] // 2
    rows = []
    for token in range(head.shape[0]):
        turned = [torch.zeros(())] * 2 * half
        for i in range(half):
            angle = sum(positions[axis, token] * angles[axis, i] for axis in range(len(angles)))
            a, b = head[token, i], head[token, i + half]
            turned[i] = a * torch.cos(angle) - b * torch.sin(angle)
            turned[i + half] = a * torch.sin(angle) + b * torch.cos(angle)
        rows.append(torch.stack(turned))
    return torch.stack(rows)


def attend(
    config: TransformerConfig,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    positions: Tensor | None,
    causal: bool,
    angles: Tensor | None = None,
) -> Tensor:
    """Queries (n, H·d), keys and values (m, H'·d); `positions` only within one sequence."""
    d, heads = config.head_dim, []
    for head in range(config.num_heads):
        shared = head // (config.num_heads // config.num_kv_heads)
        qh = q[:, head * d : (head + 1) * d]
        kh, vh = (x[:, shared * d : (shared + 1) * d] for x in (k, v))
        if positions is not None and config.positions == "rotary":
            qh, kh = turn(config, qh, positions), turn(config, kh, positions)
        if angles is not None:
            qh, kh = mix(angles[:, head], qh, positions), mix(angles[:, head], kh, positions)
        rows = []
        for i in range(q.shape[0]):
            seen, scores = [], []
            for j in range(k.shape[0]):
                if positions is not None:
                    if causal and j > i:
                        continue
                    if config.window is not None and abs(i - j) > config.window:
                        continue
                    if config.chunk is not None and i // config.chunk != j // config.chunk:
                        continue
                score = (qh[i] * kh[j]).sum() / math.sqrt(d)
                if positions is not None and config.positions == "alibi":
                    distance = (positions[:, i] - positions[:, j]).abs().sum()
                    score = score - 2 ** (-8 * (head + 1) / config.num_heads) * distance
                seen.append(j)
                scores.append(score)
            weights = torch.exp(torch.stack(scores) - max(scores))
            weights = weights / weights.sum()
            rows.append(sum(w * vh[j] for w, j in zip(weights, seen, strict=True)))
        heads.append(torch.stack(rows))
    return torch.cat(heads, dim=1)


def residual(config, state, name, x, layer):
    inner = norm(config, state, f"{name}.norm", x) if config.norm_position == "pre" else x
    added = layer(inner)
    if config.layer_scale is not None:
        added = added * state[f"{name}.scale"]
    x = x + added
    return x if config.norm_position == "pre" else norm(config, state, f"{name}.norm", x)


def stack(
    config: TransformerConfig,
    state: State,
    name: str,
    depth: int,
    x: Tensor,
    positions: Tensor,
    causal: bool,
    memory: Tensor | None = None,
) -> Tensor:
    """One sequence (n, D), through an encoder or a decoder."""
    own, shared = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    if config.input_norm:
        x = norm(config, state, f"{name}.input_norm", x)
    for number in range(depth):
        block = f"{name}.blocks.{number}"
        angles = state.get(f"{name}.own_positions.{number}.angles")

        def self_attention(x, block=block, angles=angles):
            q, k, v = linear(state, f"{block}.attention.qkv", x).split([own, shared, shared], dim=1)
            if not config.key_bias:
                q = q + state[f"{block}.attention.some_biases.query"]
                v = v + state[f"{block}.attention.some_biases.value"]
            read = attend(config, q, k, v, positions, causal, angles)
            return linear(state, f"{block}.attention.out", read)

        def cross_attention(x, block=block):
            q = linear(state, f"{block}.cross.query", x)
            k, v = linear(state, f"{block}.cross.kv", memory).split([shared, shared], dim=1)
            return linear(state, f"{block}.cross.out", attend(config, q, k, v, None, False))

        if config.residual == "parallel_shared":
            x = residual(
                config,
                state,
                f"{block}.attention_residual",
                x,
                lambda x, block=block, attention=self_attention: (
                    attention(x) + feedforward(config, state, f"{block}.feedforward", x)
                ),
            )
            continue
        x = residual(config, state, f"{block}.attention_residual", x, self_attention)
        if memory is not None:
            x = residual(config, state, f"{block}.cross_residual", x, cross_attention)
        x = residual(
            config,
            state,
            f"{block}.feedforward_residual",
            x,
            lambda x, block=block: feedforward(config, state, f"{block}.feedforward", x),
        )
    return norm(config, state, f"{name}.final_norm", x) if config.norm_position == "pre" else x
