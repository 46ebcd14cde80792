"""Pictures of what a model looks at: over words, over pictures, between words, between columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.panels import draw_matrix, draw_picture, draw_table, draw_words
from unitf.analysis.attention.token_groups import LEARNED, Side, TokenGroup
from unitf.checkpoints.atomic import replacing

MOST_WORDS = 80  # on the axes of a picture
MOST_PANELS = 48
MIXED = "modalities"


class HeadView(NamedTuple):
    """Rows to be drawn, and of what they are."""

    title: str
    rows: Float[np.ndarray, "Lq Lk"]


class Choice(NamedTuple):
    """Whether each layer and each head has a panel of its own, or rollout stands for all."""

    layers: bool = False
    heads: bool = False
    rollout: bool = False

    def views(self, attention_map: AttentionMap) -> list[HeadView]:
        """What is not told apart is averaged."""
        if self.rollout:
            return [HeadView("rollout over all layers", attention_map.rollout.numpy())]
        rows, made = attention_map.rows.numpy(), []
        for layer_index in range(len(attention_map.layers)) if self.layers else [slice(None)]:
            for number in range(len(attention_map.heads)) if self.heads else [slice(None)]:
                titles = (
                    [f"layer {attention_map.layers[layer_index]}"]
                    if isinstance(layer_index, int)
                    else []
                )
                titles += [f"head {attention_map.heads[number]}"] if isinstance(number, int) else []
                some = (
                    rows[layer_index, number]
                    if titles[1:]
                    else rows[layer_index][..., number, :, :]
                )
                title = ", ".join(titles) or "mean of layers and heads"
                made.append(HeadView(title, some.reshape(-1, *some.shape[-2:]).mean(0)))
        return made


def draw(folder: Path, sample_attention: SampleAttention, choice: Choice) -> list[Path]:
    """All pictures of a sample; gives those that were written.

    alignment.png of a task that writes; else for each column what the sample as a whole looks at
    in it, and for words <column>_pairs.png; modalities.png where there are several columns.
    """
    written: list[Path] = []
    if sample_attention.alignment is not None:
        written += _draw_alignment(folder, sample_attention.alignment, choice)
    for attention_map in sample_attention.maps:
        if sample_attention.alignment is None:
            written += _draw_columns(folder, attention_map, choice)
        if len({part.name for part in attention_map.keys} - {LEARNED}) > 1:
            stem = "_".join(
                [MIXED, *attention_map.name.split()] if sample_attention.maps[1:] else [MIXED]
            )
            written.append(_draw_modalities(folder / f"{stem}.png", attention_map, choice))
    return written


def reader(rows: Float[np.ndarray, "Lq Lk"], queries: Side) -> Float[np.ndarray, " Lk"]:
    """What a sequence as a whole looks at: as its last token, where that alone sees all that came
    before, else as its learned first one (a class token), else all tokens on average."""
    if len(rows) > 1 and not np.triu(rows, 1).any():
        return rows[-1]
    learned = [part for part in queries if part.name == LEARNED and part.column_indices[0] == 0]
    return rows[0] if learned else rows.mean(0)


def _draw_alignment(folder: Path, attention_map: AttentionMap, choice: Choice) -> list[Path]:
    """Words against words; where the source is a picture, a panel for each word."""
    views = choice.views(attention_map)
    written, target = [], attention_map.queries[0]
    words = [part for part in attention_map.keys if part.canvas is None]
    if words and len(target.names) <= MOST_WORDS:
        column_indices = [column_index for part in words for column_index in part.column_indices]
        names = [name for part in words for name in part.names]
        panels = [(view.title, view.rows[:, column_indices]) for view in views]
        source = " + ".join(part.name for part in words)
        path = folder / "alignment.png"
        written.append(_save(path, draw_matrix(panels, target.names, names, source, target.name)))
    for part in attention_map.keys:
        if part.canvas is not None:
            mean = np.mean([view.rows for view in views], axis=0)
            panels = [
                (name, row[part.column_indices])
                for name, row in zip(target.names, mean, strict=True)
            ][:MOST_PANELS]
            written.append(_save(folder / f"{part.name}.png", draw_picture(part, panels)))
    return written


def _draw_columns(folder: Path, attention_map: AttentionMap, choice: Choice) -> list[Path]:
    views, written = choice.views(attention_map)[:MOST_PANELS], []
    for part in attention_map.keys:
        if part.name == LEARNED:
            continue
        panels = [
            (v.title, reader(v.rows, attention_map.queries)[part.column_indices]) for v in views
        ]
        figure = draw_words(part, panels) if part.canvas is None else draw_picture(part, panels)
        written.append(_save(folder / f"{part.name}.png", figure))
        if part.canvas is None and 1 < len(part.names) <= MOST_WORDS:
            own = [(v.title, v.rows[part.column_indices][:, part.column_indices]) for v in views]
            figure = draw_matrix(own, part.names, part.names, "looked at", "looks")
            written.append(_save(folder / f"{part.name}_pairs.png", figure))
    return written


def _draw_modalities(path: Path, attention_map: AttentionMap, choice: Choice) -> Path:
    panels = [
        (v.title, weights_between(v.rows, attention_map.queries, attention_map.keys))
        for v in choice.views(attention_map)
    ]
    names = [[part.name for part in side] for side in (attention_map.queries, attention_map.keys)]
    return _save(path, draw_table(panels[:MOST_PANELS], *names))


def weights_between(
    rows: Float[np.ndarray, "Lq Lk"], queries: Sequence[TokenGroup], keys: Sequence[TokenGroup]
) -> Float[np.ndarray, "A B"]:
    """Of the tokens of each column the share of their looks that goes to each column."""
    return np.array(
        [[rows[q.column_indices][:, k.column_indices].sum(1).mean() for k in keys] for q in queries]
    )


def _save(path: Path, figure: Any) -> Path:
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, facecolor="white")
    return path
