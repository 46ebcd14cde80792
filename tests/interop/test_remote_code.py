"""Nothing that a folder of a published model names as code is run, whoever opens the folder."""

import ast
import builtins
import contextlib
import json
import re

import pytest
import torch
from folders import ROOT
from safetensors.torch import save_file

import unitf
from unitf import UserError
from unitf.interop.hub import find_hub

CODE = "import pathlib\n\npathlib.Path({ran!r}).touch()\n\n\nclass X: ...\n\n\nclass C: ...\n"
KINDS = (
    "AutoModel", "AutoConfig", "AutoTokenizer", "AutoImageProcessor", "AutoFeatureExtractor"
)  # fmt: skip


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder of which each file names code of its own, and whoever is asked says yes."""
    monkeypatch.setattr(builtins, "input", lambda *words: "y")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling_x.py").write_text(CODE.format(ran=str(tmp_path / "ran")))
    names = dict.fromkeys(KINDS, "modeling_x.X") | {"AutoConfig": "modeling_x.C"}
    names["AutoTokenizer"] = ["modeling_x.X", "modeling_x.X"]
    settings = {"model_type": "xxx", "architectures": ["BertModel"], "auto_map": names}
    for name in ("config", "tokenizer_config", "preprocessor_config", "processor_config"):
        (folder / f"{name}.json").write_text(json.dumps(settings))
    (folder / "vocab.txt").write_text("[UNK]\na\n")
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_an_import_runs_no_code_and_says_so(hostile, tmp_path):
    with pytest.raises(UserError, match="holds code of its own, which is not run"):
        unitf.from_pretrained(f"hf:{hostile}")
    assert not (tmp_path / "ran").exists()


def test_preparations_of_texts_images_and_sounds_run_no_code(hostile, tmp_path):
    import unitf_image.hf_preparation
    import unitf_video.hf_videomae
    from unitf_hubs.transformers_hub import _copy_preprocessing
    from unitf_text.companions import _frame
    from unitf_text.hf_clip_text import framing_of
    from unitf_text.published import _open
    from unitf_text.subwords import _published

    images, videos = unitf_image.hf_preparation._settings, unitf_video.hf_videomae._settings
    for read in (images, videos, _frame, framing_of, _open, _published):
        with contextlib.suppress(ValueError, OSError, TypeError, AttributeError):
            read(str(hostile))
    _copy_preprocessing(str(hostile), tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_no_preparation_is_opened_without_a_word_on_code():
    files = [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "unitf").rglob("*.py")]
    for file in (file for file in files if "template" not in file.parts):
        for call in (n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)):
            name = ast.unparse(call.func)
            if re.fullmatch(r"(\w+\.)?(Auto\w+|kind|cls)\.from_pretrained", name):
                assert "trust_remote_code=False" in ast.unparse(call), f"{file}:{call.lineno}"


@pytest.mark.parametrize("name", ["pipeline", "AutoTokenizer", "os"])
def test_a_saved_model_names_no_function_of_the_library(name):
    hub, _ = find_hub("hf:x")
    with pytest.raises(UserError, match=f"no model class '{name}'"):
        hub.make({"class": name, "config": {"model_type": "bert"}})
    hub, _ = find_hub("timm:x")
    with pytest.raises(UserError, match="timm has no model 'local-dir:/x'"):
        hub.make({"architecture": "local-dir:/x"})
