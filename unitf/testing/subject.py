"""The tokenizer under test, and what is expected of it, said in one line."""

import json
import pickle
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features

DIM = 48


class CheckError(AssertionError):
    """One line: which check failed, what was found and what was expected."""


class Subject:
    """The tokenizer under test: how it is made, its raw values, and what it makes of them."""

    def __init__(self, make: Callable[[], Tokenizer], values: Sequence[Any]) -> None:
        self.make = make
        self.values = list(values)
        self.before = [pickle.dumps(value) for value in self.values]
        self.tokenizer = self.fresh()
        self.features = [self.tokenizer.encode(value) for value in self.values]

    def fresh(self) -> Tokenizer:
        """A tokenizer that was fitted to the values and built, with the way back if it has one."""
        tokenizer = self.make()
        tokenizer.fit(iter(self.values))
        with seeded(0):
            tokenizer.build(unembed=True)
        return tokenizer.eval()

    def remake(self) -> Tokenizer:
        """A tokenizer from the configuration of this one, after a way through JSON."""
        settings = json.loads(json.dumps(self.tokenizer.configuration()))
        cls = type(self.tokenizer)
        made: Any = cls(DIM, **{k: instance(v) for k, v in settings["init_args"].items()})
        return made.eval()

    def expect_same(self, found: Sequence[Features], where: str) -> None:
        """That the features of all values are as they were at first."""
        for number, (one, other) in enumerate(zip(found, self.features, strict=True)):
            expect_same(one, other, f"values[{number}] {where}")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's, NumPy's and torch's global generators seeded, and put back afterwards."""
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


def check_features(tokenizer: Tokenizer, features: Any, location: str) -> None:
    """That features are what the tokenizer says of itself."""
    expect(isinstance(features, Features), location, type(features).__name__, "unitf.Features")
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
    """That two features are the same, up to a tolerance."""
    for part in ("values", "positions"):
        one, other = getattr(found, part), getattr(expected, part)
        expect(one.shape == other.shape, f"{part} of {location}", show(one), show(other))
        gap = gap_between(one, other)
        expect(
            gap <= tolerance, f"{part} of {location}", f"{gap:.1e} off", f"at most {tolerance:g}"
        )


def expect(condition: bool, location: str, found: Any, expected: Any) -> None:
    if not condition:
        raise CheckError(f"{location}: found {found}, expected {expected}")


def gap_between(one: Tensor, other: Tensor) -> float:
    return (one.double() - other.double()).abs().max().item() if one.numel() else 0.0


def show(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def instance(settings: Any) -> Any:
    """What `configuration()` made plain, as an object again."""
    if isinstance(settings, dict) and set(settings) == {"class_path", "init_args"}:
        cls = pkgutil.resolve_name(settings["class_path"])
        return cls(**{key: instance(value) for key, value in settings["init_args"].items()})
    if isinstance(settings, list):
        return [instance(item) for item in settings]
    return settings
