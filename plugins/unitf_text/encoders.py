"""TextEncoder: what the mappings of transformers' text encoders to unitf share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    TransformersArchitecture,
    WeightMapping,
    map_weight,
    random_texts,
)
from unitf.tasks import (
    Classification,
    Embedding,
    Head,
    MaskedTokens,
    MultiLabelClassification,
    Regression,
    SpanAnswer,
    TokenClassification,
)
from unitf.tokenizer import EmbeddingTable, Unembedding
from unitf_text.companions import SentencePooling, sentence_pooling, text_tokenizer

TEXT = "tokenizers.text"


class TextEncoder(TransformersArchitecture):
    """A bidirectional encoder of text; a subclass gives the names of its tensors and heads."""

    heads_known: ClassVar[tuple[str, ...]] = (
        "",
        "MaskedLM",
        "SequenceClassification",
        "TokenClassification",
        "QuestionAnswering",
    )
    # names of the heads' tensors in the published model
    masked_table: ClassVar[tuple[str, ...]]  # the name of the tied table in the head
    masked_bias: ClassVar[tuple[str, ...]]
    masked_hidden: ClassVar[tuple[str, str]]  # the layer and the norm before the table
    # the hidden and the last layer of SequenceClassification
    classifier: ClassVar[tuple[str | None, str]]

    # ---- what a family defines -------------------------------------------------------------

    @property
    @abstractmethod
    def activation(self) -> str:
        """The name of the feed-forward's activation in transformers."""

    @abstractmethod
    def masked_head(self) -> Head:
        """The layers between a column and the tied table of a MaskedLM."""

    @abstractmethod
    def classifier_head(self) -> Head:
        """The layers between the pooled column and the classes of a SequenceClassification."""

    @abstractmethod
    def embedding_mappings(self) -> list[WeightMapping]:
        """Mappings of the token table, the position table and their norm."""

    @abstractmethod
    def block_mappings(self) -> list[WeightMapping]:
        """Mappings of all blocks."""

    @property
    def table_name(self) -> str:
        """The name of the token table in the published model."""
        return f"{self.prefix}embeddings.word_embeddings"

    @property
    def eps(self) -> float:
        """The epsilon of every LayerNorm."""
        return self.config.layer_norm_eps

    # ---- what follows from it -----------------------------------------------------------

    def unsupported(self) -> str | None:
        config = self.config
        known = ", ".join(f"For{head}" for head in self.heads_known if head)
        if self.head not in self.heads_known or (not self.head and self.body is not self.published):
            return f"its head is not one of {known}"
        if self.activation not in ACTIVATIONS:
            return f"its activation is {self.activation!r}"
        if getattr(config, "is_decoder", False):
            return "it is a decoder (is_decoder)"
        if getattr(config, "position_embedding_type", "absolute") not in (None, "absolute"):
            return f"its positions are {config.position_embedding_type!r}"
        if self.head == "MaskedLM" and not config.tie_word_embeddings:
            return "its head has a table of its own (tie_word_embeddings is false)"
        return None if self.head else self.sentence.lacking

    @property
    def sentence(self) -> SentencePooling:
        """How a model without a head turns a text into one vector."""
        return sentence_pooling(self.source) or SentencePooling()

    @property
    def num_segments(self) -> int:
        """The number of token types (segments); 0 if the model has none."""
        return getattr(self.config, "type_vocab_size", 0)

    @property
    def num_positions(self) -> int:
        """The longest sequence that the model can read, in tokens."""
        return self.config.max_position_embeddings

    @property
    def has_masked_bias(self) -> bool:
        """Whether the head of a MaskedLM adds a bias to the logits."""
        return self.head == "MaskedLM"

    def table_settings(self) -> EmbeddingTable | None:
        """The settings of the token table; None: the defaults."""
        return EmbeddingTable(norm_eps=self.eps)

    def tokenizers(self) -> dict[str, Tokenizer]:
        return {
            "text": self.text_tokenizer(
                position_embedding="additive" if self.num_segments else "learned"
            )
        }

    def text_tokenizer(self, **options: Any) -> Tokenizer:
        """The tokenizer that is stored beside the weights."""
        return text_tokenizer(
            self.source,
            self.config.hidden_size,
            self.config,
            num_positions=self.num_positions,
            num_segments=self.num_segments,
            limit=None if self.head else self.sentence.limit,
            read_special=self.head == "MaskedLM",
            table=self.table_settings(),
            unembedding=Unembedding(bias=self.has_masked_bias),
            **options,
        )

    # ---- heads --------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        makers = {
            "": self._embedding,
            "MaskedLM": lambda: {"masked": MaskedTokens(["text"], head=self.masked_head())},
            "SequenceClassification": self._classification,
            "TokenClassification": lambda: {
                "labels": TokenClassification(
                    ["text"], "labels", self._labels(), head=self.token_head()
                )
            },
            "QuestionAnswering": lambda: {
                "answer": SpanAnswer(["text"], "answer", head=self.token_head())
            },
        }
        return makers[self.head]()

    def token_head(self) -> Head:
        """The layers between a column and the logits of its token."""
        return Head()

    def _embedding(self) -> dict[str, Task]:
        sentence = self.sentence
        embedding = Embedding(["text"], sentence.pooling, normalise=sentence.normalise)
        tasks: dict[str, Task] = {"embedding": embedding}
        if getattr(self.published, "pooler", None) is not None:
            head = Head(hidden="tanh")
            tasks["pooler"] = Embedding(["text"], "first", normalise=False, head=head)
        return tasks

    def _classification(self) -> dict[str, Task]:
        config, head, pooling = self.config, self.classifier_head(), self.classifier_pooling
        if config.num_labels == 1 or config.problem_type == "regression":
            task = Regression(["text"], "value", pooling=pooling, head=head)
            task.fitted = {
                "mean": [0.0] * config.num_labels,
                "deviation": [1.0] * config.num_labels,
            }
            return {"value": task}
        kind = Classification
        if config.problem_type == "multi_label_classification":
            kind = MultiLabelClassification
        return {"label": kind(["text"], "label", self._labels(), pooling, head=head)}

    @property
    def classifier_pooling(self) -> Any:
        """How a SequenceClassification pools the columns."""
        return "first"

    def _labels(self) -> list[Any]:
        """The names of the classes, or their numbers if two classes have the same name."""
        names = [self.config.id2label[number] for number in range(self.config.num_labels)]
        return names if len(set(names)) == len(names) else list(range(len(names)))

    # ---- names --------------------------------------------------------------------------

    def weight_map(self) -> Sequence[WeightMapping]:
        return [*self.embedding_mappings(), *self.block_mappings(), *self.head_mappings()]

    def table_line(self) -> WeightMapping:
        """The mapping of the token table, to which the output of a MaskedLM is tied."""
        tied = self.masked_table if self.head == "MaskedLM" else ()
        return map_weight([f"{self.table_name}.weight", *tied], f"{TEXT}.embedding.weight")

    def head_mappings(self) -> list[WeightMapping]:
        """Mappings of the layers of the head."""
        [task, *_] = self.tasks_named
        head = f"tasks.{task}.head"
        if self.head == "MaskedLM":
            hidden, norm = self.masked_hidden
            return [
                map_weight(self.masked_bias, f"{TEXT}.unembedding.bias"),
                map_weight(hidden, f"{head}.hidden"),
                map_weight(norm, f"{head}.norm"),
            ]
        if self.head == "SequenceClassification":
            hidden, last = self.classifier
            first = [map_weight(hidden, f"{head}.hidden")] if hidden else []
            return [*first, map_weight(last, f"{head}.linear")]
        if self.head == "TokenClassification":
            return [map_weight("classifier", f"{head}.linear")]
        if self.head == "QuestionAnswering":
            return [map_weight("qa_outputs", f"{head}.linear")]
        return [map_weight("pooler.dense", "tasks.pooler.head.hidden")]

    @property
    def tasks_named(self) -> list[str]:
        """The names of the tasks."""
        return list(self.tasks())

    # ---- the same input for both --------------------------------------------------------

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        avoid = [] if config.pad_token_id is None else [config.pad_token_id]
        ids, mask, lengths = random_texts(config.vocab_size, self.num_positions, avoid=avoid)
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        positions = None
        if self.num_segments:
            inputs["token_type_ids"] = torch.randint(self.num_segments, ids.shape)
            order = torch.arange(ids.shape[1]).expand(ids.shape)
            positions = torch.stack([order[mask], inputs["token_type_ids"][mask]]).float()
        return DummyInputs(inputs, {"text": Features(ids[mask], positions, lengths)}, mask)

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "QuestionAnswering":
            both = torch.stack([output.start_logits, output.end_logits], dim=-1)
            return {"answer": dummy_inputs.packed(both)}
        if self.head:
            return super().heads(output, dummy_inputs)
        vectors = {}
        if getattr(output, "pooler_output", None) is not None:
            vectors["pooler"] = output.pooler_output
        if sentence_pooling(self.source) is not None:
            vectors["embedding"] = _sentence(output[0], dummy_inputs, self.sentence)
        return vectors

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.encoder.layer)}


def _sentence(columns: Tensor, dummy_inputs: DummyInputs, sentence: SentencePooling) -> Tensor:
    """One vector for each text, pooled as sentence-transformers does."""
    assert dummy_inputs.mask is not None
    mask = dummy_inputs.mask[:, :, None].float()
    if sentence.pooling == "mean":
        vectors = (columns * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    elif sentence.pooling == "first":
        vectors = columns[:, 0]
    else:
        vectors = columns[torch.arange(len(columns)), dummy_inputs.mask.sum(1) - 1]
    return nn.functional.normalize(vectors, dim=1) if sentence.normalise else vectors
