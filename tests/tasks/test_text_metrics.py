"""Figures of whole texts are those of the libraries, over all batches of a split."""

import pytest
import sacrebleu

from unitf import UserError
from unitf.tasks import SequenceToSequence
from unitf.tasks.metrics.text_metrics import text_metrics

WRITTEN = ["The cat sat on the mat .", "a dog", "", "Two men are playing football in a park."]
EXPECTED = ["The cat sat on a mat .", "A dog", "nothing", "Two men play football in the park."]


def test_figures_of_batches_are_those_of_the_whole():
    figures = text_metrics(["bleu", "chrf", "wer", "cer", "exact_match", "f1"])
    for metric in figures.values():
        for part in (slice(0, 1), slice(1, 4)):
            metric.update(WRITTEN[part], EXPECTED[part])
    found = {name: float(metric.compute()) for name, metric in figures.items()}
    bleu, chrf = sacrebleu.corpus_bleu, sacrebleu.corpus_chrf
    assert found["bleu"] == pytest.approx(bleu(WRITTEN, [EXPECTED]).score, abs=1e-4)
    assert found["chrf"] == pytest.approx(chrf(WRITTEN, [EXPECTED]).score, abs=1e-4)
    assert found["exact_match"] == 50.0  # SQuAD reads over case, articles and stops
    assert 0 < found["cer"] < found["wer"] < 1
    for metric in figures.values():
        metric.reset()
        metric.update(["the same"], ["the same"])
    assert [round(float(m.compute())) for m in figures.values()] == [0, 100, 0, 0, 100, 100]


def test_what_is_no_figure_is_said():
    with pytest.raises(UserError, match=r"metrics: expected some of bleu, .*, found 'blue'"):
        text_metrics(["blue"])
    with pytest.raises(UserError, match="expected generate with them"):
        SequenceToSequence(["a"], "b", metrics=["bleu"])
