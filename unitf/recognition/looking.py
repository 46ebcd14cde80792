"""Looks at a person's data: makes what was proposed, and reads some samples with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jsonargparse

from unitf import registry
from unitf.batch import Sample
from unitf.data.read_samples import check_samples
from unitf.data.source import Source
from unitf.proposal import Column
from unitf.tasks.task import Task
from unitf.tokenizer.tokenizer import Tokenizer

SHOWN: int = 500  # values of a column that classes are shown


@dataclass(frozen=True)
class Look:
    """What was seen of a source.

    Args:
        source: the source.
        counts: the number of samples of each split that has some.
        samples: some training samples; what they name beside them are the paths of files.
        num_samples: the number of all training samples.
        firsts: the first sample of each split that has some.
    """

    source: Source
    counts: Mapping[str, int]
    samples: Sequence[Sample]
    num_samples: int
    firsts: Mapping[str, Sample]

    @property
    def columns(self) -> list[Column]:
        """The columns of the samples, in their order."""
        names = dict.fromkeys(name for sample in self.samples for name in sample)
        columns: list[Column] = []
        for name in names:
            values = [v for sample in self.samples if (v := sample.get(name)) is not None]
            missing = len(self.samples) - len(values)
            columns.append(Column(name, values, self.num_samples, missing))
        return [column for column in columns if column.values]


def look_at(cls: type, settings: Mapping[str, object], root: Path) -> Look:
    """Makes a source and reads some of its samples, evenly spaced.

    Raises:
        UserError: the source refuses its settings, or what it reads.
    """
    source = cast(Source, made(cls, settings, Source))
    read = {
        split: check_samples(source, split, source.read(split, root)) for split in _splits(source)
    }
    train = read.get("train", [])
    count = min(SHOWN, len(train))  # over all of them: the last classes may stand at the end
    samples = [_with_files(train, number * len(train) // count) for number in range(count)]
    counts = {split: len(samples) for split, samples in read.items() if len(samples)}
    firsts = {split: samples[0] for split, samples in read.items() if len(samples)}
    return Look(source, counts, samples, len(train), firsts)


def _splits(source: Source) -> list[str]:
    return list(dict.fromkeys(["train", *source.splits()]))


def _with_files(samples: Sequence[Sample], index: int) -> Sample:
    """Returns a sample; a text that names a file beside it is the path or the bytes of the file."""
    sample, beside = samples[index], getattr(samples, "beside", None)
    if beside is None:
        return sample
    return {name: _file(beside, index, value) or value for name, value in sample.items()}


def _file(beside: Callable[[int, str], object], index: int, value: object) -> object | None:
    if not isinstance(value, str) or not 0 < len(value) < 256 or "\n" in value:
        return None
    return beside(index, value)


def made(cls: type, settings: Mapping[str, object], expected: object) -> object:
    """Returns an object of a class, with settings as a recipe has them.

    Args:
        cls: the class.
        settings: the arguments of its constructor as plain data.
        expected: the type of what is returned: a base class, or a function that makes one.

    Raises:
        UserError: the class refuses its settings.
    """
    jsonargparse.set_parsing_settings(  # as for a recipe, whose classes are those registered
        import_path_denylist=["*"], import_path_allowlist=sorted(registry.modules())
    )
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--made", type=expected)
    path = f"{cls.__module__}.{cls.__qualname__}"
    settings = {"made": {"class_path": path, "init_args": dict(settings)}}
    return cast(Any, parser.instantiate_classes(parser.parse_object(settings))).made


def made_tokenizer(cls: type, settings: Mapping[str, object], dim: int) -> Tokenizer:
    """Returns a tokenizer; see `made`."""
    make = cast(Callable[[int], Tokenizer], made(cls, settings, Callable[[int], Tokenizer]))
    return make(dim)


def made_task(
    cls: type, settings: Mapping[str, object], inputs: Sequence[str], target: str | None
) -> Task:
    """Returns a task; see `made`."""
    ends = {} if target is None else {"target": target}
    return cast(Task, made(cls, {"inputs": list(inputs), **ends, **settings}, Task))
