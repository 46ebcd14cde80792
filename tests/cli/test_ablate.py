"""`unitf ablate`: what inputs and columns are worth, by leaving out and by permutation."""

import json

import numpy as np
import pytest

from unitf.cli import main
from unitf.cli.training_cli import ready
from unitf.cli.untrained import RecipeCLI

RECIPE = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers:
    cells: {class_path: TableCells, init_args: {numbers: [signal, noise]}}
    text: {class_path: Bytes}
  tasks:
    sign: {class_path: Classification, init_args: {inputs: [cells, text], target: label}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.02}}
data:
  root: FOLDER
  sources: {rows: {class_path: Table, init_args: {path: {train: train.csv, test: test.csv}}}}
  batch_size: 16
  num_workers: 0
trainer: {max_epochs: 8, accelerator: cpu, enable_progress_bar: false, logger: false}
"""


def write(file, count, seed):
    """The sign of one number is the label; every fifth sample has no text."""
    random = np.random.default_rng(seed)
    lines = ["signal,noise,text,label"]
    for number in range(count):
        signal, noise = random.normal(size=2)
        text = "" if number % 5 == 0 else "word"
        lines.append(f"{signal},{noise},{text},{'plus' if signal > 0 else 'minus'}")
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablate")
    write(folder / "train.csv", 96, 0)
    write(folder / "test.csv", 60, 1)
    (folder / "recipe.yaml").write_text(RECIPE.replace("FOLDER", str(folder)))
    assert main(["fit", "--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_a_test_that_is_drawn_is_that_of_the_run(run):
    split = "path: {train: train.csv, test: test.csv}"
    recipe = RECIPE.replace("FOLDER", str(run.parent)).replace(split, "path: train.csv")
    (run.parent / "drawn.yaml").write_text(recipe)
    words = ["--config", str(run.parent / "drawn.yaml")]
    of_run = ready("fit", [*words, "--out", str(run.parent / "drawn")]).datamodule.samples("test")
    measured = RecipeCLI("ablate", words).datamodule.samples("test")
    assert list(measured["rows"]) == list(of_run["rows"]) != []


def test_the_column_that_matters_is_worth_most_and_is_named_first(run, capsys):
    out = run / "worth.json"
    assert main(["ablate", str(run), "--permutations", "3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "sign: accuracy" in printed and "higher is better" in printed
    [task] = json.loads(out.read_text())["tasks"].values()
    worth = {one["input"]: one for one in task["inputs"]}
    assert set(worth) == {"cells", "cells.signal", "cells.noise", "text"}
    assert task["whole"] > 0.85 and task["inputs"][0]["input"] in ("cells", "cells.signal")
    assert worth["cells.signal"]["left_out_difference"] > 0.2
    assert worth["cells.signal"]["permuted_difference"] > 0.2
    assert worth["cells.signal"]["permuted_deviation"] > 0
    assert abs(worth["cells.noise"]["permuted_difference"]) < 0.15
    # without its cells a sample that has no text has nothing left
    assert worth["cells"]["left_out_samples"] == 48 == worth["text"]["samples"]


def test_the_same_seed_permutes_alike_and_a_figure_can_be_named(run, capsys):
    words = ["ablate", str(run), "--json", "--permutations", "2", "--metric", "sign=nll"]
    found = []
    for seed in ("0", "0", "1"):
        assert main([*words, "--seed", seed]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1] != found[2]
    assert found[0]["tasks"]["sign"]["metric"] == "nll"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--split tests", "--split tests: found no samples; did you mean test?"),
        ("--metric f2", "task sign: no figure 'f2'; there are loss, accuracy"),
        ("--metric signs=f1", "--metric signs=f1: no task 'signs'; did you mean sign?"),
        ("--permutations 0", "--permutations 0: expected 1 or more"),
    ],
)
def test_mistakes_are_one_line(run, capsys, words, message):
    assert main(["ablate", str(run), *words.split()]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_named(tmp_path, capsys):
    assert main(["ablate", str(tmp_path)]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err
