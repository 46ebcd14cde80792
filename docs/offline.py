"""A hook of MkDocs: the site loads nothing from the network when somebody reads it."""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

_log = logging.getLogger("mkdocs.hooks.offline")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(https?:)?//[^"'\s>]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?(https?:)?//"""
    r"""|url\(["']?(https?:)?//"""
)


def on_post_build(config: MkDocsConfig) -> None:
    """Warns of pages that load something from elsewhere; the strict build refuses them."""
    for file in sorted(Path(config.site_dir).rglob("*.html")):
        if loaded := _LOADED.search(file.read_text(encoding="utf-8")):
            _log.warning(f"{file.name}: loads from the network: {loaded[0][:120]}")
