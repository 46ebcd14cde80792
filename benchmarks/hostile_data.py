"""Hostile archives, tables, texts and patterns."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hostile_cases import CASES, ZEROS, is_written, zip_of


def packed(path: Path, megabytes: int = 1_000, begin: bytes = b"") -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(begin)
        for _ in range(megabytes):
            file.write(ZEROS)
    return path


def source(name: str, make: Callable[[Path], object], **arguments: object) -> None:
    def run(folder: Path) -> None:
        from unitf import registry

        make(folder)
        is_written()
        registry.resolve_all("sources")
        samples = registry.find("sources", name)(**arguments).read("train", folder)
        for index in range(min(3, len(samples))):
            dict(samples[index])

    CASES[f"{name} {arguments['path']}"] = run


def tar_of(path: Path, mode: str) -> None:
    class Zeros(io.RawIOBase):
        def readinto(self, buffer: bytearray) -> int:  # pyright: ignore
            buffer[:] = b"0" * len(buffer)
            return len(buffer)

        def read(self, size: int = -1) -> bytes:
            return b"0" * size

    with tarfile.open(path, mode) as archive:  # pyright: ignore
        entry = tarfile.TarInfo("a/x.txt")
        entry.size = 400 << 20
        archive.addfile(entry, Zeros())  # pyright: ignore


def overlapping(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(400):
            archive.writestr(f"a/{number}.txt", ZEROS * 4)


def npz_of(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (1_000 << 20,)}
        )
        with archive.open("values.npy", "w") as file:
            file.write(header.getvalue())
            for _ in range(1_000):
                file.write(ZEROS)


def parquet_rows(path: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    table = arrow.table({"text": arrow.array(np.zeros(5_000_000, np.int8))})
    with parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(table)


def parquet_words(path: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    words = arrow.array(["x" * 1_000_000])
    column = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(20_000, np.int32)), words)
    parquet.write_table(arrow.table({"text": column}), path, compression="zstd")


def packed_lzma(path: Path) -> None:
    with lzma.open(path, "wb", preset=0) as file:
        for _ in range(300):
            file.write(ZEROS)


source("Lines", lambda f: packed(f / "bomb.txt.gz"), path="bomb.txt.gz", pattern="(?P<text>.*)")
source("PlainText", lambda f: packed(f / "bomb.txt.gz"), path="bomb.txt.gz", length=100)
source("IdxFiles", lambda f: packed(f / "bomb.gz"), path={"train": {"image": "bomb.gz"}})
source("Table", lambda f: packed(f / "b.csv.gz", 1_000, b"text\n"), path="b.csv.gz")
source("Table", lambda f: packed(f / "b.jsonl.gz", 1_000, b'{"text": "'), path="b.jsonl.gz")
source("Table", lambda f: parquet_rows(f / "rows.parquet"), path="rows.parquet")
source("Table", lambda f: parquet_words(f / "words.parquet"), path="words.parquet")
source("Table", lambda f: (f / "l.csv").write_bytes(b"text\n" + ZEROS * 50), path="l.csv")
source("Table", lambda f: (f / "d.jsonl").write_bytes(b"[" * 1_000_000), path="d.jsonl")
source(
    "Files", lambda f: zip_of(f / "b.zip", "a/x.txt", 1_000), pattern="{label}/*.txt", path="b.zip"
)
source(
    "Files",
    lambda f: zip_of(f / "bz2.zip", "a/x.txt", 400, zipfile.ZIP_BZIP2),
    pattern="{label}/*.txt",
    path="bz2.zip",
)
source("Files", lambda f: overlapping(f / "many.zip"), pattern="{label}/*.txt", path="many.zip")
for ending, mode in {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.items():
    name = f"b.tar.{ending}"
    source("Files", lambda f, n=name, m=mode: tar_of(f / n, m), pattern="{label}/*.txt", path=name)
source("RaggedArrays", lambda f: npz_of(f / "bomb.npz"), path="bomb.npz")
source(
    "Records", lambda f: zip_of(f / "b.zip", "x.json", 1_000), path="b.zip/x.json", columns={"a": 0}
)
source(
    "Records", lambda f: (f / "d.json").write_text("[" * 1_000_000), path="d.json", columns={"a": 0}
)
source(
    "IdxFiles",
    lambda f: (f / "lie.idx").write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 1 << 30, 99, 99)),
    path={"train": {"image": "lie.idx"}},
)
PATTERNS = [
    "(?P<text>(a+)+)b",
    "(?P<text>(a|aa)+)$",
    "(?P<text>([a-z]*)*)9",
    "(?P<text>(a?){30}a{30})",
]
for number, pattern in enumerate(PATTERNS):
    source(
        "Lines",
        lambda f, n=number: (f / f"{n}.txt").write_text("a" * 4_000 + "!\n"),
        path=f"{number}.txt",
        pattern=pattern,
    )
