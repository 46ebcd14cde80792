"""Whole generated sequences, however their tokens were chosen."""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from unitf.features import RawValue
from unitf.generation.beams import search
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Prompt, Reader
from unitf.generation.rules import Rules
from unitf.generation.sampling import GenerationStep, write


@dataclass(eq=False)
class GeneratedSequence:
    """One sequence that was generated for one sample.

    Args:
        sample: the number of the sample.
        tokens: an id, or F numbers, for each token.
        log_probabilities: one for each id; empty for numbers.
        score: the score of a beam, log-probability / length^length_penalty; None without beams.
    """

    sample: int
    tokens: list[int | Tensor] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    score: float | None = None

    def value(self, rules: Rules) -> RawValue:
        """Returns the raw value of the tokens without the end token; None without any numbers."""
        prompt = rules.prompt
        if not prompt.is_ids:
            numbers = cast(list[Tensor], self.tokens)
            return prompt.decode(torch.stack(numbers, dim=1), self.sample) if numbers else None
        ids = [i for i in self.tokens if isinstance(i, int)]
        if ids and ids[-1] in rules.ends:
            ids = ids[:-1]
        value = prompt.decode(torch.tensor(ids, dtype=torch.long), self.sample)
        return rules.cut(value, self.sample) if isinstance(value, str) else value


def generate(core: nn.Module, prompt: Prompt, settings: Generation) -> list[GeneratedSequence]:
    """Generates the sequences of all samples.

    The sequences of a sample stand side by side; those of a beam search are sorted, best first.
    """
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
    """Decodes the text of one sequence piece by piece, while its tokens are generated.

    An incomplete character (some of its bytes are missing) is held back, and so are characters that
    may become a stop text.
    """

    def __init__(self, prompt: Prompt, settings: Generation) -> None:
        self.prompt: Prompt = prompt
        self.rules: Rules = Rules(settings, prompt)
        self.tokens: list[int] = []
        self.shown: int = 0  # characters that were returned
        self.wait: int = max((len(stop) - 1 for stop in self.rules.stop_texts), default=0)

    def add(self, step: GenerationStep) -> str:
        """Adds a token and returns the part of the text that has become certain with it."""
        assert isinstance(step.token, int)
        if not (step.is_last and step.token in self.rules.ends):
            self.tokens.append(step.token)
        decoded = self.prompt.decode(torch.tensor(self.tokens, dtype=torch.long), 0)
        text = decoded if isinstance(decoded, str) else " ".join(map(str, decoded))
        text = self.rules.cut(text, 0)
        if not step.is_last:
            text = text[: max(0, len(text) - self.wait)].rstrip("\N{REPLACEMENT CHARACTER}")
        piece, self.shown = text[self.shown :], max(self.shown, len(text))
        return piece
