"""TextDecoder: what the mappings of transformers' text decoders to unitf share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from unitf import Features, Task, Tokenizer
from unitf.interop import (
    DummyInputs,
    TransformersArchitecture,
    WeightMapping,
    map_blocks,
    map_weight,
    random_texts,
)
from unitf.tasks import (
    Classification,
    Embedding,
    Head,
    MultiLabelClassification,
    NextToken,
    Regression,
)
from unitf.tokenizer import Unembedding
from unitf_text.published import make_text

TEXT = "tokenizers.text"


class TextDecoder(TransformersArchitecture):
    """A causal model of texts: its body alone, a language model, or a classifier of the last token.

    A subclass gives the names of the body's parts, its core and the mappings of its blocks.
    """

    table_name: ClassVar[str] = "embed_tokens"
    layers_name: ClassVar[str] = "layers"
    norm_name: ClassVar[str] = "norm"

    @property
    def head(self) -> str:
        name = type(self.published).__name__
        return "CausalLM" if name.endswith("LMHeadModel") else super().head

    @property
    def layers(self) -> Any:
        """The published blocks."""
        return getattr(self.body, self.layers_name)

    @property
    def embedding(self) -> nn.Embedding:
        """The published token table."""
        return getattr(self.body, self.table_name)

    @property
    def tied(self) -> bool:
        """Whether the language model computes logits with the token table."""
        return self.published.lm_head.weight is self.embedding.weight

    def unsupported(self) -> str | None:
        known = ("Model", "LMHeadModel", "ForCausalLM", "ForSequenceClassification")
        if not type(self.published).__name__.endswith(known):
            return "it has another head than a language model or a classifier of texts"
        return None

    # ---- tokenizer and task ------------------------------------------------------------

    def text_options(self) -> dict[str, Any]:
        """The tokenizer's options without the vocabulary: positions and table."""
        return {"position_embedding": "none"}

    def unembedding(self) -> Unembedding | None:
        """How columns become logits; None: the model has no logits of tokens."""
        if self.head != "CausalLM":
            return None
        return Unembedding(
            tied=self.tied,
            bias=self.published.lm_head.bias is not None,
            softcap=getattr(self.config, "final_logit_softcapping", None),
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        options = self.text_options()
        if (unembedding := self.unembedding()) is not None:
            options["unembedding"] = unembedding
        return {"text": make_text(self.config.hidden_size, self.source, self.config, **options)}

    def tasks(self) -> dict[str, Task]:
        config, inputs, head = self.config, ["text"], Head(bias=False)
        if self.head == "CausalLM":
            return {"next_token": NextToken(inputs, start=False)}
        if self.head == "":
            return {"embedding": Embedding(inputs, pooling="last", normalise=False)}
        if config.problem_type == "regression" or config.num_labels == 1:
            task = Regression(inputs, "value", pooling="last", head=head)
            numbers = config.num_labels
            task.fitted = {"mean": [0.0] * numbers, "deviation": [1.0] * numbers}
            return {"value": task}
        classes = [config.id2label[number] for number in range(config.num_labels)]
        several = config.problem_type == "multi_label_classification"
        kind = MultiLabelClassification if several else Classification
        return {"label": kind(inputs, "label", classes, "last", head=head)}

    # ---- tensors -----------------------------------------------------------------------

    @abstractmethod
    def block(self) -> Sequence[WeightMapping]:
        """Mappings of one block."""

    def weight_map(self) -> Sequence[WeightMapping]:
        blocks = f"{self.prefix}{self.layers_name}.{{}}"
        return [
            *self.around(),
            *map_blocks(len(self.layers), blocks, "core.decoder.blocks.{}", self.block()),
            map_weight(f"{self.prefix}{self.norm_name}", "core.decoder.final_norm"),
            *(map_weight("score", f"tasks.{task}.head.linear") for task in self.tasks()),
        ]

    def around(self) -> list[WeightMapping]:
        """Mappings outside the blocks: of the token table and of the unembedding."""
        names = [f"{self.prefix}{self.table_name}.weight"]
        if self.head != "CausalLM":
            return [map_weight(names, f"{TEXT}.embedding.weight")]
        if self.tied:
            names.append("lm_head.weight")
            unembedding = map_weight("lm_head.bias", f"{TEXT}.unembedding.bias")
        else:
            unembedding = map_weight("lm_head", f"{TEXT}.unembedding")
        return [map_weight(names, f"{TEXT}.embedding.weight"), unembedding]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"decoder": list(self.layers)}

    # ---- the same input for both -------------------------------------------------------

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        padding = getattr(config, "pad_token_id", None)
        longest = getattr(config, "max_position_embeddings", 12)
        # without a padding id a classifier of transformers takes one text at a time
        lengths = (12,) if padding is None and "Sequence" in self.head else (7, 12, 3)
        avoid = [] if padding is None else [padding]
        ids, mask, lengths = random_texts(config.vocab_size, longest, lengths, avoid)
        ids = ids.masked_fill(~mask, padding or 0)
        inputs = {"input_ids": ids, "attention_mask": mask.long(), "use_cache": False}
        return DummyInputs(inputs, {"text": Features(ids[mask], lengths=lengths)}, mask)
