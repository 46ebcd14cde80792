"""Metrics of generated texts, compared with the expected texts."""

from collections.abc import Callable, Sequence

import torch
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor
from torchmetrics import Metric

from unitf.tasks.metrics.metric_types import check_text_figures


class CorpusScore(Metric):
    """sacrebleu's BLEU or chrF of a whole split, computed from sums over its texts.

    Args:
        make: sacrebleu's class. BLEU then distinguishes upper and lower case and tokenizes as 13a.
        num_sums: how many numbers sacrebleu computes of each text.
    """

    full_state_update: bool | None = False
    sums: Tensor

    def __init__(self, make: Callable[[], BLEU | CHRF], num_sums: int) -> None:
        super().__init__()
        self.make: Callable[[], BLEU | CHRF] = make
        self.add_state("sums", torch.zeros(num_sums, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, written: Sequence[str], expected: Sequence[str]) -> None:
        """Adds the sums of some generated texts."""
        rows = self.make()._extract_corpus_statistics(written, [expected])
        self.sums += torch.tensor(rows, dtype=torch.float64).sum(0).to(self.sums.device)

    def compute(self) -> Tensor:
        """Returns the score, or NaN if there was no text."""
        if not self.sums.any():
            return torch.tensor(torch.nan)
        sums = [int(number) for number in self.sums.tolist()]
        return torch.tensor(self.make()._compute_score_from_stats(sums).score)


class AnswerMetrics(Metric):
    """SQuAD's exact match or F1, in percent.

    Args:
        name: "exact_match" or "f1".
    """

    full_state_update: bool | None = False

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchmetrics.text import SQuAD  # which imports nltk

        self.name: str = name
        self.answers: SQuAD = SQuAD()

    def update(self, written: Sequence[str], expected: Sequence[str]) -> None:
        """Adds some generated texts and the expected ones."""
        predictions, targets = [], []
        for number, (one, other) in enumerate(zip(written, expected, strict=True)):
            predictions.append({"prediction_text": one, "id": str(number)})
            answers = {"text": [other], "answer_start": [0]}
            targets.append({"answers": answers, "id": str(number)})
        self.answers.update(predictions, targets)

    def compute(self) -> Tensor:
        """Returns the metric `name` over all answers, or NaN without any."""
        # computed even without an answer in this process: the other processes wait for it
        return self.answers.compute()[self.name]

    def reset(self) -> None:
        """Removes all answers."""
        super().reset()
        self.answers.reset()


def text_metrics(names: Sequence[str]) -> dict[str, Metric]:
    """Creates the metrics of these names; each is updated with generated and expected texts.

    Raises:
        UserError: a name is unknown.
    """
    from torchmetrics.text import CharErrorRate, WordErrorRate

    check_text_figures(names)
    constructors: dict[str, Callable[[], Metric]] = {
        "bleu": lambda: CorpusScore(BLEU, 10),
        "chrf": lambda: CorpusScore(CHRF, 18),
        "wer": WordErrorRate,
        "cer": CharErrorRate,
        "exact_match": lambda: AnswerMetrics("exact_match"),
        "f1": lambda: AnswerMetrics("f1"),
    }
    return {name: constructors[name]() for name in names}
