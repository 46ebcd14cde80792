"""SequenceToSequence: a target sequence of any modality is predicted from other columns."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from unitf.batch import EncodedSample, TaskBatch
from unitf.errors import UserError
from unitf.features import Features
from unitf.generation import Generation, Prompt, Rules, generate
from unitf.nn.cross_entropy import cross_entropy
from unitf.proposal import Column, Proposal
from unitf.tasks.common.prompting import make_prompt, new_tokens, room_of
from unitf.tasks.common.r_drop import losses_of_two
from unitf.tasks.common.recognised_targets import propose_texts
from unitf.tasks.common.selection import loss_of_sequence, take
from unitf.tasks.common.target_sequence import TargetPositions, behind
from unitf.tasks.common.target_task import StartToken, TargetTask
from unitf.tasks.common.token_offsets import lengths_of, runs, sums
from unitf.tasks.metrics.metric_types import TaskMetrics, TextMetric, check_text_figures
from unitf.tasks.task import CoreInputs, Output, Prediction, SampleInfo, Tokenizers
from unitf.tokens import Tokens


class SequenceToSequence(TargetTask):
    """Each target token is predicted from the source and the tokens before it (translation).

    In training the decoder reads the true target, one token behind what it predicts (teacher
    forcing). An encoder-decoder core reads the source as a memory. With `prefix` a decoder reads
    source and target as one sequence, in which all tokens of the source attend to each other.

    Args:
        inputs: the columns of the source, whose tokens are joined.
        target: the column to predict.
        tokenizer: the name of the target's tokenizer; None: the target's name. It may be the
            tokenizer of an input (one table for both).
        prefix: whether source and target are one sequence, for a core of kind "decoder".
        start: what comes before the first token: a learned column, the tokenizer's start token, or
            the token of this id.
        end: whether the tokenizer's end token, if there is one, is predicted after the last token;
            it is added unless the tokenizer adds it.
        target_positions: learned positions of the target, instead of those of its tokenizer.
        label_smoothing: the part of the target that is spread over the whole vocabulary.
        consistency: α of R-Drop (Liang et al., 2021, have 5 for translation). If it is above 0,
            training reads each sample twice with different dropout, and both predictions learn to
            agree.
        generate: how a test generates texts for `metrics`; None: it generates none.
        metrics: the metrics of generated texts, beside those of single tokens.
        validate_by_generating: whether validation generates texts too, which takes longer.
    """

    def __init__(
        self,
        inputs: list[str] | dict[str, str],
        target: str,
        tokenizer: str | None = None,
        prefix: bool = False,
        start: StartToken = "learned",
        end: bool = True,
        target_positions: TargetPositions | None = None,
        label_smoothing: float = 0.0,
        consistency: float = 0.0,
        generate: Generation | None = None,
        metrics: list[TextMetric] | None = None,
        validate_by_generating: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(inputs, target, tokenizer, start, end, target_positions, weight)
        if not 0 <= label_smoothing < 1:
            raise UserError(
                f"label_smoothing must be at least 0 and less than 1, found {label_smoothing}"
            )
        if not 0 <= consistency < math.inf:
            raise UserError(f"consistency must be a number of at least 0, found {consistency}")
        if metrics and generate is None:
            raise UserError("metrics are of texts that were generated: expected generate with them")
        self.prefix: bool = prefix
        self.label_smoothing: float = label_smoothing
        self.consistency: float = consistency
        self.generate: Generation | None = generate
        self.text_metrics: list[TextMetric] = metrics or []
        check_text_figures(self.text_metrics)
        self.validate_by_generating: bool = validate_by_generating

    @classmethod
    def recognise(cls, target: Column | None, inputs: Sequence[Column]) -> Proposal | None:
        """Recognises a target of texts of several words that hardly ever return."""
        return None if target is None else propose_texts(target)

    # ---- on the device -----------------------------------------------------------------

    def core_inputs(self, batch: TaskBatch, tokenizers: Tokenizers) -> CoreInputs:
        """Embeds source and target; with R-Drop in training, twice."""
        source = self.join_inputs(self.embed(batch, tokenizers))
        target = self._read_so_far(batch, tokenizers)
        inputs = self._together(source, target)
        return CoreInputs.pack([inputs, inputs]) if self._two_passes else inputs

    @property
    def _two_passes(self) -> bool:
        return self.training and self.consistency > 0

    def _together(self, source: Tokens, target: Tokens) -> CoreInputs:
        """Joins the tokens of source and target, as the core reads them."""
        if not self.prefix:
            return CoreInputs(target, source)
        return CoreInputs(
            Tokens.concat([source, behind(source.lengths, target)]), prefix=source.lengths
        )

    def prompt(self, batch: TaskBatch, tokenizers: Tokenizers) -> Prompt:
        """Returns the source and a start token.

        Raises:
            UserError: a sample has no source, or the tokenizer has a prefix.
        """
        tokenizer = self._tokenizer(tokenizers)
        if tokenizer.num_prefix:
            raise UserError(f"{self.target}: nothing is generated before a tokenizer's prefix")
        source, count = self.join_inputs(self.embed(batch, tokenizers)), batch.num_samples
        if 0 in source.lengths:
            raise UserError(f"nothing to read: expected an input of {', '.join(self.inputs)}")
        written, start = self._start(tokenizer, count, source.matrix.device)

        def embed(features: Features, samples: Sequence[int]) -> Tokens:
            tokens = new_tokens(tokenizer, self.positions, features, samples)
            return behind([source.lengths[s] for s in samples], tokens) if self.prefix else tokens

        room = room_of(tokenizer, [0])[0]
        if (settings := self.target_positions) is not None:
            room = settings.max_tokens if room is None else min(room, settings.max_tokens)
        inputs = self._together(source, start)
        first = [len(written)] * count
        return make_prompt(inputs, tokenizer, embed, [written] * count, first, [room] * count)

    def _predicted(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "_ N"]:
        """Returns the prediction of each target token, from the column before it."""
        # with a learned start there is one column more than tokens, and the last predicts nothing
        num_unused = int(self.start_token is not None)
        ends = np.cumsum(columns.lengths, dtype=np.int64) - num_unused
        lengths = lengths_of(self._sequence(batch))
        index = torch.from_numpy(runs(ends - lengths, lengths)).to(
            columns.matrix.device, non_blocking=True
        )
        return self._tokenizer(tokenizers).unembed(columns.rows.index_select(0, index).mT)

    def logits(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> Float[Tensor, "N _"]:
        """Returns the logits of each target token."""
        return self._predicted(columns, batch, tokenizers).mT

    def outputs(
        self, columns: Tokens, batch: TaskBatch, tokenizers: Tokenizers
    ) -> dict[str, Shaped[Tensor, " N"]]:
        """Returns for each target token its loss, its smoothed loss, and whether it was predicted.

        The keys are "losses", "smoothed" and, except in training and for numbers, "hits".
        """
        # not the logits: with a large vocabulary they need most of a step's memory
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
        """Returns the R-Drop losses; `columns` holds two dropout passes of one batch.

        Raises:
            UserError: the target's tokens are not ids.
        """
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
        """Returns the smoothed loss of each target token."""
        return output["smoothed"]

    # ---- for a person ------------------------------------------------------------------

    def sample_info(self, encoding: EncodedSample) -> SampleInfo:
        """Returns the expected text, if generated texts are compared with it."""
        return encoding.sample.get(str(self.target)) if self.text_metrics else None

    def evaluate(
        self,
        output: Output,
        batch: TaskBatch,
        tokenizers: Tokenizers,
        core: nn.Module,
        testing: bool,
    ) -> Output:
        """Adds generated texts ("texts") to the output; the target is not read for them."""
        generates = testing or self.validate_by_generating
        if not (self.text_metrics and self.generate and generates and batch.num_samples):
            return output
        prompt, settings = self.prompt(batch, tokenizers), replace(self.generate, num_returns=1)
        rules = Rules(settings, prompt)
        texts = [one.value(rules) for one in generate(core, prompt, settings)]
        return {**output, "texts": texts}

    def metrics(self) -> TaskMetrics:
        """Creates the metrics of tokens and, as configured, those of generated texts."""
        from torchmetrics import MeanMetric

        from unitf.tasks.metrics.task_metrics import TaskMetrics
        from unitf.tasks.metrics.text_metrics import text_metrics
        from unitf.tasks.metrics.token_metrics import TokenMetrics

        of_tokens = {"tokens": TokenMetrics(), "accuracy": MeanMetric()}
        return TaskMetrics({**of_tokens, **text_metrics(self.text_metrics)})

    def update_metrics(
        self,
        metrics: TaskMetrics,
        output: dict[str, Shaped[Tensor, " N"]],
        batch: TaskBatch,
        tokenizers: Tokenizers,
        sequences: Sequence[int],
    ) -> None:
        """Updates the metrics of tokens, each predicted after the true ones, and those of texts."""
        if not len(sequences):
            return
        features = self._sequence(batch)
        rows = torch.empty(len(sequences))
        metrics["num_samples"].update(rows, rows)
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
            written = [_as_text(output["texts"][number]) for number in sequences]
            expected = [_as_text(batch.sample_infos[number]) for number in sequences]
            for name in self.text_metrics:
                metrics[name].update(written, expected)

    def predict(
        self, output: dict[str, Shaped[Tensor, " N"]], batch: TaskBatch, tokenizers: Tokenizers
    ) -> list[Prediction]:
        """Returns the mean loss of each sample's target, and its perplexity if it consists of ids.

        A sample without a target has no loss: nothing is generated here.
        """
        features = self._sequence(batch)
        totals = sums(output["losses"].detach(), lengths_of(features)).tolist()
        return [
            loss_of_sequence(total, count, features.is_ids)
            for total, count in zip(totals, features.lengths, strict=True)
        ]


def _as_text(value: str | bytes | Iterable[object]) -> str:
    """Returns a value as a text: ids, for instance, with spaces between them."""
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else " ".join(map(str, value))
