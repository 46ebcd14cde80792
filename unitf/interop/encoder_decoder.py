"""EncoderDecoderArchitecture: the base class for published encoder-decoders."""

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from unitf.features import Features
from unitf.interop.architecture import DummyInputs, TransformersArchitecture, random_texts


class EncoderDecoderArchitecture(TransformersArchitecture):
    """A model with `encoder` and `decoder`, with or without logits over the target's vocabulary."""

    heads_known: ClassVar[tuple[str, ...]] = ("", "ConditionalGeneration")

    def unsupported(self) -> str | None:
        config = self.config
        if self.head not in self.heads_known:
            return f"its head is {self.head}"
        for ours, names in (("num_heads", "attention_heads"), ("hidden_dim", "ffn_dim")):
            sizes = {getattr(config, f"{part}_{names}", 0) for part in ("encoder", "decoder")}
            if len(sizes) > 1:
                return f"its encoder and its decoder have different {ours}: {sorted(sizes)}"
        return None

    @property
    def generates(self) -> bool:
        """Whether the published model has logits."""
        return self.head == "ConditionalGeneration"

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}

        def keep(module: nn.Module, inputs: object, output: object) -> None:
            kept["columns"] = dummy_inputs.packed(cast(Sequence[Tensor], output)[0])

        handle = self.body.decoder.register_forward_hook(keep)
        try:
            output = self.published(**dummy_inputs.inputs)
        finally:
            handle.remove()
        kept["memory"] = dummy_inputs.packed(output.encoder_last_hidden_state, memory=True)
        return kept | self.heads(output, dummy_inputs)

    def trial_target(
        self, vocabulary: int, longest: int, lengths: Sequence[int], padding: int | None
    ) -> tuple[dict[str, Tensor], Features, Tensor]:
        """Returns the inputs of the published decoder, the target, and the mask of real tokens."""
        avoid = [] if padding is None else [padding]
        ids, mask, lengths = random_texts(vocabulary, longest, lengths, avoid)
        start = torch.full_like(ids[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, ids[:, :-1]], dim=1).masked_fill(~mask, padding or 0)
        inputs = {"decoder_input_ids": shifted, "decoder_attention_mask": mask.long()}
        return inputs, Features(ids[mask], lengths=lengths), mask
