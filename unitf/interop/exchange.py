"""Imports and exports published models, each with a proof that the outputs are equal."""

from pathlib import Path

from unitf.checkpoints.folder import Checkpoint, save_folder
from unitf.errors import UserError
from unitf.interop.convert import to_model, to_peer
from unitf.interop.hub import describe, find_hub, hubs, open_model
from unitf.interop.proof import TOLERANCE, Proof, compare
from unitf.model import Model


def import_model(source: str) -> tuple[Model, Proof]:
    """Imports a published model; returns it with the proof that it computes the same.

    Args:
        source: `timm:NAME`, `hf:NAME` or `hf:FOLDER`; for one tower of a model with several,
            `hf:NAME#PART`.

    Raises:
        UserError: there is no such model, it is not supported, or a tensor has no counterpart.
    """
    hub, name = find_hub(source)
    name, _, part = name.partition("#")
    published = open_model(hub, name, part or None)
    architecture = describe(hub, published, name)
    model = to_model(architecture)
    model.origin = {"hub": hub.prefix, "source": name, "recipe": hub.recipe(published)}
    return model, compare(architecture, model)


def import_proven(source: str) -> Model:
    """Imports a published model if unitf computes the same.

    Args:
        source: see `import_model`.

    Raises:
        UserError: see `import_model`; or unitf does not compute the same.
    """
    model, proof = import_model(source)
    check(proof, source)
    return model


def check(proof: Proof, source: str) -> None:
    """Checks a proof.

    Raises:
        UserError: the proof does not hold: unitf does not compute the same.
    """
    if not proof.holds:
        worst = proof.worst
        raise UserError(
            f"{source}: {worst.name} differs by {worst.relative:.1e} of its size, expected at "
            f"most {TOLERANCE:.0e}: unitf does not compute the same, nothing is written"
        )


def as_checkpoint(model: Model) -> Checkpoint:
    """Returns the part of a checkpoint that describes a model."""
    return {"state_dict": model.state_dict(), "unitf": model.description()}


def write_import(source: str, out: str | Path) -> Proof:
    """Imports a published model into a new folder if unitf computes the same.

    Raises:
        UserError: see `import_model`; or unitf does not compute the same.
    """
    model, proof = import_model(source)
    check(proof, source)
    save_folder(as_checkpoint(model), out)
    return proof


def export_model(model: Model, to: str, out: str | Path) -> Proof:
    """Writes a folder that another library can open, if both compute the same.

    Args:
        model: a model that was imported from this library; it may have been trained since.
        to: the prefix of the hub: "timm" or "hf".
        out: a folder that is empty or does not exist.

    Raises:
        UserError: the model was not imported from this library, or its heads have changed.
    """
    known = hubs()
    if to not in known:
        raise UserError(f"--to {to}: expected {' or '.join(sorted(known))}")
    origin = model.origin
    if origin is None or origin["hub"] != to:
        found = "was trained by unitf from the start" if origin is None else f"is {origin['hub']}'s"
        raise UserError(f"only a model that came from {to} can go back there; this one {found}")
    out = Path(out).expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already, expected a new folder")
    hub = known[to]
    architecture = describe(hub, hub.make(origin["recipe"]), origin["source"])
    published = to_peer(architecture, model.state_dict())
    proof = compare(architecture, model)
    check(proof, str(out))
    hub.save(published, out, origin["source"])
    return proof
