"""Recurrent encoder-decoders, the predecessors of the Transformer, with torch's LSTM.

Both encode the source with a bidirectional LSTM and generate with another LSTM, which gets a
context of the source at each step. `FinalState`: always the same vector (Cho et al., 2014).
`AdditiveAttention`: the states of the source, weighted anew for each word (Bahdanau et al., 2015).
Everything else is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from unitf import Features


@dataclass(frozen=True, eq=False)
class Source:
    """The encoded S sources: their padded states and their final states."""

    states: Float[Tensor, "S L D"]
    final: Float[Tensor, "S D"]
    mask: Bool[Tensor, "S L"]  # which states are real

    def __getitem__(self, index: Int[Tensor, " K"] | slice) -> "Source":
        return Source(self.states[index], self.final[index], self.mask[index])


class FinalState(nn.Module):
    """The context is one vector for the whole source."""

    def __init__(self, dim: int) -> None:
        super().__init__()  # it has no parameters

    def prepare(self, source: Source) -> Float[Tensor, "S D"]:
        """Computes the part of the context that is the same at every step."""
        return source.final

    def forward(
        self, prepared: Float[Tensor, "S D"], source: Source, state: Float[Tensor, "S D"]
    ) -> Float[Tensor, "S D"]:
        return prepared


class AdditiveAttention(nn.Module):
    """The context is the weighted sum of the source's states; a small network gives the weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.key = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, dim, bias=False)
        self.score = nn.Linear(dim, 1, bias=False)

    def prepare(self, source: Source) -> Float[Tensor, "S L D"]:
        """Computes the part of the context that is the same at every step."""
        return self.key(source.states)

    def forward(
        self, prepared: Float[Tensor, "S L D"], source: Source, state: Float[Tensor, "S D"]
    ) -> Float[Tensor, "S D"]:
        scores = self.score(torch.tanh(prepared + self.query(state)[:, None])).squeeze(2)
        weights = scores.float().masked_fill(~source.mask, -torch.inf).softmax(1)
        return torch.bmm(weights[:, None].to(source.states.dtype), source.states).squeeze(1)


class Recurrent(nn.Module):
    """Source ids to target ids, with one table for source, target and output.

    Args:
        num_ids: V, the size of the vocabulary.
        context: makes the module that computes the context from D.
        dim: D, the width of the table, of the source's states (half for each direction) and of
            the decoder.
        dropout: the dropout on inputs of the LSTMs and on the vectors before the logits.
    """

    def __init__(
        self,
        num_ids: int,
        context: Callable[[int], nn.Module],
        dim: int = 256,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(num_ids, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.LSTM(dim, dim // 2, bidirectional=True, batch_first=True)
        self.bridge = nn.Linear(dim, 2 * dim)
        self.context: Any = context(dim)
        self.decoder = nn.LSTMCell(2 * dim, dim)
        self.readout = nn.Linear(3 * dim, dim)
        self.bias = nn.Parameter(torch.zeros(num_ids))

    def embed(self, ids: Int[Tensor, "*N"]) -> Float[Tensor, "*N D"]:
        """Returns the vectors of ids, after dropout."""
        return self.dropout(self.table(ids) * self.table.embedding_dim**0.5)

    def encode(self, features: Features) -> Source:
        """Encodes sources with the bidirectional LSTM."""
        lengths = torch.tensor(features.lengths)
        padded = pad_sequence([*self.embed(features.values).split(features.lengths)], True)
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        packed_states, (final, _) = self.encoder(packed)
        states, _ = pad_packed_sequence(packed_states, batch_first=True)
        mask = torch.arange(states.shape[1]) < lengths[:, None]
        return Source(self.dropout(states), torch.cat([*final], dim=1), mask)

    def begin(self, source: Source) -> tuple[Float[Tensor, "S D"], Float[Tensor, "S D"]]:
        """Returns the decoder's state before the first word."""
        hidden, cell = torch.tanh(self.bridge(source.final)).chunk(2, dim=1)
        return hidden, cell

    def logits(self, seen: Float[Tensor, "N _"]) -> Float[Tensor, "N V"]:
        """Returns logits of the next word from previous word, context and state."""
        hidden = self.dropout(torch.tanh(self.readout(seen)))
        return nn.functional.linear(hidden, self.table.weight, self.bias)

    def forward(
        self, features: Features, target: Features, start: int
    ) -> tuple[Float[Tensor, "N V"], Int[Tensor, " N"]]:
        """Returns logits of each target word, given the true words before it, and the words."""
        words = pad_sequence([*target.values.split(target.lengths)], True)
        before = torch.cat([words.new_full((len(words), 1), start), words[:, :-1]], dim=1)
        lengths = torch.tensor(target.lengths)
        wanted = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        inputs = pack_padded_sequence(before, lengths, batch_first=True, enforce_sorted=False)
        assert inputs.sorted_indices is not None
        source = self.encode(features)[inputs.sorted_indices]
        prepared = self.context.prepare(source)
        hidden, cell = self.begin(source)
        outputs, sizes = [], inputs.batch_sizes.tolist()
        for size, vectors in zip(sizes, self.embed(inputs.data).split(sizes), strict=True):
            # sequences are sorted by decreasing length: the first ones still go on
            context = self.context(prepared[:size], source[:size], hidden[:size])
            seen = torch.cat([vectors, context], dim=1)
            hidden, cell = self.decoder(seen, (hidden[:size], cell[:size]))
            outputs.append(torch.cat([seen, hidden], dim=1))
        return self.logits(torch.cat(outputs)), wanted.data

    @torch.inference_mode()
    def generate(
        self, features: Features, start: int, end: int, longest: int = 160
    ) -> list[list[int]]:
        """Returns the most probable word at each step until the end."""
        source = self.encode(features)
        prepared = self.context.prepare(source)
        hidden, cell = self.begin(source)
        word = torch.full((features.num_sequences,), start)
        done, words = torch.zeros(features.num_sequences, dtype=torch.bool), []
        while len(words) < longest and not done.all():
            seen = torch.cat([self.embed(word), self.context(prepared, source, hidden)], dim=1)
            hidden, cell = self.decoder(seen, (hidden, cell))
            word = self.logits(torch.cat([seen, hidden], dim=1)).argmax(1)
            done |= word == end
            words.append(word)
        rows = torch.stack(words, dim=1).tolist()
        return [row[: row.index(end)] if end in row else row for row in rows]
