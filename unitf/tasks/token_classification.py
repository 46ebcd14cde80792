"""TokenClassification: a label for each token, or each word of a text."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.common.label_names import Label, LabelNames, as_label
from unitf.tasks.common.token_offsets import first_offsets, members, rows_of
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Tokenizers
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Spans, Tokens

IGNORED = -100  # the number of a token without a label, as torch's cross-entropy has it


class TokenClassification(LabelNames):
    """Each token of the first input belongs to one class (cross-entropy, mean over tokens).

    The target is a list of labels, or one text with spaces between them: one for each word of a
    text (what spaces part), or one for each token. None or -100 is no label. Of a word that is cut
    in several tokens the first has the label, and says what the word's is.

    Args:
        inputs: the first is labelled; others stand after it in the sequence.
        classes: the names of the classes; by default those of the training samples, sorted.
        every_piece: whether also the other tokens of a word learn its label.
        single_logit: two classes by one number, the second's log-odds (ELECTRA's discriminator).
        head: what lies between a column and its logits.
    """

    monitor = "f1"
    mode = "max"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        classes: Sequence[Label] | None = None,
        every_piece: bool = False,
        single_logit: bool = False,
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, classes, weight)
        self.every_piece = every_piece
        self.single_logit = single_logit
        self.dropout = dropout
        self.head_settings = head
        if single_logit and (classes is None or len(classes) != 2):
            raise UserError(f"single_logit: expected two classes, found {classes}")

    @property
    def labelled(self) -> str:
        """The input whose tokens have labels."""
        return next(iter(self.inputs))

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        return sample.get(self.labelled) is not None and super().accepts(sample, labelled)

    def labels(self, value: Any) -> list[Label | None]:
        """The labels that a raw target names; None for what has none."""
        if isinstance(value, str):
            value = value.split()
        if isinstance(value, np.ndarray | Tensor):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise UserError(
                f"target {self.target!r}: expected a list of labels, "
                f"found {type(value).__name__} {str(value)[:80]!r}"
            )
        return [None if v is None or v == IGNORED else as_label(v) for v in value]

    def fit(self, samples: Iterable[Sample]) -> None:
        self.learn_from(
            label
            for sample in samples
            if self.accepts(sample)
            for label in self.labels(sample[self.target])  # type: ignore[index]
            if label is not None
        )

    def encode_target(self, sample: Sample) -> Int[Tensor, " L"]:
        """The number of each label."""
        labels = self.labels(sample[self.target])  # type: ignore[index]
        numbers = [IGNORED if label is None else self.number(label) for label in labels]
        return torch.tensor(numbers, dtype=torch.long)

    def sample_info(self, encoding: EncodedSample) -> Spans | None:
        """What each token stands for in a text; None where the tokens are of no text."""
        return spans_of(encoding, self.labelled)

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: Spans | None
    ) -> Int[Tensor, " N"]:
        labels = self.encode_target(encoding.sample)
        count = encoding.features[self.labelled].num_tokens
        if sample_info is None:
            return self._each(labels, count)
        words = np.array([m.span() for m in re.finditer(r"\S+", sample_info.texts[0])]).reshape(
            -1, 2
        )
        part, begin, end = sample_info.ranges
        own = np.flatnonzero((part == 0) & (end > begin))  # not those that were added
        aligned = torch.full((count,), IGNORED)
        if len(labels) != len(words) or not len(words):
            aligned[own] = self._each(labels, len(own), f"{len(words)} words or ")
            return aligned
        # a token belongs to the first word that ends after the token begins; a space to none
        word = np.searchsorted(words[:, 1], begin[own], side="right").clip(max=len(words) - 1)
        inside = end[own] > words[word, 0]
        own, word = own[inside], word[inside]
        keep = np.ones(len(own), dtype=bool)
        if not self.every_piece:
            keep[1:] = word[1:] != word[:-1]
        aligned[own[keep]] = labels[word[keep]]
        return aligned

    def _each(self, labels: Int[Tensor, " L"], count: int, words: str = "") -> Int[Tensor, " L"]:
        """The labels, of which there is one for each token."""
        if len(labels) != count:
            raise UserError(
                f"target {self.target!r}: {len(labels)} labels for {words}{count} tokens"
            )
        return labels

    def collate(self, targets: Sequence[Any]) -> Any:
        return torch.cat(list(targets)) if targets else None

    def make_parameters(self, dim: int) -> None:
        size = 1 if self.single_logit else self.num_classes
        self.head = ColumnHead(dim, size, self.dropout, self.head_settings)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N C"]:
        first = first_offsets(columns, batch, self.inputs, tokenizers)[self.labelled]
        return self.head(rows_of(columns, batch.features[self.labelled], first)).float()

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N C"]:
        logits = self.logits(columns, batch, tokenizers)
        if self.single_logit:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return logits

    def losses(
        self, output: Float[Tensor, "N C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " L"]:
        if not batch.num_samples:
            return output.sum(1)
        losses = functional.cross_entropy(output, batch.target, reduction="none")
        return losses[batch.target != IGNORED]

    def metrics(self) -> TaskMetrics:
        from torchmetrics import classification as scores

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        size: Any = self.num_classes
        return TaskMetrics(
            {
                "accuracy": scores.MulticlassAccuracy(size, average="micro"),
                "f1": scores.MulticlassF1Score(size, average="macro"),
                "confusion": scores.MulticlassConfusionMatrix(size),
            }
        )

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "N C"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """The figures are those of labelled tokens, "num_samples" their number."""
        if not len(sequences):
            return
        wanted = torch.tensor(list(sequences), device=output.device)
        sequence = members(batch.features[self.labelled]).to(output.device)
        chosen = torch.isin(sequence, wanted) & (batch.target != IGNORED)
        if chosen.any():
            metrics.update(output[chosen].softmax(1), batch.target[chosen])

    def predict(
        self, output: Float[Tensor, "N C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """Of each sample its tokens with their labels; of a text without those that were added."""
        highest, indices = output.softmax(1).max(1)
        lengths = batch.features[self.labelled].lengths
        sample_infos = batch.sample_infos or (None,) * batch.num_samples
        return [
            {
                "tokens": [
                    {"token": token, "label": self.classes[number], "probability": p}
                    for token, number, p in zip(
                        _tokens(sample_info, len(numbers)),
                        numbers.tolist(),
                        sure.tolist(),
                        strict=True,
                    )
                    if token != ""
                ]
            }
            for sample_info, numbers, sure in zip(
                sample_infos, indices.split(lengths), highest.split(lengths), strict=True
            )
        ]


def _tokens(spans: Spans | None, count: int) -> list[Any]:
    """The tokens as a person knows them: the part of the text, or (of no text) their number."""
    if spans is None:
        return list(range(count))
    return ["" if part else spans.texts[0][a:b] for part, a, b in spans.ranges.T.tolist()]


def spans_of(encoding: EncodedSample, column: str) -> Spans | None:
    """What the tokens stand for in a text; None: they are of no text.

    Raises:
        UserError: an augmentation changed the number of tokens.
    """
    tokenizer, features = encoding.inputs[column], encoding.features[column]
    if type(tokenizer).spans is Tokenizer.spans:
        return None
    spans = tokenizer.spans(encoding.sample[column])
    if (count := spans.ranges.shape[1]) != features.num_tokens:
        raise UserError(
            f"{column}: what is learned of single tokens needs the text's own, found "
            f"{features.num_tokens} tokens, expected {count} (an augmentation that cuts otherwise?)"
        )
    return spans
