"""Published weights come in with a proof, go back bit for bit, and bad files change nothing."""

import json
import pickle
import re

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import unitf
from benchmarks.parity_cases.timm_images import SMALL
from unitf.cli import main
from unitf.interop.hub import hubs
from unitf.interop.parity import randomise


@pytest.fixture
def published(tmp_path):
    """A folder that timm opens, with random weights."""
    published_model = randomise(timm.create_model("vit_tiny_patch16_224", **SMALL).eval())
    folder = tmp_path / "published"
    hubs()["timm"].save(published_model, folder, None)
    config = json.loads((folder / "config.json").read_text())
    config["model_args"] = {k: v for k, v in SMALL.items() if k != "num_classes"}
    config["pretrained_cfg"]["crop_pct"] = 1.0  # an image of the model's size stays as it is
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def run(capsys, *words):
    """Exit status, what was printed, and what was said of mistakes."""
    status = main(list(map(str, words)))
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_what_was_imported_predicts_and_goes_back_bit_for_bit(published, tmp_path, capsys):
    ours, back = tmp_path / "ours", tmp_path / "back"
    status, out, err = run(capsys, "import", f"timm:{published}", "--out", ours, "--verbose")
    assert status == 0, err
    assert "encoder 2" in out and "the same input gives the same" in out
    status, out, err = run(capsys, "export", ours, "--to", "timm", "--out", back)
    assert status == 0, err
    before, after = (load_file(f / "model.safetensors") for f in (published, back))
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)

    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    published_model = timm.create_model(f"local-dir:{back}", pretrained=True).eval()
    mean, std = (
        torch.tensor(published_model.pretrained_cfg[k])[:, None, None] for k in ("mean", "std")
    )
    with torch.no_grad():
        expected = published_model(((image / 255 - mean) / std)[None]).softmax(1)[0]
    [found] = unitf.load(ours).predict([{"image": image}])
    assert found["label"] == expected.argmax().item()
    assert found["probability"] == pytest.approx(expected.max().item(), abs=1e-5)


def test_from_pretrained_reads_a_hub_and_what_unitf_saved_alike(published, tmp_path, capsys):
    run(capsys, "import", f"timm:{published}", "--out", tmp_path / "ours")
    one = unitf.from_pretrained(f"timm:{published}")
    other = unitf.from_pretrained(str(tmp_path / "ours"))
    for name, tensor in one.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(tensor, other.state_dict()[name]), name


def _truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _hide_code(folder):
    class Code:
        def __reduce__(self):
            return (print, ("this ran",))

    (folder / "model.safetensors").unlink()
    torch.save({"head.weight": Code()}, folder / "pytorch_model.bin", pickle_module=pickle)


def _change(**changes):
    def change(folder):
        state = load_file(folder / "model.safetensors") | changes
        state = {name: t for name, t in state.items() if t is not None}
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def _another_family(folder):
    config = json.loads((folder / "config.json").read_text())
    config = {"architecture": "resnet18", "num_classes": 7}
    published = timm.create_model("resnet18", num_classes=7)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(published.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_truncate, "damaged or truncated"),
        (_hide_code, "not plain data"),
        (_change(**{"head.bias": None}), "head.bias"),
        (_change(more=torch.zeros(2)), "more"),
        (_change(**{"head.bias": torch.zeros(9)}), "head.bias"),
        (_another_family, "ResNet.* is not supported; .*VisionTransformer"),
        (lambda folder: (folder / "config.json").write_text("{"), "not readable as JSON"),
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
    ],
)
def test_a_bad_source_is_one_line_and_nothing_is_written(
    published, tmp_path, capsys, damage, expected
):
    damage(published)
    status, out, err = run(capsys, "import", f"timm:{published}", "--out", tmp_path / "ours")
    assert status == 2 and not out
    assert err.count("\n") == 1
    assert re.search(expected, err), err
    assert not list(tmp_path.glob("*ours*"))


def test_a_model_that_computes_something_else_is_refused(published, tmp_path, capsys, monkeypatch):
    from unitf_image import timm_vit

    honest = timm_vit.TimmVisionTransformer.core
    monkeypatch.setattr(
        timm_vit.TimmVisionTransformer,
        "core",
        lambda self: unitf.TransformerConfig(**vars(honest(self)) | {"norm_eps": 1e-2}),
    )
    status, _, err = run(capsys, "import", f"timm:{published}", "--out", tmp_path / "ours")
    assert status == 2 and "unitf does not compute the same" in err
    assert not list(tmp_path.glob("*ours*"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["import", "vit_tiny_patch16_224", "--out", "x"],
            "expected a folder that unitf saved, or",
        ),
        (["import", "timm:vit_tinny", "--out", "x"], "timm has no model 'vit_tinny'"),
        (["import", "hf:./nowhere", "--out", "x"], "there is no such folder"),
    ],
)
def test_a_source_that_is_not_there_is_one_line(capsys, words, expected):
    status, _, err = run(capsys, *words)
    assert status == 2 and expected in err and err.count("\n") == 1


def test_a_folder_that_holds_something_is_not_overwritten(published, tmp_path, capsys):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mine.txt").write_text("mine")
    status, _, err = run(capsys, "import", f"timm:{published}", "--out", tmp_path / "ours")
    assert status == 2 and "is there already" in err
    assert [file.name for file in (tmp_path / "ours").iterdir()] == ["mine.txt"]


def test_models_lists_every_family_with_the_kinds_it_takes(capsys):
    status, out, _ = run(capsys, "models", "--json")
    found = {row["family"]: row for row in json.loads(out)["families"]}
    assert status == 0 and found["TimmVisionTransformer"]["hub"] == "timm"
    assert "VisionTransformer" in found["TimmVisionTransformer"]["kinds"]
