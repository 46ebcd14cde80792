"""What a tokenizer must keep to, as checks: for a plugin's own tests and `unitf plugins check`."""

import copy
import io
import json
import pickle
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.tokenizer import Tokenizer
from unitf.tokens import Features

DIM = 48
LONGEST = 4096  # tokens, for a tokenizer without max_tokens
ROUND_TRIP = 0.02  # what rounding of raw values to eight bits may move features by


class CheckError(AssertionError):
    """One line: which check failed, what was found and what was expected."""


class Skip(Exception):  # noqa: N818 (no error)
    """Why a check does not apply."""


@dataclass(frozen=True)
class Outcome:
    """How one check went: passed, skipped or failed, and why."""

    check: str
    status: str
    detail: str = ""


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
        made: Any = cls(DIM, **{k: _instance(v) for k, v in settings["init_args"].items()})
        return made.eval()

    def expect_same(self, found: Sequence[Features], where: str) -> None:
        """That the features of all values are as they were at first."""
        for number, (one, other) in enumerate(zip(found, self.features, strict=True)):
            _expect_same(one, other, f"values[{number}] {where}")


def check_tokenizer(
    tokenizer: Callable[..., Tokenizer], values: Sequence[Any], **init_args: Any
) -> None:
    """Checks that a tokenizer keeps to what the rest of unitf relies on.

    Args:
        tokenizer: the class, or what makes one when it is called with `dim` and `init_args`.
        values: a handful of raw values of varied size.

    Raises:
        CheckError: it does not; the message names the check.
    """
    for outcome in run_checks(tokenizer, values, **init_args):
        if outcome.status == "failed":
            raise CheckError(f"{outcome.check}: {outcome.detail}")


def run_checks(
    tokenizer: Callable[..., Tokenizer], values: Sequence[Any], **init_args: Any
) -> Iterator[Outcome]:
    """The outcome of every check, one after the other."""
    try:
        if not len(values):
            raise CheckError("found no values, expected a handful of raw ones")
        subject = Subject(lambda: tokenizer(DIM, **init_args), values)
    except Exception as error:
        yield Outcome("made, fitted, built", "failed", _said(error))
        return
    yield Outcome("made, fitted, built", "passed")
    for name, check in CHECKS.items():
        try:
            detail = check(subject)
        except Skip as reason:
            yield Outcome(name, "skipped", str(reason))
        except Exception as error:
            yield Outcome(name, "failed", _said(error))
        else:
            yield Outcome(name, "passed", detail or "")


# ---- the checks ------------------------------------------------------------------------


def shapes(subject: Subject) -> str:
    """`encode` gives ids (N,) of the vocabulary or finite numbers F×N; `forward` gives D×N."""
    tokenizer = subject.tokenizer
    for train in (False, True):
        for number, value in enumerate(subject.values):
            place = f"encode(values[{number}], train={train})"
            with seeded(number):
                _check_features(tokenizer, tokenizer.encode(value, train=train), place)
    tokens = tokenizer(Features.pack(subject.features))
    _expect(tokens.matrix.dtype == torch.float32, "forward", tokens.matrix.dtype, "float32")
    _expect(bool(tokens.matrix.isfinite().all()), "forward", "NaN or infinity", "finite columns")
    lengths = [features.num_tokens for features in subject.features]
    _expect(list(tokens.lengths) == lengths, "forward", tokens.lengths, f"lengths {lengths}")
    _expect(max(lengths) > 0, "encode", "no tokens of any value", "tokens")
    return f"{min(lengths)} to {max(lengths)} tokens"


def contiguous(subject: Subject) -> None:
    """The columns of D×N lie one after the other in memory."""
    matrix = subject.tokenizer(Features.pack(subject.features)).matrix
    strides, expected = matrix.stride(), (1, matrix.shape[0])
    _expect(matrix.mT.is_contiguous(), "forward", f"strides {strides}", expected)


def gradients(subject: Subject) -> str:
    """Every parameter has a gradient from the tokens, or from the way back."""
    tokenizer = subject.fresh()
    found = _gradients(tokenizer, Features.pack(subject.features))
    dead = [name for name, gradient in found.items() if gradient is None or not gradient.any()]
    _expect(not dead, "backward", f"no gradient for {', '.join(dead)}", "one for every parameter")
    return f"{sum(p.numel() for p in tokenizer.parameters()):,} parameters"


def batching(subject: Subject) -> None:
    """A value alone gives the same columns as among others."""
    together = subject.tokenizer(Features.pack(subject.features)).split()
    for number, features in enumerate(subject.features):
        alone = subject.tokenizer(features)
        gap = _gap(alone.matrix, together[number].matrix)
        _expect(gap < 1e-4, f"values[{number}] alone", f"differs by {gap:.1e}", "less than 1e-4")


def empty(subject: Subject) -> None:
    """A value that is not there gives no column, changes no other, and leaves no parameter out."""
    tokenizer = subject.tokenizer
    first, nothing = subject.features[0], tokenizer.empty()
    _check_features(tokenizer, nothing, "empty()")
    tokens = tokenizer(nothing)
    _expect(tokens.matrix.shape == (DIM, 0), "forward(empty())", tuple(tokens.matrix.shape), "D×0")
    tokens = tokenizer(replace(nothing, lengths=()))  # in a batch that lacks this modality
    _expect(tokens.num_sequences == 0, "sequences of no values", tokens.num_sequences, "none")
    # else several processes wait for each other when one of them lacks this modality
    some = _gradients(subject.fresh(), first)
    none = _gradients(subject.fresh(), replace(nothing, lengths=()))
    without = [name for name in none if none[name] is None and some[name] is not None]
    _expect(not without, "backward from no values", f"none for {', '.join(without)}", "zeros")
    among = tokenizer(Features.pack([nothing, first, nothing]))
    gap = _gap(among.matrix, tokenizer(first).matrix)
    _expect(gap < 1e-4, "a value between empty ones", f"differs by {gap:.1e}", "less than 1e-4")


def longest(subject: Subject) -> str:
    """The longest sequence that is allowed gives finite columns."""
    tokenizer = subject.tokenizer
    seed = max(subject.features, key=lambda features: features.num_tokens)
    length = tokenizer.max_tokens or LONGEST
    index = torch.arange(length) % max(seed.num_tokens, 1)
    positions = None  # one axis: 0, 1, 2, …
    if seed.positions is not None and tokenizer.num_axes > 1:
        positions = seed.positions[:, index]
    matrix = tokenizer(Features(seed.values[..., index], positions)).matrix
    _expect(tuple(matrix.shape) == (DIM, length), "forward", tuple(matrix.shape), (DIM, length))
    _expect(bool(matrix.isfinite().all()), "forward", "NaN or infinity", "finite columns")
    return f"{length} tokens"


def way_back(subject: Subject) -> str:
    """`unembed` gives V×N or F×N and `loss` a number per token."""
    tokenizer = subject.tokenizer
    features = Features.pack(subject.features)
    try:
        predicted = tokenizer.unembed(tokenizer(features).matrix)
    except UserError as error:
        raise Skip(str(error)) from error
    rows = tokenizer.vocabulary_size if features.is_ids else tokenizer.num_features
    expected = (rows, features.num_tokens)
    _expect(tuple(predicted.shape) == expected, "unembed", tuple(predicted.shape), expected)
    loss = tokenizer.loss(predicted, features)
    _expect(tuple(loss.shape) == expected[1:], "loss", tuple(loss.shape), expected[1:])
    _expect(bool(loss.isfinite().all()), "loss", "NaN or infinity", "finite numbers")
    return f"{rows}×N"


def round_trip(subject: Subject) -> None:
    """`decode` gives a raw value that encodes to the same features."""
    tokenizer = subject.tokenizer
    if type(tokenizer).decode is Tokenizer.decode:
        raise Skip("it does not decode")
    for number, features in enumerate(subject.features):
        try:
            value = tokenizer.decode(features)
        except UserError as error:
            raise Skip(str(error)) from error
        place, again = f"encode(decode(encode(values[{number}])))", tokenizer.encode(value)
        _expect_same(again, features, place, 0.0 if features.is_ids else ROUND_TRIP)


def deterministic(subject: Subject) -> None:
    """Without `train`, `encode` depends on nothing but the value, and leaves the value alone."""
    for seed in (1, 2):
        with seeded(seed):
            again = [subject.tokenizer.encode(value) for value in subject.values]
        subject.expect_same(again, "encoded again")
    for number, value in enumerate(subject.values):
        same = pickle.dumps(value) == subject.before[number]
        _expect(same, "encode", f"values[{number}] changed", "it as it was")


def seeds(subject: Subject) -> None:
    """With `train`, `encode` depends on the global seeds and nothing else."""
    for number, value in enumerate(subject.values):
        with seeded(number):
            first = subject.tokenizer.encode(copy.deepcopy(value), train=True)
        with seeded(number + 1):  # something in between
            subject.tokenizer.encode(copy.deepcopy(value), train=True)
        with seeded(number):
            again = subject.tokenizer.encode(copy.deepcopy(value), train=True)
        _expect_same(again, first, f"encode(values[{number}], train=True) with the same seeds")


def configuration(subject: Subject) -> None:
    """Its own configuration makes it again."""
    tokenizer = subject.remake()
    tokenizer.fit(iter(subject.values))
    subject.expect_same([tokenizer.encode(v) for v in subject.values], "in the remade one")


def state(subject: Subject) -> None:
    """Its state_dict, kept as plain data and tensors, restores a fresh one."""
    buffer = io.BytesIO()
    torch.save(subject.tokenizer.state_dict(), buffer)
    buffer.seek(0)
    tokenizer = subject.remake()
    tokenizer.load_state_dict(torch.load(buffer, weights_only=True))
    subject.expect_same([tokenizer.encode(v) for v in subject.values], "restored")
    for number, features in enumerate(subject.features):
        gap = _gap(tokenizer(features).matrix, subject.tokenizer(features).matrix)
        _expect(gap == 0, f"columns of values[{number}] restored", f"{gap:.1e} off", "the same")


def spawned(subject: Subject) -> None:
    """It travels to a data worker of its own interpreter and encodes there as it does here."""
    parcel = pickle.dumps((subject.tokenizer, subject.values))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        features = pickle.loads(pool.submit(_encode_there, parcel).result(timeout=300))
    subject.expect_same(features, "in a spawned worker")


CHECKS: dict[str, Callable[[Subject], str | None]] = {
    "shapes and dtypes": shapes,
    "columns contiguous": contiguous,
    "gradients reach every parameter": gradients,
    "batch of one = batch of many": batching,
    "empty input": empty,
    "longest input": longest,
    "way back to V×N or F×N": way_back,
    "encode → decode round trip": round_trip,
    "encode(train=False) deterministic": deterministic,
    "encode(train=True) follows the seeds": seeds,
    "rebuilt from its configuration": configuration,
    "state_dict restores a fresh one": state,
    "pickles to a spawned worker": spawned,
}


# ---- tools -----------------------------------------------------------------------------


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


def _encode_there(parcel: bytes) -> bytes:
    tokenizer, values = pickle.loads(parcel)
    return pickle.dumps([tokenizer.encode(value) for value in values])


def _gradients(tokenizer: Tokenizer, features: Features) -> dict[str, Tensor | None]:
    """The gradient of each parameter from the tokens and, where there is one, the way back."""
    tokens = tokenizer(features)
    with seeded(0):
        total = (tokens.matrix * torch.randn_like(tokens.matrix)).sum()
    with suppress(UserError):  # no way back
        total = total + tokenizer.loss(tokenizer.unembed(tokens.matrix), features).sum()
    if total.requires_grad:
        total.backward()
    return {name: p.grad for name, p in tokenizer.named_parameters() if p.requires_grad}


def _check_features(tokenizer: Tokenizer, features: Any, place: str) -> None:
    """That features are what the tokenizer says of itself."""
    _expect(isinstance(features, Features), place, type(features).__name__, "unitf.Features")
    values, count = features.values, features.num_tokens
    if tokenizer.vocabulary_size is not None:
        integer = values.ndim == 1 and not values.is_floating_point()
        _expect(integer, place, _shape(values), "whole numbers of shape (N,)")
        limit = tokenizer.vocabulary_size
        inside = bool(((values >= 0) & (values < limit)).all())
        _expect(inside, place, f"ids up to {values.max() if count else 0}", f"0 to {limit - 1}")
    else:
        rows = tokenizer.num_features
        fits = values.ndim == 2 and values.shape[0] == rows and values.is_floating_point()
        _expect(fits, place, _shape(values), f"floating-point F×N with F = {rows}")
        _expect(bool(values.isfinite().all()), place, "NaN or infinity", "finite numbers")
    positions = features.positions
    expected = (tokenizer.num_axes, count)
    right = tuple(positions.shape) == expected and positions.is_floating_point()
    _expect(right, f"positions of {place}", _shape(positions), f"floating-point P×N = {expected}")
    _expect(features.lengths == (count,), f"lengths of {place}", features.lengths, f"({count},)")


def _expect_same(found: Features, expected: Features, place: str, tolerance: float = 0.0) -> None:
    """That two features are the same, up to a tolerance."""
    for part in ("values", "positions"):
        one, other = getattr(found, part), getattr(expected, part)
        _expect(one.shape == other.shape, f"{part} of {place}", _shape(one), _shape(other))
        gap = _gap(one, other)
        _expect(gap <= tolerance, f"{part} of {place}", f"{gap:.1e} off", f"at most {tolerance:g}")


def _expect(condition: bool, place: str, found: Any, expected: Any) -> None:
    if not condition:
        raise CheckError(f"{place}: found {found}, expected {expected}")


def _gap(one: Tensor, other: Tensor) -> float:
    return (one.double() - other.double()).abs().max().item() if one.numel() else 0.0


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _instance(settings: Any) -> Any:
    """What `configuration()` made plain, as an object again."""
    if isinstance(settings, dict) and set(settings) == {"class_path", "init_args"}:
        cls = pkgutil.resolve_name(settings["class_path"])
        return cls(**{key: _instance(value) for key, value in settings["init_args"].items()})
    if isinstance(settings, list):
        return [_instance(item) for item in settings]
    return settings


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CheckError | UserError) else f"{type(error).__name__}: {text}"
