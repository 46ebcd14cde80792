"""unitf: one Transformer core for every modality. `import unitf` imports no torch."""

from typing import TYPE_CHECKING

from unitf.public import lazily

__version__ = "0.1.0"
"""The version of the installed distribution."""

_HOMES = {
    "Augmentation": "unitf.tokenizer.augmentation",
    "Batch": "unitf.batch",
    "Column": "unitf.proposal",
    "Command": "unitf.registry.command",
    "Configurable": "unitf.registry.configurable",
    "EncodedSample": "unitf.batch",
    "Features": "unitf.features",
    "Learner": "unitf.training.learner",
    "Model": "unitf.model",
    "Proposal": "unitf.proposal",
    "Register": "unitf.registry.hookspecs",
    "Sample": "unitf.batch",
    "RecipeError": "unitf.errors",
    "SampleError": "unitf.errors",
    "Source": "unitf.data.source",
    "Spans": "unitf.tokens",
    "Task": "unitf.tasks.task",
    "TaskBatch": "unitf.batch",
    "Tokenizer": "unitf.tokenizer.tokenizer",
    "Tokens": "unitf.tokens",
    "Transformer": "unitf.core",
    "TransformerConfig": "unitf.core",
    "UserError": "unitf.errors",
    "find": "unitf.registry.registry",
    "fit": "unitf.cli.fit_data",
    "from_pretrained": "unitf.loading",
    "hookimpl": "unitf.registry.hookspecs",
    "load": "unitf.loading",
    "register": "unitf.registry.registry",
}

if TYPE_CHECKING:
    from collections.abc import Callable

    from unitf.batch import Batch, EncodedSample, Sample, TaskBatch
    from unitf.cli.fit_data import fit
    from unitf.core import Transformer, TransformerConfig
    from unitf.data.source import Source
    from unitf.errors import RecipeError, SampleError, UserError
    from unitf.features import Features
    from unitf.loading import from_pretrained, load
    from unitf.model import Model
    from unitf.proposal import Column, Proposal
    from unitf.registry.command import Command
    from unitf.registry.configurable import Configurable
    from unitf.registry.hookspecs import Register, hookimpl
    from unitf.registry.registry import find, register
    from unitf.tasks.task import Task
    from unitf.tokenizer.augmentation import Augmentation
    from unitf.tokenizer.tokenizer import Tokenizer
    from unitf.tokens import Spans, Tokens
    from unitf.training.learner import Learner

__all__ = [
    "Augmentation",
    "Batch",
    "Column",
    "Command",
    "Configurable",
    "EncodedSample",
    "Features",
    "Learner",
    "Model",
    "Proposal",
    "RecipeError",
    "Register",
    "Sample",
    "SampleError",
    "Source",
    "Spans",
    "Task",
    "TaskBatch",
    "Tokenizer",
    "Tokens",
    "Transformer",
    "TransformerConfig",
    "UserError",
    "__version__",
    "find",
    "fit",
    "from_pretrained",
    "hookimpl",
    "load",
    "register",
]

__getattr__: "Callable[[str], object]"
__dir__: "Callable[[], list[str]]"
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
