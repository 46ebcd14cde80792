"""IndexedSamples: the base of samples that are read when they are asked for by number."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import overload

from unitf.batch import Sample


class IndexedSamples(Sequence[Sample], ABC):
    """A sequence of samples; a subclass has a length and reads one sample by its number."""

    @abstractmethod
    def sample_at(self, index: int) -> Sample:
        """Returns the sample of a number from 0 to the length less one."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        numbers = range(len(self))[index]
        return (
            self.sample_at(numbers)
            if isinstance(numbers, int)
            else [self.sample_at(n) for n in numbers]
        )
