"""A fresh registry for every test, over a folder into which the test installs packages."""

import sys

import pytest

from unitf import registry


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """An empty folder on `sys.path`; what was imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.delenv("UNITF_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    registry.registry._registry.cache_clear()
    yield folder
    registry.registry._registry.cache_clear()
    for name in set(sys.modules) - before:
        place = getattr(sys.modules[name], "__file__", None)
        if place is None or str(tmp_path) in place:
            del sys.modules[name]
