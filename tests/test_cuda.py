"""On a GPU a step is that of the CPU, waits for nothing and is compiled whole."""

import copy
import subprocess
import sys

import pytest
import torch
from toys import Letters, Swings, make_learner

from unitf import Learner, TransformerConfig
from unitf.tasks import NextToken
from unitf.training import DataModule

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
DEVICE = "cuda"


def ready():
    """A learner with parameters, and a batch whose sequences differ in length."""
    learner = make_learner(head_dim=16)
    data = DataModule({"swings": Swings(size=24)}, batch_size=12)
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)
    return learner, next(iter(data.train_dataloader()))


def on(device, learner, batch):
    return copy.deepcopy(learner).to(device), batch.to(torch.device(device))


def test_a_step_is_that_of_the_cpu():
    learner, batch = ready()
    losses, gradients = [], []
    for device in ("cpu", DEVICE):
        model, moved = on(device, learner, batch)
        loss = model.loss(moved)
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad.cpu() for p in model.parameters() if p.grad is not None])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_never_waits_for_the_device(dtype):
    model, batch = on(DEVICE, *ready())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        with torch.autocast(DEVICE, dtype, enabled=dtype is not torch.float32):
            loss = model.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step()  # libraries are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_what_is_written_is_what_the_cpu_writes():
    torch.manual_seed(0)
    config = TransformerConfig(
        dim=32, depth=2, num_heads=2, kind="decoder", relative_positions="rotary"
    )
    learner = Learner(config, {"text": Letters}, {"next": NextToken(["text"])})
    learner.build_components()
    samples = [{"text": text} for text in ("hello", "a", "seven letters")]
    for options in ({}, {"num_beams": 3}):
        expected = learner.to("cpu").generate(samples, max_tokens=12, **options)
        found = learner.to(DEVICE).generate(samples, max_tokens=12, **options)
        assert [one["tokens"] for one in found] == [one["tokens"] for one in expected]


SCRIPT = """
import torch
from torch._dynamo.utils import counters
from unitf.core import Transformer, TransformerConfig
from unitf.tokens import Tokens

config = TransformerConfig(
    dim=64, depth=2, num_heads=2, relative_positions="rotary", kind="decoder"
)
core = Transformer(config).cuda()
core.compile_blocks()
for lengths in ([6, 3, 9], [8, 1, 2, 7], [30, 4]):
    rows = torch.randn(sum(lengths), 64, device="cuda", requires_grad=True)
    with torch.autocast("cuda", torch.bfloat16):
        core(Tokens.from_rows(rows, lengths)).rows.sum().backward()
assert not counters["graph_break"], dict(counters["graph_break"])
assert counters["stats"]["unique_graphs"] <= 2, counters["stats"]
"""


def test_compiled_blocks_have_no_break():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
