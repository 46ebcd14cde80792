"""The command line: quick, one line for a user's mistake, and a table for everything else."""

import json
import subprocess
import sys
from types import ModuleType

import pytest
from broken import BROKEN, install_broken, install_whole

import unitf
from unitf import registry
from unitf.cli import main


@pytest.fixture
def training(monkeypatch):
    """A stand-in for the verbs that train; its `calls` are what it was given."""
    module = ModuleType("unitf.cli.training_cli")
    module.calls = []
    module.main = lambda *arguments: module.calls.append(arguments)
    monkeypatch.setitem(sys.modules, "unitf.cli.training_cli", module)
    return module


def test_help_version_and_list_import_no_torch():
    code = """
import sys, unitf
from unitf.cli import main
assert main(["--help"]) == 0 and main([]) == 0 and main(["plugins", "list"]) == 0
try:
    main(["--version"])
except SystemExit as stop:
    assert stop.code == 0
assert not {"torch", "numpy", "lightning", "jsonargparse"} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stderr == ""
    assert f"unitf {unitf.__version__}" in run.stdout
    assert "unitf_image.image_patches.ImagePatches" in run.stdout
    for verb in ("fit", "validate", "test", "predict", "plugins"):
        assert f"\n  {verb} " in run.stdout


def test_the_list_names_every_broken_plugin_with_its_reason(site, capsys):
    install_broken(site)
    install_whole(site)
    assert main(["plugins", "list"]) == 0
    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if line.startswith("broken: ")]
    assert len(lines) == 12
    for name, (_, reason) in BROKEN.items():
        package = f"unitf-broken-{name.replace('_', '-')} 1.0"
        beginning = f"broken: {name} ({package}): "
        assert [line for line in lines if line.startswith(beginning) and reason in line]
    assert "lazy_plugin.heart.LazyHeart" in text


def test_the_list_as_json_says_what_each_registers(site, capsys):
    install_broken(site)
    install_whole(site)
    assert main(["plugins", "list", "--json"]) == 0
    rows = {row["name"] or row["plugin"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["LazyHeart"] == {
        "name": "LazyHeart",
        "kind": "tokenizers",
        "class_path": "lazy_plugin.heart.LazyHeart",
        "package": "lazy-plugin",
        "version": "2.1",
        "plugin": "lazy",
        "status": "ok",
        "reason": "",
    }
    assert rows["exits"]["status"] == "broken" and "sys.exit(3)" in rows["exits"]["reason"]


def test_a_reader_that_has_seen_enough_causes_no_traceback(site):
    install_broken(site)
    command = f"{sys.executable} -m unitf plugins list --json | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert run.stdout == "[" and "Traceback" not in run.stderr


def test_training_says_in_one_line_which_plugins_are_broken(site, training, capsys):
    install_broken(site)
    assert main(["fit", "--config", "a.yaml"]) == 0
    assert training.calls == [("fit", ["--config", "a.yaml"])]
    line, end = capsys.readouterr().err.split("\n")
    assert line.startswith("unitf: warning: left out because broken: ") and end == ""
    assert all(f"unitf-broken-{name.replace('_', '-')} " in line for name in BROKEN)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_plugin_file_is_loaded_wherever_the_option_stands(tmp_path, training, capsys, place):
    file = tmp_path / f"tidal_{place}.py"
    file.write_text(
        "import unitf\n\n\nclass Tide(unitf.Tokenizer):\n    num_features = 1\n\n"
        "    def encode(self, value, train=False): ...\n"
    )
    argv = ["fit", "--config", "a.yaml"]
    assert main([*argv[:place], "--plugin", str(file), "--traceback", *argv[place:]]) == 0
    assert training.calls == [("fit", ["--config", "a.yaml"])]
    assert registry.find("tokenizers", "Tide").__module__ == f"tidal_{place}"
    assert capsys.readouterr().err == ""


def test_predict_goes_to_training_unless_it_has_a_checkpoint_and_inputs(training, monkeypatch):
    predicting = ModuleType("unitf.cli.predict")
    predicting.main = lambda argv: training.calls.append(argv) or 7
    monkeypatch.setitem(sys.modules, "unitf.cli.predict", predicting)
    assert main(["predict", "--config", "a.yaml"]) == 0
    assert main(["predict", "--checkpoint=runs/a"]) == 0  # the test samples of the run
    assert main(["predict", "--checkpoint=runs/a", "--input=b.png"]) == 7
    assert training.calls == [
        ("predict", ["--config", "a.yaml"]),
        ("predict", ["--checkpoint=runs/a"]),
        ["--checkpoint=runs/a", "--input=b.png"],
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["ftt"], "there is no verb 'ftt'; did you mean fit?"),
        (["xyz"], "there is no verb 'xyz'; expected one of fit, validate, test, predict, "),
        (["--plugin", "gone.py", "fit"], "--plugin gone.py: there is no such file"),
        (["plugins", "check", "Imagepatch"], "nothing is called 'Imagepatch'; did you mean Image"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(argv, message, capsys):
    assert main(argv) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith(f"unitf: error: {message}")
    assert output.err.count("\n") == 1


def test_traceback_shows_where_a_mistake_arose(training):
    def main_that_fails(*_):
        raise unitf.UserError("the file\n  a.yaml is empty")

    training.main = main_that_fails
    assert main(["fit"]) == 2
    with pytest.raises(unitf.UserError):
        main(["fit", "--traceback"])


def test_a_mistake_of_ours_is_a_traceback(training):
    training.main = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        main(["fit"])


def test_ctrl_c_is_status_130(training, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    training.main = interrupted
    assert main(["fit"]) == 130
    assert capsys.readouterr().err == "unitf: stopped\n"
