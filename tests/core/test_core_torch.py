"""The core against torch's own layers with the same weights: outputs and every gradient."""

import pytest
import torch
from torch import nn

from unitf.core import Transformer, TransformerConfig
from unitf.tokens import Tokens

DIM, HEADS, HIDDEN = 16, 4, 24
SHAPE = {"dim": DIM, "depth": 1, "num_heads": HEADS, "hidden_dim": HIDDEN}
# theirs → ours, of what every layer has
SHARED = {
    "self_attn.in_proj_": "attention.qkv.",
    "self_attn.out_proj.": "attention.out.",
    "linear1.": "feedforward.inner.",
    "linear2.": "feedforward.out.",
    "norm1.": "attention_residual.norm.",
}
ENCODER = SHARED | {"norm2.": "feedforward_residual.norm."}
DECODER = SHARED | {
    "multihead_attn.out_proj.": "cross.out.",
    "norm2.": "cross_residual.norm.",
    "norm3.": "feedforward_residual.norm.",
}


def pairs(block, theirs, names):
    """Our parameters with those of torch; a projection that torch fuses otherwise is a slice."""
    ours, found = dict(block.named_parameters()), []
    for name, parameter in theirs.named_parameters():
        for start, replacement in names.items():
            if name.startswith(start):
                found.append((ours.pop(name.replace(start, replacement)), parameter, slice(None)))
        if name.startswith("multihead_attn.in_proj_"):
            kind = name.removeprefix("multihead_attn.in_proj_")
            found.append((ours.pop(f"cross.query.{kind}"), parameter, slice(DIM)))
            found.append((ours.pop(f"cross.kv.{kind}"), parameter, slice(DIM, None)))
    assert not ours
    return found


def copy_weights(found):
    with torch.no_grad():
        for mine, theirs, part in found:
            theirs.normal_(0, 0.3) if part == slice(None) else theirs[part].normal_(0, 0.3)
            mine.copy_(theirs[part])


def compare(out, expected, found):
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    for mine, theirs, part in found:
        torch.testing.assert_close(mine.grad, theirs.grad[part], rtol=1e-8, atol=1e-9)


def padded_batch(lengths):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(*mask.shape, DIM, dtype=torch.float64), mask


@pytest.mark.parametrize("lengths", [(6, 6, 6), (6, 2, 5)], ids=["equal", "ragged"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("position", ["pre", "post"])
def test_an_encoder_block_equals_torchs(position, activation, lengths):
    torch.manual_seed(0)
    core = Transformer(
        TransformerConfig(**SHAPE, norm_position=position, activation=activation)
    ).double()
    theirs = nn.TransformerEncoderLayer(
        DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=position == "pre"
    ).double()
    found = pairs(core.encoder.blocks[0], theirs, ENCODER)
    copy_weights(found)
    padded, mask = padded_batch(lengths)
    expected = theirs(padded, src_key_padding_mask=~mask)[mask]
    if position == "pre":
        expected = nn.functional.layer_norm(expected, (DIM,))
    compare(core(Tokens.from_padded(padded, mask)).rows, expected, found)


@pytest.mark.parametrize("position", ["pre", "post"])
def test_a_decoder_block_equals_torchs(position):
    torch.manual_seed(0)
    config = TransformerConfig(**SHAPE, kind="encoder-decoder", norm_position=position)
    core = Transformer(config).double()
    theirs = nn.TransformerDecoderLayer(
        DIM, HEADS, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=position == "pre"
    ).double()
    found = pairs(core.decoder.blocks[0], theirs, DECODER)
    copy_weights(found)
    padded, mask = padded_batch((4, 6, 1))
    memory, memory_mask = padded_batch((3, 2, 5))
    expected = theirs(
        padded,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64),
        tgt_is_causal=True,
        tgt_key_padding_mask=torch.zeros(mask.shape).masked_fill(~mask, -torch.inf).double(),
        memory_key_padding_mask=~memory_mask,
    )[mask]
    if position == "pre":
        expected = nn.functional.layer_norm(expected, (DIM,))
    out = core.decode(
        Tokens.from_padded(padded, mask), Tokens.from_padded(memory, memory_mask)
    ).rows
    compare(out, expected, found)
