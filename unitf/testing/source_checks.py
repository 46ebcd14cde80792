"""The checks of a source: what the rest of unitf relies on."""

import json
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import cast

import numpy as np
import torch

from unitf.data.read_samples import same_samples
from unitf.data.source import Source
from unitf.data.stream import StreamSource
from unitf.errors import UserError
from unitf.registry.configurable import remade
from unitf.testing.checks import Skip
from unitf.testing.spawned_worker import in_worker
from unitf.testing.subject import CheckError, expect, seeded

MOST = 32  # samples of a split that are compared
NO_SPLIT = "no_such_split"


class SourceSubject:
    """The source under test.

    Args:
        make: makes a new source.
        root: the folder to which its relative paths refer.
        columns: the columns that must occur in its samples.
    """

    def __init__(self, make: Callable[[], Source], root: Path, columns: Sequence[str]) -> None:
        self.make: Callable[[], Source] = make
        self.root: Path = root
        self.columns: Sequence[str] = columns
        self.source: Source = self.fresh()
        self.read: dict[str, Sequence[object]] = {
            s: self.source.read(s, root) for s in self._splits()
        }

    def fresh(self) -> Source:
        """Returns a new source."""
        source = self.make()
        expect(isinstance(source, Source), "the source", type(source).__name__, "a unitf.Source")
        return source

    def _splits(self) -> list[str]:
        names = self.source.splits()
        right = isinstance(names, list) and all(isinstance(name, str) for name in names)
        expect(right, "splits()", names, "a list of names")
        expect(len({*names}) == len(names), "splits()", names, "each name once")
        return names

    @property
    def some(self) -> dict[str, Sequence[object]]:
        """The splits that have samples."""
        return {split: samples for split, samples in self.read.items() if len(samples)}

    def expect_same(self, other: Source, where: str, root: Path | None = None) -> None:
        """Checks that another source has the samples of this one.

        Args:
            other: the other source.
            where: what the error adds to the name of a sample.
            root: the folder of the other source; by default that of this one.

        Raises:
            CheckError: a sample differs.
        """
        for split, samples in self.read.items():
            again = other.read(split, self.root if root is None else root)
            location = f"{split} {where}"
            expect(len(again) == len(samples), location, f"{len(again)} samples", len(samples))
            for index in _indices(samples):
                expect_equal(again[index], samples[index], f"{split}[{index}] {where}")


def splits(subject: SourceSubject) -> str:
    """Every split is a sequence; at least one has samples, and an unknown split has none."""
    for split, samples in subject.read.items():
        right = isinstance(samples, Sequence)  # a list, or a class of its own
        expect(right, f"read({split!r})", type(samples).__name__, "a sequence of samples")
    expect(bool(subject.some), "read", "no samples in any split", "some")
    other = subject.source.read(NO_SPLIT, subject.root)
    expect(len(other) == 0, f"read({NO_SPLIT!r})", f"{len(other)} samples", "an empty sequence")
    for one, two in combinations(subject.some, 2):
        same = same_samples(subject.some[one], subject.some[two])
        expect(not same, f"read({two!r})", f"the samples of {one}", "others, or an empty sequence")
    return ", ".join(f"{split} {len(samples):,}" for split, samples in subject.read.items())


def columns(subject: SourceSubject) -> str:
    """A sample is a dictionary of columns; the expected columns occur."""
    kinds: dict[str, str] = {}
    for split, samples in subject.some.items():
        for index in _indices(samples):
            sample = samples[index]
            location = f"{split}[{index}]"
            expect(isinstance(sample, Mapping), location, type(sample).__name__, "a dictionary")
            sample = cast(Mapping[object, object], sample)
            names = [name for name in sample if not isinstance(name, str)]
            expect(not names, location, f"the column {names[:1]}", "names of columns")
            present = {str(k): type(v).__name__ for k, v in sample.items() if v is not None}
            expect(bool(present), location, "no column", "some")
            kinds |= present
    lacking = [name for name in subject.columns if name not in kinds]
    expect(not lacking, "columns", ", ".join(kinds), f"also {', '.join(lacking)}")
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items())


def indexing(subject: SourceSubject) -> str:
    """A split ends at its length: an index beyond it raises an IndexError."""
    count = 0
    for split, samples in subject.some.items():
        try:
            samples[len(samples)]
        except IndexError:
            pass
        except Exception as error:
            kind = f"{type(error).__name__}: {error}"
            expect(False, f"{split}[{len(samples)}]", kind, "an IndexError")
        else:
            expect(False, f"{split}[{len(samples)}]", "a sample", "an IndexError")
        if len(samples) <= MOST:
            walked = sum(1 for _ in samples)
            expect(walked == len(samples), f"samples of {split}", walked, f"{len(samples)} (len)")
        if (name := getattr(samples, "name", None)) is not None:
            called = name(0)
            right = called is None or isinstance(called, str)
            expect(right, f"{split}.name(0)", type(called).__name__, "a text")
        count += len(samples)
    return f"{count:,} samples"


def twice(subject: SourceSubject) -> None:
    """A sample is the same whenever it is read, with any global seeds."""
    for split, samples in subject.some.items():
        for index in _indices(samples):
            expect_equal(samples[index], samples[index], f"{split}[{index}] read twice")
    with seeded(1):
        subject.expect_same(subject.source, "read again")
    with seeded(2):
        subject.expect_same(subject.fresh(), "of a source made anew")


def streams(subject: SourceSubject) -> str:
    """The shards of a stream together have every sample exactly once."""
    source = subject.source
    if not isinstance(source, StreamSource):
        raise Skip("it is no stream")
    expected = _shard(source, subject.root, 0, 1)
    expect(bool(expected), "stream('train')", "no samples", "some")
    again = _shard(source, subject.root, 0, 1)
    same = again == expected
    expect(same, "stream('train') again", "other samples", "the same in the same order")
    for count in (2, 3) if len(expected) < MOST else ():  # a longer stream is not read to its end
        parts = [_shard(source, subject.root, number, count) for number in range(count)]
        total = sum(map(len, parts))
        expect(total == len(expected), f"{count} shards", f"{total} samples", len(expected))
        same = sorted(sample for part in parts for sample in part) == sorted(expected)
        expect(same, f"{count} shards", "other samples", "those of the whole stream, none twice")
    return f"{len(expected)} samples"


def _shard(source: StreamSource, root: Path, number: int, count: int) -> list[bytes]:
    return [_bytes(sample) for sample in islice(source.stream("train", root, number, count), MOST)]


def elsewhere(subject: SourceSubject) -> str:
    """Without its files, a source raises an error of one line, unless it needs no files."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "elsewhere"
        for split in subject.some:
            try:
                samples = subject.fresh().read(split, root)
            except UserError as error:
                text = str(error).strip()
                expect(bool(text) and "\n" not in text, "a missing folder", repr(text), "one line")
                return text.replace(str(root), "ROOT")
            except Exception as error:
                kind = f"{type(error).__name__}: {error}"
                raise CheckError(
                    f"a missing folder: found {kind}, expected a unitf.UserError"
                ) from error
            count = len(subject.read[split])
            expect(len(samples) == count, "a missing folder", f"{len(samples)} samples of {split}",
                   f"a unitf.UserError, or all {count} as they need no folder")  # fmt: skip
    return "needs no folder"


def configuration(subject: SourceSubject) -> None:
    """The configuration of a source makes the same source again."""
    settings = json.loads(json.dumps(subject.source.configuration()))
    subject.expect_same(remade(settings), "of the remade one")


def spawned(subject: SourceSubject) -> None:
    """A data worker with its own interpreter reads the same samples as this process."""
    for split, samples in subject.some.items():
        chosen = _indices(samples)
        parcel = pickle.dumps((samples, chosen))
        from_worker = pickle.loads(in_worker(_read_in_worker, parcel))
        for index, sample in zip(chosen, from_worker, strict=True):
            expect_equal(sample, samples[index], f"{split}[{index}] in a spawned worker")
        return  # one process is enough: all splits are of the same classes


SOURCE_CHECKS: dict[str, Callable[[SourceSubject], str | None]] = {
    "splits": splits,
    "columns of samples": columns,
    "index and length": indexing,
    "the same sample every time": twice,
    "shards of a stream": streams,
    "a missing folder": elsewhere,
    "rebuilt from its configuration": configuration,
    "pickles to a spawned worker": spawned,
}
"""The checks of a source by name, in their order; a check that fails raises `CheckError`."""


def expect_equal(found: object, expected: object, location: str) -> None:
    """Checks that two values of samples are equal; they may hold arrays and tensors.

    Raises:
        CheckError: they are not; `location` is part of the message.
    """
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        expect(list(found) == list(expected), f"columns of {location}", list(found), list(expected))
        for key, value in expected.items():
            expect_equal(found[key], value, f"{location}[{key!r}]")
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        expect(len(found) == len(expected), f"length of {location}", len(found), len(expected))
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            expect_equal(one, other, f"{location}[{number}]")
    elif isinstance(expected, np.ndarray | torch.Tensor):
        one, other = np.asarray(found), np.asarray(expected)
        same = one.dtype == other.dtype and one.shape == other.shape
        same = same and one.tobytes() == other.tobytes()
        expect(same, location, f"{found!r:.60}", f"{expected!r:.60}")
    else:
        same = type(found) is type(expected) and (
            found == expected or _bytes(found) == _bytes(expected)
        )
        expect(bool(same), location, f"{found!r:.60}", f"{expected!r:.60}")


def _indices(samples: Sequence[object]) -> list[int]:
    """Returns the numbers of the first samples, and of the last."""
    return sorted({*range(min(len(samples), MOST)), *([len(samples) - 1] if len(samples) else [])})


def _bytes(value: object) -> bytes:
    """Returns bytes that are the same for equal values, whatever objects the values share."""
    if isinstance(value, Mapping):
        return b"".join(pickle.dumps(key) + _bytes(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return b"".join(map(_bytes, value)) + str(len(value)).encode()
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value)
        return f"{array.dtype}{array.shape}".encode() + array.tobytes()
    return pickle.dumps(value)


def _read_in_worker(parcel: bytes) -> bytes:
    samples, indices = pickle.loads(parcel)
    return pickle.dumps([samples[index] for index in indices])
