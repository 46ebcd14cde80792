"""Small tables beside scikit-learn: 5 folds of breast cancer, wine and diabetes, as CSV.

    python -m benchmarks.small_tables [--tables wine …] [--empty 0.3] [--json FILE]

Each fold is `unitf fit train.csv --target target --test test.csv` and nothing else. The peer is a
linear model over standardised cells; with `--empty`, that share of all cells is left empty in both
files, for unitf as empty cells of the CSV, for the peer filled in by IterativeImputer.
The figure is the mean of the folds: the accuracy, or R² for diabetes. Further options are those of
`unitf fit`.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd

TABLES: tuple[str, ...] = ("breast_cancer", "wine", "diabetes")


def table(name: str, empty: float) -> pd.DataFrame:
    """Returns a table of scikit-learn with `target`, and some cells empty."""
    import sklearn.datasets

    data: Any = getattr(sklearn.datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = data.frame.astype(float)
    if name != "diabetes":
        frame["target"] = [data.target_names[int(n)] for n in data.target]
    cells = frame.columns != "target"
    holes = np.random.default_rng(0).random((len(frame), frame.shape[1] - 1)) < empty
    frame.loc[:, cells] = frame.loc[:, cells].mask(holes)
    return frame


def peer(train: pd.DataFrame, test: pd.DataFrame, has_classes: bool) -> float:
    """Returns the figure of the linear model."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    last = LogisticRegression(max_iter=5000) if has_classes else Ridge()
    model = make_pipeline(StandardScaler(), IterativeImputer(random_state=0, max_iter=20), last)
    model.fit(train.drop(columns="target"), train["target"])
    return float(model.score(test.drop(columns="target"), test["target"]))


def ours(train: pd.DataFrame, test: pd.DataFrame, has_classes: bool, options: list[str]) -> float:
    """Returns the figure of `unitf fit`."""
    from unitf.cli import main

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.csv") for name in ("table", "later")]
        train.to_csv(paths[0], index=False)
        test.to_csv(paths[1], index=False)
        words = [str(paths[0]), "--target", "target", "--test", str(paths[1])]
        out = Path(folder, "run")
        if main(["fit", *words, "--out", str(out), "--data.num_workers", "0", *options]):
            raise SystemExit("the training failed")
        results = json.loads((out / "metrics.json").read_text())["results"]
    return float(results["test"]["target"]["all"]["accuracy" if has_classes else "r2"])


def main() -> None:
    """Prints the figures of each table."""
    from sklearn.model_selection import KFold, StratifiedKFold

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", default=TABLES, choices=TABLES)
    parser.add_argument("--empty", type=float, default=0.0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options, further = parser.parse_known_args()
    rows = []
    for name in options.tables:
        frame, has_classes = table(name, options.empty), name != "diabetes"
        kind = StratifiedKFold if has_classes else KFold
        folds = kind(options.folds, shuffle=True, random_state=0)
        figures = []
        for one, other in folds.split(frame, frame["target"]):
            parts = frame.iloc[one], frame.iloc[other]
            figures.append((ours(*parts, has_classes, further), peer(*parts, has_classes)))
        for who, values in zip(("unitf", "scikit-learn"), zip(*figures, strict=True), strict=True):
            row = {"table": name, "empty": options.empty, "who": who, "folds": values}
            rows.append(row | {"mean": fmean(values), "deviation": stdev(values)})
            print(f"{name:14} {options.empty:4} {who:13} {fmean(values):.4f} ± {stdev(values):.4f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
