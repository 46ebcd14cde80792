"""Pictures of what a model looks at: over words, over pictures, between words, between columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from unitf.attending.labels import LEARNED, Part, Side
from unitf.attending.looks import Attended, Looks
from unitf.attending.panels import draw_matrix, draw_picture, draw_table, draw_words
from unitf.callbacks.atomic import replacing

MOST_WORDS = 80  # on the axes of a picture
MOST_PANELS = 48
MIXED = "modalities"


class View(NamedTuple):
    """Rows to be drawn, and of what they are."""

    title: str
    rows: Float[np.ndarray, "Lq Lk"]


class Choice(NamedTuple):
    """Whether each layer and each head has a panel of its own, or rollout stands for all."""

    layers: bool = False
    heads: bool = False
    rollout: bool = False

    def views(self, looks: Looks) -> list[View]:
        """What is not told apart is averaged."""
        if self.rollout:
            return [View("rollout over all layers", looks.rollout.numpy())]
        rows, made = looks.rows.numpy(), []
        for place in range(len(looks.layers)) if self.layers else [slice(None)]:
            for number in range(len(looks.heads)) if self.heads else [slice(None)]:
                titles = [f"layer {looks.layers[place]}"] if isinstance(place, int) else []
                titles += [f"head {looks.heads[number]}"] if isinstance(number, int) else []
                some = rows[place, number] if titles[1:] else rows[place][..., number, :, :]
                title = ", ".join(titles) or "mean of layers and heads"
                made.append(View(title, some.reshape(-1, *some.shape[-2:]).mean(0)))
        return made


def draw(folder: Path, attended: Attended, choice: Choice) -> list[Path]:
    """All pictures of a sample; gives those that were written.

    alignment.png of a task that writes; else for each column what the sample as a whole looks at
    in it, and for words <column>_pairs.png; modalities.png where there are several columns.
    """
    written: list[Path] = []
    if attended.alignment is not None:
        written += _draw_alignment(folder, attended.alignment, choice)
    for looks in attended.looks:
        if attended.alignment is None:
            written += _draw_columns(folder, looks, choice)
        if len({part.name for part in looks.keys} - {LEARNED}) > 1:
            stem = "_".join([MIXED, *looks.name.split()] if attended.looks[1:] else [MIXED])
            written.append(_draw_modalities(folder / f"{stem}.png", looks, choice))
    return written


def reader(rows: Float[np.ndarray, "Lq Lk"], queries: Side) -> Float[np.ndarray, " Lk"]:
    """What a sequence as a whole looks at: as its last token, where that alone sees all that came
    before, else as its learned first one (a class token), else all tokens on average."""
    if len(rows) > 1 and not np.triu(rows, 1).any():
        return rows[-1]
    learned = [part for part in queries if part.name == LEARNED and part.places[0] == 0]
    return rows[0] if learned else rows.mean(0)


def _draw_alignment(folder: Path, looks: Looks, choice: Choice) -> list[Path]:
    """Words against words; where the source is a picture, a panel for each word."""
    views = choice.views(looks)
    written, target = [], looks.queries[0]
    words = [part for part in looks.keys if part.canvas is None]
    if words and len(target.names) <= MOST_WORDS:
        places = [place for part in words for place in part.places]
        names = [name for part in words for name in part.names]
        panels = [(view.title, view.rows[:, places]) for view in views]
        source = " + ".join(part.name for part in words)
        path = folder / "alignment.png"
        written.append(_save(path, draw_matrix(panels, target.names, names, source, target.name)))
    for part in looks.keys:
        if part.canvas is not None:
            mean = np.mean([view.rows for view in views], axis=0)
            panels = [
                (name, row[part.places]) for name, row in zip(target.names, mean, strict=True)
            ][:MOST_PANELS]
            written.append(_save(folder / f"{part.name}.png", draw_picture(part, panels)))
    return written


def _draw_columns(folder: Path, looks: Looks, choice: Choice) -> list[Path]:
    views, written = choice.views(looks)[:MOST_PANELS], []
    for part in looks.keys:
        if part.name == LEARNED:
            continue
        panels = [(v.title, reader(v.rows, looks.queries)[part.places]) for v in views]
        figure = draw_words(part, panels) if part.canvas is None else draw_picture(part, panels)
        written.append(_save(folder / f"{part.name}.png", figure))
        if part.canvas is None and 1 < len(part.names) <= MOST_WORDS:
            own = [(v.title, v.rows[part.places][:, part.places]) for v in views]
            figure = draw_matrix(own, part.names, part.names, "looked at", "looks")
            written.append(_save(folder / f"{part.name}_pairs.png", figure))
    return written


def _draw_modalities(path: Path, looks: Looks, choice: Choice) -> Path:
    panels = [(v.title, shares(v.rows, looks.queries, looks.keys)) for v in choice.views(looks)]
    names = [[part.name for part in side] for side in (looks.queries, looks.keys)]
    return _save(path, draw_table(panels[:MOST_PANELS], *names))


def shares(
    rows: Float[np.ndarray, "Lq Lk"], queries: Sequence[Part], keys: Sequence[Part]
) -> Float[np.ndarray, "A B"]:
    """Of the tokens of each column the share of their looks that goes to each column."""
    return np.array([[rows[q.places][:, k.places].sum(1).mean() for k in keys] for q in queries])


def _save(path: Path, figure: Any) -> Path:
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110, facecolor="white")
    return path
