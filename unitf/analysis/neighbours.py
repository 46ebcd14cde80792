"""Nearest tokens and nearest samples, by the angle between their vectors."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.errors import UserError, did_you_mean
from unitf.tokenizer.tokenizer import Tokenizer
from unitf.tokens import Features


def nearest(
    query: Float[Tensor, " D"], rows: Float[Tensor, "S D"], top: int
) -> list[tuple[int, float]]:
    """The numbers of the rows nearest to a vector and their cosines, best first."""
    cosines = functional.normalize(rows.float(), dim=1) @ functional.normalize(query.float(), dim=0)
    values, numbers = cosines.topk(min(top, len(cosines)))
    return list(zip(numbers.tolist(), values.tolist(), strict=True))


@torch.inference_mode()
def nearest_tokens(tokenizer: Tokenizer, query: str, top: int = 10) -> list[tuple[str, float]]:
    """The tokens of a vocabulary whose vectors are nearest to those of a token, best first.

    Raises:
        UserError: the query is not one token of the vocabulary.
    """
    names = tokenizer.token_names()
    number = _find(tokenizer, query, names)
    everything = torch.arange(len(names), device=next(tokenizer.parameters()).device)
    rows = tokenizer.embed(Features(everything)).mT
    found = nearest(rows[number], rows, top + 1)
    return [(names[i], cosine) for i, cosine in found if i != number][:top]


def _find(tokenizer: Tokenizer, query: str, names: list[str]) -> int:
    """The id of a token that is called so, or that a text makes alone."""
    if query in names:
        return names.index(query)
    try:
        ids = tokenizer.encode(query).values.tolist()
    except ValueError:  # no text
        ids = []
    ids = [i for i in ids if i not in (tokenizer.start_id, tokenizer.end_id)]
    if len(ids) != 1 or ids[0] == tokenizer.unknown_id:
        pieces = f" ({len(ids)} tokens: {' '.join(names[i] for i in ids)})" if ids[1:] else ""
        raise UserError(f"{query!r} is no token{pieces}" + did_you_mean(query, names))
    return ids[0]
