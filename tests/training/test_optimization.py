"""The schedule, and the rate of each parameter by its depth."""

from functools import partial

import pytest
import torch
from timm.optim import Muon
from toys import Beats, Waves, make_data

from unitf import Learner, TransformerConfig, UserError
from unitf.tasks import Classification
from unitf.training.optimization import LayerIds, WarmupCosine, parameter_groups, scale_rates


def schedule_of(total_steps: int) -> WarmupCosine:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return WarmupCosine(optimizer, warmup=0.1, total_steps=total_steps)


def rates_of(schedule: WarmupCosine, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    rates = rates_of(schedule_of(20), 21)
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[11] == pytest.approx(0.5)
    assert rates[20] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("longer", [20, 40])
def test_a_run_that_goes_on_anneals_to_its_own_end(longer):
    first = schedule_of(20)
    rates_of(first, 10)
    second = schedule_of(longer)
    second.load_state_dict(first.state_dict())
    rates = rates_of(second, longer - 10)
    expected = [second.factor(step) for step in range(10, longer)]
    assert rates[1:] == pytest.approx(expected[1:])
    assert rates[-1] < 0.02 < rates[-5]


@pytest.fixture(scope="module")
def model():
    learner = Learner(
        TransformerConfig(dim=16, depth=2, num_heads=2, input_norm=True),
        {"waves": partial(Waves, position_embedding="learned", max_tokens=8), "beats": Beats},
        {"speed": Classification(["waves", "beats"], "speed", pooling="class_token")},
    )
    learner.fit_components(make_data())
    learner.build_components()
    return learner


def rates_by_name(model, **settings):
    names = {id(p): name for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(parameter_groups(model, **settings), lr=0.1, weight_decay=0.5)
    scale_rates(optimizer)
    return {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}


def test_each_block_below_the_top_learns_more_slowly(model):
    found = rates_by_name(model, layer_decay=0.5)
    assert found.keys() == dict(model.named_parameters()).keys()
    expected = {
        "tokenizers.": 0.0125,
        "core.encoder.input_norm": 0.0125,
        "tasks.speed.head.pooling.token": 0.0125,
        "core.encoder.blocks.0.": 0.025,
        "core.encoder.blocks.1.": 0.05,
        "core.encoder.final_norm": 0.1,
        "tasks.speed.head.linear": 0.1,
    }
    for name, group in found.items():
        (rate,) = [rate for start, rate in expected.items() if name.startswith(start)]
        assert group["lr"] == pytest.approx(rate), name


def test_parts_have_rates_of_their_own_and_the_longest_name_counts(model):
    rates = {"tokenizers": 0.5, "tokenizers.waves": 0.1, "core.encoder.blocks.1": 2.0}
    for layer_decay in (None, 0.5):
        plain = rates_by_name(model, layer_decay=layer_decay)
        for name, group in rates_by_name(model, layer_decay=layer_decay, rates=rates).items():
            factor = 1.0
            for begin in rates:  # the longest one is last
                factor = rates[begin] if name.startswith(f"{begin}.") else factor
            assert group["lr"] == pytest.approx(factor * plain[name]["lr"]), name
            assert group["weight_decay"] == plain[name]["weight_decay"]


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"tokenizers.wave": 0.5}, "begins with 'tokenizers.wave'; did you mean tokenizers.waves"),
        ({"tokenizers": 0.0}, "model.rates: tokenizers: expected a factor above 0, found 0.0"),
    ],
)
def test_rates_of_nothing_are_refused(model, rates, message):
    with pytest.raises(UserError, match=message):
        parameter_groups(model, rates=rates)


@pytest.mark.parametrize("layer_decay", [None, 0.5])
def test_matrices_decay_and_the_rest_does_not(model, layer_decay):
    found = rates_by_name(model, layer_decay=layer_decay)
    rest = {name for name, group in found.items() if group["weight_decay"] == 0}
    assert rest == {name for name in found if name.endswith((".bias", "norm.weight", ".column"))}
    if layer_decay is None:
        assert len({id(group) for group in found.values()}) == 2


def test_muon_trains_the_matrices_and_adamw_tables_and_biases():
    model = torch.nn.ModuleDict({"table": torch.nn.Embedding(8, 8), "map": torch.nn.Linear(8, 8)})
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer = Muon(parameter_groups(model), lr=0.01)
    optimizer.step()
    by_muon = {name: optimizer.state[p]["use_muon"] for name, p in model.named_parameters()}
    assert by_muon == {"table.weight": False, "map.weight": True, "map.bias": False}


def test_the_rates_keep_their_proportions_along_the_schedule(model):
    optimizer = torch.optim.SGD(parameter_groups(model, layer_decay=0.5), lr=1.0)
    scale_rates(optimizer)
    schedule = WarmupCosine(optimizer, total_steps=20)
    for _ in range(12):
        optimizer.step()
        schedule.step()
    rates = [group["lr"] / group["rate_scale"] for group in optimizer.param_groups]
    assert rates == pytest.approx([schedule.factor(12)] * len(rates))


def test_the_blocks_of_an_encoder_come_before_those_of_its_decoder():
    names = [f"core.{kind}.blocks.{n}.x" for kind in ("encoder", "decoder") for n in range(2)]
    levels = LayerIds(names)
    assert [levels(name) for name in names] == [1, 2, 3, 4]
    assert levels("tokenizers.a.unembedding.weight") == levels("tasks.a.head.x") == 5
    assert levels("tokenizers.a.embedding.weight") == levels("core.decoder.input_norm.x") == 0
