"""Samples that are drawn for validation and test: by a hash, and within each class."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from parts import Listed

from unitf.data.fold import Fold
from unitf.data.held_out import held_out
from unitf.data.source_samples import SourceSamples
from unitf.data.sources.time_series import TimeSeries
from unitf.data.sources.window_samples import WindowSamples
from unitf.errors import UserError

TENTHS = {"validation": 0.1, "test": 0.1}


def rows(count: int, classes: str = "ab", first: int = 0) -> list[dict[str, str]]:
    return [
        {"text": f"text {number}", "label": classes[number % len(classes)]}
        for number in range(first, first + count)
    ]


def texts(samples, indices) -> set[str]:
    return {samples[index]["text"] for index in indices}


def test_every_sample_is_in_one_split():
    drawn = held_out(rows(101), TENTHS, ["label"])
    assert sorted(np.concatenate(list(drawn.values())).tolist()) == list(range(101))
    assert len(drawn["validation"]) == len(drawn["test"]) == 10


@pytest.mark.parametrize("classes", ["ab", "aaaaaaab", "abcdefghij"])
def test_each_class_is_drawn_by_its_share(classes):
    samples = rows(400, classes)
    drawn = held_out(samples, TENTHS, ["label"])
    counts = Counter(row["label"] for row in samples)
    for split in TENTHS:
        found = Counter(samples[index]["label"] for index in drawn[split])
        assert all(abs(found[label] - count / 10) <= 1 for label, count in counts.items())


def test_the_order_of_the_samples_does_not_count():
    samples = rows(200)
    again = samples[::-1]
    first, second = (held_out(each, TENTHS, ["label"]) for each in (samples, again))
    for split in TENTHS:
        assert texts(samples, first[split]) == texts(again, second[split])


def test_more_samples_move_few_others():
    fewer, more = rows(400), rows(440)
    before, after = (held_out(each, TENTHS, ["label"]) for each in (fewer, more))
    trained = texts(fewer, before["train"])
    assert len(trained & texts(more, after["test"])) <= 8


def test_equal_samples_stay_together():
    samples = [{"text": f"text {number // 7}"} for number in range(210)]
    drawn = held_out(samples, TENTHS)
    parts = [texts(samples, indices) for indices in drawn.values()]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_the_folder_of_the_data_does_not_count(tmp_path):
    def files(root):
        return [{"image": f"{root}/{number}.png"} for number in range(50)]

    here, there = tmp_path / "here", tmp_path / "there"
    assert all(
        np.array_equal(one, other)
        for one, other in zip(
            held_out(files(here), TENTHS, root=here).values(),
            held_out(files(there), TENTHS, root=there).values(),
            strict=True,
        )
    )


def counts(source, held_out=None, tmp_path="."):
    samples = SourceSamples({"made": source}, tmp_path, held_out)
    return {s: len(samples.of(s, "made")) for s in ("train", "validation", "test")}


def test_a_source_with_neither_split_has_both_drawn_and_says_so(tmp_path, caplog):
    found = counts(Listed(train=rows(50)), tmp_path=tmp_path)
    assert found == {"train": 40, "validation": 5, "test": 5}
    assert "5 samples for validation and 5 samples for test are drawn" in caplog.text


def test_beside_a_test_only_validation_is_drawn(tmp_path):
    found = counts(Listed(train=rows(50), test=rows(9)), 0.2, tmp_path)
    assert found == {"train": 40, "validation": 10, "test": 9}


def test_a_source_with_validation_is_left_as_it_is(tmp_path, caplog):
    found = counts(Listed(train=rows(50), validation=rows(3)), tmp_path=tmp_path)
    assert found == {"train": 50, "validation": 3, "test": 0} and not caplog.text


def test_nothing_is_drawn_where_nothing_is_asked_for(tmp_path):
    assert counts(Listed(train=rows(50)), 0.0, tmp_path)["train"] == 50


def test_where_one_source_has_validation_nothing_is_drawn_from_the_others(tmp_path):
    sources = {
        "one": Listed(train=rows(50), validation=rows(5)),
        "other": Listed(train=rows(50)),
    }
    samples = SourceSamples(sources, tmp_path, None)
    assert len(samples.of("train", "other")) == 50 and not samples.of("validation", "other")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_folds_hold_out_each_sample_once_and_each_class_by_its_share(count):
    samples = rows(200, "aaab")
    parts = [Fold(n, count).parts(samples, ["label"], Path(), "") for n in range(1, count + 1)]
    held = [part["validation"].tolist() for part in parts]
    assert sorted(index for part in held for index in part) == list(range(200))
    for part in parts:
        assert sorted([*part["train"], *part["validation"]]) == list(range(200))
        rare = sum(samples[index]["label"] == "b" for index in part["validation"])
        assert abs(rare - 50 / count) < 2


def test_a_fold_does_not_part_a_group():
    samples = [{"text": f"text {n}", "speaker": f"s{n % 9}"} for n in range(90)]
    parts = [Fold(n, 3, "speaker").parts(samples, [], Path(), "") for n in (1, 2, 3)]
    held = [{samples[index]["speaker"] for index in part["validation"]} for part in parts]
    assert sorted(map(len, held)) == [3, 3, 3] and len(set.union(*held)) == 9
    with pytest.raises(UserError, match="no 'speker'; did you mean speaker"):
        Fold(1, 3, "speker").parts(samples, [], Path(), "source made")
    with pytest.raises(UserError, match="part 2 of 20 has 0 of 90 samples"):
        Fold(2, 20, "speaker").parts(samples, [], Path(), "source made")


def test_training_windows_share_no_row_with_those_held_out():
    series = TimeSeries("", ["one"], np.zeros((100, 1)), None)
    windows = WindowSamples([series], [range(91)], 6, 4, (0, 0))
    part = Fold(2, 3).parts(windows, [], Path(), "")
    rows_of = [{r for i in part[s].tolist() for r in range(*windows.extent(i))} for s in part]
    assert part["validation"].tolist() == list(range(30, 61)) and not set.intersection(*rows_of)
    assert set(part["train"]) == {*range(21), *range(70, 91)}


def test_a_fold_replaces_what_is_drawn_and_what_a_source_has(tmp_path, caplog):
    splits = {"train": rows(50), "validation": rows(9, first=90)}
    samples = SourceSamples({"made": Listed(**splits)}, tmp_path, None, Fold(1, 5))
    counts = {split: len(samples.of(split, "made")) for split in samples.splits()}
    assert counts == {"train": 40, "validation": 10, "test": 0}
    assert len(samples.of_all_folds("made")) == 50
    assert "its 9 validation samples are left out" in caplog.text
