"""Sentences: a text in which each sentence is one token."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unitf import Features, Tokenizer, UserError
from unitf_text.subword_training import learn
from unitf_text.subwords import open_pieces
from unitf_text.text import check_probability, read_text


class Sentences(Tokenizer):
    """A list of sentences (or one), a token each: the sum of its words, each turned by its place.

    What each place of a word multiplies by is learned and begins as the position encoding of
    memory networks (Sukhbaatar et al., 2015). The last sentence stands at position 0, the one
    before it at 1, and so on: what matters in a story is what was said last.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        lowercase: before anything else.
        max_tokens: so many sentences are read, the last ones.
        gaps: the chance that a place before a sentence is left empty in training, so that nothing
            is learned from how many sentences there are.
        options: those of every tokenizer.
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
        """The words of the longest sentence."""
        return self.fitted.get("longest")

    def fit(self, values: Iterable[Any]) -> None:
        sentences: set[str] = set()
        for value in values:
            try:
                sentences.update(self._read(value))
            except UserError:  # whoever encodes it reports it
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

    def _read(self, value: Any) -> list[str]:
        listed = value if isinstance(value, list | tuple) else [value]
        texts = [read_text(text) for text in listed]
        return [text.lower() for text in texts] if self.lowercase else texts

    def encode(self, value: Any, train: bool = False) -> Features:
        """The ids of the words of each sentence, from 1 on; 0 is no word."""
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
        steps[-1:] = 0  # the last one stands at 0
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
        raise UserError("Sentences has no way back from a column to the words of a sentence")

    @staticmethod
    def examples() -> list[Any]:
        """Raw values of this modality, small and varied."""
        return [
            ["Mary went to the kitchen.", "She took the milk there."],
            "Where is the milk?",
            ["Ærø is an island.", "日本 も", "yes"] * 3,
        ]
