"""Makes a small file of a sound, for a player on a page."""

import io

from unitf.tokenizer import Media
from unitf_audio.sound import read_sound, resample

_SLOWEST = 8_000  # Hz; browsers play nothing below 3,000
_SECONDS = 10.0  # of a longer sound its middle is heard


def shown_sound(value: object, sample_rate: int) -> Media:
    """Returns a sound as a WAV file of 16 bits, at the rate that the model hears."""
    import soundfile

    rate = max(sample_rate, _SLOWEST)
    samples = resample(read_sound(value, sample_rate, _SECONDS), sample_rate, rate).numpy()
    loudest = max(1.0, float(abs(samples).max()))  # else it would be clipped
    buffer = io.BytesIO()
    soundfile.write(buffer, samples / loudest, rate, format="WAV", subtype="PCM_16")
    return Media(buffer.getvalue(), "audio/wav")
