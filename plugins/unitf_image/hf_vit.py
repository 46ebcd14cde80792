"""ViT, DeiT and DINOv2 of transformers: their mappings to unitf."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from unitf import Task
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    WeightMapping,
    label_task,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Classification, Head
from unitf_image.hf_preparation import enlarged
from unitf_image.hf_vision import IMAGE, VisionArchitecture, vector_task

QKV = ["attention.q_proj", "attention.k_proj", "attention.v_proj"]
HEADS = ("", "ImageClassification", "ImageClassificationWithTeacher")


class HFViT(VisionArchitecture):
    """ViT and DeiT of transformers: pre-norm, a class token, in DeiT a distillation token."""

    kinds = ("vit", "deit")

    def unsupported(self) -> str | None:
        config = self.config
        if self.head not in HEADS:
            return f"its head is {self.head}"
        if self.body.embeddings.mask_token is not None:
            return "it has a mask token"
        if self.body.pooler is not None:
            if config.pooler_output_size != config.hidden_size:
                return f"pooler_output_size is {config.pooler_output_size}"
            if config.pooler_act not in ("tanh", "relu", "gelu"):
                return f"pooler_act is {config.pooler_act!r}"
        return super().unsupported()

    @property
    def prefixes(self) -> dict[str, int]:
        names = ("cls_token", "distillation_token")
        return {name: 1 for name in names if hasattr(self.body.embeddings, name)}

    def tasks(self) -> dict[str, Task]:
        config = self.config
        if self.head == "":
            pooler = Head(hidden=config.pooler_act) if self.body.pooler is not None else None
            return {"embedding": vector_task("first", pooler)}
        if self.head == "ImageClassification":
            return {"label": label_task(config, ["image"], "first")}
        classes = [config.id2label[number] for number in range(config.num_labels)]
        return {  # one head uses the class token, one the distillation token
            name: Classification(["image"], name, classes, "mean", head=Head(columns=[n, n + 1]))
            for n, name in enumerate(("label", "distilled"))
        }

    def weight_map(self) -> Sequence[WeightMapping]:
        body, width = self.prefix, self.config.hidden_size
        names = ("classifier", "cls_classifier", "distillation_classifier")
        heads = [name for name in names if hasattr(self.published, name)]
        return [
            map_weight(f"{body}embeddings.patch_embeddings.projection", f"{IMAGE}.embedding"),
            *self.prefix_mappings(),
            *self.position_mappings("position_embeddings"),
            *map_blocks(
                self.config.num_hidden_layers,
                f"{body}layers.{{}}",
                "core.encoder.blocks.{}",
                [
                    map_weight("layernorm_before", "attention_residual.norm"),
                    map_joined(QKV, "attention.qkv", [width] * 3),
                    map_weight("attention.o_proj", "attention.out"),
                    map_weight("layernorm_after", "feedforward_residual.norm"),
                    map_weight("mlp.fc1", "feedforward.inner"),
                    map_weight("mlp.fc2", "feedforward.out"),
                ],
            ),
            map_weight(f"{body}layernorm", "core.encoder.final_norm"),
            map_weight(f"{body}pooler.dense", "tasks.embedding.head.hidden"),
            *(
                map_weight(name, f"tasks.{task}.head.linear")
                for name, task in zip(heads, self.tasks(), strict=False)
            ),
        ]

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "":
            pooled = output.pooler_output
            return {"embedding": output[0][:, 0] if pooled is None else pooled}
        if self.head == "ImageClassification":
            return {"label": output.logits}
        return {"label": output.cls_logits, "distilled": output.distillation_logits}


class HFDinov2(VisionArchitecture):
    """DINOv2 of transformers, with or without registers.

    Cubic interpolation adapts its positions to images of any size. With registers, transformers
    smooths the positions when it reduces them; unitf then only takes images of the trained size.
    """

    kinds = ("dinov2", "dinov2_with_registers")

    @property
    def registers(self) -> int:
        """The number of register tokens."""
        return getattr(self.config, "num_register_tokens", 0)

    @property
    def stack(self) -> nn.ModuleList:
        return self.body.encoder.layer

    @property
    def prefixes(self) -> dict[str, int]:
        class_token = {"cls_token": 1}
        return class_token | ({"register_tokens": self.registers} if self.registers else {})

    def unsupported(self) -> str | None:
        if self.head not in ("", "ImageClassification"):
            return f"its head is {self.head}"
        if self.image_size[0] != self.image_size[1]:
            return f"image_size is {self.config.image_size}, expected a square"
        return super().unsupported()

    def settings(self) -> dict[str, Any]:
        config = self.config
        mlp: Any = self.stack[0].mlp
        gated = config.use_swiglu_ffn
        return {
            "hidden_dim": (mlp.down_proj if gated else mlp.fc2).in_features,
            "activation": "swiglu" if gated else ACTIVATIONS[config.hidden_act],
            "qkv_bias": config.qkv_bias,
            "attention_dropout": config.attention_probs_dropout_prob,
            "layer_scale": config.layerscale_value,
        }

    @property
    def positions(self) -> Any:
        return "learned" if self.registers else "cubic"

    @property
    def num_placed(self) -> int:
        return 1

    @property
    def trial_size(self) -> tuple[int, int]:
        rows, columns = self.image_size
        return self.image_size if self.registers else (rows + self.patch[0], columns)

    def preparation(self) -> dict[str, Any]:
        fitting = super().preparation()
        if not self.registers or tuple(fitting["size"]) == self.image_size:
            return fitting
        return enlarged(fitting, self.image_size)

    def tokenizer_options(self) -> dict[str, Any]:
        return {"mask_column": self.body.embeddings.mask_token is not None}

    def tasks(self) -> dict[str, Task]:
        if self.head == "":
            return {"embedding": vector_task("first")}
        patches = Head(columns=[1 + self.registers, None])
        return {"label": label_task(self.config, ["image"], "first_and_mean", patches)}

    def weight_map(self) -> Sequence[WeightMapping]:
        body, width = self.prefix, self.config.hidden_size
        hidden = self.settings()["hidden_dim"]
        return [
            map_weight(f"{body}embeddings.patch_embeddings.projection", f"{IMAGE}.embedding"),
            map_weight(f"{body}embeddings.mask_token", f"{IMAGE}.mask_column"),
            *self.prefix_mappings(),
            *self.position_mappings("position_embeddings"),
            *map_blocks(
                self.config.num_hidden_layers,
                f"{body}encoder.layer.{{}}",
                "core.encoder.blocks.{}",
                [
                    map_weight("norm1", "attention_residual.norm"),
                    map_joined(QKV, "attention.qkv", [width] * 3),
                    map_weight("attention.o_proj", "attention.out"),
                    map_weight("layer_scale1.lambda1", "attention_residual.scale"),
                    map_weight("norm2", "feedforward_residual.norm"),
                    map_weight("mlp.fc1", "feedforward.inner"),
                    map_weight("mlp.fc2", "feedforward.out"),
                    map_joined(["mlp.gate_proj", "mlp.up_proj"], "feedforward.inner", [hidden] * 2),
                    map_weight("mlp.down_proj", "feedforward.out"),
                    map_weight("layer_scale2.lambda1", "feedforward_residual.scale"),
                ],
            ),
            map_weight(f"{body}layernorm", "core.encoder.final_norm"),
            map_weight("classifier", "tasks.label.head.linear"),
        ]

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "":
            return {"embedding": output.pooler_output}
        return {"label": output.logits}
