"""The checks of a source: what the rest of unitf relies on in one."""

import json
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unitf.data.source import Source
from unitf.data.stream import StreamSource
from unitf.errors import UserError
from unitf.registry.configurable import remade
from unitf.testing.checks import Skip
from unitf.testing.subject import CheckError, expect, seeded

MOST = 32  # samples of a split that are looked at
NO_SPLIT = "no_such_split"


class SourceSubject:
    """The source under test.

    Args:
        make: makes the source, anew each time.
        root: the folder to which its relative paths refer.
        columns: the columns that its samples have between them.
    """

    def __init__(self, make: Callable[[], Source], root: Path, columns: Sequence[str]) -> None:
        self.make = make
        self.root = root
        self.columns = columns
        self.source = self.fresh()
        self.read: dict[str, Any] = {s: self.source.read(s, root) for s in self._splits()}

    def fresh(self) -> Source:
        """The source, made anew."""
        made: Any = self.make()
        expect(isinstance(made, Source), "the source", type(made).__name__, "a unitf.Source")
        return made

    def _splits(self) -> list[str]:
        names: Any = self.source.splits()
        right = isinstance(names, list) and all(isinstance(name, str) for name in names)
        expect(right, "splits()", names, "a list of names")
        expect(len({*names}) == len(names), "splits()", names, "each name once")
        return names

    @property
    def some(self) -> dict[str, Any]:
        """The splits that have samples."""
        return {split: samples for split, samples in self.read.items() if len(samples)}

    def expect_same(self, other: Source, where: str, root: Path | None = None) -> None:
        """That another source has the samples of this one."""
        for split, samples in self.read.items():
            again = other.read(split, self.root if root is None else root)
            place = f"{split} {where}"
            expect(len(again) == len(samples), place, f"{len(again)} samples", len(samples))
            for index in _indices(samples):
                expect_equal(again[index], samples[index], f"{split}[{index}] {where}")


def splits(subject: SourceSubject) -> str:
    """Every split is a sequence; one has samples, and a split that is not there has none."""
    for split, samples in subject.read.items():
        right = isinstance(samples, Sequence)  # a list, or what subclasses it
        expect(right, f"read({split!r})", type(samples).__name__, "a sequence of samples")
    expect(bool(subject.some), "read", "no samples in any split", "some")
    other = subject.source.read(NO_SPLIT, subject.root)
    expect(len(other) == 0, f"read({NO_SPLIT!r})", f"{len(other)} samples", "an empty sequence")
    return ", ".join(f"{split} {len(samples):,}" for split, samples in subject.read.items())


def columns(subject: SourceSubject) -> str:
    """A sample is a dictionary of columns, and has those that are expected."""
    found: dict[str, str] = {}
    for split, samples in subject.some.items():
        for index in _indices(samples):
            sample: Any = samples[index]
            place = f"{split}[{index}]"
            expect(isinstance(sample, Mapping), place, type(sample).__name__, "a dictionary")
            names = [name for name in sample if not isinstance(name, str)]
            expect(not names, place, f"the column {names[:1]}", "names of columns")
            there = {k: type(v).__name__ for k, v in sample.items() if v is not None}
            expect(bool(there), place, "no column", "some")
            found |= there
    lacking = [name for name in subject.columns if name not in found]
    expect(not lacking, "columns", ", ".join(found), f"also {', '.join(lacking)}")
    return ", ".join(f"{name} ({kind})" for name, kind in found.items())


def indexing(subject: SourceSubject) -> str:
    """A split ends where its length says so."""
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
    """A sample is the same whenever it is read, whatever the global seeds are."""
    for split, samples in subject.some.items():
        for index in _indices(samples):
            expect_equal(samples[index], samples[index], f"{split}[{index}] read twice")
    with seeded(1):
        subject.expect_same(subject.source, "read again")
    with seeded(2):
        subject.expect_same(subject.fresh(), "of a source made anew")


def streams(subject: SourceSubject) -> str:
    """Shards of a stream have all samples between them, and none twice."""
    source = subject.source
    if not isinstance(source, StreamSource):
        raise Skip("it is no stream")
    whole = _shard(source, subject.root, 0, 1)
    expect(bool(whole), "stream('train')", "no samples", "some")
    again = _shard(source, subject.root, 0, 1)
    expect(again == whole, "stream('train') again", "other samples", "the same in the same order")
    for count in (2, 3) if len(whole) < MOST else ():  # the whole of a long one is not known
        parts = [_shard(source, subject.root, number, count) for number in range(count)]
        found = sum(map(len, parts))
        expect(found == len(whole), f"{count} shards", f"{found} samples", len(whole))
        same = sorted(sample for part in parts for sample in part) == sorted(whole)
        expect(same, f"{count} shards", "other samples", "those of the whole stream, none twice")
    return f"{len(whole)} samples"


def _shard(source: StreamSource, root: Path, number: int, count: int) -> list[bytes]:
    return [_bytes(sample) for sample in islice(source.stream("train", root, number, count), MOST)]


def elsewhere(subject: SourceSubject) -> str:
    """Where its files are not, it says so in one line, or needs none."""
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
    """Its own configuration makes it again."""
    settings = json.loads(json.dumps(subject.source.configuration()))
    subject.expect_same(remade(settings), "of the remade one")


def spawned(subject: SourceSubject) -> None:
    """Its samples are read in a data worker of its own interpreter as they are here."""
    for split, samples in subject.some.items():
        chosen = _indices(samples)
        parcel = pickle.dumps((samples, chosen))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            there = pickle.loads(pool.submit(_read_there, parcel).result(timeout=300))
        for index, sample in zip(chosen, there, strict=True):
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


def expect_equal(found: Any, expected: Any, place: str) -> None:
    """That two values of samples are equal, arrays and tensors too."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        expect(list(found) == list(expected), f"columns of {place}", list(found), list(expected))
        for key, value in expected.items():
            expect_equal(found[key], value, f"{place}[{key!r}]")
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        expect(len(found) == len(expected), f"length of {place}", len(found), len(expected))
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            expect_equal(one, other, f"{place}[{number}]")
    elif isinstance(expected, np.ndarray | torch.Tensor):
        one, other = np.asarray(found), np.asarray(expected)
        same = one.dtype == other.dtype and one.shape == other.shape
        same = same and one.tobytes() == other.tobytes()
        expect(same, place, f"{found!r:.60}", f"{expected!r:.60}")
    else:
        same = type(found) is type(expected) and (
            found == expected or _bytes(found) == _bytes(expected)
        )
        expect(bool(same), place, f"{found!r:.60}", f"{expected!r:.60}")


def _indices(samples: Any) -> list[int]:
    """The first samples, and the last."""
    return sorted({*range(min(len(samples), MOST)), *([len(samples) - 1] if len(samples) else [])})


def _bytes(value: Any) -> bytes:
    """What a value is, whatever objects it shares."""
    if isinstance(value, Mapping):
        return b"".join(pickle.dumps(key) + _bytes(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return b"".join(map(_bytes, value)) + str(len(value)).encode()
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value)
        return f"{array.dtype}{array.shape}".encode() + array.tobytes()
    return pickle.dumps(value)


def _read_there(parcel: bytes) -> bytes:
    samples, indices = pickle.loads(parcel)
    return pickle.dumps([samples[index] for index in indices])
