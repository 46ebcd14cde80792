"""Tables as people have them: gaps, compressions, several files, and images beside them."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import pandas
import pytest

from unitf import UserError
from unitf.data import HubStream, Lines, ParallelText, Records, Split, Table
from unitf.data.encoder import Encoder
from unitf.data.epoch_sampler import SampleIndex
from unitf.data.sample_dataset import SampleDataset
from unitf.data.sources.shards import Shard
from unitf.tasks import Classification, Regression

CSV = "text,label\n2024,007\n1984,120\n"
ROWS = [{"text": "2024", "label": "007"}, {"text": "1984", "label": "120"}]


def read(root, path, columns=None, **arguments):
    return list(Table(path, columns, **arguments).read("train", root))


def stream(root, pattern, columns=None):
    return list(HubStream(files={"train": pattern}, columns=columns).stream("train", root, 0, 1))


def zstd(data):
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as file:
        file.write(data)
    return sink.getvalue().to_pybytes()


COMPRESSIONS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_a_compressed_table_is_the_table(tmp_path, ending):
    (tmp_path / f"t.csv.{ending}").write_bytes(COMPRESSIONS[ending](CSV.encode()))
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / f"t.jsonl.{ending}").write_bytes(COMPRESSIONS[ending](lines))
    for name in (f"t.csv.{ending}", f"t.jsonl.{ending}"):
        assert read(tmp_path, name) == stream(tmp_path, name) == ROWS


def test_a_separator_and_an_encoding(tmp_path):
    (tmp_path / "t.csv").write_bytes("text;label\nnaïve;0,5\n".encode("latin-1"))
    rows = read(tmp_path, "t.csv", separator=";", encoding="latin-1")
    assert rows == [{"text": "naïve", "label": "0.5"}]
    with pytest.raises(UserError, match=r"t\.csv, line 2: not utf-8 .*`encoding` names another"):
        read(tmp_path, "t.csv", separator=";")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1;x, y\n", [{"a": "1", "b": "x, y"}]),
        ("a\tb\n1\tx;y\n", [{"a": "1", "b": "x;y"}]),
        ("a,b\nx;y,2\n", [{"a": "x;y", "b": "2"}]),
        ("a\none, two\n", None),  # one column: which is damaged, as before
        ("a;b;c;d\n1,5;n/a;1.510;0.125\n;2,25;7;1\n", [
            {"a": "1.5", "b": "n/a", "c": "1510", "d": "0.125"},
            {"a": None, "b": "2.25", "c": "7", "d": "1"},
        ]),
        ("a;b\n1,250;2,100\n12;7\n", [{"a": "1,250", "b": "2,100"}, {"a": "12", "b": "7"}]),
        ("a;b\n1,5;1.5.2024\nx1,5;x\n", [{"a": "1,5", "b": "1.5.2024"}, {"a": "x1,5", "b": "x"}]),
    ],
)  # fmt: skip
def test_a_table_shows_its_separator_and_its_decimal_commas(tmp_path, text, rows):
    (tmp_path / "t.csv").write_text(text)
    if rows is None:
        with pytest.raises(UserError, match="line 2: 2 cells, expected 1"):
            read(tmp_path, "t.csv")
    else:
        assert read(tmp_path, "t.csv") == rows
    if rows is not None and "." not in str(rows):  # a stream leaves numbers as they are written
        assert stream(tmp_path, "t.csv") == rows


def test_a_column_names_files_without_their_folder(tmp_path):
    (tmp_path / "t.csv").write_text("id,label\n7,cat\n,dog\n")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "7.jpg").touch()
    rows = Table("t.csv", files={"id": "train/*.jpg"}).read("train", tmp_path)
    assert [row["id"] for row in rows] == ["train/7.jpg", None]
    assert rows.beside(0, rows[0]["id"]) is not None
    with pytest.raises(UserError, match="files: no column 'ids'; did you mean id"):
        Table("t.csv", files={"ids": "*.jpg"}).read("train", tmp_path)


def test_json_stays_what_it_is(tmp_path):
    rows = [
        {"text": "2020-01-01", "label": 1, "more": {"a": [1, 2.5, None]}},
        {"text": "2021-02-03T04:05:06Z", "label": "1+"},
        {"text": "x", "label": True, "more": None},
    ]
    (tmp_path / "a.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)), "utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"meta": {}, "data": {"rows": rows}}))
    full = [{"more": None, **row} for row in rows]
    for found in (read(tmp_path, "a.jsonl"), read(tmp_path, "a.json")):
        assert found == full
    assert read(tmp_path, "b.json", part="data.rows") == full
    assert read(tmp_path, "a.json", {"a": "more.a"})[0] == {"a": [1, 2.5, None]}
    samples = Table("a.jsonl").read("train", tmp_path)
    assert list(pickle.loads(pickle.dumps(samples))) == full
    with pytest.raises(UserError, match="no key 'dat'; did you mean data"):
        read(tmp_path, "b.json", part="dat")
    (tmp_path / "c.json").write_text(json.dumps({"meta": {}, "data": rows}))
    with pytest.raises(UserError, match="`part` names the key of the list, as data"):
        read(tmp_path, "c.json")
    with pytest.raises(UserError, match="expected a list, found dict; `part` names its key, as da"):
        Records("c.json", {"text": "text"}).read("train", tmp_path)
    assert (
        len(Records("c.json", {"a": "more.a"}, part="data", limit=1).read("train", tmp_path)) == 1
    )
    (tmp_path / "d.json").write_text('{"text": ["a", "b"], "label": {"0": 1, "1": 2}}')
    assert read(tmp_path, "d.json") == [{"text": "a", "label": 1}, {"text": "b", "label": 2}]


def test_a_file_for_each_class_gives_a_constant_column(tmp_path):
    for label in ("bad", "good"):
        (tmp_path / "reviews").mkdir(exist_ok=True)
        (tmp_path / "reviews" / f"{label}.csv").write_text(f"text\n{label} one\n{label} two\n")
        (tmp_path / "reviews" / f"{label}.txt").write_text(f"{label} one\n{label} two\n")
    rows = [
        {"text": f"{label} {number}", "label": label}
        for label in ("bad", "good")
        for number in ("one", "two")
    ]
    assert read(tmp_path, "reviews/{label}.csv") == rows
    columns = {"words": "text", "mood": "label"}
    renamed = [{"words": row["text"], "mood": row["label"]} for row in rows]
    assert read(tmp_path, "reviews/{label}.csv", columns) == renamed
    lines = Lines("reviews/{label}.txt", "(?P<text>.*)", split=Split({"test": "bad"}, "label"))
    assert list(lines.read("test", tmp_path)) == rows[:2]
    with pytest.raises(UserError, match=r"no file matches '\{label\}\.tsv'"):
        read(tmp_path, "reviews/{label}.tsv")


def test_a_class_is_compared_as_text():
    task = Classification(["text"], "label")
    task.fit(
        [{"text": "a", "label": label} for label in ("10", "9", "007", " a  b ", "a b", "True")]
    )
    assert task.classes == ["007", "9", "10", "True", "a b"]
    for label, number in ((9, 1), ("9", 1), (9.0, 1), ("9.0", 1), ("a\tb", 4), (True, 3)):
        assert int(task.encode_target({"label": label})) == number
    with pytest.raises(UserError, match="unknown class '7'"):
        task.encode_target({"label": "7"})
    given = Classification(["text"], "label", classes=["1", "2"])
    assert int(given.encode_target({"label": 2})) == 1
    numbers = Regression(["text"], "y")
    assert numbers.numbers({"y": " 2.5 "}).tolist() == [2.5]


def test_text_is_what_a_tokenizer_of_text_makes_of_a_cell():
    from unitf_text.reading import read_text

    day = datetime.datetime(2020, 1, 1)
    for value, text in ((2024, "2024"), (0.5, "0.5"), (True, "True"), (day, "2020-01-01")):
        assert read_text(value) == text


# ---- files beside a table -------------------------------------------------------------------


def found(root, path, columns=None, **arguments):
    from unitf_image import ImagePatches

    samples = Table(path, columns, **arguments).read("train", root)
    items = SampleDataset("train", {"s": samples})
    tokenizers = {"image": ImagePatches(8)}
    return [
        items[SampleIndex(0, 0, index)].with_files(tokenizers, [("image", "image")])["image"]
        for index in range(len(samples))
    ]


def test_images_lie_beside_their_table_or_in_the_root(tmp_path, monkeypatch):
    for name in ("d/img/0.png", "img/1.png", "d/img/1.png", "img/2.png", "café.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    table = "image,label\nimg/0.png,a\nimg\\1.png,b\nimg/2.png,a\ncafe\u0301.png,b\nnone.png,c\n"
    (tmp_path / "d" / "list.csv").write_text(table, "utf-8")
    names = ("d/img/0.png", "d/img/1.png", "img/2.png", "café.png")
    expected = [*(str(tmp_path / name) for name in names), "none.png"]
    assert found(tmp_path, "d/list.csv") == expected
    halves = Split({"train": 0.4, "validation": 0.6})
    assert len(found(tmp_path, "d/list.csv", split=halves)) == 2
    assert set(found(tmp_path, "d/list.csv", split=halves)) <= set(expected)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LISTS", "d")
    assert found(Path("nowhere"), "~/$LISTS/list.csv")[0] == expected[0]


def test_a_table_and_its_images_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("set/list.csv", "image,label\nimg/0.png,a\nimg/9.png,b\n")
        archive.writestr("set\\img\\0.png", b"zero")
    assert found(tmp_path, "p.zip/set/list.csv") == [b"zero", "img/9.png"]
    samples = Table("p.zip/set/list.csv").read("train", tmp_path)
    assert pickle.loads(pickle.dumps(samples)).beside(0, "img/0.png") == b"zero"


def test_a_text_is_no_file_even_if_there_is_one(tmp_path):
    from unitf_text import Bytes

    (tmp_path / "a").write_text("another text")
    (tmp_path / "t.csv").write_text("text,label\na,0\nb,1\n")
    items = SampleDataset("train", {"s": Table("t.csv").read("train", tmp_path)})
    encode = Encoder({"text": Bytes(8)}, {"t": Classification(["text"], "label", ["0", "1"])})
    features = encode(items.__getitems__([SampleIndex(0, 0, 0)])).task_batches["t"].features["text"]
    assert bytes(features.values.tolist()) == b"a"


# ---- shards ---------------------------------------------------------------------------------


def write_shard(path, samples, mode="w"):
    with tarfile.open(path, mode) as archive:
        for key, members in samples.items():
            for ending, content in members.items():
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


SHARD = {
    "./a/000": {"png": b"0", "cls": b"1", "json": b'{"day": "2020-01-01"}'},
    "./a/001": {"PNG": b"1", "cls": b"cat", "txt": b"hello"},
    "./a/002": {"seg.png": b"2", "png": b"2"},
}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_that_some_samples_lack_are_lacking_columns(tmp_path, mode):
    write_shard(tmp_path / "s.tar", SHARD, mode)
    columns = {"image": "png", "label": "cls", "text": "txt", "mask": "seg.png", "day": "json.day"}
    expected = [
        {"image": b"0", "label": 1, "text": None, "mask": None, "day": "2020-01-01"},
        {"image": b"1", "label": "cat", "text": "hello", "mask": None, "day": None},
        {"image": b"2", "label": None, "text": None, "mask": b"2", "day": None},
    ]
    assert read(tmp_path, "s.tar", columns) == expected
    assert stream(tmp_path, "s.tar", columns) == expected
    with pytest.raises(UserError, match="no column 'jpg'"):
        read(tmp_path, "s.tar", {"image": "jpg"})


def test_every_damage_of_a_shard_is_one_line_or_costs_one_sample(tmp_path):
    many = {f"{n:03}": {"txt": b"text %d" % n, "cls": b"1"} for n in range(8)}
    write_shard(tmp_path / "s.tar", many)
    whole = (tmp_path / "s.tar").read_bytes()
    for position in range(0, len(whole), 97):
        for damaged in (
            whole[:position],
            whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :],
        ):
            (tmp_path / "s.tar").write_bytes(damaged)
            try:
                shard = Shard(tmp_path / "s.tar")
            except UserError:
                continue
            for index in range(len(shard)):
                try:
                    assert shard[index].keys() >= {"__key__"}
                except UserError:
                    continue


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path):
    write_shard(tmp_path / "s.tar", {f"{n}": {"txt": b"text"} for n in range(8)})
    whole = bytearray((tmp_path / "s.tar").read_bytes())
    whole[4 * 1024 + 150] ^= 0xFF  # in the checksum of the fifth member
    (tmp_path / "s.tar").write_bytes(whole)
    with pytest.raises(
        UserError, match=r"s\.tar: damaged after sample 4: invalid header at byte 4,096"
    ):
        read(tmp_path, "s.tar")


def test_a_sample_is_called_by_its_file_and_its_row(tmp_path):
    """Rows count as in a spreadsheet: the header is row 1, and an empty line is a row too."""
    (tmp_path / "a.csv").write_text('text,age\none,1\n\n"two\nlines",2\n  \nthree,3\n')
    (tmp_path / "b.csv").write_text('text\none\n\n""\n')  # is "" an empty line? pandas says no
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n')
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    pandas.DataFrame({"text": ["one", "two"]}).to_parquet(tmp_path / "a.parquet")
    pandas.DataFrame({"text": ["one", "two"]}).to_excel(tmp_path / "a.xlsx", index=False)
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "b.txt").write_text("un\n\ndeux\n")
    sources = {
        "a.csv, row 2 4 6": Table("a.csv"),
        "b.csv, sample 1 2": Table("b.csv"),
        "a.jsonl, line 1 3": Table("a.jsonl"),
        "a.json, record 0 1": Table("a.json"),
        "a.parquet, row 1 2": Table("a.parquet"),
        "a.xlsx, row 2 3": Table("a.xlsx"),
        "a.txt, line 1 3": Lines("a.txt", "(?P<text>.*)"),
        "a.txt, line 1 2 3": ParallelText({"train": {"en": "a.txt", "fr": "b.txt"}}),
    }
    for expected, source in sources.items():
        file, word, *numbers = expected.split()
        samples = source.read("train", tmp_path)
        called = [samples.name(number) for number in range(len(samples))]
        assert called == [f"{tmp_path / file} {word} {number}" for number in numbers]


def test_a_message_names_the_row_of_the_file_in_a_part_that_was_drawn(tmp_path):
    rows = "".join(f"{number},word{number}\n" for number in range(20))
    (tmp_path / "a.csv").write_text(f"id,text\n{rows}")
    source = Table("a.csv", split=Split({"validation": "15-19"}, "id"))
    samples = SampleDataset("validation", {"a": source.read("validation", tmp_path)})
    item = samples[SampleIndex(0, 0, 2)]
    assert item.label == f"{tmp_path / 'a.csv'}, row 19"
    assert samples.position_of(item.name) == (0, 2)
    assert samples[SampleIndex(0, 0, 2)].sample["id"] == "17"
