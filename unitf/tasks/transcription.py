"""Transcription: a text for each sequence, predicted from its columns in their order (CTC)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unitf.batch import Sample, TaskBatch
from unitf.errors import UserError
from unitf.nn.initialisation import initialise
from unitf.tasks.common.prefix_beam import prefix_beam
from unitf.tasks.metrics.metric_types import TaskMetrics
from unitf.tasks.task import Prediction, Target, Task, Tokenizers
from unitf.tokens import Tokens


class Reading(NamedTuple):
    """The logits of every column, and how many columns each sequence has."""

    logits: Float[Tensor, "N V"]
    lengths: tuple[int, ...]


class Transcription(Task):
    """The text of a sequence that has the text's order, such as speech or a line of writing.

    Each column writes a symbol or nothing; a symbol that is repeated counts once (connectionist
    temporal classification: Graves et al., 2006). A sequence needs a column for each character of
    its text, and one more between two equal characters.

    Args:
        symbols: the text that each logit writes, "" for the blank; None: the blank, and the
            characters of the training texts, sorted.
        blank: the index of the logit that writes nothing, and so separates equal characters.
        dropout: the dropout of the columns, before the linear head.
        beam: the number of prefixes that a prefix beam search keeps, each with all its alignments
            (Hannun et al., 2014); None: the most probable symbol of each column is written.
    """

    loss_per_sample: bool = True
    monitor = "cer"

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        symbols: Sequence[str] | None = None,
        blank: int = 0,
        dropout: float = 0.0,
        weight: float = 1.0,
        beam: int | None = None,
    ) -> None:
        super().__init__(inputs, target, weight)
        if beam is not None and beam < 1:
            raise UserError(f"Transcription: beam must be 1 or more, found {beam}")
        self.beam: int | None = beam
        if blank < 0:
            raise UserError(f"blank {blank}: expected 0 or more")
        self.given_symbols: Sequence[str] | None = symbols
        self.blank: int = blank
        self.dropout: float = dropout
        self._numbers: dict[str, int] = {}
        if symbols is not None:
            if not 0 <= blank < len(symbols) or symbols[blank]:
                raise UserError(f"blank {blank}: expected the index of a symbol that is ''")
            self.fitted: dict[str, object] = {"symbols": list(symbols)}

    @property
    def symbols(self) -> list[str]:
        """The text that each logit writes."""
        if "symbols" not in self.fitted:
            raise UserError(f"the characters of {self.target!r} are not known before fit()")
        return cast("list[str]", self.fitted["symbols"])

    def fit(self, samples: Iterable[Sample]) -> None:
        """Learns the characters of the training texts, unless the symbols are given."""
        if self.given_symbols is not None:
            return
        characters = {c for sample in samples for c in self._text(sample)}
        if not characters:
            raise UserError(f"target {self.target!r}: found no character in the training texts")
        symbols = sorted(characters)
        if self.blank > len(symbols):
            raise UserError(
                f"blank {self.blank}: expected at most {len(symbols)}, the number of characters"
            )
        symbols.insert(self.blank, "")
        self.fitted = {"symbols": symbols}

    def _text(self, sample: Sample) -> str:
        value = self._raw_target(sample)
        if not isinstance(value, str):
            raise UserError(
                f"target {self.target!r}: expected a text, found {type(value).__name__} {value!r}"
            )
        return value.strip()  # `write` strips its texts too

    def encode_target(self, sample: Sample) -> Int[Tensor, " L"]:
        """Returns the index of each character.

        A letter that is known only in the other case is taken for that one.

        Raises:
            UserError: a character is unknown.
        """
        if len(self._numbers) == 0:
            self._numbers = {text: n for n, text in enumerate(self.symbols) if text}
        known, indices = self._numbers, []
        for character in self._text(sample):
            forms = (character, character.upper(), character.lower())
            index = next((known[form] for form in forms if form in known), None)
            if index is None:
                raise UserError(
                    f"target {self.target!r}: unknown character {character!r}; "
                    f"known: {''.join(known)}"
                )
            indices.append(index)
        return torch.tensor(indices, dtype=torch.long)

    def collate(self, targets: Sequence[Int[Tensor, " _"]]) -> Target:
        """Joins the texts ("numbers"), and lists their lengths ("lengths")."""
        if not targets:
            return None
        lengths = torch.tensor([len(target) for target in targets])
        return {"numbers": torch.cat(list(targets)), "lengths": lengths}

    def make_parameters(self, dim: int) -> None:
        """Creates the head."""
        self.drop: nn.Dropout = nn.Dropout(self.dropout)
        self.head: nn.Linear = nn.Linear(dim, len(self.symbols))
        initialise(self.head)

    def outputs(self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers) -> Reading:
        """Applies the head to every column."""
        return Reading(self.head(self.drop(columns.rows)).float(), columns.lengths)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N V"]:
        """Returns the logits of every column."""
        return self.outputs(columns, batch, tokenizers).logits

    def losses(
        self, output: Reading, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " S"]:
        """Returns the negative logarithm of each text's probability, divided by its length.

        A text that is too long for its sequence has no probability: its loss is 0.
        """
        logits, lengths = output
        if not batch.num_samples:
            return logits.sum()[None][:0]
        numbers, counts = batch.target["numbers"], batch.target["lengths"]
        parts = logits.log_softmax(1).split(list(lengths))
        padded = nn.utils.rnn.pad_sequence(list(parts))  # (longest, S, V)
        if not len(padded):  # torch needs at least one column
            padded = functional.pad(padded, (0, 0, 0, 0, 0, 1))
        losses = functional.ctc_loss(
            padded,
            numbers,
            torch.tensor(lengths, device=numbers.device),
            counts,
            blank=self.blank,
            reduction="none",
            zero_infinity=True,
        )
        return losses / counts.clamp_min(1)

    def metrics(self) -> TaskMetrics:
        """Creates the character error rate and the word error rate."""
        from torchmetrics.text import CharErrorRate, WordErrorRate

        from unitf.tasks.metrics.task_metrics import TaskMetrics

        return TaskMetrics({"cer": CharErrorRate(), "wer": WordErrorRate()})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: Reading,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the error rates with the predicted texts."""
        if not len(sequences):
            return
        written = self.write(output)
        indices = batch.target["numbers"].tolist()
        counts = batch.target["lengths"].tolist()
        starts = [sum(counts[:number]) for number in range(len(counts))]
        chosen = [indices[starts[n] : starts[n] + counts[n]] for n in sequences]
        truth = ["".join(self.symbols[index] for index in text) for text in chosen]
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
        for name in ("cer", "wer"):
            metrics[name].update([written[n] for n in sequences], truth)

    def write(self, output: Reading) -> list[str]:
        """Returns the predicted text of each sequence."""
        if self.beam is None:
            best = output.logits.argmax(1).split(list(output.lengths))
            chosen = [torch.unique_consecutive(part).tolist() for part in best]
        else:
            logs = output.logits.detach().log_softmax(1).cpu().split(list(output.lengths))
            chosen = [prefix_beam(part.numpy(), self.beam, self.blank) for part in logs]
        return ["".join(self.symbols[index] for index in text).strip() for text in chosen]

    def predict(
        self, output: Reading, batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the text of each sample."""
        return [{"text": text} for text in self.write(output)]
