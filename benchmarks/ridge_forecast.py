"""One linear layer by ridge regression over the windows of a recipe: the figure beside a forecast.

    python -m benchmarks.ridge_forecast [--config configs/etth1.yaml] [--past 336] [--future 96 …]

The table, the parts and the scale are those of the recipe's source. One layer, the same for all
columns, maps the past of a column around its mean to its future. The penalty is the one of some
that is best on the validation. Printed are MSE and MAE over all windows of the test, beside those
of the last value and of the day before.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PENALTIES: tuple[float, ...] = (1e2, 1e3, 3e3, 1e4, 3e4)
DAY = 24  # rows
AT_ONCE = 512  # windows


def source_of(config: Path, root: str | None, lengths: dict[str, int]) -> tuple[Any, Path]:
    """Returns the source of a recipe with other lengths, and the folder of its data."""
    from unitf.cli.recipe import read_recipe
    from unitf.data import Windows

    data: Any = read_recipe(config)["data"]
    [entry] = data["sources"].values()
    return Windows(**{**entry["init_args"], **lengths}), Path(root or data["root"])


def windows(source: Any, root: Path, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields pasts and futures, each around the mean of the past; a row a column of a window."""
    samples = source.read(split, root)
    for first in range(0, len(samples), AT_ONCE):
        chosen = samples[first : first + AT_ONCE]
        pasts = np.concatenate([sample["series"].T for sample in chosen])
        futures = np.concatenate([sample["future"].T for sample in chosen])
        level = pasts.mean(1, keepdims=True)
        yield pasts - level, futures - level


def errors(source: Any, root: Path, split: str, weight: np.ndarray | None, ago: int) -> list[float]:
    """Returns MSE and MAE of a linear map, or of the values some rows ago."""
    squares = absolutes = count = 0.0
    for past, future in windows(source, root, split):
        steps = np.arange(future.shape[1]) % ago
        made = past[:, -ago:][:, steps] if weight is None else past @ weight
        squares += np.square(made - future).sum()
        absolutes += np.abs(made - future).sum()
        count += future.size
    return [squares / count, absolutes / count]


def main() -> int:
    """Prints a line for each length of the future."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/etth1.yaml"))
    parser.add_argument("--data-root", help="the folder of the data")
    parser.add_argument("--past", type=int, help="rows that are read")
    parser.add_argument("--future", type=int, nargs="+", help="rows that are predicted")
    options = parser.parse_args()
    for future in options.future or [None]:
        given = {"past": options.past, "future": future}
        lengths = {name: value for name, value in given.items() if value is not None}
        source, root = source_of(options.config, options.data_root, lengths)
        gram, cross = 0.0, 0.0
        for past, ahead in windows(source, root, "train"):
            gram, cross = gram + past.T @ past, cross + past.T @ ahead
        unit = np.eye(source.past)
        weights = {p: np.linalg.solve(gram + p * unit, cross) for p in PENALTIES}
        best = min(PENALTIES, key=lambda p: errors(source, root, "validation", weights[p], 1)[0])
        lines = {
            f"ridge, penalty {best:g}": errors(source, root, "test", weights[best], 1),
            "last value": errors(source, root, "test", None, 1),
            "day before": errors(source, root, "test", None, DAY),
        }
        for name, (mse, mae) in lines.items():
            sys.stdout.write(
                f"{source.past} -> {source.future}  {name:22} MSE {mse:.4f}  MAE {mae:.4f}\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
