"""Beam search, with the scores and the end of transformers' own."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Reader
from unitf.generation.rules import Rules

DEAD = -1e9  # the score of a beam that is followed only because there must be so many


class Beam(NamedTuple):
    """A sequence, complete or not: its tokens, their log-probabilities, and its score."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    score: float


class Candidate(NamedTuple):
    """A beam, by its number, with one more token."""

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
        """Takes the best candidates further; `candidates` are in the order of their scores."""
        settings, count = rules.settings, len(self.running)
        grown = [self._grown(candidate) for candidate in candidates]
        ended = [rules.ended(beam.tokens, self.budget, self.sample) for beam in grown]
        length = max(1, len(grown[0].tokens) - len(rules.begin))
        # what is not among the best of all is there only to go on with
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
    """For each sample its best sequences, the best one first."""
    prompt, count = reader.prompt, settings.num_beams
    if not prompt.is_ids:
        raise UserError("beams are of ids; tokens that are numbers have no log-probability")
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
        found = _candidates(reader.unembed(columns), going, rules)
        for one, candidates in zip(going, found, strict=True):
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
    """For each sample the best beams with one more token, so many that enough can go on."""
    count = rules.settings.num_beams
    beams = [(one.sample, beam) for one in going for beam in one.running]
    plain = logits.mT.float().log_softmax(-1)
    changed = rules.apply(plain, [s for s, _ in beams], [beam.tokens for _, beam in beams])
    sums = torch.tensor([beam.score for _, beam in beams]).to(plain.device)
    totals = (changed + sums[:, None]).view(len(going), -1)
    kept = min(max(2, 1 + len(rules.ends)) * count, totals.shape[1])
    scores, picks = totals.topk(kept)
    sure = plain.view(len(going), -1).gather(1, picks)
    size = plain.shape[1]
    return [
        [
            Candidate(pick // size, pick % size, log_probability, score)
            for score, pick, log_probability in zip(*columns_of_one, strict=True)
        ]
        for columns_of_one in zip(scores.tolist(), picks.tolist(), sure.tolist(), strict=True)
    ]
