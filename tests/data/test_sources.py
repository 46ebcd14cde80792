"""Sources: every format gives the samples that lie there, or says what is wrong."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from folders import SHARED
from parts import damage, mark_members

from unitf import UserError
from unitf.data import (
    Files,
    Hub,
    HubStream,
    IdxFiles,
    Lines,
    ParallelText,
    PlainText,
    Split,
    Table,
    read_table,
)
from unitf.data.split import checked_split
from unitf.registry.configurable import remade
from unitf.tasks import Classification

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
NAMES = [
    f"rec/{digit}_{who}_{i}.wav" for digit in range(3) for who in ("ann", "bob") for i in range(5)
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def make_folder(root):
    for name in NAMES:
        (root / "sound" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sound" / name).write_bytes(name.encode())
    (root / "sound" / "rec" / ".hidden_x_1.wav").write_bytes(b"")
    (root / "sound" / "README.md").write_text("read me")


def make_zip(root):
    with zipfile.ZipFile(root / "sound", "w") as archive:
        archive.writestr("README.md", "read me")
        for name in NAMES:
            archive.writestr(name, name)


def make_tar(root, mode="w:xz"):
    with tarfile.open(root / "sound", mode) as archive:
        for name in NAMES:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


@pytest.mark.parametrize("make", [make_folder, make_zip, make_tar, lambda r: make_tar(r, "w")])
def test_files_give_the_fields_of_their_names_and_themselves(tmp_path, make):
    make(tmp_path)
    source = Files(
        "sound",
        "rec/{digit}_{who}_{index}.wav",
        "audio",
        split=Split({"test": "0-1", "validation": 0.25}, column="index"),
    )
    read = {split: source.read(split, tmp_path) for split in source.splits()}
    assert {split: len(samples) for split, samples in read.items()} == {
        "train": 14,
        "test": 12,
        "validation": 4,
    }
    assert {sample["index"] for sample in read["test"]} == {"0", "1"}
    names = set()
    for samples in read.values():
        for number, sample in enumerate(samples):
            content = sample["audio"]
            content = content if isinstance(content, bytes) else Path(content).read_bytes()
            assert content.decode() == "rec/{digit}_{who}_{index}.wav".format(**sample)
            assert samples.name(number) == content.decode()
            names.add(content)
    assert len(names) == 30


def test_one_value_is_held_out(tmp_path):
    make_folder(tmp_path)
    source = Files("sound", "rec/{digit}_{who}_{index}.wav", split=Split({"test": "ann"}, "who"))
    assert {s["who"] for s in source.read("test", tmp_path)} == {"ann"}
    assert {s["who"] for s in source.read("train", tmp_path)} == {"bob"}
    assert len(source.read("validation", tmp_path)) == 0


def test_patterns_and_limit(tmp_path):
    for name in ("train/cat/1.png", "train/dog/deep/2.jpg", "test/cat/3.png", "train/cat/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def read(split, **arguments):
        source = Files(
            ".",
            "{part}/{label}/**/*.*g",
            split=Split({"train": "train", "test": "test"}, "part"),
            **arguments,
        )
        return [(s["label"], Path(s["file"]).name) for s in source.read(split, tmp_path)]

    assert read("train") == [("cat", "1.png"), ("dog", "2.jpg")]
    assert read("test") == [("cat", "3.png")]
    assert len(Files(".", "**/*.png", limit=1).read("train", tmp_path)) == 1


def bad_archive(root):
    make_zip(root)
    data = (root / "sound").read_bytes()
    (root / "sound").write_bytes(data[: len(data) // 2])


def bad_tar(root):
    make_tar(root)
    data = (root / "sound").read_bytes()
    (root / "sound").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("make", [bad_archive, bad_tar, lambda r: (r / "sound").write_bytes(b"x")])
def test_a_damaged_archive_is_one_line(tmp_path, make):
    make(tmp_path)
    with pytest.raises(UserError, match=r"sound is no folder, zip or tar, or is damaged"):
        Files("sound", "rec/{digit}_{who}_{index}.wav").read("train", tmp_path)


def write_idx(path, array, kind):
    header = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_idx_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 5)).astype(np.uint8)
    write_idx(tmp_path / "images.gz", images, 8)
    write_idx(tmp_path / "labels", np.arange(20, dtype=np.int32) % 3, 12)
    path = {"train": {"image": "images.gz", "label": "labels"}}
    samples = IdxFiles(path).read("train", tmp_path)
    assert np.array_equal(samples[7]["image"], images[7])
    assert samples[7]["image"].dtype == np.uint8
    assert samples[7]["label"] == 1
    source = IdxFiles(path, classes=["a", "b", "c"], split=Split({"validation": 0.2}), limit=10)
    assert source.read("train", tmp_path)[0]["label"] in {"a", "b", "c"}
    assert [len(source.read(s, tmp_path)) for s in source.splits()] == [8, 2]
    with pytest.raises(UserError, match="label 2, but classes has 2 names"):
        IdxFiles(path, classes=["a", "b"]).read("train", tmp_path)
    (tmp_path / "labels").write_bytes((tmp_path / "labels").read_bytes()[:-3])
    with pytest.raises(UserError, match="labels is not an idx file, or is cut off"):
        IdxFiles(path).read("train", tmp_path)


def test_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes("A:x caf\xe9 \x85 au lait\r\n\nB:y two\n".encode("latin-1"))
    source = Lines("a.txt", r"(?P<label>\w+):(?P<fine>\S+) (?P<text>.*)", "latin-1")
    assert list(source.read("train", tmp_path)) == [
        {"label": "A", "fine": "x", "text": "café \x85 au lait"},
        {"label": "B", "fine": "y", "text": "two"},
    ]
    with pytest.raises(UserError, match=r"a\.txt, line 1: not utf-8"):
        Lines("a.txt", "(?P<text>.*)").read("train", tmp_path)
    with pytest.raises(UserError, match=r"a\.txt, line 3: 'B:y two' does not match"):
        Lines("a.txt", r"(?P<text>A.*)", "latin-1").read("train", tmp_path)


def test_parallel_texts_stay_side_by_side(tmp_path):
    (tmp_path / "a.en.gz").write_bytes(gzip.compress(b"one\r\n\nthree\x0c four\nfive"))
    (tmp_path / "a.de").write_text("eins\nzwei\ndrei vier\nfünf\n")
    path = {"train": {"english": "a.en.gz", "german": "a.de"}}
    pairs = [("one", "eins"), ("", "zwei"), ("three\x0c four", "drei vier"), ("five", "fünf")]
    expected = [{"english": english, "german": german} for english, german in pairs]
    samples = ParallelText(path).read("train", tmp_path)
    assert list(samples) == expected
    assert list(pickle.loads(pickle.dumps(samples))) == expected
    assert list(ParallelText(path, limit=2).read("train", tmp_path)) == expected[:2]
    held = ParallelText(path, split=Split({"test": 0.25})).read("test", tmp_path)
    assert len(held) == 1 and held[0] in expected
    (tmp_path / "a.de").write_text("eins\n" * 5)
    message = r"a\.de has 5 lines, expected as many as .*a\.en\.gz, which has 4"
    with pytest.raises(UserError, match=message):
        ParallelText(path, limit=1).read("train", tmp_path)


def test_plain_text_windows(tmp_path):
    text = "".join(chr(33 + i % 90) for i in range(1000))
    (tmp_path / "book.txt").write_text(text)
    source = PlainText("book.txt", 30)
    held = [s["text"] for s in source.read("validation", tmp_path)]
    assert "".join(held) == text[900:]
    assert {len(window) for window in held[:-1]} == {30}
    train = source.read("train", tmp_path)
    assert {len(sample["text"]) for sample in train} == {30}  # as they are measured
    assert "".join(sample["text"] for sample in train.all_windows) == text[:900]
    epochs = [[train.at(i, 0, epoch)["text"] for i in range(len(train))] for epoch in range(200)]
    seen = [any("".join(epoch).endswith(text[n:900]) for epoch in epochs) for n in (899, 890)]
    assert seen == [True, True]  # no part of the text is never learned from
    assert all(len(window) == 30 for epoch in epochs for window in epoch)
    assert all("".join(epoch) in text[:900] for epoch in epochs)
    assert len({epoch[0] for epoch in epochs}) > 10
    assert train.at(3, 0, 5) == train.at(3, 0, 5) != train.at(3, 1, 5)
    assert PlainText("book.txt", 3000).read("train", tmp_path).at(0, 0, 7) == {"text": text[:900]}


ROWS = [{"text": "null", "n": 1, "label": "a"}, {"text": "two\nlines", "n": 2, "label": "b"}] * 4


def write_table(path):
    import datasets

    table = datasets.Dataset.from_list(ROWS)
    match path.suffix:
        case ".csv" | ".tsv":
            table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        case ".parquet":
            table.to_parquet(path)
        case ".jsonl":
            path.write_text("\n".join(map(json.dumps, ROWS)))
        case ".arrow":
            table.save_to_disk(path.parent / "saved")
            (path.parent / "saved" / "data-00000-of-00001.arrow").rename(path)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ({"validation": 0.2}, {"train": 80, "validation": 20}),
        ({"train": 0.5, "validation": 0.2}, {"train": 50, "validation": 20}),
        ({"train": 0.8, "validation": 0.2}, {"train": 80, "validation": 20}),
        ({"test": 0.1, "train": 0.3}, {"train": 30, "test": 10}),
    ],
)
def test_a_fraction_for_training_is_kept(tmp_path, parts, sizes):
    (tmp_path / "a.txt").write_text("".join(f"{n}\n" for n in range(100)))
    source = Lines("a.txt", "(?P<text>.*)", split=Split(parts))
    read = {split: source.read(split, tmp_path) for split in source.splits()}
    assert {split: len(samples) for split, samples in read.items()} == sizes
    texts = [sample["text"] for samples in read.values() for sample in samples]
    assert len(set(texts)) == len(texts)


def test_splits_that_cannot_be_are_said():
    with pytest.raises(UserError, match=r"unknown split 'valid'; did you mean validation\?"):
        Lines("a.txt", "(?P<text>.*)", split=Split({"valid": 0.2}))
    with pytest.raises(UserError, match="unknown split 'dev'; there are train, validation, test"):
        Lines({"train": "a.txt", "dev": "b.txt"}, "(?P<text>.*)")
    with pytest.raises(UserError, match="unknown split 'valid'"):
        PlainText("a.txt", 5, {"train": [0.0, 0.5], "valid": [0.5, 1.0]})
    with pytest.raises(UserError, match="unknown split 'dev'"):
        HubStream(files={"train": "a.jsonl", "dev": "b.jsonl"})
    with pytest.raises(UserError, match="parts train and validation overlap"):
        PlainText("a.txt", 5, {"train": [0.0, 1.0], "validation": [0.5, 1.0]})
    parts = {"train": [0.0, 0.5], "test": [0.5, 1.0], "test_end": [0.9, 1.0]}
    assert PlainText("a.txt", 5, parts).splits() == list(parts)
    with pytest.raises(UserError, match=r"expected fractions of at most 1 in all, found \[0.8"):
        Split({"train": 0.8, "validation": 0.3})
    with pytest.raises(UserError, match=r"parts.test: found x, expected a fraction .* or split.co"):
        Split({"validation": 0.3, "test": "x"})
    path = {"train": "a.txt", "test_noisy": "b.txt"}
    assert Lines(path, "(?P<text>.*)").splits() == ["train", "test_noisy"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "arrow"])
def test_tables(tmp_path, suffix):
    write_table(tmp_path / f"t.{suffix}")
    assert list(read_table(tmp_path / f"t.{suffix}")) == [
        {**row, "n": str(row["n"]) if suffix in ("csv", "tsv") else row["n"]} for row in ROWS
    ]
    source = Table(
        f"t.{suffix}", {"words": "text", "label": "label"}, Split({"test": "b"}, "label")
    )
    assert list(source.read("test", tmp_path)) == [{"words": "two\nlines", "label": "b"}] * 4
    assert pickle.loads(pickle.dumps(source.read("train", tmp_path)))[0]["words"] == "null"
    with pytest.raises(UserError, match=r"no column 'texts'; did you mean text\?"):
        Table(f"t.{suffix}", {"words": "texts"}).read("train", tmp_path)


def cells(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return list(Table(name).read("train", tmp_path))


def test_only_an_empty_cell_is_missing(tmp_path):
    rows = cells(tmp_path, "a.csv", "text,label,age\nNA,0,20\nnull,1,\nNone,,30\n")
    assert rows == [
        {"text": "NA", "label": "0", "age": "20"},
        {"text": "null", "label": "1", "age": None},
        {"text": "None", "label": None, "age": "30"},
    ]
    task = Classification(["text"], "label")
    assert [task.accepts(row) for row in rows] == [True, True, False]
    task.fit(rows)
    assert task.classes == ["0", "1"]


def test_every_cell_is_text(tmp_path):
    text = "code,sign,share,sure,long\n0042,+1,.5,True,12345678901234567890\n7, -1,2,false,1\n"
    first, second = cells(tmp_path, "a.csv", text)
    assert list(first.items()) == [
        ("code", "0042"),
        ("sign", "+1"),
        ("share", ".5"),
        ("sure", "True"),
        ("long", "12345678901234567890"),
    ]
    assert list(second.values()) == ["7", " -1", "2", "false", "1"]
    many = "".join(f"{n},{n}\n" for n in range(60_500))  # 50,000 rows are read at once
    rows = cells(tmp_path, "b.csv", f"a,b\n{many}x,\n")
    assert rows[3] == {"a": "3", "b": "3"}
    assert rows[60_000] == {"a": "60000", "b": "60000"}
    assert rows[-1] == {"a": "x", "b": None}


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (['"good" film\t1', '" so-so film\t0', 'worse" film\t0'], None),
        (['" so-so film\t0', 'bad film"\t0', "fine\t1"], None),
        (['"so-so"\t0', '"say ""it"""\t1'], ["so-so", 'say "it"']),
        (['"two', 'lines"\t0', '"a\ttab"\t1', "plain\t1"], ["two\nlines", "a\ttab", "plain"]),
    ],
)
def test_no_row_of_a_tsv_is_lost_to_its_quotes(tmp_path, lines, texts):
    rows = cells(tmp_path, "a.tsv", "\n".join(["text\tlabel", *lines, ""]))
    assert [row["text"] for row in rows] == (texts or [line.split("\t")[0] for line in lines])
    assert {row["label"] for row in rows} <= {"0", "1"}


def test_a_surplus_cell_moves_no_other(tmp_path):
    rows = [{"text": "good", "label": "1"}, {"text": "bad", "label": "0"}]
    assert cells(tmp_path, "a.csv", "text,label\ngood,1,\nbad,0,\n") == rows
    assert cells(tmp_path, "a.tsv", "text\tlabel\ngood\t1\t\nbad\t0\n") == rows
    for place, text in enumerate(["good, film,1\nbad,0\n", 'good,1\n"two\nlines",2\nx, y,3\n']):
        message = rf"b\.csv, line {[2, 5][place]}: 3 cells, expected 2 \(text, label\)"
        with pytest.raises(UserError, match=message):
            cells(tmp_path, "b.csv", "text,label\n" + text)


@pytest.mark.parametrize(
    "source",
    [
        Lines("a.gz", "(?P<a>.*)"),
        PlainText("a.gz", 5),
        ParallelText({"train": {"a": "a.gz"}}),
        IdxFiles({"train": {"label": "a.gz"}}),
        Table("a.csv.gz"),
        Table("a.tsv.gz"),
        Lines("folder", "(?P<a>.*)"),
        IdxFiles({"train": {"label": "folder"}}),
        Table("folder.csv"),
    ],
    ids=lambda source: f"{type(source).__name__}",
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, source):
    text = "\n".join(map(str, np.random.default_rng(0).random(2000).tolist()))
    for name in ("a.gz", "a.csv.gz", "a.tsv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        damage(tmp_path / name)
    for name in ("folder", "folder.csv"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"is damaged|is a folder|folder\.csv|\.gz: ") as caught:
        source.read("train", tmp_path)
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_locked_is_one_line(tmp_path):
    make_zip(tmp_path)
    source = Files("sound", "rec/{digit}_{who}_{index}.wav")
    mark_members(tmp_path / "sound", flags=1)
    with pytest.raises(UserError, match=r"sound: rec/0_ann_0\.wav has a password"):
        source.read("train", tmp_path)
    mark_members(tmp_path / "sound", method=9)
    with pytest.raises(UserError, match=r"sound is no folder, .* method is not supported"):
        source.read("train", tmp_path)


def test_a_saved_data_set_and_its_classes_by_name(tmp_path):
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    rows = {"image": [{"bytes": b"12", "path": None}] * 10, "label": [0, 1] * 5}
    whole = datasets.Dataset.from_dict(rows, features)
    datasets.DatasetDict(train=whole, dev=whole.select([1, 2])).save_to_disk(tmp_path / "saved")
    source = Hub("saved", splits={"train": "train[:50%]", "validation": "dev"})
    assert list(source.read("train", tmp_path))[:2] == [
        {"image": b"12", "label": "cat"},
        {"image": b"12", "label": "dog"},
    ]
    assert [len(source.read(s, tmp_path)) for s in ("train", "validation", "test")] == [5, 2, 0]
    assert len(Hub("saved").read("validation", tmp_path)) == 0
    first = Hub("saved", splits={"train": "train[1%:]", "validation": "train[:1%]"})
    assert len(first.read("train", tmp_path)) == 10
    with pytest.raises(UserError, match="split validation holds no samples"):
        first.read("validation", tmp_path)
    with pytest.raises(UserError, match="no split 'deb'; did you mean dev"):
        Hub("saved", splits={"test": "deb"}).read("test", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Table("tabel.csv"), r"tabel.csv is not there; did you mean table.csv"),
        (Table("nowhere/t.csv"), "t.csv is not there; there is no nowhere in"),
        (Table("empty.csv"), "empty.csv: No columns to parse"),
        (Table("header.csv"), "holds no samples"),
        (Table("ragged.csv"), r"ragged.csv, line 3: 3 cells, expected 2 \(a, b\)"),
        (Table("bad.jsonl"), r"bad.jsonl, line 2: not JSON"),
        (Table("table.txt"), "not a table; "),
        (Lines("empty.csv", "(?P<a>.*)"), "holds no samples"),
        (Files(".", "{label}.png"), r"no file matches '\{label\}.png'; the first is bad.jsonl"),
        (Files("table.csv", "{label}.png"), "no folder, zip or tar"),
        (ParallelText({"train": {"a": "empty.csv"}}), "holds no samples"),
        (PlainText("empty.csv", 5), "no character is left for split train"),
        (Table("table.csv", split=Split({"test": "x"}, "lable")), "'lable' to split by; did you"),
        (Table("table.csv", split=Split({"test": "x"}, "label")), "no sample has label x"),
        (Table("table.csv", split=Split({"test": 0.01})), "split test is empty"),
        (Table({"train": "table.csv", "test": "header.csv"}), "header.csv: it holds no samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_one_line(tmp_path, source, message):
    write_table(tmp_path / "table.csv")
    (tmp_path / "table.txt").touch()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\nnot\n')
    with pytest.raises(UserError, match=message) as caught:
        for split in source.splits():
            source.read(split, tmp_path)
    assert "\n" not in str(caught.value)


def test_two_parts_by_value_share_no_sample(tmp_path):
    (tmp_path / "n.txt").write_text("".join(f"{n}\n" for n in range(10)))
    parts = {"validation": "0-5", "test": "4-7"}
    source = Lines("n.txt", "(?P<n>.*)", split=Split(parts, "n"))
    with pytest.raises(UserError, match="parts validation and test have 2 samples in common"):
        source.read("train", tmp_path)
    both = Lines("n.txt", "(?P<n>.*)", split=Split({"train": "0-7", "test": "4-7"}, "n"))
    assert [s["n"] for s in both.read("train", tmp_path)] == list("0123")
    nested = Lines("n.txt", "(?P<n>.*)", split=Split({"test": "4-7", "test_four": "4"}, "n"))
    assert [len(nested.read(s, tmp_path)) for s in ("train", "test", "test_four")] == [6, 4, 1]


def test_a_path_below_a_file_is_said(tmp_path):
    (tmp_path / "d.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"train.txt is not there; .*d.zip is a file, expected a"):
        Lines("d.zip/train.txt", "(?P<a>.*)").read("train", tmp_path)


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "a.txt").write_text("1 good\n", encoding="utf-8-sig")
    [sample] = Lines("a.txt", r"(?P<label>\d) (?P<text>.*)").read("train", tmp_path)
    assert sample == {"label": "1", "text": "good"}


def test_a_row_without_a_label_has_none_and_goes_to_other_processes(tmp_path):
    import datasets

    label = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features({"label": label, "several": datasets.List(label)})
    rows = {"label": [1, -1], "several": [[0, 1], []]}
    datasets.Dataset.from_dict(rows, features).save_to_disk(tmp_path / "saved")
    read = pickle.loads(pickle.dumps(Hub("saved").read("train", tmp_path)))
    assert list(read) == [
        {"label": "pos", "several": ["neg", "pos"]},
        {"label": None, "several": []},
    ]


def test_a_saved_data_set_is_split_into_training_and_other_parts(tmp_path):
    import datasets

    datasets.Dataset.from_dict({"n": list(range(10))}).save_to_disk(tmp_path / "saved")
    source = Hub("saved", split=Split({"train": 0.7, "validation": 0.3}))
    assert [len(source.read(s, tmp_path)) for s in ("train", "validation")] == [7, 3]


def few_of(tmp_path, **settings):
    lines = [f"{n} {'aab'[n % 3]}" for n in range(60)]
    (tmp_path / "many.txt").write_text("\n".join(lines))
    (tmp_path / "other.txt").write_text("\n".join(lines[:9]))
    split = Split(per_class={"label": 5}, **settings)
    pattern = r"(?P<number>\d+) (?P<label>\w)"
    return Lines({"train": "many.txt", "test": "other.txt"}, pattern, split=split)


def test_of_each_class_only_so_many_samples_are_for_training(tmp_path):
    source = few_of(tmp_path, parts={"validation": 0.2})
    train, validation = (source.read(s, tmp_path) for s in ("train", "validation"))
    assert Counter(s["label"] for s in train) == {"a": 5, "b": 5}
    assert (len(validation), len(source.read("test", tmp_path))) == (12, 9)
    assert not {s["number"] for s in train} & {s["number"] for s in validation}
    alone = few_of(tmp_path).read("train", tmp_path)
    assert len(alone) == 10
    assert list(alone) == list(few_of(tmp_path).read("train", tmp_path))
    assert list(alone) != list(few_of(tmp_path, seed=1).read("train", tmp_path))


def test_a_class_with_fewer_samples_keeps_them_all(tmp_path):
    source = few_of(tmp_path, column="number", parts={"validation": "6-59"})
    assert [s["number"] for s in source.read("train", tmp_path)] == list("012345")


def test_how_many_of_each_class_is_checked(tmp_path):
    with pytest.raises(UserError, match=r"per_class: expected one column .* found \{'a': 0\}"):
        Split(per_class={"a": 0})
    few_of(tmp_path)
    (tmp_path / "lists.jsonl").write_text('{"label": ["a", "b"]}\n' * 3)
    lists = Table("lists.jsonl", split=Split(per_class={"label": 1}))
    with pytest.raises(UserError, match="label is a list, expected one label a sample"):
        lists.read("train", tmp_path)
    source = Lines("many.txt", r"(?P<n>\d+) (?P<label>\w)", split=Split(per_class={"lable": 5}))
    with pytest.raises(UserError, match="no column 'lable' to split by; did you mean label"):
        source.read("train", tmp_path)


def test_a_split_has_one_meaning():
    with pytest.raises(UserError, match="test has a file and is a part"):
        Table({"train": "a.csv", "test": "b.csv"}, split=Split({"test": 0.1}))
    with pytest.raises(UserError, match="must be a name"):
        Files(".", "{a}_{a}.png")


@needs_data
def test_shared_sets():
    def sizes(source):
        return {split: len(source.read(split, DATA)) for split in source.splits()}

    fsdd = Files(
        "fsdd/recordings.zip",
        "recordings/{digit}_{speaker}_{index}.wav",
        "sound",
        split=Split({"test": "0-4"}, "index"),
    )
    assert sizes(fsdd) == {"train": 2700, "test": 300}
    trec = {"train": "trec/train.txt", "test": "trec/test.txt"}
    pattern = r"(?P<label>\w+):(?P<fine>\S+) (?P<text>.*)"
    assert sizes(Lines(trec, pattern, "latin-1")) == {"train": 5452, "test": 500}
    assert len({s["label"] for s in Lines(trec, pattern, "latin-1").read("test", DATA)}) == 6
    sst = {"train": "sst2/train.txt", "validation": "sst2/dev.txt", "test": "sst2/test.txt"}
    assert list(sizes(Lines(sst, r"(?P<label>\d) (?P<text>.*)")).values()) == [6920, 872, 1821]
    bank = {"train": "banking77/train.csv", "test": "banking77/test.csv"}
    assert sizes(Table(bank)) == {"train": 10003, "test": 3080}
    names = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
    multi30k = {
        split: {code: f"multi30k-en-fr/{name}.{code}.gz" for code in ("en", "fr")}
        for split, name in names.items()
    }
    assert list(sizes(ParallelText(multi30k)).values()) == [29_000, 1014, 1000]
    book = PlainText("tinyshakespeare/input.txt", 128)
    assert sum(len(s["text"]) for s in book.read("validation", DATA)) == 111_540
    cifar = Files("cifar10-jpeg/test.tar.xz", "test/{label}/*.jpg", "image", limit=100)
    labels = [s["label"] for s in cifar.read("train", DATA)]
    assert all(labels.count(label) == 10 for label in labels)


def test_a_source_with_a_split_is_made_again_from_its_configuration(tmp_path):
    write_table(tmp_path / "t.csv")
    split = Split({"test": 0.2, "validation": ["a"]}, "label", per_class={"label": 3})
    source = Table("t.csv", split=split)
    again = remade(json.loads(json.dumps(source.configuration())))
    assert again.split == split and again.configuration() == source.configuration()


def test_a_dictionary_for_a_split_is_refused_in_one_line():
    message = r"Table t.csv: split: found dict, expected unitf.data.Split\(parts={…}\)"
    with pytest.raises(UserError, match=message):
        checked_split({"parts": {"test": 0.2}}, "Table t.csv")
