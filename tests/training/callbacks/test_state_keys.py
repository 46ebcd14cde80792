"""A run that goes on finds the states of its callbacks, whatever their classes are called."""

import pytest

from unitf.training.callbacks import EMA, Checkpoint, RunReport


@pytest.mark.parametrize("cls", [EMA, Checkpoint, RunReport])
def test_a_state_is_found_after_its_class_was_renamed(cls):
    name, before = cls.__qualname__, cls().state_key
    cls.__qualname__ = "Another"
    try:
        assert cls().state_key == before == name
    finally:
        cls.__qualname__ = name


def test_a_class_of_ones_own_has_a_state_of_its_own():
    class Captured(Checkpoint):
        pass

    assert Captured().state_key != Checkpoint().state_key
