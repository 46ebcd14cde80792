"""Data: sources of samples, and how these become batches."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unitf.public import lazily

_HOMES = {
    "Balance": "unitf.data.balance",
    "ComposedRecords": "unitf.data.sources.composed",
    "Encoder": "unitf.data.encoder",
    "FileSource": "unitf.data.sources.file_source",
    "Files": "unitf.data.sources.files",
    "Fold": "unitf.data.fold",
    "Hub": "unitf.data.sources.datasets_hub",
    "HubStream": "unitf.data.sources.datasets_hub",
    "IdxFiles": "unitf.data.sources.idx",
    "Item": "unitf.data.encoder",
    "Lines": "unitf.data.sources.lines",
    "Mixing": "unitf.data.mixing",
    "NamedSamples": "unitf.data.sources.files",
    "ParallelText": "unitf.data.sources.parallel_text",
    "PlainText": "unitf.data.sources.plain_text",
    "RaggedArrays": "unitf.data.sources.ragged",
    "Records": "unitf.data.sources.records",
    "Source": "unitf.data.source",
    "Split": "unitf.data.split",
    "StreamSource": "unitf.data.stream",
    "Table": "unitf.data.sources.table",
    "Windows": "unitf.data.sources.windows",
    "check_cost": "unitf.limits",
    "file_names": "unitf.data.sources.folder_layout",
    "find": "unitf.data.sources.file_source",
    "kind_of_file": "unitf.data.sources.folder_layout",
    "lines_of": "unitf.data.sources.file_source",
    "mix": "unitf.data.seeding",
    "read_table": "unitf.data.sources.table",
    "read_text": "unitf.data.sources.file_source",
    "split_of": "unitf.data.split_words",
    "stored_files": "unitf.data.sources.folder_layout",
    "text_of": "unitf.data.sources.file_source",
}

if TYPE_CHECKING:
    from unitf.data.balance import Balance
    from unitf.data.encoder import Encoder, Item
    from unitf.data.fold import Fold
    from unitf.data.mixing import Mixing
    from unitf.data.seeding import mix
    from unitf.data.source import Source
    from unitf.data.sources.composed import ComposedRecords
    from unitf.data.sources.datasets_hub import Hub, HubStream
    from unitf.data.sources.file_source import FileSource, find, lines_of, read_text, text_of
    from unitf.data.sources.files import Files, NamedSamples
    from unitf.data.sources.folder_layout import file_names, kind_of_file, stored_files
    from unitf.data.sources.idx import IdxFiles
    from unitf.data.sources.lines import Lines
    from unitf.data.sources.parallel_text import ParallelText
    from unitf.data.sources.plain_text import PlainText
    from unitf.data.sources.ragged import RaggedArrays
    from unitf.data.sources.records import Records
    from unitf.data.sources.table import Table, read_table
    from unitf.data.sources.windows import Windows
    from unitf.data.split import Split
    from unitf.data.split_words import split_of
    from unitf.data.stream import StreamSource
    from unitf.limits import check_cost

__all__ = [
    "Balance",
    "ComposedRecords",
    "Encoder",
    "FileSource",
    "Files",
    "Fold",
    "Hub",
    "HubStream",
    "IdxFiles",
    "Item",
    "Lines",
    "Mixing",
    "NamedSamples",
    "ParallelText",
    "PlainText",
    "RaggedArrays",
    "Records",
    "Source",
    "Split",
    "StreamSource",
    "Table",
    "Windows",
    "check_cost",
    "file_names",
    "find",
    "kind_of_file",
    "lines_of",
    "mix",
    "read_table",
    "read_text",
    "split_of",
    "stored_files",
    "text_of",
]

__getattr__: Callable[[str], object]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
