"""The recurrent models that benchmarks/bottleneck.py compares with."""

import pytest
import torch

from benchmarks.bottleneck import buckets, join
from benchmarks.recurrent import AdditiveAttention, FinalState, Recurrent
from unitf import Features

LENGTHS = (5, 1, 9, 5)


@pytest.fixture(params=[FinalState, AdditiveAttention])
def network(request):
    torch.manual_seed(0)
    network = Recurrent(20, request.param, dim=16).eval()
    with torch.no_grad():
        # else every translation repeats the start, whose vector the one table has on both sides
        network.readout.weight[:, :16] = 0
        network.readout.weight.mul_(10)
        network.bridge.weight.mul_(10)
    return network


def random_ids(lengths):
    return Features(torch.randint(3, 20, (sum(lengths),)), lengths=lengths)


def test_what_is_generated_is_most_probable_also_as_a_target(network):
    source = random_ids(LENGTHS)
    rows = network.generate(source, start=1, end=2, longest=12)
    assert len({tuple(row) for row in rows}) > 1
    said = torch.tensor([word for row in rows for word in row])
    target = Features(said, lengths=tuple(map(len, rows)))
    logits, words = network(source, target, start=1)
    assert torch.equal(logits.argmax(1), words)


def test_a_sequence_is_translated_as_it_would_be_alone(network):
    source = random_ids(LENGTHS)
    together = network.generate(source, start=1, end=2, longest=12)
    alone = [network.generate(one, start=1, end=2, longest=12)[0] for one in source.split()]
    assert together == alone


def test_only_attention_sees_more_of_the_source_than_its_final_state(network):
    source = network.encode(random_ids(LENGTHS))
    prepared = network.context.prepare(source)
    seen = [
        network.context(prepared, source, torch.full((len(LENGTHS), 16), value))
        for value in (-1.0, 1.0)
    ]
    assert torch.equal(*seen) == isinstance(network.context, FinalState)


def test_every_source_is_in_the_bucket_of_its_length():
    single = [("word " * (1 + n % 30), "mot " * n) for n in range(101)]
    pairs = single + join(single, 2) + join(single, 3)
    assert pairs[101] == (single[0][0] + " " + single[1][0], single[0][1] + " " + single[1][1])
    found = buckets([source for source, _ in pairs])
    assert found["all"] == list(range(101))
    assert found["2 joined"] == list(range(101, 151))
    assert found["3 joined"] == list(range(151, 184))
    words = [label for label in found if label != "all" and "joined" not in label]
    assert sorted(n for label in words for n in found[label]) == found["all"]
    assert {len(pairs[n][0].split()) for n in found["9-12"]} == {9, 10, 11, 12}
