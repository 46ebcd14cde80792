"""Loading: a Model from a checkpoint, or from a published model."""

from functools import lru_cache
from pathlib import Path

from unitf.checkpoints.bounded import BoundedModel
from unitf.checkpoints.members import is_ensemble, members_of
from unitf.checkpoints.read import read_checkpoint, remake, tokenizer_factory
from unitf.component import PlainData
from unitf.core import TransformerConfig
from unitf.core.lora import LoRA
from unitf.core.lora_weights import without_adapters
from unitf.ensemble import Ensemble
from unitf.errors import UserError
from unitf.model import Model
from unitf.nn.initialisation import without_initialisation


def load(path: str | Path) -> Model:
    """Loads the trained model of a checkpoint, ready to `predict`.

    Args:
        path: a checkpoint file, the folder of a run, or that of an ensemble.

    Raises:
        UserError: the checkpoint cannot be read (see `read_checkpoint`), or a plugin that the model
            needs is not installed.
    """
    if is_ensemble(path):
        members = [make(read_checkpoint(member), str(member)) for member in members_of(path)]
        return Ensemble(members).eval()
    return make(read_checkpoint(path), str(path))


def make(checkpoint: PlainData, name: str) -> Model:
    """Makes the trained model of a checkpoint, in evaluation mode.

    Args:
        checkpoint: the contents of the checkpoint.
        name: the name of the checkpoint, for error messages.

    Raises:
        UserError: the weights do not fit the configuration, or a plugin is not installed.
    """
    try:
        with without_initialisation(), BoundedModel(checkpoint["state_dict"]):
            model = _described(checkpoint["unitf"]["configuration"])
            model.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, MemoryError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"checkpoint {name}: {reason}") from error
    except (TypeError, LookupError, AttributeError) as error:
        raise UserError(
            f"checkpoint {name}: its configuration describes no model ({error})"
        ) from error
    model.origin = checkpoint["unitf"].get("origin")
    return model.eval()


def _described(configuration: PlainData) -> Model:
    """Returns the model of a configuration, without its weights."""
    return Model(
        core=TransformerConfig(**configuration["core"]),
        tokenizers={n: tokenizer_factory(t) for n, t in configuration["tokenizers"].items()},
        tasks={name: remake(task, "tasks") for name, task in configuration["tasks"].items()},
        lora=LoRA(**configuration["lora"]) if "lora" in configuration else None,
    )


def from_pretrained(source: str) -> Model:
    """Loads a published model, or one that unitf saved, ready to `predict`.

    `Learner.of` trains it further.

    Args:
        source: `timm:NAME`, `hf:NAME`, `hf:FOLDER`, the folder of a run, a checkpoint or the folder
            of an imported model.

    Raises:
        UserError: there is no such model, or unitf does not compute the same as its library.
    """
    from unitf.interop.exchange import import_proven
    from unitf.interop.hub import find_prefix

    return load(source) if find_prefix(source) is None else import_proven(source)


def read_source(source: str) -> PlainData:
    """Returns the `configuration` and the `state_dict` of a trained model, without adapters.

    Args:
        source: as in `from_pretrained`.

    Raises:
        UserError: the model is missing, damaged or not one of unitf, or unitf does not compute the
            same as its library.
    """
    from unitf.interop.hub import find_prefix

    if find_prefix(source) is not None:
        return _published(source)
    checkpoint = read_checkpoint(source)
    return without_adapters(checkpoint["unitf"]["configuration"], checkpoint["state_dict"])


@lru_cache(maxsize=1)  # the command line and the model that it makes ask for the same source
def _published(source: str) -> PlainData:
    """Returns the `configuration` and the `state_dict` of a published model."""
    from unitf.interop.exchange import import_proven

    model = import_proven(source)
    return {"configuration": model.configuration(), "state_dict": model.state_dict()}
