"""VideoMAE of transformers: its mapping to unitf."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    TransformersArchitecture,
    WeightMapping,
    label_task,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Embedding, Head
from unitf_video.scaling import Scaling
from unitf_video.tubelets import VideoTubelets, to_rows

QKV = ["attention.attention.query", "attention.attention.key", "attention.attention.value"]
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


class HFVideoMAE(TransformersArchitecture):
    """VideoMAE over tubelets, without a head or with a classifier of the mean column."""

    kinds = ("videomae",)

    def unsupported(self) -> str | None:
        if self.head not in ("", "VideoClassification"):
            return f"its head is {self.head}"
        if self.config.hidden_act not in ACTIVATIONS:
            return f"hidden_act is {self.config.hidden_act!r}"
        return None

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.intermediate_size,
            activation=ACTIVATIONS[config.hidden_act],  # type: ignore[arg-type]
            norm_eps=config.layer_norm_eps,
            final_norm=not config.use_mean_pooling,
            qkv_bias=config.qv_bias,
            dropout=config.hidden_dropout_prob,
            activation_dropout=0.0,
            attention_dropout=config.attention_probs_dropout_prob,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        tokenizer = VideoTubelets(
            config.hidden_size,
            patch=config.patch_size,
            tubelet=config.tubelet_size,
            num_frames=config.num_frames,
            channels=config.num_channels,
            position_embedding="flat",
            **preparation(self.source, config.image_size),
        )
        return {"video": tokenizer}

    def tasks(self) -> dict[str, Task]:
        pooling: Any = "mean" if self.config.use_mean_pooling else "first"
        if self.head == "":
            return {"embedding": Embedding(["video"], pooling, normalise=False)}
        norm = self.published.fc_norm
        head = None if norm is None else Head(norm_eps=norm.eps)
        return {"label": label_task(self.config, ["video"], pooling, head)}

    def weight_map(self) -> Sequence[WeightMapping]:
        body, width = self.prefix, self.config.hidden_size
        return [
            map_weight(
                f"{body}embeddings.patch_embeddings.projection", "tokenizers.video.embedding"
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
            map_weight("fc_norm", "tasks.label.head.norm"),
            map_weight("classifier", "tasks.label.head.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.encoder.layer)}

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        sides = _sides(config.image_size)
        pixels = torch.randn(2, config.num_frames, config.num_channels, *sides)
        tokenizer = self.tokenizers()["video"]
        assert isinstance(tokenizer, VideoTubelets)
        shape = (config.tubelet_size, *tokenizer.patch)
        parts = []
        for clip in pixels:
            rows, grid = to_rows(clip.numpy(), shape)
            axes = [torch.arange(n, dtype=torch.float32) for n in grid]
            positions = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
            parts.append(Features(torch.from_numpy(rows).mT, positions))
        return DummyInputs({"pixel_values": pixels}, {"video": Features.pack(parts)})

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        return {"label": output.logits} if self.head else {}


def preparation(source: str | None, image_size: Any) -> dict[str, Any]:
    """Returns the arguments of VideoTubelets that prepare frames as a published model does.

    Raises:
        UserError: its preprocessor does something to frames that unitf does not.
    """
    sides = list(_sides(image_size))
    settings = _settings(source)
    if settings is None:
        return {"size": sides, "mean": 0.5, "std": 0.5}
    size, cropped = settings["size"], settings.get("crop_size")
    interpolation: Any = INTERPOLATIONS.get(int(settings["resample"]))
    keeps_aspect = "shortest_edge" in size
    to = [size["shortest_edge"]] * 2 if keeps_aspect else [size["height"], size["width"]]
    final_size = to
    if settings.get("do_center_crop") and cropped is not None:
        final_size = [cropped["height"], cropped["width"]]
    usual = settings["do_resize"] and settings["do_rescale"] and settings["do_normalize"]
    usual = (
        usual
        and abs(settings["rescale_factor"] * 255 - 1) < 1e-6
        and int(settings["resample"]) in INTERPOLATIONS
    )
    if not usual or final_size != sides:
        raise UserError(
            f"{source}: its preprocessor gives frames of {final_size}, resampled by "
            f"{settings['resample']}; expected resized, scaled and normalised ones of {sides}"
        )
    return {
        "size": final_size,
        "scaling": Scaling(to, keeps_aspect, interpolation),
        "mean": list(settings["image_mean"]),
        "std": list(settings["image_std"]),
    }


def _settings(source: str | None) -> dict[str, Any] | None:
    if source is None:
        return None
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(source, trust_remote_code=False).to_dict()
    except (OSError, ValueError, KeyError, ImportError):
        return None  # a model without a preprocessor


def _sides(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
