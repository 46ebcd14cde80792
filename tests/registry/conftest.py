"""A fresh registry for every test, over a folder into which the test installs packages."""

import gc
import sys
from functools import cache

import pytest
import toys  # noqa: F401 (it registers its classes once, and not in a test's own registry)

from unitf.registry import registry


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """An empty folder on `sys.path`; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.delenv("UNITF_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    # another registry meanwhile
    monkeypatch.setattr(registry, "_registry", cache(registry.Registry))
    yield folder
    registry._registry.cache_clear()
    gone = []
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if place is None or str(tmp_path) in place:
            gone.append(sys.modules.pop(name))
    if gone:  # else the parser of a later test finds subclasses whose modules are not there
        gone.clear()
        gc.collect()
