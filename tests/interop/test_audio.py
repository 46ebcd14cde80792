"""Audio models of transformers compute the same in unitf, from the same sounds."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from unitf_audio.sound import read_sound

import unitf
from benchmarks.parity_cases.audio import BASE, CASES, LARGE
from unitf import UserError
from unitf.cli import main
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import measure, randomise

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
    published_model: Any = randomise(CASES[name]().eval())
    published_model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return published_model


def travelled(folder: Path) -> tuple[unitf.Learner, Any]:
    """What unitf makes of a folder, and what transformers reads of the way back."""
    ours, back = folder.with_name("ours"), folder.with_name("back")
    assert main(["import", f"hf:{folder}", "--out", str(ours)]) == 0
    assert main(["export", str(ours), "--to", "hf", "--out", str(back)]) == 0
    return unitf.load(ours), back


def assert_equal(published: Any, other: Any) -> None:
    theirs = other.state_dict()
    assert published.state_dict().keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in published.state_dict().items())


@pytest.mark.parametrize("normal", [True, False])
def test_ast_hears_a_sound_file_as_its_feature_extractor_does(normal, sounds, tmp_path):
    extractor = transformers.ASTFeatureExtractor(
        num_mel_bins=20, max_length=40, mean=-6.0, std=3.0, do_normalize=normal
    )
    published_model = published("AST", extractor, tmp_path / "published")
    learner, back = travelled(tmp_path / "published")
    assert_equal(published_model, transformers.ASTForAudioClassification.from_pretrained(back))
    assert (back / "preprocessor_config.json").is_file()
    for sound in sounds:
        samples = read_sound(sound, 16_000).numpy()
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = published_model(**inputs).logits.softmax(1)[0]
        [found] = learner.predict([{"sound": sound}])
        assert found["label"] == published_model.config.id2label[expected.argmax().item()]
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


def with_vocabulary(folder: Path, size: int) -> Any:
    """A tokenizer as wav2vec 2.0's, with some letters."""
    pieces = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLU"][:size]
    folder.mkdir(exist_ok=True)
    file = folder / "vocab.json"
    file.write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(file))
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.mark.parametrize(
    ("name", "normal"), [("wav2vec 2.0, CTC", False), ("HuBERT, large, CTC", True)]
)
def test_a_sound_is_written_down_as_its_processor_does(name, normal, sounds, tmp_path):
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normal)
    folder = tmp_path / "published"
    vocabulary = with_vocabulary(folder, 9)
    published_model = published(name, extractor, folder)
    with torch.no_grad():  # louder logits, and none for what no text holds
        published_model.lm_head.weight *= 5
        published_model.lm_head.bias[1:4] -= 100
    published_model.save_pretrained(folder)
    learner, back = travelled(folder)
    assert_equal(published_model, type(published_model).from_pretrained(back))
    assert transformers.AutoTokenizer.from_pretrained(back).get_vocab() == vocabulary.get_vocab()
    texts = []
    for sound in sounds:
        samples = read_sound(sound, 16_000).numpy()
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            logits = published_model(inputs["input_values"]).logits
        [found] = learner.predict([{"sound": sound}])
        assert found["text"] == vocabulary.decode(logits[0].argmax(1))
        texts.append(found["text"])
    assert len("".join(texts)) > 10 and len(set(texts)) == len(texts)
    batch = learner.predict([{"sound": sound} for sound in sounds])  # packed, not padded
    assert [row["text"] for row in batch] == texts


def test_classes_of_a_sound_are_those_of_the_peer(sounds, tmp_path):
    extractor = transformers.Wav2Vec2FeatureExtractor()
    published_model = published("wav2vec 2.0, classes", extractor, tmp_path / "published")
    learner, _ = travelled(tmp_path / "published")
    for sound in sounds:
        samples = read_sound(sound, 16_000).numpy()
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = published_model(inputs["input_values"]).logits.softmax(1)[0]
        [found] = learner.predict([{"sound": sound}])
        assert found["probability"] == pytest.approx(expected.max().item(), abs=1e-5)


@pytest.mark.parametrize(
    ("cls", "options", "expected"),
    [
        (transformers.Wav2Vec2ForCTC, {"adapter_attn_dim": 4}, "adapter_attn_dim is 4"),
        (transformers.Wav2Vec2Model, {"add_adapter": True}, "add_adapter is True"),
        (transformers.HubertModel, {"conv_pos_batch_norm": True}, "conv_pos_batch_norm is True"),
        (transformers.Wav2Vec2ForXVector, {}, "its head is ForXVector"),
        (
            transformers.Wav2Vec2ForSequenceClassification,
            {"use_weighted_layer_sum": True},
            "sum of all layers",
        ),
    ],
)
def test_what_unitf_cannot_say_is_refused_in_one_line(cls, options, expected):
    size = LARGE if "adapter_attn_dim" in options else BASE
    published = cls(cls.config_class(**{**size, **options}))
    with pytest.raises(UserError, match=expected):
        describe(hubs()["hf"], published)
