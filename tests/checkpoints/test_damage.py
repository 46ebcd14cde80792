"""Checksums: damage to a checkpoint or a model folder is noticed, and a whole one is named."""

import errno
import random
import subprocess

import pytest
import torch
from toys import make_data, make_learner

import unitf
from unitf import UserError
from unitf.checkpoints.atomic import replacing
from unitf.checkpoints.checksum import SUMS, check_file, save_checkpoint
from unitf.checkpoints.folder import save_folder
from unitf.checkpoints.read import read_checkpoint, to_resume
from unitf.interop.exchange import as_checkpoint


@pytest.fixture(scope="module")
def content():
    learner = make_learner()
    learner.fit_components(make_data())
    learner.build_components()
    return {**as_checkpoint(learner), "global_step": 1}


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_a_checkpoint_is_found(content, tmp_path):
    file = tmp_path / "last.ckpt"
    save_checkpoint(content, file)
    assert check_file(file)
    size, draw = file.stat().st_size, random.Random(0)
    ends = [8 * size - 8 * n - 1 for n in (0, 10, 64, 78)]  # within the checksum and before it
    for bit in [*ends, *(draw.randrange(8 * (size - 100)) for _ in range(20))]:
        flip(file, bit)
        with pytest.raises(UserError, match=r"last\.ckpt: damaged"):
            read_checkpoint(file)
        flip(file, bit)


def test_a_checkpoint_with_a_checksum_is_read_by_torch_as_it_was(tmp_path):
    save_checkpoint({"step": 3, "weights": torch.arange(5.0)}, tmp_path / "x.ckpt")
    found = torch.load(tmp_path / "x.ckpt", weights_only=True, mmap=True)
    assert found["step"] == 3
    assert torch.equal(found["weights"], torch.arange(5.0))


def test_a_checkpoint_without_a_checksum_is_read_with_a_line(content, tmp_path, caplog):
    torch.save(content, tmp_path / "old.ckpt")
    assert read_checkpoint(tmp_path / "old.ckpt")["global_step"] == 1
    assert f"{tmp_path / 'old.ckpt'}: has no checksum" in caplog.text


def test_every_flipped_bit_of_a_model_folder_is_found(content, tmp_path):
    folder = save_folder(content, tmp_path / "model")
    for name in ("unitf.json", "model.safetensors", SUMS):
        file, draw = folder / name, random.Random(0)
        for _ in range(10):
            bit = draw.randrange(8 * file.stat().st_size)
            flip(file, bit)
            with pytest.raises(UserError, match=r"damaged or changed"):
                unitf.load(folder)
            flip(file, bit)
    unitf.load(folder)


def test_the_sums_of_a_model_folder_are_those_of_sha256sum(content, tmp_path):
    folder = save_folder(content, tmp_path / "model")
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True)


def test_a_model_folder_without_sums_is_read_with_a_line(content, tmp_path, caplog):
    folder = save_folder(content, tmp_path / "model")
    (folder / SUMS).unlink()
    unitf.load(folder)
    assert f"{folder}: has no checksum" in caplog.text


def test_a_damaged_checkpoint_names_the_whole_one_beside_it(content, tmp_path):
    last, best = (tmp_path / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    save_checkpoint(content, last)
    save_checkpoint(content, best)
    flip(last, 4000)
    with pytest.raises(UserError, match=rf"{last}: damaged.*; {best} is whole$"):
        read_checkpoint(last)


def test_a_resume_takes_the_best_where_the_last_is_damaged_or_missing(content, tmp_path, caplog):
    last, best = (tmp_path / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    save_checkpoint(content, last)
    save_checkpoint(content, best)
    assert to_resume(tmp_path) == last
    assert caplog.text == ""
    flip(last, 4000)
    assert to_resume(tmp_path) == best
    assert f"{last}: damaged; the run goes on from {best}" in caplog.text
    last.unlink()
    assert to_resume(tmp_path) == best
    assert f"{last}: missing; the run goes on from {best}" in caplog.text
    best.unlink()
    assert to_resume(tmp_path) == last  # so the error names it


def test_a_full_disk_is_one_line_and_leaves_the_earlier_file(tmp_path, monkeypatch):
    file = tmp_path / "last.ckpt"
    save_checkpoint({"step": 1}, file)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("write", "flush"):
        with monkeypatch.context() as patch:
            patch.setattr(f"unitf.checkpoints.checksum._HashedFile.{name}", full)
            with pytest.raises(UserError, match=r"last\.ckpt: no space left on the disk; the file"):
                save_checkpoint({"step": 2, "weights": torch.zeros(100_000)}, file)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(UserError, match=r"last\.ckpt: no space left on the disk"):
            save_checkpoint({"step": 2}, file)
    assert read_step(file) == 1
    assert list(tmp_path.iterdir()) == [file]


def read_step(file):
    assert check_file(file)
    return torch.load(file, weights_only=True)["step"]


def test_another_error_of_a_writer_stays_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "x") as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
