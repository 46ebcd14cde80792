"""How many tokens each training or evaluation sample has, to fill batches by tokens."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

from unitf.data.encoder import Encoder
from unitf.data.epoch_sampler import SampleIndex
from unitf.data.sample_dataset import SampleDataset


def token_counts(
    dataset: SampleDataset, encoder: Encoder, num_samples: Iterable[int]
) -> list[Int[np.ndarray, " _"]]:
    """Returns the number of tokens of every sample, one array for each source of a dataset.

    Each sample is encoded without augmentation. A training sample that differs in each epoch is
    counted as in the first epoch.

    Args:
        num_samples: the number of samples of each source.
    """
    counts: list[Int[np.ndarray, " _"]] = []
    for source, length in enumerate(num_samples):
        lengths = np.zeros(length, int)
        for index in range(length):
            item = dataset[SampleIndex(source, 0, index)]._replace(train=False)
            try:
                lengths[index] = encoder.num_tokens(item)
            except ValueError:  # the loader reports it when it comes to the sample
                lengths[index] = 1
        counts.append(lengths)
    return counts
