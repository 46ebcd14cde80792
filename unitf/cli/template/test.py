import pathlib

import numpy as np
import pytest
import torch
import unitf
from unitf.testing import check_tokenizer

import unitf_$name
from unitf_$name.examples import RATES, ${Name}Examples
from unitf_$name.tokenizer import $Name

ROOT = pathlib.Path()


def test_the_tokenizer_keeps_to_what_unitf_relies_on() -> None:
    check_tokenizer($Name, $Name.examples())


def test_a_token_is_a_window_of_all_channels() -> None:
    signal = torch.arange(24.0).reshape(3, 8)
    values = $Name(8, channels=3, window=4).encode(signal).values
    assert values.shape == (12, 2)
    assert torch.equal(values[:, 1], signal[:, 4:].flatten())


@pytest.mark.parametrize("bad", [np.zeros(20), np.zeros((3, 20)), np.full((2, 20), np.nan)])
def test_what_is_no_signal_is_refused_in_one_line(bad: np.ndarray) -> None:
    with pytest.raises(unitf.UserError, match="expected"):
        $Name(8).encode(bad)


def test_a_signal_may_be_the_path_of_a_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "signal.npy"
    np.save(file, np.ones((2, 30)))
    assert $Name(8).encode(str(file)).num_tokens == 3
    file.write_text("no signal")
    with pytest.raises(unitf.UserError, match="expected a .npy file"):
        $Name(8).encode(file)


def test_the_examples_are_the_same_every_time_and_other_ones_in_each_split() -> None:
    source = ${Name}Examples(size=40)
    train, again = source.read("train", ROOT), source.read("train", ROOT)
    assert np.array_equal(train[0]["$name"], again[0]["$name"])
    assert not np.array_equal(train[0]["$name"], source.read("test", ROOT)[0]["$name"])
    assert {sample["label"] for sample in train} == set(RATES)
    assert len(train) == 40 and not source.read("no such split", ROOT)


def test_the_hooks_name_the_classes() -> None:
    found = []
    unitf_$name.register_tokenizers(found.append)
    unitf_$name.register_sources(found.append)
    assert found == ["unitf_$name.tokenizer:$Name", "unitf_$name.examples:${Name}Examples"]
