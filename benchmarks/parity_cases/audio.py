"""Audio models of transformers, small, with every option that unitf's mapping knows."""

from collections.abc import Callable
from functools import partial

from torch import nn
from transformers import ASTConfig, ASTForAudioClassification, ASTModel

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


def _made(cls: Callable[..., nn.Module], config: Callable[..., object], **options: object):
    made = config(**options)
    made._attn_implementation = "eager"  # pyright: ignore[reportAttributeAccessIssue]
    return cls(made)


def _ast(cls: Callable[..., nn.Module] = ASTForAudioClassification, **options: object) -> nn.Module:
    return _made(cls, ASTConfig, **{**AST, **options})


CASES: dict[str, Callable[[], nn.Module]] = {
    "AST": _ast,
    "AST, several labels": partial(_ast, problem_type="multi_label_classification"),
    "AST, body": partial(_ast, ASTModel),
    "AST, no biases of queries, patches side by side": partial(
        _ast, qkv_bias=False, hidden_act="gelu_new", frequency_stride=8, time_stride=8
    ),
}
