"""Data: sources of samples, their order, their encoding, their way to the device."""

from importlib import import_module
from typing import Any

# The sources in the box, as the registry lists them: none is imported before it is used.
SOURCES = (
    "unitf.data.composed:ComposedRecords",
    "unitf.data.files:Files",
    "unitf.data.hub:Hub",
    "unitf.data.hub:HubStream",
    "unitf.data.idx:IdxFiles",
    "unitf.data.lines:Lines",
    "unitf.data.parallel_text:ParallelText",
    "unitf.data.plain_text:PlainText",
    "unitf.data.ragged:RaggedArrays",
    "unitf.data.records:Records",
    "unitf.data.table:Table",
)

_HOME = {path.split(":")[1]: path.split(":")[0] for path in SOURCES} | {
    "DataModule": "unitf.data.module",
    "Encoder": "unitf.data.encoder",
    "Item": "unitf.data.encoder",
    "Mixing": "unitf.data.mixing",
    "RandomState": "unitf.data.resume",
    "Source": "unitf.data.source",
    "Split": "unitf.data.split",
    "StreamSource": "unitf.data.stream",
    "read_table": "unitf.data.table",
}
__all__ = sorted([*_HOME, "SOURCES"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'unitf.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
