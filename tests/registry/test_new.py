"""`unitf plugins new` writes a package that is installable, tested and trainable as it stands."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from broken import install

from unitf import registry, testing
from unitf.cli import main


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The package of a modality `tide_gauge`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "tide_gauge"]) == 0
    return tmp_path / "unitf-tide_gauge"


@pytest.mark.slow
def test_the_tests_of_the_new_package_pass_as_generated(written):
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    run = subprocess.run(
        command, cwd=written, env={"PYTHONPATH": str(written)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    assert "8 passed" in run.stdout


def test_the_new_package_is_found_by_its_entry_point_and_passes_its_checks(
    written, site, monkeypatch, capsys
):
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["name"] == "unitf-tide_gauge" and project["dependencies"] == ["unitf"]
    text = (written / "unitf_tide_gauge" / "__init__.py").read_text()
    assert "\nimport unitf\n" in text and "unitf.registry" not in text
    points = "\n".join(f"{k} = {v}" for k, v in project["entry-points"]["unitf"].items())
    install(site, project["name"], {}, points, version=project["version"])
    monkeypatch.syspath_prepend(written)
    kept = {name: check for name, check in testing.CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr(testing, "CHECKS", kept)
    assert registry.broken_summary() is None
    assert main(["plugins", "check", "tide_gauge"]) == 0
    assert "TideGaugeExamples" in capsys.readouterr().out


def test_the_recipe_names_what_the_package_registers(written, site, monkeypatch):
    install(site, "unitf-tide", {}, "tide = unitf_tide_gauge")
    monkeypatch.syspath_prepend(written)
    recipe = yaml.safe_load((written / "train.yaml").read_text())
    source = recipe["data"]["sources"]["toy"]
    tokenizer = recipe["model"]["tokenizers"]["tide_gauge"]
    task = recipe["model"]["tasks"]["rhythm"]["Classification"]
    sample = registry.find("sources", source)(size=1).read("train", Path())[0]
    assert set(sample) == {*task["inputs"], task["target"]}
    registry.find("tokenizers", tokenizer)(8).encode(sample[task["inputs"][0]])


def test_no_placeholder_is_left(written):
    files = [path for path in written.rglob("*") if path.is_file()]
    assert len(files) == 7
    assert not [path for path in files if "$" in path.read_text()]


@pytest.mark.parametrize("name", ["Ecg", "two-words", "2d", "none", "label", "é", "", "a b"])
def test_a_name_that_python_cannot_take_is_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", name]) == 2
    assert "expected a lower-case name such as ecg" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.name != "site"]


def test_the_name_of_an_installed_package_is_refused(tmp_path, capsys):
    assert main(["plugins", "new", "image", "--out", str(tmp_path / "image")]) == 2
    assert "a package unitf_image is installed" in capsys.readouterr().err


def test_nothing_is_written_over(written, capsys):
    (written / "train.yaml").write_text("mine")
    assert main(["plugins", "new", "tide_gauge"]) == 2
    assert "unitf-tide_gauge exists already" in capsys.readouterr().err
    assert (written / "train.yaml").read_text() == "mine"


def test_the_folder_may_be_chosen(tmp_path):
    folder = tmp_path / "a" / "b"
    assert main(["plugins", "new", "tide", "--out", str(folder)]) == 0
    assert (folder / "unitf_tide" / "tokenizer.py").is_file()
