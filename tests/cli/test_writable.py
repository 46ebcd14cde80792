"""`--out` where nothing can be written: one line, before the verb takes its time."""

from pathlib import Path

import pytest

from unitf.cli import main

VERBS = {  # none gets as far as the checkpoint, which is not there
    "fit": ["fit", "--config", "{recipe}"],
    "merge": ["merge", "--checkpoint", "none"],
    "attend": ["attend", "--checkpoint", "none"],
    "plugins new": ["plugins", "new", "ecg"],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("out", ["{file}", "{file}/sub", "/proc/sub", "x" * 300])
def test_what_cannot_be_written_is_one_line(recipe, tmp_path, capsys, verb, out):
    if out.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("there is no /proc")
    (tmp_path / "file").touch()
    out = out.format(file=tmp_path / "file")
    assert main([word.format(recipe=recipe) for word in VERBS[verb]] + ["--out", out]) == 2
    said = capsys.readouterr().err
    assert out in said and "there is no such file" not in said and said.count("\n") == 1
    assert (tmp_path / "file").read_bytes() == b""
