"""The tokenizer under test, and functions that raise a `CheckError` of one line."""

import json
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import Tensor

from unitf.features import Features
from unitf.registry.configurable import remade
from unitf.tokenizer.tokenizer import Tokenizer

DIM = 48  # D of the tokenizers and cores under test


class CheckError(AssertionError):
    """A check failed; the message is one line with what was found and what was expected."""


class Subject:
    """The tokenizer under test, its raw values and their features.

    Args:
        make: makes a new tokenizer.
        values: the raw values.
    """

    def __init__(self, make: Callable[[], Tokenizer], values: Sequence[object]) -> None:
        self.make: Callable[[], Tokenizer] = make
        self.values: list[object] = list(values)
        self.before: list[bytes] = [pickle.dumps(value) for value in self.values]
        self.tokenizer: Tokenizer = self.fresh()
        self.features: list[Features] = [self.tokenizer.encode(value) for value in self.values]

    def fresh(self) -> Tokenizer:
        """Returns a new tokenizer that was fitted to the values and built."""
        tokenizer = self.make()
        tokenizer.fit(iter(self.values))
        with seeded(0):
            tokenizer.build(unembed=True)
        return tokenizer.eval()

    def remake(self) -> Tokenizer:
        """Returns a tokenizer made from the configuration of this one, written as JSON."""
        settings = json.loads(json.dumps(self.tokenizer.configuration()))
        cls = type(self.tokenizer)
        arguments = settings["init_args"]
        remade_arguments = {key: remade(item, (cls, key)) for key, item in arguments.items()}
        return cls(DIM, **remade_arguments).eval()

    def expect_same(self, found: Sequence[Features], where: str) -> None:
        """Checks that features of all values equal the first ones.

        Raises:
            CheckError: they do not; `where` is part of the message.
        """
        for number, (one, other) in enumerate(zip(found, self.features, strict=True)):
            expect_same(one, other, f"values[{number}] {where}")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which Python's, NumPy's and torch's global generators are seeded."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(pytorch)


def check_features(tokenizer: Tokenizer, features: object, location: str) -> None:
    """Checks that features have the form that the tokenizer promises.

    Raises:
        CheckError: they do not.
    """
    expect(isinstance(features, Features), location, type(features).__name__, "unitf.Features")
    features = cast(Features, features)
    values, count = features.values, features.num_tokens
    if tokenizer.vocabulary_size is not None:
        integer = values.ndim == 1 and not values.is_floating_point()
        expect(integer, location, show(values), "whole numbers of shape (N,)")
        limit = tokenizer.vocabulary_size
        inside = bool(((values >= 0) & (values < limit)).all())
        expect(inside, location, f"ids up to {values.max() if count else 0}", f"0 to {limit - 1}")
    else:
        rows = tokenizer.num_features
        fits = values.ndim == 2 and values.shape[0] == rows and values.is_floating_point()
        expect(fits, location, show(values), f"floating-point F×N with F = {rows}")
        expect(bool(values.isfinite().all()), location, "NaN or infinity", "finite numbers")
    positions = features.positions
    expected = (tokenizer.num_axes, count)
    right = tuple(positions.shape) == expected and positions.is_floating_point()
    expect(right, f"positions of {location}", show(positions), f"floating-point P×N = {expected}")
    expect(features.lengths == (count,), f"lengths of {location}", features.lengths, f"({count},)")


def expect_same(found: Features, expected: Features, location: str, tolerance: float = 0.0) -> None:
    """Checks that two features are equal, up to a tolerance.

    Raises:
        CheckError: they are not.
    """
    for part in ("values", "positions"):
        one, other = getattr(found, part), getattr(expected, part)
        expect(one.shape == other.shape, f"{part} of {location}", show(one), show(other))
        gap = gap_between(one, other)
        expect(
            gap <= tolerance, f"{part} of {location}", f"{gap:.1e} off", f"at most {tolerance:g}"
        )


def expect(condition: bool, location: str, found: object, expected: object) -> None:
    """Raises a `CheckError` that names location, found and expected, unless `condition` holds."""
    if not condition:
        raise CheckError(f"{location}: found {found}, expected {expected}")


def gap_between(one: Tensor, other: Tensor) -> float:
    """Returns the largest absolute difference between two tensors; 0 if they are empty."""
    return (one.double() - other.double()).abs().max().item() if one.numel() else 0.0


def show(tensor: Tensor) -> str:
    """Returns the dtype and the shape of a tensor as text."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"
