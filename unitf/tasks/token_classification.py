"""TokenClassification: a label for each token, or for each word of a text."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.features import FileContent
from unitf.tasks.common.class_loss import log_probabilities
from unitf.tasks.common.drawings import mask
from unitf.tasks.common.label_names import Label, LabelNames, as_label
from unitf.tasks.common.token_offsets import first_offsets, members, rows_of
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.entity_spans import entity_types
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Target, Tokenizers
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Spans, Tokens

_log: logging.Logger = logging.getLogger(__name__)
IGNORED: int = -100  # the target of a token without a label, as torch's cross-entropy has it


class TokenClassification(LabelNames):
    """Each token of the first input belongs to one class (cross-entropy, mean over tokens).

    The target is a list of labels, or one text with spaces between the labels. There is a label
    for each word of a text (words are separated by spaces), or one for each token. None and -100
    mean no label. If a word has several tokens, its first token learns and predicts the label.

    Args:
        inputs: the tokens of the first column have labels; other columns follow in the sequence.
        classes: the names of the classes; None: those of the training samples, sorted.
        every_piece: whether the other tokens of a word learn its label too.
        single_logit: whether two classes have one logit, which is the log-odds of the second
            (ELECTRA's discriminator).
        dropout: the dropout of the columns, before the linear head.
        head: other layers between a column and its logits.
        entities: whether spans are scored as well (`entity_f1` and others, as seqeval counts them)
            if the classes are O, B-TYPE, I-TYPE (E-, S-, L-, U-). With `every_piece` they are not.
    """

    monitor = "f1"
    mode = "max"
    in_place = True
    searched: Mapping[str, object] = {"dropout": {"low": 0.0, "high": 0.5}}

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
        entities: bool = True,
    ) -> None:
        super().__init__(inputs, target, classes, weight)
        self.entities: bool = entities
        self.every_piece: bool = every_piece
        self.single_logit: bool = single_logit
        self.dropout: float = dropout
        self.head_settings: Head | None = head
        if single_logit and (classes is None or len(classes) != 2):
            raise UserError(f"single_logit: expected two classes, found {classes}")

    @property
    def labelled(self) -> str:
        """The input whose tokens have labels."""
        return next(iter(self.inputs))

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Returns whether this task can use a sample, which needs the labelled input."""
        return sample.get(self.labelled) is not None and super().accepts(sample, labelled)

    def labels(self, value: object) -> list[Label | None]:
        """Returns the labels that a raw target names; None stands for no label.

        Raises:
            UserError: it is no list of labels.
        """
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
        """Learns the classes from the training samples, unless they are given."""
        self.learn_from(
            label
            for sample in samples
            if self.accepts(sample)
            for label in self.labels(self._raw_target(sample))
            if label is not None
        )
        if self._scores_entities:
            line = "target %r: its classes are tags of spans, which entity_f1 scores (entities)"
            _log.warning(line, self.target)

    @property
    def _scores_entities(self) -> bool:
        # the pieces of a word have its tag, so that one entity would be several
        return self.entities and not self.every_piece and bool(entity_types(self.classes))

    def encode_target(self, sample: Sample) -> Int[Tensor, " L"]:
        """Returns the class index of each label."""
        labels = self.labels(self._raw_target(sample))
        indices = [IGNORED if label is None else self.number(label) for label in labels]
        return torch.tensor(indices, dtype=torch.long)

    def sample_info(self, encoding: EncodedSample) -> Spans | None:
        """Returns which characters of a text each token covers; None: the tokens are of no text."""
        return spans_of(encoding, self.labelled)

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: Spans | None
    ) -> Int[Tensor, " N"]:
        """Returns the class index of each token.

        Raises:
            UserError: there is another number of labels than of words and of tokens.
        """
        labels = self.encode_target(encoding.sample)
        count = encoding.features[self.labelled].num_tokens
        if sample_info is None:
            return self._checked(labels, count)
        words = np.array([m.span() for m in re.finditer(r"\S+", sample_info.texts[0])]).reshape(
            -1, 2
        )
        part, begin, end = sample_info.ranges
        tokens = np.flatnonzero((part == 0) & (end > begin))  # without added ones, such as start
        aligned = torch.full((count,), IGNORED)
        if len(labels) != len(words) or not len(words):
            aligned[tokens] = self._checked(labels, len(tokens), f"{len(words)} words or ")
            return aligned
        # a token belongs to the first word that ends after the token begins; a space to none
        word = np.searchsorted(words[:, 1], begin[tokens], side="right").clip(max=len(words) - 1)
        inside = end[tokens] > words[word, 0]
        tokens, word = tokens[inside], word[inside]
        keep = np.ones(len(tokens), dtype=bool)
        if not self.every_piece:
            keep[1:] = word[1:] != word[:-1]
        aligned[tokens[keep]] = labels[word[keep]]
        return aligned

    def _checked(self, labels: Int[Tensor, " L"], count: int, words: str = "") -> Int[Tensor, " L"]:
        """Returns the labels, if there is one for each token."""
        if len(labels) != count:
            raise UserError(
                f"target {self.target!r}: {len(labels)} labels for {words}{count} tokens"
            )
        return labels

    def collate(self, targets: Sequence[Int[Tensor, " _"]]) -> Target:
        """Joins the class indices of the tokens of all samples."""
        return torch.cat(list(targets)) if targets else None

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of tokens that have a label."""
        return 0 if batch.target is None else int((batch.target != IGNORED).sum())

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        size = 1 if self.single_logit else self.num_classes
        self.head: ColumnHead = ColumnHead(dim, size, self.dropout, self.head_settings)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N C"]:
        """Returns the head's logits of each labelled token; one, if `single_logit`."""
        first = first_offsets(columns, batch, self.inputs, tokenizers)[self.labelled]
        return self.head(rows_of(columns, batch.features[self.labelled], first)).float()

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N C"]:
        """Returns the logits of all classes of each token."""
        logits = self.logits(columns, batch, tokenizers)
        if self.single_logit:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        return logits

    def losses(
        self, output: Float[Tensor, "N C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " L"]:
        """Returns the cross-entropy of each token that has a label."""
        if not batch.num_samples:
            return output.sum(1)
        losses = functional.cross_entropy(output, batch.target, reduction="none")
        return losses[batch.target != IGNORED]

    def to_average(self, output: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
        """Returns the probabilities of the classes of each token."""
        return output.softmax(1)

    def from_average(self, average: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
        """Returns the logarithms of probabilities."""
        return log_probabilities(average)

    def metrics(self) -> TaskMetrics:
        """Creates accuracy, macro F1 and the confusion matrix, over tokens; and F1 of entities."""
        from torchmetrics import classification as scores

        from unitf.tasks.metrics.entity_metrics import EntityF1
        from unitf.tasks.metrics.task_metrics import TaskMetrics

        size = self.num_classes
        return TaskMetrics(
            {
                **({"entities": EntityF1(self.classes)} if self._scores_entities else {}),
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
        """Updates the metrics with the labelled tokens; "num_samples" is their number."""
        if not len(sequences):
            return
        selected = torch.tensor(list(sequences), device=output.device)
        sequence = members(batch.features[self.labelled]).to(output.device)
        chosen = torch.isin(sequence, selected) & (batch.target != IGNORED)
        if chosen.any():
            probabilities, target = output[chosen].softmax(1), batch.target[chosen]
            metrics.update(probabilities, target, sequence=sequence[chosen])

    def predict(
        self, output: Float[Tensor, "N C"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the tokens of each sample with their labels, without tokens added to a text."""
        highest, indices = output.softmax(1).max(1)
        lengths = batch.features[self.labelled].lengths
        sample_infos = batch.sample_infos or (None,) * batch.num_samples
        return [
            {
                "tokens": [
                    {"token": token, "label": self.classes[index], "probability": p}
                    for token, index, p in zip(
                        _tokens(sample_info, len(classes)),
                        classes.tolist(),
                        probabilities.tolist(),
                        strict=True,
                    )
                    if token != ""
                ]
            }
            for sample_info, classes, probabilities in zip(
                sample_infos, indices.split(lengths), highest.split(lengths), strict=True
            )
        ]

    def prediction_files(
        self, prediction: Prediction, sample: Sample, tokenizers: Tokenizers
    ) -> dict[str, FileContent]:
        """Returns the mask of a picture: each pixel is the number of the class of its token."""
        tokenizer = tokenizers[self.inputs[self.labelled]]
        features = tokenizer.encode(sample[self.labelled], False)
        canvas = tokenizer.canvas(features)
        if canvas is None:
            return {}
        numbers = [self.classes.index(token["label"]) for token in prediction["tokens"]]
        return {"mask": (".png", mask(canvas, numbers))}


def _tokens(spans: Spans | None, count: int) -> Sequence[str | int]:
    """Returns the text of each token; an added token has none. Without a text: its index."""
    if spans is None:
        return list(range(count))
    return ["" if part else spans.texts[0][a:b] for part, a, b in spans.ranges.T.tolist()]


def spans_of(encoding: EncodedSample, column: str) -> Spans | None:
    """Returns which characters of a text each token covers; None: the tokens are of no text.

    Raises:
        UserError: an augmentation changed the number of tokens.
    """
    tokenizer, features = encoding.inputs[column], encoding.features[column]
    if type(tokenizer).spans is Tokenizer.spans:
        return None
    spans = tokenizer.spans(encoding.sample[column])
    if (count := spans.ranges.shape[1]) != features.num_tokens:
        raise UserError(
            f"{column}: labels of single tokens need the same tokens in training, found "
            f"{features.num_tokens} tokens, expected {count} (did an augmentation change them?)"
        )
    return spans
