"""The rooms of the house: each contract of import-linter fails where it is broken."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from folders import ROOT

PACKAGES = ("unitf", *(path.name for path in (ROOT / "plugins").glob("unitf_*")))


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of all packages and of the contracts, in which walls may be broken."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        source = ROOT / ("" if package == "unitf" else "plugins") / package
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def broken_contracts(house: Path) -> set[str]:
    """The names of the contracts that do not hold."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    shown = subprocess.run(
        [*command, "--no-cache"], cwd=house, capture_output=True, text=True, timeout=300
    )
    assert "Contracts:" in shown.stdout, shown.stdout + shown.stderr
    return set(re.findall(r"^(.+) BROKEN", shown.stdout, re.MULTILINE))


def test_no_contract_is_broken(house):
    assert broken_contracts(house) == set()


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("unitf/core/norms.py", "from unitf.core import block", "No room has a circle inside"),
        (
            "unitf/tokens.py",
            "def late():\n    from unitf import model\n    return model",
            "Lower rooms never import higher ones",
        ),
        (
            "unitf/inference.py",
            "def late():\n    import lightning\n    return lightning",
            "Nothing below training imports Lightning",
        ),
        (
            "unitf/data/encoder.py",
            "import torchmetrics",
            "Only metrics import torchmetrics",
        ),
        (
            "unitf_image/__init__.py",
            "from unitf.tokenizer.canvas import Canvas",
            "Plugins import public names alone",
        ),
        ("unitf_image/__init__.py", "import unitf_text", "Plugins are strangers to each other"),
        ("unitf/nn/projection.py", "import timm", "The framework knows no modality"),
    ],
)
def test_a_broken_wall_is_seen(house, file, line, contract):
    path = house / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n\n{line}\n", encoding="utf-8")
    try:
        assert contract in broken_contracts(house)
    finally:
        path.write_text(text, encoding="utf-8")


def test_a_new_room_has_to_be_given_its_floor(house):
    path = house / "unitf" / "attic.py"
    path.write_text('"""A room without a floor."""\n', encoding="utf-8")
    try:
        assert "Lower rooms never import higher ones" in broken_contracts(house)
    finally:
        path.unlink()
