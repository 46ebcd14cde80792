"""PatchTST of transformers: its mapping to unitf."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    TransformersArchitecture,
    WeightMapping,
    map_blocks,
    map_joined,
    map_weight,
)
from unitf.tasks import Classification, Embedding, Head, Regression
from unitf_series.forecast import Forecast
from unitf_series.series_patches import SeriesPatches

QKV = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
SCALINGS = {"std": "deviation", "mean": "size", True: "size", None: "none", False: "none"}
SMALLEST = {"std": 1e-5, "mean": 1e-10, True: 1e-10}


@dataclass(frozen=True, eq=False)
class SeriesDummyInputs(DummyInputs):
    """Dummy inputs for a model whose columns also have an axis of channels."""

    def packed(self, columns: Tensor, memory: bool = False) -> Tensor:
        return columns.flatten(0, -2)


class HFPatchTST(TransformersArchitecture):
    """PatchTST: each channel is processed alone, as a chunk of the sequence of all channels."""

    kinds = ("patchtst",)

    def unsupported(self) -> str | None:
        config, head = self.config, self.head
        refused = {
            "channel_attention": config.channel_attention,
            "use_cls_token": config.use_cls_token,
            "do_mask_input": config.do_mask_input,
            "separate embeddings of channels": not config.share_embedding,
            "separate projections of channels": head == "Prediction"
            and not config.share_projection,
            f"loss {config.loss!r}": head in ("Prediction", "Regression") and config.loss != "mse",
            f"head {head}": head not in ("", "Prediction", "Classification", "Regression"),
            "pooling 'max'": config.pooling_type == "max" and head not in ("", "Prediction"),
            "output_range": head == "Regression" and config.output_range is not None,
            f"activation {config.activation_function!r}": config.activation_function
            not in ACTIVATIONS,
            "fewer than two classes": head == "Classification" and config.num_targets < 2,
        }
        options = [name for name, present in refused.items() if present]
        return f"it has {options[0]}" if options else None

    @property
    def num_patches(self) -> int:
        """The number of patches of a channel."""
        return self.body.patchifier.num_patches

    def core(self) -> TransformerConfig:
        config = self.config
        return TransformerConfig(
            dim=config.d_model,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            hidden_dim=config.ffn_dim,
            activation=ACTIVATIONS[config.activation_function],  # type: ignore[arg-type]
            norm="batch" if config.norm_type == "batchnorm" else "layer",
            norm_eps=config.norm_eps,
            norm_position="pre" if config.pre_norm else "post",
            final_norm=False,
            bias=config.bias,
            qkv_bias=True,
            attention_out_bias=True,
            norm_bias=True,
            chunk=self.num_patches,
            dropout=config.path_dropout,
            input_dropout=config.positional_dropout,
            activation_dropout=config.ff_dropout,
            attention_dropout=config.attention_dropout,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        config = self.config
        return {
            "series": SeriesPatches(
                config.d_model,
                patch=config.patch_length,
                stride=config.patch_stride,
                channels=config.num_input_channels,
                steps=config.context_length,
                scaling=SCALINGS[config.scaling],  # type: ignore[arg-type]
                smallest=SMALLEST.get(config.scaling, 1.0),
                channel_axis=False,
                position_embedding="learned",
                learn_positions=config.positional_encoding_type == "random",
            )
        }

    def tasks(self) -> dict[str, Task]:
        config, series = self.config, ["series"]
        dropout = config.head_dropout
        if self.head == "":
            return {"embedding": Embedding(series, "mean", normalise=False)}
        if self.head == "Prediction":
            pooling: Any = config.pooling_type or "flat"
            horizon = config.prediction_length
            task = Forecast(series, "future", horizon, self.num_patches, pooling, dropout)
            return {"forecast": task}
        pieces = Head(pieces=config.num_input_channels)
        if self.head == "Classification":
            classes: Any = list(range(config.num_targets))
            label = Classification(series, "label", classes, "mean", dropout=dropout, head=pieces)
            return {"label": label}
        value = Regression(series, "value", dropout=dropout, head=pieces)
        count = config.num_targets
        value.fitted = {"mean": [0.0] * count, "deviation": [1.0] * count}
        return {"value": value}

    def weight_map(self) -> Sequence[WeightMapping]:
        config, encoder = self.config, f"{self.prefix}encoder"
        batch = ".batchnorm" if config.norm_type == "batchnorm" else ""
        [task] = self.tasks()
        linear = f"tasks.{task}.linear" if task == "forecast" else f"tasks.{task}.head.linear"
        return [
            map_weight(f"{encoder}.embedder.input_embedding", "tokenizers.series.embedding"),
            map_weight(
                f"{encoder}.positional_encoder.position_enc",
                "tokenizers.series.position_embedding.table",
            ),
            *map_blocks(
                config.num_hidden_layers,
                f"{encoder}.layers.{{}}",
                "core.encoder.blocks.{}",
                [
                    map_weight(f"norm_sublayer1{batch}", "attention_residual.norm"),
                    map_joined(QKV, "attention.qkv", [config.d_model] * 3),
                    map_weight("self_attn.out_proj", "attention.out"),
                    map_weight(f"norm_sublayer3{batch}", "feedforward_residual.norm"),
                    map_weight("ff.0", "feedforward.inner"),
                    map_weight("ff.3", "feedforward.out"),
                ],
            ),
            map_weight("head.linear" if task == "label" else "head.projection", linear),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.body.encoder.layers)}

    def dummy_inputs(self) -> DummyInputs:
        config = self.config
        series = torch.randn(2, config.context_length, config.num_input_channels).cumsum(1)
        tokenizer = self.tokenizers()["series"]
        features = Features.pack([tokenizer.encode(one) for one in series])
        return SeriesDummyInputs({"past_values": series}, {"series": features})

    def heads(self, output: Any, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        if self.head == "Prediction":  # (S, horizon, C)
            return {"forecast": output.prediction_outputs.mT.flatten(0, 1)}
        if self.head == "Classification":
            return {"label": output.prediction_logits}
        return {"value": output.regression_outputs} if self.head else {}
