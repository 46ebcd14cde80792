"""Small tokenizers, samples and views for the tests of tasks."""

import torch

from unitf.batch import TaskBatch
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

DIM = 16


class Letters(Tokenizer):
    """A letter a token."""

    vocabulary_size = 27

    def encode(self, value, train=False):
        return Features(torch.tensor([ord(c) % 27 for c in value], dtype=torch.long))


class Triples(Tokenizer):
    """Three numbers a token, on a grid."""

    num_features = 3
    num_axes = 2

    def encode(self, value, train=False):
        values = torch.as_tensor(value, dtype=torch.float32).reshape(3, -1)
        return Features(values, torch.arange(2.0 * values.shape[1]).reshape(2, -1))


def tokenizers(positions="sinusoidal"):
    torch.manual_seed(0)
    made = {"text": Letters(DIM, positions), "image": Triples(DIM, positions)}
    for tokenizer in made.values():
        tokenizer.build(unembed=True)
    return made


def triples(count, seed=0):
    return torch.randn(3, count, generator=torch.Generator().manual_seed(seed)).tolist()


SAMPLES = [
    {"text": "hello", "label": "cat", "value": 3.0},
    {"image": triples(4), "label": "dog", "value": 1.0},
    {"text": "ab", "image": triples(2, seed=1), "label": "cow", "value": -2.0},
    {"text": "", "label": "cat", "value": 0.5},
    {"text": "zebra", "image": None, "label": "dog", "value": 7.0},
]


def view_of(task, samples, made, labelled=True):
    """What the loader hands to a task."""
    features = {}
    for column, name in task.inputs.items():
        none = made[name].empty()
        parts = [none if s.get(column) is None else made[name].encode(s[column]) for s in samples]
        features[column] = (
            Features.pack(parts) if parts else Features(none.values, none.positions, ())
        )
    return TaskBatch(
        features=features,
        target=task.collate([task.encode_target(s) for s in samples]) if labelled else None,
        modalities=tuple("+".join(c for c in task.inputs if s.get(c) is not None) for s in samples),
        names=tuple(str(number) for number in range(len(samples))),
    )


def arranged(task, batch, made):
    return task.join_inputs([made[name](batch.features[c]) for c, name in task.inputs.items()])


def read(task, samples, made, core=None):
    """The view, and what the task reads from the columns of a core (by default: none)."""
    batch = view_of(task, samples, made)
    columns = arranged(task, batch, made)
    if core is not None:
        columns = core(columns, causal=task.causal)
    return batch, task.outputs(columns, batch, made)


def ready(task, samples=SAMPLES, seed=0):
    """The task, fitted and built."""
    task.fit(samples)
    torch.manual_seed(seed)
    task.build(dim=DIM)
    return task.eval()


def random_tokens(lengths, seed=0, dim=DIM):
    generator = torch.Generator().manual_seed(seed)
    return Tokens.from_rows(torch.randn(sum(lengths), dim, generator=generator), lengths)


def figures(task, batch, output, made, sequences=None):
    metrics = task.metrics()
    numbers = range(batch.num_samples) if sequences is None else sequences
    task.update_metrics(metrics, output, batch, made, list(numbers))
    return metrics.compute()
