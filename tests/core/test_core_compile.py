"""Compiled blocks train as eager ones (in another process: the shape checks cannot be compiled)."""

import subprocess
import sys

import pytest

SCRIPT = """
import torch
from unitf.core import Transformer, TransformerConfig
from unitf.tokens import Tokens

torch.manual_seed(0)
config = TransformerConfig(dim=16, depth=2, num_heads=2, drop_path=0.1, **CHANGES)
eager, compiled = Transformer(config), Transformer(config)
compiled.load_state_dict(eager.state_dict())
names = list(compiled.state_dict())
compiled.compile_blocks()
assert list(compiled.state_dict()) == names

for step, lengths in enumerate([[6] * 4, [8] * 5, [9] * 6]):
    rows, weight = torch.randn(2, sum(lengths), 16)
    tokens = Tokens.from_rows(rows.requires_grad_(), lengths)
    outs = []
    for core in (eager, compiled):
        torch.manual_seed(step)
        core.zero_grad()
        outs.append(core(tokens).rows)
        (outs[-1] * weight).sum().backward()
    torch.testing.assert_close(*outs, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(compiled.parameters(), eager.parameters()):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)
graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
assert graphs == 1, f"compiled {graphs} times, for 2 blocks and 3 batches of other lengths"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"relative_positions": "beit", "grid": [4, 4], "norm": "rms_offset", "qk_norm": True},
        {"residual": "parallel_shared", "attention_softcap": 2.0, "relative_positions": "t5"},
    ],
    ids=["grid", "parallel"],
)
def test_compiled_blocks_equal_eager_ones(changes):
    script = f"CHANGES = {changes!r}\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


LEFT_ALONE = """
import sys
import torch
from unitf.core.uncompiled import uncompiled

assert "torch._dynamo" not in sys.modules  # a second to import, for those who compile nothing


def counts(mark):
    compiling = []

    def inner(rows):
        compiling.append(torch.compiler.is_compiling())
        return rows + 1

    @mark
    def left_alone(rows, length):
        compiling.append(torch.compiler.is_compiling())
        return inner(rows[:length])

    def outer(rows, length):
        return left_alone(rows * 2, length) * 3

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled, rows = torch.compile(outer, backend="eager"), torch.randn(9, 4)
    for length in range(2, 9):
        assert torch.equal(compiled(rows, length), outer(rows, length))
    assert len(compiling) == 4 * 7 and not any(compiling)
    return {kind: dict(torch._dynamo.utils.counters[kind]) for kind in ("stats", "frames")}


import torch._dynamo

found, expected = counts(uncompiled), counts(torch.compiler.disable)
assert found == expected and found["stats"]["unique_graphs"] > 1, (found, expected)
"""


@pytest.mark.slow
def test_what_is_left_alone_is_what_torch_would_leave_alone():
    done = subprocess.run([sys.executable, "-c", LEFT_ALONE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
