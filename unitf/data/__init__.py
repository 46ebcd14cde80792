"""Data: sources of samples, their order, their encoding, their way to the device."""

from importlib import import_module
from typing import Any

from unitf.registry.renamed import absent

_HOME = {
    "ComposedRecords": "unitf.data.sources.composed",
    "Encoder": "unitf.data.encoder",
    "Files": "unitf.data.sources.files",
    "Hub": "unitf.data.sources.datasets_hub",
    "HubStream": "unitf.data.sources.datasets_hub",
    "IdxFiles": "unitf.data.sources.idx",
    "Item": "unitf.data.encoder",
    "Lines": "unitf.data.sources.lines",
    "Mixing": "unitf.data.mixing",
    "ParallelText": "unitf.data.sources.parallel_text",
    "PlainText": "unitf.data.sources.plain_text",
    "RaggedArrays": "unitf.data.sources.ragged",
    "Records": "unitf.data.sources.records",
    "Source": "unitf.data.source",
    "Split": "unitf.data.split",
    "StreamSource": "unitf.data.stream",
    "Table": "unitf.data.sources.table",
    "read_table": "unitf.data.sources.table",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise absent("unitf.data", name)


def __dir__() -> list[str]:
    return __all__
