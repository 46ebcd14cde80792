"""transformers' models of time series and unitf's are the same function, there and back."""

import numpy as np
import pytest
import torch
import transformers

from benchmarks.parity_cases.hf_series import CASES
from unitf import UserError
from unitf.cli import main
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import measure, randomise
from unitf.loading import load


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_transformers_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()


def test_a_saved_folder_forecasts_as_the_peer_and_goes_back(tmp_path):
    published = randomise(CASES["PatchTST, forecast"]().eval())
    published.save_pretrained(tmp_path / "peer")
    series = np.random.default_rng(0).normal(size=(30, 3)).cumsum(0).astype(np.float32)
    ours, back = tmp_path / "ours", tmp_path / "back"
    assert main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(ours)]) == 0
    with torch.no_grad():
        expected = published(torch.from_numpy(series[None, -22:])).prediction_outputs[0]
    [made] = load(ours).predict([{"series": series}])
    torch.testing.assert_close(torch.tensor(made["forecast"]), expected, rtol=1e-4, atol=1e-5)
    assert main(["export", str(ours), "--to", "hf", "--out", str(back)]) == 0
    again = type(published).from_pretrained(back)
    for key, tensor in published.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("PatchTSTModel", {"channel_attention": True}, "channel_attention"),
        ("PatchTSTModel", {"use_cls_token": True}, "use_cls_token"),
        ("PatchTSTForPrediction", {"share_projection": False}, "separate projections"),
        ("PatchTSTForPrediction", {"loss": "nll"}, "loss 'nll'"),
        ("PatchTSTForClassification", {"pooling_type": "max"}, "pooling 'max'"),
        ("PatchTSTForPretraining", {}, "do_mask_input"),
    ],
)
def test_what_unitf_lacks_is_refused(name, options, message):
    cls = getattr(transformers, name)
    with pytest.raises(UserError, match=message):
        describe(hubs()["hf"], cls(transformers.PatchTSTConfig(**options)))
