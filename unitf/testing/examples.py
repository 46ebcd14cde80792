"""Examples of unitf's own tasks and sources, for `unitf plugins check`.

The class of a plugin has a static method `examples` instead; see `run_class_checks`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

TEXTS = ["hello world", "a cat sat", "zebra", "in the end", "ab", "one two three"]
NUMBERS = [np.linspace(-1, 1, count).tolist() for count in (4, 8, 10, 6, 12, 20)]


def _both(**columns: Sequence[object]) -> list[dict[str, object]]:
    """Returns samples with a text, numbers, or both, and further columns."""
    samples: list[dict[str, object]] = _rows(text=TEXTS, numbers=NUMBERS, **columns)
    samples[4]["numbers"] = None
    del samples[5]["text"]
    return samples


def _rows(**columns: Sequence[object]) -> list[dict[str, object]]:
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, values, strict=True)) for values in rows]


INPUTS = ["text", "numbers"]
DECODER, ENCODER_DECODER = {"kind": "decoder"}, {"kind": "encoder-decoder"}
BOXES: list[list[list[float]]] = [
    [[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.3]],
    [],
    [[0.0, 0.0, 1.0, 1.0]],
]
OBJECTS = [{"labels": ["cat", "dog"][: len(some)], "boxes": some} for some in BOXES * 2]
TASKS: Mapping[str, Mapping[str, object]] = {
    "Classification": {
        "init_args": {"inputs": INPUTS, "target": "label"},
        "samples": _both(label=["cat", "dog", "cow", "cat", "dog", "cow"]),
    },
    "MultiLabelClassification": {
        "init_args": {"inputs": INPUTS, "target": "labels"},
        "samples": _both(labels=["a;b", "b", "", "a;c", "c", "b;c"]),
    },
    "Regression": {
        "init_args": {"inputs": INPUTS, "target": "value"},
        "samples": _both(value=[3.0, 1.0, -2.0, 0.5, 7.0, 0.0]),
    },
    "NextToken": {
        "init_args": {"inputs": ["text"]},
        "samples": _rows(text=TEXTS),
        "core": DECODER,
    },
    "MaskedTokens": {
        "init_args": {"inputs": INPUTS},
        "samples": _rows(text=TEXTS, numbers=NUMBERS),
    },
    "SequenceToSequence": {
        "init_args": {"inputs": ["text"], "target": "reply", "tokenizer": "text"},
        "samples": _rows(text=TEXTS, reply=[text[::-1] for text in TEXTS]),
        "core": ENCODER_DECODER,
    },
    "Embedding": {
        "init_args": {"inputs": INPUTS},
        "samples": _rows(text=TEXTS, numbers=NUMBERS),
    },
    "DenseDetection": {
        "init_args": {"inputs": ["numbers"], "target": "objects"},
        "samples": _rows(numbers=NUMBERS, objects=OBJECTS),
    },
    "Detection": {
        "init_args": {"inputs": ["numbers"], "target": "objects", "num_objects": 4},
        "samples": _rows(numbers=NUMBERS, objects=OBJECTS),
    },
    "SpanAnswer": {
        "init_args": {"inputs": {"question": "text", "context": "text"}, "target": "answer"},
        "samples": _rows(
            question=["who?", "where?", "what?", "how?"],
            context=["Anna lives here", "Bert is in York", "a red square", "by train to Kiel"],
            answer=["Anna", "York", "red square", "by train"],
        ),
    },
    "Transcription": {
        "init_args": {"inputs": ["text"], "target": "written"},
        "samples": _rows(text=TEXTS, written=[text[::3] for text in TEXTS]),
    },
    "TokenClassification": {
        "init_args": {"inputs": ["text"], "target": "labels"},
        "samples": _rows(text=TEXTS, labels=[["AB"[c in "aeiou"] for c in t] for t in TEXTS]),
    },
}


# ---- sources: each function writes files, and returns the arguments of the constructor ----


def _table(root: Path) -> dict[str, object]:
    _write(root / "rows.csv", "text,label\nhello,1\nworld,2\nagain,1\n")
    _write(root / "test.csv", "text,label\nmore,2\n")
    return {"path": {"train": "rows.csv", "test": "test.csv"}}


def _lines(root: Path) -> dict[str, object]:
    _write(root / "lines.txt", "1 hello\n2 world\n\n1 again\n")
    return {"path": {"train": "lines.txt"}, "pattern": r"(?P<label>\d) (?P<text>.*)"}


def _files(root: Path) -> dict[str, object]:
    for name in ("cat/1.txt", "cat/2.txt", "dog/1.txt"):
        _write(root / "files" / name, name)
    return {"path": "files", "pattern": "{label}/*.txt"}


def _parallel(root: Path) -> dict[str, object]:
    _write(root / "one.en", "hello\nworld\n")
    _write(root / "one.fr", "salut\nmonde\n")
    return {"path": {"train": {"english": "one.en", "french": "one.fr"}}}


def _plain_text(root: Path) -> dict[str, object]:
    _write(root / "book.txt", "The end of the story is its beginning. " * 20)
    return {"path": "book.txt", "length": 32}


def _records(root: Path) -> dict[str, object]:
    colours = [("a", "red"), ("a", "circle"), ("b", "blue"), ("b", "square")]
    records = [{"image": image, "answer": answer} for image, answer in colours]
    _write(root / "records.json", json.dumps(records))
    return {
        "path": {"train": "records.json"},
        "columns": {"number": "image", "answer": "answer"},
    }


def _composed(root: Path) -> dict[str, object]:
    fields = {"colour": ["red", "blue"], "shape": ["circle", "square"]}
    return {
        **_records(root),
        "by": "number",
        "answer": "answer",
        "fields": fields,
        "sentence": "a {colour} {shape}",
    }


def _arrays(root: Path) -> dict[str, object]:
    offsets = np.array([0, 3, 4, 8])
    np.savez(root / "frames.npz", values=np.arange(16.0).reshape(8, 2), offsets=offsets)
    return {"path": {"train": "frames.npz"}}


def _idx(root: Path) -> dict[str, object]:
    images, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([2, 0, 1], np.uint8)
    for name, array in (("images", images), ("labels", labels)):
        head = bytes([0, 0, 8, array.ndim])
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        (root / f"{name}.idx").write_bytes(head + sizes + array.tobytes())
    return {"path": {"train": {"image": "images.idx", "label": "labels.idx"}}}


def _hub(root: Path) -> dict[str, object]:
    _table(root)
    for name, split in (("rows.csv", "train"), ("test.csv", "test")):
        _write(root / "set" / f"{split}.csv", (root / name).read_text(encoding="utf-8"))
    return {"name": str(root / "set")}  # a relative path would be a name on the hub


def _hub_stream(root: Path) -> dict[str, object]:
    _table(root)
    return {"files": {"train": "rows.csv", "test": "test.csv"}}


def _windows(root: Path) -> dict[str, object]:
    rows = "".join(f"2020-01-{1 + n:02d},{n},{n * n}\n" for n in range(30))
    _write(root / "days.csv", f"day,one,two\n{rows}")
    return {"path": "days.csv", "past": 2, "future": 1, "time": "day"}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


SOURCES: Mapping[str, Callable[[Path], dict[str, object]]] = {
    "ComposedRecords": _composed,
    "Files": _files,
    "Hub": _hub,
    "HubStream": _hub_stream,
    "IdxFiles": _idx,
    "Lines": _lines,
    "ParallelText": _parallel,
    "PlainText": _plain_text,
    "RaggedArrays": _arrays,
    "Records": _records,
    "Table": _table,
    "Windows": _windows,
}
