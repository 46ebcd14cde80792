"""The plugin is listed without torch, and its classes work from YAML."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import unitf_audio
from jsonargparse import ArgumentParser

from unitf import Tokenizer
from unitf.checkpoints.read import as_class_paths

NAMES = [
    "SpectrogramFrames",
    "SpectralPatches",
    "WaveformFrames",
    "WaveformConvolution",
    "LogMelFrames",
    "CepstralFrames",
]


def test_registering_imports_no_torch_and_the_classes_no_torchaudio():
    script = (
        "import sys, unitf_audio\n"
        "names = []\n"
        "unitf_audio.register_tokenizers(names.append)\n"
        "unitf_audio.register_sources(names.append)\n"
        "print(' '.join(n.split(':')[1] for n in names))\n"
        "assert not {'torch', 'numpy', 'soundfile', 'torchaudio'} & set(sys.modules)\n"
        "[getattr(unitf_audio, name) for name in unitf_audio.__all__]\n"
        "assert not {'soundfile', 'torchaudio'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*NAMES, "TelephoneTones", "JoinedClips"]


def test_what_the_package_has_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = unitf_audio.Nothing


def test_settings_are_written_in_yaml_without_class_paths_and_read_back_from_a_configuration():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--tokenizer", type=Callable[[int], Tokenizer])

    def make(settings: dict) -> Tokenizer:
        return parser.instantiate(parser.parse_object({"tokenizer": settings})).tokenizer(16)

    settings = {
        "class_path": "unitf_audio.SpectrogramFrames",
        "init_args": {
            "frames_per_token": 2,
            "spectrogram": {"sample_rate": 8_000, "num_mels": 40},
            "perturb": {"gain": 6, "snr": [10, 30]},
            "mask": {},
        },
    }
    tokenizer = make(settings)
    assert isinstance(tokenizer, unitf_audio.SpectrogramFrames)
    assert tokenizer.num_features == 80
    assert tokenizer.perturb == unitf_audio.Perturbation(gain=6.0, snr=[10.0, 30.0])
    assert tokenizer.mask == unitf_audio.SpecAugment()
    again = make(as_class_paths(tokenizer.configuration()))
    assert again.configuration() == tokenizer.configuration()


@pytest.mark.parametrize("name", NAMES[:-1])  # the last one is checked in a smaller size elsewhere
def test_every_tokenizer_passes_the_common_checks(name: str):
    testing = pytest.importorskip("unitf.testing")
    cls = getattr(unitf_audio, name)
    testing.check_tokenizer(lambda dim: cls(dim), cls.examples())
