"""TargetTask: the base class of tasks that predict the tokens of a target sequence."""

from abc import ABC
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.features import Features
from unitf.tasks.common.target_sequence import TargetPositions, ended, moved
from unitf.tasks.heads.pooling import LearnedToken
from unitf.tasks.task import Task, Tokenizers
from unitf.tokenizer.position_embedding import LearnedPositions
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens

StartToken = int | Literal["learned", "tokenizer"]


class TargetTask(Task, ABC):
    """A task whose decoder reads the true target, one token behind what it predicts.

    Args:
        inputs: the columns of the source, whose tokens are joined.
        target: the column to predict.
        tokenizer: the name of the target's tokenizer; None: the target's name.
        start: what comes before the first token; see SequenceToSequence.
        end: whether the tokenizer's end token is predicted after the last token.
        target_positions: the positions of the target; None: those of the tokenizer.
    """

    causal: bool | None = True

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        tokenizer: str | None,
        start: StartToken,
        end: bool,
        target_positions: TargetPositions | None,
        weight: float,
    ) -> None:
        super().__init__(inputs, target, weight)
        self.target_tokenizer: str | None = target if tokenizer is None else tokenizer
        self.start_with: StartToken = start
        self.end: bool = end
        self.target_positions: TargetPositions | None = target_positions

    @property
    def unembeds(self) -> frozenset[str]:
        """The tokenizer of the target."""
        return frozenset({str(self.target_tokenizer)})

    def encode_target(self, sample: Sample) -> Int[Tensor, ""]:
        """Returns the number of bytes of a text in UTF-8, for bits per byte; 0: it is no text."""
        value = self._raw_target(sample)
        text = value.encode() if isinstance(value, str) else value
        return torch.tensor(len(text) if isinstance(text, bytes) else 0)

    def encode_sequence(self, features: Features, tokenizer: Tokenizer) -> Features:
        """Returns the target with its end token, unless it was cut.

        Raises:
            UserError: the target has more tokens than `target_positions`.
        """
        sequence = ended(features, tokenizer) if self.end else features
        most = None if self.target_positions is None else self.target_positions.max_tokens
        if most is not None and sequence.num_tokens > most:
            raise UserError(
                f"target {self.target!r}: {sequence.num_tokens} tokens, "
                f"expected at most {most} (target_positions)"
            )
        return sequence

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of target tokens."""
        return self._sequence(batch).num_tokens

    def make_parameters(self, dim: int) -> None:
        """Creates the start token and the positions of the target, if they are learned."""
        self.start_token: LearnedToken | None = None
        if self.start_with == "learned":
            self.start_token = LearnedToken(dim, position=-1.0)  # the first real one has position 0
        self.positions: LearnedPositions | None = None
        if (settings := self.target_positions) is not None:
            self.positions = LearnedPositions(dim, (settings.max_tokens,), settings.offset)

    def _read_so_far(self, batch: TaskBatch, tokenizers: Tokenizers) -> Tokens:
        """Returns what the decoder reads: a start token, then the true target."""
        features, tokenizer = self._sequence(batch), self._tokenizer(tokenizers)
        if self.start_token is not None:
            start = self.start_token(features.num_sequences)
            return Tokens.concat([start, tokenizer(features, positions=self.positions)])
        later = moved(features, self._first(tokenizer))
        return tokenizer(later, positions=self.positions)

    def _start(
        self, tokenizer: Tokenizer, count: int, device: torch.device
    ) -> tuple[list[int], Tokens]:
        """Returns the ids, and the tokens, with which each of `count` sequences begins."""
        if self.start_token is not None:
            return [], self.start_token(count)
        first = self._first(tokenizer)
        position = torch.tensor(tokenizer.position_of(0), device=device)
        features = Features(
            torch.full((count,), first, device=device),
            position[:, None].expand(-1, count),
            (1,) * count,
        )
        return [first], tokenizer.without_prefix(features, positions=self.positions)

    def _first(self, tokenizer: Tokenizer) -> int:
        """Returns the id before the first token."""
        first = tokenizer.start_id if self.start_with == "tokenizer" else int(self.start_with)
        if first is None or tokenizer.vocabulary_size is None:
            raise UserError(
                f"{self.target}: {type(tokenizer).__name__} has no start token, "
                "expected start: learned"
            )
        return first

    def _sequence(self, batch: TaskBatch) -> Features:
        assert batch.sequence is not None  # the data worker encodes it with `target_tokenizer`
        return batch.sequence

    def _tokenizer(self, tokenizers: Tokenizers) -> Tokenizer:
        return tokenizers[str(self.target_tokenizer)]
