"""Fine-tuning on the command line: a recipe of a new task over a trained model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from unitf.checkpoints import read_checkpoint
from unitf.cli import main

TRAINED = """
model:
  core: {dim: 16, depth: 2, num_heads: 2}
  tokenizers:
    waves: {class_path: Waves, init_args: {position_embedding: learned, max_tokens: 8}}
    beats: Beats
  tasks:
    speed: {class_path: Classification, init_args: {inputs: [waves, beats], target: speed}}
data: &data
  sources:
    toy: {class_path: Swings, init_args: {size: 24}}
  batch_size: 8
  num_workers: 0
trainer: {max_epochs: 1, accelerator: cpu}
"""
NEW = """
model:
  tasks:
    pace:
      class_path: Classification
      init_args: {inputs: [waves, beats], target: speed, classes: [slow, fast, still]}
data:
  sources:
    toy: {class_path: Swings, init_args: {size: 24}}
  batch_size: 8
  num_workers: 0
trainer: {max_epochs: 1, accelerator: cpu}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import toys  # noqa: F401 (registers its classes)

    folder = tmp_path_factory.mktemp("tuning")
    for name, text in {"trained": TRAINED, "new": NEW}.items():
        (folder / f"{name}.yaml").write_text(text)
    assert fit(folder, "trained") == 0
    return folder


def fit(folder: Path, recipe: str, *words: str, out: str | None = None) -> int:
    place = ["--out", str(folder / (out or recipe)), "--test_after_fit", "false"]
    return main(["fit", "--config", str(folder / f"{recipe}.yaml"), *place, *words])


def state_of(run: Path) -> dict:
    return read_checkpoint(run)["state_dict"]


def test_a_recipe_needs_only_the_new_task(folder, capsys):
    source = str(folder / "trained")
    words = ["--model.pretrained", source, "--model.core.dropout", "0.2"]
    words += ["--model.tokenizers.waves.max_tokens", "10"]
    words += ["--model.freeze.parts", "[core, tokenizers]", "--model.layer_decay", "0.75"]
    assert fit(folder, "new", *words, out="probe") == 0
    shown = " ".join(capsys.readouterr().out.split())
    table = "tokenizers.waves.position_embedding.table 8 → 10"
    assert f"pretrained {source}: took over" in shown
    assert f"interpolated {table}; new tasks.pace; left over tasks.speed" in shown
    assert "trained 51 of them" in shown
    before, after = state_of(folder / "trained"), state_of(folder / "probe")
    kept = [n for n in before if n.startswith(("core", "tokenizers.beats.emb"))]
    assert kept and all(torch.equal(before[name], after[name]) for name in kept)
    # the resolved recipe says all; a run goes on, and is measured, without the source
    core = yaml.safe_load((folder / "probe" / "config.yaml").read_text())["model"]["core"]
    assert (core["dim"], core["depth"], core["dropout"]) == (16, 2, 0.2)
    (folder / "trained").rename(folder / "elsewhere")
    try:
        run = str(folder / "probe")
        again = ["--trainer.max_epochs", "2", "--test_after_fit", "false"]
        assert main(["fit", "--resume", run, *again]) == 0
        first = ["--config", str(folder / "new.yaml"), "--model.pretrained", source]
        first += ["--model.tokenizers.waves.max_tokens", "10", "--model.core.dropout", "0.2"]
        assert main(["test", *first, "--ckpt_path", run, "--out", str(folder / "test")]) == 0
    finally:
        (folder / "elsewhere").rename(folder / "trained")


def test_a_recipe_without_a_model_goes_on_with_all_of_it(folder):
    (folder / "more.yaml").write_text(NEW[NEW.index("data:") :])
    assert fit(folder, "more", "--model.pretrained", str(folder / "trained")) == 0
    found = read_checkpoint(folder / "more")["unitf"]["configuration"]
    assert found == read_checkpoint(folder / "trained")["unitf"]["configuration"]


def test_adapters_are_trained_kept_apart_and_merged(folder, capsys):
    words = ["--model.pretrained", str(folder / "trained"), "--model.lora.rank", "2"]
    words += ["--model.lora.layers", "[attention.qkv, feedforward.out]"]
    assert fit(folder, "new", *words, out="adapted") == 0
    adapters = str(folder / "adapted" / "adapters")
    assert f"adapters {adapters}" in " ".join(capsys.readouterr().out.split())
    files = {file.name for file in Path(adapters).iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= files
    table = folder / "in.jsonl"
    table.write_text(json.dumps({"waves": [0.5] * 12}))
    merged = str(folder / "merged")
    assert main(["merge", "--checkpoint", str(folder / "adapted"), "--out", merged]) == 0
    answers = []
    for run in ("adapted", "merged"):
        capsys.readouterr()
        words = ["--checkpoint", str(folder / run), "--input", str(table), "--json"]
        assert main(["predict", *words]) == 0
        answers.append(json.loads(capsys.readouterr().out)[0])
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], abs=1e-5)
    assert not any("lora" in name for name in state_of(folder / "merged"))
    assert main(["merge", "--checkpoint", merged, "--out", str(folder / "again")]) == 2
    assert "has no adapters" in capsys.readouterr().err


def test_a_core_goes_under_tokenizers_of_another_kind(folder):
    recipe = yaml.safe_load(TRAINED)
    recipe["model"] = {
        "core_from": str(folder / "trained"),
        "tokenizers": {"waves": "Beats", "beats": "Waves"},
        "tasks": recipe["model"]["tasks"],
        "freeze": {"blocks": "0-1"},
    }
    (folder / "core.yaml").write_text(yaml.safe_dump(recipe))
    assert fit(folder, "core") == 0
    before, after = state_of(folder / "trained"), state_of(folder / "core")
    blocks = [name for name in before if ".blocks." in name]
    assert blocks and all(torch.equal(before[name], after[name]) for name in blocks)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.pretrained", "nowhere"], "nowhere: there is no such file or folder"),
        (["--model.core_from", "hf:./gpt2"], "hf:./gpt2: there is no such folder"),
        (["--model.pretrained", "{}", "--model.core_from", "{}"], "expected one of them"),
        (["--model.pretrained", "{}", "--model.freeze.parts", "[cor]"], "did you mean core"),
        (["--model.pretrained", "{}", "--model.layer_decay", "75"], "at most 1, found 75"),
        (["--model.pretrained", "{}", "--model.freeze.blocks", "0-7"], "from 0 to 1"),
        (["--model.pretrained", "{}", "--model.lora.layers", "[key]"], "there is no layer 'key'"),
    ],
)
def test_mistakes_are_one_clear_line(folder, capsys, words, said):
    words = [word.format(folder / "trained") for word in words]
    assert fit(folder, "new", *words, out="wrong") == 2
    shutil.rmtree(folder / "wrong", ignore_errors=True)
    lines = capsys.readouterr().err.strip().splitlines()
    lines = [line for line in lines if not line.startswith("unitf: warning: left out")]
    assert len(lines) == 1 and said in lines[0], lines
