"""The names among which a configuration chooses."""

from collections.abc import Iterable
from typing import Literal, get_args

from unitf.errors import UserError, close_names

ArchitectureKind = Literal["encoder", "decoder", "encoder-decoder"]
NormPosition = Literal["pre", "post", "res_post", "sandwich"]
Residuals = Literal["sequential", "parallel", "parallel_shared"]
PresetSize = Literal["tiny", "small", "base", "large"]

# dim, depth, num_heads as in ViT (Dosovitskiy et al., 2021) and DeiT (Touvron et al., 2021)
SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "size": get_args(PresetSize),
    "kind": get_args(ArchitectureKind),
    "norm_position": get_args(NormPosition),
    "residual": get_args(Residuals),
}


def check_name(location: str, found: str, known: Iterable[str]) -> None:
    """Raises an error with all known names, and the closest of them, if the name is unknown.

    Args:
        location: where the name stands, for the message.
        found: the name to check.
        known: all valid names.

    Raises:
        UserError: the name is not one of the known names.
    """
    known = list(known)
    if found not in known:
        close = close_names(str(found), known)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"{location}: unknown {found!r}; {hint}known are {', '.join(known)}")
