"""Beam search, with the scores and the stopping rule of the library transformers."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Reader
from unitf.generation.rules import Rules

DEAD: float = -1e9  # the score of a beam that only fills up the number of beams


class Beam(NamedTuple):
    """A sequence, complete or not: its tokens, their log-probabilities, and its score."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    score: float


class Candidate(NamedTuple):
    """A beam, given by its number, with one more token."""

    beam: int
    token: int
    log_probability: float
    score: float  # the sum of log-probabilities, after penalties


@dataclass(eq=False)
class _Search:
    """The beams of one sample."""

    sample: int
    budget: int
    running: list[Beam]
    finished: list[Beam] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)  # which beams the running ones come from
    is_over: bool = False

    def advance(self, candidates: list[Candidate], rules: Rules) -> None:
        """Continues the best candidates; `candidates` are sorted by score, the best first."""
        settings, count = rules.settings, len(self.running)
        grown = [self._grown(candidate) for candidate in candidates]
        ended = [rules.ended(beam.tokens, self.budget, self.sample) for beam in grown]
        length = max(1, len(grown[0].tokens) - len(rules.begin))
        # only the `count` best candidates may finish; the others are there to continue with
        for beam, end in list(zip(grown, ended, strict=True))[:count]:
            if end and beam.score > DEAD / 2:
                complete = beam._replace(score=beam.score / length**settings.length_penalty)
                self.finished.append(complete)
        self.finished = sorted(self.finished, key=lambda beam: -beam.score)[:count]
        order = sorted(range(len(grown)), key=lambda number: ended[number])[:count]
        self.origins = [candidates[number].beam for number in order]
        self.running = [grown[n]._replace(score=grown[n].score + DEAD * ended[n]) for n in order]
        full = len(self.finished) == count
        best = self.running[0].score / length**settings.length_penalty
        hopeless = full and best <= self.finished[-1].score
        self.is_over = all(ended) or hopeless or (full and settings.early_stopping)

    def _grown(self, candidate: Candidate) -> Beam:
        beam = self.running[candidate.beam]
        return Beam(
            (*beam.tokens, candidate.token),
            (*beam.log_probabilities, candidate.log_probability),
            candidate.score,
        )


@torch.inference_mode()
def search(reader: Reader, settings: Generation) -> list[list[Beam]]:
    """Returns the best sequences of each sample, the best one first."""
    prompt, count = reader.prompt, settings.num_beams
    if not prompt.is_ids:
        raise UserError(
            "beams need tokens that are ids: tokens that are numbers have no log-probability"
        )
    rules = Rules(settings, prompt)
    budgets = rules.budgets()
    begin = [Beam((), (), DEAD * (number > 0)) for number in range(count)]
    searches = [
        _Search(sample, budget, list(begin), is_over=budget < 1)
        for sample, budget in enumerate(budgets)
    ]
    columns, going = reader.begin(), [s for s in searches if not s.is_over]
    index = [search.sample for search in going for _ in range(count)]
    reader.reorder(index, sharing=count)
    columns = columns[:, index]
    while going:
        best = _candidates(reader.unembed(columns), going, rules)
        for one, candidates in zip(going, best, strict=True):
            one.advance(candidates, rules)
        rows = [
            (number * count + origin, beam.tokens[-1])
            for number, one in enumerate(going)
            if not one.is_over
            for origin, beam in zip(one.origins, one.running, strict=True)
        ]
        going = [one for one in going if not one.is_over]
        if going:
            reader.reorder([row for row, _ in rows], sharing=count)
            values = torch.tensor([token for _, token in rows])
            columns = reader.follow(values.to(columns.device, non_blocking=True))
    return [one.finished[: settings.num_returns] for one in searches]


def _candidates(
    logits: Float[Tensor, "V S"], going: list[_Search], rules: Rules
) -> list[list[Candidate]]:
    """Returns the best candidates of each sample: so many that enough of them can continue."""
    count = rules.settings.num_beams
    beams = [(one.sample, beam) for one in going for beam in one.running]
    log_probabilities = logits.mT.float().log_softmax(-1)
    samples, written = [s for s, _ in beams], [beam.tokens for _, beam in beams]
    changed = rules.apply(log_probabilities, samples, written)
    sums = torch.tensor([beam.score for _, beam in beams]).to(log_probabilities.device)
    totals = (changed + sums[:, None]).view(len(going), -1)
    kept = min(max(2, 1 + len(rules.ends)) * count, totals.shape[1])
    scores, picks = totals.topk(kept)
    unchanged = log_probabilities.view(len(going), -1).gather(1, picks)
    size = log_probabilities.shape[1]
    return [
        [
            Candidate(pick // size, pick % size, log_probability, score)
            for score, pick, log_probability in zip(*columns_of_one, strict=True)
        ]
        for columns_of_one in zip(scores.tolist(), picks.tolist(), unchanged.tolist(), strict=True)
    ]
