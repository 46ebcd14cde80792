"""Source: the base class of everything that samples come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.proposal import Proposal
from unitf.registry.configurable import Configurable


class Source(Configurable, ABC):
    """Samples by split.

    The usual splits are train, validation and test. A source may have further test splits, whose
    names begin with "test" (`test_noisy`); each is reported on its own.

    A subclass may have the static method `examples(root)` for `unitf plugins check`. It writes a
    few files into the folder `root`, and returns the arguments of the constructor.
    """

    @classmethod
    def recognise(cls, path: Path) -> Proposal | None:
        """Says whether this source can read what a person gives to `unitf fit PATH`.

        It looks at names and at the beginning of files; it should take no more than a second. The
        columns are those of the samples that the proposed source then reads.

        Args:
            path: an existing file or folder. Paths in the settings are relative to its parent, as
                `path.name` is.

        Returns:
            The arguments of the constructor; None: this is nothing for this source.
        """
        return None

    @abstractmethod
    def read(self, split: str, root: Path) -> Sequence[Sample]:
        """Returns the samples of a split: indexable, with a length; empty without such a split.

        A sample is a dictionary of columns. A large value (an image, a sound) may be a path or
        the bytes of a file; the tokenizer reads it in a data worker.

        The sequence may have two more methods. `name(index)` returns what a person calls a sample,
        such as its file. `at(index, seed, epoch)` returns a training sample that is another one in
        each epoch; it depends on these numbers alone.

        Args:
            split: "train", "validation", "test", …
            root: the folder to which relative paths in the configuration refer.

        Raises:
            UserError: a file is missing or damaged, or has the wrong format.
        """

    def to_predict(self, path: Path, root: Path) -> Sequence[Sample] | None:
        """Returns the samples to predict of a table that `unitf predict --input TABLE` names.

        A source overrides it whose samples are not rows. The sequence then has two more methods.
        `restored(index, prediction)` returns a sample and its prediction in the terms of the table,
        for instance in its unit. `rows(predictions)` returns such predictions, each with the
        `index` of its sample, as the rows of a table.

        Args:
            path: the table.
            root: the folder to which relative paths in the configuration refer.

        Returns:
            None: the table is read as usual, a sample in each row.

        Raises:
            UserError: the table lacks something.
        """
        return None

    def splits(self) -> list[str]:
        """Returns the splits that this source can have."""
        return ["train", "validation", "test"]
