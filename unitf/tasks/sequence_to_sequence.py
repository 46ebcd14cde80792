"""SequenceToSequence: a target sequence of any modality from the tokens of any others."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from unitf.batch import EncodedSample, Sample, TaskBatch
from unitf.errors import UserError
from unitf.generation import Generation, Prompt, Rules, generate
from unitf.nn.cross_entropy import cross_entropy
from unitf.tasks.common.prompting import make_prompt, new_tokens, room_of
from unitf.tasks.common.r_drop import losses_of_two
from unitf.tasks.common.selection import loss_of_sequence, take
from unitf.tasks.common.target_sequence import TargetPositions, behind, ended, moved
from unitf.tasks.common.token_offsets import lengths_of, runs, sums
from unitf.tasks.heads.pooling import LearnedToken
from unitf.tasks.metrics.metric_types import TaskMetrics, TextMetric, check_text_figures
from unitf.tasks.task import CoreInputs, Task, Tokenizers
from unitf.tokenizer.position_embedding import LearnedPositions
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features, Tokens


class SequenceToSequence(Task):
    """Translation, transcription, captions: each token from the source and the tokens before it.

    In training the decoder reads the true target, one token behind what it predicts (teacher
    forcing). An encoder-decoder core reads the source as a memory; with `prefix` a decoder reads
    source and target as one sequence, in which the tokens of the source see each other.

    Args:
        inputs: the columns of the source, whose tokens are joined.
        target: the column to predict.
        tokenizer: the name of the one that makes tokens of the target; None: as the column's. It
            may be that of an input (one table for both) or another.
        prefix: for a core of kind "decoder".
        start: what stands before the first token: a learned column, the tokenizer's start token,
            or the token of this id.
        end: whether the tokenizer's end token, if it has one, is to be predicted after the last;
            it is put there unless the tokenizer did so.
        target_positions: what is added to the target's tokens instead of the tokenizer's positions.
        label_smoothing: the share of the target that is spread over the whole vocabulary.
        consistency: α of R-Drop (Liang et al., 2021; theirs for translation is 5): training reads
            each sample twice, with other dropout, and what both predict shall agree. 0: once.
        generate: how a test writes texts for `metrics`; None: it writes none.
        metrics: of these texts, beside the figures of single tokens.
        validate_by_generating: whether validation writes them too, which takes its time.
    """

    causal = True

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        tokenizer: str | None = None,
        prefix: bool = False,
        start: int | Literal["learned", "tokenizer"] = "learned",
        end: bool = True,
        target_positions: TargetPositions | None = None,
        label_smoothing: float = 0.0,
        consistency: float = 0.0,
        generate: Generation | None = None,
        metrics: list[TextMetric] | None = None,
        validate_by_generating: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, weight)
        if not 0 <= label_smoothing < 1:
            raise UserError(
                f"label_smoothing must be at least 0 and less than 1, found {label_smoothing}"
            )
        if not 0 <= consistency < math.inf:
            raise UserError(f"consistency must be a number of at least 0, found {consistency}")
        self.target_tokenizer = target if tokenizer is None else tokenizer
        self.prefix = prefix
        self.start_with = start
        self.end = end
        self.target_positions = target_positions
        self.label_smoothing = label_smoothing
        self.consistency = consistency
        self.generate = generate
        if metrics and generate is None:
            raise UserError("metrics are of texts that were generated: expected generate with them")
        self.text_metrics = metrics or []
        check_text_figures(self.text_metrics)
        self.validate_by_generating = validate_by_generating

    @property
    def unembeds(self) -> frozenset[str]:
        return frozenset({str(self.target_tokenizer)})

    def encode_target(self, sample: Sample) -> Int[Tensor, ""]:
        """The bytes in UTF-8 of a target that is a text (else 0): for bits per byte."""
        value = sample[self.target]  # type: ignore[index]
        text = value.encode() if isinstance(value, str) else value
        return torch.tensor(len(text) if isinstance(text, bytes) else 0)

    def encode_sequence(self, features: Features, tokenizer: Tokenizer) -> Features:
        """The target with its end, unless it was cut.

        Raises:
            UserError: it has more tokens than there are `target_positions`.
        """
        made = ended(features, tokenizer) if self.end else features
        most = None if self.target_positions is None else self.target_positions.max_tokens
        if most is not None and made.num_tokens > most:
            raise UserError(
                f"target {self.target!r}: {made.num_tokens} tokens, "
                f"expected at most {most} (target_positions)"
            )
        return made

    def make_parameters(self, dim: int) -> None:
        self.start_token = None
        if self.start_with == "learned":
            self.start_token = LearnedToken(dim, position=-1.0)  # the first real one stands at 0
        self.positions = None
        if (own := self.target_positions) is not None:
            self.positions = LearnedPositions(dim, (own.max_tokens,), own.offset)

    # ---- on the device -----------------------------------------------------------------

    def core_inputs(self, batch: TaskBatch, tokenizers: Tokenizers) -> CoreInputs:
        source = self.join_inputs(self.embed(batch, tokenizers))
        target = self._read_so_far(batch, tokenizers)
        given = self._together(source, target)
        return CoreInputs.pack([given, given]) if self._two_passes else given

    @property
    def _two_passes(self) -> bool:
        return self.training and self.consistency > 0

    def _together(self, source: Tokens, target: Tokens) -> CoreInputs:
        if not self.prefix:
            return CoreInputs(target, source)
        return CoreInputs(
            Tokens.concat([source, behind(source.lengths, target)]), prefix=source.lengths
        )

    def prompt(self, batch: TaskBatch, tokenizers: Tokenizers) -> Prompt:
        """The source, and a start."""
        tokenizer = self._tokenizer(tokenizers)
        if tokenizer.num_prefix:
            raise UserError(f"{self.target}: nothing is generated before a tokenizer's prefix")
        source, count = self.join_inputs(self.embed(batch, tokenizers)), batch.num_samples
        if 0 in source.lengths:
            raise UserError(f"nothing to read: expected an input of {', '.join(self.inputs)}")
        written: list[int] = []
        if self.start_token is not None:
            target = self.start_token(count)
        else:
            written = [self._first(tokenizer)]
            device = source.matrix.device
            positions = torch.tensor(tokenizer.position_of(0), device=device)[:, None].expand(
                -1, count
            )
            features = Features(
                torch.full((count,), written[0], device=device), positions, (1,) * count
            )
            target = tokenizer.without_prefix(features, positions=self.positions)

        def embed(features: Features, samples: Sequence[int]) -> Tokens:
            tokens = new_tokens(tokenizer, self.positions, features, samples)
            return behind([source.lengths[s] for s in samples], tokens) if self.prefix else tokens

        room = room_of(tokenizer, [0])[0]
        if (own := self.target_positions) is not None:
            room = own.max_tokens if room is None else min(room, own.max_tokens)
        given = self._together(source, target)
        first = [len(written)] * count
        return make_prompt(given, tokenizer, embed, [written] * count, first, [room] * count)

    def _read_so_far(self, batch: TaskBatch, tokenizers: Tokenizers) -> Tokens:
        """What the decoder reads: a start, then the true target."""
        features, tokenizer = self._sequence(batch), self._tokenizer(tokenizers)
        if self.start_token is not None:
            start = self.start_token(features.num_sequences)
            return Tokens.concat([start, tokenizer(features, positions=self.positions)])
        later = moved(features, self._first(tokenizer))
        return tokenizer(later, positions=self.positions)

    def _first(self, tokenizer: Tokenizer) -> int:
        """The id that stands before the first token."""
        first = tokenizer.start_id if self.start_with == "tokenizer" else int(self.start_with)
        if first is None or tokenizer.vocabulary_size is None:
            raise UserError(
                f"{self.target}: {type(tokenizer).__name__} has no start token, "
                "expected start: learned"
            )
        return first

    def _sequence(self, batch: TaskBatch) -> Features:
        assert batch.sequence is not None  # the Encoder makes it, because there is a tokenizer
        return batch.sequence

    def _tokenizer(self, tokenizers: Tokenizers) -> Tokenizer:
        return tokenizers[str(self.target_tokenizer)]

    def _predicted(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "_ N"]:
        """For each token of the target what the column before it makes of it."""
        # a learned start is a column more than there are tokens, and the last predicts nothing
        late = int(self.start_token is not None)
        ends = np.cumsum(columns.lengths, dtype=np.int64) - late
        lengths = lengths_of(self._sequence(batch))
        index = torch.from_numpy(runs(ends - lengths, lengths)).to(
            columns.matrix.device, non_blocking=True
        )
        return self._tokenizer(tokenizers).unembed(columns.rows.index_select(0, index).mT)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N _"]:
        return self._predicted(columns, batch, tokenizers).mT

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Shaped[Tensor, " N"]]:
        """Of each token of the target its loss, the smoothed one, and whether it was the best."""
        # the logits of a large vocabulary are the largest thing of a step: they stay in here
        features = self._sequence(batch)
        if self._two_passes:
            return self._outputs_of_two_passes(columns, batch, tokenizers)
        predicted = self._predicted(columns, batch, tokenizers)
        if features.is_ids and self.label_smoothing:
            smoothed, plain = cross_entropy(predicted.mT, features.values, self.label_smoothing)
        else:
            smoothed = plain = self._tokenizer(tokenizers).loss(predicted, features).float()
        output = {"losses": plain, "smoothed": smoothed}
        if features.is_ids and not self.training:
            output["hits"] = predicted.argmax(0) == features.values
        return output

    def _outputs_of_two_passes(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Float[Tensor, " N"]]:
        """The same of two passes, of which the columns are."""
        features = self._sequence(batch)
        if not features.is_ids:
            name = type(self._tokenizer(tokenizers)).__name__
            raise UserError(
                f"{self.target}: expected consistency: 0 (it compares predictions of ids), "
                f"found vectors of {name}"
            )
        one, other = (
            self._predicted(each, batch, tokenizers).mT
            for each in columns.unpack([batch.num_samples, batch.num_samples])
        )
        both, plain = losses_of_two(
            one, other, features.values, self.label_smoothing, self.consistency
        )
        return {"losses": plain, "smoothed": both}

    def losses(
        self, output: dict[str, Shaped[Tensor, " N"]], batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, " N"]:
        return output["smoothed"]

    # ---- for a person ------------------------------------------------------------------

    def sample_info(self, encoding: EncodedSample) -> Any:
        """The text that is expected, where texts are compared."""
        return encoding.sample.get(str(self.target)) if self.text_metrics else None

    def evaluate(
        self, output: Any, batch: TaskBatch, tokenizers: Tokenizers, core: nn.Module, testing: bool
    ) -> Any:
        """The reading, with the texts that are written without a look at the target."""
        wanted = testing or self.validate_by_generating
        if not (self.text_metrics and self.generate and wanted and batch.num_samples):
            return output
        prompt, settings = self.prompt(batch, tokenizers), replace(self.generate, num_returns=1)
        rules = Rules(settings, prompt)
        texts = [one.value(rules) for one in generate(core, prompt, settings)]
        return {**output, "texts": texts}

    def metrics(self) -> TaskMetrics:
        from torchmetrics import MeanMetric

        from unitf.tasks.metrics.task_metrics import TaskMetrics
        from unitf.tasks.metrics.text_metrics import text_metrics
        from unitf.tasks.metrics.token_metrics import TokenMetrics

        figures = {"tokens": TokenMetrics(), "accuracy": MeanMetric()}
        return TaskMetrics({**figures, **text_metrics(self.text_metrics)})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: dict[str, Shaped[Tensor, " N"]],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Loss, perplexity and accuracy of single tokens, each after the true ones before it."""
        if not len(sequences):
            return
        features = self._sequence(batch)
        everyone = torch.empty(len(sequences))
        metrics["num_samples"].update(everyone, everyone)
        losses = take(sums(output["losses"], lengths_of(features)), sequences)
        count = sum(features.lengths[number] for number in sequences)
        texts = torch.zeros_like(losses)
        if features.is_ids and batch.target is not None:
            cut = self._tokenizer(tokenizers).cuts(features.lengths)
            texts = take(batch.target * torch.from_numpy(~cut).to(batch.target.device), sequences)
        metrics["tokens"].update(losses, count, texts, features.is_ids)
        if "hits" in output and count:
            hits = take(sums(output["hits"].float(), lengths_of(features)), sequences)
            metrics["accuracy"].update(hits.sum() / count, count)
        if "texts" in output:
            written = [_said(output["texts"][number]) for number in sequences]
            expected = [_said(batch.sample_infos[number]) for number in sequences]
            for name in self.text_metrics:
                metrics[name].update(written, expected)

    def predict(
        self, output: dict[str, Shaped[Tensor, " N"]], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[dict[str, Any]]:
        """Of the target that a sample brings its mean loss, and the perplexity where it is of ids.

        A sample without a target has no loss: nothing is generated here.
        """
        features = self._sequence(batch)
        totals = sums(output["losses"].detach(), lengths_of(features)).tolist()
        return [
            loss_of_sequence(total, count, features.is_ids)
            for total, count in zip(totals, features.lengths, strict=True)
        ]


def _said(value: Any) -> str:
    """A text, or what else was written, in words."""
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else " ".join(map(str, value))
