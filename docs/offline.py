"""A hook of MkDocs: the site loads nothing from the network when somebody reads it."""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

_log = logging.getLogger("mkdocs.hooks.offline")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(https?:)?//[^"'\s>]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?(https?:)?//"""
    r"""|url\(["']?(https?:)?//"""
)


_SHIM = re.compile(r"https://[\w.-]+/iframe-worker/shim")  # search without a server
_OUR_SHIM = "iframe_worker.js"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Loads the helper of the search from the site itself."""
    return _SHIM.sub(get_relative_url(_OUR_SHIM, page.url), output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Does the same in the page for an address that is not there."""
    return _SHIM.sub(f"/{_OUR_SHIM}", output_content)


def on_post_build(config: MkDocsConfig) -> None:
    """Warns of pages that load something from elsewhere; the strict build refuses them."""
    for file in sorted(Path(config.site_dir).rglob("*.html")):
        if loaded := _LOADED.search(file.read_text(encoding="utf-8")):
            _log.warning(f"{file.name}: loads from the network: {loaded[0][:120]}")
