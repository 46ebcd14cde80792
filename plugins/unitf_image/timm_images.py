"""TimmImages: what timm's vision transformers share outside their blocks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from unitf import Task, Tokenizer
from unitf.interop import (
    Architecture,
    DummyInputs,
    Joined,
    Part,
    WeightMapping,
    map_blocks,
    map_weight,
)
from unitf.tasks import Classification, Embedding, Head
from unitf.tokenizer import Prefix
from unitf_image.image_patches import ImagePatches
from unitf_image.patch_grid import Coordinates
from unitf_image.timm_parts import activation_of, class_names, images, is_there, preparation

FEEDFORWARD = [
    map_weight("mlp.fc1", "feedforward.inner"),
    map_weight("mlp.norm", "feedforward.norm"),
    map_weight("mlp.fc2", "feedforward.out"),
]
_POOL = {
    "latent": "latent",
    "q": "query",
    "kv": "kv",
    "proj": "out",
    "norm": "norm",
    "mlp.fc1": "inner",
    "mlp.fc2": "outer",
}


class TimmImages(Architecture):
    """Patches, class and register tokens, pooling and heads of timm's vision transformers."""

    hub = "timm"
    outside = 0.0  # the position of class and register tokens on both axes

    def unsupported(self) -> str | None:
        published = self.published
        embed = type(published.patch_embed).__name__
        if embed != "PatchEmbed":
            return f"its patches are embedded by {embed}"
        if is_there(published.patch_embed.norm):
            return "its patches are normalised before their positions are added"
        if published.global_pool not in ("token", "avg", "map"):
            return f"global_pool is {published.global_pool!r}"
        for norm in (self.fc_norm, getattr(self.attn_pool, "norm", None)):
            if is_there(norm) and not isinstance(norm, nn.LayerNorm):
                return f"its head has a norm of class {type(norm).__name__}"
        return None

    @abstractmethod
    def block_mappings(self) -> list[WeightMapping]:
        """Returns the mappings of one block."""

    @property
    def coordinates(self) -> Coordinates | None:
        """The coordinates that relative positions use instead of rows and columns."""
        return None

    @property
    def attn_pool(self) -> Any:
        """The attention pooling of the head; None: there is none."""
        return getattr(self.published, "attn_pool", None)

    @property
    def fc_norm(self) -> Any:
        """The norm after the pooling; None: there is none."""
        return getattr(self.published, "fc_norm", None)

    @property
    def prefixes(self) -> dict[str, int]:
        """The tensors of learned tokens before the patches, and the number of tokens in each."""
        tensors = {
            n: getattr(self.published, n, None) for n in ("cls_token", "dist_token", "reg_token")
        }
        return {name: tensor.shape[1] for name, tensor in tensors.items() if tensor is not None}

    @property
    def prefixes_have_positions(self) -> bool:
        """Whether the position table also has rows for the prefix."""
        return self.published.pos_embed is not None and not getattr(
            self.published, "no_embed_class", False
        )

    @property
    def pools_prefixes(self) -> bool:
        """Whether the pooling includes the prefix."""
        return getattr(self.published, "pool_include_prefix", False)

    @property
    def task(self) -> str:
        """The name of the first task."""
        return "label" if self.published.num_classes > 1 else "embedding"

    def tokenizers(self) -> dict[str, Tokenizer]:
        published, embed, prefix = self.published, self.published.patch_embed, None
        if count := sum(self.prefixes.values()):
            prefix = Prefix(count, self.prefixes_have_positions, self.outside)
        tokenizer = ImagePatches(
            published.embed_dim,
            patch=list(embed.patch_size),
            position_embedding="none" if published.pos_embed is None else "learned",
            coordinates=self.coordinates,
            bias=embed.proj.bias is not None,
            cut=True,
            prefix=prefix,
            **preparation(published),
        )
        return {"image": tokenizer}

    def tasks(self) -> dict[str, Task]:
        pooling, head = self.pooling()
        task = (
            Embedding(["image"], pooling=pooling, normalise=False, head=head)
            if self.task == "embedding"
            else Classification(["image"], "label", class_names(self.published), pooling, head=head)
        )
        return {self.task: task}

    def pooling(self) -> tuple[Any, Head]:
        """The pooling of columns, and the head after it."""
        published, pool, columns = self.published, self.attn_pool, None
        if published.global_pool != "token" and not self.pools_prefixes:
            columns = [sum(self.prefixes.values()), None]
        eps = self.fc_norm.eps if is_there(self.fc_norm) else None
        if pool is None:
            name = "mean" if published.global_pool == "avg" else "first"
            return name, Head(columns=columns, norm_eps=eps)
        return "latent", Head(
            columns=columns,
            norm_eps=eps,
            latent_heads=pool.num_heads,
            latent_hidden=pool.mlp.fc1.out_features,
            latent_activation=activation_of(pool.mlp),  # type: ignore[arg-type]
            latent_eps=pool.norm.eps,
        )

    def weight_map(self) -> Sequence[WeightMapping]:
        published, image = self.published, "tokenizers.image"
        mappings = [map_weight("patch_embed.proj", f"{image}.embedding")]
        if self.prefixes:
            sizes = list(self.prefixes.values())
            mappings.append(
                WeightMapping(tuple(self.prefixes), f"{image}.prefix.tokens", Joined(sizes))
            )
        if published.pos_embed is not None:
            inside = sum(self.prefixes.values()) if self.prefixes_have_positions else 0
            position_table = f"{image}.position_embedding.table"
            mappings.append(
                map_weight("pos_embed", position_table, Part(inside, published.pos_embed.shape[1]))
            )
            if inside:
                mappings.append(
                    map_weight("pos_embed", f"{image}.prefix.positions", Part(0, inside))
                )
        head = f"tasks.{self.task}.head"
        return [
            *mappings,
            map_weight("norm_pre", "core.encoder.input_norm"),
            *map_blocks(
                len(published.blocks), "blocks.{}", "core.encoder.blocks.{}", self.block_mappings()
            ),
            map_weight("norm", "core.encoder.final_norm"),
            *(map_weight(f"attn_pool.{a}", f"{head}.pooling.{b}") for a, b in _POOL.items()),
            map_weight("fc_norm", f"{head}.norm"),
            map_weight("head", f"{head}.linear"),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.published.blocks)}

    def dummy_inputs(self) -> DummyInputs:
        pixels, features = images(self.published)
        return DummyInputs({"x": pixels}, {"image": features})

    def outputs(self, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
        tokens = self.published.forward_features(dummy_inputs.inputs["x"])
        return {"columns": tokens.flatten(0, 1), **self.heads(tokens)}

    def heads(self, tokens: Tensor) -> dict[str, Tensor]:
        """Returns the published logits for each task."""
        return {self.task: self.published.forward_head(tokens)}
