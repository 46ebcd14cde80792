"""Batch normalisation: one batch, whatever sizes it has and whatever process holds it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from unitf.nn.batch_norm import BatchNorm

CHANNELS = 3


def layers():
    """Ours, and torch's with the same weights and statistics."""
    torch.manual_seed(0)
    ours, peer = BatchNorm(CHANNELS), nn.BatchNorm1d(CHANNELS)
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    nn.init.normal_(ours.running_mean)
    peer.load_state_dict(ours.state_dict())
    return ours, peer


def rows(count):
    return torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(count)) * 2 + 5


def learn(layer, inputs, normalise):
    """Outputs and gradients of the inputs, for a loss that weighs each number differently."""
    inputs = [part.clone().requires_grad_() for part in inputs]
    outputs = normalise(inputs)
    joined = torch.cat([part.movedim(1, -1).flatten(0, -2) for part in outputs])
    sum_of(joined).backward()
    return joined, [part.grad for part in inputs]


def sum_of(joined, first=0):
    weights = torch.arange(first * CHANNELS, (first + len(joined)) * CHANNELS).float().sin()
    return (joined.flatten() * weights).sum()


def assert_same(ours, peer):
    for name, value in peer.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    for name, value in peer.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, value.grad)


def test_tensors_of_several_sizes_are_one_batch():
    ours, peer = layers()
    all_rows = rows(4 * 6 + 2 * 9)
    sizes = [
        all_rows[:24].view(4, 2, 3, CHANNELS).movedim(-1, 1),
        all_rows[24:].view(2, 9, CHANNELS).movedim(-1, 1),
    ]
    made, gradients = learn(ours, sizes, ours.normalise)
    expected, (gradient,) = learn(peer, [all_rows], lambda parts: [peer(parts[0])])
    torch.testing.assert_close(made, expected)
    flat = torch.cat([part.movedim(1, -1).flatten(0, -2) for part in gradients])
    torch.testing.assert_close(flat, gradient, atol=1e-5, rtol=1e-4)
    assert_same(ours, peer)
    ours.eval(), peer.eval()
    torch.testing.assert_close(
        torch.cat(ours.normalise([rows(2), rows(1)])), peer(torch.cat([rows(2), rows(1)]))
    )


def test_half_precision_goes_through_with_statistics_in_full():
    ours, peer = layers()
    halves = [rows(7).bfloat16(), rows(5).bfloat16()]
    made, gradients = learn(ours, halves, ours.normalise)
    expected, (gradient,) = learn(peer, [torch.cat(halves).float()], lambda parts: [peer(*parts)])
    assert made.dtype == gradients[0].dtype == torch.bfloat16
    torch.testing.assert_close(made.float(), expected, atol=0.02, rtol=0.02)
    torch.testing.assert_close(torch.cat(gradients).float(), gradient, atol=0.02, rtol=0.02)
    torch.testing.assert_close(ours.running_var, peer.running_var)


@pytest.mark.parametrize("counts", [(1,), (0,), (0, 0), (1, 0)])
def test_a_single_place_has_no_variance_and_takes_what_was_learned(counts):
    ours, peer = layers()
    before = ours.state_dict()["running_mean"].clone()
    made = torch.cat(ours.normalise([rows(count) for count in counts]))
    torch.testing.assert_close(made, peer.eval()(torch.cat([rows(count) for count in counts])))
    assert torch.equal(ours.running_mean, before) and ours.num_batches_tracked == 0


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
import torch
from torch import distributed
from test_batch_norm import layers, rows, sum_of

if __name__ == "__main__":
    rank, counts = int(sys.argv[1]), [int(count) for count in sys.argv[2:]]
    distributed.init_process_group(
        "gloo", init_method="file://{folder}/meeting", rank=rank, world_size=2
    )
    ours, first = layers()[0], sum(counts[:rank])
    own = rows(sum(counts))[first : first + counts[rank]].requires_grad_()
    made = ours(own)
    sum_of(made, first).backward()
    torch.save(
        dict(made=made.detach(), gradient=own.grad, state=ours.state_dict(),
             parameters=dict((n, p.grad) for n, p in ours.named_parameters())),
        "{folder}/%d.pt" % rank,
    )
    distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(5, 3), (6, 0), (1, 1), (1, 0)])
def test_two_processes_hold_one_batch(tmp_path, counts):
    script = tmp_path / "two.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), folder=tmp_path))
    arguments = [sys.executable, str(script)]
    both = [
        subprocess.Popen([*arguments, str(rank), *map(str, counts)], stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    _, peer = layers()
    if sum(counts) == 1:
        peer.eval()
    made, (gradient,) = learn(peer, [rows(sum(counts))], lambda inputs: [peer(inputs[0])])
    torch.testing.assert_close(torch.cat([part["made"] for part in parts]), made.detach())
    torch.testing.assert_close(
        torch.cat([part["gradient"] for part in parts]), gradient, atol=1e-5, rtol=1e-4
    )
    for name, parameter in peer.named_parameters():
        torch.testing.assert_close(sum(p["parameters"][name] for p in parts), parameter.grad)
    for name, value in peer.state_dict().items():
        assert all(torch.allclose(part["state"][name], value, atol=1e-6) for part in parts), name
