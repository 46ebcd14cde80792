"""timm's plain vision transformers: ViT, DeiT, DeiT III, DINOv2, CLIP, SigLIP and their kin."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from unitf.core import TransformerConfig
from unitf.embedding import Prefix
from unitf.peers import Architecture, Trial, each, line
from unitf.peers.changes import Joined, Part
from unitf.peers.names import Line
from unitf.tasks.classification import Classification
from unitf.tasks.embedding import Embedding
from unitf.tasks.heads import Head
from unitf.tasks.task import Task
from unitf.tokenizer import Tokenizer
from unitf_image.patches import ImagePatches
from unitf_image.timm_parts import activation_of, images, is_there, norm_of

BLOCK = [
    line("norm1", "attention_residual.norm"),
    line("attn.qkv", "attention.qkv"),
    line("attn.q_norm", "attention.head_norms.query"),
    line("attn.k_norm", "attention.head_norms.key"),
    line("attn.norm", "attention.norm"),
    line("attn.proj", "attention.out"),
    line("ls1.gamma", "attention_residual.scale"),
    line("norm2", "feedforward_residual.norm"),
    line("mlp.fc1", "feedforward.inner"),
    line("mlp.norm", "feedforward.norm"),
    line("mlp.fc2", "feedforward.out"),
    line("ls2.gamma", "feedforward_residual.scale"),
]
POOL = {
    "latent": "latent",
    "q": "query",
    "kv": "kv",
    "proj": "out",
    "norm": "norm",
    "mlp.fc1": "inner",
    "mlp.fc2": "outer",
}


class TimmVisionTransformer(Architecture):
    """timm's VisionTransformer, with a class token, registers, average or MAP pooling."""

    hub = "timm"
    kinds = ("VisionTransformer", "VisionTransformerDistilled")

    def refusal(self) -> str | None:
        peer = self.peer
        block, embed = peer.blocks[0], type(peer.patch_embed).__name__
        if type(block).__name__ not in ("Block", "ResPostBlock"):
            return f"its blocks are of class {type(block).__name__}"
        if type(block.attn).__name__ != "Attention":
            return f"its attention is of class {type(block.attn).__name__}"
        if embed != "PatchEmbed" or is_there(peer.patch_embed.norm):
            return f"its patches are embedded by {embed} with another norm"
        if peer.global_pool not in ("token", "avg", "map", ""):
            return f"global_pool is {peer.global_pool!r}"
        if peer.global_pool == "map" and not isinstance(peer.attn_pool.norm, nn.LayerNorm):
            return "its attention pooling has another norm"
        return None

    def core(self) -> TransformerConfig:
        peer, block = self.peer, self.peer.blocks[0]
        attention = block.attn
        hidden = block.mlp.fc2.in_features
        return TransformerConfig(
            dim=peer.embed_dim,
            depth=len(peer.blocks),
            num_heads=attention.num_heads,
            head_dim=attention.head_dim,
            hidden_dim=hidden,
            activation=activation_of(block.mlp),
            **norm_of(block.norm1),
            norm_position="branch" if type(block).__name__ == "ResPostBlock" else "pre",
            input_norm=is_there(peer.norm_pre),
            final_norm=is_there(peer.norm),
            qk_norm=is_there(attention.q_norm),
            attention_norm=is_there(attention.norm),
            hidden_norm=is_there(block.mlp.norm),
            qkv_bias=attention.qkv.bias is not None,
            attention_out_bias=attention.proj.bias is not None,
            bias=block.mlp.fc2.bias is not None,
            layer_scale=1.0 if hasattr(getattr(block, "ls1", None), "gamma") else None,
        )

    def tokenizers(self) -> dict[str, Tokenizer]:
        peer, embed = self.peer, self.peer.patch_embed
        cfg: dict[str, Any] = peer.pretrained_cfg or {}
        prefix = None
        if peer.num_prefix_tokens:
            positions = peer.pos_embed is not None and not peer.no_embed_class
            prefix = Prefix(peer.num_prefix_tokens, positions)
        tokenizer = ImagePatches(
            peer.embed_dim,
            patch=list(embed.patch_size),
            size=list(embed.img_size),
            channels=embed.proj.in_channels,
            positions="none" if peer.pos_embed is None else "learned",
            mean=list(cfg.get("mean", (0.5,) * 3)),
            std=list(cfg.get("std", (0.5,) * 3)),
            bias=embed.proj.bias is not None,
            prefix=prefix,
        )
        return {"image": tokenizer}

    def tasks(self) -> dict[str, Task]:
        peer = self.peer
        pooling, head = self._pooling()
        if peer.num_classes < 2:
            task = Embedding(["image"], pooling=pooling, normalise=False, head=head)
            return {"embedding": task}
        classes = list(range(peer.num_classes))
        if not hasattr(peer, "head_dist"):
            return {"label": Classification(["image"], "label", classes, pooling, head=head)}
        return {  # one reads the class token, one the distillation token
            name: Classification(["image"], name, classes, "mean", head=Head(columns=[n, n + 1]))
            for n, name in enumerate(("label", "distilled"))
        }

    def _pooling(self) -> tuple[Any, Head]:
        """How columns become one, and what follows."""
        peer = self.peer
        columns = None
        if peer.global_pool in ("avg", "map") and not peer.pool_include_prefix:
            columns = [peer.num_prefix_tokens, None]
        eps = peer.fc_norm.eps if is_there(getattr(peer, "fc_norm", None)) else None
        if peer.global_pool != "map":
            name = "mean" if peer.global_pool == "avg" else "first"
            return name, Head(columns=columns, norm_eps=eps)
        pool = peer.attn_pool
        return "latent", Head(
            columns=columns,
            norm_eps=eps,
            latent_heads=pool.num_heads,
            latent_hidden=pool.mlp.fc1.out_features,
            latent_activation=activation_of(pool.mlp),
            latent_eps=pool.norm.eps,
        )

    def table(self) -> Sequence[Line]:
        peer, image = self.peer, "tokenizers.image"
        count = peer.num_prefix_tokens
        sizes = [1] * (count - getattr(peer, "num_reg_tokens", 0))
        sizes += [peer.num_reg_tokens] if getattr(peer, "reg_token", None) is not None else []
        prefixes = ("cls_token", "dist_token", "reg_token")
        present = tuple(name for name in prefixes if getattr(peer, name, None) is not None)
        lines = [line("patch_embed.proj", f"{image}.embedding")]
        if count:
            lines.append(Line(present, f"{image}.prefix.tokens", Joined(sizes)))
        if peer.pos_embed is not None:
            total, inside = peer.pos_embed.shape[1], 0 if peer.no_embed_class else count
            places = f"{image}.position_embedding.table"
            lines.append(line("pos_embed", places, Part(inside, total)))
            if inside:
                lines.append(line("pos_embed", f"{image}.prefix.positions", Part(0, inside)))
        [task, *others] = self.tasks()
        head = f"tasks.{task}.head"
        return [
            *lines,
            line("norm_pre", "core.encoder.input_norm"),
            *each(len(peer.blocks), "blocks.{}", "core.encoder.blocks.{}", BLOCK),
            line("norm", "core.encoder.final_norm"),
            *(line(f"attn_pool.{a}", f"{head}.pooling.{b}") for a, b in POOL.items()),
            line("fc_norm", f"{head}.norm"),
            line("head", f"{head}.linear"),
            *(line("head_dist", f"tasks.{other}.head.linear") for other in others),
        ]

    def blocks(self) -> dict[str, Sequence[nn.Module]]:
        return {"encoder": list(self.peer.blocks)}

    def trial(self) -> Trial:
        pixels, features = images(self.peer)
        return Trial({"x": pixels}, {"image": features})

    def outputs(self, trial: Trial) -> dict[str, Tensor]:
        peer = self.peer
        tokens = peer.forward_features(trial.inputs["x"])
        if hasattr(peer, "head_dist"):
            heads = {"label": peer.head(tokens[:, 0]), "distilled": peer.head_dist(tokens[:, 1])}
        else:
            heads = {name: peer.forward_head(tokens) for name in self.tasks()}
        return {"columns": tokens.flatten(0, 1), **heads}
