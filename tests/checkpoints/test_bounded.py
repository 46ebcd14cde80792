"""A configuration in a file describes a model about as large as the weights beside it."""

import struct

import pytest
import torch
from toys import make_data, make_learner

import unitf
from unitf import UserError
from unitf.checkpoints.folder import save_folder
from unitf.interop.exchange import as_checkpoint


@pytest.fixture
def content():
    learner = make_learner()
    learner.fit_components(make_data())
    learner.build_components()
    return as_checkpoint(learner)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 100_000}, "describes a model much larger than its|size mismatch"),
        ({"depth": 3_000_000}, "describes a model much larger than its"),
        ({"hidden_dim": 10**12}, "describes a model much larger than its"),
        ({"evil": 1}, "its configuration describes no model"),
        ({"dim": "wide"}, "its configuration describes no model"),
    ],
)
def test_a_model_that_its_weights_do_not_fill_is_refused_before_it_is_made(
    content, tmp_path, settings, message
):
    content["unitf"]["configuration"]["core"].update(settings)
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=message):
        unitf.load(tmp_path / "x.ckpt")


def test_a_model_is_loaded_as_it_was(content, tmp_path):
    model = unitf.load(save_folder(content, tmp_path / "model"))
    for name, value in content["state_dict"].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(model.state_dict()[name], value)


def test_a_header_of_a_safetensors_file_is_bounded(content, tmp_path):
    folder = save_folder(content, tmp_path / "model")
    (folder / "SHA256SUMS").unlink()
    header = b"{" + b" " * (2**24 + 10) + b"}"
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(UserError, match=r"a header of 16,777,228 bytes, expected at most"):
        unitf.load(folder)
