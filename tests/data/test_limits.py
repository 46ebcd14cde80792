"""Limits: what a small file may cost is bounded, and a variable sets other bounds."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from unitf import UserError
from unitf.cli.recipe import read_recipe
from unitf.data import Files, Lines, RaggedArrays, Records, Table
from unitf.limits import Limits, check_cost, limited_patterns, limits

ZEROS = b"0" * 3_000_000


@pytest.fixture
def tight(monkeypatch):
    """A million bytes come out of a file, whatever its size."""
    monkeypatch.setenv("UNITF_LIMITS", "unpacked_bytes=1e6,unpacked_ratio=1")


def refused(source, folder):
    with pytest.raises(
        UserError, match=r"unpacked bytes: found .* expected at most 1,000,000 "
    ) as e:
        source.read("train", folder)
    assert "UNITF_LIMITS=unpacked_bytes=…" in str(e.value)


def test_a_variable_sets_limits_and_a_wrong_one_is_one_line(monkeypatch):
    assert limits() == Limits()
    monkeypatch.setenv("UNITF_LIMITS", "image_pixels=10, pattern_seconds=0.5")
    assert (limits().image_pixels, limits().pattern_seconds) == (10, 0.5)
    assert limits().unpacked_bytes == Limits().unpacked_bytes
    monkeypatch.setenv("UNITF_LIMITS", "image_pixel=10")
    with pytest.raises(UserError, match="no limit 'image_pixel'; did you mean image_pixels"):
        limits()
    monkeypatch.setenv("UNITF_LIMITS", "image_pixels=many")
    with pytest.raises(UserError, match="image_pixels: found 'many', expected a number"):
        limits()


def test_a_large_file_may_cost_in_proportion(monkeypatch):
    monkeypatch.setenv("UNITF_LIMITS", "image_pixels=100,pixels_per_byte=3")
    check_cost(100, 1, "image_pixels", "pixels_per_byte", "x")
    check_cost(300, 100, "image_pixels", "pixels_per_byte", "x")
    with pytest.raises(UserError, match="x: found 301 or more in 100 bytes, expected at most 300"):
        check_cost(301, 100, "image_pixels", "pixels_per_byte", "x")


def test_a_compressed_text_is_bounded(tmp_path, tight):
    with gzip.open(tmp_path / "x.txt.gz", "wb") as file:
        file.write(ZEROS)
    refused(Lines("x.txt.gz", "(?P<text>.*)"), tmp_path)
    with gzip.open(tmp_path / "x.csv.gz", "wb") as file:
        file.write(b"text\n" + ZEROS)
    refused(Table("x.csv.gz"), tmp_path)


def test_the_members_of_archives_are_bounded_together(tmp_path, tight):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.txt", "a/2.txt"):
            archive.writestr(name, ZEROS[:700_000])
        archive.writestr("x.json", ZEROS)
    refused(Files(pattern="{label}/*.txt", path="x.zip"), tmp_path)
    with pytest.raises(UserError, match="unpacked bytes: found 3,000,000 or more"):
        Records("x.zip/x.json", {"a": 0}).read("train", tmp_path)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("a/1.txt")
        entry.size = len(ZEROS)
        archive.addfile(entry, io.BytesIO(ZEROS))
    refused(Files(pattern="{label}/*.txt", path="x.tar.gz"), tmp_path)
    np.savez_compressed(tmp_path / "x.npz", values=np.zeros(3_000_000, np.uint8), offsets=[0, 1])
    refused(RaggedArrays("x.npz"), tmp_path)


def test_the_rows_and_the_words_of_a_parquet_file_are_bounded(tmp_path, tight, monkeypatch):
    words = pyarrow.array(["x" * 10_000])
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(500, np.int32)), words)
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "x.parquet")
    refused(Table("x.parquet"), tmp_path)
    monkeypatch.setenv("UNITF_LIMITS", "table_rows=100,rows_per_byte=0")
    with pytest.raises(UserError, match="rows: found 500 or more"):
        Table("x.parquet").read("train", tmp_path)


def test_what_people_pack_is_read_with_the_usual_limits(tmp_path):
    with gzip.open(tmp_path / "x.txt.gz", "wb") as file:
        file.write(b"a\n" * 1_000_000)  # 1,000 times smaller
    assert len(Lines("x.txt.gz", "(?P<text>.*)").read("train", tmp_path)) == 1_000_000


@pytest.mark.parametrize("pattern", ["(?P<text>(a+)+)b", "(?P<text>([a-z]*)*)9"])
def test_a_pattern_that_does_not_end_is_stopped(tmp_path, monkeypatch, pattern):
    monkeypatch.setenv("UNITF_LIMITS", "pattern_seconds=0.2")
    (tmp_path / "x.txt").write_text("a" * 100 + "!\n")
    with pytest.raises(UserError, match=r"x\.txt: the pattern searches for more than 0\.2 s"):
        Lines("x.txt", pattern).read("train", tmp_path)


def test_an_error_within_the_time_of_a_pattern_stays_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), limited_patterns("x"):
        1 / 0  # noqa: B018


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        "a: &a [*a]\n",
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
    ],
)
def test_aliases_that_multiply_are_refused_before_they_do(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=r"x\.yaml, line 1: aliases .* make more than 100,000 val"):
        read_recipe(tmp_path / "x.yaml")


def test_many_aliases_of_a_word_are_a_recipe(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a word\nb: [" + ",".join(["*a"] * 500) + "]\n")
    assert read_recipe(tmp_path / "x.yaml")["b"] == ["word"] * 500
