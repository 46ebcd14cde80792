"""Stretches of time go where the sound goes: against the samples themselves."""

import numpy as np
import pytest
import torch
from unitf_audio import Perturbation, SpectrogramFrames, WaveformFrames
from unitf_audio.sound_tokenizer import SoundTokenizer

from unitf import UserError
from unitf.testing import seeded
from unitf.tokenizer import Boxes, Intervals

RATE = 16_000
SOUND = np.zeros(2 * RATE, np.float32)
SOUND[int(0.7 * RATE) : int(1.1 * RATE)] = 0.5  # heard from 0.7 to 1.1 s
SPOKEN = Intervals(np.array([[0.7, 1.1]]))

SETTINGS = [
    {},
    {"max_seconds": 1.0},
    {"min_seconds": 3.0},
    {"perturb": Perturbation(speed=0.3)},
    {"perturb": Perturbation(shift=0.9)},
    {"perturb": Perturbation(gain=3.0, snr=[30.0, 40.0])},
    {"max_seconds": 1.5, "min_seconds": 1.5, "perturb": Perturbation(speed=0.2, shift=0.5)},
]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_interval_is_where_it_is_heard(settings, train):
    tokenizer = SpectrogramFrames(8, **settings)
    for seed in range(20):
        with seeded(seed):
            samples, [moved] = tokenizer.heard((SOUND, RATE), [SPOKEN], train)
        loud = np.flatnonzero(samples.numpy() > 0.25)
        if len(loud) < 100:
            assert not len(moved.values) or moved.values[0, 1] - moved.values[0, 0] < 0.01
            continue
        expected = [loud[0] / RATE, (loud[-1] + 1) / RATE]
        assert np.allclose(moved.values, [expected], atol=0.002)
        assert moved.kept.tolist() == [0]


def test_a_tokenizer_says_whether_it_moves():
    assert not WaveformFrames(8, perturb=Perturbation(gain=3.0)).moves
    assert WaveformFrames(8, perturb=Perturbation(shift=0.1)).moves
    assert WaveformFrames(8, max_seconds=1.0).moves
    made = WaveformFrames(8, perturb=Perturbation(shift=0.3))
    with seeded(0):
        features, [moved] = made.encode_located((SOUND, RATE), [SPOKEN], train=True)
    with seeded(0):
        assert torch.equal(features.values, made.encode((SOUND, RATE), train=True).values)
    assert moved.values[0, 0] != 0.7
    with pytest.raises(UserError, match="found Boxes of a sound"):
        made.encode_located((SOUND, RATE), [Boxes(np.zeros((1, 4)))])
    assert issubclass(SpectrogramFrames, SoundTokenizer)
