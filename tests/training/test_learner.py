"""The Learner: trains, measures by modality, and is made again from its checkpoint alone."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import Beats, Swings, make_data, make_learner, make_trainer

import unitf
from unitf import Batch, UserError
from unitf.checkpoints.folder import save_folder
from unitf.data.encoder import Item
from unitf.fitting import fit_components
from unitf.tasks import Classification

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)  # whatever other tests drew before
    learner, data = make_learner(), make_data()
    trainer = make_trainer(folder, max_epochs=12)
    trainer.fit(learner, datamodule=data)
    trainer.test(learner, datamodule=data, verbose=False)
    trainer.save_checkpoint(folder / "model.ckpt")
    return learner, folder / "model.ckpt"


def test_it_learns_and_tells_every_modality(trained):
    figures = trained[0].results["test"]["speed"]
    assert set(figures) == {"all", "waves", "beats", "waves+beats"}
    assert figures["all"]["accuracy"] > 0.9
    parts = [figures[m] for m in ("waves", "beats", "waves+beats")]
    assert sum(part["num_samples"] for part in parts) == figures["all"]["num_samples"] == 96
    together = sum(part["accuracy"] * part["num_samples"] for part in parts) / 96
    assert figures["all"]["accuracy"] == pytest.approx(together, abs=1e-5)


def test_a_checkpoint_is_enough_by_itself(trained):
    learner, path = trained
    samples = [{k: v for k, v in s.items() if k != "speed"} for s in Swings().read("test", HERE)]
    again = unitf.load(path)
    assert again.predict(samples) == learner.eval().predict(samples)
    assert again.tokenizers["waves"].fitted == learner.tokenizers["waves"].fitted


def test_prediction_does_not_depend_on_the_batch(trained):
    learner, _ = trained
    samples = Swings(size=7).read("test", HERE)
    together = learner.predict(samples)
    alone = [learner.predict([sample])[0] for sample in samples]
    assert [p["label"] for p in together] == [p["label"] for p in alone]
    assert [p["probability"] for p in together] == pytest.approx(
        [p["probability"] for p in alone], abs=1e-5
    )


def test_a_batch_without_samples_reaches_every_parameter():
    learner, data = make_learner(), make_data()
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)
    encode = unitf.data.Encoder(learner.tokenizers, learner.tasks)
    batch = encode([])
    loss = learner.total_loss(batch, learner._losses(batch, learner(batch)))
    loss.backward()
    lacking = [name for name, p in learner.named_parameters() if p.grad is None]
    assert not lacking
    assert loss.item() == 0
    assert isinstance(batch, Batch)


def test_an_input_without_a_tokenizer_is_named():
    from unitf import Learner, TransformerConfig
    from unitf.tasks import Classification

    task = Classification(["sound"], "digit", classes=[0, 1])
    with pytest.raises(UserError, match="'sound' needs a tokenizer, expected model"):
        Learner(TransformerConfig(dim=8, depth=1, num_heads=1), {}, {"digit": task})


def test_a_damaged_checkpoint_is_one_clear_line(trained, tmp_path):
    whole = trained[1].read_bytes()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"hello",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: damaged or not a checkpoint"):
            unitf.load(tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[]", "damaged, or not a folder that unitf saved"),
        ("{}", "damaged, or not a folder that unitf saved"),
        ('{"states": {}}', "not made by unitf"),
    ],
)
def test_a_damaged_folder_is_one_clear_line(trained, tmp_path, settings, message):
    folder = save_folder(torch.load(trained[1], weights_only=True), tmp_path / "model")
    assert unitf.load(folder).predict([{"waves": [0.5] * 8}])
    (folder / "unitf.json").write_text(settings)
    (folder / "SHA256SUMS").unlink()  # it would tell the change before anybody reads the file
    with pytest.raises(UserError, match=message):
        unitf.load(folder)


def test_a_tokenizer_is_fitted_on_its_columns_in_the_order_of_the_tasks():
    told = []

    class Told(Beats):
        def fit(self, values):
            told.append([value[0] for value in values])
            self.fitted = {"it": 1}

    names = [f"column {number}" for number in range(9)]
    task = Classification(dict.fromkeys(names, "told"), "label", [0, 1])
    sample = {name: [number] for number, name in enumerate(names)}
    data = SimpleNamespace(on_error="raise", training_items=lambda: iter([Item(sample, "", 0)]))
    fit_components({"told": Told(8)}, {"task": task}, data)
    assert told == [list(range(9))]


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"unitf": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="not plain data"):
        unitf.load(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()


def test_what_is_said_of_code_is_its_name_and_no_advice_to_run_it(tmp_path):
    torch.save({"unitf": torch.nn.Linear(2, 2)}, tmp_path / "code.ckpt")
    with pytest.raises(UserError) as raised:
        unitf.load(tmp_path / "code.ckpt")
    said = "not plain data (it holds code: torch.nn.modules.linear.Linear)"
    assert str(raised.value).endswith(said)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ([1], "configuration"),
        ({"unitf": 3}, "configuration"),
        ({"unitf": {}, "state_dict": {}}, "configuration"),
        ({"unitf": {"configuration": {}}}, "weights"),
        ({"unitf": {"configuration": {}}, "state_dict": 3}, "weights"),
    ],
)
def test_what_unitf_did_not_make_is_one_clear_line(tmp_path, content, missing):
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match=rf"not made by unitf \(it holds no {missing}\)"):
        unitf.load(tmp_path / "odd.ckpt")


@pytest.mark.parametrize("verb", ["predict", "generate", "embed"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_a_sample_or_more(verb, size):
    with pytest.raises(UserError, match=f"batch_size: expected 1 or more, found {size}"):
        getattr(make_learner(), verb)([{"waves": np.ones(8)}], batch_size=size)


@pytest.mark.parametrize(
    "named",
    [
        {"class_path": "this.Tokenizer"},
        {"class": "Tokenizer", "kind": "tokenizers", "distribution": "this"},
        {"class": "Tokenizer", "kind": "tokenizers", "file": "this.py"},
        {"class": "Tokenizer", "kind": "tokenizers", "module": "this"},
    ],
    ids=["format 1", "distribution", "file", "module"],
)
def test_a_checkpoint_that_names_a_foreign_class_does_not_import_it(trained, tmp_path, named):
    checkpoint = torch.load(trained[1], weights_only=True)
    settings = checkpoint["unitf"]["configuration"]["tokenizers"]
    settings["waves"] = {**named, "init_args": {}}
    torch.save(checkpoint, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="this"):
        unitf.load(tmp_path / "other.ckpt")
    assert "this" not in sys.modules


def test_wrong_input_to_predict_names_the_sample(trained):
    with pytest.raises(UserError, match="sample 1: no input column waves or beats"):
        trained[0].predict([{"waves": np.ones(8)}, {"image": 1}])


DDP = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {here!r})
from toys import make_data, make_learner, make_trainer
import torch
if __name__ == "__main__":
    processes = int(sys.argv[1])
    torch.manual_seed(0)
    learner, data = make_learner(), make_data(batch_size=12 // processes)
    # Adam would make whole steps of rounding errors, where the true gradient is 0 (keys' biases)
    learner.optimizer = partial(torch.optim.SGD, lr=0.3)
    trainer = make_trainer(
        Path({folder!r}), max_steps=5, devices=processes,
        strategy="ddp" if processes > 1 else "auto",
    )
    torch.manual_seed(1)
    trainer.fit(learner, datamodule=data)
    if trainer.is_global_zero:
        torch.save(
            {{"weights": learner.state_dict(), "results": learner.results}},
            Path({folder!r}) / f"{{processes}}.pt",
        )
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    script = tmp_path / "ddp.py"
    script.write_text(DDP.format(here=str(HERE.parent), folder=str(tmp_path)))
    for processes in ("1", "2"):
        subprocess.run(
            [sys.executable, str(script), processes], check=True, timeout=300, capture_output=True
        )
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    for name, weight in one["weights"].items():
        if isinstance(weight, torch.Tensor):
            assert torch.allclose(weight, two["weights"][name], atol=1e-5), name
    assert one["results"]["validation"]["speed"]["all"]["loss"] == pytest.approx(
        two["results"]["validation"]["speed"]["all"]["loss"], abs=1e-5
    )


def test_what_is_built_later_does_not_depend_on_who_seeds_in_between():
    built = []
    for seed in (1, 2):
        torch.manual_seed(0)
        learner = make_learner()
        learner.fit_components(make_data())
        torch.manual_seed(seed)  # as Lightning does where there are several processes
        learner.build_components()
        built.append(learner.state_dict())
    same, other = built
    assert all(torch.equal(v, other[k]) for k, v in same.items() if torch.is_tensor(v))


def test_a_checkpoint_of_another_model_is_told_apart(trained, tmp_path):
    _, path = trained
    test = make_trainer(tmp_path).test
    with pytest.warns(
        UserWarning, match=r"the checkpoint is of a model with core.dropout: 0.0, not 0.5"
    ):
        test(make_learner(dropout=0.5), datamodule=make_data(), ckpt_path=path, verbose=False)
    with pytest.raises(
        UserError, match=r"another model: core.dim: 32, not 48; core.head_dim: 16, not 24"
    ):
        test(make_learner(dim=48), datamodule=make_data(), ckpt_path=path, verbose=False)


def test_a_checkpoint_of_the_same_model_is_not_remarked_upon(trained, tmp_path, recwarn):
    make_trainer(tmp_path).test(
        make_learner(), datamodule=make_data(), ckpt_path=trained[1], verbose=False
    )
    assert not [w for w in recwarn if "checkpoint is of a model" in str(w.message)]
