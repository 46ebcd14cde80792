"""The pages about plugins name every hook, and their examples keep to the contracts."""

import re
from pathlib import Path

import pytest

from unitf import registry, testing
from unitf.registry.kinds import HOOKS, KINDS
from unitf.testing.registered import run_class_checks

DOCS = Path(__file__).parents[2] / "docs"


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_names_every_hook_with_its_place_in_a_recipe():
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    rows = {hook: re.findall(rf"^\| `{hook}` \| (.*)$", text, re.MULTILINE) for hook in HOOKS}
    assert {hook for hook, found in rows.items() if len(found) != 1} == set()
    for kind, row in KINDS.items():
        assert row.recipe_key.removesuffix(".*") in rows[f"register_{kind}"][0]


@pytest.mark.parametrize(
    ("page", "kind", "name"),
    [
        ("plugins-tokenizers.md", "tokenizers", "Electrocardiogram"),
        ("plugins-tasks.md", "tasks", "Count"),
        ("plugins-sources.md", "sources", "Recordings"),
        ("plugins-tasks.md", "tasks", "Ranks"),
        ("plugins-sources.md", "sources", "Squares"),
        ("plugins-sources.md", "sources", "Notes"),
        ("plugins.md", "callbacks", "Announce"),
        ("plugins.md", "loggers", "JsonLines"),
        ("plugins.md", "optimizers", "SignDescent"),
        ("plugins.md", "schedules", "Linear"),
        ("plugins.md", "augmentations", "Negative"),
        ("plugins.md", "commands", "hello"),
    ],
)
def test_an_example_is_a_plugin_as_it_stands(page, kind, name, tmp_path, monkeypatch):
    [block] = [text for text in blocks_of(page) if f"class {name.capitalize()}" in text
               or f"class {name}" in text]  # fmt: skip
    file = tmp_path / f"{page.partition('.')[0].replace('-', '_')}_{name.lower()}.py"
    file.write_text(block)
    registry.load_file(file)
    cls = registry.find(kind, name)
    for checks in ("CHECKS", "TASK_CHECKS", "SOURCE_CHECKS"):
        kept = {k: check for k, check in getattr(testing, checks).items() if "spawned" not in k}
        monkeypatch.setattr(testing, checks, kept)
    if kind in ("tasks", "sources"):
        outcomes = list(run_class_checks(kind, cls))
        assert len(outcomes) > 7
        assert not [outcome for outcome in outcomes if outcome.status == "failed"]
