"""Of all of timm's vision transformers, those that unitf says: no tensor is left over."""

from collections import Counter

import pytest
import torch

from benchmarks.timm_registry import make, names
from unitf import UserError
from unitf.interop.convert import to_model
from unitf.interop.hub import describe, hubs

REFUSED = {
    "embedded by HybridEmbed": 14,
    "differ in their number of key and value heads": 4,
    "only its attention has a layer scale": 1,
    "blocks are of class ParallelThingsBlock": 2,
    "blocks are of class DiffParallelScalingBlock": 1,
    "attention is of class DiffAttention": 2,
    "is not supported": 17,  # relative positions by a network (13), SAM's windows (4)
}


def test_every_name_maps_without_a_tensor_left_over_or_says_why_not():
    hub, reasons = hubs()["timm"], []
    for name in names():
        published = make(name, 1, device="meta")
        try:
            architecture = describe(hub, published)
        except UserError as error:
            reasons.append(str(error))
            continue
        with torch.device("meta"):
            to_model(architecture)
    assert Counter(next(p for p in REFUSED if p in reason) for reason in reasons) == REFUSED


@pytest.mark.parametrize("name", ["vit_base_patch16_xp_224", "vit_tiny_patch16_224"])
def test_refused_options_are_one_line(name):
    published = make(name, 1, device="meta")
    published.global_pool = "max"
    with pytest.raises(UserError, match="is not supported: global_pool is 'max'"):
        describe(hubs()["timm"], published)
