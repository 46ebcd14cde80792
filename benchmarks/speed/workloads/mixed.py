"""One batch of images, texts and sounds in one core, against a padded batch per modality."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.speed.workload import Side, Workload
from benchmarks.speed.workloads.common import floats_of, inference, tokenized, training
from unitf import Tokens, Transformer, TransformerConfig

_DIM, _SIZE = 256, 16


def _lengths() -> dict[str, tuple[int, ...]]:
    """Returns lengths of real texts, of images of three sizes, and of sounds of 1 to 9 s."""
    texts = tuple(len(text) for text in tokenized(_SIZE))
    images = tuple((49, 64, 196)[n % 3] for n in range(_SIZE))
    sounds = tuple(12 + 97 * n % 100 for n in range(_SIZE))
    return {"text": texts, "image": images, "sound": sounds}


def _core() -> Transformer:
    return Transformer(TransformerConfig(dim=_DIM, depth=4, num_heads=4))


def _tokens(lengths: tuple[int, ...]) -> Tokens:
    return Tokens.from_rows(torch.randn(sum(lengths), _DIM), lengths=lengths)


def _packed(train: bool) -> Side:
    core = _core()
    tokens = _tokens(tuple(n for lengths in _lengths().values() for n in lengths))
    return _side(core, [tokens], train, counted=True)


def _padded(train: bool) -> Side:
    batches = [_tokens((max(lengths),) * len(lengths)) for lengths in _lengths().values()]
    return _side(_core(), batches, train, counted=False)


def _side(core: Transformer, batches: list[Tokens], train: bool, counted: bool) -> Side:
    def loss() -> Tensor:
        sums = [core(tokens).matrix.square().sum() for tokens in batches]
        return torch.stack(sums).sum()

    count = sum(sum(lengths) for lengths in _lengths().values())
    if train:
        run = training(core, [loss], torch.float32)
    else:
        run, _ = inference(core, [loss], torch.float32)
    return Side(run, count, None, floats_of(run) if counted else None)


WORKLOADS = [
    Workload(
        f"mixed-{'train' if train else 'infer'}",
        "the same core, a padded batch for each modality",
        "tokens",
        partial(_packed, train),
        partial(_padded, train),
        1.3,
        2.0,
        limit="float32",
        quick=not train,
    )
    for train in (False, True)
]
