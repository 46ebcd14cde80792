"""The benchmarks' own arithmetic, and one pair of real processes."""

import pytest

from benchmarks.speed import loop, sizes
from benchmarks.speed.report import line, table
from benchmarks.speed.runner import FailedError, _results, measure
from benchmarks.speed.workload import Side, Workload
from benchmarks.speed.workloads import chosen, every, find


def nothing() -> Side:
    return Side(lambda: None, 1)


def made_up(**options) -> Workload:
    return Workload("made-up", "a peer", "tokens", nothing, nothing, **options)


def test_no_two_workloads_share_a_name_and_each_is_found_by_it():
    names = [workload.name for workload in every()]
    assert len(set(names)) == len(names)
    assert all(find(name).name == name for name in names)


def test_a_beginning_chooses_and_a_wrong_one_is_said():
    assert {w.name for w in chosen(["bert-train"], False)} >= {"bert-train-float32"}
    assert all(w.quick for w in chosen([], True))
    with pytest.raises(LookupError, match="there is no workload 'brt'; there are bert"):
        chosen(["brt"], False)


def test_ratios_are_taken_pair_by_pair_and_by_what_was_done():
    rounds = [
        {"unitf": [1.0, 2.0], "peer": [4.0, 4.0], "limit": [100.0, 100.0]},
        {"unitf": [2.0, 2.0], "peer": [4.0, 9.0], "limit": [100.0, 100.0]},
        {"unitf": [1.0, 1.0], "peer": [6.0, 6.0], "limit": [100.0, 100.0]},
    ]
    about, counts = {"floats": 50.0, "read": None}, {"unitf": 10, "peer": 20}
    memory = {"unitf": 2**20, "peer": 2**21}
    found = _results(made_up(limit="float32", must=1.5, aim=2.0), about, counts, rounds, memory)
    assert found["ratio"] == pytest.approx({"median": 2.0, "least": 1.0, "most": 3.0})
    assert found["per_cpu_second"] == {"unitf": 10.0, "peer": 5.0}
    assert found["share"] == pytest.approx({"median": 0.5, "least": 0.25, "most": 0.5})
    assert "2.00× (1.00 to 3.00)" in line(found)
    assert "0.50 of the limit" in line(found)
    assert "| **2.00** (1.00 to 3.00) | 1.5 / 2 |" in table([found])


def test_two_processes_are_measured_in_turn():
    found = measure(find("collate"), pairs=2, threads=1)
    assert found["ratio"]["least"] <= found["ratio"]["median"] <= found["ratio"]["most"]
    assert min(found["per_cpu_second"].values()) > 0
    assert min(found["memory"].values()) > 2**20


def test_a_side_that_cannot_run_says_why(monkeypatch):
    with pytest.raises(FailedError, match="unitf: "):
        measure(made_up(), pairs=1, threads=1)


def test_what_fit_adds_is_told_round_by_round(monkeypatch):
    told = iter([1.0, 1.5, 1.6, 2.0, 2.4, 2.9, 1.0, 1.5, 1.7])  # bare, Lightning, fit
    monkeypatch.setattr(loop, "_milliseconds", lambda side, threads: next(told))
    found = loop.measure(3, 1)
    assert found["added_ms"]["lightning"]["median"] == pytest.approx(0.5)
    assert found["added_ms"]["unitf"] == pytest.approx({"median": 0.2, "least": 0.1, "most": 0.5})
    assert "unitf adds 0.20 ms a step (0.10 to 0.50)" in loop.line(found)


def test_an_exponent_is_the_slope_of_the_upper_half():
    lengths = (16, 32, 64, 128, 256, 512)
    costs = [1000 + n for n in lengths[:3]] + [3e-6 * n**2 for n in lengths[3:]]
    assert sizes.exponent(lengths, costs) == pytest.approx(2)


def test_cost_by_size_is_measured_told_and_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(sizes, "SIZES", {"length": (32, 64), "depth": (1, 2)})
    told = {  # of the process that was asked
        (32, 4): 1.0, (64, 4): 4.0, (256, 1): 3.0, (256, 2): 6.0
    }  # fmt: skip
    monkeypatch.setattr(
        sizes,
        "_cost_of",
        lambda s, kind, threads: {
            "seconds": told[s["length"], s["depth"]],
            "memory": 2.0 * told[s["length"], s["depth"]],
        },
    )
    found = sizes.measure(1, rounds=1)
    assert found["curves"]["length"]["full"]["seconds"] == [1.0, 4.0]
    sizes.draw(found, tmp_path / "sizes.png")
    assert (tmp_path / "sizes.png").stat().st_size > 10_000
    assert len(sizes.lines(found)) == 2 + 4


def test_a_longer_sequence_costs_more_of_both():
    small, large = (
        sizes._cost_of({"length": n, "dim": 64, "depth": 1, "batch": 2}, "full", 1)
        for n in (64, 2048)
    )
    assert large["seconds"] > small["seconds"]
    assert large["memory"] > small["memory"]
