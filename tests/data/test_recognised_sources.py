"""Layouts of data that the sources of unitf recognise."""

import json
import zipfile
from pathlib import Path

import pytest

from unitf import UserError
from unitf.data import Files, PlainText, Table
from unitf.data.split_words import split_in

IMAGES = [".jpg", ".JPG", ".png"]


def write(folder: Path, *names: str, text: str = "some text") -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(folder.parent))
    return archive


PETS = [f"{label}/{number}.txt" for label in ("cat", "dog") for number in range(3)]


def read(source, path: Path, split: str = "train"):
    proposal = source.recognise(path)
    settings = dict(proposal.settings)
    if "split" in settings:
        from unitf.data import Split

        settings["split"] = Split(**settings["split"])
    return source(**settings).read(split, path.parent)


def labels(samples) -> list[str]:
    return sorted(sample["label"] for sample in samples)


def test_folders_of_classes(tmp_path):
    pets = write(tmp_path / "pets", *PETS)
    samples = read(Files, pets)
    assert labels(samples) == ["cat"] * 3 + ["dog"] * 3
    assert samples[0]["text"] == "some text"  # read, as its name is that of a text
    assert "2 folders of .txt files" in Files.recognise(pets).reason


def test_folders_of_classes_in_folders_of_splits(tmp_path):
    names = [f"{split}/{name}" for split in ("train", "val", "test") for name in PETS]
    pets = write(tmp_path / "pets", *names)
    assert Files.recognise(pets).settings["path"] == {
        "train": "pets/train", "validation": "pets/val", "test": "pets/test",
    }  # fmt: skip
    assert len(read(Files, pets, "validation")) == 6


@pytest.mark.parametrize("splits", [[""], ["train/", "test/"]])
def test_an_archive_is_recognised_as_its_folder(tmp_path, splits):
    pets = write(tmp_path / "pets", *[split + name for split in splits for name in PETS])
    archive = zipped(pets)
    assert labels(read(Files, archive)) == ["cat"] * 3 + ["dog"] * 3
    if len(splits) > 1:
        assert len(read(Files, archive, "test")) == 6


def test_files_of_another_kind_are_left_out_and_counted(tmp_path):
    images = [name.replace(".txt", ".png") for name in PETS]
    pets = write(tmp_path / "pets", *images, "cat/notes.txt", "README.md")
    assert Files.recognise(pets).settings["pattern"] == "{label}/*.png"
    assert "2 other files are left out" in Files.recognise(pets).reason


def test_files_of_one_kind_may_have_several_endings(tmp_path):
    names = [name.replace(".txt", end) for name, end in zip(PETS, IMAGES * 2, strict=True)]
    pets = write(tmp_path / "pets", *names, "cat/Thumbs.db", "README.md")
    proposal = Files.recognise(pets)
    assert "2 folders of .{jpg,png} files, 6 in all; 1 other file is left out" in proposal.reason
    assert labels(read(Files, pets)) == ["cat"] * 3 + ["dog"] * 3


def test_an_ending_that_nobody_registered_is_a_file(tmp_path):
    beats = write(tmp_path / "beats", *[name.replace(".txt", ".npz") for name in PETS])
    assert Files.recognise(beats).settings["column"] == "file"


def test_one_folder_is_no_class_folder(tmp_path):
    assert Files.recognise(write(tmp_path / "pets", *PETS[:3])) is None


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_tables_of_every_format(tmp_path, ending):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["good", "bad", "001"], "label": ["a", "b", "a"]})
    file = tmp_path / f"mails.{ending}"
    writers = {
        "csv": lambda: frame.to_csv(file, index=False),
        "tsv": lambda: frame.to_csv(file, sep="\t", index=False),
        "jsonl": lambda: frame.to_json(file, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(file),
        "xlsx": lambda: frame.to_excel(file, index=False),
    }
    writers[ending]()
    assert [row["text"] for row in read(Table, file)] == ["good", "bad", "001"]
    assert "a table of 3 rows" in Table.recognise(file).reason


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (("train.csv", "dev.csv", "test.csv"), "train.csv"),
        (("train.csv", "dev.csv", "test.csv"), ""),
        (("mails_train.csv", "mails-val.csv", "mails_test.csv"), "mails_train.csv"),
    ],
)
def test_tables_of_splits_beside_each_other(tmp_path, names, given):
    folder = write(tmp_path / "mails", *names, "other.csv", text="text,label\nhello,a\n")
    path = folder / given if given else folder
    prefix = "" if given else "mails/"
    assert Table.recognise(path).settings == {
        "path": dict(zip(("train", "validation", "test"), (prefix + n for n in names), strict=True))
    }


def test_a_column_that_names_splits(tmp_path):
    lines = ["text,part", *[f"t{n},{'Train' if n % 3 else 'val'}" for n in range(12)]]
    file = write(tmp_path, "mails.csv", text="\n".join(lines)) / "mails.csv"
    proposal = Table.recognise(file)
    assert proposal.settings["split"] == {
        "column": "part", "parts": {"validation": "val", "train": "Train"},
    }  # fmt: skip
    assert len(read(Table, file, "validation")) == 4 and "column part" in proposal.reason


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_a_table_names_lie_beside_it(tmp_path, packed):
    photos = write(tmp_path / "photos", "images/1.png", "images/2.png")
    write(photos, "labels.csv", text="image,label\nimages/1.png,cat\nimages/2.png,dog\n")
    samples = read(Table, zipped(photos) if packed else photos)
    assert samples.beside(0, samples[0]["image"]) is not None


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_names_files_in_a_folder_or_without_their_ending(tmp_path, packed):
    photos = write(tmp_path / "photos", "train/1.png", "train/2.png", "test/3.png")
    write(photos, "labels.csv", text="id;label;n\n1;cat;1\n2;dog;3\n")
    given = zipped(photos) if packed else photos
    assert Table.recognise(given).settings["files"] == {"id": "train/*.png"}
    assert "';'; id names the files train/*.png" in Table.recognise(given).reason
    samples = read(Table, given)
    assert samples.beside(0, samples[0]["id"]) is not None
    write(photos, "masks/1.png", "masks/2.png")
    proposal = Table.recognise(zipped(photos) if packed else photos)
    assert "files" not in proposal.settings
    assert "masks/*.png or train/*.png (`files` says which)" in proposal.reason


def test_a_table_that_is_not_utf_8_says_as_what_it_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("text,label\nnaïve,b\n".encode("cp1252"))
    proposal = Table.recognise(tmp_path / "t.csv")
    assert proposal.settings["encoding"] == "cp1252" and "no UTF-8" in proposal.reason
    assert read(Table, tmp_path / "t.csv")[0]["text"] == "naïve"


def test_a_folder_of_texts_is_one_text(tmp_path):
    books = write(tmp_path / "books", "b.txt", "a.txt", "more/c.txt", text="word " * 100)
    samples = read(PlainText, books)
    text = "".join(sample["text"] for sample in samples.all_windows)
    assert len(text) == int(0.8 * (3 * 500 + 2 * 2))
    assert "3 texts of 1,500 bytes" in PlainText.recognise(books).reason


@pytest.mark.parametrize("files", [("train/a.txt", "test/b.txt"), ("train.txt", "test.txt")])
def test_texts_for_a_test_are_not_trained_on(tmp_path, files):
    books = write(tmp_path / "books", files[0], text="a" * 1000)
    write(books, files[1], text="b" * 500)
    settings = PlainText.recognise(books).settings
    source = PlainText(**settings)
    texts = {split: source.read(split, tmp_path) for split in source.splits()}
    chars = {s: "".join(w["text"] for w in getattr(t, "all_windows", t)) for s, t in texts.items()}
    assert chars == {"train": "a" * 900, "validation": "a" * 100, "test": "b" * 500}
    own = PlainText({"train": "x", "validation": "y"}, 5)
    assert own.parts == {"train": [0.0, 1.0]}
    with pytest.raises(UserError, match="split test has a path and is one of parts"):
        PlainText(settings["path"], 5, {"train": [0.0, 0.5], "test": [0.5, 1.0]})


def test_a_table_is_no_text_and_a_text_no_table(tmp_path):
    write(tmp_path, "a.txt", "b.csv", text="x,y\n1,2\n")
    assert PlainText.recognise(tmp_path / "b.csv") is None
    assert Table.recognise(tmp_path / "a.txt") is None


def test_a_list_of_records_that_is_no_table_is_said_when_it_is_read(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([{"text": "a", "label": "b"}] * 3))
    assert len(read(Table, tmp_path / "rows.json")) == 3


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train", ("train", "")),
        ("reviews_dev", ("validation", "reviews")),
        ("Test-set", ("test", "set")),
        ("train_test", (None, "train_test")),
        ("contest", (None, "contest")),
    ],
)
def test_the_word_of_a_split_in_a_name(name, found):
    assert split_in(name) == found
