"""Sizes that suit the data: of the core, of a batch, and the length of the training."""

import math
from collections.abc import Sequence

import torch

from unitf.errors import UserError
from unitf.tokenizer.tokenizer import Tokenizer

_COUNTED = 200  # samples whose tokens are counted
_MANY_TOKENS = 100_000  # of an epoch
Core = dict[str, int]


def num_tokens(tokenizer: Tokenizer, values: Sequence[object]) -> list[int]:
    """Returns the numbers of tokens of some values.

    Args:
        tokenizer: a new tokenizer; it is fitted here.
        values: some values of its column.

    Raises:
        UserError: it can encode none of them.
    """
    chosen = values[:: max(1, len(values) // _COUNTED)][:_COUNTED]
    problem: ValueError | None = None
    counts: list[int] = []
    with torch.random.fork_rng(devices=[]):
        tokenizer.fit(values)
        for value in chosen:
            try:
                counts.append(tokenizer.encode(value, False).num_tokens)
            except ValueError as error:
                problem = error
    if not counts:
        raise UserError(f"{type(tokenizer).__name__} encodes no value: {problem}")
    return counts


def core_size(num_samples: int, tokens: float) -> Core:
    """Returns dim, depth and num_heads for so many training samples of so many tokens."""
    total = num_samples * tokens
    if num_samples < 1_000 and total < 1e5:
        return {"dim": 64, "depth": 2, "num_heads": 4}
    if total < 2e7:
        return {"dim": 128, "depth": 4, "num_heads": 4}
    return {"dim": 256, "depth": 6, "num_heads": 8}


def batch_samples(num_samples: int) -> int:
    """Returns how many samples a batch has: more for more data, a power of two from 8 to 128."""
    wanted = math.sqrt(max(1, num_samples)) * 0.8
    return int(min(128, max(8, 2 ** round(math.log2(wanted)))))


def batch_tokens(num_samples: int, tokens: float, longest: int) -> int:
    """Returns the largest number of tokens of a batch: a round number for `batch_samples`.

    Args:
        num_samples: the number of training samples.
        tokens: their mean number of tokens.
        longest: the number of tokens of the longest one.
    """
    wanted = batch_samples(num_samples) * tokens
    return math.ceil(max(256, min(16_384, wanted), longest) / 64) * 64


def num_epochs(num_classes: int) -> int:
    """Returns how often texts are read to tell so many classes apart."""
    return round(6 + 2.3 * math.log2(max(2, num_classes)))


def average_decay(steps_per_epoch: int) -> float:
    """Returns the decay of an average of the weights over the last two epochs."""
    return round(1 - 1 / min(1_000, max(20, 2 * steps_per_epoch)), 4)


def precision(num_samples: int, tokens: float) -> str | None:
    """Returns the precision that this machine computes faster; None: the usual one.

    Few samples are over soon, and every digit of theirs counts.
    """
    on_cuda = torch.cuda.is_available()
    has_bf16 = torch.cuda.is_bf16_supported(False) if on_cuda else _cpu_has_bf16()
    return "bf16-mixed" if has_bf16 and num_samples * tokens >= _MANY_TOKENS else None


def _cpu_has_bf16() -> bool:
    """Returns whether the processor multiplies bfloat16; an older torch does not say."""
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known is not None and known())
