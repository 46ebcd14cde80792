"""Writes an HTML page that shows what the token under the pointer attends to."""

import base64
import json
import re
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import Float, UInt8

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.token_groups import Side, TokenGroup
from unitf.checkpoints.atomic import write_text
from unitf.tokenizer.canvas import as_png

STEPS: int = 65_535  # a weight is stored as a whole number of these steps, in two bytes


class _Group(TypedDict):
    """A `TokenGroup`, for the script of the page; the last four keys describe its canvas."""

    name: str
    columns: list[int]
    names: list[str]
    picture: NotRequired[str]
    size: NotRequired[list[int]]
    axes: NotRequired[list[str]]
    boxes: NotRequired[list[list[float]]]


class _Map(TypedDict):
    """An `AttentionMap`, for the script of the page; see `pack` for the weights."""

    name: str
    layers: list[int]
    heads: list[int]
    shape: list[int]
    rows: str
    rollout: str
    queries: list[_Group]
    keys: list[_Group] | None


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
    return {
        "name": attention_map.name,
        "layers": attention_map.layers,
        "heads": attention_map.heads,
        "shape": list(attention_map.rows.shape),
        "rows": pack(attention_map.rows.numpy()),
        "rollout": pack(attention_map.rollout.numpy()),
        "queries": _side(attention_map.queries),
        # the page shows the tokens of self-attention once
        "keys": None if attention_map.keys is attention_map.queries else _side(attention_map.keys),
    }


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
        "picture": _png(group.canvas.pixels),
        "size": [width, height],
        "axes": list(group.canvas.axes),
        "boxes": group.canvas.boxes.round(2).tolist(),
    }


def _png(pixels: UInt8[np.ndarray, "H W *C"]) -> str:
    return f"data:image/png;base64,{base64.b64encode(as_png(pixels)).decode()}"
