"""Audio models of transformers, small, with every option that unitf's mapping knows."""

from collections.abc import Callable
from functools import partial

from torch import nn
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    ASTModel,
    HubertConfig,
    HubertForCTC,
    HubertForSequenceClassification,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)

AST = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "patch_size": 8,
    "frequency_stride": 5,
    "time_stride": 6,
    "max_length": 40,
    "num_mel_bins": 20,
    "num_labels": 5,
}
BASE = {  # norm over time, and after the layers
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "conv_dim": (10, 12, 14),
    "conv_kernel": (5, 3, 2),
    "conv_stride": (3, 2, 2),
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 4,
    "classifier_proj_size": 10,
    "vocab_size": 9,
    "num_labels": 5,
}
LARGE = {  # norms over channels, and before the layers
    **BASE,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    "num_conv_pos_embeddings": 7,
}


def _make(cls: Callable[..., nn.Module], config: Callable[..., object], **options: object):
    settings = config(**options)
    settings._attn_implementation = "eager"  # pyright: ignore[reportAttributeAccessIssue]
    return cls(settings)


def _ast(cls: Callable[..., nn.Module] = ASTForAudioClassification, **options: object) -> nn.Module:
    return _make(cls, ASTConfig, **{**AST, **options})


def _wav2vec(cls: Callable[..., nn.Module], size: dict = BASE, **options: object) -> nn.Module:
    config = HubertConfig if cls.__name__.startswith("Hubert") else Wav2Vec2Config
    return _make(cls, config, **{**size, **options})


CASES: dict[str, Callable[[], nn.Module]] = {
    "AST": _ast,
    "AST, several labels": partial(_ast, problem_type="multi_label_classification"),
    "AST, body": partial(_ast, ASTModel),
    "AST, no biases of queries, patches side by side": partial(
        _ast, qkv_bias=False, hidden_act="gelu_new", frequency_stride=8, time_stride=8
    ),
    "wav2vec 2.0": partial(_wav2vec, Wav2Vec2Model),
    "wav2vec 2.0, large": partial(_wav2vec, Wav2Vec2Model, LARGE),
    "wav2vec 2.0, no vector for what is hidden": partial(_wav2vec, Wav2Vec2Model, mask_time_prob=0),
    "wav2vec 2.0, CTC": partial(_wav2vec, Wav2Vec2ForCTC),
    "wav2vec 2.0, large, CTC": partial(_wav2vec, Wav2Vec2ForCTC, LARGE),
    "wav2vec 2.0, classes": partial(_wav2vec, Wav2Vec2ForSequenceClassification),
    "wav2vec 2.0, large, classes": partial(_wav2vec, Wav2Vec2ForSequenceClassification, LARGE),
    "HuBERT": partial(_wav2vec, HubertModel),
    "HuBERT, large": partial(_wav2vec, HubertModel, LARGE),
    "HuBERT, no norm before the projection": partial(
        _wav2vec, HubertModel, feat_proj_layer_norm=False, conv_bias=True
    ),
    "HuBERT, CTC": partial(_wav2vec, HubertForCTC),
    "HuBERT, large, CTC": partial(_wav2vec, HubertForCTC, LARGE),
    "HuBERT, large, classes": partial(_wav2vec, HubertForSequenceClassification, LARGE),
}
