"""Writes an HTML page that shows what the token under the pointer attends to."""

import base64
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from jaxtyping import Float, Int

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.token_groups import Side, TokenGroup
from unitf.analysis.data_urls import picture_url
from unitf.checkpoints.atomic import write_text

STEPS: int = 65_535  # a weight is stored as a whole number of these steps, in two bytes
MOST_HEADS: int = 6  # selective ones that the page names


class _Group(TypedDict):
    """A `TokenGroup`, for the script of the page; the last four keys describe its canvas."""

    name: str
    columns: list[int]
    names: list[str]
    picture: NotRequired[str]
    size: NotRequired[list[int]]
    axes: NotRequired[list[str]]
    boxes: NotRequired[list[list[float | int]]]


class _Map(TypedDict):
    """An `AttentionMap`, for the script of the page; see `pack` for the weights.

    `visible` has the number of keys that each query can see. `selective` has the most selective
    heads: the index of the layer, the index of the head, and `Selectivity.share`; `layers_by_share`
    has the index of each layer and the mean share of its heads, the most selective one first.
    """

    name: str
    layers: list[int]
    heads: list[int]
    shape: list[int]
    rows: str
    rollout: str
    queries: list[_Group]
    keys: list[_Group] | None
    visible: list[int]
    selective: list[list[float | int]]
    layers_by_share: list[list[float | int]]


def write_page(path: Path, sample_attention: SampleAttention, title: str) -> Path:
    """Writes the page, with all it needs inside: numbers, pictures, style and script.

    Returns:
        `path`.
    """
    data = {"maps": [_map(attention_map) for attention_map in _shown(sample_attention)]}
    # a "</script>" in a text would end the script
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    template = files("unitf.analysis.attention").joinpath("page.html").read_text(encoding="utf-8")
    parts = {"{{title}}": escape(title), "{{data}}": text}
    # both at once: a title may itself contain "{{data}}"
    filled = re.sub("|".join(map(re.escape, parts)), lambda match: parts[match[0]], template)
    write_text(path, filled)
    return path


def _shown(sample_attention: SampleAttention) -> list[AttentionMap]:
    """Returns the maps in the order of the page: the most telling one first."""
    first = [] if sample_attention.alignment is None else [sample_attention.alignment]
    return [*first, *reversed(sample_attention.maps)]


def _map(attention_map: AttentionMap) -> _Map:
    rows = attention_map.rows.numpy()
    visible = num_visible(rows)
    heads = selectivity(rows, visible)
    return {
        "name": attention_map.name,
        "layers": attention_map.layers,
        "heads": attention_map.heads,
        "shape": list(rows.shape),
        "rows": pack(rows),
        "rollout": pack(attention_map.rollout.numpy()),
        "queries": _side(attention_map.queries),
        # the page shows the tokens of self-attention once
        "visible": visible.tolist(),
        "selective": [[one.layer, one.head, round(one.share, 4)] for one in heads[:MOST_HEADS]],
        "layers_by_share": _by_share(heads),
        "keys": None if attention_map.keys is attention_map.queries else _side(attention_map.keys),
    }


class Selectivity(NamedTuple):
    """How much a head selects.

    Args:
        layer: the index of its layer in the map.
        head: its index in the map.
        share: the share of the tokens that it could see that it looks at, on average over the
            tokens that look: 2 to the power of the entropy of their weights, divided by the number
            of tokens in sight. 1: it looks evenly at all of them.
    """

    layer: int
    head: int
    share: float


def num_visible(rows: Float[np.ndarray, "layers heads Lq Lk"]) -> Int[np.ndarray, " Lq"]:
    """Returns how many keys each query can see: those of a weight above 0 in any head."""
    return (rows > 0).any((0, 1)).sum(-1)


def selectivity(
    rows: Float[np.ndarray, "layers heads Lq Lk"], visible: Int[np.ndarray, " Lq"]
) -> list[Selectivity]:
    """Returns all heads, the most selective ones first.

    Queries that can see only one token count as little as they can choose: not at all.
    """
    choosing = visible > 1
    if not choosing.any():
        return []
    sums = np.maximum(rows.sum(-1, keepdims=True), 1e-12)
    shares = (rows / sums)[:, :, choosing]
    logarithms = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    looked_at = 2 ** -(shares * logarithms).sum(-1)  # layers × heads × queries
    mean = (looked_at / visible[choosing]).mean(-1)
    order = np.argsort(mean, axis=None, kind="stable")
    places = [divmod(int(index), rows.shape[1]) for index in order]
    return [Selectivity(layer, head, float(mean[layer, head])) for layer, head in places]


def _by_share(heads: Sequence[Selectivity]) -> list[list[float | int]]:
    layers = sorted({head.layer for head in heads})
    shares = [fmean(head.share for head in heads if head.layer == layer) for layer in layers]
    ordered = sorted(zip(shares, layers, strict=True))
    return [[layer, round(share, 4)] for share, layer in ordered]


def pack(weights: Float[np.ndarray, "*shape"]) -> str:
    """Encodes weights from 0 to 1 as whole steps, little-endian, in base64."""
    steps = np.rint(weights.astype(np.float64) * STEPS).clip(0, STEPS).astype("<u2")
    return base64.b64encode(steps.tobytes()).decode()


def _side(side: Side) -> list[_Group]:
    return [_group(group) for group in side]


def _group(group: TokenGroup) -> _Group:
    data: _Group = {"name": group.name, "columns": group.column_indices, "names": group.names}
    if group.canvas is None:
        return data
    height, width = group.canvas.pixels.shape[:2]
    return {
        **data,
        "picture": picture_url(group.canvas.pixels),
        "size": [width, height],
        "axes": list(group.canvas.axes),
        "boxes": group.canvas.boxes.round(2).tolist(),
    }
