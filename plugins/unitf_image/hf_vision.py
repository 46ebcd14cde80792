"""VisionArchitecture: what the mappings of transformers' plain vision models share."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from unitf import Features, Task, Tokenizer, TransformerConfig, UserError
from unitf.interop import (
    ACTIVATIONS,
    DummyInputs,
    Joined,
    Part,
    TransformersArchitecture,
    WeightMapping,
)
from unitf.tasks import Embedding, Head
from unitf.tokenizer import Prefix
from unitf_image.hf_preparation import preparation
from unitf_image.image_patches import ImagePatches, grid_positions, to_grid
from unitf_image.rows import to_rows

IMAGE = "tokenizers.image"


class VisionArchitecture(TransformersArchitecture):
    """A model of transformers over image patches whose settings have the usual names."""

    @property
    def positions(self) -> Any:
        """The `position_embedding` of ImagePatches."""
        return "learned"

    @property
    def image_size(self) -> tuple[int, int]:
        """Rows and columns of the images for which the positions were learned."""
        return _pair(self.config.image_size)

    @property
    def patch(self) -> tuple[int, int]:
        """Rows and columns of a patch, in pixels."""
        return _pair(self.config.patch_size)

    @property
    def stack(self) -> nn.ModuleList:
        """The published blocks."""
        return self.body.layers

    @property
    def prefixes(self) -> dict[str, int]:
        """The names and numbers of the learned columns before the patches."""
        return {}

    @property
    def num_placed(self) -> int:
        """How many prefix columns have positions; these precede the patches' in the table."""
        return sum(self.prefixes.values())

    def unsupported(self) -> str | None:
        config = self.config
        if config.hidden_act not in ACTIVATIONS:
            return f"hidden_act is {config.hidden_act!r}"
        if any(side % p for side, p in zip(self.image_size, self.patch, strict=True)):
            return f"image_size {config.image_size} is not divisible by patch_size"
        return None

    def core(self) -> TransformerConfig:
        config = self.config
        dropout = getattr(config, "hidden_dropout_prob", 0.0)
        return TransformerConfig(
            dim=config.hidden_size,
            depth=config.num_hidden_layers,
            num_heads=config.num_attention_heads,
            norm_eps=config.layer_norm_eps,
            dropout=dropout,
            input_dropout=dropout,
            activation_dropout=0.0,
            **self.settings(),
        )

    def settings(self) -> dict[str, Any]:
        """Returns the arguments of TransformerConfig in which the families differ."""
        config = self.config
        return {
            "hidden_dim": config.intermediate_size,
            "activation": ACTIVATIONS[config.hidden_act],
            "qkv_bias": config.qkv_bias,
            "attention_dropout": config.attention_probs_dropout_prob,
        }

    def tokenizers(self) -> dict[str, Tokenizer]:
        fitting = self.preparation()
        if self.positions == "learned" and tuple(fitting["size"]) != self.image_size:
            raise UserError(
                f"{self.source} prepares images of {fitting['size']}, but the model's positions "
                f"are for {list(self.image_size)}"
            )
        count = sum(self.prefixes.values())
        tokenizer = ImagePatches(
            self.config.hidden_size,
            patch=list(self.patch),
            channels=self.config.num_channels,
            position_embedding=self.positions,
            grid=list(to_grid(self.image_size, self.patch)),
            prefix=Prefix(count, self.num_placed) if count else None,
            **fitting,
            **self.tokenizer_options(),
        )
        return {"image": tokenizer}

    def preparation(self) -> dict[str, Any]:
        """Returns the arguments of ImagePatches that prepare an image as the model expects."""
        return preparation(self.source, self.image_size)

    def tokenizer_options(self) -> dict[str, Any]:
        """Returns further arguments of ImagePatches."""
        return {}

    def prefix_mappings(self) -> list[WeightMapping]:
        """Returns the mappings of the prefix without its positions."""
        if not self.prefixes:
            return []
        names = tuple(f"{self.prefix}embeddings.{name}" for name in self.prefixes)
        return [
            WeightMapping(names, f"{IMAGE}.prefix.tokens", Joined(list(self.prefixes.values())))
        ]

    def position_mappings(self, theirs: str) -> list[WeightMapping]:
        """Returns the mappings of the position table: first the prefix, then the patches."""
        name, placed = f"{self.prefix}embeddings.{theirs}", self.num_placed
        rows, columns = to_grid(self.image_size, self.patch)
        rows_of_table = Part(placed, placed + rows * columns)
        mappings = [WeightMapping((name,), f"{IMAGE}.position_embedding.table", rows_of_table)]
        if placed:
            mappings.append(WeightMapping((name,), f"{IMAGE}.prefix.positions", Part(0, placed)))
        return mappings

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.stack)}

    def dummy_inputs(self) -> DummyInputs:
        pixels = torch.randn(2, self.config.num_channels, *self.trial_size)
        return DummyInputs({"pixel_values": pixels}, {"image": self.patches_of(pixels)})

    @property
    def trial_size(self) -> tuple[int, int]:
        """Rows and columns of the images of `dummy_inputs`."""
        return self.image_size

    def patches_of(self, pixels: Tensor) -> Features:
        """Returns the patches of normalised images (S, C, H, W)."""
        grid, reference = to_grid(pixels.shape[2:], self.patch), None
        if self.positions == "cubic":
            reference = to_grid(self.image_size, self.patch)
        rows_of_table = grid_positions(grid, reference)
        rows = [torch.from_numpy(to_rows(image.numpy(), self.patch)) for image in pixels]
        return Features.pack([Features(one.mT, rows_of_table) for one in rows])


def vector_task(
    pooling: Any, head: Head | None = None, size: int | None = None, scale: float | None = None
) -> Task:
    """Returns the task of the published image vector, without normalising its length.

    Args:
        scale: the logarithm of the factor on similarities with text vectors.
    """
    temperature: dict[str, Any] = {} if scale is None else {"temperature": math.exp(-scale)}
    return Embedding(
        ["image"], pooling=pooling, size=size, normalise=False, head=head, **temperature
    )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
