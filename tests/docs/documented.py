"""The code blocks of README.md and of the documentation, as they stand there."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from folders import ROOT

PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
RUN = {"sh", "bash", "python", "yaml"}
SHOWN = {"text", "toml", "json"}  # what a command prints, or a file that nothing here reads
_FENCE = re.compile(r"^ {0,3}(`{3,})([^`]*)$")
_MARKER = re.compile(r"^<!-- test: (.*) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and what the marker before it says.

    Args:
        marker: "" or what stands in `<!-- test: … -->` on the line before the fence.
    """

    page: Path
    line: int
    language: str
    text: str
    marker: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def skipped(self) -> str:
        """Why it is not run; "" where it is."""
        verb, _, reason = self.marker.partition(", ")
        return reason if verb == "skip" else ""

    @property
    def base(self) -> str:
        """The recipe over which a fragment of YAML is read; "" where none is named."""
        verb, _, recipe = self.marker.partition(" ")
        return recipe if verb == "over" else ""

    @property
    def file(self) -> str:
        """The name of the file that the block shows, from a first line like `# mine.py`."""
        named = re.match(r"# ([\w-]+\.(?:py|yaml))(?:$|[ :,(])", self.text.split("\n", 1)[0])
        return named[1] if named else ""


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page, in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if opened is None:
            continue
        begin = number
        while not re.fullmatch(rf" {{0,3}}{opened[1]}`*\s*", lines[number]):
            number += 1
        before = _MARKER.match(lines[begin - 2]) if begin > 1 else None
        text = "\n".join(lines[begin:number])
        yield Block(page, begin, opened[2].strip(), text, before[1] if before else "")
        number += 1


def markers_of(page: Path) -> list[str]:
    """The lines of a page, outside its blocks, that look like markers, well formed or not."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    return re.findall(r"^ *<!--\s*test.*", text, re.MULTILINE)


def commands_of(text: str) -> list[str]:
    """The commands of a shell block: continued lines joined, comments and empty lines left out."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
