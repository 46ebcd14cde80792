"""A folder into which a test installs packages, and models of what they bring."""

import gc
import sys
from functools import cache, partial

import pytest
import torch

from unitf import Learner, TransformerConfig, registry
from unitf.tasks import Classification


@pytest.fixture
def fresh_registry(monkeypatch):
    """Another registry meanwhile: the classes of toys.py stay in the usual one."""
    monkeypatch.setattr(registry.registry, "_registry", cache(registry.Registry))


@pytest.fixture
def site(tmp_path, monkeypatch, fresh_registry):
    """An empty folder on `sys.path`, over a fresh registry."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.delenv("UNITF_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    forget(before, tmp_path)
    yield folder
    forget(before, tmp_path)


def forget(before, tmp_path):
    """As if a new process began: what was imported from the test's folders is forgotten."""
    registry.registry._registry.cache_clear()
    gone = []
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            gone.append(sys.modules.pop(name))
    if gone:  # else the parser of a later test finds subclasses whose modules are not there
        gone.clear()
        gc.collect()


@pytest.fixture
def restart(tmp_path, fresh_registry):
    before = set(sys.modules)
    return lambda: forget(before, tmp_path)


@pytest.fixture
def save(tmp_path):
    """Writes a model of one tokenizer, and gives what it says of VALUE."""

    def save(cls, **options):
        torch.manual_seed(0)
        learner = Learner(
            core=TransformerConfig(dim=16, depth=1, num_heads=2),
            tokenizers={"x": partial(cls, **options)},
            tasks={"t": Classification(["x"], "t", classes=["a", "b"])},
        )
        learner.build_components()
        learner.eval()
        checkpoint = {"state_dict": learner.state_dict()}
        learner.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, tmp_path / "model.ckpt")
        return learner.predict([{"x": VALUE}])

    return save


VALUE = [float(number) for number in range(8)]
