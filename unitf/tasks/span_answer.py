"""SpanAnswer: the part of a text that answers a question."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.tasks.heads.head import ColumnHead, Head
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Target, Task, Tokenizers
from unitf.tasks.token_classification import spans_of
from unitf.tokens import Tokens


@dataclass(frozen=True, eq=False)
class AnswerContext:
    """The text that contains the answer, and its characters that each of its columns covers."""

    text: str
    columns: Int[np.ndarray, " K"]  # the column indices of the text's K tokens in the sequence
    begins: Int[np.ndarray, " K"]  # for each of them its first character
    ends: Int[np.ndarray, " K"]  # for each of them the end of its characters, exclusive

    def covering(self, begin: int, end: int) -> tuple[int, int] | None:
        """Returns the first and last column of characters [begin, end); None: some were cut off."""
        inside = np.flatnonzero((self.ends > begin) & (self.begins < end))
        if not len(inside) or end > self.ends[-1]:
            return None
        return int(self.columns[inside[0]]), int(self.columns[inside[-1]])


@dataclass(frozen=True)
class AnswerTexts:
    """The answers that a raw target names."""

    texts: list[str]
    begin: int | None  # the first character of the first answer; None: where the text occurs first


class AnswerTarget(TypedDict):
    """The target of one sample."""

    token_range: Int[Tensor, " 2"]  # the first and last column of the answer
    texts: list[str]  # all answers; an empty text: there is no answer


class SpanAnswer(Task):
    """The part of a context that answers a question (SQuAD: Rajpurkar et al., 2016).

    The inputs are either one column of pairs [question, context], or two columns, of which the
    second is the context. The target is the answer's text, or `{text, answer_start}` as in SQuAD:
    both may be lists of several correct answers, of which the first is learned, and in a table's
    cell the target is JSON. A question without an answer has no text; its target is then the first
    column. A sample whose answer was cut off by `max_tokens` has no loss.

    Args:
        longest: the largest number of tokens of a predicted answer.
        unanswerable: whether the prediction may be that there is no answer.
        dropout: the dropout of the columns, before the linear head.
        head: other layers between a column and its two logits.
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
        self.longest: int = longest
        self.unanswerable: bool = unanswerable
        self.dropout: float = dropout
        self.head_settings: Head | None = head

    def accepts(self, sample: Sample, labelled: bool = True) -> bool:
        """Returns whether this task can use a sample, which needs all of the inputs."""
        has_inputs = all(sample.get(column) is not None for column in self.inputs)
        return has_inputs and super().accepts(sample, labelled)

    # ---- in data workers ---------------------------------------------------------------

    def sample_info(self, encoding: EncodedSample) -> AnswerContext | None:
        """Returns the context and the characters of its tokens.

        Raises:
            UserError: the tokens are of no text, or the only column has no pair of texts.
        """
        *before, column = self.inputs
        spans = spans_of(encoding, column)
        if spans is None:
            raise UserError(f"{column}: SpanAnswer needs tokens that know their offsets in a text")
        pair = not before
        if pair and len(spans.texts) != 2:
            raise UserError(f"{column}: expected a pair [question, context], found one text")
        part, begins, ends = spans.ranges
        of_context = np.flatnonzero((part == int(pair)) & (ends > begins))
        shift = sum(
            sum(encoding.inputs[name].num_columns(encoding.features[name])) for name in before
        )
        shift += encoding.inputs[column].num_prefix
        return AnswerContext(
            spans.texts[-1], of_context + shift, begins[of_context], ends[of_context]
        )

    def encode_target(self, sample: Sample) -> AnswerTexts:
        """Returns the answers that a raw target names.

        Raises:
            UserError: it is neither a text nor a dictionary as in SQuAD.
        """
        value = self._raw_target(sample)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            with suppress(ValueError):  # an answer may begin with a brace
                value = json.loads(value)
        starts: list[object] = []
        if isinstance(value, Mapping):
            starts = _listed(value.get("answer_start"))
            value = value.get("text")
        values = _listed(value)
        begins = [start for start in starts if isinstance(start, int)]
        texts = [text for text in values if isinstance(text, str)]
        is_valid = len(begins) == len(starts) and len(texts) == len(values)
        if not is_valid or len(begins) not in (0, len(texts)):
            raise UserError(
                f"target {self.target!r}: expected a text, or text and answer_start, "
                f"found {str(self._raw_target(sample))[:80]!r}"
            )
        first = texts[0] if texts else ""
        begin = begins[0] + len(first) - len(first.lstrip()) if begins else None
        return AnswerTexts([stripped for text in texts if (stripped := text.strip())], begin)

    def encode_token_target(
        self, encoding: EncodedSample, sample_info: AnswerContext
    ) -> AnswerTarget:
        """Returns the first and last column of the answer (-1: it was cut off), and the texts.

        Raises:
            UserError: the answer is not in the context.
        """
        answers = self.encode_target(encoding.sample)
        token_range: tuple[int, int] | None = (0, 0)
        if answers.texts:
            text, begin = answers.texts[0], answers.begin
            if begin is None:
                begin = sample_info.text.find(text)
            text_there = sample_info.text[begin : begin + len(text)] if begin >= 0 else ""
            if text_there.casefold() != text.casefold():
                raise UserError(f"target {self.target!r}: {text[:40]!r} is not in the context")
            token_range = sample_info.covering(begin, begin + len(text))
        return {
            "token_range": torch.tensor(token_range or (-1, -1)),
            "texts": answers.texts or [""],
        }

    def collate(self, targets: Sequence[AnswerTarget]) -> Target:
        """Stacks the token ranges, and lists the texts."""
        if not targets:
            return None
        token_ranges = torch.stack([target["token_range"] for target in targets])
        return {"token_range": token_ranges, "texts": [target["texts"] for target in targets]}

    def num_losses(self, batch: TaskBatch, tokenizers: Tokenizers) -> int:
        """Returns the number of answers that were not cut off."""
        return 0 if batch.target is None else int((batch.target["token_range"][:, 0] >= 0).sum())

    # ---- on the device -----------------------------------------------------------------

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.head: ColumnHead = ColumnHead(dim, 2, self.dropout, self.head_settings)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N 2"]:
        """Returns for each column a logit that the answer begins there, and one that it ends."""
        return self.head(columns.rows).float()

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "S L 2"]:
        """Returns the logarithm of both probabilities, over the columns of each sequence."""
        logits = columns.with_rows(self.logits(columns, batch, tokenizers))
        padded, _ = logits.to_padded(torch.finfo(torch.float32).min)
        return padded.log_softmax(1)

    def losses(
        self, output: Float[Tensor, "S L 2"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " K"]:
        """Returns the loss of each answer that was not cut off."""
        if not batch.num_samples:
            return output.flatten(1).sum(1)
        token_ranges: Int[Tensor, "S 2"] = batch.target["token_range"]
        is_complete = token_ranges[:, 0] >= 0
        chosen = output.gather(1, token_ranges.clamp(min=0)[:, None]).squeeze(1)
        return -chosen[is_complete].mean(1)

    # ---- for a person ------------------------------------------------------------------

    def metrics(self) -> TaskMetrics:
        """Creates SQuAD's exact match and F1."""
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
        """Updates exact match and F1, which are in percent."""
        if not len(sequences):
            return
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        predictions = self.predict(output, batch, tokenizers)
        answers = [{"prediction_text": predictions[n]["answer"], "id": str(n)} for n in sequences]
        truth = [
            {"answers": {"text": texts, "answer_start": [0] * len(texts)}, "id": str(n)}
            for n in sequences
            if (texts := batch.target["texts"][n])
        ]
        metrics["answers"].update(answers, truth)

    def predict(
        self, output: Float[Tensor, "S L 2"], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns each answer, where in the context it begins and ends, and its probability."""
        rows = output.detach().float().cpu()
        return [self._answer(*one) for one in zip(rows, batch.sample_infos, strict=True)]

    def _answer(self, row: Float[Tensor, "L 2"], context: AnswerContext) -> Prediction:
        """Returns the most probable answer of one sample."""
        logs = row[torch.from_numpy(context.columns)]
        scores = logs[:, 0, None] + logs[None, :, 1]
        allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(self.longest - 1)
        scores = scores.masked_fill(~allowed, -torch.inf)
        none = row[0].sum()
        if not scores.numel() or (self.unanswerable and none > scores.max()):
            return {"answer": "", "begin": None, "end": None, "probability": none.exp().item()}
        first, last = divmod(int(scores.argmax()), len(logs))
        begin, end = int(context.begins[first]), int(context.ends[last])
        answer = context.text[begin:end].lstrip()  # a token may include the space before it
        begin, answer = end - len(answer), answer.rstrip()
        return {
            "answer": answer,
            "begin": begin,
            "end": begin + len(answer),
            "probability": scores[first, last].exp().item(),
        }


def _listed(value: object) -> list[object]:
    """Returns the values of a list or an array; one value as a list of it; None as no value."""
    if value is None:
        return []
    if isinstance(value, np.ndarray | Tensor):
        value = value.tolist()
    return list(value) if isinstance(value, list | tuple) else [value]
