"""Finds the nearest tokens and samples, by the angle between their vectors."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unitf.errors import UserError, did_you_mean
from unitf.features import Features
from unitf.tokenizer.tokenizer import Tokenizer


def nearest(
    query: Float[Tensor, " D"], rows: Float[Tensor, "S D"], top: int
) -> list[tuple[int, float]]:
    """Returns the indices of the rows nearest to a vector and their cosines, best first."""
    cosines = functional.normalize(rows.float(), dim=1) @ functional.normalize(query.float(), dim=0)
    values, indices = cosines.topk(min(top, len(cosines)))
    return list(zip(indices.tolist(), values.tolist(), strict=True))


@torch.inference_mode()
def nearest_tokens(tokenizer: Tokenizer, query: str, top: int = 10) -> list[tuple[str, float]]:
    """Returns the tokens of a vocabulary nearest to a token and their cosines, best first.

    Raises:
        UserError: the query is not one token of the vocabulary.
    """
    names = tokenizer.token_names()
    token_id = _find(tokenizer, query, names)
    all_ids = torch.arange(len(names), device=next(tokenizer.parameters()).device)
    rows = tokenizer.embed(Features(all_ids)).mT
    neighbours = nearest(rows[token_id], rows, top + 1)
    return [(names[i], cosine) for i, cosine in neighbours if i != token_id][:top]


def _find(tokenizer: Tokenizer, query: str, names: list[str]) -> int:
    """Returns the id of the token of this name, or of the only token that this text becomes."""
    if query in names:
        return names.index(query)
    try:
        ids = tokenizer.encode(query).values.tolist()
    except ValueError:  # it cannot be encoded
        ids = []
    ids = [i for i in ids if i not in (tokenizer.start_id, tokenizer.end_id)]
    if len(ids) != 1 or ids[0] == tokenizer.unknown_id:
        pieces = f" ({len(ids)} tokens: {' '.join(names[i] for i in ids)})" if ids[1:] else ""
        raise UserError(f"{query!r} is no token{pieces}" + did_you_mean(query, names))
    return ids[0]
