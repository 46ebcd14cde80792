"""From a checkpoint, and nothing else, back to the model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitf.checkpoints.read import read_checkpoint, remake, tokenizer_factory
from unitf.errors import UserError

if TYPE_CHECKING:
    from unitf.training.learner import Learner


def load(path: str | Path) -> "Learner":
    """The trained model of a checkpoint (a file or a run's folder), ready to `predict`.

    Raises:
        UserError: see `read_checkpoint`; or a plugin that the model needs is not installed.
    """
    return make(read_checkpoint(path), str(path))


def make(checkpoint: dict[str, Any], name: str) -> "Learner":
    """The trained model from what a checkpoint holds.

    Args:
        name: of the checkpoint, for what is said when it does not fit.
    """
    from unitf.core import TransformerConfig
    from unitf.training.finetuning import LoRA
    from unitf.training.learner import Learner

    configuration = checkpoint["unitf"]["configuration"]
    learner = Learner(
        core=TransformerConfig(**configuration["core"]),
        tokenizers={n: tokenizer_factory(t) for n, t in configuration["tokenizers"].items()},
        tasks={name: remake(task, "tasks") for name, task in configuration["tasks"].items()},
        lora=LoRA(**configuration["lora"]) if "lora" in configuration else None,
    )
    try:
        learner.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"checkpoint {name}: {reason}") from error
    learner.origin = checkpoint["unitf"].get("origin")
    return learner.eval()
