"""What the text-to-text models of transformers have in common, said in unitf."""

from collections.abc import Sequence

from torch import nn

from unitf import Features
from unitf.peers import Trial, random_texts
from unitf.peers.names import Line
from unitf.peers.sequences import EncoderDecoderArchitecture
from unitf.tasks import SequenceToSequence
from unitf.tasks.target import TargetPositions
from unitf.tasks.task import Task

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

    def stacks(self, encoder: Sequence[Line], decoder: Sequence[Line]) -> list[Line]:
        """Lines below the encoder and the decoder, which are called so in both."""
        return [
            Line(
                tuple(f"{self.prefix}{stack}.{name}" for name in line.theirs),
                f"core.{stack}.{line.ours}",
                line.change,
            )
            for stack, lines in (("encoder", encoder), ("decoder", decoder))
            for line in lines
        ]

    def layers(self, stack: str) -> Sequence[nn.Module]:
        """The blocks of the peer's encoder or decoder."""
        return list(getattr(self.body, stack).layers)

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {stack: self.layers(stack) for stack in ("encoder", "decoder")}

    def trial(self) -> Trial:
        config = self.config
        longest = getattr(config, "max_position_embeddings", 64)
        padding = config.pad_token_id
        ids, mask, lengths = random_texts(config.vocab_size, longest, (7, 12, 3), [padding])
        size = getattr(config, "decoder_vocab_size", None) or config.vocab_size
        inputs, target, target_mask = self.trial_target(size, longest, (5, 2, 9), padding)
        return Trial(
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
