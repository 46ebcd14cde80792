"""A source that keeps to everything, and others that each break one thing."""

import itertools
import random
from collections.abc import Sequence

import numpy as np

import unitf
from unitf.data import StreamSource

COUNTS = {"train": 5, "validation": 2}


class Good(unitf.Source):
    """Lines of a text file that stands in a folder, and their lengths."""

    def __init__(self, file="lines.txt", upper=False):
        self.file = file
        self.upper = upper

    def read(self, split, root):
        try:
            text = (root / self.file).read_text(encoding="utf-8")
        except OSError:
            raise unitf.UserError(f"{root / self.file}: there is no such file") from None
        lines = (text.upper() if self.upper else text).splitlines()
        first = 0 if split == "train" else COUNTS["train"]
        return [self.sample(line) for line in lines[first : first + COUNTS.get(split, 0)]]

    def sample(self, line):
        return {"text": line, "size": len(line), "codes": np.array(list(map(ord, line)))}

    @staticmethod
    def examples(root):
        (root / "lines.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
        return {"upper": True}


class Twice(Good):
    def splits(self):
        return ["train", "train"]


class Dataset(Good):
    """What it reads has a length and an index, and is no Sequence."""

    def read(self, split, root):
        return _Dataset(super().read(split, root))


class _Dataset:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Generator(Good):
    def read(self, split, root):
        return (sample for sample in super().read(split, root))


class Endless(Good):
    """Any split's name gives the training samples."""

    def read(self, split, root):
        return super().read("train", root)


class Nothing(Good):
    def read(self, split, root):
        return super().read(split, root)[:0]


class Tuples(Good):
    def sample(self, line):
        return line, len(line)


class Numbered(Good):
    def sample(self, line):
        return {0: line}


class Ring(Good):
    """After the last sample comes the first again."""

    def read(self, split, root):
        return _Ring(super().read(split, root))


class _Ring(Sequence):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index % len(self.samples)]


class KeyErrors(Good):
    def read(self, split, root):
        return _Lookup(super().read(split, root))


class _Lookup(_Ring):
    def __getitem__(self, index):
        return dict(enumerate(self.samples))[index]


class Restless(Good):
    """Each look at a sample adds other noise."""

    def read(self, split, root):
        return _Noisy(super().read(split, root))


class _Noisy(_Ring):
    def __getitem__(self, index):
        return {**self.samples[index], "noise": random.random()}


class Shuffled(Good):
    def read(self, split, root):
        samples = super().read(split, root)
        random.shuffle(samples)
        return samples


class Raises(Good):
    def read(self, split, root):
        text = (root / self.file).read_text(encoding="utf-8")
        return super().read(split, root) if text else []


class Hides(Good):
    """A missing file is a split without samples."""

    def read(self, split, root):
        return super().read(split, root) if (root / self.file).is_file() else []


class TwoLines(Good):
    def read(self, split, root):
        try:
            return super().read(split, root)
        except unitf.UserError as error:
            raise unitf.UserError(f"{error}\nis it elsewhere?") from None


class Forgetful(Good):
    def configuration(self):
        return {**super().configuration(), "init_args": {}}


class Unpicklable(Good):
    def sample(self, line):
        return {"text": line, "reader": lambda: line}


class Local(Good):
    """Its samples are read from where only this process is."""

    def read(self, split, root):
        return _Local(super().read(split, root))


class _Local(_Ring):
    home = None

    def __init__(self, samples):
        super().__init__(samples)
        type(self).home = "here"

    def __getitem__(self, index):
        return {**self.samples[index], "home": type(self).home}


class Stream(StreamSource):
    """Numbers, one after the other."""

    def stream(self, split, root, shard, num_shards):
        counts = {"train": 7, "validation": 2}
        for number in range(shard, counts.get(split, 0), num_shards):
            yield {"number": number}


class Doubled(Stream):
    """Each shard has all samples."""

    def stream(self, split, root, shard, num_shards):
        return super().stream(split, root, 0, 1)


class Overlapping(Stream):
    """As many samples as there are, but some twice."""

    def stream(self, split, root, shard, num_shards):
        found = super().stream(split, root, shard, num_shards)
        return ({"number": 0} if num_shards > 1 else sample for sample in found)


class Reordered(Stream):
    turns = itertools.count()

    def stream(self, split, root, shard, num_shards):
        samples = list(super().stream(split, root, shard, num_shards))
        return iter(samples[:: -1 if next(self.turns) % 2 and split == "train" else 1])


class IgnoresSplit(Good):
    def read(self, split, root):
        return super().read("train", root) if split in self.splits() else []
