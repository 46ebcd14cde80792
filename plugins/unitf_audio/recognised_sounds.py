"""Recognises the sounds of a column, and proposes how they become frames of a spectrogram."""

import io
from statistics import median

from unitf import Column, Proposal

_LOOKED_AT = 32  # sounds
_FASTEST = 16_000  # Hz; what is sampled faster is resampled to it
_LONGEST = 10.0  # seconds of a sound that are read


def propose_frames(column: Column) -> Proposal | None:
    """Returns how SpectrogramFrames encodes the sounds of a column; None: they are no sounds."""
    chosen = column.values[:: max(1, len(column.values) // _LOOKED_AT)][:_LOOKED_AT]
    found = [_rate_and_seconds(value) for value in chosen]
    known = [pair for pair in found if pair is not None]
    if not known or len(known) < len(found):
        return None
    rates, lengths = [rate for rate, _ in known], [seconds for _, seconds in known]
    rate, seconds = min(_FASTEST, int(median(rates))), float(median(lengths))
    spectrogram = {
        "sample_rate": rate,
        "window": 0.032,
        "hop": 0.01,
        "num_mels": 64 if rate <= _FASTEST / 2 else 80,
        "low": 50,
    }
    settings: dict[str, object] = {
        "spectrogram": {"class_path": "Spectrogram", "init_args": spectrogram},
        "frames_per_token": 2 if seconds <= 2 else 4,
        "perturb": {
            "class_path": "Perturbation",
            "init_args": {"speed": 0.1, "shift": 0.05, "gain": 6.0},
        },
        "mask": {
            "class_path": "SpecAugment",
            "init_args": {
                "time_masks": 2,
                "time_share": 0.1,
                "frequency_masks": 2,
                "frequency_share": 0.15,
            },
        },
    }
    if max(lengths) > _LONGEST:
        settings["max_seconds"] = _LONGEST
    reason = f"sounds of {rate:,} Hz and about {seconds:.1f} s, varied in training"
    if max(lengths) > _LONGEST:
        reason += f"; {_LONGEST:g} s of a longer one are read"
    return Proposal(settings, 0.9, reason, _RECIPE)


_RECIPE = {
    "model.core.dropout": 0.1,
    "model.core.drop_path": 0.1,
    "model.optimizer.init_args.lr": 0.002,
    "model.optimizer.init_args.weight_decay": 0.05,
    "trainer.max_epochs": 40,
}


def _rate_and_seconds(value: object) -> tuple[int, float] | None:
    """Returns the rate and the length of a sound file, by its path or bytes; None: it is none."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, str | bytes):
        return None
    import soundfile

    try:
        file = soundfile.info(io.BytesIO(value) if isinstance(value, bytes) else value)
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError):
        return None
    return int(file.samplerate), float(file.duration)
