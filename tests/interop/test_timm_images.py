"""timm's vision transformers and unitf's are the same function, there and back."""

import pytest

from benchmarks.parity_cases.timm_images import CASES
from unitf.interop.hub import hubs
from unitf.interop.parity import measure


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_timm_computes(name):
    measure(hubs()["timm"], CASES[name]()).raise_if_broken()
