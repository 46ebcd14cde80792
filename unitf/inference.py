"""What a Learner makes of raw samples, in Python: predictions and embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.batch import Sample
from unitf.data.encoder import Encoder
from unitf.tasks.pooling import MeanPooling


@torch.inference_mode()
def predict(learner: Any, samples: Sequence[Sample], batch_size: int) -> list[dict[str, Any]]:
    """What the tasks say of each sample; see `Learner.predict`."""
    encode = Encoder(learner.tokenizers, learner.tasks, labelled=False)
    items = [encode.item(number, sample) for number, sample in enumerate(samples)]
    numbers = {item.name: number for number, item in enumerate(items)}
    predictions: list[dict[str, Any]] = []
    with evaluating(learner):
        for first in range(0, len(items), batch_size):
            batch = encode(items[first : first + batch_size]).to(learner.device)
            predictions += [
                {"index": numbers[prediction.pop("sample")], **prediction}
                for prediction in learner.predict_step(batch)
            ]
    return sorted(predictions, key=lambda prediction: prediction["index"])


@torch.inference_mode()
def embed(learner: Any, samples: Sequence[Sample], batch_size: int) -> Float[Tensor, "S D"]:
    """One vector for each sample; see `Learner.embed`."""
    vectors = torch.zeros(len(samples), learner.config.dim)
    pool = MeanPooling()
    with evaluating(learner):
        for name, numbers in _by_task(learner, samples).items():
            tasks = {n: t for n, t in learner.tasks.items() if name in (n, None)}
            encode = Encoder(learner.tokenizers, tasks, labelled=False)
            for first in range(0, len(numbers), batch_size):
                some = numbers[first : first + batch_size]
                batch = encode([encode.item(i, samples[i]) for i in some]).to(learner.device)
                vectors[some] = pool(learner.columns(batch)[name]).cpu()
    return vectors


def _by_task(learner: Any, samples: Sequence[Sample]) -> dict[str | None, list[int]]:
    """The numbers of the samples by the first task that takes them; None: by no task."""
    groups: dict[str | None, list[int]] = {}
    for number, sample in enumerate(samples):
        taking = (n for n, task in learner.tasks.items() if task.takes(sample, labelled=False))
        groups.setdefault(next(taking, None), []).append(number)
    return groups


@contextmanager
def evaluating(learner: Any) -> Iterator[None]:
    """Without dropout, and afterwards as before."""
    training = learner.training
    learner.eval()
    try:
        yield
    finally:
        learner.train(training)
