"""What the text-to-text models of transformers have in common, said in unitf."""

from collections.abc import Sequence

from torch import nn

from unitf import Features, Task
from unitf.interop import DummyInputs, EncoderDecoderArchitecture, WeightMapping, random_texts
from unitf.tasks import SequenceToSequence, TargetPositions

SOURCE, TARGET, TASK = "source", "target", "text_to_text"  # columns, and the task


class TextToText(EncoderDecoderArchitecture):
    """An encoder-decoder that reads a text and writes one."""

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
        """Of the source's tokenizer and of the target's."""
        return "text", "text"

    def target_positions(self) -> TargetPositions | None:
        """Positions of the decoder's own."""
        return None

    def stacks(
        self, encoder: Sequence[WeightMapping], decoder: Sequence[WeightMapping]
    ) -> list[WeightMapping]:
        """Lines below the encoder and the decoder, which are called so in both."""
        return [
            WeightMapping(
                tuple(f"{self.prefix}{stack}.{name}" for name in map_weight.theirs),
                f"core.{stack}.{map_weight.ours}",
                map_weight.change,
            )
            for stack, lines in (("encoder", encoder), ("decoder", decoder))
            for map_weight in lines
        ]

    def layers(self, stack: str) -> Sequence[nn.Module]:
        """The blocks of the peer's encoder or decoder."""
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
