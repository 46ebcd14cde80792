"""Small pieces of HTML: every text that comes from data is escaped here."""

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from unitf.checkpoints.atomic import write_text

Html = str  # a text that is HTML already, other than one of data


def words(value: object) -> Html:
    """Returns any value as a text that a browser shows as it is."""
    return escape(str(value), quote=True)


def breakable(text: str) -> Html:
    """Returns a text of data whose lines may also break after an underscore."""
    return words(text).replace("_", "_<wbr>")


def element(name: str, content: Html = "", **attributes: object) -> Html:
    """Returns an element; attributes are escaped, `class_` is the class, None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{words(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>" if name in ("img", "br") else f"<{name}{given}>{content}</{name}>"


def paragraph(text: str, **attributes: object) -> Html:
    """Returns a paragraph of a text of data."""
    return element("p", words(text), **attributes)


def section(title: str, *parts: Html, id: str | None = None) -> Html:
    """Returns a part of a page under a heading; nothing if it has no content."""
    content = "".join(parts)
    return element("section", element("h2", words(title)) + content, id=id) if content else ""


def table(
    headings: Sequence[object],
    rows: Iterable[Sequence[Html]],
    num_words: int = 1,
    **attributes: object,
) -> Html:
    """Returns a table that scrolls alone where it is wider than the page.

    Args:
        headings: the texts of the first row.
        rows: the cells, as HTML.
        num_words: how many of the first columns hold words; the others hold numbers.
    """
    head = "".join(
        element("th", words(text), class_=None if number < num_words else "number", scope="col")
        for number, text in enumerate(headings)
    )
    body = "".join(
        element("tr", "".join(_cell(cell, number, num_words) for number, cell in enumerate(row)))
        for row in rows
    )
    whole = element("thead", element("tr", head)) + element("tbody", body)
    return element("div", element("table", whole, **attributes), class_="wide")


def _cell(cell: Html, number: int, num_words: int) -> Html:
    if number == 0 and num_words:
        return element("th", cell, scope="row")
    return element("td", cell, class_=None if number < num_words else "number")


def folded(title: str, content: Html) -> Html:
    """Returns what is shown after a click on its title."""
    return element("details", element("summary", words(title)) + content)


def code(text: str) -> Html:
    """Returns a text in letters of one width; a click selects all of it."""
    return element("pre", element("code", words(text)))


def number(value: float | int) -> str:
    """Returns a number with about four digits; a whole number has no others."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    size = abs(value)
    if 0 < size < 0.001:
        return f"{value:.2g}"
    return f"{value:,.{4 if size <= 1 else max(0, 3 - int(math.log10(size)))}f}"


def write_html(path: Path, title: str, body: Html) -> Path:
    """Writes a page that needs nothing else, neither other files nor a network.

    Returns:
        `path`.
    """
    template = files("unitf.analysis.report").joinpath("report.html").read_text(encoding="utf-8")
    parts = {"{{title}}": words(title), "{{body}}": body}
    # both at once: a text of data may itself contain "{{body}}"
    filled = re.sub("|".join(map(re.escape, parts)), lambda match: parts[match[0]], template)
    write_text(path, filled)
    return path
