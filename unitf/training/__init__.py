"""Training: the Learner, the DataModule, and all else that needs Lightning."""

from importlib import import_module
from typing import Any

from unitf.registry.renamed import absent

_HOME = {
    "DataModule": "unitf.training.data_module",
    "Freeze": "unitf.training.finetuning",
    "Learner": "unitf.training.learner",
    "LoRA": "unitf.training.finetuning",
    "RandomState": "unitf.training.random_state",
    "WarmupCosine": "unitf.training.optimization",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise absent("unitf.training", name)


def __dir__() -> list[str]:
    return __all__
