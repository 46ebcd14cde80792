"""The page: one file of HTML in which one points at a token and sees what it looks at."""

import base64
import io
import json
import re
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.token_groups import Side, TokenGroup
from unitf.checkpoints.atomic import write_text

STEPS = 65_535  # a weight is kept in so many steps, two bytes each


def write_page(path: Path, sample_attention: SampleAttention, title: str) -> Path:
    """Everything is inside: numbers, pictures, style and script."""
    data = {"looks": [_looks(attention_map) for attention_map in _shown(sample_attention)]}
    # a "</script>" in a text would end the script
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    template = files("unitf.analysis.attention").joinpath("page.html").read_text(encoding="utf-8")
    parts = {"{{title}}": escape(title), "{{data}}": text}
    # at once: a title may hold what looks like a place for the data
    filled = re.sub("|".join(map(re.escape, parts)), lambda found: parts[found[0]], template)
    write_text(path, filled)
    return path


def _shown(sample_attention: SampleAttention) -> list[AttentionMap]:
    """What tells most comes first."""
    first = [] if sample_attention.alignment is None else [sample_attention.alignment]
    return [*first, *reversed(sample_attention.maps)]


def _looks(attention_map: AttentionMap) -> dict[str, Any]:
    return {
        "name": attention_map.name,
        "layers": attention_map.layers,
        "heads": attention_map.heads,
        "shape": list(attention_map.rows.shape),
        "rows": pack(attention_map.rows.numpy()),
        "rollout": pack(attention_map.rollout.numpy()),
        "queries": _side(attention_map.queries),
        # tokens that look at themselves are shown once
        "keys": None if attention_map.keys is attention_map.queries else _side(attention_map.keys),
    }


def pack(weights: Float[np.ndarray, "*shape"]) -> str:
    """Weights from 0 to 1 as whole steps, little-endian, in base64."""
    steps = np.rint(weights.astype(np.float64) * STEPS).clip(0, STEPS).astype("<u2")
    return base64.b64encode(steps.tobytes()).decode()


def _side(side: Side) -> list[dict[str, Any]]:
    return [_part(part) for part in side]


def _part(part: TokenGroup) -> dict[str, Any]:
    data: dict[str, Any] = {"name": part.name, "places": part.column_indices, "names": part.names}
    if part.canvas is None:
        return data
    height, width = part.canvas.pixels.shape[:2]
    return {
        **data,
        "picture": _png(part.canvas.pixels),
        "size": [width, height],
        "axes": list(part.canvas.axes),
        "boxes": part.canvas.boxes.round(2).tolist(),
    }


def _png(pixels: UInt8[np.ndarray, "H W *C"]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
