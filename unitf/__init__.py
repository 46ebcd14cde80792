"""unitf: one Transformer core for every modality. `import unitf` imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Augmentation": "unitf.augmentation",
    "Batch": "unitf.batch",
    "Command": "unitf.cli.command",
    "Features": "unitf.tokens",
    "Learner": "unitf.training.learner",
    "SampleError": "unitf.errors",
    "Source": "unitf.data.source",
    "Task": "unitf.tasks.task",
    "Tokenizer": "unitf.tokenizer.tokenizer",
    "Tokens": "unitf.tokens",
    "Transformer": "unitf.core",
    "TransformerConfig": "unitf.core",
    "UserError": "unitf.errors",
    "TaskBatch": "unitf.batch",
    "from_pretrained": "unitf.interop.exchange",
    "hookimpl": "unitf.registry.hookspecs",
    "load": "unitf.checkpoints",
    "register": "unitf.registry.registry",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from unitf.augmentation import Augmentation
    from unitf.batch import Batch, TaskBatch
    from unitf.cli.command import Command
    from unitf.core import Transformer, TransformerConfig
    from unitf.data.source import Source
    from unitf.errors import SampleError, UserError
    from unitf.interop.exchange import from_pretrained
    from unitf.loading import load
    from unitf.registry.hookspecs import hookimpl
    from unitf.registry.registry import register
    from unitf.tasks.task import Task
    from unitf.tokenizer.tokenizer import Tokenizer
    from unitf.tokens import Features, Tokens
    from unitf.training.learner import Learner


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'unitf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
