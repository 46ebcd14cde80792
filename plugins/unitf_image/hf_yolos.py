"""YOLOS of transformers: object detection with a plain vision transformer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Task
from unitf.interop import (
    DummyInputs,
    Part,
    Picked,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Detection, Head
from unitf_image.hf_preparation import stretched
from unitf_image.hf_vision import IMAGE, VisionArchitecture, vector_task
from unitf_image.image_patches import to_grid

QKV = ["attention.attention.query", "attention.attention.key", "attention.attention.value"]


@dataclass(frozen=True, eq=False)
class DetectionDummyInputs(DummyInputs):
    """Dummy inputs for a model whose detection tokens come last; unitf has them in the prefix.

    Args:
        num_last: the number of detection tokens.
    """

    num_last: int = 0

    def packed(self, columns: Tensor, memory: bool = False) -> Tensor:
        first = columns.shape[1] - self.num_last
        parts = [columns[:, :1], columns[:, first:], columns[:, 1:first]]
        return torch.cat(parts, dim=1).flatten(0, 1)


class HFYolos(VisionArchitecture):
    """YOLOS: a class token and detection tokens; each of these becomes one object or none.

    unitf resizes images to the size of the learned positions without keeping their aspect; boxes
    are fractions of the sides. transformers keeps the aspect and interpolates the positions.
    """

    kinds = ("yolos",)

    @property
    def positions(self) -> Any:
        return "cubic"

    @property
    def stack(self) -> nn.ModuleList:
        return self.body.encoder.layer

    @property
    def count(self) -> int:
        """The largest number of objects in an image."""
        return self.config.num_detection_tokens

    @property
    def prefixes(self) -> dict[str, int]:
        return {"cls_token": 1, "detection_tokens": self.count}

    @property
    def trial_size(self) -> tuple[int, int]:
        rows, columns = self.image_size
        return rows + self.patch[0], columns

    def unsupported(self) -> str | None:
        if self.config.use_mid_position_embeddings:
            return "it adds positions between its blocks (use_mid_position_embeddings)"
        if self.head not in ("", "ObjectDetection"):
            return f"its head is {self.head}"
        return super().unsupported()

    def preparation(self) -> dict[str, Any]:
        return stretched(self.source, self.image_size)

    def tasks(self) -> dict[str, Task]:
        config = self.config
        if self.head == "":
            pooler = None if self.body.pooler is None else Head(hidden="tanh")
            return {"embedding": vector_task("first", pooler)}
        names = [config.id2label[number] for number in range(config.num_labels)]
        classes: Any = names if len(set(names)) == len(names) else list(range(config.num_labels))
        task = Detection(
            ["image"],
            "objects",
            self.count,
            classes,
            [1, 1 + self.count],
            nothing_weight=config.eos_coefficient,
            box_weight=float(config.bbox_loss_coefficient),
            overlap_weight=float(config.giou_loss_coefficient),
        )
        return {"objects": task}

    def weight_map(self) -> Sequence[WeightMapping]:
        body, width, count = self.prefix, self.config.hidden_size, self.count
        rows, columns = to_grid(self.image_size, self.patch)
        position_table = f"{body}embeddings.position_embeddings"
        last = 1 + rows * columns
        return [
            map_weight(f"{body}embeddings.patch_embeddings.projection", f"{IMAGE}.embedding"),
            *self.prefix_mappings(),
            map_weight(position_table, f"{IMAGE}.position_embedding.table", Part(1, last)),
            map_weight(
                position_table, f"{IMAGE}.prefix.positions", Picked([0, *range(last, last + count)])
            ),
            *map_blocks(
                self.config.num_hidden_layers,
                f"{body}encoder.layer.{{}}",
                "core.encoder.blocks.{}",
                [
                    map_weight("layernorm_before", "attention_residual.norm"),
                    map_joined(QKV, "attention.qkv", [width] * 3),
                    map_weight("attention.output.dense", "attention.out"),
                    map_weight("layernorm_after", "feedforward_residual.norm"),
                    map_weight("intermediate.dense", "feedforward.inner"),
                    map_weight("output.dense", "feedforward.out"),
                ],
            ),
            map_weight(f"{body}layernorm", "core.encoder.final_norm"),
            map_weight(f"{body}pooler.dense", "tasks.embedding.head.hidden"),
            map_weight("class_labels_classifier.layers", "tasks.objects.class_head.layers"),
            map_weight("bbox_predictor.layers", "tasks.objects.box_head.layers"),
        ]

    def dummy_inputs(self) -> DummyInputs:
        dummy_inputs = super().dummy_inputs()
        return DetectionDummyInputs(dummy_inputs.inputs, dummy_inputs.features, num_last=self.count)

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "":
            pooled = output.pooler_output
            return {"embedding": output[0][:, 0] if pooled is None else pooled}
        return {"objects": torch.cat([output.logits, output.pred_boxes], dim=2)}
