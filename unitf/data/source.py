"""Source: where samples come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from unitf.batch import Sample
from unitf.registry.configurable import Configurable


class Source(Configurable, ABC):
    """Samples by split. The usual splits are train, validation and test; others may follow test
    with a name that begins with "test" (`test_noisy`), and each is reported on its own.
    """

    @abstractmethod
    def read(self, split: str, root: Path) -> Sequence[Sample]:
        """The samples of a split: indexable, with a length; empty if the source has no such split.

        A sample is a dictionary of columns. A large value (an image, a sound) may be a path or
        the bytes of a file: the tokenizer reads it, in a data worker.

        Args:
            split: "train", "validation", "test", …
            root: the folder to which relative paths in the configuration refer.

        Raises:
            UserError: the file is not there or not what it should be.
        """

    def splits(self) -> list[str]:
        """The splits that this source can have."""
        return ["train", "validation", "test"]
