"""Sentences: a text in which each sentence is one token."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import Features, Tokenizer, UserError
from unitf_text.reading import read_text
from unitf_text.subword_training import learn
from unitf_text.subwords import open_pieces
from unitf_text.text import check_probability


class Sentences(Tokenizer):
    """A list of sentences (or one sentence) with one token for each: the weighted sum of its words.

    The weights depend on the index of a word in its sentence. They are learned, and begin as the
    position encoding of memory networks (Sukhbaatar et al., 2015). The last sentence has position
    0, the one before it 1, and so on, because the latest sentences of a story matter most.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        lowercase: whether the text is lower-cased first.
        max_tokens: the number of last sentences that are read; None: all.
        gaps: the probability that a position before a sentence stays empty in training, so that
            a model does not learn from the number of sentences.
        options: the options of Tokenizer.
    """

    def __init__(
        self,
        dim: int,
        lowercase: bool = True,
        max_tokens: int | None = None,
        gaps: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(dim, max_tokens=max_tokens, **options)
        check_probability("gaps", gaps)
        self.lowercase = lowercase
        self.gaps = gaps

    @property
    def num_features(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of words of the longest sentence."""
        return self.fitted.get("longest")

    def fit(self, values: Iterable[object]) -> None:
        sentences: set[str] = set()
        for value in values:
            try:
                sentences.update(self._read(value))
            except UserError:  # `encode` reports it
                continue
        if not sentences:
            raise UserError("Sentences: no text in the training data to learn from")
        description, _ = learn("words", sorted(sentences), 20_000, min_count=1)
        pieces = open_pieces(description)
        self.fitted = {
            "tokenizer": description,
            "size": pieces.get_vocab_size(),
            "longest": max(len(pieces.encode(text).ids) for text in sentences),
        }

    def _read(self, value: object) -> list[str]:
        listed = value if isinstance(value, list | tuple) else [value]
        texts = [read_text(text) for text in listed]
        return [text.lower() for text in texts] if self.lowercase else texts

    def encode(self, value: object, train: bool = False) -> Features:
        """Returns the ids of the words of each sentence, from 1 on; 0 means no word."""
        texts = self._read(value)
        texts = texts[-self.max_tokens :] if self.max_tokens else texts
        pieces, longest = open_pieces(self.fitted["tokenizer"]), self.fitted["longest"]
        words = torch.zeros(longest, len(texts))
        for index, text in enumerate(texts):
            ids = pieces.encode(text).ids
            if not 0 < len(ids) <= longest:
                raise UserError(f"{len(ids)} words, expected 1 to {longest}: {text[:60]!r}")
            words[: len(ids), index] = torch.tensor(ids, dtype=torch.float32) + 1
        steps = torch.ones(len(texts))
        steps[-1:] = 0  # the last sentence has position 0
        if train and self.gaps:
            steps += (torch.rand(len(texts)) < self.gaps).float()
        return Features(words, steps.flip(0).cumsum(0).flip(0)[None])

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters()
        self.embedding = nn.Embedding(self.fitted["size"] + 1, self.dim, padding_idx=0)
        nn.init.normal_(self.embedding.weight[1:], std=0.3)
        longest = self.fitted["longest"]
        rows = torch.linspace(-1, 1, longest)[:, None] if longest > 1 else torch.zeros(1, 1)
        self.word_places = nn.Parameter(1 + rows * torch.linspace(-1, 1, self.dim))

    def embed(self, features: Features) -> Float[Tensor, "D N"]:
        assert self.embedding is not None, "build() comes before embed()"
        words = self.embedding(features.rows.long())
        return torch.einsum("nwd,wd->dn", words, self.word_places.to(words.dtype))

    def unembed(self, columns: Float[Tensor, "D N"]) -> Float[Tensor, "_ N"]:
        raise UserError("Sentences cannot turn a column back into the words of a sentence")

    @staticmethod
    def examples() -> list[object]:
        """Raw values of this modality, small and varied."""
        return [
            ["Mary went to the kitchen.", "She took the milk there."],
            "Where is the milk?",
            ["Ærø is an island.", "日本 も", "yes"] * 3,
        ]
