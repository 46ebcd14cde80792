"""The text encoders of transformers and unitf's are the same function, there and back."""

import pytest

from benchmarks.parity_cases.text_encoders import CASES
from unitf.interop.hub import hubs
from unitf.interop.parity import measure


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_transformers_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()
