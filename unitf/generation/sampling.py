"""Writing one token after the other: the likeliest token, or one that is drawn."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Reader
from unitf.generation.rules import Rules, draw, likely


class GenerationStep(NamedTuple):
    """One new token of one sequence.

    Args:
        sample: the number of the sample.
        number: the number of the sequence among those of the sample.
        token: the id, or F numbers.
        log_probability: the model's log-probability of an id, before penalties and temperature;
            None for numbers.
        is_last: whether the sequence is complete.
    """

    sample: int
    number: int
    token: int | Tensor
    log_probability: float | None
    is_last: bool


class _Sequence(NamedTuple):
    sample: int
    number: int
    tokens: list[int]
    budget: int
    generator: torch.Generator


@torch.inference_mode()
def write(reader: Reader, settings: Generation) -> Iterator[GenerationStep]:
    """Yields the tokens of all samples, one of each unfinished sequence at a time."""
    prompt = reader.prompt
    rules = Rules(settings, prompt)
    budgets = rules.budgets()
    sequences = [
        _Sequence(sample, number, [], budgets[sample], _generator(settings.seed, number))
        for sample in range(len(budgets))
        for number in range(settings.num_returns)
    ]
    columns, going = reader.begin(), [s for s in sequences if s.budget > 0]
    index = [sequence.sample for sequence in going]
    choose = _ids if prompt.is_ids else _numbers
    reader.reorder(index)
    columns = columns[:, index]
    while going:
        values, steps = choose(reader.unembed(columns).float(), going, rules)
        yield from steps
        index = [number for number, step in enumerate(steps) if not step.is_last]
        going = [going[number] for number in index]
        if going:
            reader.reorder(index)
            kept = torch.tensor(index).to(values.device, non_blocking=True)
            columns = reader.follow(values.index_select(-1, kept))


def _generator(seed: int | None, number: int) -> torch.Generator:
    seed = int(torch.randint(2**62, ()).item()) if seed is None else seed
    return torch.Generator().manual_seed((seed + number * 0x9E3779B9) % 2**63)


def _ids(
    logits: Tensor, going: Sequence[_Sequence], rules: Rules
) -> tuple[Tensor, list[GenerationStep]]:
    """Chooses the next id of each sequence from logits V×N."""
    scores = rules.apply(logits.mT, [s.sample for s in going], [s.tokens for s in going])
    if rules.settings.temperature:
        chosen = draw(likely(scores, rules.settings), [s.generator for s in going])
    else:
        chosen = scores.argmax(-1)
    log_probabilities = logits.mT.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
    pairs = zip(chosen.tolist(), log_probabilities.tolist(), strict=True)
    steps = []
    for sequence, (token, log_probability) in zip(going, pairs, strict=True):
        sequence.tokens.append(token)
        last = rules.ended(sequence.tokens, sequence.budget, sequence.sample)
        steps.append(GenerationStep(sequence.sample, sequence.number, token, log_probability, last))
    return chosen, steps


def _numbers(
    predicted: Tensor, going: Sequence[_Sequence], rules: Rules
) -> tuple[Tensor, list[GenerationStep]]:
    """Returns the next F numbers of each sequence, which are the prediction itself."""
    settings = rules.settings
    if settings.temperature or settings.answers or settings.allowed or settings.stop:
        raise UserError(
            "tokens that are numbers are predicted, not chosen: max_tokens is their only setting"
        )
    steps = []
    for sequence, token in zip(going, predicted.unbind(1), strict=True):
        sequence.tokens.append(0)
        last = len(sequence.tokens) >= sequence.budget
        steps.append(GenerationStep(sequence.sample, sequence.number, token, None, last))
    return predicted, steps
