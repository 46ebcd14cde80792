"""Words that the house no longer uses: their old meanings were clear only to whoever wrote them."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = [
    path
    for folder in ("unitf", "plugins", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "template" not in path.parts
]
TEXTS = [
    *CODE,
    *sorted((ROOT / "configs").rglob("*.yaml")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "unitf").rglob("*.html")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
ALLOWED = {ROOT / "unitf/checkpoints/moved.py"}  # the table of the old names and the new ones

CLASSES = """
Places Given Looks Attended Watch Kept Scope Pattern Filling Continuing KeptMemory Stack Levels
Trial Line Change View Encoding Draw Order Lanes Samples Start
"""
FUNCTIONS = """
place places give reads align examine score writes takes arrange instead meter told one_by_one
slots scoreboard peers refusal settle adopt
"""
PATTERNS = [
    r"unitf\.peers",
    r"cannot be said",
    r"[;(] ?near: ",
    r"\bscoreboard\b",
    r"\bhidden_dropout: ",
    r"norm_position: *(branch|both)\b",
    r"relative_positions: *(buckets|grid|mixed)\b",
    r"\bpositions: *(sinusoidal|learned|fixed|additive|rotary|alibi)\b",
    r"core\.checkpoint\b",
    r"[{,] *place: ",
    r"class_path: Levels\b",
    r"\b(KeptMemory|one_by_one)\b",
    r"\bTokenizer\.places?\b",
]


def definitions(path: Path) -> Iterator[tuple[str, int, bool]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, node.lineno, isinstance(node, ast.ClassDef)


def test_no_class_or_function_has_an_old_name():
    classes, functions = set(CLASSES.split()), set(FUNCTIONS.split())
    old = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in CODE
        if "benchmarks" not in path.parts
        for name, line, is_class in definitions(path)
        if name.strip("_") in (classes if is_class else functions)
    ]
    assert not old


def test_no_text_has_an_old_word():
    old = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in TEXTS
        if path not in ALLOWED
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for pattern in PATTERNS
        if (found := re.search(pattern, line))
    ]
    assert not old


def test_a_class_or_file_name_stands_once():
    paths = [path for path in CODE if "benchmarks" not in path.parts]
    classes = Counter(name for path in paths for name, _, is_class in definitions(path) if is_class)
    files = Counter(path.name for path in paths if not path.name.startswith("__"))
    assert [name for name, count in (classes + files).items() if count > 1] == []
