"""SpanAnswer: which part of a text answers a question."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Task, Tokenizers
from unitf.tasks.token_classification import spans_of
from unitf.tokens import Tokens


@dataclass(frozen=True, eq=False)
class AnswerContext:
    """The text that holds the answer, and which columns of the sequence stand for what of it."""

    text: str
    columns: Int[np.ndarray, " K"]
    begins: Int[np.ndarray, " K"]
    ends: Int[np.ndarray, " K"]

    def covering(self, begin: int, end: int) -> tuple[int, int] | None:
        """The first and last column that stand for characters [begin, end); None: not all do."""
        inside = np.flatnonzero((self.ends > begin) & (self.begins < end))
        if not len(inside) or end > self.ends[-1]:
            return None  # it was cut off
        return int(self.columns[inside[0]]), int(self.columns[inside[-1]])


@dataclass(frozen=True)
class AnswerTexts:
    """What a raw target says: texts that answer, and where the first of them stands."""

    texts: list[str]
    begin: int | None  # None: wherever the text is found


class SpanAnswer(Task):
    """The part of a context that answers a question (SQuAD: Rajpurkar et al., 2016).

    The inputs are either one column of pairs [question, context], or two columns, of which the
    second is the context. The target is the answer's text, or `{text, answer_start}` as in SQuAD
    (lists of several equally good ones, of which the first is learned; JSON in a table's cell).
    No text at all is a question without an answer: its place is the first column. A sample whose
    answer was cut off by `max_tokens` is not learned from.

    Args:
        longest: of an answer, in tokens, when predicting.
        unanswerable: whether a prediction may be no answer at all.
        head: what lies between a column and its two logits.
    """

    monitor = "f1"
    mode = "max"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        longest: int = 30,
        unanswerable: bool = False,
        dropout: float = 0.0,
        weight: float = 1.0,
        head: Head | None = None,
    ) -> None:
        super().__init__(inputs, target, weight)
        if not 1 <= len(self.inputs) <= 2:
            raise UserError(f"SpanAnswer: expected one input or two, found {len(self.inputs)}")
        if longest < 1:
            raise UserError(f"SpanAnswer: longest must be 1 or more, found {longest}")
        self.longest = longest
        self.unanswerable = unanswerable
        self.dropout = dropout
        self.head_settings = head

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        whole = all(sample.get(column) is not None for column in self.inputs)
        return whole and super().accepts(sample, labelled)

    # ---- in data workers ---------------------------------------------------------------

    def sample_info(self, encoding: EncodedSample) -> AnswerContext | None:
        """The context; None where the tokens do not say what they stand for (ids alone)."""
        *before, column = self.inputs
        spans = spans_of(encoding, column)
        if spans is None:
            raise UserError(f"{column}: SpanAnswer needs tokens that know their place in a text")
        pair = not before
        if pair and len(spans.texts) != 2:
            raise UserError(f"{column}: expected a pair [question, context], found one text")
        part, begins, ends = spans.ranges
        own = np.flatnonzero((part == int(pair)) & (ends > begins))
        shift = sum(
            sum(encoding.inputs[name].num_columns(encoding.features[name])) for name in before
        )
        shift += encoding.inputs[column].num_prefix
        return AnswerContext(spans.texts[-1], own + shift, begins[own], ends[own])

    def encode_target(self, sample: Sample) -> AnswerTexts:
        """The answers that a raw target names."""
        value = sample[self.target]  # type: ignore[index]
        if isinstance(value, str) and value.lstrip().startswith("{"):
            with suppress(ValueError):  # a text that begins so
                value = json.loads(value)
        begins: list[Any] = []
        if isinstance(value, Mapping):
            begins = _listed(value.get("answer_start"))
            value = value.get("text")
        texts = _listed(value)
        right = all(isinstance(b, int) for b in begins) and all(isinstance(t, str) for t in texts)
        if not right or len(begins) not in (0, len(texts)):
            raise UserError(
                f"target {self.target!r}: expected a text, or text and answer_start, "
                f"found {str(sample[self.target])[:80]!r}"  # type: ignore[index]
            )
        first = texts[0] if texts else ""
        begin = begins[0] + len(first) - len(first.lstrip()) if begins else None
        return AnswerTexts([stripped for text in texts if (stripped := text.strip())], begin)

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: AnswerContext
    ) -> dict[str, Any]:
        """The first and last column of the answer (-1: it was cut off), and the texts."""
        answers = self.encode_target(encoding.sample)
        token_range: tuple[int, int] | None = (0, 0)
        if answers.texts:
            text, begin = answers.texts[0], answers.begin
            if begin is None:
                begin = sample_info.text.find(text)
            found = sample_info.text[begin : begin + len(text)] if begin >= 0 else ""
            if found.casefold() != text.casefold():
                raise UserError(f"target {self.target!r}: {text[:40]!r} is not in the context")
            token_range = sample_info.covering(begin, begin + len(text))
        return {
            "token_range": torch.tensor(token_range or (-1, -1)),
            "texts": answers.texts or [""],
        }

    def collate(self, targets: Sequence[Any]) -> Any:
        if not targets:
            return None
        token_ranges = torch.stack([target["token_range"] for target in targets])
        return {"token_range": token_ranges, "texts": [target["texts"] for target in targets]}

    # ---- on the device -----------------------------------------------------------------

    def make_parameters(self, dim: int) -> None:
        self.head = ColumnHead(dim, 2, self.dropout, self.head_settings)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N 2"]:
        """Of each column how likely the answer begins there, and how likely it ends there."""
        return self.head(columns.rows).float()

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S L 2"]:
        """The logarithm of both probabilities, over the columns of each sequence."""
        logits = columns.with_rows(self.logits(columns, batch, tokenizers))
        padded, _ = logits.to_padded(torch.finfo(torch.float32).min)
        return padded.log_softmax(1)

    def losses(
        self, output: Float[Tensor, "S L 2"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " K"]:
        if not batch.num_samples:
            return output.flatten(1).sum(1)
        token_ranges: Int[Tensor, "S 2"] = batch.target["token_range"]
        whole = token_ranges[:, 0] >= 0
        chosen = output.gather(1, token_ranges.clamp(min=0)[:, None]).squeeze(1)
        return -chosen[whole].mean(1)

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        from torchmetrics.text import SQuAD

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"answers": SQuAD()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Float[Tensor, "S L 2"],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """SQuAD's exact match and F1, in percent."""
        if not len(sequences):
            return
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)
        predictions = self.predict(output, batch, tokenizers)
        said = [{"prediction_text": predictions[n]["answer"], "id": str(n)} for n in sequences]
        truth = [
            {"answers": {"text": texts, "answer_start": [0] * len(texts)}, "id": str(n)}
            for n in sequences
            if (texts := batch.target["texts"][n])
        ]
        metrics["answers"].update(said, truth)

    def predict(
        self, output: Float[Tensor, "S L 2"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """The answer, where in the context it begins and ends, and how probable it is."""
        rows = output.detach().float().cpu()
        return [self._answer(*one) for one in zip(rows, batch.sample_infos, strict=True)]

    def _answer(self, row: Float[Tensor, "L 2"], context: AnswerContext) -> dict[str, Any]:
        own = row[torch.from_numpy(context.columns)]
        scores = own[:, 0, None] + own[None, :, 1]
        allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(self.longest - 1)
        scores = scores.masked_fill(~allowed, -torch.inf)
        none = row[0].sum()
        if not scores.numel() or (self.unanswerable and none > scores.max()):
            return {"answer": "", "begin": None, "end": None, "probability": none.exp().item()}
        first, last = divmod(int(scores.argmax()), len(own))
        begin, end = int(context.begins[first]), int(context.ends[last])
        answer = context.text[begin:end].lstrip()  # a token may bring the space before it
        begin, answer = end - len(answer), answer.rstrip()
        return {
            "answer": answer,
            "begin": begin,
            "end": begin + len(answer),
            "probability": scores[first, last].exp().item(),
        }


def _listed(value: Any) -> list[Any]:
    """A value, several of them, or none, as a list."""
    if value is None:
        return []
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist()
    return list(value) if isinstance(value, list | tuple) else [value]
