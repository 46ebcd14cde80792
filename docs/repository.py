"""A hook of MkDocs: pages may link to files of the repository that lie outside `docs/`.

README.md and its neighbours become pages of the site. Any other file that a page links to is
copied into the site. A link to a file that is not there stays as it is, and the strict build
refuses it.
"""

import os
import re
from functools import partial
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {  # file of the repository → page of the site
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
_FILE_NAME = re.compile(r"\[`?[\w./-]+\.md`?\]\((?P<target>[\w./-]+\.md)(?P<anchor>#[\w-]+)?\)")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie beside `docs/`."""
    for source, page in PAGES.items():
        text = (_root(config) / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the repository into links to their copies in the site."""
    root = _root(config)
    sources = {page: source for source, page in PAGES.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = PurePosixPath(page.file.src_uri).parent

    def in_site(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(root / Path(source).parent / link[1]))
        if not target.is_file() or not target.is_relative_to(root):
            return link[1]
        path = target.relative_to(root).as_posix()
        if path in PAGES:
            path = PAGES[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif files.get_file_from_path(path := f"repository/{path}") is None:
            files.append(File.generated(config, path, abs_src_path=str(target)))
        return Path(os.path.relpath(path, folder)).as_posix()

    return _LINK.sub(in_site, _FILE_NAME.sub(partial(_titled, root / source), markdown))


def _titled(source: Path, link: re.Match[str]) -> str:
    """A link whose text is the name of a page, with the page's title as its text."""
    target = source.parent / link["target"]
    if target.is_file() and (title := _TITLE.search(target.read_text(encoding="utf-8"))):
        return f"[{title[1]}]({link['target']}{link['anchor'] or ''})"
    return link[0]


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent
