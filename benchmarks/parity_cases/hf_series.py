"""Models of time series of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import transformers
from torch import nn

_SMALL = {
    "num_input_channels": 3,
    "context_length": 22,
    "patch_length": 6,
    "patch_stride": 4,
    "d_model": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "ffn_dim": 40,
    "prediction_length": 5,
    "num_targets": 4,
    "norm_eps": 1e-4,
}


def _model(name: str, **options: Any) -> nn.Module:
    """Returns a model by the name of its class, with the configuration of that class."""
    cls: Any = getattr(transformers, name)
    config = cls.config_class(**{**_SMALL, **options})
    config._attn_implementation = "eager"
    return cls(config)


CASES = {
    "PatchTST": partial(_model, "PatchTSTModel"),
    "PatchTST, random positions": partial(
        _model, "PatchTSTModel", positional_encoding_type="random", scaling="mean", bias=False
    ),
    "PatchTST, layer norms after": partial(
        _model, "PatchTSTModel", norm_type="layernorm", pre_norm=False, scaling=None
    ),
    "PatchTST, forecast": partial(_model, "PatchTSTForPrediction", pooling_type=None),
    "PatchTST, forecast from the mean": partial(_model, "PatchTSTForPrediction"),
    "PatchTST, forecast from the maximum": partial(
        _model, "PatchTSTForPrediction", pooling_type="max"
    ),
    "PatchTST, classifier": partial(_model, "PatchTSTForClassification"),
    "PatchTST, regression": partial(_model, "PatchTSTForRegression", activation_function="relu"),
}
