"""The text towers of transformers' CLIP and SigLIP."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    TransformersArchitecture,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
    random_texts,
)
from unitf.tasks import Embedding, Head
from unitf_text.subwords import Subwords
from unitf_text.token_ids import TokenIds

QKV = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]


class TextTower(TransformersArchitecture):
    """A Transformer over ids whose last column becomes the vector of a text."""

    kind: Any = "encoder"

    def unsupported(self) -> str | None:
        if self.config.hidden_act not in ACTIVATIONS:
            return f"hidden_act is {self.config.hidden_act!r}"
        return None

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            kind=self.kind,
            activation=ACTIVATIONS[config.hidden_act],  # type: ignore[arg-type]
            norm_eps=config.layer_norm_eps,
            attention_dropout=config.attention_dropout,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        options: dict[str, Any] = {
            "position_embedding": "learned",
            "max_tokens": config.max_position_embeddings,
            "truncate": True,
        }
        framing = framing_of(self.source)
        if framing is None:
            ids = TokenIds(config.hidden_size, config.vocab_size, **options, **self.padding())
            return {"text": ids}
        padding = self.padding()
        tokenizer = Subwords(
            config.hidden_size, pretrained=self.source, **options, **framing, **padding
        )
        tokenizer.fit([])
        if tokenizer.vocabulary_size != config.vocab_size:
            raise UserError(
                f"{self.source}: its tokenizer has {tokenizer.vocabulary_size} tokens, "
                f"the model {config.vocab_size}"
            )
        return {"text": tokenizer}

    def padding(self) -> dict[str, Any]:
        """The padding options of the tokenizer, if the model also reads the padding."""
        return {}

    def vector(self, size: int | None, bias: bool = True) -> dict[str, Task]:
        """Returns the task that projects the last column, without normalising its length."""
        # the scale of similarities, if the model is a tower of two
        scale = getattr(self.config, "logit_scale", None)
        temperature: dict[str, Any] = {} if scale is None else {"temperature": math.exp(-scale)}
        head = Head(bias=bias)
        task = Embedding(["text"], "last", size, normalise=False, head=head, **temperature)
        return {"embedding": task}

    def weight_map(self) -> Sequence[WeightMapping]:
        body, stack = self.prefix, f"core.{self.kind}"
        width = self.config.hidden_size
        return [
            map_weight(f"{body}embeddings.token_embedding", "tokenizers.text.embedding"),
            map_weight(
                f"{body}embeddings.position_embedding.weight",
                "tokenizers.text.position_embedding.table",
            ),
            *map_blocks(
                self.config.num_hidden_layers,
                f"{body}encoder.layers.{{}}",
                f"{stack}.blocks.{{}}",
                [
                    map_weight("layer_norm1", "attention_residual.norm"),
                    map_joined(QKV, "attention.qkv", [width] * 3),
                    map_weight("self_attn.out_proj", "attention.out"),
                    map_weight("layer_norm2", "feedforward_residual.norm"),
                    map_weight("mlp.fc1", "feedforward.inner"),
                    map_weight("mlp.fc2", "feedforward.out"),
                ],
            ),
            map_weight(f"{body}final_layer_norm", f"{stack}.final_norm"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {self.kind: list(self.body.encoder.layers)}


class HFClipText(TextTower):
    """CLIP's text tower: causal, read at the end token."""

    kinds = ("clip_text_model",)
    kind = "decoder"

    def tasks(self) -> dict[str, Task]:
        return self.vector(
            None if self.body is self.published else self.config.projection_dim, bias=False
        )

    def weight_map(self) -> Sequence[WeightMapping]:
        return [*super().weight_map(), map_weight("text_projection", "tasks.embedding.head.linear")]

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        # in the first CLIP models eos_token_id 2 stands for the highest id of a text
        end = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
        ids, mask, lengths = random_texts(
            config.vocab_size, config.max_position_embeddings, avoid=[end]
        )
        ids[torch.arange(len(ids)), torch.tensor(lengths) - 1] = end
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        return DummyInputs(inputs, {"text": Features(ids[mask], lengths=lengths)}, mask)

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        is_bare = self.body is self.published
        return {"embedding": output.pooler_output if is_bare else output.text_embeds}


class HFSiglipText(TextTower):
    """SigLIP's text tower: texts are padded to one length, and the last column is read."""

    kinds = ("siglip_text_model",)

    def padding(self) -> dict[str, Any]:
        return {"padding_id": self.config.pad_token_id}

    def tasks(self) -> dict[str, Task]:
        return self.vector(self.config.projection_size)

    def weight_map(self) -> Sequence[WeightMapping]:
        return [*super().weight_map(), map_weight("head", "tasks.embedding.head.linear")]

    def dummy_inputs(self) -> DummyInputs:
        longest = self.config.max_position_embeddings
        ids, _, lengths = random_texts(self.config.vocab_size, longest, [longest] * 3)
        return DummyInputs({"input_ids": ids}, {"text": Features(ids.flatten(), lengths=lengths)})

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        return {"embedding": output.pooler_output}


def framing_of(source: str | None) -> dict[str, bool] | None:
    """Whether a model's tokenizer adds a start and an end to a text; None: it has no tokenizer."""
    if source is None:
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError):
        return None
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return None
    ids = tokenizer("a").input_ids
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    return {"add_start": ids[0] == start, "add_end": ids[-1] == end}
