"""RaggedArrays: each sample has its rows of the long array, and its row of the table."""

import numpy as np
import pytest
from folders import SHARED
from parts import damage, mark_members

from unitf import UserError
from unitf.data import RaggedArrays, Split

DATA = SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="shared data not available")
VALUES = np.arange(12, dtype=np.float16).reshape(6, 2)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def write(root, offsets=(0, 2, 2, 6), rows=("one\ttrain", "two\ttrain", "six\ttest")):
    np.savez(root / "set.npz", values=VALUES, offsets=np.array(offsets))
    (root / "set.tsv").write_text("\n".join(["text\tpart", *rows]) + "\n")


def test_each_sample_has_its_rows_and_its_columns(tmp_path):
    write(tmp_path)
    samples = RaggedArrays("set.npz", "set.tsv").read("train", tmp_path)
    assert [sample["text"] for sample in samples] == ["one", "two", "six"]
    assert [len(sample["frames"]) for sample in samples] == [2, 0, 4]
    assert np.array_equal(samples[2]["frames"], VALUES[2:])
    split = Split({"train": "train", "test": "test"}, column="part")
    source = RaggedArrays("set.npz", "set.tsv", column="x", split=split)
    assert [sample["text"] for sample in source.read("test", tmp_path)] == ["six"]
    bare = RaggedArrays("set.npz").read("train", tmp_path)
    assert [list(sample) for sample in bare] == [["frames"]] * 3


@pytest.mark.parametrize("offsets", [(0, 4, 2, 6), (0, 2, 7, 9), (-1, 2, 3, 6), (0.0, 1.0)])
def test_offsets_that_do_not_rise_are_refused(tmp_path, offsets):
    write(tmp_path, offsets)
    with pytest.raises(UserError, match="whole numbers that rise, from 0 to 6"):
        RaggedArrays("set.npz").read("train", tmp_path)


def test_what_does_not_fit_is_one_line(tmp_path):
    write(tmp_path, rows=("one\ttrain",))
    with pytest.raises(UserError, match=r"set.tsv: 1 rows, but .*set.npz has 3"):
        RaggedArrays("set.npz", "set.tsv").read("train", tmp_path)
    with pytest.raises(UserError, match=r"no array 'value'.*values"):
        RaggedArrays("set.npz", values="value").read("train", tmp_path)
    np.savez_compressed(tmp_path / "set.npz", values=np.random.default_rng(0).integers(0, 5, 9999))
    whole = (tmp_path / "set.npz").read_bytes()
    damage(tmp_path / "set.npz", 400)
    with pytest.raises(UserError, match=r"set.npz: not an .npz of arrays, or damaged"):
        RaggedArrays("set.npz", offsets="values").read("train", tmp_path)
    (tmp_path / "set.npz").write_bytes(whole)
    mark_members(tmp_path / "set.npz", flags=1)
    with pytest.raises(UserError, match=r"set.npz: not an .npz of arrays, or damaged.*password"):
        RaggedArrays("set.npz", offsets="values").read("train", tmp_path)
    (tmp_path / "set.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"set.npz: not an .npz of arrays, or damaged"):
        RaggedArrays("set.npz").read("train", tmp_path)


@needs_data
def test_an4_has_its_official_split():
    split = Split({"train": "train", "test": "test"}, column="split")
    source = RaggedArrays("an4-mfcc/an4_mfcc.npz", "transcripts.tsv", values="feats", split=split)
    train, test = source.read("train", DATA), source.read("test", DATA)
    assert (len(train), len(test)) == (948, 130)
    assert train[3]["text"] == "U M N Y H SIX"
    assert train[3]["frames"].shape == (259, 13)
