"""unitf: one Transformer core for every modality. `import unitf` imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unitf.registry.renamed import absent

__version__ = "0.1.0"
"""The version of the installed distribution."""

_HOME = {
    "Augmentation": "unitf.tokenizer.augmentation",
    "Batch": "unitf.batch",
    "Command": "unitf.registry.command",
    "Features": "unitf.tokens",
    "Learner": "unitf.training.learner",
    "Model": "unitf.model",
    "SampleError": "unitf.errors",
    "Source": "unitf.data.source",
    "Task": "unitf.tasks.task",
    "Tokenizer": "unitf.tokenizer.tokenizer",
    "Tokens": "unitf.tokens",
    "Transformer": "unitf.core",
    "TransformerConfig": "unitf.core",
    "UserError": "unitf.errors",
    "TaskBatch": "unitf.batch",
    "from_pretrained": "unitf.loading",
    "hookimpl": "unitf.registry.hookspecs",
    "load": "unitf.loading",
    "register": "unitf.registry.registry",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from unitf.batch import Batch, TaskBatch
    from unitf.core import Transformer, TransformerConfig
    from unitf.data.source import Source
    from unitf.errors import SampleError, UserError
    from unitf.loading import from_pretrained, load
    from unitf.model import Model
    from unitf.registry.command import Command
    from unitf.registry.hookspecs import hookimpl
    from unitf.registry.registry import register
    from unitf.tasks.task import Task
    from unitf.tokenizer.augmentation import Augmentation
    from unitf.tokenizer.tokenizer import Tokenizer
    from unitf.tokens import Features, Tokens
    from unitf.training.learner import Learner


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise absent("unitf", name)


def __dir__() -> list[str]:
    return __all__
