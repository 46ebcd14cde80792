"""What a wheel carries besides code, and what stands beside the code in the repository."""

import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from folders import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree, built without network."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    built = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    [file] = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_carries_the_licence_and_says_that_its_packages_are_typed(wheel):
    names = wheel.namelist()
    packages = {name.split("/")[0] for name in names if name.endswith("/__init__.py")}
    assert {"unitf", "unitf_text"} <= packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    [licence] = [name for name in names if name.endswith("licenses/LICENSE")]
    assert wheel.read(licence).decode() == (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()


def test_the_version_and_the_licence_are_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_workflow_and_the_hooks_run_what_a_landing_runs():
    landing = (ROOT / ".ci" / "run").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["run"]["steps"][-1] == {"run": ".ci/run"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["entry"].split()[0] in landing
