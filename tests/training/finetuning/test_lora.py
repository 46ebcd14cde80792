"""LoRA: the core stays, its adapters are trained, kept, kept apart, and merged."""

from pathlib import Path

import pytest
import torch
from small_models import CORE, built, fit, fresh_learner, learner_from, samples, weights_of

import unitf
from unitf import UserError
from unitf.checkpoints.source import read_source
from unitf.core import Transformer, TransformerConfig
from unitf.tokens import Tokens
from unitf.training.callbacks import Adapters
from unitf.training.finetuning import Freeze, LoRA

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


def test_peft_is_imported_only_where_it_is_used():
    import subprocess
    import sys

    script = "import sys, unitf.training.learner; assert 'peft' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
