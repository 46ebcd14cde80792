"""The space of `unitf search` if nobody gives one: it suits the recipe at hand."""

from collections.abc import Mapping
from typing import Any, cast

from unitf.cli.search_space import PlainSpace, value_at
from unitf.component import Component
from unitf.training.learner import Learner

_RATE = 4.0  # how much lower and higher the learning rate may be
_DECAY = 5.0


def usual_space(model: Learner, config: Mapping[str, object]) -> PlainSpace:
    """Returns what is tried for a recipe: of its optimizer, core and batch, and of its parts.

    Tokenizers and tasks say themselves what is worth a try (`searched`).

    Args:
        model: the model of the recipe.
        config: the recipe with all defaults.
    """
    space: dict[str, object] = {**_optimizer(config)}
    if model.start.name is None:  # the core of a trained model stays as it is
        space |= _core(config)
    space |= _batch(config)
    for kind in ("tokenizers", "tasks"):
        for name, part in getattr(model, kind).items():
            searched = cast(Component, part).searched
            space |= {f"model.{kind}.{name}.{key}": entry for key, entry in searched.items()}
    return space


def _optimizer(config: Mapping[str, object]) -> dict[str, object]:
    space: dict[str, object] = {}
    for name, factor in (("lr", _RATE), ("weight_decay", _DECAY)):
        value = value_at(config, ("model", "optimizer", "init_args", name))
        if isinstance(value, int | float) and value > 0:
            bounds = {"low": float(value) / factor, "high": float(value) * factor, "log": True}
            space[f"model.optimizer.{name}"] = bounds
    return space


def _core(config: Mapping[str, object]) -> dict[str, object]:
    core = cast("dict[str, Any]", config["model"])["core"]
    dim, depth, heads = core["dim"], core["depth"], core["num_heads"]
    # positions of several axes need a width of many parts
    widths = [width for width in (dim // 2, dim, dim * 3 // 2) if width % (heads * 8) == 0]
    depths = dict.fromkeys([max(1, depth // 2), depth, depth + 2])
    return {
        **({"model.core.dim": widths} if len(widths) > 1 and dim in widths else {}),
        "model.core.depth": list(depths),
        "model.core.dropout": {"low": 0.0, "high": 0.4},
    }


def _batch(config: Mapping[str, object]) -> dict[str, object]:
    for name in ("batch_size", "tokens_per_batch"):
        size = value_at(config, ("data", name))
        if isinstance(size, int):
            return {f"data.{name}": [max(1, size // 2), size, size * 2]}
    return {}
