"""Generation: the settings for how tokens are chosen and when a sequence ends."""

import math
from dataclasses import dataclass, field

from unitf.errors import UserError
from unitf.registry.configurable import Configurable


@dataclass(frozen=True)
class Generation(Configurable):
    """How tokens are chosen and when a sequence ends; by default the likeliest token is taken.

    The logits are changed in the same order as in transformers: repetition penalty, `answers` or
    `allowed`, temperature, top_k, top_p, min_p.

    Args:
        max_tokens: the maximum number of tokens of a sequence, without the tokens of `begin`.
        begin: what every sequence begins with, as ids of tokens or as a text: for example a model's
            tokens for language and task, or the first words.
        context: the maximum number of last tokens that are read. A sequence that is longer
            continues from the last half of them, so that a language model with relative positions
            (such as rotary) can write more than the length that it was trained on. None: all
            tokens are read.
        temperature: logits are divided by it, and tokens are drawn; 0: the likeliest is taken.
        top_k: tokens are drawn only from this number of likeliest tokens.
        top_p: tokens are drawn only from the likeliest ones that together have this probability.
        min_p: tokens are drawn only if their probability is at least `min_p` times that of the
            likeliest token.
        repetition_penalty: logits of tokens that the sequence holds already are divided by it, or
            multiplied where they are negative (Keskar et al., 2019).
        num_beams: how many sequences a beam search follows at a time; 1: no search.
        length_penalty: in a beam search the score of a sequence is its
            log-probability / length^length_penalty.
        early_stopping: a beam search ends as soon as `num_beams` sequences are complete.
        num_returns: how many sequences are returned for each sample: drawn ones, or the best beams
            (fewer, if there are fewer answers).
        stop: what ends a sequence beside the tokenizer's end token: ids of tokens, or texts, which
            are cut off.
        answers: the only texts that may be generated.
        allowed: the ids of the only tokens that may be generated; ignored if there are `answers`.
        seed: the seed for drawing; the sequences of a sample depend on no other sample.
    """

    max_tokens: int = 256
    begin: list[int] | str | None = None
    context: int | None = None
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False
    num_returns: int = 1
    stop: list[int | str] = field(default_factory=list)
    answers: list[str] | None = None
    allowed: list[int] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "num_beams", "num_returns", "top_k"):
            value = getattr(self, name)
            self._check(value is None or value >= 1, name, "1 or more")
        self._check(self.context is None or self.context >= 2, "context", "2 or more")
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            self._check(value is None or 0 < value <= 1, name, "above 0 and at most 1")
        self._check(0 <= self.temperature < math.inf, "temperature", "0 or more, and finite")
        self._check(abs(self.length_penalty) <= 100, "length_penalty", "a number from -100 to 100")
        for name in ("answers", "stop"):
            self._check(not isinstance(getattr(self, name), str), name, "a list")
        self._check(self.repetition_penalty > 0, "repetition_penalty", "above 0")
        for name in ("answers", "allowed"):
            self._check(getattr(self, name) != [], name, "at least one")
        self._check("" not in self.stop, "stop", "texts that are not empty")
        if self.temperature and self.num_beams > 1:
            raise UserError(
                f"beams take the likeliest tokens: expected temperature 0 or num_beams 1, found "
                f"{self.temperature:g} and {self.num_beams}"
            )
        most = self.num_beams if self.num_beams > 1 or not self.temperature else self.num_returns
        if self.num_returns > most:
            raise UserError(
                f"num_returns: expected at most num_beams {self.num_beams}, or a temperature "
                f"above 0, found {self.num_returns}"
            )
        if not self.temperature:
            for name in ("top_k", "top_p", "min_p"):
                self._check(getattr(self, name) is None, name, "a temperature above 0 with it")

    def _check(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise UserError(f"{name}: expected {expected}, found {getattr(self, name)}")
