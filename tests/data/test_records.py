"""Records: what a JSON list holds and the files it names, in a folder or in a zip."""

import json
import zipfile
from pathlib import Path

import pytest
from folders import SHARED
from parts import damage, mark_members

from unitf import UserError
from unitf.data import Records, Split

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
LISTED = [["what?", "cat", 0], ["where?", "mat", 0], ["who?", "bat", 1]]
COLUMNS = {"question": 0, "answer": 1, "number": 2}
FILES = {"image": "images/{number}.png"}


def make_folder(root, records=LISTED):
    (root / "set/images").mkdir(parents=True, exist_ok=True)
    (root / "set/list.json").write_text(json.dumps(records))
    for number in range(2):
        (root / f"set/images/{number}.png").write_bytes(f"image {number}".encode())
    return "set/list.json"


def make_zip(root, records=LISTED):
    make_folder(root, records)
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for file in (root / "set").rglob("*.*"):
            archive.write(file, file.relative_to(root / "set"))
    return "set.zip/list.json"


@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_records_have_their_columns_and_the_files_they_name(tmp_path, make):
    samples = Records(make(tmp_path), COLUMNS, FILES).read("train", tmp_path)
    assert [sample["answer"] for sample in samples] == ["cat", "mat", "bat"]
    images = [s["image"] for s in samples]
    contents = [i if isinstance(i, bytes) else Path(i).read_bytes() for i in images]
    assert contents == [b"image 0", b"image 0", b"image 1"]
    assert images[0] is images[1] or make is make_folder  # in memory once


def test_records_with_keys_are_split_by_a_column(tmp_path):
    records = [{"text": "one", "who": "ann"}, {"text": "two", "who": "bob", "more": 1}]
    path = make_zip(tmp_path, records)
    split = Split({"test": "bob"}, column="by")
    source = Records(path, {"text": "text", "by": "who"}, split=split)
    assert list(source.read("test", tmp_path)) == [{"text": "two", "by": "bob"}]
    assert list(source.read("train", tmp_path)) == [{"text": "one", "by": "ann"}]
    assert len(Records(path, {"text": "text"}, limit=1).read("train", tmp_path)) == 1


@pytest.mark.parametrize("make", [make_folder, make_zip])
@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"a": 1}, "list.json: expected a list, found dict"),
        ([["what?", "cat"]], r"record 0: no 2 in \['what\?', 'cat'\]"),
        ([["what?", "cat", 7]], r"7\.png"),
        ([["what?", "cat", "../../secret"]], "leads out of its folder"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, make, records, message):
    with pytest.raises(UserError, match=message) as caught:
        Records(make(tmp_path, records), COLUMNS, FILES).read("train", tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_damaged_zip_are_one_line(tmp_path):
    make_zip(tmp_path)
    with pytest.raises(UserError, match=r"there is no lost.json in it.*list.json"):
        Records("set.zip/lost.json", COLUMNS).read("train", tmp_path)
    with pytest.raises(UserError, match=r"other.zip/list.json is not there; there is no other.zip"):
        Records("other.zip/list.json", COLUMNS).read("train", tmp_path)
    with pytest.raises(UserError, match=r"'images/\{name\}.png' needs a column 'name'"):
        Records("set.zip/list.json", COLUMNS, {"image": "images/{name}.png"}).read(
            "train", tmp_path
        )
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("list.json", json.dumps(list(range(2000))))
    whole = (tmp_path / "set.zip").read_bytes()
    damage(tmp_path / "set.zip", 60)
    with pytest.raises(UserError, match=r"set\.zip, list\.json: cannot be read, or is damaged"):
        Records("set.zip/list.json", COLUMNS).read("train", tmp_path)
    for marks in ({"flags": 1}, {"method": 9}):
        (tmp_path / "set.zip").write_bytes(whole)
        mark_members(tmp_path / "set.zip", **marks)
        with pytest.raises(UserError, match=r"cannot be read, or is damaged: .*(password|method)"):
            Records("set.zip/list.json", COLUMNS).read("train", tmp_path)
    with pytest.raises(UserError, match="is a folder, expected a file"):
        Records(".", COLUMNS).read("train", tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK not at all")
    with pytest.raises(UserError, match=r"set\.zip is no zip, or is damaged"):
        Records("set.zip/list.json", COLUMNS).read("train", tmp_path)


@needs_data
def test_easy_vqa_is_read_whole():
    paths = {name: f"easy-vqa/easy_vqa.zip/{name}/questions.json" for name in ("train", "test")}
    source = Records(paths, COLUMNS, FILES)
    train, test = source.read("train", DATA), source.read("test", DATA)
    assert (len(train), len(test)) == (38_575, 9_673)
    assert train[0]["question"] == "what is the blue shape?"
    assert train[0]["answer"] == "rectangle"
    assert len({sample["answer"] for sample in train}) == 13
    assert train[0]["image"].startswith(b"\x89PNG")
    assert train[0]["image"] != test[0]["image"]
