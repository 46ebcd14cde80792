"""Files of folders and archives as people's systems write them."""

import io
import logging
import tarfile
import unicodedata
import zipfile

import pytest

from unitf import UserError
from unitf.data import Files, Split

PATTERN = "{label}/*.png"


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def labels(root, path=".", pattern=PATTERN, **arguments):
    return sorted(s["label"] for s in Files(path, pattern, **arguments).read("train", root))


def add(archive, name, content=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


def contents(root, path, pattern=PATTERN):
    samples = Files(path, pattern).read("train", root)
    return {samples.name(n): sample["file"].decode() for n, sample in enumerate(samples)}


@pytest.mark.parametrize(
    "folder", [".ipynb_checkpoints", ".Trash-1000", "@eaDir", "__MACOSX", "$RECYCLE.BIN", ".git"]
)
def test_folders_of_a_system_are_no_classes(tmp_path, folder):
    write(tmp_path, "cat/0.png", "dog/0.png", f"{folder}/0.png", f"cat/{folder}/0.png")
    assert labels(tmp_path) == ["cat", "dog"]
    assert labels(tmp_path, pattern="**/{label}/*.png") == ["cat", "dog"]


def test_a_hidden_folder_is_found_where_the_pattern_names_it(tmp_path):
    write(tmp_path, ".store/cat/0.png")
    assert labels(tmp_path, pattern=".store/{label}/*.png") == ["cat"]
    assert labels(tmp_path, ".store") == ["cat"]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    write(tmp_path, "store/cat/0.png", "d/cow/0.png")
    (tmp_path / "d/cat").symlink_to(tmp_path / "store/cat")
    (tmp_path / "store/cat/back").symlink_to(tmp_path / "d")
    (tmp_path / "d/self").symlink_to(tmp_path / "d")
    assert labels(tmp_path, "d") == ["cat", "cow"]
    assert labels(tmp_path, "d", "**/{label}/*.png") == ["cat", "cow"]


def test_names_in_two_spellings_of_unicode_are_one_class(tmp_path):
    one, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write(tmp_path, f"{one}/0.png", f"{other}/1.png", f"tea/{other}.png")
    assert labels(tmp_path) == [one, one, "tea"]
    assert labels(tmp_path, pattern=f"{{label}}/{one}.png") == ["tea"]
    split = Split({"validation": other}, column="label")
    assert len(Files(".", PATTERN, split=split).read("validation", tmp_path)) == 2


def test_the_case_of_an_ending_does_not_count(tmp_path):
    write(tmp_path, "cat/0.png", "cat/1.PNG", "cat/2.Png", "cat/png")
    assert len(labels(tmp_path)) == 3
    write(tmp_path, "scan/cat/0.NII.gz")
    assert labels(tmp_path, "scan", "{label}/*.nii.gz") == ["cat"]


def test_a_zip_of_mac_and_of_windows(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("pets/cat/0.png", "cat")
        archive.writestr("__MACOSX/pets/cat/._0.png", "\0\5")
        archive.writestr("pets/cat/._1.png", "\0\5")
        entry = zipfile.ZipInfo()
        entry.filename = "pets\\dog\\0.png"
        archive.writestr(entry, "dog")
    assert contents(tmp_path, "m.zip", "**/{label}/*.png") == {
        "pets/cat/0.png": "cat",
        "pets/dog/0.png": "dog",
    }


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_with_dots_links_and_a_member_that_stands_twice(tmp_path, mode):
    with tarfile.open(tmp_path / "t.tar", mode) as archive:
        add(archive, "./store/0.bin", b"stored")
        add(archive, "./cat/0.png", b"old")
        add(archive, "./dog/0.png", type=tarfile.LNKTYPE, linkname="./cat/0.png")
        add(archive, "./dog/1.png", type=tarfile.SYMTYPE, linkname="../store/0.bin")
        add(archive, "./emu", type=tarfile.SYMTYPE, linkname="cat")
        add(archive, "./gnu", type=tarfile.SYMTYPE, linkname="gnu")
        add(archive, "./cat/loop", type=tarfile.SYMTYPE, linkname="../cat")
        add(archive, "./out/0.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "./cat/0.png", b"new")
    assert contents(tmp_path, "t.tar") == {
        "cat/0.png": "new",
        "dog/0.png": "new",
        "dog/1.png": "stored",
        "emu/0.png": "new",
    }


def test_a_zip_with_a_link(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("cat/0.png", "cat")
        link = zipfile.ZipInfo("dog")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "cat")
    assert contents(tmp_path, "z.zip") == {"cat/0.png": "cat", "dog/0.png": "cat"}


def test_what_does_not_match_is_said_with_its_number(tmp_path, caplog):
    write(tmp_path, "cat/0.png", "cat/1.jpg", "dog/0.gif", "notes.txt")
    (tmp_path / "emu").mkdir()
    (tmp_path / "cat" / "2.png").symlink_to("nowhere")
    with caplog.at_level(logging.WARNING):
        assert labels(tmp_path) == ["cat"]
    (line,) = caplog.messages
    assert line == (
        f"{tmp_path}: 3 files (cat/1.jpg, dog/0.gif, notes.txt) do not match '{{label}}/*.png'; "
        "2 folders (dog, emu) have no file that matches; 1 link (cat/2.png) leads nowhere"
    )


def test_nothing_is_said_where_all_files_match(tmp_path, caplog):
    write(tmp_path, "cat/0.png", "dog/0.png", "cat/.DS_Store", "dog/Thumbs.db")
    labels(tmp_path)
    assert not caplog.messages


def test_no_match_in_an_archive_names_the_first_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("cat/0.jpg", "cat")
    with pytest.raises(UserError, match=r"no file matches .*; the first is cat/0\.jpg"):
        labels(tmp_path, "z.zip")
