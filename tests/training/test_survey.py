"""What would end a run after its training is found before its first step."""

import logging

import pytest
from parts import Listed, data, samples

from unitf import SampleError, UserError
from unitf.tasks import Classification
from unitf.training.survey import check_monitors, survey_targets

NEW = {"numbers": [1.0, 2.0], "label": "new"}


def labelled(count, *more):
    rows = [{**sample, "label": "ab"[number % 2]} for number, sample in enumerate(samples(count))]
    return [*rows, *more]


def prepared(**splits):
    task = Classification(["numbers"], "label")
    task.fit(labelled(4))
    module = data(Listed(**splits))
    module.connect(module._connected[0], {"class": task})
    return module, {"class": task}


def test_a_class_that_only_the_test_has_is_said_and_costs_no_other_sample(caplog):
    spaced = {"numbers": [1.0], "label": " a"}
    module, tasks = prepared(train=labelled(6, spaced), test=labelled(4, NEW, NEW))
    with caplog.at_level(logging.WARNING):
        survey_targets(module, tasks)
    first, second = (r.getMessage() for r in caplog.records if r.name == "unitf.training.survey")
    assert "test: 2 samples have a target that training does not know" in first
    assert "out of scope" in first and "unknown class 'new'" in first and "(2)" in first
    assert second == "white space makes no other class: ' a' is 'a'"
    (loader,) = module.test_dataloader()
    batches = list(loader)
    assert sum(batch.num_samples for batch in batches) == 6
    assert not module.skipped


def test_a_class_that_only_validation_has_ends_the_run_before_it_begins():
    module, tasks = prepared(train=labelled(6), validation=labelled(4, NEW))
    with pytest.raises(SampleError, match=r"^made/validation\[4\]: .*unknown class 'new'"):
        survey_targets(module, tasks)


def test_nothing_is_said_of_targets_that_are_known(caplog):
    module, tasks = prepared(train=labelled(6), validation=labelled(4), test=labelled(4))
    survey_targets(module, tasks)
    assert not [record for record in caplog.records if record.name == "unitf.training.survey"]


def test_a_metric_that_nothing_logs_is_refused():
    tasks = {"class": Classification(["numbers"], "label", ["a", "b"])}
    for monitor in ("validation/loss", "validation/class/accuracy", "train/loss", "mine"):
        check_monitors({"EarlyStopping": monitor}, tasks)
    for monitor in ("validation/class/acuracy", "validation/clas/accuracy"):
        with pytest.raises(UserError, match="did you mean validation/class/accuracy"):
            check_monitors({"EarlyStopping": monitor}, tasks)


def test_a_target_of_training_that_cannot_be_used_ends_the_run_before_it_begins():
    module, tasks = prepared(train=labelled(6, NEW))
    with pytest.raises(SampleError, match=r"^made/train\[6\]: .*unknown class 'new'"):
        survey_targets(module, tasks)


def test_a_look_that_takes_too_long_ends_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr("unitf.training.survey.SECONDS", 0.0)
    module, tasks = prepared(train=labelled(6, NEW))
    with caplog.at_level(logging.WARNING):
        survey_targets(module, tasks)
    assert "train: only 0 targets were looked at in advance" in caplog.text
