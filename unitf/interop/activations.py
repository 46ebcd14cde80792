"""What configurations of transformers call things, and what unitf calls them."""

from typing import Any

from unitf.errors import UserError
from unitf.tasks.classification import Classification, MultiLabelClassification
from unitf.tasks.heads.head import Head
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
GATES: dict[str, Any] = {
    "gelu": "geglu",
    "gelu_tanh": "geglu_tanh",
    "relu": "reglu",
    "silu": "swiglu",
}


def activation_of(name: str, gated: bool = False) -> Any:
    """An activation, as TransformerConfig names it; `gated`: that of a gate.

    Raises:
        UserError: unitf has no such activation.
    """
    known = ACTIVATIONS.get(name)
    found = GATES.get(known or "") if gated else known
    if found is None:
        raise UserError(f"the activation {name!r} cannot be said in unitf")
    return found


def label_task(config: Any, inputs: list[str], pooling: Any, head: Head | None = None) -> Task:
    """The classification that a peer's configuration describes, with its names of classes.

    Raises:
        UserError: it has fewer than two classes, or predicts numbers.
    """
    if config.num_labels < 2 or config.problem_type == "regression":
        raise UserError(f"its head predicts {config.num_labels} number(s), not classes")
    classes: Any = [config.id2label[number] for number in range(config.num_labels)]
    if len(set(classes)) < len(classes):
        classes = list(range(config.num_labels))
    several = config.problem_type == "multi_label_classification"
    kind = MultiLabelClassification if several else Classification
    return kind(inputs, "label", classes, pooling, head=head)
