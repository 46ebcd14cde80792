"""Published models: their names in unitf, their import and export, and the proof of equality."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unitf.public import lazily

_HOMES = {
    "check_header": "unitf.limits",
    "ACTIVATIONS": "unitf.interop.published_activations",
    "Architecture": "unitf.interop.architecture",
    "DummyInputs": "unitf.interop.architecture",
    "EncoderDecoderArchitecture": "unitf.interop.encoder_decoder",
    "GATES": "unitf.interop.published_activations",
    "Joined": "unitf.interop.transforms",
    "ModelHub": "unitf.interop.hub",
    "Part": "unitf.interop.transforms",
    "Picked": "unitf.interop.transforms",
    "Rows": "unitf.interop.transforms",
    "Same": "unitf.interop.transforms",
    "TensorTransform": "unitf.interop.transforms",
    "Then": "unitf.interop.transforms",
    "TransformersArchitecture": "unitf.interop.architecture",
    "Transposed": "unitf.interop.transforms",
    "WeightMapping": "unitf.interop.weight_map",
    "activation_of": "unitf.interop.published_activations",
    "ignore_weights": "unitf.interop.weight_map",
    "label_task": "unitf.interop.published_activations",
    "map_blocks": "unitf.interop.weight_map",
    "map_joined": "unitf.interop.weight_map",
    "map_weight": "unitf.interop.weight_map",
    "random_texts": "unitf.interop.architecture",
}

if TYPE_CHECKING:
    from unitf.interop.architecture import (
        Architecture,
        DummyInputs,
        TransformersArchitecture,
        random_texts,
    )
    from unitf.interop.encoder_decoder import EncoderDecoderArchitecture
    from unitf.interop.hub import ModelHub
    from unitf.interop.published_activations import ACTIVATIONS, GATES, activation_of, label_task
    from unitf.interop.transforms import (
        Joined,
        Part,
        Picked,
        Rows,
        Same,
        TensorTransform,
        Then,
        Transposed,
    )
    from unitf.interop.weight_map import (
        WeightMapping,
        ignore_weights,
        map_blocks,
        map_joined,
        map_weight,
    )
    from unitf.limits import check_header

__all__ = [
    "ACTIVATIONS",
    "GATES",
    "Architecture",
    "DummyInputs",
    "EncoderDecoderArchitecture",
    "Joined",
    "ModelHub",
    "Part",
    "Picked",
    "Rows",
    "Same",
    "TensorTransform",
    "Then",
    "TransformersArchitecture",
    "Transposed",
    "WeightMapping",
    "activation_of",
    "check_header",
    "ignore_weights",
    "label_task",
    "map_blocks",
    "map_joined",
    "map_weight",
    "random_texts",
]

__getattr__: Callable[[str], object]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
