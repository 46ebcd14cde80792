"""Wishes: what a person says beside the path."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wishes:
    """What a person asks for; None: the data decides.

    Args:
        target: the column to predict.
        test: a file or folder of test samples, of the same format as the data.
        time: how long the training may take, as "10m".
        pretrained: a model to fine-tune, as in `unitf.from_pretrained`.
        pretrained_tokenizers: the names of its tokenizers.
    """

    target: str | None = None
    test: Path | None = None
    time: str | None = None
    pretrained: str | None = None
    pretrained_tokenizers: tuple[str, ...] = ()
