"""Names in the configurations of transformers, and the names of the same things in unitf."""

from typing import Any

from unitf.errors import UserError
from unitf.tasks.classification import Classification
from unitf.tasks.heads.head import Head
from unitf.tasks.heads.pooling import PoolingName
from unitf.tasks.multi_label import MultiLabelClassification
from unitf.tasks.task import Task

ACTIVATIONS: dict[str, Any] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""The name in unitf of each activation of transformers."""
GATES: dict[str, str] = {
    "gelu": "geglu",
    "gelu_tanh": "geglu_tanh",
    "relu": "reglu",
    "silu": "swiglu",
}
"""The name in unitf of each activation of a gate in transformers."""


def activation_of(name: str, gated: bool = False) -> str:
    """Returns the name of an activation in TransformerConfig.

    Args:
        name: the name in transformers.
        gated: whether it is the activation of a gate.

    Raises:
        UserError: unitf has no such activation.
    """
    plain = ACTIVATIONS.get(name)
    activation = GATES.get(plain or "") if gated else plain
    if activation is None:
        raise UserError(f"the activation {name!r} is not supported")
    return activation


def label_task(
    config: Any, inputs: list[str], pooling: PoolingName, head: Head | None = None
) -> Task:
    """Returns the classification task of a published model, with the model's class names.

    Args:
        config: the configuration of the published model.
        inputs: the columns that the task reads.
        pooling: how the columns become one vector; see `Classification`.
        head: the layers before the last one, if there are any.

    Raises:
        UserError: the model has fewer than two classes, or predicts numbers.
    """
    if config.num_labels < 2 or config.problem_type == "regression":
        raise UserError(f"its head predicts {config.num_labels} number(s), not classes")
    classes: list[str] | list[int] = [
        config.id2label[number] for number in range(config.num_labels)
    ]
    if len(set(classes)) < len(classes):
        classes = list(range(config.num_labels))
    several = config.problem_type == "multi_label_classification"
    kind = MultiLabelClassification if several else Classification
    return kind(inputs, "label", classes, pooling, head=head)
