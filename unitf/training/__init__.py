"""Training: the Learner, the DataModule, and everything else that needs Lightning."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unitf.public import lazily

_HOMES = {
    "Adapters": "unitf.training.callbacks.save_adapters",
    "AtomicCheckpointIO": "unitf.training.callbacks.checkpoint",
    "Checkpoint": "unitf.training.callbacks.checkpoint",
    "DataModule": "unitf.training.data_module",
    "EMA": "unitf.training.callbacks.averaging",
    "FiniteLoss": "unitf.training.callbacks.finite_loss",
    "Freeze": "unitf.training.finetuning.freeze",
    "Learner": "unitf.training.learner",
    "LoRA": "unitf.core.lora",
    "Progress": "unitf.training.callbacks.progress",
    "RandomState": "unitf.training.random_state",
    "RunReport": "unitf.training.callbacks.run_report",
    "Summary": "unitf.training.callbacks.summary",
    "TimeBudget": "unitf.training.callbacks.time_budget",
    "WarmupCosine": "unitf.training.optimization",
    "Watchdog": "unitf.training.parallel.watchdog",
}

if TYPE_CHECKING:
    from unitf.core.lora import LoRA
    from unitf.training.callbacks.averaging import EMA
    from unitf.training.callbacks.checkpoint import AtomicCheckpointIO, Checkpoint
    from unitf.training.callbacks.finite_loss import FiniteLoss
    from unitf.training.callbacks.progress import Progress
    from unitf.training.callbacks.run_report import RunReport
    from unitf.training.callbacks.save_adapters import Adapters
    from unitf.training.callbacks.summary import Summary
    from unitf.training.callbacks.time_budget import TimeBudget
    from unitf.training.data_module import DataModule
    from unitf.training.finetuning.freeze import Freeze
    from unitf.training.learner import Learner
    from unitf.training.optimization import WarmupCosine
    from unitf.training.parallel.watchdog import Watchdog
    from unitf.training.random_state import RandomState

__all__ = [
    "EMA",
    "Adapters",
    "AtomicCheckpointIO",
    "Checkpoint",
    "DataModule",
    "FiniteLoss",
    "Freeze",
    "Learner",
    "LoRA",
    "Progress",
    "RandomState",
    "RunReport",
    "Summary",
    "TimeBudget",
    "WarmupCosine",
    "Watchdog",
]

__getattr__: Callable[[str], object]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
