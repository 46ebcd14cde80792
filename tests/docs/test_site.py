"""The documentation site: complete, and strict about links, anchors and docstrings."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from documented import PAGES
from folders import ROOT

pytest.importorskip("mkdocs")
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

LINK = re.compile(r"\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]+))?\)")


def hook(name: str):
    """A hook of docs/, imported as MkDocs does."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = hook("reference")


@pytest.mark.parametrize("package", REFERENCE.PUBLIC)
def test_every_public_name_stands_in_the_reference(package):
    names = REFERENCE.public_names(package)
    page = REFERENCE.package_page(package, {})
    listed = re.findall(r"^::: (\S+)$", page, re.MULTILINE)
    assert listed == [REFERENCE.home(package, name) for name in names]
    assert len(set(names)) == len(names) > 0


def test_every_public_name_has_a_docstring():
    assert list(REFERENCE.undocumented()) == []


def test_a_public_name_without_a_docstring_is_found(monkeypatch, tmp_path):
    (tmp_path / "undocumented_package.py").write_text(
        '"""A package."""\n'
        "from dataclasses import dataclass\n"
        '__all__ = ["Silent", "Half", "nothing", "NUMBER", "said"]\n'
        "@dataclass\nclass Silent:\n    size: int = 0\n"
        'class Half:\n    """Half said."""\n    def part(self):\n        return 1\n'
        "def nothing():\n    return 2\n"
        "NUMBER = 3\n"
        'said = 4\n"""This one is said."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(REFERENCE, "PUBLIC", ("undocumented_package",))
    monkeypatch.setattr(REFERENCE, "OURS", "undocumented_package")
    faults = [line.split(" ")[0].partition(".")[2] for line in REFERENCE.undocumented()]
    assert faults == ["Silent", "Half.part", "nothing", "NUMBER"]
    del sys.modules["undocumented_package"]


COMMANDS = (
    "python3 -m venv .venv && . .venv/bin/activate && pip install -e . "
    "&& unitf fit --config configs/quickstart.yaml",
    "python3 -m venv .venv && . .venv/bin/activate && pip install -e '.[dev]' && pytest -n auto",
)


def test_the_readme_is_short_and_keeps_its_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 110
    assert set(COMMANDS) <= set(lines)


def test_the_table_of_recipes_names_every_recipe():
    table = re.findall(r"^\| (.*)", (ROOT / "docs" / "recipes.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", "\n".join(table)))
    assert {recipe.stem for recipe in (ROOT / "configs").glob("*.yaml")} <= named


def test_the_command_line_reference_has_every_verb():
    from unitf import cli

    page = REFERENCE.command_line()
    for verb in {**cli.TRAINING, **cli.OTHERS, **cli.EXCHANGE}:
        assert f"\n## unitf {verb}\n" in page
    assert page.count("usage: unitf") >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_also_in_a_clone(page):
    for path, heading in LINK.findall(page.read_text()):
        if "reference/" in path:  # made by the site
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {path}"
        if heading:
            assert heading in headings(file), f"{page.name}: {path}#{heading}"


def headings(file: Path) -> set[str]:
    """The anchors of a page."""
    found = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in found]
    return {re.sub(r"[\s-]+", "-", heading) for heading in words}


@pytest.fixture
def small_site(tmp_path):
    """Builds a site of one page as strictly as the real one; gives back whether it was built."""

    def build_page(text: str) -> bool:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "page.md").write_text(text)
        (tmp_path / "docs" / "other.md").write_text("# Other\n\n## A heading\n")
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "a.yaml").write_text("model: {}\n")
        for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY"):
            (tmp_path / f"{name}.md").write_text(f"# {name}\n\nSee [a page](docs/page.md).\n")
        real = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
        hooks = [str(ROOT / "docs" / "repository.py"), str(ROOT / "docs" / "offline.py")]
        settings = {
            "site_name": "small", "theme": {"name": "mkdocs", "highlightjs": False},
            "plugins": [], "hooks": hooks,
            "use_directory_urls": False, "validation": real["validation"],
        }  # fmt: skip
        (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(settings))
        config = load_config(str(tmp_path / "mkdocs.yml"), strict=True)
        try:
            build(config)
        except Abort:
            return False
        return True

    return build_page


def test_a_page_may_link_to_pages_headings_and_files_of_the_repository(small_site, tmp_path):
    assert small_site(
        "# Page\n[b](other.md) [c](other.md#a-heading) [d](../configs/a.yaml) [e](../README.md)\n"
    )
    assert (tmp_path / "site" / "repository" / "configs" / "a.yaml").is_file()
    assert 'href="repository/configs/a.yaml"' in (tmp_path / "site" / "page.html").read_text()
    assert 'href="page.html"' in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize(
    "fault",
    [
        "[gone](gone.md)",
        "[gone](other.md#gone)",
        "[gone](#gone)",
        "[gone](../configs/gone.yaml)",
        "![gone](gone.png)",
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="https://cdn.example/x.png">',
    ],
)
def test_a_broken_link_or_something_from_the_network_fails_the_build(small_site, fault):
    assert not small_site(f"# Page\n\n{fault}\n")


def test_inherited_arguments_are_described_where_a_reader_sees_them():
    inherited = hook("inherited_arguments").inherited_arguments
    from unitf.tasks import Classification, Regression

    assert {"inputs", "target", "classes", "pooling", "dropout", "head"} <= set(
        inherited(Classification)
    )
    assert inherited(Regression)["inputs"].startswith("the columns that the task reads")


def test_the_reference_hides_what_lightning_calls_and_links_each_name():
    from unitf import Learner

    hidden = REFERENCE.foreign_members(Learner)
    assert {"training_step", "configure_optimizers", "on_train_start"} <= set(hidden)
    assert "of" not in hidden
    assert "[`Task`](unitf.md#unitf.tasks.task.Task)" in REFERENCE._list_of_packages()


def test_a_link_that_is_called_by_its_file_gets_the_title_of_the_page():
    titled = hook("repository")
    text = "see [docs/performance.md](docs/performance.md), or [this](docs/performance.md)"
    said = titled._FILE_NAME.sub(lambda link: titled._titled(ROOT / "README.md", link), text)
    assert said == "see [Performance](docs/performance.md), or [this](docs/performance.md)"


def test_the_helper_of_the_search_is_loaded_from_the_site():
    offline = hook("offline")
    page = '<script src="https://some.where/iframe-worker/shim"></script>'
    assert (
        offline.on_post_template(page, "404.html", None)
        == '<script src="/iframe_worker.js"></script>'
    )
    assert (ROOT / "docs" / "iframe_worker.js").is_file()
