"""Language models: training on samples and on blocks, and generation, against transformers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.workload import Side, Workload, precision
from benchmarks.speed.workloads.common import (
    batch_of,
    learner_of,
    packed,
    padded,
    side,
    tokenized,
)
from unitf.generation import Generation, generate
from unitf.inference import evaluating

_LARGE, _SMALL = 50_257, 2_000
_NEW = 48


def _gpt2(vocabulary: int = _LARGE) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=vocabulary, n_embd=384, n_layer=6, n_head=6)
    config.bos_token_id = config.eos_token_id = (
        None  # so that both generate the same number of tokens
    )
    return GPT2LMHeadModel(config)


def _llama(vocabulary: int = _LARGE) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


# ---- training -------------------------------------------------------------------------------


def _samples() -> list[tuple[tuple[int, ...], ...]]:
    texts = tokenized(64)
    return [texts[:32], texts[32:]]


def _blocks() -> list[tuple[tuple[int, ...], ...]]:
    ids = [i for text in tokenized(400) for i in text]
    return [tuple(tuple(ids[n * 256 : (n + 1) * 256]) for n in range(s, s + 4)) for s in (0, 4)]


def _ours(
    make: Callable[[], Any], batches: Callable[[], Any], train: bool, dtype: torch.dtype
) -> Side:
    learner = learner_of(make())
    prepared = [batch_of("next_token", {"text": packed(texts)}, None) for texts in batches()]
    calls = [lambda b=b: learner.loss(b)[None] for b in prepared]
    losses = [lambda b=b: learner.loss(b) for b in prepared] if train else None
    return side(learner, _count(batches()), calls, losses, dtype, counted=True)


def _padded(
    make: Callable[[], Any], batches: Callable[[], Any], train: bool, dtype: torch.dtype
) -> Side:
    published = make()
    inputs = []
    for texts in batches():
        ids, mask = padded(texts)
        labels = ids.masked_fill(mask == 0, -100)
        inputs.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return _peer(published, inputs, _count(batches()), train, dtype)


def _flattened(
    make: Callable[[], Any], batches: Callable[[], Any], train: bool, dtype: torch.dtype
) -> Side:
    """`DataCollatorWithFlattening`; without `use_cache=False` SDPA would leak across samples."""
    from transformers import DataCollatorWithFlattening

    collate = DataCollatorWithFlattening()
    inputs = [
        {**collate([{"input_ids": list(text)} for text in texts]), "use_cache": False}
        for texts in batches()
    ]
    return _peer(make(), inputs, _count(batches()), train, dtype)


def _peer(published: Any, inputs: list[Any], count: int, train: bool, dtype: torch.dtype) -> Side:
    calls = [lambda i=i: published(**i).loss[None] for i in inputs]
    losses = [lambda i=i: published(**i).loss for i in inputs] if train else None
    return side(published, count, calls, losses, dtype, counted=False)


def _count(batches: list[tuple[tuple[int, ...], ...]]) -> int:
    return sum(len(text) for texts in batches for text in texts)


def _training(
    name: str,
    how: str,
    theirs: Callable[..., Side],
    batches: Callable[[], Any],
    must: float | None,
    aim: float | None,
    half: bool = False,
    shares: tuple[float | None, float | None] = (None, None),
    make: Callable[..., Any] = _gpt2,
) -> Workload:
    dtype = torch.bfloat16 if half else torch.float32
    model = "GPT-2" if make is _gpt2 else "Llama"
    return Workload(
        f"{name}-{'bfloat16' if half else 'float32'}",
        f"transformers {model}, {how}",
        "tokens",
        partial(_ours, make, batches, True, dtype),
        partial(theirs, make, batches, True, dtype),
        must,
        aim,
        share_must=shares[0],
        share_aim=shares[1],
        **precision(half, 0.01),
    )


# ---- generation -----------------------------------------------------------------------------


def _prompts(size: int, vocabulary: int) -> list[list[int]]:
    texts = [text for text in tokenized(400) if len(text) >= 12][:size]
    return [[i % vocabulary for i in text] for text in texts]


def _writes(make: Callable[..., Any], vocabulary: int, size: int) -> Side:
    learner = learner_of(make(vocabulary))
    task, tokenizers = learner.tasks["next_token"], dict(learner.tokenizers.items())
    batch = batch_of("next_token", {"text": packed(_prompts(size, vocabulary))})
    settings = Generation(max_tokens=_NEW)

    @torch.inference_mode()
    def write() -> Tensor:
        prompt = task.prompt(batch.task_batches["next_token"], tokenizers)
        sequences = generate(learner.core, prompt, settings)
        return torch.tensor([one.tokens for one in sequences])

    def run() -> Any:
        with evaluating(learner):
            return write()

    read = _read_by(learner, vocabulary)
    return Side(run, size * _NEW, run, read=read * _NEW if size == 1 else None)


def _read_by(learner: Any, vocabulary: int) -> float:
    """Returns the bytes of weights that a new token reads: all but the rest of the input table."""
    table = vocabulary * learner.config.dim  # as the output layer
    return 4.0 * (sum(p.numel() for p in learner.core.parameters()) + table)


def _generates(make: Callable[..., Any], vocabulary: int, size: int, static: bool) -> Side:
    published = make(vocabulary).eval()
    prompts = _prompts(size, vocabulary)
    longest = max(map(len, prompts))
    ids = torch.tensor(
        [[0] * (longest - len(p)) + p for p in prompts]
    )  # padded left, as generation needs
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    options: dict[str, Any] = {"cache_implementation": "static"} if static else {}

    @torch.inference_mode()
    def run() -> Tensor:
        generated = published.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=_NEW,
            min_new_tokens=_NEW,
            do_sample=False,
            pad_token_id=0,
            **options,
        )
        return generated[:, longest:]

    return Side(run, size * _NEW, run)


def _generation(
    size: int, vocabulary: int, must: float | None, aim: float | None, **options: Any
) -> Workload:
    make = options.get("make", _gpt2)
    static = options.get("static", False)
    model = "gpt2" if make is _gpt2 else "llama"
    return Workload(
        f"generate-{model}-{vocabulary // 1000}k-batch{size}" + ("-static" if static else ""),
        f"transformers {'GPT-2' if make is _gpt2 else 'Llama'}, generate"
        + (", static cache" if static else ""),
        "tokens",
        partial(_writes, make, vocabulary, size),
        partial(_generates, make, vocabulary, size, static),
        must,
        aim,
        limit="read" if size == 1 else None,
        share_must=0.70 if size == 1 else None,
        share_aim=0.85 if size == 1 else None,
        tolerance=0.0,
        quick=options.get("quick", False),
    )


WORKLOADS = [
    _training("gpt2-samples-padded", "dynamic padding", _padded, _samples, 3.5, 4.7),
    _training("gpt2-samples-flat", "flattened samples", _flattened, _samples, 1.2, 1.4),
    _training("gpt2-blocks", "blocks of 256", _padded, _blocks, 1.2, 1.4, shares=(0.52, 0.62)),
    _training(
        "gpt2-blocks", "blocks of 256", _padded, _blocks, 1.3, 1.6, half=True, shares=(0.17, 0.25)
    ),
    _training("llama-blocks", "blocks of 256", _padded, _blocks, None, None, make=_llama),
    _generation(1, _LARGE, 1.35, 1.6, quick=True),
    _generation(8, _LARGE, 1.3, 1.8),
    _generation(1, _SMALL, 1.8, 2.5),
    _generation(8, _SMALL, 1.5, 2.2),
    _generation(1, _LARGE, None, None, make=_llama),
    _generation(8, _LARGE, None, None, static=True),
]
