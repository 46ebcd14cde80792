"""Draws attention: over words, over pictures, between words, and between columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.panels import draw_matrix, draw_picture, draw_table, draw_words
from unitf.analysis.attention.token_groups import LEARNED, Side, TokenGroup
from unitf.checkpoints.atomic import replacing

if TYPE_CHECKING:  # matplotlib takes long to import
    from matplotlib.figure import Figure

MOST_WORDS: int = 80  # on the axes of a picture
MOST_PANELS: int = 48
MIXED: str = "modalities"


class HeadView(NamedTuple):
    """The attention weights of one panel, and its title."""

    title: str
    rows: Float[np.ndarray, "Lq Lk"]


class Choice(NamedTuple):
    """Which panels are drawn: one for each layer, for each head, or the rollout of all layers."""

    layers: bool = False
    heads: bool = False
    rollout: bool = False

    def views(self, attention_map: AttentionMap) -> list[HeadView]:
        """Returns the weights of each panel; layers and heads without panels are averaged."""
        if self.rollout:
            return [HeadView("rollout over all layers", attention_map.rollout.numpy())]
        rows = attention_map.rows.numpy()
        views: list[HeadView] = []
        for layer_index in range(len(attention_map.layers)) if self.layers else [slice(None)]:
            for number in range(len(attention_map.heads)) if self.heads else [slice(None)]:
                titles = (
                    [f"layer {attention_map.layers[layer_index]}"]
                    if isinstance(layer_index, int)
                    else []
                )
                titles += [f"head {attention_map.heads[number]}"] if isinstance(number, int) else []
                chosen = (
                    rows[layer_index, number]
                    if titles[1:]
                    else rows[layer_index][..., number, :, :]
                )
                title = ", ".join(titles) or "mean of layers and heads"
                views.append(HeadView(title, chosen.reshape(-1, *chosen.shape[-2:]).mean(0)))
        return views


def draw(folder: Path, sample_attention: SampleAttention, choice: Choice) -> list[Path]:
    """Draws all pictures of a sample.

    A task that generates has alignment.png. Another task has, for each column, a picture of what
    the sample as a whole attends to, and <column>_pairs.png for words. With several columns there
    is also modalities.png.

    Returns:
        The files that were written.
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
    """Returns the attention weights of a sequence as a whole.

    They are those of its last token in causal attention, else those of a learned first column (a
    class token), else the mean over all tokens.
    """
    if len(rows) > 1 and not np.triu(rows, 1).any():
        return rows[-1]
    learned = [part for part in queries if part.name == LEARNED and part.column_indices[0] == 0]
    return rows[0] if learned else rows.mean(0)


def _draw_alignment(folder: Path, attention_map: AttentionMap, choice: Choice) -> list[Path]:
    """Draws the words of the target against those of the source.

    A source that is a picture has a panel for each word of the target.
    """
    views = choice.views(attention_map)
    written: list[Path] = []
    target = attention_map.queries[0]
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
    """Draws for each column what the sample as a whole attends to, and words against words."""
    views = choice.views(attention_map)[:MOST_PANELS]
    written: list[Path] = []
    for part in attention_map.keys:
        if part.name == LEARNED:
            continue
        panels = [
            (v.title, reader(v.rows, attention_map.queries)[part.column_indices]) for v in views
        ]
        figure = draw_words(part, panels) if part.canvas is None else draw_picture(part, panels)
        written.append(_save(folder / f"{part.name}.png", figure))
        if part.canvas is None and 1 < len(part.names) <= MOST_WORDS:
            pairs = [(v.title, v.rows[part.column_indices][:, part.column_indices]) for v in views]
            figure = draw_matrix(pairs, part.names, part.names, "looked at", "looks")
            written.append(_save(folder / f"{part.name}_pairs.png", figure))
    return written


def _draw_modalities(path: Path, attention_map: AttentionMap, choice: Choice) -> Path:
    """Draws how much each column of the sample attends to each column."""
    panels = [
        (v.title, weights_between(v.rows, attention_map.queries, attention_map.keys))
        for v in choice.views(attention_map)
    ]
    names = [[part.name for part in side] for side in (attention_map.queries, attention_map.keys)]
    return _save(path, draw_table(panels[:MOST_PANELS], *names))


def weights_between(
    rows: Float[np.ndarray, "Lq Lk"], queries: Sequence[TokenGroup], keys: Sequence[TokenGroup]
) -> Float[np.ndarray, "A B"]:
    """Returns how much of the attention of each group's tokens goes to each group (0 to 1)."""
    return np.array(
        [[rows[q.column_indices][:, k.column_indices].sum(1).mean() for k in keys] for q in queries]
    )


def _save(path: Path, figure: "Figure") -> Path:
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, facecolor="white")
    return path
