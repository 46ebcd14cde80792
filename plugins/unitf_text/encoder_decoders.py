"""TextToText: what the mappings of transformers' text-to-text models to unitf share."""

from collections.abc import Sequence

from torch import nn

from unitf import Features, Task
from unitf.interop import DummyInputs, EncoderDecoderArchitecture, WeightMapping, random_texts
from unitf.tasks import SequenceToSequence, TargetPositions

SOURCE, TARGET, TASK = "source", "target", "text_to_text"  # columns, and the task


class TextToText(EncoderDecoderArchitecture):
    """An encoder-decoder that reads a text and generates a text."""

    def tasks(self) -> dict[str, Task]:
        return {
            TASK: SequenceToSequence(
                {SOURCE: self.tokenizer_names[0]},
                TARGET,
                self.tokenizer_names[1],
                start=self.config.decoder_start_token_id,
                target_positions=self.target_positions(),
            )
        }

    @property
    def tokenizer_names(self) -> tuple[str, str]:
        """The names of the source tokenizer and the target tokenizer."""
        return "text", "text"

    def target_positions(self) -> TargetPositions | None:
        """Position embeddings of the decoder alone; None: it uses those of the tokenizer."""
        return None

    def stacks(
        self, encoder: Sequence[WeightMapping], decoder: Sequence[WeightMapping]
    ) -> list[WeightMapping]:
        """Prefixes the mappings with the names of the encoder and the decoder."""
        return [
            WeightMapping(
                tuple(f"{self.prefix}{stack}.{name}" for name in mapping.theirs),
                f"core.{stack}.{mapping.ours}",
                mapping.change,
            )
            for stack, mappings in (("encoder", encoder), ("decoder", decoder))
            for mapping in mappings
        ]

    def layers(self, stack: str) -> Sequence[nn.Module]:
        """The published blocks of the encoder or the decoder."""
        return list(getattr(self.body, stack).layers)

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {stack: self.layers(stack) for stack in ("encoder", "decoder")}

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        longest = getattr(config, "max_position_embeddings", 64)
        padding = config.pad_token_id
        ids, mask, lengths = random_texts(config.vocab_size, longest, (7, 12, 3), [padding])
        size = getattr(config, "decoder_vocab_size", None) or config.vocab_size
        inputs, target, target_mask = self.trial_target(size, longest, (5, 2, 9), padding)
        return DummyInputs(
            {
                "input_ids": ids.masked_fill(~mask, padding),
                "attention_mask": mask.long(),
                "use_cache": False,
                **inputs,
            },
            {self.tokenizer_names[0]: Features(ids[mask], lengths=lengths)},
            target_mask,
            target,
            mask,
        )
