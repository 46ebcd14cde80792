"""Which tokens may come next and how likely they are: penalties, constraints and drawing."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Prompt

NEVER: float = float("-inf")
TokenTree: TypeAlias = "dict[int, TokenTree]"  # the tokens that may follow, each with its own tree


class AllowedAnswers:
    """The only sequences that may be generated, as a tree of their tokens.

    Args:
        sequences: the ids of each answer.
        end_id: the token that has to follow each answer; None: there is no such token.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], end_id: int | None) -> None:
        self.tree: TokenTree = {}
        for sequence in sequences:
            node = self.tree
            for token in (*sequence, *([] if end_id is None else [end_id])):
                node = node.setdefault(token, {})

    def following(self, tokens: Sequence[int]) -> list[int]:
        """Returns the ids that may follow these tokens.

        The list is empty if the tokens are a complete answer, or no beginning of an answer.
        """
        node = self.tree
        for token in tokens:
            node = node.get(token, {})
        return list(node)


class Rules:
    """The constraints of settings and prompt on the next token, however it is then chosen.

    Args:
        settings: the settings.
        prompt: what the core reads first.

    Raises:
        UserError: the settings do not fit the prompt.
    """

    def __init__(self, settings: Generation, prompt: Prompt) -> None:
        self.settings: Generation = settings
        self.prompt: Prompt = prompt
        self.stops: list[int] = sorted({stop for stop in settings.stop if isinstance(stop, int)})
        self.ends: set[int] = {*self.stops, *([] if prompt.end_id is None else [prompt.end_id])}
        self.stop_texts: list[str] = [stop for stop in settings.stop if isinstance(stop, str)]
        self.begin: list[int] = as_ids(settings.begin or [], prompt)
        # the characters of `begin` for each sample: a stop text is looked for behind them
        self.num_begun: list[int] = [0] * len(prompt.room)
        if self.begin and self.stop_texts:
            begun = torch.tensor(self.begin)
            self.num_begun = [len(str(prompt.decode(begun, s))) for s in range(len(prompt.room))]
        self.answers: AllowedAnswers | None = None
        if settings.answers is not None:
            encoded = {answer: tuple(prompt.encode(answer)) for answer in settings.answers}
            self.answers = AllowedAnswers(encoded.values(), prompt.end_id)
            for answer, ids in encoded.items() if prompt.end_id is None else ():
                if self.answers.following(ids):
                    raise UserError(
                        f"answers: {answer!r} begins another one, and this model writes no end "
                        "that tells them apart"
                    )
        self.allowed: list[int] | None = None
        if settings.allowed is not None:
            self.allowed = sorted({*settings.allowed, *self.ends})

    def budgets(self) -> list[int]:
        """Returns for each sample the maximum number of tokens, those of `begin` included.

        Raises:
            UserError: there is no room for a token after those of `begin`.
        """
        begun = len(self.begin)
        for room in self.prompt.room if begun else ():
            if room is not None and room <= begun:
                raise UserError(
                    f"begin: expected fewer tokens than there is room for, {room}; found {begun}"
                )
        return self.prompt.budgets(self.settings.max_tokens + begun)

    def apply(
        self, scores: Float[Tensor, "N V"], samples: Sequence[int], new: Sequence[Sequence[int]]
    ) -> Float[Tensor, "N V"]:
        """Applies penalties and constraints to logits or log-probabilities.

        Args:
            scores: one row for each sequence.
            samples: the number of the sample that each sequence belongs to.
            new: the tokens that each sequence has written so far.
        """
        begun = len(self.begin)
        _checked(self.stops, scores.shape[1], "stop")
        if begun and len(new[0]) < begun:  # all are equally long
            return self._begun(scores, self.begin[len(new[0])])
        if self.settings.repetition_penalty != 1:
            scores = self._penalised(scores, samples, new)
        if self.answers is None and self.allowed is None:
            return scores
        forbidden = torch.ones_like(scores, dtype=torch.bool)
        for row, tokens in enumerate(new):
            following = self.allowed
            if self.answers is not None:
                following = self.answers.following(tokens[begun:])
            forbidden[row, _checked(following or [], scores.shape[1])] = False
        return scores.masked_fill(forbidden, NEVER)

    def _begun(self, scores: Float[Tensor, "N V"], token: int) -> Float[Tensor, "N V"]:
        """Forces a token of `begin`; its score of 0 does not change the score of the sequence."""
        _checked([token], scores.shape[1], "begin")
        forced = torch.full_like(scores, NEVER)
        forced[:, token] = 0.0
        return forced

    def _penalised(
        self, scores: Tensor, samples: Sequence[int], new: Sequence[Sequence[int]]
    ) -> Float[Tensor, "N V"]:
        penalty = self.settings.repetition_penalty
        seen = torch.zeros_like(scores, dtype=torch.bool)
        for row, (sample, tokens) in enumerate(zip(samples, new, strict=True)):
            seen[row, [*self.prompt.written[sample], *tokens]] = True
        return torch.where(
            seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores
        )

    def ended(self, tokens: Sequence[int], budget: int, sample: int) -> bool:
        """Whether a sequence is complete with its last token.

        Args:
            tokens: the tokens of the sequence.
            budget: the maximum number of tokens.
            sample: the number of its sample.
        """
        begun = len(self.begin)
        if len(tokens) >= budget:
            return True
        if begun and len(tokens) <= begun:
            return False
        if tokens[-1] in self.ends:
            return True
        if self.answers is not None and not self.answers.following(tokens[begun:]):
            return True
        if not self.stop_texts:
            return False
        text = str(self.prompt.decode(torch.tensor(list(tokens)), sample))
        return self.cut(text, sample) != text

    def cut(self, text: str, sample: int) -> str:
        """Cuts a text that was written for a sample before the first stop text."""
        starts = [text.find(stop, self.num_begun[sample]) for stop in self.stop_texts]
        return text[: min((start for start in starts if start >= 0), default=len(text))]


def as_ids(begin: Sequence[int] | str, prompt: Prompt) -> list[int]:
    """Returns the ids of what sequences begin with."""
    if begin and not prompt.is_ids:
        raise UserError("begin: expected a model that writes ids, but this one writes numbers")
    return prompt.encode(begin) if isinstance(begin, str) else list(begin)


def _checked(ids: list[int], size: int, name: str = "allowed") -> list[int]:
    if wrong := [i for i in ids if not 0 <= i < size]:
        raise UserError(f"{name}: expected ids from 0 to {size - 1}, found {wrong[0]}")
    return ids


def likely(scores: Float[Tensor, "N V"], settings: Generation) -> Float[Tensor, "N V"]:
    """Returns the probabilities from which tokens are drawn."""
    # the highest score becomes 0, so that a temperature close to 0 divides without overflow
    limits = torch.finfo(scores.dtype)
    temperature = min(max(settings.temperature, limits.tiny), limits.max)
    scores = (scores - scores.amax(-1, keepdim=True)) / temperature
    if settings.top_k is not None:
        least = scores.topk(min(settings.top_k, scores.shape[1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, NEVER)
    if settings.top_p is not None and settings.top_p < 1:
        scores = scores.masked_fill(_beyond(scores, settings.top_p), NEVER)
    if settings.min_p is not None:
        probabilities = scores.softmax(-1)
        unlikely = probabilities < settings.min_p * probabilities.amax(-1, keepdim=True)
        scores = scores.masked_fill(unlikely, NEVER)
    return scores.softmax(-1)


def _beyond(scores: Float[Tensor, "N V"], top_p: float) -> Bool[Tensor, "N V"]:
    """Marks the tokens outside the likeliest ones that together have the probability `top_p`."""
    ordered, order = scores.sort()
    excluded = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
    excluded[:, -1] = False
    return excluded.scatter(1, order, excluded)


def draw(
    probabilities: Float[Tensor, "N V"], generators: Sequence[torch.Generator]
) -> Int[Tensor, " N"]:
    """Draws a token for each row with the generator of the row: no row depends on another."""
    numbers = torch.cat([torch.rand(1, generator=g, dtype=torch.float64) for g in generators])
    sums = probabilities.double().cumsum(-1)
    numbers = numbers.to(sums.device)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, numbers, right=True)[:, 0].clamp(max=sums.shape[1] - 1)
