"""Text encoders on real sentences of different lengths, against transformers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.workload import Side, Workload, precision
from benchmarks.speed.workloads.common import (
    CLS,
    PAD,
    SEP,
    VOCABULARY,
    batch_of,
    learner_of,
    packed,
    padded,
    side,
    tokenized,
)

_BATCH, _BATCHES = 64, 2
_SIZES: dict[str, Any] = {  # the sizes of MiniLM
    "vocab_size": VOCABULARY,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "num_labels": 2,
}


def _bert() -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(intermediate_size=1536, **_SIZES))


def _modern_bert() -> Any:
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    config = ModernBertConfig(
        intermediate_size=1024,
        pad_token_id=PAD,
        cls_token_id=CLS,
        sep_token_id=SEP,
        bos_token_id=CLS,
        eos_token_id=SEP,
        **_SIZES,
    )
    return ModernBertForSequenceClassification(config)


def _texts(grouped: bool) -> list[tuple[tuple[int, ...], ...]]:
    """Returns the batches; `grouped` batches have similar lengths, as with `group_by_length`."""
    texts = list(tokenized(_BATCH * _BATCHES * 8))
    if grouped:  # eight times as many texts are sorted, and every eighth batch is taken
        texts.sort(key=len, reverse=True)
        all_batches = [tuple(texts[n : n + _BATCH]) for n in range(0, len(texts), _BATCH)]
        return all_batches[4::8]
    return [tuple(texts[n * _BATCH : (n + 1) * _BATCH]) for n in range(_BATCHES)]


def _labels(number: int) -> Tensor:
    return torch.arange(_BATCH) % 2


def _ours(make: Callable[[], Any], dtype: torch.dtype, train: bool, grouped: bool) -> Side:
    learner = learner_of(make())
    [task] = learner.tasks
    batches = _texts(grouped)
    axes = learner.tokenizers["text"].num_axes
    prepared = [
        batch_of(task, {"text": packed(b, axes)}, _labels(n)) for n, b in enumerate(batches)
    ]
    calls = [lambda b=b: learner(b)[task] for b in prepared]
    losses = [lambda b=b: learner.loss(b) for b in prepared] if train else None
    return side(learner, _count(batches), calls, losses, dtype, counted=True)


def _theirs(make: Callable[[], Any], dtype: torch.dtype, train: bool, grouped: bool) -> Side:
    published = make()
    batches = _texts(grouped)
    inputs = []
    for number, texts in enumerate(batches):
        ids, mask = padded(texts)
        inputs.append({"input_ids": ids, "attention_mask": mask, "labels": _labels(number)})
    calls = [lambda i=i: published(**i).logits for i in inputs]
    losses = [lambda i=i: published(**i).loss for i in inputs] if train else None
    return side(published, _count(batches), calls, losses, dtype, counted=False)


def _count(batches: list[tuple[tuple[int, ...], ...]]) -> int:
    return sum(len(text) for texts in batches for text in texts)


def _workload(
    name: str,
    must: float | None,
    aim: float | None,
    half: bool = False,
    train: bool = False,
    grouped: bool = False,
    make: Callable[[], Any] = _bert,
    shares: tuple[float | None, float | None] = (None, None),
    quick: bool = False,
) -> Workload:
    dtype = torch.bfloat16 if half else torch.float32
    how = "grouped by length" if grouped else "dynamic padding"
    model = "BERT" if make is _bert else "ModernBERT"
    return Workload(
        f"{name}-{'bfloat16' if half else 'float32'}",
        f"transformers {model}, {how}",
        "tokens",
        partial(_ours, make, dtype, train, grouped),
        partial(_theirs, make, dtype, train, grouped),
        must,
        aim,
        share_must=shares[0],
        share_aim=shares[1],
        **precision(half),
        quick=quick,
    )


WORKLOADS = [
    _workload("bert-train", 3.0, 4.5, train=True, shares=(0.55, 0.70), quick=True),
    _workload("bert-train", 3.3, 4.5, half=True, train=True, shares=(0.18, 0.30)),
    _workload("bert-train-grouped", 2.0, 2.6, train=True, grouped=True),
    _workload("bert-infer", 3.5, 4.7, shares=(0.60, 0.78)),
    _workload("bert-infer", 3.8, 5.0, half=True, shares=(0.30, 0.42)),
    _workload("modernbert-train", None, None, train=True, make=_modern_bert),
    _workload("modernbert-infer", None, None, make=_modern_bert),
]
