"""Text encoders of transformers, small, with every head and option that unitf's mapping knows."""

from functools import partial

import transformers
from torch import nn

_SMALL = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
    "num_labels": 5,
}
_NAMES = {  # DistilBERT's own names
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
}
_OWN = {
    "Electra": {"embedding_size": 16},
    "Albert": {"embedding_size": 16},
    "ModernBert": {"pad_token_id": 0, "cls_token_id": 1, "bos_token_id": 1, "sep_token_id": 2,
                   "eos_token_id": 2, "local_attention": 6},
    "Roberta": {"type_vocab_size": 1},
    "XLMRoberta": {"type_vocab_size": 1},
    "Camembert": {"type_vocab_size": 1},
}  # fmt: skip


def make(family: str, head: str, **options: object) -> nn.Module:
    """Returns a model of transformers' class `{family}{head}` with random weights."""
    settings = {**_SMALL, **_OWN.get(family, {}), **options}
    if head == "ForQuestionAnswering":
        settings["num_labels"] = 2
    if family == "DistilBert":
        settings = {_NAMES.get(name, name): value for name, value in settings.items()}
    config = getattr(transformers, f"{family}Config")(**settings)
    config._attn_implementation = "eager"
    return getattr(transformers, f"{family}{head}")(config)


_HEADS = {
    "body": "Model",
    "masked": "ForMaskedLM",
    "sequences": "ForSequenceClassification",
    "tokens": "ForTokenClassification",
    "answers": "ForQuestionAnswering",
}
_FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert", "DistilBert", "Electra", "Albert",
             "ModernBert")  # fmt: skip
_MORE = {
    "Bert, tanh GELU, one label": ("Bert", "ForSequenceClassification",
                                   {"hidden_act": "gelu_new", "num_labels": 1}),
    "Bert, several labels": ("Bert", "ForSequenceClassification",
                             {"problem_type": "multi_label_classification"}),
    "Roberta, two segments": ("Roberta", "ForMaskedLM", {"type_vocab_size": 2}),
    "DistilBert, ReLU": ("DistilBert", "ForMaskedLM", {"activation": "relu"}),
    "Electra, discriminator": ("Electra", "ForPreTraining", {}),
    "Electra, table of full width": ("Electra", "ForMaskedLM", {"embedding_size": 24}),
    "Albert, GELU": ("Albert", "ForMaskedLM", {"embedding_size": 8, "hidden_act": "gelu"}),
    "ModernBert, all biases": ("ModernBert", "ForMaskedLM", {
        "attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True}),
    "ModernBert, no bias of logits": ("ModernBert", "ForMaskedLM", {"decoder_bias": False}),
    "ModernBert, mean pooling": ("ModernBert", "ForSequenceClassification",
                                 {"classifier_pooling": "mean"}),
    "ModernBert, SiLU": ("ModernBert", "ForTokenClassification", {
        "hidden_activation": "silu", "global_attn_every_n_layers": 2}),
}  # fmt: skip

CASES = {
    f"{family} {name}": partial(make, family, head)
    for family in _FAMILIES
    for name, head in _HEADS.items()
} | {name: partial(make, family, head, **o) for name, (family, head, o) in _MORE.items()}
