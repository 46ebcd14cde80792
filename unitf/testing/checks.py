"""The checks of a tokenizer: what the rest of unitf relies on."""

import copy
import io
import pickle
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.features import Features
from unitf.testing.spawned_worker import in_worker
from unitf.testing.subject import (
    DIM,
    Subject,
    check_features,
    expect,
    expect_same,
    gap_between,
    seeded,
)
from unitf.tokenizer.shown import Curves, Media
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

LONGEST = 4096  # tokens, for a tokenizer without max_tokens
ROUND_TRIP = 0.02  # how much features may change when raw values are rounded to eight bits


class Skip(Exception):  # noqa: N818 (not an error)
    """A check does not apply; the message says why."""


def shapes(subject: Subject) -> str:
    """`encode` gives ids (N,) of the vocabulary or finite numbers F×N; `forward` gives D×N."""
    tokenizer = subject.tokenizer
    for train in (False, True):
        for number, value in enumerate(subject.values):
            location = f"encode(values[{number}], train={train})"
            with seeded(number):
                check_features(tokenizer, tokenizer.encode(value, train=train), location)
    tokens = tokenizer(Features.pack(subject.features))
    expect(tokens.matrix.dtype == torch.float32, "forward", tokens.matrix.dtype, "float32")
    expect(bool(tokens.matrix.isfinite().all()), "forward", "NaN or infinity", "finite columns")
    lengths = [tokenizer.num_columns(features)[0] for features in subject.features]
    expect(list(tokens.lengths) == lengths, "forward", tokens.lengths, f"lengths {lengths}")
    expect(max(lengths) > 0, "encode", "no tokens of any value", "tokens")
    return f"{min(lengths)} to {max(lengths)} tokens"


def contiguous(subject: Subject) -> None:
    """The columns of D×N are contiguous in memory, one after the other."""
    matrix = subject.tokenizer(Features.pack(subject.features)).matrix
    strides, expected = matrix.stride(), (1, matrix.shape[0])
    expect(matrix.mT.is_contiguous(), "forward", f"strides {strides}", expected)


def gradients(subject: Subject) -> str:
    """Every parameter has a gradient, from the tokens or from `unembed`."""
    tokenizer = subject.fresh()
    by_name = _gradients(tokenizer, Features.pack(subject.features))
    dead = [name for name, gradient in by_name.items() if gradient is None or not gradient.any()]
    expect(not dead, "backward", f"no gradient for {', '.join(dead)}", "one for every parameter")
    return f"{sum(p.numel() for p in tokenizer.parameters()):,} parameters"


def batching(subject: Subject) -> None:
    """A value gives the same columns alone and in a batch."""
    together = subject.tokenizer(Features.pack(subject.features)).split()
    for number, features in enumerate(subject.features):
        alone = subject.tokenizer(features)
        gap = gap_between(alone.matrix, together[number].matrix)
        expect(gap < 1e-4, f"values[{number}] alone", f"differs by {gap:.1e}", "less than 1e-4")


def empty(subject: Subject) -> None:
    """A missing value gives no column and changes no other; every parameter has a gradient."""
    tokenizer = subject.tokenizer
    first, nothing = subject.features[0], tokenizer.empty()
    check_features(tokenizer, nothing, "empty()")
    tokens = tokenizer(nothing)
    expect(tokens.matrix.shape == (DIM, 0), "forward(empty())", tuple(tokens.matrix.shape), "D×0")
    tokens = tokenizer(replace(nothing, lengths=()))  # as in a batch without this modality
    expect(tokens.num_sequences == 0, "sequences of no values", tokens.num_sequences, "none")
    # else several processes wait for each other when one of them lacks this modality
    some = _gradients(subject.fresh(), first)
    none = _gradients(subject.fresh(), replace(nothing, lengths=()))
    without = [name for name in none if none[name] is None and some[name] is not None]
    expect(not without, "backward from no values", f"none for {', '.join(without)}", "zeros")
    among = tokenizer(Features.pack([nothing, first, nothing]))
    gap = gap_between(among.matrix, tokenizer(first).matrix)
    expect(gap < 1e-4, "a value between empty ones", f"differs by {gap:.1e}", "less than 1e-4")


def longest(subject: Subject) -> str:
    """The longest allowed sequence gives finite columns."""
    tokenizer = subject.tokenizer
    seed = max(subject.features, key=lambda features: features.num_tokens)
    length = tokenizer.max_tokens or LONGEST
    index = torch.arange(length) % max(seed.num_tokens, 1)
    positions = None  # one axis: 0, 1, 2, …
    if seed.positions is not None and tokenizer.num_axes > 1:
        positions = seed.positions[:, index]
    matrix = tokenizer(Features(seed.values[..., index], positions)).matrix
    expected = (DIM, tokenizer.num_prefix + length)
    expect(tuple(matrix.shape) == expected, "forward", tuple(matrix.shape), expected)
    expect(bool(matrix.isfinite().all()), "forward", "NaN or infinity", "finite columns")
    return f"{length} tokens"


def way_back(subject: Subject) -> str:
    """`unembed` gives V×N or F×N, and `loss` gives a number for each token."""
    tokenizer = subject.tokenizer
    features = Features.pack(subject.features)
    try:
        predicted = tokenizer.unembed(_columns(tokenizer, tokenizer(features)))
    except UserError as error:
        raise Skip(str(error)) from error
    rows = tokenizer.vocabulary_size if features.is_ids else tokenizer.num_features
    expected = (rows, features.num_tokens)
    expect(tuple(predicted.shape) == expected, "unembed", tuple(predicted.shape), expected)
    loss = tokenizer.loss(predicted, features)
    expect(tuple(loss.shape) == expected[1:], "loss", tuple(loss.shape), expected[1:])
    expect(bool(loss.isfinite().all()), "loss", "NaN or infinity", "finite numbers")
    return f"{rows}×N"


def round_trip(subject: Subject) -> None:
    """`decode` gives a raw value that is encoded to the same features."""
    tokenizer = subject.tokenizer
    if type(tokenizer).decode is Tokenizer.decode:
        raise Skip("it does not decode")
    for number, features in enumerate(subject.features):
        try:
            value = tokenizer.decode(features)
        except UserError as error:
            raise Skip(str(error)) from error
        location, again = f"encode(decode(encode(values[{number}])))", tokenizer.encode(value)
        expect_same(again, features, location, 0.0 if features.is_ids else ROUND_TRIP)


def shown(subject: Subject) -> None:
    """`show` gives of every value a text, cells, curves T×C, or a file that a browser shows."""
    for number, value in enumerate(subject.values):
        location, seen = f"show(values[{number}])", subject.tokenizer.show(value)
        if isinstance(seen, Media):
            kind, _, rest = seen.media_type.partition("/")
            is_known = kind in ("image", "audio", "video") and rest != "" and seen.content != b""
            expect(is_known, location, seen.media_type, "an image, audio or video of some bytes")
        elif isinstance(seen, Curves):
            expect(seen.values.ndim == 2, location, f"{seen.values.ndim} axes", "T×C")
        else:
            cells = seen.values() if isinstance(seen, Mapping) else [seen]
            is_text = all(isinstance(cell, str) for cell in cells)
            expect(is_text, location, type(seen).__name__, "text, cells of text, Media or Curves")


def drawn(subject: Subject) -> None:
    """Every token has a name, if ids have names, and a box within the picture, if there is one."""
    tokenizer = subject.tokenizer
    for number, features in enumerate(subject.features):
        with suppress(UserError):  # ids without names
            names = tokenizer.names(features)
            location = f"names of values[{number}]"
            expect(len(names) == features.num_tokens, location, len(names), features.num_tokens)
        if (canvas := tokenizer.canvas(features)) is None:
            continue
        location, boxes = f"canvas of values[{number}]", canvas.boxes
        expect(boxes.shape == (features.num_tokens, 4), f"boxes in {location}", boxes.shape, "N×4")
        height, width = canvas.pixels.shape[:2]
        inside = (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()
        inside = inside and (boxes[:, :2] < boxes[:, 2:]).all()
        expect(
            bool(inside), f"boxes in {location}", boxes.tolist(), f"some within {width}×{height}"
        )


def deterministic(subject: Subject) -> None:
    """Without `train`, `encode` depends on the value alone and does not change it."""
    for seed in (1, 2):
        with seeded(seed):
            again = [subject.tokenizer.encode(value) for value in subject.values]
        subject.expect_same(again, "encoded again")
    for number, value in enumerate(subject.values):
        same = pickle.dumps(value) == subject.before[number]
        expect(same, "encode", f"values[{number}] changed", "it as it was")


def seeds(subject: Subject) -> None:
    """With `train`, `encode` depends on the value and the global seeds alone."""
    for number, value in enumerate(subject.values):
        with seeded(number):
            first = subject.tokenizer.encode(copy.deepcopy(value), train=True)
        with seeded(number + 1):  # another call in between
            subject.tokenizer.encode(copy.deepcopy(value), train=True)
        with seeded(number):
            again = subject.tokenizer.encode(copy.deepcopy(value), train=True)
        expect_same(again, first, f"encode(values[{number}], train=True) with the same seeds")


def configuration(subject: Subject) -> None:
    """The configuration of a tokenizer makes the same tokenizer again."""
    tokenizer = subject.remake()
    tokenizer.fit(iter(subject.values))
    subject.expect_same([tokenizer.encode(v) for v in subject.values], "in the remade one")


def state(subject: Subject) -> None:
    """The `state_dict`, saved as plain data and tensors, restores a new tokenizer."""
    buffer = io.BytesIO()
    torch.save(subject.tokenizer.state_dict(), buffer)
    buffer.seek(0)
    tokenizer = subject.remake()
    tokenizer.load_state_dict(torch.load(buffer, weights_only=True))
    subject.expect_same([tokenizer.encode(v) for v in subject.values], "restored")
    for number, features in enumerate(subject.features):
        gap = gap_between(tokenizer(features).matrix, subject.tokenizer(features).matrix)
        expect(gap == 0, f"columns of values[{number}] restored", f"{gap:.1e} off", "the same")


def spawned(subject: Subject) -> None:
    """A data worker with its own interpreter encodes the same as this process."""
    parcel = pickle.dumps((subject.tokenizer, subject.values))
    features = pickle.loads(in_worker(_encode_in_worker, parcel))
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
    "names and picture of tokens": drawn,
    "what a person sees": shown,
    "encode(train=False) deterministic": deterministic,
    "encode(train=True) follows the seeds": seeds,
    "rebuilt from its configuration": configuration,
    "state_dict restores a fresh one": state,
    "pickles to a spawned worker": spawned,
}
"""The checks of a tokenizer by name, in their order; a check that fails raises `CheckError`."""


def _encode_in_worker(parcel: bytes) -> bytes:
    tokenizer, values = pickle.loads(parcel)
    return pickle.dumps([tokenizer.encode(value) for value in values])


def _columns(tokenizer: Tokenizer, tokens: Tokens) -> Tensor:
    """Returns the columns (D×N) of the tokens alone, without a prefix."""
    rows = [part.rows[part.num_tokens and tokenizer.num_prefix :] for part in tokens.split()]
    return (torch.cat(rows) if rows else tokens.rows).mT


def _gradients(tokenizer: Tokenizer, features: Features) -> dict[str, Tensor | None]:
    """Returns the gradient of each parameter from the tokens and, if possible, from `unembed`."""
    tokens = tokenizer(features)
    with seeded(0):
        total = (tokens.matrix * torch.randn_like(tokens.matrix)).sum()
    with suppress(UserError):  # it cannot unembed
        columns = _columns(tokenizer, tokens)
        total = total + tokenizer.loss(tokenizer.unembed(columns), features).sum()
    if total.requires_grad:
        total.backward()
    return {name: p.grad for name, p in tokenizer.named_parameters() if p.requires_grad}
