"""Tokenizers: the base class for the plugin of a modality, and the modules that it uses."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unitf.public import lazily

_HOMES = {
    "Augmentation": "unitf.tokenizer.augmentation",
    "BatchNorm": "unitf.nn.batch_norm",
    "Boxes": "unitf.tokenizer.located_targets",
    "Canvas": "unitf.tokenizer.canvas",
    "Curves": "unitf.tokenizer.shown",
    "EmbeddingTable": "unitf.tokenizer.token_embedding",
    "Intervals": "unitf.tokenizer.located_targets",
    "LabelMap": "unitf.tokenizer.located_targets",
    "LocatedTarget": "unitf.tokenizer.located_targets",
    "Media": "unitf.tokenizer.shown",
    "Points": "unitf.tokenizer.located_targets",
    "PositionEmbeddingName": "unitf.tokenizer.position_embedding",
    "Prefix": "unitf.tokenizer.token_embedding",
    "Shown": "unitf.tokenizer.shown",
    "Tokenizer": "unitf.tokenizer.tokenizer",
    "Unembedding": "unitf.tokenizer.token_embedding",
    "augmentation_names": "unitf.tokenizer.augmentation",
    "as_png": "unitf.tokenizer.canvas",
    "boxes_of": "unitf.tokenizer.canvas",
    "initialise": "unitf.nn.initialisation",
    "is_reference_mode": "unitf.nn.reference_mode",
    "ranks": "unitf.tokenizer.canvas",
    "registered_augmentation": "unitf.tokenizer.augmentation",
    "shade": "unitf.tokenizer.canvas",
}

if TYPE_CHECKING:
    from unitf.nn.batch_norm import BatchNorm
    from unitf.nn.initialisation import initialise
    from unitf.nn.reference_mode import is_reference_mode
    from unitf.tokenizer.augmentation import (
        Augmentation,
        augmentation_names,
        registered_augmentation,
    )
    from unitf.tokenizer.canvas import Canvas, as_png, boxes_of, ranks, shade
    from unitf.tokenizer.located_targets import Boxes, Intervals, LabelMap, LocatedTarget, Points
    from unitf.tokenizer.position_embedding import PositionEmbeddingName
    from unitf.tokenizer.shown import Curves, Media, Shown
    from unitf.tokenizer.token_embedding import EmbeddingTable, Prefix, Unembedding
    from unitf.tokenizer.tokenizer import Tokenizer

__all__ = [
    "Augmentation",
    "BatchNorm",
    "Boxes",
    "Canvas",
    "Curves",
    "EmbeddingTable",
    "Intervals",
    "LabelMap",
    "LocatedTarget",
    "Media",
    "Points",
    "PositionEmbeddingName",
    "Prefix",
    "Shown",
    "Tokenizer",
    "Unembedding",
    "as_png",
    "augmentation_names",
    "boxes_of",
    "initialise",
    "is_reference_mode",
    "ranks",
    "registered_augmentation",
    "shade",
]

__getattr__: Callable[[str], object]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
