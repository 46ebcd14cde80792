"""Video models of transformers, small, with every option that unitf's mapping knows."""

from functools import partial
from typing import Any

import transformers
from torch import nn

_SMALL = {
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 6,
    "tubelet_size": 2,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_labels": 5,
}


def _model(name: str, **options: Any) -> nn.Module:
    """Returns a model by the name of its class, with the configuration of that class."""
    cls: Any = getattr(transformers, name)
    config = cls.config_class(**{**_SMALL, **options})
    config._attn_implementation = "eager"
    return cls(config)


CASES = {
    "VideoMAE": partial(_model, "VideoMAEModel"),
    "VideoMAE, class column": partial(_model, "VideoMAEModel", use_mean_pooling=False),
    "VideoMAE, classifier": partial(_model, "VideoMAEForVideoClassification"),
    "VideoMAE, no biases, grey": partial(
        _model,
        "VideoMAEForVideoClassification",
        use_mean_pooling=False,
        qv_bias=False,
        num_channels=1,
        hidden_act="relu",
    ),
}
