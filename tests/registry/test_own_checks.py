"""unitf's own tasks and sources, and those of the plugins in the box, keep to the contracts."""

import pytest

from unitf import registry, testing
from unitf.testing.registered import run_class_checks

NAMES = [
    (kind, entry.name)
    for kind in ("tasks", "sources")
    for entry in registry.records()
    if entry.kind == kind and entry.package == "unitf"
]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[name for _, name in NAMES])
def test_every_task_and_source_in_the_box_passes_its_checks(kind, name, monkeypatch):
    # a process of its own for each takes long: one of each kind goes there below
    for checks in ("TASK_CHECKS", "SOURCE_CHECKS"):
        kept = {k: check for k, check in getattr(testing, checks).items() if "spawned" not in k}
        monkeypatch.setattr(testing, checks, kept)
    outcomes = list(run_class_checks(kind, registry.find(kind, name)))
    assert len(outcomes) > 7
    assert not [outcome for outcome in outcomes if outcome.status == "failed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [("tasks", "SpanAnswer"), ("tasks", "Detection"), ("sources", "HubStream"),
     ("sources", "TelephoneTones")],
)  # fmt: skip
def test_what_is_read_and_encoded_travels_to_a_spawned_worker(kind, name):
    outcomes = list(run_class_checks(kind, registry.find(kind, name)))
    assert outcomes[-1] == testing.Outcome("pickles to a spawned worker", "passed")
