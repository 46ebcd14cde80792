"""Written: a whole sequence, whichever way its tokens were chosen."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unitf.generation.beams import search
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Prompt, Reader
from unitf.generation.rules import Rules
from unitf.generation.sampling import GenerationStep, write


@dataclass(eq=False)
class GeneratedSequence:
    """One sequence that was written for one sample.

    Args:
        tokens: ids, or F numbers each.
        log_probabilities: of ids.
        score: of the best of several beams: log-probability / length^length_penalty.
    """

    sample: int
    tokens: list[int | Tensor] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    score: float | None = None

    def value(self, rules: Rules) -> Any:
        """What the tokens say, without their end."""
        prompt = rules.prompt
        if not prompt.is_ids:
            numbers: Any = self.tokens
            return prompt.decode(torch.stack(numbers, dim=1), self.sample) if numbers else None
        ids = [i for i in self.tokens if isinstance(i, int)]
        if ids and ids[-1] in rules.ends:
            ids = ids[:-1]
        found = prompt.decode(torch.tensor(ids, dtype=torch.long), self.sample)
        return rules.cut(found, self.sample) if isinstance(found, str) else found


def generate(core: nn.Module, prompt: Prompt, settings: Generation) -> list[GeneratedSequence]:
    """The sequences of all samples, those of a sample side by side; of beams the best first."""
    reader = Reader(core, prompt, settings)
    if settings.num_beams > 1:
        return [
            GeneratedSequence(sample, [*beam.tokens], [*beam.log_probabilities], beam.score)
            for sample, beams in enumerate(search(reader, settings))
            for beam in beams
        ]
    written = {
        (sample, number): GeneratedSequence(sample)
        for sample in range(len(prompt.room))
        for number in range(settings.num_returns)
    }
    for step in write(reader, settings):
        one = written[step.sample, step.number]
        one.tokens.append(step.token)
        if step.log_probability is not None:
            one.log_probabilities.append(step.log_probability)
    return list(written.values())


class StreamedText:
    """The text of one sequence piece by piece, as its tokens come.

    A character whose bytes are not all there waits, and so does what may become a text that stops.
    """

    def __init__(self, prompt: Prompt, settings: Generation) -> None:
        self.prompt, self.rules = prompt, Rules(settings, prompt)
        self.tokens: list[int] = []
        self.shown = 0
        self.wait = max((len(stop) - 1 for stop in self.rules.stop_texts), default=0)

    def add(self, step: GenerationStep) -> str:
        """What can be shown now, and could not before."""
        assert isinstance(step.token, int)
        if not (step.is_last and step.token in self.rules.ends):
            self.tokens.append(step.token)
        decoded = self.prompt.decode(torch.tensor(self.tokens, dtype=torch.long), 0)
        text = decoded if isinstance(decoded, str) else " ".join(map(str, decoded))
        whole = self.rules.cut(text, 0)
        if not step.is_last:
            whole = whole[: max(0, len(whole) - self.wait)].rstrip("\N{REPLACEMENT CHARACTER}")
        piece, self.shown = whole[self.shown :], max(self.shown, len(whole))
        return piece
