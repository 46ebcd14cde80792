"""The Transformer as textbooks write it: one sequence, a loop over heads and tokens, float64."""

import math
from dataclasses import dataclass

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
    elif config.norm in ("rms", "rms_offset"):
        x = x / ((x**2).mean(1, keepdim=True) + config.norm_eps).sqrt()
    else:  # batch norm of a model that is not training
        x = (x - state[f"{name}.running_mean"]) / (
            state[f"{name}.running_var"] + config.norm_eps
        ).sqrt()
    x = x * (state[f"{name}.weight"] + (config.norm == "rms_offset"))
    return x + state[f"{name}.bias"] if f"{name}.bias" in state else x


def activation(config: TransformerConfig, x: Tensor) -> Tensor:
    gates = {"geglu": "gelu", "geglu_tanh": "gelu_tanh", "reglu": "relu", "swiglu": "silu"}
    name = gates.get(config.activation, config.activation)
    if name == "gelu":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    if name == "gelu_tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if name == "quick_gelu":
        return x / (1 + torch.exp(-1.702 * x))
    if name == "relu":
        return torch.where(x > 0, x, torch.zeros_like(x))
    return x / (1 + torch.exp(-x))


def feedforward(config: TransformerConfig, state: State, name: str, x: Tensor) -> Tensor:
    hidden = linear(state, f"{name}.inner", x)
    if config.activation in ("geglu", "geglu_tanh", "reglu", "swiglu"):
        width = hidden.shape[1] // 2
        hidden = activation(config, hidden[:, :width]) * hidden[:, width:]
    else:
        hidden = activation(config, hidden)
    if config.hidden_norm:
        hidden = norm(config, state, f"{name}.norm", hidden)
    return linear(state, f"{name}.out", hidden)


def turn(config: TransformerConfig, head: Tensor, positions: Tensor, everything: bool) -> Tensor:
    """Rotary: pair i of a token turns by position / base^(i / pairs of its axis)."""
    half = (config.rotary_dim or config.head_dim) // 2
    share = half // config.position_axes
    base, frequencies = config.rotary_base, config.rotary_frequencies
    if everything and config.global_rotary_base is not None:
        base, frequencies = config.global_rotary_base, None
    if everything and config.global_rotary_frequencies is not None:
        frequencies = config.global_rotary_frequencies
    columns = list(head.unbind(1))
    for axis in range(config.position_axes):
        for i in range(share):
            pair = axis * share + i
            frequency = base ** (-i / share) if frequencies is None else frequencies[pair]
            angle = positions[axis] * frequency
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


def bucket(config: TransformerConfig, ahead: float, causal: bool) -> int:
    """T5: a range of distances."""
    buckets, first = config.num_buckets, 0
    if causal:
        distance = max(0.0, -ahead)
    else:
        buckets //= 2
        first, distance = (buckets if ahead > 0 else 0), abs(ahead)
    exact = buckets // 2
    if distance < exact:
        return first + int(distance)
    growth = math.log(distance / exact) / math.log(config.max_distance / exact)
    return first + min(buckets - 1, exact + int(growth * (buckets - exact)))


def cell(config: TransformerConfig, query: list[float], key: list[float]) -> int:
    """BEiT: a distance in (row, column), or one of three for class tokens."""
    assert config.grid is not None
    (height, width), last = config.grid, (2 * config.grid[0] - 1) * (2 * config.grid[1] - 1) + 2
    if query[0] < 0 or key[0] < 0:
        return last if query[0] < 0 and key[0] < 0 else last - 2 if query[0] < 0 else last - 1
    down, right = (round(a - b) for a, b in zip([*query, 0][:2], [*key, 0][:2], strict=True))
    row = min(height - 1, max(1 - height, down)) + height - 1
    column = min(width - 1, max(1 - width, right)) + width - 1
    return row * (2 * width - 1) + column


@dataclass
class View:
    """What one block sees of its own sequence; `None` of another's."""

    positions: Tensor
    causal: bool
    everything: bool = False
    table: Tensor | None = None  # of learned positions
    angles: Tensor | None = None  # of mixed rotary positions: (P, H, pairs)


def bias(config: TransformerConfig, view: View, head: int, i: int, j: int) -> Tensor | float:
    """What is added to a score."""
    query, key = view.positions[:, i], view.positions[:, j]
    if config.relative_positions == "alibi":
        return -(2 ** (-8 * (head + 1) / config.num_heads)) * (query - key).abs().sum()
    if view.table is None:
        return 0.0
    if config.relative_positions == "t5":
        row = bucket(config, (key[0] - query[0]).item(), view.causal)
    else:
        row = cell(config, query.tolist(), key.tolist())
    return view.table[row, head]


def sees(config: TransformerConfig, view: View, i: int, j: int) -> bool:
    if view.causal and j > i:
        return False
    if view.everything:
        return True
    if config.window is not None and abs(i - j) > config.window:
        return False
    return config.chunk is None or i // config.chunk == j // config.chunk


def attend(
    config: TransformerConfig, state: State, name: str, q: Tensor, k: Tensor, v: Tensor,
    view: View | None, record: list[Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """Queries (n, H·d), keys and values (m, H'·d); a `view` only within one sequence."""
    d, heads = config.head_dim, []
    looks = torch.zeros(config.num_heads, q.shape[0], k.shape[0], dtype=q.dtype)
    scale = 1 / math.sqrt(d) if config.attention_scale is None else config.attention_scale
    for head in range(config.num_heads):
        shared = head // (config.num_heads // config.num_kv_heads)
        qh = q[:, head * d : (head + 1) * d]
        kh, vh = (x[:, shared * d : (shared + 1) * d] for x in (k, v))
        if config.qk_norm:
            qh = norm(config, state, f"{name}.head_norms.query", qh)
            kh = norm(config, state, f"{name}.head_norms.key", kh)
        if view is not None and config.relative_positions == "rotary":
            qh, kh = (turn(config, x, view.positions, view.everything) for x in (qh, kh))
        if view is not None and view.angles is not None:
            qh, kh = (mix(view.angles[:, head], x, view.positions) for x in (qh, kh))
        rows = []
        for i in range(q.shape[0]):
            seen, scores = [], []
            for j in range(k.shape[0]):
                if view is not None and not sees(config, view, i, j):
                    continue
                score = (qh[i] * kh[j]).sum() * scale
                if config.attention_softcap is not None:
                    score = config.attention_softcap * torch.tanh(score / config.attention_softcap)
                if view is not None:
                    score = score + bias(config, view, head, i, j)
                seen.append(j)
                scores.append(score)
            weights = torch.exp(torch.stack(scores) - max(scores))
            weights = weights / weights.sum()
            looks[head, i, seen] = weights.detach()
            rows.append(sum(w * vh[j] for w, j in zip(weights, seen, strict=True)))
        heads.append(torch.stack(rows))
    if record is not None:
        record.append(looks)
    read = torch.cat(heads, dim=1)
    if config.attention_norm:
        read = norm(config, state, f"{name}.norm", read)
    return linear(state, f"{name}.out", read)


def residual(config, state, name, x, layer, normed=True):
    before = config.norm_position in ("pre", "sandwich") and normed
    added = layer(norm(config, state, f"{name}.norm", x) if before else x)
    if config.norm_position == "res_post":
        added = norm(config, state, f"{name}.norm", added)
    if config.norm_position == "sandwich":
        added = norm(config, state, f"{name}.norm_after", added)
    if config.layer_scale is not None:
        added = added * state[f"{name}.scale"]
    x = x + added
    return norm(config, state, f"{name}.norm", x) if config.norm_position == "post" else x


def side_by_side(config, state, block, x, self_attention, computed):
    """Attention and feed-forward of the same columns, after a norm each or one for both."""
    read = other = norm(config, state, f"{block}.attention_residual.norm", x)
    if config.residual == "parallel":
        other = norm(config, state, f"{block}.feedforward_residual.norm", x)
    attended, computed = self_attention(read), computed(other)
    if config.layer_scale is not None:
        attended = attended * state[f"{block}.attention_residual.scale"]
        layer = "attention" if config.residual == "parallel_shared" else "feedforward"
        computed = computed * state[f"{block}.{layer}_residual.scale"]
    return x + attended + computed


def stack(
    config: TransformerConfig,
    state: State,
    name: str,
    depth: int,
    x: Tensor,
    positions: Tensor,
    causal: bool,
    memory: Tensor | None = None,
    looks: dict[str, list[Tensor]] | None = None,
) -> Tensor:
    """One sequence (n, D), through an encoder or a decoder; `looks` gets each layer's weights."""
    looks = {"self": [], "cross": []} if looks is None else looks
    own, shared = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    if config.input_norm:
        x = norm(config, state, f"{name}.input_norm", x)
    for number in range(depth):
        place = 0 if config.share_blocks else number
        block = f"{name}.blocks.{place}"
        tables = {"t5": "positions", "beit": f"own_positions.{place}"}
        table = state.get(f"{name}.{tables.get(config.relative_positions)}.table.weight")
        angles = state.get(f"{name}.own_positions.{place}.angles")
        everything = number in (config.global_blocks or [])
        view = View(positions, causal, everything, table, angles)

        def self_attention(x, block=block, view=view):
            q, k, v = linear(state, f"{block}.attention.qkv", x).split([own, shared, shared], dim=1)
            if not config.key_bias:
                q = q + state[f"{block}.attention.some_biases.query"]
                v = v + state[f"{block}.attention.some_biases.value"]
            return attend(config, state, f"{block}.attention", q, k, v, view, looks["self"])

        def cross_attention(x, block=block):
            q = linear(state, f"{block}.cross.query", x)
            k, v = linear(state, f"{block}.cross.kv", memory).split([shared, shared], dim=1)
            return attend(config, state, f"{block}.cross", q, k, v, None, looks["cross"])

        def computed(x, block=block):
            return feedforward(config, state, f"{block}.feedforward", x)

        if config.residual != "sequential":
            x = side_by_side(config, state, block, x, self_attention, computed)
            continue
        normed = config.first_norm or number > 0
        x = residual(config, state, f"{block}.attention_residual", x, self_attention, normed)
        if memory is not None:
            x = residual(config, state, f"{block}.cross_residual", x, cross_attention)
        x = residual(config, state, f"{block}.feedforward_residual", x, computed)
    return norm(config, state, f"{name}.final_norm", x) if config.final_norm else x
