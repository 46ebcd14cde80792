"""`unitf bench`: a recipe's own steps, timed, and the largest batch that fits."""

import json

import pytest
from toys import make_data  # noqa: F401 (registers its classes)

from unitf.cli import main

BATCH_SIZE = 8
WORDS = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {text: Characters}
  tasks: {digit: {class_path: Classification, init_args: {inputs: [text], target: digit}}}
data:
  sources: {written: {class_path: NumberWords, init_args: {sizes: {train: 60}}}}
  batch_size: 40
  held_out: 0
  num_workers: 0
trainer: {max_epochs: 1, accelerator: cpu}
"""


def figures(capsys, *argv) -> dict:
    assert main(["bench", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_parts_sum_to_the_step_and_figures_agree(recipe, tmp_path, capsys):
    out = tmp_path / "figures.json"
    found = figures(capsys, "--config", recipe, "--steps", 4, "--out", out)
    assert json.loads(out.read_text()) == found
    assert found["steps"] == 4 and found["samples_per_step"] == 8
    assert sum(part["share"] for part in found["parts"].values()) == pytest.approx(1)
    for key in ("step_seconds", "samples_per_second", "tokens_per_second"):
        assert 0 < found[key]["low"] <= found[key]["median"] <= found[key]["high"]
    assert found["share_of_matmul"] == pytest.approx(
        found["flops_per_second"] / found["matmul_flops_per_second"]
    )
    assert 0 < found["padding_avoided"] < 1 and found["peak_memory_bytes"] > 1e7


def test_the_precision_of_the_recipe_is_that_of_the_limit(recipe, capsys):
    argv = ["--config", recipe, "--steps", 1, "--trainer.precision"]
    assert figures(capsys, *argv, "32-true")["computed_in"] == "float32"
    with pytest.warns(UserWarning) if _emulated() else _nothing():
        assert figures(capsys, *argv, "bf16-mixed")["computed_in"] == "bfloat16"


def _emulated() -> bool:
    import torch

    return torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def test_frozen_parts_need_fewer_operations(recipe, capsys):
    argv = ["--config", recipe, "--steps", 1]
    whole = figures(capsys, *argv)
    frozen = figures(capsys, *argv, "--model.freeze.parts", '["core", "tokenizers"]')
    assert frozen["flops_per_step"] < 0.5 * whole["flops_per_step"]


@pytest.mark.slow
def test_the_largest_batch_is_all_samples_where_they_fit(tmp_path, capsys):
    path = tmp_path / "words.yaml"
    path.write_text(WORDS)
    found = figures(capsys, "--config", path, "--steps", 1, "--largest-batch")["largest_batch"]
    assert found["samples"] == 60 and found["everything"]
    assert [one["samples"] for one in found["tries"]] == [40, 80]


@pytest.mark.slow
def test_a_try_that_takes_too_much_is_ended_and_said(tmp_path, capsys):
    path = tmp_path / "words.yaml"
    path.write_text(WORDS)
    argv = ["bench", "--config", str(path), "--largest-batch", "--memory", "0.05"]
    assert main([*argv, "--data.batch_size", "2"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[:2] == [f"largest batch: {n} samples: too large" for n in (2, 1)]
    assert said[2].endswith("--largest-batch: not even one sample fits in 0.05 GB")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "bench: expected --config with a recipe"),
        (["--config", "{recipe}", "--steps", "0"], "--steps 0: expected 1 or more"),
        (["--config", "{recipe}", "--memory", "0"], "--memory 0: expected gigabytes"),
        (["--config", "{recipe}", "--out", "{folder}"], "expected a file, found a folder"),
        (["--config", "{recipe}", "--data.sources.toy.init_args.size", "0"], "no training samples"),
        (["--config", "{recipe}", "--data.batch_size", "0"], "at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(recipe, tmp_path, capsys, words, message):
    argv = [word.format(recipe=recipe, folder=tmp_path) for word in words]
    assert main(["bench", *argv]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
