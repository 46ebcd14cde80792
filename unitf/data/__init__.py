"""Data: sources of samples, their order, their encoding, their way to the device."""

from importlib import import_module
from typing import Any

from unitf.renamed import absent

# The sources in the box, as the registry lists them: none is imported before it is used.
SOURCES = (
    "unitf.data.sources.composed:ComposedRecords",
    "unitf.data.sources.files:Files",
    "unitf.data.sources.datasets_hub:Hub",
    "unitf.data.sources.datasets_hub:HubStream",
    "unitf.data.sources.idx:IdxFiles",
    "unitf.data.sources.lines:Lines",
    "unitf.data.sources.parallel_text:ParallelText",
    "unitf.data.sources.plain_text:PlainText",
    "unitf.data.sources.ragged:RaggedArrays",
    "unitf.data.sources.records:Records",
    "unitf.data.sources.table:Table",
)

_HOME = {path.split(":")[1]: path.split(":")[0] for path in SOURCES} | {
    "DataModule": "unitf.training.data_module",
    "Encoder": "unitf.data.encoder",
    "Item": "unitf.data.encoder",
    "Mixing": "unitf.data.mixing",
    "RandomState": "unitf.training.random_state",
    "Source": "unitf.data.source",
    "Split": "unitf.data.split",
    "StreamSource": "unitf.data.stream",
    "read_table": "unitf.data.sources.table",
}
__all__ = sorted([*_HOME, "SOURCES"])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise absent("unitf.data", name)


def __dir__() -> list[str]:
    return __all__
