"""Scoreboard: the figures of a split by one name each."""

from unitf.scoreboard import flat_figures


def test_a_task_that_had_nothing_to_predict_adds_no_loss():
    figures = {"span": {"all": {"f1": 50.0}}, "label": {"all": {"loss": 2.0}}}
    flat = flat_figures("validation", figures, {"span": 1.0, "label": 0.5})
    assert flat == {
        "validation/loss": 1.0,
        "validation/span/f1": 50.0,
        "validation/label/loss": 2.0,
    }
    assert flat_figures("test", {"span": figures["span"]}, {"span": 1.0})["test/loss"] == 0.0
