"""The types of what a run measures, and how callbacks find it in a LightningModule."""

from typing import Protocol, TypeAlias, cast, runtime_checkable

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from unitf.tasks.task import Task

MetricValue: TypeAlias = float | int | list[object]  # a number, or a matrix as nested lists
TaskResults: TypeAlias = dict[str, dict[str, MetricValue]]  # modality → metric → value
SplitResults: TypeAlias = dict[str, TaskResults]  # by the name of the task
Results: TypeAlias = dict[str, SplitResults]  # by the name of the split


@runtime_checkable
class ReducingStrategy(Protocol):
    """The part of a Lightning strategy that sums tensors over all processes."""

    @property
    def root_device(self) -> torch.device:
        """The device of this process."""
        ...

    def reduce(self, tensor: Tensor, /, *, reduce_op: str) -> Tensor:
        """Returns the reduction of `tensor` over all processes; "sum" is the operation used."""
        ...


def tasks_of(pl_module: LightningModule) -> dict[str, Task]:
    """Returns the tasks of a Learner by name; a module that is no Learner has none."""
    return dict(getattr(pl_module, "tasks", {}).items())


def measured_results(pl_module: LightningModule) -> Results:
    """Returns the results of the splits that a Learner has measured so far."""
    return dict(cast(Results, getattr(pl_module, "results", {})))
