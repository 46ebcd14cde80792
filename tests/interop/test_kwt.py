"""The Keyword Transformer: published weights hear the words, and go back bit for bit."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import unitf
from benchmarks.parity_cases.keywords import CASES
from unitf.cli import main
from unitf.interop.hub import hubs
from unitf.interop.parity import measure
from unitf.interop.proof import outputs

ROOT = Path(__file__).parents[2] / ".." / "shared"
WEIGHTS, CLIPS = ROOT / "weights" / "kwt1", ROOT / "data" / "fsdd" / "recordings.zip"
needs_weights = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and CLIPS.is_file()), reason="needs the shared weights and data"
)


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_the_peer_computes(name):
    measure(hubs()["kwt"], CASES[name]()).raise_if_broken()


@pytest.fixture(scope="module")
def reference():
    return np.load(WEIGHTS / "kwt1_reference.npz")


@pytest.fixture(scope="module")
def clips(reference):
    """The sounds of the reference, as bytes of their files."""
    with zipfile.ZipFile(CLIPS) as archive:
        return [archive.read(f"recordings/{name}") for name in reference["fsdd_file"]]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kwt") / "ours"
    assert main(["import", f"kwt:{WEIGHTS}", "--out", str(folder)]) == 0
    return folder


def logits(learner, features):
    """What the published head says of features, packed."""
    trial = unitf.interop.DummyInputs({}, {"sound": unitf.Features.pack(features)})
    with torch.no_grad():
        return outputs(learner, trial)["keyword"]


@needs_weights
def test_mfcc_of_the_reference_give_its_logits(imported, reference):
    features = [unitf.Features(torch.from_numpy(mfcc).mT) for mfcc in reference["mfcc"]]
    found = logits(unitf.load(imported), features)
    assert torch.allclose(found, torch.from_numpy(reference["logits"]), atol=1e-5)


@needs_weights
def test_real_clips_give_the_labels_of_the_reference(imported, reference, clips):
    learner = unitf.load(imported)
    features = [learner.tokenizers["sound"].encode(clip) for clip in clips]
    mfcc = torch.stack([one.values.mT for one in features])
    # where a clip is silent above 4 kHz, the logarithm shows the rounding
    difference = (mfcc - torch.from_numpy(reference["mfcc"])).abs()
    assert difference.max() < 0.1 and difference.mean() < 3e-3  # of up to 100
    assert torch.allclose(
        logits(learner, features), torch.from_numpy(reference["logits"]), atol=2e-3
    )
    labels = (WEIGHTS / "labels.txt").read_text().split()
    found = [row["label"] for row in learner.predict([{"sound": clip} for clip in clips])]
    assert found == [labels[number] for number in reference["pred"]]
    assert {"_unknown_"} <= set(found) <= set(labels)


@needs_weights
def test_the_front_end_is_that_of_the_published_matrices(imported, clips):
    published: Any = hubs()["kwt"].open(str(WEIGHTS))
    tokenizer = unitf.load(imported).tokenizers["sound"]
    for clip in clips[:4]:
        samples, _ = soundfile.read(io.BytesIO(clip), dtype="float32")
        second = np.random.default_rng(0).normal(size=16_000).astype(np.float32) / 10
        second[: len(samples)] += samples
        theirs = published.frontend(torch.from_numpy(second)[None])[0]
        assert torch.allclose(tokenizer.encode((second, 16_000)).values.mT, theirs, atol=1e-4)


@needs_weights
def test_the_command_line_names_the_word_and_gives_the_weights_back(
    imported, reference, clips, tmp_path, capsys
):
    file = tmp_path / "clip.wav"
    file.write_bytes(clips[0])
    words = ["predict", "--checkpoint", str(imported), "--input", f"sound={file}", "--json"]
    assert main(words) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["label"] == "_unknown_"
    back = tmp_path / "back"
    assert main(["export", str(imported), "--to", "kwt", "--out", str(back)]) == 0
    before, after = (load_file(next(f.glob("*.safetensors"))) for f in (WEIGHTS, back))
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def _edit(**changes):
    def edit(folder):
        config = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def _other_filters(folder):
    file = folder / "kwt.safetensors"
    state = load_file(file)
    save_file(state | {"frontend.dct.weight": state["frontend.dct.weight"] * 1.1}, file)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_edit(norm="pre"), "norm is 'pre', expected 'post'"),
        (_edit(layers=None), "layers is None, expected a number"),
        (_edit(d_ff=4), "size mismatch"),
        (_other_filters, "frontend.dct.weight are other filters"),
        (lambda folder: (folder / "kwt.safetensors").unlink(), "holds 0 files"),
        (lambda folder: (folder / "kwt.safetensors").write_bytes(b"x" * 99), "damaged"),
        (lambda folder: (folder / "labels.txt").write_text("yes yes"), "different labels"),
        (lambda folder: (folder / "config.json").write_text("{"), "not readable as JSON"),
        (lambda folder: shutil.rmtree(folder), "there is no such folder"),
    ],
)
def test_a_bad_folder_is_one_line(tmp_path, capsys, damage, expected):
    folder = tmp_path / "published"
    hubs()["kwt"].save(CASES["two heads"](), folder, None)
    damage(folder)
    assert main(["import", f"kwt:{folder}", "--out", str(tmp_path / "ours")]) == 2
    told = capsys.readouterr().err
    assert expected in told and told.count("\n") == 1
    assert not (tmp_path / "ours").exists()
