"""Comparisons of targets and predictions, which are plain data and tensors."""

import json
import pickle
import re
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from unitf.testing.subject import CheckError, expect


def check_target(value: object, location: str) -> None:
    """Checks that a target can travel from a worker to the device.

    It must be a tensor, plain data, or a dictionary of them.

    Raises:
        CheckError: it is something else; `location` is part of the message.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            check_target(item, f"{location}[{key!r}]")
    elif isinstance(value, Tensor):
        expect(not value.requires_grad, location, "a tensor with a gradient", "data")
    else:
        right = value is None or isinstance(value, str | int | float | list | tuple)
        expect(right, location, type(value).__name__, "a tensor, or a dictionary of tensors")


def check_plain(value: object, location: str) -> None:
    """Checks that a value is plain data, which JSON writes and reads without a change.

    Raises:
        CheckError: it is not; `location` is part of the message.
    """
    try:
        again: object = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        found = re.sub(r"^Object of type (\w+) is not JSON serializable$", r"a \1", str(error))
        expected = "plain data (text, numbers, lists and dictionaries)"
        raise CheckError(f"{location}: found {found}, expected {expected}") from error
    expect_alike(again, value, location)


def expect_same_target(found: object, expected: object, location: str) -> None:
    """Checks that two targets are the same.

    Raises:
        CheckError: they are not; `location` is part of the message.
    """
    if isinstance(expected, dict):
        by_key = cast(Mapping[object, object], found)
        for key, value in expected.items():
            expect_same_target(by_key[key], value, f"{location}[{key!r}]")
    elif isinstance(expected, Tensor):
        tensor = cast(Tensor, found)
        same = tensor.shape == expected.shape and torch.equal(
            tensor.nan_to_num(), expected.nan_to_num()
        )
        expect(same, location, found, expected)
    else:
        same = pickle.dumps(found) == pickle.dumps(expected)
        expect(same, location, f"{found!r:.60}", f"{expected!r:.60}")


def expect_alike(found: object, expected: object, location: str, tolerance: float = 0.0) -> None:
    """Checks that two predictions are the same plain data; numbers may differ a little.

    Args:
        found: the prediction that is checked.
        expected: the prediction that it should equal.
        location: what the error calls the prediction.
        tolerance: the largest difference of two numbers, relative to numbers above 1.

    Raises:
        CheckError: they are not the same; the message names where.
    """
    if isinstance(expected, dict) and isinstance(found, dict) and tolerance:
        # probabilities that are nearly equal may be in another order
        names, expected_names = sorted(map(str, found)), sorted(map(str, expected))
        expect(set(found) == set(expected), location, names, expected_names)
        for key, value in expected.items():
            expect_alike(found[key], value, f"{location}[{key!r}]", tolerance)
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        expect(len(found) == len(expected), f"length of {location}", len(found), len(expected))
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            expect_alike(one, other, f"{location}[{number}]", tolerance)
    elif isinstance(expected, float) and isinstance(found, float):
        close = abs(found - expected) <= tolerance * max(1.0, abs(expected))
        expect(close or found == expected, location, found, f"{expected} (± {tolerance:g})")
    elif found != expected:
        raise CheckError(f"{location}: found {found!r:.80}, expected {expected!r:.80}")
