"""From what was saved, or published, back to a model."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from unitf.checkpoints.read import read_checkpoint, remake, tokenizer_factory
from unitf.core import TransformerConfig
from unitf.core.lora import LoRA
from unitf.core.lora_weights import without_adapters
from unitf.errors import UserError
from unitf.model import Model
from unitf.nn.initialisation import without_initialisation


def load(path: str | Path) -> Model:
    """The trained model of a checkpoint (a file or a run's folder), ready to `predict`.

    Raises:
        UserError: see `read_checkpoint`; or a plugin that the model needs is not installed.
    """
    return make(read_checkpoint(path), str(path))


def make(checkpoint: dict[str, Any], name: str) -> Model:
    """The trained model from what a checkpoint holds, in evaluation mode.

    Args:
        name: of the checkpoint, for what is said when it does not fit.
    """
    configuration = checkpoint["unitf"]["configuration"]
    with without_initialisation():
        model = Model(
            core=TransformerConfig(**configuration["core"]),
            tokenizers={n: tokenizer_factory(t) for n, t in configuration["tokenizers"].items()},
            tasks={name: remake(task, "tasks") for name, task in configuration["tasks"].items()},
            lora=LoRA(**configuration["lora"]) if "lora" in configuration else None,
        )
        try:
            model.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"checkpoint {name}: {reason}") from error
    model.origin = checkpoint["unitf"].get("origin")
    return model.eval()


def from_pretrained(source: str) -> Model:
    """A published model, or one that unitf saved, ready to `predict`.

    `Learner.of` trains it further.

    Args:
        source: `timm:NAME`, `hf:NAME`, `hf:FOLDER`, or a run's folder, a checkpoint or an imported
            folder.

    Raises:
        UserError: there is no such model, or unitf does not compute the same as its library.
    """
    from unitf.interop.exchange import import_proven
    from unitf.interop.hub import find_prefix

    return load(source) if find_prefix(source) is None else import_proven(source)


def read_source(source: str) -> dict[str, Any]:
    """The `configuration` and the `state_dict` of a trained model, without adapters.

    Args:
        source: what `from_pretrained` takes.

    Raises:
        UserError: it is missing, damaged, not one of unitf, or unitf does not compute the same.
    """
    from unitf.interop.hub import find_prefix

    if find_prefix(source) is not None:
        return _published(source)
    checkpoint = read_checkpoint(source)
    return without_adapters(checkpoint["unitf"]["configuration"], checkpoint["state_dict"])


@lru_cache(maxsize=1)  # a command line and the model that it makes ask for the same
def _published(source: str) -> dict[str, Any]:
    """What a hub's model is in unitf."""
    from unitf.interop.exchange import import_proven

    model = import_proven(source)
    return {"configuration": model.configuration(), "state_dict": model.state_dict()}
