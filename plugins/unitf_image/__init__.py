"""The image modality of unitf. This file imports no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from unitf import Register, hookimpl

_HOME = {
    "CocoObjects": "unitf_image.coco_objects",
    "ImageAugmentation": "unitf_image.augment_step",
    "ImagePatches": "unitf_image.image_patches",
    "Placement": "unitf_image.placement",
    "ScannedDigits": "unitf_image.digits",
    "VocObjects": "unitf_image.voc_objects",
    "YoloObjects": "unitf_image.yolo_objects",
}
__all__ = [
    "CocoObjects",
    "ImageAugmentation",
    "ImagePatches",
    "Placement",
    "ScannedDigits",
    "VocObjects",
    "YoloObjects",
]

if TYPE_CHECKING:
    from unitf_image.augment_step import ImageAugmentation
    from unitf_image.coco_objects import CocoObjects
    from unitf_image.digits import ScannedDigits
    from unitf_image.image_patches import ImagePatches
    from unitf_image.placement import Placement
    from unitf_image.voc_objects import VocObjects
    from unitf_image.yolo_objects import YoloObjects


@hookimpl
def register_tokenizers(register: Register) -> None:
    """Registers the tokenizers of this plugin."""
    register("unitf_image.image_patches:ImagePatches")


@hookimpl
def register_sources(register: Register) -> None:
    """Registers the data sources of this plugin."""
    register("unitf_image.digits:ScannedDigits")
    register("unitf_image.voc_objects:VocObjects")
    register("unitf_image.coco_objects:CocoObjects")
    register("unitf_image.yolo_objects:YoloObjects")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_image' has no attribute {name!r}")


@hookimpl
def register_architectures(register: Register) -> None:
    """Registers the published architectures that this plugin maps to unitf."""
    register("unitf_image.timm_vit:TimmVisionTransformer")
    register("unitf_image.hf_vit:HFViT")
    register("unitf_image.hf_vit:HFDinov2")
    register("unitf_image.hf_clip_vision:HFClipVision")
    register("unitf_image.hf_clip_vision:HFSiglipVision")
    register("unitf_image.timm_beit:TimmBeit")
    register("unitf_image.timm_eva:TimmEva")
    register("unitf_image.hf_yolos:HFYolos")
