"""The audio modality of unitf: spectra, waveforms, and telephone tones as training data."""

from importlib import import_module
from typing import TYPE_CHECKING

from unitf import Register, hookimpl

_HOME = {
    "CepstralFrames": "unitf_audio.cepstra",
    "JoinedClips": "unitf_audio.joined",
    "LogMelFrames": "unitf_audio.log_mel",
    "HiddenSpans": "unitf_audio.convolution",
    "Perturbation": "unitf_audio.sound_augmentation",
    "SampleConvolutions": "unitf_audio.convolution",
    "SoundAugmentation": "unitf_audio.sound_augmentation",
    "SpecAugment": "unitf_audio.sound_augmentation",
    "SpectralPatches": "unitf_audio.spectral",
    "Spectrogram": "unitf_audio.spectrogram",
    "SpectrogramFrames": "unitf_audio.spectral",
    "SpectrumAugmentation": "unitf_audio.sound_augmentation",
    "TelephoneTones": "unitf_audio.tones",
    "WaveformConvolution": "unitf_audio.waveform_convolution",
    "WaveformFrames": "unitf_audio.waveform",
}
__all__ = [
    "CepstralFrames",
    "HiddenSpans",
    "JoinedClips",
    "LogMelFrames",
    "Perturbation",
    "SampleConvolutions",
    "SoundAugmentation",
    "SpecAugment",
    "SpectralPatches",
    "Spectrogram",
    "SpectrogramFrames",
    "SpectrumAugmentation",
    "TelephoneTones",
    "WaveformConvolution",
    "WaveformFrames",
]

if TYPE_CHECKING:
    from unitf_audio.cepstra import CepstralFrames
    from unitf_audio.convolution import HiddenSpans, SampleConvolutions
    from unitf_audio.joined import JoinedClips
    from unitf_audio.log_mel import LogMelFrames
    from unitf_audio.sound_augmentation import (
        Perturbation,
        SoundAugmentation,
        SpecAugment,
        SpectrumAugmentation,
    )
    from unitf_audio.spectral import SpectralPatches, SpectrogramFrames
    from unitf_audio.spectrogram import Spectrogram
    from unitf_audio.tones import TelephoneTones
    from unitf_audio.waveform import WaveformFrames
    from unitf_audio.waveform_convolution import WaveformConvolution


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Registers the tokenizers of this plugin."""
    for name in (
        "SpectrogramFrames",
        "SpectralPatches",
        "WaveformFrames",
        "WaveformConvolution",
        "LogMelFrames",
        "CepstralFrames",
    ):
        register(f"{_HOME[name]}:{name}")


@hookimpl
def register_sources(register: Register) -> None:
    """Registers the data sources of this plugin."""
    register("unitf_audio.tones:TelephoneTones")
    register("unitf_audio.joined:JoinedClips")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_audio' has no attribute {name!r}")


@hookimpl
def register_hubs(register: Register) -> None:
    """Registers the hubs of published models of this plugin."""
    register("unitf_audio.kwt_hub:KeywordHub")


@hookimpl
def register_architectures(register: Register) -> None:
    """Registers the published architectures that this plugin maps to unitf."""
    register("unitf_audio.whisper:Whisper")
    register("unitf_audio.hf_ast:AudioSpectrogramTransformer")
    register("unitf_audio.hf_wav2vec:Wav2Vec2")
    register("unitf_audio.kwt:KeywordTransformerArchitecture")
