"""LoRA: the core stays, its adapters are trained, kept, kept apart, and merged."""

import subprocess
import sys

import pytest
import torch
from small_models import CORE, built, fit, fresh_learner, learner_from, samples, weights_of

import unitf
from unitf import UserError
from unitf.core import Transformer, TransformerConfig
from unitf.core.lora import LoRA, add_adapters
from unitf.loading import read_source
from unitf.tokens import Tokens
from unitf.training.callbacks import Adapters
from unitf.training.finetuning import Freeze

ALL = ("attention.qkv", "attention.out", "feedforward.inner", "feedforward.out")


@pytest.fixture(scope="module")
def adapted(source, tmp_path_factory):
    """A run with adapters over the trained model: its folder, and the Learner."""
    folder = tmp_path_factory.mktemp("adapted")
    torch.manual_seed(0)
    learner = learner_from(pretrained=source, lora=LoRA(rank=2, alpha=8, dropout=0.1, layers=ALL))
    trainer = fit(learner, folder, max_epochs=2)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt")
    Adapters(str(folder)).on_fit_end(trainer, learner)
    return folder, learner


def test_the_core_stays_and_its_adapters_are_trained(adapted, source):
    theirs = read_source(source)["state_dict"]
    ours = weights_of(adapted[1])
    base = {n.replace(".base_layer", ""): w for n, w in ours.items() if "lora" not in n}
    core = [name for name in theirs if name.startswith("core.")]
    assert all(torch.equal(base[name], theirs[name]) for name in core)
    grown = [weight.abs().max() for name, weight in ours.items() if "lora_B" in name]
    assert len(grown) == 4 * CORE["depth"] and all(size > 0 for size in grown)


def test_adapters_are_trained_beside_a_core_that_is_frozen(source, tmp_path):
    learner = learner_from(pretrained=source, lora=LoRA(rank=2), freeze=Freeze(("core",)))
    fit(learner, tmp_path)
    grown = [w.abs().max() for name, w in weights_of(learner).items() if "lora_B" in name]
    assert grown and all(size > 0 for size in grown)


def test_adapters_change_nothing_at_first(source):
    plain = built(learner_from(pretrained=source, tasks={}))
    fresh = built(learner_from(pretrained=source, tasks={}, lora=LoRA(rank=2)))
    assert fresh.predict(samples()) == plain.predict(samples())


def test_a_checkpoint_with_adapters_is_enough_by_itself(adapted):
    folder, learner = adapted
    assert unitf.load(folder).predict(samples()) == learner.predict(samples())


def columns_of(core: Transformer) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(7, CORE["dim"], generator=generator)
    tokens = Tokens.from_rows(rows, (3, 4), torch.zeros(1, 7))
    with torch.no_grad():
        return core.eval()(tokens).matrix


def test_merged_is_unmerged_to_rounding(adapted):
    folder, learner = adapted
    source = read_source(str(folder))
    assert "lora" not in source["configuration"]
    core = Transformer(TransformerConfig(**source["configuration"]["core"]))
    before = columns_of(core)
    core.load_state_dict(
        {n[5:]: w for n, w in source["state_dict"].items() if n.startswith("core.")}
    )
    torch.testing.assert_close(columns_of(core), columns_of(learner.core), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before, columns_of(core), atol=1e-3)


def test_adapters_apart_are_those_of_peft(adapted, source):
    from peft import PeftModel

    folder, learner = adapted
    core = built(learner_from(pretrained=source)).core
    plain = columns_of(core)
    model = PeftModel.from_pretrained(core, str(folder / "adapters"))
    again = columns_of(model.base_model.model)
    assert torch.equal(again, columns_of(learner.core))
    assert not torch.allclose(again, plain, atol=1e-3)


def test_a_model_with_adapters_is_itself_a_source(adapted):
    folder, learner = adapted
    again = built(learner_from(pretrained=str(folder), tasks={}))
    assert again.lora is None
    found, expected = again.predict(samples()), learner.predict(samples())
    assert [p["label"] for p in found] == [p["label"] for p in expected]
    assert [p["probability"] for p in found] == pytest.approx(
        [p["probability"] for p in expected], abs=1e-5
    )


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match=r"no layer 'attention\.key'; known are attention\.qkv, "):
        fresh_learner(lora=LoRA(layers=("attention.key",)))
    with pytest.raises(UserError, match="expected 1 or more, found 0"):
        LoRA(rank=0)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_adapters_are_trained_as_those_of_peft_bit_for_bit(dropout, autocast):
    from peft import LoraConfig, inject_adapter_in_model

    lora = LoRA(rank=3, alpha=8, dropout=dropout, layers=ALL)
    peft = LoraConfig(r=3, lora_alpha=8, lora_dropout=dropout, target_modules=list(ALL))
    losses, states = [], []
    for adapt in (
        lambda core: add_adapters(core, lora),
        lambda core: inject_adapter_in_model(peft, core),
    ):
        torch.manual_seed(0)
        core = Transformer(TransformerConfig(**CORE))
        adapt(core)
        trained = [p for p in core.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2)
        tokens = Tokens.from_rows(torch.randn(11, CORE["dim"]), (4, 7))
        wanted = torch.randn(11, CORE["dim"])
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = (core(tokens).rows.float() - wanted).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        states.append(core.state_dict())
    assert losses[:3] == losses[3:] and losses[0] > losses[2]
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_adapters_need_no_peft():
    script = (
        "import sys, unitf\n"
        "from unitf.core.lora import LoRA, add_adapters\n"
        "core = unitf.Transformer(unitf.TransformerConfig(dim=8, depth=1, num_heads=1))\n"
        "add_adapters(core, LoRA())\n"
        "import unitf.training.learner\n"
        "assert 'peft' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
