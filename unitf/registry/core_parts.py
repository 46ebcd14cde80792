"""The parts of a core that unitf has: the short names in YAML, and the classes.

A plugin adds others with the hooks of the same kinds. This file imports no torch.
"""

CORE_PARTS: dict[str, dict[str, str]] = {
    "norms": {
        "layer": "unitf.core.norms:LayerNorm",
        "rms": "unitf.core.norms:RMSNorm",
        "rms_offset": "unitf.core.norms:OffsetRMSNorm",
        "batch": "unitf.core.norms:TokenBatchNorm",
    },
    "activations": {
        "gelu": "unitf.core.activations:Gelu",
        "gelu_tanh": "unitf.core.activations:GeluTanh",
        "quick_gelu": "unitf.core.activations:QuickGelu",
        "relu": "unitf.core.activations:Relu",
        "silu": "unitf.core.activations:Silu",
        "geglu": "unitf.core.activations:GeGLU",
        "geglu_tanh": "unitf.core.activations:GeGLUTanh",
        "reglu": "unitf.core.activations:ReGLU",
        "swiglu": "unitf.core.activations:SwiGLU",
    },
    "feedforwards": {
        "dense": "unitf.core.feedforward:DenseFeedForward",
        "MixtureOfExperts": "unitf.core.experts:MixtureOfExperts",
    },
    "relative_positions": {
        "none": "unitf.core.relative_positions:NoPositions",
        "rotary": "unitf.core.relative_positions:RotaryPositions",
        "alibi": "unitf.core.relative_positions:AlibiPositions",
        "t5": "unitf.core.relative_positions:T5Positions",
        "beit": "unitf.core.relative_positions:BeitPositions",
        "rope_mixed": "unitf.core.relative_positions:MixedRotaryPositions",
    },
}
