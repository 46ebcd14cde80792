"""JoinedClips: strings of one speaker's clips, others in each epoch of training."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
import soundfile
from unitf_audio import JoinedClips

from unitf import UserError
from unitf.data import Split

WORDS = {"1": "one", "2": "two"}


@pytest.fixture
def place(tmp_path):
    """A clip of digit d holds the number d / 10, for ann 100 times and for bob 200 times."""
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for who, length in (("ann", 100), ("bob", 200)):
            for digit in "12":
                for index in range(3):
                    file = io.BytesIO()
                    soundfile.write(file, np.full(length, int(digit) / 10), 8_000, format="WAV")
                    archive.writestr(f"{digit}_{who}_{index}.wav", file.getvalue())
    return tmp_path


def make(**options):
    options = {"words": WORDS, "label": "digit", "speaker": "who", "lengths": [2, 4]} | options
    split = Split({"test": "0"}, column="index")
    return JoinedClips("clips.zip", "{digit}_{who}_{index}.wav", split=split, **options)


def test_a_string_is_what_it_says_by_one_speaker(place):
    samples = make(silence=[0.0, 0.0], sizes={"train": 60}).read("train", place)
    counts = set()
    for number in range(len(samples)):
        sample = samples[number]
        array, rate = sample["sound"]
        length = {"ann": 100, "bob": 200}[sample["who"]]
        said = sample["text"].split()
        assert rate == 8_000 and len(array) == length * len(said)
        heard = [WORDS[str(round(part.mean() * 10))] for part in array.reshape(-1, length)]
        assert heard == said
        counts.add(len(said))
    assert counts == {2, 3, 4}
    assert {samples[n]["who"] for n in range(len(samples))} == {"ann", "bob"}


def test_strings_are_new_in_each_epoch_and_the_same_for_a_seed(place):
    samples: Any = make(sizes={"train": 30}).read("train", place)
    assert len(samples) == 30

    def texts(seed, epoch):
        return [samples.at(number, seed, epoch)["text"] for number in range(30)]

    assert texts(0, 1) == texts(0, 1)
    assert texts(0, 1) != texts(0, 2)
    assert texts(0, 1) != texts(1, 1)


def test_silence_lies_between_clips(place):
    samples = make(silence=[0.01, 0.01], lengths=[3, 3]).read("test", place)
    array, _ = samples[0]["sound"]
    assert (array == 0).sum() == 2 * 80
    assert array[0] != 0 and array[-1] != 0


def test_what_is_wrong_is_one_line(place):
    with pytest.raises(UserError, match=r"words has nothing for '[12]', only 7"):
        make(words={"7": "seven"}).read("train", place)
    with pytest.raises(UserError, match="the pattern has no column 'speaker'"):
        make(speaker="speaker").read("train", place)
    with pytest.raises(UserError, match=r"JoinedClips\(lengths\): expected the least and most"):
        make(lengths=[3, 2])
