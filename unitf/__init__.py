"""unitf: one Transformer core for every modality. `import unitf` imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Batch": "unitf.batch",
    "Features": "unitf.tokens",
    "Learner": "unitf.learner",
    "SampleError": "unitf.errors",
    "Source": "unitf.data.source",
    "Task": "unitf.tasks.task",
    "Tokenizer": "unitf.tokenizer",
    "Tokens": "unitf.tokens",
    "Transformer": "unitf.core",
    "TransformerConfig": "unitf.core",
    "UserError": "unitf.errors",
    "View": "unitf.batch",
    "from_pretrained": "unitf.peers.exchange",
    "hookimpl": "unitf.hookspecs",
    "load": "unitf.checkpoints",
    "register": "unitf.registry",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from unitf.batch import Batch, View
    from unitf.checkpoints import load
    from unitf.core import Transformer, TransformerConfig
    from unitf.data.source import Source
    from unitf.errors import SampleError, UserError
    from unitf.hookspecs import hookimpl
    from unitf.learner import Learner
    from unitf.peers.exchange import from_pretrained
    from unitf.registry import register
    from unitf.tasks.task import Task
    from unitf.tokenizer import Tokenizer
    from unitf.tokens import Features, Tokens


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'unitf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
