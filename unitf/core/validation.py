"""What a configuration may not be, each as one line that says what was found."""

from collections.abc import Iterator
from typing import Any


def broken(config: Any) -> Iterator[str]:
    """Why this TransformerConfig (whose file imports this one) describes no Transformer."""
    for limits in (_numbers, _heads, _norms, _residuals, _positions, _rotary, _global_blocks):
        yield from limits(config)


def _numbers(config: Any) -> Iterator[str]:
    for name in ("dim", "depth", "decoder_depth", "head_dim", "hidden_dim", "position_axes"):
        if getattr(config, name) < 1:
            yield f"{name} must be at least 1, found {getattr(config, name)}"
    for name in _SHARES:
        if not 0 <= getattr(config, name) < 1:
            yield f"{name} must be at least 0 and less than 1, found {getattr(config, name)}"
    for name in ("norm_eps", "attention_scale", "attention_softcap"):
        value = getattr(config, name)
        if value is not None and value <= 0:
            yield f"{name} must be above 0, found {value}"
    if config.window is not None and config.window < 0:
        yield f"window must be at least 0, found {config.window}"
    if config.chunk is not None and config.chunk < 1:
        yield f"chunk must be at least 1, found {config.chunk}"


_SHARES = ("dropout", "input_dropout", "activation_dropout", "attention_dropout", "drop_path")


def _heads(config: Any) -> Iterator[str]:
    if config.num_kv_heads < 1 or config.num_heads % config.num_kv_heads:
        yield (
            f"num_heads {config.num_heads} cannot share num_kv_heads {config.num_kv_heads}; "
            "give a num_kv_heads that divides num_heads"
        )


def _norms(config: Any) -> Iterator[str]:
    if config.norm_over_tokens:
        if config.gradient_checkpointing:
            yield (
                "gradient_checkpointing computes blocks twice, "
                f"and norm {config.norm!r} would count their statistics twice"
            )
        if config.qk_norm:
            yield f"qk_norm is over the numbers of a head, which norm {config.norm!r} cannot be"
    if not config.first_norm:
        if config.norm_position != "pre":
            yield f"first_norm false needs norm_position 'pre', found {config.norm_position!r}"
        if config.residual == "parallel_shared" or config.share_blocks:
            yield "first_norm false needs a norm that only the first block's attention reads"


def _residuals(config: Any) -> Iterator[str]:
    if config.residual != "sequential":
        if config.norm_position != "pre":
            yield (
                f"residual {config.residual!r} needs norm_position 'pre', "
                f"found {config.norm_position!r}"
            )
        if config.kind == "encoder-decoder":
            yield f"residual {config.residual!r} has no place for attention to a memory"


def _positions(config: Any) -> Iterator[str]:
    if config.relative_positions == "t5":
        if config.num_buckets < 4 or config.num_buckets % 2:
            yield f"num_buckets must be even and at least 4, found {config.num_buckets}"
        if config.max_distance <= config.num_buckets // 2:
            yield (
                f"max_distance must be above half of num_buckets {config.num_buckets}, "
                f"found {config.max_distance}"
            )
    if (config.relative_positions == "beit") != (config.grid is not None):
        yield (
            f"grid belongs to relative_positions 'beit', found grid {config.grid} "
            f"with relative_positions {config.relative_positions!r}"
        )
    if config.grid is not None and (len(config.grid) != 2 or min(config.grid) < 1):
        yield f"grid must be a number of rows and one of columns, found {config.grid}"


def _mixed(config: Any) -> Iterator[str]:
    if config.num_kv_heads != config.num_heads:
        yield (
            f"relative_positions 'rope_mixed' turns each head by itself: num_kv_heads must be "
            f"num_heads {config.num_heads}, found {config.num_kv_heads}"
        )
    if config.head_dim % 2 or config.head_dim // 2 < config.position_axes:
        yield (
            f"relative_positions 'rope_mixed' turns pairs: head_dim {config.head_dim} must be even "
            f"and hold a pair for each of {config.position_axes} position_axes"
        )


def _rotary(config: Any) -> Iterator[str]:
    if config.relative_positions == "rope_mixed":
        yield from _mixed(config)
    if config.relative_positions != "rotary":
        for name in ("rotary_dim", *_FREQUENCIES, "global_rotary_base"):
            if getattr(config, name) is not None:
                scheme = config.relative_positions
                yield f"{name} belongs to relative_positions 'rotary', found {scheme!r}"
        return
    name = "head_dim" if config.rotary_dim is None else "rotary_dim"
    turned, axes = getattr(config, name), config.position_axes
    if turned % 2 or turned // 2 < axes:
        yield (
            f"rotary turns pairs: {name} {turned} must be even and hold a pair for each of "
            f"{axes} position_axes"
        )
    if turned > config.head_dim:
        yield f"rotary_dim {turned} must be at most head_dim {config.head_dim}"
    pairs = turned // 2 // axes * axes
    for name in _FREQUENCIES:
        values = getattr(config, name)
        if values is not None and len(values) != pairs:
            yield f"{name} must be {pairs} numbers, one for each pair, found {len(values)}"


_FREQUENCIES = ("rotary_frequencies", "global_rotary_frequencies")


def _global_blocks(config: Any) -> Iterator[str]:
    own = [name for name in _GLOBAL if getattr(config, name) is not None]
    if config.global_blocks is None:
        if own:
            yield f"{own[0]} needs global_blocks"
        return
    deepest = config.depth
    if config.kind == "encoder-decoder":
        deepest = max(deepest, config.decoder_depth)
    outside = [number for number in config.global_blocks if not 0 <= number < deepest]
    if outside:
        yield f"global_blocks must be numbers from 0 to {deepest - 1}, found {outside[0]}"
    if config.window is None and config.chunk is None and not own:
        yield "global_blocks needs a window or a chunk that they look beyond"


_GLOBAL = ("global_rotary_base", "global_rotary_frequencies")
