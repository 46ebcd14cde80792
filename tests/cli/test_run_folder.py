"""The folder of a run: runs that begin together have one each, and nobody enters one in use."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from unitf.cli import main, run_folder
from unitf.cli.run_folder import LOCK, RunFolder

HOLDER = """
import sys
import time
from pathlib import Path
from unitf.cli.run_folder import RunFolder

RunFolder().lock(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that uses the folder `run`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_runs_of_one_second_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "now")
    runs = [RunFolder() for _ in range(3)]
    paths = [run.new(tmp_path / "runs") for run in runs]
    assert [path.name for path in paths] == ["now", "now_2", "now_3"]
    for run, path in zip(runs, paths, strict=True):
        run.lock(path)
        run.release()
    assert not list((tmp_path / "runs").glob("*"))  # none of them wrote anything


def test_a_failed_start_leaves_no_folder_behind(recipe, tmp_path, monkeypatch, capsys):
    """Neither the run's folder, nor those around it that were made for it."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    command = ["fit", "--config", str(recipe), "--model.tasks.speed.init_args.target", "none"]
    for words in ([], ["--out", str(tmp_path / "new" / "run")]):
        assert main([*command, *words]) == 2  # the configuration is written, then the data is read
        assert "expected two or more different classes" in capsys.readouterr().err
        assert sorted(tmp_path.rglob("*")) == before
    mine = tmp_path / "mine"  # a folder of somebody's is not removed
    mine.mkdir()
    (mine / "notes.txt").touch()
    assert main([*command, "--out", str(mine)]) == 2
    assert (mine / "notes.txt").exists()


def test_a_folder_in_use_is_refused_in_one_line_until_its_process_ends(
    holder, recipe, tmp_path, capsys
):
    out = tmp_path / "run"
    assert main(["fit", "--config", str(recipe), "--out", str(out)]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert f"{out}: found a run (process {holder.pid} of " in line
    assert line.endswith("at work there, expected a folder that no run uses")
    assert [file.name for file in out.iterdir()] == [LOCK]
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    mine = RunFolder()
    mine.lock(out)  # a lock ends with its process
    mine.release()


def test_what_a_run_wrote_stays_and_its_lock_does_not(tmp_path):
    run = RunFolder()
    run.lock(tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_text("x")
    run.release()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_only_the_first_process_of_a_run_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    run = RunFolder()
    run.lock(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not run.new(tmp_path / "runs").exists()


def test_a_file_system_without_locks_does_not_stop_a_run(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(run_folder.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    RunFolder().lock(tmp_path / "run")


def test_a_lock_file_that_was_removed_meanwhile_is_made_again(tmp_path, monkeypatch):
    lockf, calls = fcntl.lockf, []

    def removing(file, operation):
        lockf(file, operation)
        if not calls:
            (tmp_path / "run" / LOCK).unlink()  # as the run before does when it ends
        calls.append(os.fstat(file).st_ino)

    monkeypatch.setattr(fcntl, "lockf", removing)
    run = RunFolder()
    run.lock(tmp_path / "run")
    assert len(calls) == 2
    assert (tmp_path / "run" / LOCK).stat().st_ino == calls[-1]
