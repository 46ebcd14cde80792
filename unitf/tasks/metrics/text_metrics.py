"""Figures of whole texts that were written, against what was to be written."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor
from torchmetrics import Metric

from unitf.tasks.metrics.metric_types import check_text_figures


class CorpusScore(Metric):
    """BLEU or chrF of sacrebleu, of a whole split, from the sums that it makes of each text.

    Args:
        make: of sacrebleu's classes; BLEU is then cased and of its own 13a tokens.
        num_sums: how many numbers it needs of a text.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self, make: Callable[[], BLEU | CHRF], num_sums: int) -> None:
        super().__init__()
        self.make = make
        self.add_state("sums", torch.zeros(num_sums, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, written: Sequence[str], expected: Sequence[str]) -> None:
        rows = self.make()._extract_corpus_statistics(written, [expected])
        self.sums += torch.tensor(rows, dtype=torch.float64).sum(0).to(self.sums.device)

    def compute(self) -> Tensor:
        if not self.sums.any():
            return torch.tensor(torch.nan)
        sums = [int(number) for number in self.sums.tolist()]
        return torch.tensor(self.make()._compute_score_from_stats(sums).score)


class AnswerMetrics(Metric):
    """Exact match and F1 as SQuAD has them, in percent."""

    full_state_update = False

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchmetrics.text import SQuAD  # which imports nltk

        self.name, self.answers = name, SQuAD()

    def update(self, written: Sequence[str], expected: Sequence[str]) -> None:
        found, right = [], []
        for number, (one, other) in enumerate(zip(written, expected, strict=True)):
            found.append({"prediction_text": one, "id": str(number)})
            answers = {"text": [other], "answer_start": [0]}
            right.append({"answers": answers, "id": str(number)})
        self.answers.update(found, right)

    def compute(self) -> Tensor:
        # also without an answer of its own (0 / 0 is NaN): other processes wait for this one
        return self.answers.compute()[self.name]

    def reset(self) -> None:
        super().reset()
        self.answers.reset()


def text_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """The metrics of these names, each updated with texts that were written, and expected."""
    from torchmetrics.text import CharErrorRate, WordErrorRate

    check_text_figures(names)
    made: dict[str, Any] = {
        "bleu": lambda: CorpusScore(BLEU, 10),
        "chrf": lambda: CorpusScore(CHRF, 18),
        "wer": WordErrorRate,
        "cer": CharErrorRate,
        "exact_match": lambda: AnswerMetrics("exact_match"),
        "f1": lambda: AnswerMetrics("f1"),
    }
    return {name: made[name]() for name in names}
