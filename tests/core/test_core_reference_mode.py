"""Fast paths off: attention by the textbook gives what every kernel gives, and trains alike."""

import csv
from dataclasses import replace

import pytest
import torch
from folders import ROOT

from unitf.cli import main
from unitf.core import Transformer, TransformerConfig
from unitf.core.attention.kernels import make_kernel
from unitf.core.attention.reference import ReferenceKernel
from unitf.nn.reference_mode import is_reference_mode, reference_mode
from unitf.tokens import Tokens

QUICKSTART = str(ROOT / "configs" / "quickstart.yaml")
LENGTHS = {
    "equal": (7, 7, 7),
    "different": (3, 12, 1, 7, 40),
    "long": (700, 3, 1100),
    "nothing": (0, 4, 0),
}
OPTIONS = {
    "everything": {},
    "causal": {"kind": "decoder"},
    "window": {"window": 3},
    "causal window": {"kind": "decoder", "window": 5},
    "chunks": {"chunk": 4},
    "ALiBi": {"relative_positions": "alibi"},
    "softcap": {"attention_softcap": 2.0},
    "few keys": {"num_kv_heads": 2, "relative_positions": "rotary"},
}


def core_and_tokens(lengths, **options):
    torch.manual_seed(0)
    core = Transformer(TransformerConfig(dim=16, depth=2, num_heads=4, **options))
    return core, Tokens.from_rows(torch.randn(sum(lengths), 16), lengths)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_the_plain_way_gives_the_same_columns_and_gradients(lengths, options):
    core, tokens = core_and_tokens(LENGTHS[lengths], **OPTIONS[options])
    found = []
    for plain in (False, True):
        core.zero_grad()
        with reference_mode(plain):
            columns = core(tokens).matrix
        columns.square().mean().backward()
        found.append([columns.detach(), *(p.grad.clone() for p in core.parameters())])
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_plain_paths_take_the_plain_kernel_and_end():
    core, tokens = core_and_tokens((3, 5))
    pattern = core.encoder._pattern(tokens.lengths, tokens.lengths, False)
    with reference_mode():
        assert is_reference_mode()
        assert isinstance(make_kernel(pattern, torch.device("cpu"), torch.float32), ReferenceKernel)
        with reference_mode(False):
            assert not is_reference_mode()
    assert not is_reference_mode()
    causal = replace(pattern, causal=True)
    assert not isinstance(make_kernel(causal, torch.device("cpu"), torch.float32), ReferenceKernel)


@pytest.mark.slow
def test_training_without_fast_paths_has_the_same_curve(tmp_path):
    curves = []
    for name, options in (("fast", []), ("plain", ["--plain"])):
        argv = [
            *options, "fit", "--config", QUICKSTART, "--out", str(tmp_path / name),
            "--data.batch_size", "12", "--data.num_workers", "0", "--model.core.dropout", "0",
            "--trainer.max_steps", "100", "--trainer.max_epochs", "1",
            "--trainer.log_every_n_steps", "1", "--trainer.limit_val_batches", "1",
            "--trainer.accelerator", "cpu", "--test_after_fit", "false",
        ]  # fmt: skip
        assert main(argv) == 0
        with (tmp_path / name / "metrics.csv").open() as file:
            steps = [row.get("train/loss_step") for row in csv.DictReader(file)]
        curves.append(torch.tensor([float(loss) for loss in steps if loss]))
    fast, plain = curves
    assert len(fast) == 100
    assert fast[-10:].mean() < fast[:10].mean() - 0.1
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
