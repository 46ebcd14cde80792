"""What may come next, and how likely: penalties, constraints, and what is drawn from."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unitf.errors import UserError
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Prompt

NEVER = float("-inf")


class AllowedAnswers:
    """The only sequences that may come out, as a tree of their tokens.

    Args:
        end_id: of the token that is to follow each of them; None: an answer ends by itself.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], end_id: int | None) -> None:
        self.tree: dict = {}
        for sequence in sequences:
            node = self.tree
            for token in (*sequence, *([] if end_id is None else [end_id])):
                node = node.setdefault(token, {})

    def following(self, tokens: Sequence[int]) -> list[int]:
        """What may come after these tokens; nothing: they are a whole answer, or none."""
        node = self.tree
        for token in tokens:
            node = node.get(token, {})
        return list(node)


class Rules:
    """What settings and prompt say of the next token, whichever way it is then chosen."""

    def __init__(self, settings: Generation, prompt: Prompt) -> None:
        self.settings, self.prompt = settings, prompt
        self.stops = sorted({stop for stop in settings.stop if isinstance(stop, int)})
        self.ends = {*self.stops, *([] if prompt.end_id is None else [prompt.end_id])}
        self.stop_texts = [stop for stop in settings.stop if isinstance(stop, str)]
        self.begin = as_ids(settings.begin or [], prompt)
        # characters of each sample that are given: what stops a text is behind them
        self.num_begun = [0] * len(prompt.room)
        if self.begin and self.stop_texts:
            begun = torch.tensor(self.begin)
            self.num_begun = [len(str(prompt.decode(begun, s))) for s in range(len(prompt.room))]
        self.answers = None
        if settings.answers is not None:
            encoded = {answer: tuple(prompt.encode(answer)) for answer in settings.answers}
            self.answers = AllowedAnswers(encoded.values(), prompt.end_id)
            for answer, ids in encoded.items() if prompt.end_id is None else ():
                if self.answers.following(ids):
                    raise UserError(
                        f"answers: {answer!r} begins another one, and this model writes no end "
                        "that tells them apart"
                    )
        self.allowed = None
        if settings.allowed is not None:
            self.allowed = sorted({*settings.allowed, *self.ends})

    def budgets(self) -> list[int]:
        """For each sample how many tokens are written at most, given ones included.

        Raises:
            UserError: nothing could follow what is given.
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
        """Logits, or log-probabilities, after what each sequence has written so far."""
        begun = len(self.begin)
        _checked(self.stops, scores.shape[1], "stop")
        if begun and len(new[0]) < begun:  # all are equally long
            return self._begun(scores, self.begin[len(new[0])])
        if self.settings.repetition_penalty != 1:
            scores = self._penalised(scores, samples, new)
        if self.answers is None and self.allowed is None:
            return scores
        barred = torch.ones_like(scores, dtype=torch.bool)
        for row, tokens in enumerate(new):
            following = self.allowed
            if self.answers is not None:
                following = self.answers.following(tokens[begun:])
            barred[row, _checked(following or [], scores.shape[1])] = False
        return scores.masked_fill(barred, NEVER)

    def _begun(self, scores: Float[Tensor, "N V"], token: int) -> Float[Tensor, "N V"]:
        """A token that is given: it says nothing of how likely a sequence is."""
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
        """Whether a sequence of a sample is complete with its last token."""
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
        """A text that was written for a sample, up to the first that stops it."""
        starts = [text.find(stop, self.num_begun[sample]) for stop in self.stop_texts]
        return text[: min((start for start in starts if start >= 0), default=len(text))]


def as_ids(begin: Sequence[int] | str, prompt: Prompt) -> list[int]:
    """What sequences begin with, as ids of the tokens that are written."""
    if begin and not prompt.is_ids:
        raise UserError("begin: expected a model that writes ids, but this one writes numbers")
    return prompt.encode(begin) if isinstance(begin, str) else list(begin)


def _checked(ids: list[int], size: int, name: str = "allowed") -> list[int]:
    if wrong := [i for i in ids if not 0 <= i < size]:
        raise UserError(f"{name}: expected ids from 0 to {size - 1}, found {wrong[0]}")
    return ids


def likely(scores: Float[Tensor, "N V"], settings: Generation) -> Float[Tensor, "N V"]:
    """The probabilities from which tokens are drawn."""
    # the likeliest is at 0, which no temperature changes: one that is all but 0 is as good as 0
    numbers = torch.finfo(scores.dtype)
    temperature = min(max(settings.temperature, numbers.tiny), numbers.max)
    scores = (scores - scores.amax(-1, keepdim=True)) / temperature
    if settings.top_k is not None:
        least = scores.topk(min(settings.top_k, scores.shape[1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, NEVER)
    if settings.top_p is not None and settings.top_p < 1:
        scores = scores.masked_fill(_beyond(scores, settings.top_p), NEVER)
    if settings.min_p is not None:
        shares = scores.softmax(-1)
        unlikely = shares < settings.min_p * shares.amax(-1, keepdim=True)
        scores = scores.masked_fill(unlikely, NEVER)
    return scores.softmax(-1)


def _beyond(scores: Float[Tensor, "N V"], top_p: float) -> Bool[Tensor, "N V"]:
    """The tokens beyond the likeliest that together have the probability `top_p`."""
    ordered, order = scores.sort()
    gone = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
    gone[:, -1] = False
    return gone.scatter(1, order, gone)


def draw(
    probabilities: Float[Tensor, "N V"], generators: Sequence[torch.Generator]
) -> Int[Tensor, " N"]:
    """A token of each row by the row's own generator, so that no row depends on another."""
    chances = torch.cat([torch.rand(1, generator=g, dtype=torch.float64) for g in generators])
    sums = probabilities.double().cumsum(-1)
    chances = chances.to(sums.device)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, chances, right=True)[:, 0].clamp(max=sums.shape[1] - 1)
