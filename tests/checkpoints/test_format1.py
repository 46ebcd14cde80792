"""What commit cc1b229 saved, in format 1, works as it did: bit for bit.

`make_format1.py` says how the models and the interrupted runs of `format1/` were made. Only
`unitf.load`, `predict`, `generate` and the command line are used here, whatever the files hold.

Bits are compared where torch, the vector instructions and the vendor of the processor are those
that the files were made with. Elsewhere kernels add in another order, so floats may differ there,
by 1e-4 of their size; after training, by 1e-3.

One record is younger: `interrupted/accumulation/after.json` was written when the loss of an
accumulated step became the mean over all its samples, so the run goes on with other gradients.
"""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from checkpoints.format1_exact import FORMAT1, digests, environment, exact, number, sample

import unitf
from unitf.cli import main

SAVED = {file.stem: file for file in sorted((FORMAT1 / "expected").glob("*.json"))}
RUNS = sorted(folder.name for folder in (FORMAT1 / "interrupted").iterdir())
NOBODY = {
    "tokenizer": "unitf_ecg.leads.Electrocardiogram",
    "task": "unitf_ecg.tasks.Rhythm",
    "settings.ckpt": "unitf_ecg.leads.Window",
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(found, expected, recorded, relative=1e-4):
    """Equality of all bits; on another machine than was recorded, of floats nearly."""
    if recorded == environment():
        assert found == expected
    else:
        assert nearly(found, expected, relative), (found, expected)


def nearly(found, expected, relative):
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            nearly(found[key], expected[key], relative) for key in expected
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(
            nearly(one, other, relative) for one, other in zip(found, expected, strict=True)
        )
    one, other = number(found), number(expected)
    if one is None or other is None:
        return found == expected
    return math.isclose(one, other, rel_tol=relative, abs_tol=relative)


@pytest.mark.parametrize("name", SAVED)
def test_a_model_says_what_it_said(name):
    record = json.loads(SAVED[name].read_text(encoding="utf-8"))
    model = unitf.load(FORMAT1 / record["path"])
    for call in record["calls"]:
        samples = [sample(one) for one in call["samples"]]
        found = getattr(model, call["method"])(samples, **call.get("settings", {}))
        check(exact(found), in_new_words(call["result"]), record["environment"])


def in_new_words(result):
    """Predictions of masked tokens had the key `place`, which is now `position`."""
    return json.loads(json.dumps(result).replace('"place": ', '"position": '))


def test_a_class_of_a_plugin_file_is_found_when_the_file_is_given(tmp_path):
    home = shutil.copytree(FORMAT1 / "plugin_file", tmp_path / "home")
    record = json.loads((home / "said.json").read_text(encoding="utf-8"))
    words = ["predict", "--checkpoint", "best.ckpt", "--input", "asked.jsonl", "--json"]
    with_file, without = ([*option, *words] for option in (["--plugin", "pulses.py"], []))
    # processes of their own: this one would know the class from then on
    told = run(home, with_file)
    assert told.returncode == 0, told.stderr
    check(exact(json.loads(told.stdout)), record["result"], record["environment"])
    (home / "pulses.py").rename(home / "elsewhere.py")  # python -m has the folder on its path
    refused = run(home, without)
    assert refused.returncode == 2
    unchecked, line = refused.stderr.splitlines()
    assert "has no checksum" in unchecked and "Pulses" in line


def run(folder, words):
    return subprocess.run(
        [sys.executable, "-m", "unitf", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("name", RUNS)
def test_an_interrupted_run_goes_on_to_the_same_weights(name, tmp_path, monkeypatch):
    folder = shutil.copytree(FORMAT1 / "interrupted" / name, tmp_path / name)
    record = json.loads((folder / "after.json").read_text(encoding="utf-8"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # a process of its own: the types that tests check draw from the generators that training seeds
    resumed = run(tmp_path, ["fit", "--resume", name])
    assert resumed.returncode == 0, resumed.stderr
    with (folder / "metrics.csv").open(newline="") as lines:
        losses = [row["train/loss_step"] for row in csv.DictReader(lines)]
    found = exact([float(loss) for loss in losses if loss])
    check(found, record["losses"], record["environment"], relative=1e-3)
    state = unitf.load(folder / "checkpoints" / "last.ckpt").state_dict()
    tensors = {key: tensor for key, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    assert {key: list(tensor.shape) for key, tensor in tensors.items()} == record["shapes"]
    if record["environment"] == environment():
        assert digests(tensors) == record["digests"]


@pytest.mark.parametrize("name", NOBODY)
def test_a_class_that_nobody_has_is_one_line_that_names_it(name, capsys):
    with pytest.raises(unitf.UserError, match=NOBODY[name].rpartition(".")[2]):
        unitf.load(FORMAT1 / "nobody" / name)
    words = ["--checkpoint", str(FORMAT1 / "nobody" / name), "--input", "image=x.png"]
    assert main(["predict", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and NOBODY[name].rpartition(".")[2] in lines[0]


def test_another_bit_is_seen():
    record = json.loads(SAVED["quickstart"].read_text(encoding="utf-8"))
    expected = record["calls"][0]["result"]
    other = json.loads(json.dumps(expected))
    value = float.fromhex(other[0]["probability"])
    other[0]["probability"] = math.nextafter(value, 1).hex()
    with pytest.raises(AssertionError):
        check(other, expected, environment())
    check(other, expected, {"torch": "another"})
    other[0]["probability"] = (value * 1.001).hex()
    with pytest.raises(AssertionError):
        check(other, expected, {"torch": "another"})
