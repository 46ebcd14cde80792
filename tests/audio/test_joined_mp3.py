"""A joined MP3: that its second half is lost is said."""

import io
import logging

import numpy as np
import pytest
import soundfile
from unitf_audio.sound import read_sound


def mp3(seconds):
    wave = np.sin(np.arange(8_000 * seconds) * 0.3).astype(np.float32) / 2
    file = io.BytesIO()
    soundfile.write(file, wave, 8_000, format="MP3")
    return file.getvalue()


TAG = b"ID3\x04\x00\x00\x00\x00\x00\x14" + bytes(20)
OLD_TAG = b"TAG" + bytes(125)


@pytest.mark.parametrize("between", [b"", TAG, OLD_TAG, OLD_TAG + TAG])
def test_a_second_mp3_in_a_file_is_said_once(tmp_path, caplog, between):
    path = tmp_path / "joined.mp3"
    path.write_bytes(TAG + mp3(1) + between + mp3(2))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert len(read_sound(str(path), 8_000)) < 10_000
    (line,) = caplog.messages
    assert "another MP3" in line and str(path) in line


@pytest.mark.parametrize("ending", [b"", OLD_TAG, b"APETAGEX" + bytes(40)])
def test_one_mp3_with_or_without_tags_is_whole(tmp_path, caplog, ending):
    for name, start in (("a", b""), ("b", TAG)):
        path = tmp_path / f"{name}.mp3"
        path.write_bytes(start + mp3(1) + ending)
        assert len(read_sound(str(path), 8_000)) >= 8_000
    assert not caplog.messages
