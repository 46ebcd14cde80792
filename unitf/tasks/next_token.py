"""NextToken: language modelling, for every modality whose tokenizer can predict tokens."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.features import Features
from unitf.generation import Prompt
from unitf.proposal import Column, Proposal
from unitf.tasks.common.prompting import make_prompt, new_tokens, room_of, without_end
from unitf.tasks.common.selection import loss_of_sequence, take
from unitf.tasks.common.token_offsets import lengths_of, runs, sums
from unitf.tasks.heads.pooling import LearnedToken
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import CoreInputs, Prediction, Task, Tokenizers
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Tokens


class NextToken(Task):
    """Each token is predicted from those before it; the first one from a learned start token.

    The tokens of all inputs are predicted, each input by its own tokenizer: ids with the
    logarithmic loss, numbers F×N with the squared error.

    Args:
        start: whether a learned start token comes first. Published language models have none. The
            first token of a sequence is then read, but not predicted, unless it follows its
            tokenizer's prefix.
    """

    causal: bool | None = True

    def __init__(
        self, inputs: list[str] | dict[str, str], weight: float = 1.0, start: bool = True
    ) -> None:
        super().__init__(inputs, None, weight)
        self.starts: bool = start
        self.start: LearnedToken | None = None

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a single column of texts without a target."""
        if target is not None or len(inputs) != 1:
            return None
        if not all(isinstance(value, str) for value in inputs[0].values):
            return None
        recipe = {"model.core.kind": "decoder", "trainer.max_epochs": 12}
        return Proposal({}, 0.6, "nothing is to be predicted but the text itself", recipe)

    @property
    def unembeds(self) -> frozenset[str]:
        """The tokenizers of all inputs."""
        return frozenset(self.inputs.values())

    def encode_target(self, sample: Sample) -> Int[Tensor, " I"]:
        """Returns the number of bytes of each input in UTF-8, for bits per byte; 0: no text."""
        values = [sample.get(column) for column in self.inputs]
        texts = [value.encode() if isinstance(value, str) else value for value in values]
        return torch.tensor([len(text) if isinstance(text, bytes) else 0 for text in texts])

    def make_parameters(self, dim: int) -> None:
        """Creates the start token, if there is one."""
        if self.starts:
            self.start = LearnedToken(dim, position=-1.0)  # the first real token has position 0

    def join_inputs(self, parts: Sequence[Tokens]) -> Tokens:
        """Joins the inputs, after the start token, if there is one."""
        if self.start is None:
            return Tokens.concat(parts)
        return Tokens.concat([self.start(parts[0].num_sequences), *parts])

    def prompt(self, batch: TaskBatch, tokenizers: Tokenizers) -> Prompt:
        """Returns the tokens of the inputs, of which the last input is continued.

        Raises:
            UserError: there is no token to continue.
        """
        column, name = list(self.inputs.items())[-1]
        tokenizer = tokenizers[name]
        # the tokenizer's start id only where a sample has no other token before the input
        before = [lengths_of(batch.features[c]) for c in self.inputs if c != column]
        counts = sum(before, np.full(batch.num_samples, int(self.starts)))
        otherwise = [None if count else tokenizer.start_id for count in counts]
        features = without_end(batch.features[column], tokenizer.end_id, otherwise)
        batch = replace(batch, features={**batch.features, column: features})
        tokens = self.join_inputs(self.embed(batch, tokenizers))
        if 0 in tokens.lengths:
            raise UserError(f"{column}: an empty prompt, expected at least one token to go on from")
        if tokenizer.num_prefix and 0 in features.lengths:
            raise UserError(f"{column}: an empty prompt, expected a token to put the prefix before")
        written = [one.values.tolist() if one.is_ids else [] for one in features.split()]
        return make_prompt(
            CoreInputs(tokens),
            tokenizer,
            partial(new_tokens, tokenizer, None),
            written,
            features.lengths,
            room_of(tokenizer, features.lengths),
            starts=True,
            goes_on=True,
        )

    def _firsts(self, batch: TaskBatch, tokenizers: Tokenizers) -> dict[str, np.ndarray]:
        """Returns for each input and sample the index of its first token in the sequence."""
        offsets = np.full(batch.num_samples, int(self.starts))
        firsts = {}
        for column, name in self.inputs.items():
            features = batch.features[column]
            widths = np.array(tokenizers[name].num_columns(features), dtype=np.int64)
            # where there is a prefix, its last column predicts the first token
            firsts[column] = offsets + widths - lengths_of(features)
            offsets = offsets + widths
        return firsts

    def _skipped(self, batch: TaskBatch, tokenizers: Tokenizers) -> dict[str, np.ndarray]:
        """Returns for each input and sample 1 if no column precedes its first token, else 0."""
        return {
            column: ((first == 0) & (lengths_of(batch.features[column]) > 0)).astype(np.int64)
            for column, first in self._firsts(batch, tokenizers).items()
        }

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of predicted tokens."""
        skipped = self._skipped(batch, tokenizers)
        return sum(
            batch.features[column].num_tokens - int(skip.sum()) for column, skip in skipped.items()
        )

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Float[Tensor, " _"]]:
        """Returns for each input the loss of each predicted token."""
        # not the logits: with a large vocabulary they need most of a step's memory
        losses, starts = {}, np.cumsum([0, *columns.lengths])[:-1]
        firsts, skipped = self._firsts(batch, tokenizers), self._skipped(batch, tokenizers)
        for column, name in self.inputs.items():
            features = _without_first(batch.features[column], skipped[column])
            before = starts + firsts[column] + skipped[column] - 1
            index = torch.from_numpy(runs(before, lengths_of(features))).to(columns.matrix.device)
            rows = columns.rows.index_select(0, index)
            predicted = tokenizers[name].unembed(rows.mT)
            losses[column] = tokenizers[name].loss(predicted, features).float()
        return losses

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N V"]:
        """Returns for every column, also the start token's, the logits of the token after it.

        Raises:
            UserError: the task has several inputs.
        """
        if len(self.inputs) != 1:
            raise UserError(
                f"NextToken: logits are those of one input, found {', '.join(self.inputs)}"
            )
        [name] = self.inputs.values()
        return tokenizers[name].unembed(columns.matrix).mT

    def losses(
        self, output: dict[str, Float[Tensor, " _"]], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " N"]:
        """Returns the losses of the predicted tokens of all inputs."""
        return torch.cat(list(output.values()))

    def metrics(self) -> TaskMetrics:
        """Creates the metrics of tokens: perplexity, bits per byte and mean losses."""
        from unitf.tasks.metrics.task_metrics import TaskMetrics
        from unitf.tasks.metrics.token_metrics import TokenMetrics

        return TaskMetrics({"tokens": TokenMetrics()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: dict[str, Float[Tensor, " _"]],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the metrics with the losses of the predicted tokens."""
        if not len(sequences):
            return
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        skipped = self._skipped(batch, tokenizers)
        for number, (column, losses) in enumerate(output.items()):
            features = batch.features[column]
            counts = lengths_of(features) - skipped[column]
            totals = take(sums(losses, counts), sequences)
            texts = torch.zeros_like(totals)  # bytes of each sample
            if features.is_ids and batch.target is not None:
                texts, tokenizer = batch.target[:, number], tokenizers[self.inputs[column]]
                if skipped[column].any():
                    texts = texts - _bytes_of_first(features, skipped[column], texts, tokenizer)
                cut = tokenizer.cuts(features.lengths)
                texts = take(texts * torch.from_numpy(~cut).to(texts.device), sequences)
            metrics["tokens"].update(
                totals,
                num_tokens=int(counts[list(sequences)].sum()),
                num_bytes=texts,
                is_ids=features.is_ids,
            )

    def predict(
        self, output: dict[str, Float[Tensor, " _"]], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the mean loss of each sample, and its perplexity if all its tokens are ids."""
        totals, counts, ids = np.zeros((3, batch.num_samples))
        skipped = self._skipped(batch, tokenizers)
        for column, losses in output.items():
            features = batch.features[column]
            predicted = lengths_of(features) - skipped[column]
            totals += sums(losses.detach(), predicted).cpu().numpy()
            counts += predicted
            ids += predicted * features.is_ids
        return [
            loss_of_sequence(float(total), int(count), bool(count == num_ids))
            for total, count, num_ids in zip(totals, counts, ids, strict=True)
        ]


def _without_first(features: Features, skipped: np.ndarray) -> Features:
    """Removes the first token of each sequence for which `skipped` is 1."""
    if not skipped.any():
        return features
    counts = lengths_of(features) - skipped
    starts = np.cumsum([0, *features.lengths])[:-1] + skipped
    index = torch.from_numpy(runs(starts, counts)).to(features.values.device)
    return Features(
        features.values.index_select(-1, index),
        features.positions.index_select(-1, index),
        tuple(counts.tolist()),
    )


def _bytes_of_first(
    features: Features, skipped: np.ndarray, texts: Int[Tensor, " S"], tokenizer: Tokenizer
) -> Int[Tensor, " S"]:
    """Returns for each text the number of bytes of its first token, which is not predicted.

    If it is unknown (the token is a part of a character), all bytes of the text are returned, so
    that the text does not count.
    """
    num_first_bytes = []
    for one, skip, num_bytes in zip(features.split(), skipped, texts.tolist(), strict=True):
        count = 0
        if skip and num_bytes:
            text = _decoded(tokenizer, one)
            count = num_bytes
            if isinstance(text, str) and "\N{REPLACEMENT CHARACTER}" not in text:
                count = min(len(text.encode()), num_bytes)
        num_first_bytes.append(count)
    return torch.tensor(num_first_bytes, device=texts.device)


def _decoded(tokenizer: Tokenizer, features: Features) -> object:
    """Decodes the first token; None: the tokenizer cannot decode."""
    first = Features(features.values[:1].cpu(), features.positions[:, :1].cpu())
    try:
        return tokenizer.decode(first)
    except UserError:
        return None
