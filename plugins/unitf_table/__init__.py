"""The modality of tables, for unitf: each cell is a token. This file imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from unitf import Register, hookimpl

_HOME = {"TableCells": "unitf_table.table_cells"}
__all__ = ["TableCells"]

if TYPE_CHECKING:
    from unitf_table.table_cells import TableCells


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Registers the tokenizers of this plugin."""
    register("unitf_table.table_cells:TableCells")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_table' has no attribute {name!r}")
