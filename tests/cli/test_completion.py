"""What the tab key offers: verbs, options, runs and names of classes, without torch."""

import os
import subprocess
import sys

import pytest

from unitf.cli import main
from unitf.cli.completion import candidates

PRESSED = """
unitf() { PYTHON -c 'import sys; from unitf.cli import main; main(sys.argv[1:])
assert "torch" not in sys.modules' "$@"; }
source <(unitf completion bash)
COMP_WORDS=(unitf describe Wor); COMP_CWORD=2; _unitf; echo "${COMPREPLY[@]}"
COMP_WORDS=(unitf predict --checkpoint ""); COMP_CWORD=3; _unitf; echo "${COMPREPLY[@]}"
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for time, name in enumerate(("pets/a", "pets/b c")):
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
        os.utime(tmp_path / "runs" / name, (time, time + 1))


@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ([], ["fit", "predict", "completion", "--plugin"]),
        (["pred"], ["predict"]),
        (["predict", "--in"], ["--input"]),
        (["--plain", "fit", "--ta"], ["--target"]),
        (["fit", "--model"], ["--model."]),
        (["bench", "--largest"], ["--largest-batch"]),
        (["describe", "ImagePat"], ["ImagePatches"]),
        (["predict", "--checkpoint", ""], ["latest", "runs/pets/b c", "runs/pets/a", "pets"]),
        (["fit", "--resume", "a"], ["auto"]),
        (["predict", "--input", "ca"], []),  # a file: the shell knows them
    ],
)
def test_what_may_come_next(runs, typed, some):
    found = candidates(typed)
    assert set(some) <= set(found) and bool(found) == bool(some)
    assert all(word.startswith(typed[-1] if typed else "") for word in found)


def test_bash_asks_a_process_without_torch(runs):
    script = PRESSED.replace("PYTHON", sys.executable)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)
    words, folders = done.stdout.splitlines()
    assert words == "Words"
    assert folders == "latest runs/pets/b c runs/pets/a pets"


def test_the_other_shells_have_a_script_too(capsys):
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert "unitf completion words --" in capsys.readouterr().out
