"""Translation: a training step and beams of five, against transformers' Marian."""

import gzip
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.workload import Side, Workload, precision
from benchmarks.speed.workloads.common import (
    DATA,
    VOCABULARY,
    batch_of,
    learner_of,
    packed,
    padded,
    side,
)
from unitf.generation import Generation, generate
from unitf.inference import evaluating

_PAD, _END, _BATCH, _NEW = VOCABULARY - 1, 1, 64, 24


@cache
def _pairs() -> tuple[tuple[list[int], list[int]], ...]:
    """Returns sentences of Multi30k and their translations; ids are hashes of words."""
    import zlib

    pairs = []
    files = [DATA / "multi30k-en-fr" / f"train.{language}.gz" for language in ("en", "fr")]
    with gzip.open(files[0], "rt", encoding="utf-8") as a, gzip.open(files[1], "rt") as b:
        for english, french in zip(a, b, strict=True):
            ids = [
                [2 + zlib.crc32(w.encode()) % (VOCABULARY - 3) for w in line.split()] + [_END]
                for line in (english, french)
            ]
            pairs.append((ids[0], ids[1]))
            if len(pairs) == 2 * _BATCH:
                break
    return tuple(pairs)


def _marian() -> Any:
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=256,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        max_position_embeddings=128,
        pad_token_id=_PAD,
        decoder_start_token_id=_PAD,
        eos_token_id=_END,
        bos_token_id=0,
        forced_eos_token_id=None,
        scale_embedding=True,
    )
    return MarianMTModel(config)


def _batches(size: int, count: int) -> list[tuple[tuple[list[int], list[int]], ...]]:
    return [_pairs()[n * size : (n + 1) * size] for n in range(count)]


def _trains(dtype: torch.dtype) -> Side:
    learner = learner_of(_marian())
    [task] = learner.tasks
    [source] = learner.tasks[task].inputs
    prepared = [
        batch_of(task, {source: packed([s for s, _ in b])}, None, packed([t for _, t in b]))
        for b in _batches(_BATCH, 2)
    ]
    calls = [lambda b=b: learner.loss(b)[None] for b in prepared]
    losses = [lambda b=b: learner.loss(b) for b in prepared]
    return side(learner, _targets(), calls, losses, dtype, counted=True)


def _peer_trains(dtype: torch.dtype) -> Side:
    published = _marian()
    inputs = []
    for batch in _batches(_BATCH, 2):
        ids, mask = padded([s for s, _ in batch], _PAD)
        labels, _ = padded([t for _, t in batch], -100)
        inputs.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    calls = [lambda i=i: published(**i).loss[None] for i in inputs]
    losses = [lambda i=i: published(**i).loss for i in inputs]
    return side(published, _targets(), calls, losses, dtype, counted=False)


def _targets() -> int:
    return sum(len(target) for batch in _batches(_BATCH, 2) for _, target in batch)


def _writes(size: int) -> Side:
    learner = learner_of(_marian())
    [name] = learner.tasks
    task, tokenizers = learner.tasks[name], dict(learner.tokenizers.items())
    [source] = task.inputs
    batch = batch_of(name, {source: packed([s for s, _ in _batches(size, 1)[0]])})
    settings = Generation(num_beams=5, max_tokens=_NEW)

    def run() -> Tensor:
        with torch.inference_mode(), evaluating(learner):
            prompt = task.prompt(batch.task_batches[name], tokenizers)
            sequences = generate(learner.core, prompt, settings)
        rows = [torch.tensor(one.tokens) for one in sequences]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_PAD)

    return Side(run, size, run)


def _peer_writes(size: int) -> Side:
    published = _marian().eval()
    ids, mask = padded([s for s, _ in _batches(size, 1)[0]], _PAD)

    @torch.inference_mode()
    def run() -> Tensor:
        generated = published.generate(
            input_ids=ids, attention_mask=mask, num_beams=5, max_new_tokens=_NEW, do_sample=False
        )
        return generated[:, 1:]

    return Side(run, size, run)


WORKLOADS = [
    Workload(
        f"marian-train-{'bfloat16' if half else 'float32'}",
        "transformers Marian, dynamic padding",
        "target tokens",
        partial(_trains, torch.bfloat16 if half else torch.float32),
        partial(_peer_trains, torch.bfloat16 if half else torch.float32),
        must,
        aim,
        **precision(half, 0.01),
    )
    for half, must, aim in ((False, 1.8, 2.3), (True, 1.5, 2.0))
] + [
    Workload(
        f"marian-beams5-batch{size}",
        "transformers Marian, generate, 5 beams",
        "sentences",
        partial(_writes, size),
        partial(_peer_writes, size),
        must,
        1.6,
        tolerance=0.0,
    )
    for size, must in ((1, 1.3), (8, 1.2))
]
