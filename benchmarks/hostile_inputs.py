"""Hostile inputs: what small files cost when they are read, and whether any of them runs code.

    python -m benchmarks.hostile_inputs

Each input is read in a process of its own. It must end within 20 s of processor time and 1.5 GB of
memory, and run no code that it names.
"""

import contextlib
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from unitf.errors import UserError

SECONDS, BYTES = 20.0, 1.5e9
RECIPE = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {text: {class_path: Characters}}
  tasks: {digit: {class_path: Classification, init_args: {inputs: [text], target: digit}}}
data:
  sources: {written: {class_path: NumberWords}}
  batch_size: 8
  num_workers: 0
trainer: {max_steps: 1, accelerator: cpu}
"""
Case = Callable[[Path], object]
CASES: dict[str, Case] = {}
_written = 0.0  # the processor time of this process when it had written its input


def is_written() -> None:
    """Begins to count: what comes now is the reading."""
    global _written
    _written = time.process_time()


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


# ---- recipes -------------------------------------------------------------------------------


def recipe(name: str, change: Callable[[str], str]) -> None:
    def run(folder: Path) -> None:
        from unitf.cli.training_cli import ready

        (folder / "evil.py").write_text(code(folder))
        (folder / "recipe.yaml").write_text(change(RECIPE).replace("RAN", str(folder / "ran")))
        ready("fit", ["--config", "recipe.yaml", "--out", "out"])

    CASES[name] = run


def aliases(item: str, levels: int = 12) -> str:
    lines = [f"a0: &a0 {item.replace('*', 'x')}"]
    lines += [f"a{n}: &a{n} {item.replace('*', f'*a{n - 1}')}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def code(folder: Path) -> str:
    return f"import pathlib\npathlib.Path({str(folder / 'ran')!r}).touch()\nclass X: ...\n"


MANY = ",".join(f"k{n}: *" for n in range(9))
MERGE = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}], y{n}: 1}}\n" for n in range(1, 12)
)
EXTRA: dict[str, str] = {
    "aliases of lists": aliases("[*,*,*,*,*,*,*,*,*,*]"),
    "aliases of dictionaries": aliases("{" + MANY + "}"),
    "merged aliases": MERGE,
    "an alias of itself": "a: &a [*a, *a]\n",
    "brackets 100,000 deep": "a: " + "[" * 100_000 + "\n",
    "a megabyte of keys": "".join(f"k{n}: 1\n" for n in range(120_000)),
    "a tag of python": "a: !!python/object/apply:pathlib.Path.touch [RAN]\n",
    "a name of python": "a: !!python/name:os.system\n",
    "a module of python": "a: !!python/module:evil\n",
    "a number of 5,000,000 digits": "a: " + "9" * 900_000 + "\n",
}
for title, text in EXTRA.items():
    recipe(title, lambda plain, text=text: text + plain)
recipe(
    "aliases among the arguments",
    lambda plain: (
        aliases("[*,*,*,*,*,*,*,*,*]").replace("a", "b")
        + plain.replace("NumberWords}", "NumberWords, init_args: {x: *b11}}")
    ),
)
for title, path in {"a function": "os.system", "a file beside it": "evil.X"}.items():
    for place in ("Characters", "NumberWords", "Classification"):
        recipe(f"{title} as {place}", lambda t, n=path, p=place: t.replace(p, n))
    recipe(
        f"{title} as callback",
        lambda t, n=path: t.replace("max_steps", f"callbacks: [{{class_path: {n}}}], max_steps"),
    )
    recipe(
        f"{title} as schedule's function",
        lambda t, n=path: t.replace(
            "model:",
            "model:\n  schedule: {class_path: torch.optim.lr_scheduler.LambdaLR, "
            f"init_args: {{lr_lambda: {n}}}}}",
        ),
    )


# ---- archives, tables, texts ---------------------------------------------------------------

ZEROS = b"0" * (1 << 20)


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


def zip_of(path: Path, name: str, megabytes: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(name, "w") as file:
        for _ in range(megabytes):
            file.write(ZEROS)


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


# ---- images and sounds ---------------------------------------------------------------------


def image(name: str, write: Callable[[Path], object]) -> None:
    def run(folder: Path) -> None:
        from unitf_image.image_files import read_image

        write(folder / name)
        is_written()
        read_image(str(folder / name), 3)

    CASES[f"image {name}"] = run


def png(path: Path, side: int) -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    packer = zlib.compressobj(9)
    row = b"\0" * (side // 8 + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


for side in (9_000, 13_000, 30_000):
    image(f"{side}.png", lambda p, s=side: png(p, s))
image(
    "lie.bmp",
    lambda p: p.write_bytes(
        b"BM"
        + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
)
image(
    "lie.gif",
    lambda p: p.write_bytes(
        b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
        + b",\0\0\0\0\xff\xff\xff\xff\0\2\2\x44\1\0;"
    ),
)
image("lie.ppm", lambda p: p.write_bytes(b"P6 60000 60000 255\n" + b"x" * 100))


def sound(name: str, write: Callable[[Path], object]) -> None:
    def run(folder: Path) -> None:
        from unitf_audio.sound import read_sound

        write(folder / name)
        is_written()
        read_sound(str(folder / name), 16_000)

    CASES[f"sound {name}"] = run


def silence(path: Path, seconds: int, rate: int, channels: int) -> None:
    import soundfile

    block = np.zeros((rate, channels), np.int16)
    with soundfile.SoundFile(path, "w", rate, channels, format=path.suffix[1:].upper()) as file:
        for _ in range(seconds):
            file.write(block)


sound("hour.flac", lambda p: silence(p, 3_500, 48_000, 2))
sound("eight.flac", lambda p: silence(p, 900, 48_000, 8))
sound("hours.flac", lambda p: silence(p, 9_000, 44_100, 1))
WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44_100, 176_400, 4, 16)
sound("lie.wav", lambda p: p.write_bytes(WAV + b"data\xff\xff\xff\xff" + b"\0" * 100))


# ---- weights -------------------------------------------------------------------------------


def weights(name: str, change: Callable[[dict[str, object]], object]) -> None:
    def run(folder: Path) -> None:
        import unitf
        from unitf.checkpoints.folder import save_folder

        torch.save(model_of(change), folder / "x.ckpt")
        is_written()
        with contextlib.suppress(UserError):
            unitf.load(folder / "x.ckpt")
        unitf.load(save_folder(model_of(change), folder / "model"))

    CASES[f"a checkpoint with {name}"] = run


def model_of(change: Callable[[dict[str, object]], object]) -> dict[str, object]:
    import unitf
    from unitf.interop.exchange import as_checkpoint
    from unitf.registry import find, resolve_all
    from unitf.tasks import Classification

    resolve_all("tokenizers")
    characters = find("tokenizers", "Characters")
    model = unitf.Model(
        core=unitf.TransformerConfig(dim=16, depth=1, num_heads=2),
        tokenizers={"text": characters},
        tasks={"digit": Classification(["text"], "digit", classes=["a", "b"])},
    )
    model.tokenizers["text"].fit(iter(["abc"]))
    model.build_components()
    checkpoint = as_checkpoint(model)
    change(checkpoint["unitf"]["configuration"])
    return checkpoint


def core(**settings: object) -> Callable[[dict[str, object]], object]:
    return lambda configuration: configuration["core"].update(settings)  # pyright: ignore


weights("dim 100,000", core(dim=100_000))
weights("depth 3,000,000", core(depth=3_000_000))
weights("hidden_dim 10^12", core(hidden_dim=10**12))
weights("head_dim 10^9", core(head_dim=10**9))
weights(
    "a million experts",
    core(feedforward={"class_path": "MixtureOfExperts", "init_args": {"num_experts": 10**6}}),
)
weights("a word for a width", core(dim="wide"))
weights("an unknown key", core(evil=1))


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


@case
def a_checkpoint_with_code(folder: Path) -> None:
    import unitf

    torch.save({"unitf": Evil(), "state_dict": {}}, folder / "x.ckpt")
    unitf.load(folder / "x.ckpt")


@case
def a_pickle_as_checkpoint(folder: Path) -> None:
    import unitf

    (folder / "x.ckpt").write_bytes(pickle.dumps(Evil()))
    unitf.load(folder / "x.ckpt")


@case
def a_checkpoint_whose_members_are_packed(folder: Path) -> None:
    import unitf

    zip_of(folder / "x.ckpt", "archive/data.pkl", 1_000)
    unitf.load(folder / "x.ckpt")


@case
def a_safetensors_header_of_90_megabytes(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": {}}')
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{n}": entry for n in range(1_200_000)}).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    unitf.load(model)


@case
def a_safetensors_header_that_lies(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": {}}')
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    unitf.load(model)


@case
def a_model_folder_with_deep_json(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": ' + "[" * 1_000_000)
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    unitf.load(model)


@case
def a_published_folder_with_code(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "evil.py").write_text(code(folder))
    settings = {"model_type": "xxx", "auto_map": {"AutoConfig": "evil.X", "AutoModel": "evil.X"}}
    (model / "config.json").write_text(json.dumps(settings))
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    unitf.from_pretrained(f"hf:{model}")


@case
def a_published_folder_with_a_pickle(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    torch.save(Evil(), model / "pytorch_model.bin")
    unitf.from_pretrained(f"hf:{model}")


# ---- measuring -----------------------------------------------------------------------------


def measured(name: str, run: Case) -> tuple[str, float, float, bool]:
    """Returns what an input led to, the seconds and bytes that it cost, and whether it ran code."""
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.chdir(folder)
            os.environ["HF_DATASETS_CACHE"] = folder
            with open(os.devnull, "w") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            is_written()
            said = outcome(run, Path(folder))
            seconds = time.process_time() - _written
            os.write(writing, f"{seconds} {said}".encode(errors="replace")[:2_000])
            os._exit(0)
        os.close(writing)
        _, status, used = os.wait4(child, 0)
        said = os.read(reading, 2_000).decode(errors="replace")
        os.close(reading)
        ran = (Path(folder) / "ran").exists()
    if not said:
        said = f"{used.ru_utime + used.ru_stime} ended by signal {status}"
    seconds, _, said = said.partition(" ")
    return said, float(seconds), 1024 * used.ru_maxrss, ran


def outcome(run: Case, folder: Path) -> str:
    """Runs a case; returns how it was answered."""
    sys.stdin = io.StringIO("y\n" * 9)
    resource.setrlimit(resource.RLIMIT_CPU, (200, 200))
    try:
        run(folder)
    except UserError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def main() -> int:
    """Prints what each input cost, and those that cost too much."""
    torch.set_num_threads(1)
    from unitf.cli import training_cli  # noqa: F401 (imported once, before the processes part)

    wanted = sys.argv[1:]
    bad, tracebacks, count = [], [], 0
    for name, run in CASES.items():
        if wanted and not any(word in name for word in wanted):
            continue
        begun = time.perf_counter()
        said, seconds, size, ran = measured(name, run)
        count += 1
        took = time.perf_counter() - begun
        print(
            f"{seconds:6.1f} s {size / 1e9:5.2f} GB {took:6.1f} s  {name}: {said[:150]}", flush=True
        )
        if ran or seconds > SECONDS or size > BYTES:
            bad.append(name)
        if not said.startswith(("refused", "read")):
            tracebacks.append(name)
    print(f"\n{count} inputs: {len(bad)} ran code or cost too much: {bad}")
    print(f"answered by more than a line: {len(tracebacks)}: {tracebacks}")
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
