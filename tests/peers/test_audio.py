"""Audio models of transformers compute the same in unitf, from the same sounds."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from unitf_audio.sound import read_sound

import unitf
from benchmarks.parity_cases.audio import CASES
from unitf.cli import main
from unitf.peers.hub import hubs
from unitf.peers.testing import measure, randomise

CLIPS = Path(__file__).parents[2] / ".." / "shared" / "data" / "fsdd" / "recordings.zip"


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_the_peer_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()


@pytest.fixture(scope="module")
def sounds() -> list[Any]:
    """Noise and a chirp; where the shared data are, real speech too."""
    noise = np.random.default_rng(0).normal(size=6_000).astype(np.float32) / 10
    chirp = np.sin(np.arange(9_000) ** 2 / 40_000).astype(np.float32)
    found: list[Any] = [(noise, 16_000), (chirp, 22_050)]
    if CLIPS.is_file():
        with zipfile.ZipFile(CLIPS) as archive:
            found += [archive.read(f"recordings/{n}.wav") for n in ("3_theo_7", "8_lucas_1")]
    return found


def published(name: str, extractor: Any, folder: Path) -> Any:
    """A peer with random weights, saved with how it wants its sounds."""
    peer: Any = randomise(CASES[name]().eval())
    peer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return peer


def travelled(folder: Path) -> tuple[unitf.Learner, Any]:
    """What unitf makes of a folder, and what transformers reads of the way back."""
    ours, back = folder.with_name("ours"), folder.with_name("back")
    assert main(["import", f"hf:{folder}", "--out", str(ours)]) == 0
    assert main(["export", str(ours), "--to", "hf", "--out", str(back)]) == 0
    return unitf.load(ours), back


def assert_equal(peer: Any, other: Any) -> None:
    theirs = other.state_dict()
    assert peer.state_dict().keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in peer.state_dict().items())


@pytest.mark.parametrize("normal", [True, False])
def test_ast_hears_a_sound_file_as_its_feature_extractor_does(normal, sounds, tmp_path):
    extractor = transformers.ASTFeatureExtractor(
        num_mel_bins=20, max_length=40, mean=-6.0, std=3.0, do_normalize=normal
    )
    peer = published("AST", extractor, tmp_path / "published")
    learner, back = travelled(tmp_path / "published")
    assert_equal(peer, transformers.ASTForAudioClassification.from_pretrained(back))
    assert (back / "preprocessor_config.json").is_file()
    for sound in sounds:
        samples = read_sound(sound, 16_000).numpy()
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = peer(**inputs).logits.softmax(1)[0]
        [found] = learner.predict([{"sound": sound}])
        assert found["label"] == peer.config.id2label[expected.argmax().item()]
        assert found["probability"] == pytest.approx(expected.max().item(), abs=1e-5)


def test_ast_with_the_feature_extractor_of_another_model_is_refused(tmp_path, capsys):
    for extractor, expected in (
        (transformers.ASTFeatureExtractor(num_mel_bins=20), "max_length 1024, its model 40"),
        (transformers.Wav2Vec2FeatureExtractor(), "prepared by Wav2Vec2FeatureExtractor"),
    ):
        published("AST", extractor, tmp_path / "published")
        words = ["import", f"hf:{tmp_path / 'published'}", "--out", str(tmp_path / "ours")]
        assert main(words) == 2
        assert expected in capsys.readouterr().err
