"""Norms, activations, feed-forwards and position schemes are registered classes."""

import json
from dataclasses import asdict

import pytest
import torch
import yaml
from folders import ROOT

import unitf
from unitf import registry
from unitf.cli import main
from unitf.core import Norm, Transformer, TransformerConfig
from unitf.core.named import normalised, saved
from unitf.core.residual import is_residual_output
from unitf.errors import UserError
from unitf.registry.core_parts import CORE_PARTS
from unitf.registry.discovery import KINDS, class_path
from unitf.tokens import Tokens

PLUGIN = ROOT / "tests" / "core" / "core_plugin.py"
SMALL = {"dim": 16, "depth": 2, "num_heads": 2}


class HalfNorm(Norm):
    """A norm of this session."""

    def __init__(self, config, width, factor=0.5):
        super().__init__()
        self.factor = factor

    def forward(self, input):
        return input * self.factor


@pytest.fixture
def half_norm():
    unitf.register(HalfNorm)
    yield
    entries = registry.registry._installed().entries
    entries[:] = [entry for entry in entries if entry.name != "HalfNorm"]


@pytest.mark.parametrize("kind", CORE_PARTS)
def test_what_unitf_brings_is_found_by_its_short_names(kind):
    for name in CORE_PARTS[kind]:
        cls = registry.find(kind, name)
        assert {*KINDS[kind].bases} & {class_path(base) for base in cls.__mro__}
        assert registry.name_of(kind, cls) == name
        assert registry.names(kind)[name] == ""


def test_a_part_of_a_notebook_is_named_with_its_arguments(half_norm):
    config = TransformerConfig(**SMALL, norm={"class_path": "HalfNorm", "init_args": {"factor": 2}})
    core = Transformer(config)
    assert core.encoder.final_norm.factor == 2
    assert asdict(config)["norm"] == {"class_path": "HalfNorm", "init_args": {"factor": 2}}
    assert TransformerConfig(**asdict(config)) == config
    assert TransformerConfig(**saved(config)) == config
    assert saved(config)["norm"]["package"] == "this session"


def test_a_setting_without_arguments_is_the_short_name():
    for value in ("rms", "unitf.core.norms.RMSNorm", {"class_path": "rms", "init_args": {}}):
        assert normalised("norm", value) == "rms"
    assert saved(TransformerConfig())["norm"] == "layer"


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("norm", "rmz", "norm: unknown 'rmz'; did you mean 'rms'? known are layer, rms"),
        ("feedforward", "Mixture", "did you mean 'MixtureOfExperts'? known are dense, Mix"),
        ("activation", {"class_path": "gelu", "init_args": {"x": 1}}, "Gelu has no arguments"),
        (
            "feedforward",
            {"class_path": "MixtureOfExperts", "init_args": {"num_expert": 2}},
            "argument of MixtureOfExperts: unknown 'num_expert'; did you mean 'num_experts'?",
        ),
        ("norm", {"init_args": {}}, "expected a name, or a name and its arguments, found"),
        ("norm", "unitf.core.experts.MixtureOfExperts", "expected a subclass of unitf.core.norms"),
        ("norm", "pickle.loads", "norm: pickle.loads: expected a subclass"),
        ("norm", "no_such_package.Norm", "no norm is called 'no_such_package.Norm'"),
        (
            "norm",
            {"class_path": "Gone", "package": "unitf-gone", "init_args": {}},
            "norm (saved with unitf-gone): unknown 'Gone'; known are layer",
        ),
    ],
)
def test_what_is_not_installed_is_one_line(field, value, message):
    with pytest.raises(UserError) as caught:
        TransformerConfig(**{field: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_a_class_refuses_names_the_setting():
    experts = {"class_path": "MixtureOfExperts", "init_args": {"num_experts": 2, "top_k": 3}}
    with pytest.raises(UserError, match="feedforward: top_k must be from 1 to num_experts 2"):
        Transformer(TransformerConfig(**SMALL, feedforward=experts))


@pytest.mark.parametrize("residual", ["sequential", "parallel", "parallel_shared"])
def test_marked_outputs_are_scaled_by_the_number_of_residuals(residual):
    torch.manual_seed(0)
    core = Transformer(TransformerConfig(dim=64, depth=4, num_heads=2, residual=residual))
    outputs = {n: m for n, m in core.named_modules() if is_residual_output(m)}
    assert sorted(outputs) == sorted(n for n, _ in core.named_modules() if n.endswith(".out"))
    for layer in outputs.values():
        assert layer.weight.std().item() == pytest.approx(0.0176 / 8**0.5, rel=0.1)


def test_every_output_of_an_expert_is_scaled_like_that_of_a_dense_feedforward():
    torch.manual_seed(0)
    core = Transformer(
        TransformerConfig(dim=64, depth=4, num_heads=2, feedforward="MixtureOfExperts")
    )
    outputs = [m for m in core.modules() if is_residual_output(m)]
    assert len(outputs) == 4 * (1 + 8)
    for layer in outputs:
        assert layer.weight.std().item() == pytest.approx(0.0176 / 8**0.5, rel=0.1)


RECIPE = {
    "model": {
        "core": {
            **SMALL,
            "norm": {"class_path": "DynamicTanh", "init_args": {"alpha": 0.8}},
            "activation": "SquaredRelu",
            "feedforward": {"class_path": "LowRank", "init_args": {"rank": 4}},
            "relative_positions": {"class_path": "NearerIsBetter", "init_args": {"power": 0.5}},
        },
        "tokenizers": {"text": {"class_path": "Characters"}},
        "tasks": {
            "digit": {
                "class_path": "Classification",
                "init_args": {"inputs": ["text"], "target": "digit"},
            }
        },
    },
    "data": {
        "sources": {"written": {"class_path": "NumberWords"}},
        "batch_size": 8,
        "num_workers": 0,
    },
    "trainer": {
        "max_steps": 4,
        "max_epochs": 1,
        "limit_val_batches": 1,
        "log_every_n_steps": 1,
        "accelerator": "cpu",
    },
}


@pytest.mark.slow
def test_parts_of_a_plugin_file_train_and_predict(tmp_path, capsys, monkeypatch):
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(RECIPE))
    plugin = ["--plugin", str(PLUGIN)]
    argv = ["fit", "--config", str(recipe), "--out", str(run), "--test_after_fit", "false"]
    # one setting of a part, changed on the command line
    argv += ["--model.core.feedforward.init_args.rank", "6"]
    assert main([*plugin, *argv]) == 0, capsys.readouterr().err
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert "train/output_size_step" in header
    assert "train/output_mean/encoder.1" in header
    model = unitf.load(run)
    core = model.core.encoder
    assert core.blocks[0].feedforward.inner.weight.shape == (6, 16)
    assert type(core.final_norm).__name__ == "DynamicTanh"
    assert type(core.positions).__name__ == "NearerIsBetter"
    assert model.configuration()["core"]["norm"] == {
        "class_path": "DynamicTanh",
        "package": "core_plugin.py",
        "init_args": {"alpha": 0.8},
    }
    capsys.readouterr()
    argv = ["predict", "--checkpoint", str(run), "--input", "text=seven", "--json"]
    assert main([*plugin, *argv]) == 0, capsys.readouterr().err
    [prediction] = json.loads(capsys.readouterr().out)
    assert prediction["task"] == "digit"
    # without the plugin: what is missing, and who had it
    entries = registry.registry._installed().entries
    monkeypatch.setattr(
        registry.registry._installed(), "entries", [e for e in entries if e.plugin != "core_plugin"]
    )
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "core_plugin.py" in error and "DynamicTanh" in error


def test_columns_of_a_plugin_do_not_depend_on_the_other_sequences():
    registry.load_file(PLUGIN)
    torch.manual_seed(0)
    core = Transformer(TransformerConfig(**RECIPE["model"]["core"])).eval()
    lengths = (5, 1, 9)
    tokens = Tokens.from_rows(torch.randn(sum(lengths), 16), lengths)
    together = core(tokens).split()
    for alone, packed in zip(tokens.split(), together, strict=True):
        torch.testing.assert_close(core(alone).rows, packed.rows, rtol=1e-5, atol=1e-5)
