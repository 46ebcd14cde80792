"""A model that is there predicts and writes without what only training needs (own processes)."""

import json
import subprocess
import sys
import wave
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from unitf_audio import SpectrogramFrames
from unitf_image import ImagePatches
from unitf_text import Bytes, Words

from unitf import Model, TransformerConfig
from unitf.checkpoints.folder import save_folder
from unitf.core.lora import LoRA
from unitf.generation import Generation
from unitf.interop.exchange import as_checkpoint
from unitf.tasks import Classification, NextToken, SequenceToSequence

NEVER = {
    "lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics", "datasets", "sklearn",
    "matplotlib", "transformers", "torchvision", "scipy", "timm", "tensorboard",
    "pandas", "peft", "jsonargparse", "sympy", "torch._dynamo", "sacrebleu", "nltk",
}  # fmt: skip
TEXTS = ["a cat", "a dog"]


def image_model() -> Model:
    """Looks at pictures, and can be asked for neighbours among them."""
    pictures = partial(ImagePatches, patch=4, size=8, channels=1, mean=0.5, std=0.5)
    tasks = {"kind": Classification(["image"], "kind", classes=["cat", "dog"])}
    return Model(TransformerConfig(dim=16, depth=2, num_heads=2), {"image": pictures}, tasks)


def adapted_model() -> Model:
    """The same with adapters."""
    pictures = partial(ImagePatches, patch=4, size=8, channels=1, mean=0.5, std=0.5)
    tasks = {"kind": Classification(["image"], "kind", classes=["cat", "dog"])}
    core = TransformerConfig(dim=16, depth=2, num_heads=2)
    return Model(core, {"image": pictures}, tasks, lora=LoRA(rank=2))


def sound_model() -> Model:
    tasks = {"digit": Classification(["sound"], "digit", classes=[0, 1])}
    core = TransformerConfig(dim=16, depth=1, num_heads=2)
    return Model(core, {"sound": SpectrogramFrames}, tasks)


def language_model() -> Model:
    core = TransformerConfig(dim=16, depth=1, num_heads=2, kind="decoder")
    text = partial(Bytes, max_tokens=40)
    return Model(core, {"text": text}, {"write": NextToken(["text"])})


def writer() -> Model:
    """Writes a text for a text, and is measured by texts when it is trained."""
    core = TransformerConfig(dim=16, depth=1, num_heads=2, kind="encoder-decoder")
    task = SequenceToSequence(
        ["text"], "answer", "text", generate=Generation(max_tokens=4), metrics=["bleu", "f1"]
    )
    return Model(core, {"text": partial(Words, max_tokens=40)}, {"write": task})


MODELS = {
    make.__name__: make
    for make in (image_model, adapted_model, sound_model, language_model, writer)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saved models, each in a folder of its name, and an image, a sound and texts."""
    folder = tmp_path_factory.mktemp("models")
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for number in range(2):
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels * (number + 1)).save(folder / "images" / f"{number}.png")
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(4000) / 5) * 9000).astype(np.int16).tobytes())
    for name, make in MODELS.items():
        torch.manual_seed(0)
        model = make()
        for tokenizer in model.tokenizers.values():
            tokenizer.fit(tokenizer.examples())
        model.build_components()
        save_folder(as_checkpoint(model), folder / name)
    return folder


def modules_after(script: str) -> set[str]:
    """What a fresh process that runs a script has imported at its end."""
    script = f"{script}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = set(json.loads(done.stderr.strip().splitlines()[-1]))
    assert "unitf" in found
    return found


COMMANDS = {
    "predict an image": "predict --checkpoint {0}/image_model --input image={0}/images/0.png",
    "predict with adapters": "predict --checkpoint {0}/adapted_model --input {0}/images",
    "predict a sound": "predict --checkpoint {0}/sound_model --input sound={0}/sound.wav --json",
    "generate": "generate --checkpoint {0}/language_model --text once --max-tokens 3",
    "stream": "generate --checkpoint {0}/language_model --text once --max-tokens 3 --stream",
    "write for a text": "generate --checkpoint {0}/writer --text cat --max-tokens 3 --num-beams 2",
    "nearest tokens": "nearest --checkpoint {0}/language_model --query a --top 3",
    "nearest samples": (
        "nearest --checkpoint {0}/image_model --input image={0}/images/0.png --data {0}/images"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_imports_nothing_that_only_training_needs(folder, words):
    words = words.format(folder).split()
    found = modules_after(f"from unitf.cli import main\nassert main({words!r}) == 0")
    assert found & NEVER == set()


IN_PYTHON = {
    "load, predict, embed": (
        "image_model",
        "model.predict([{'image': image}]); model.embed([{'image': image}])",
    ),
    "attention": (
        "image_model",
        "from unitf.analysis.attention import attend\n"
        "assert attend(model, {'image': image}).maps[0].rows.shape[:2] == (2, 2)",
    ),
    "page of attention": (
        "image_model",
        "from pathlib import Path\n"
        "from unitf.analysis.attention import attend\n"
        "from unitf.analysis.attention.page import write_page\n"
        "write_page(Path(image).with_suffix('.html'), attend(model, {'image': image}), 'it')",
    ),
    "loss and gradients": (
        "image_model",
        "from unitf.data import Encoder\n"
        "encode = Encoder(model.tokenizers, model.tasks)\n"
        "batch = encode([encode.item(0, {'image': image, 'kind': 'cat'})])\n"
        "model.train().loss(batch).backward()",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "script"), IN_PYTHON.values(), ids=IN_PYTHON)
def test_a_model_in_python_imports_nothing_that_only_training_needs(folder, name, script):
    found = modules_after(
        f"import unitf\nmodel = unitf.load({str(folder / name)!r})\n"
        f"assert type(model) is unitf.Model and not model.training\n"
        f"image = {str(folder / 'images' / '0.png')!r}\n{script}"
    )
    assert found & NEVER == set()


@pytest.mark.slow
def test_metrics_and_learners_are_what_imports_the_rest(folder):
    """What the others look for is found where it is used."""
    found = modules_after(
        f"import unitf\nmodel = unitf.load({str(folder / 'writer')!r})\n"
        "model.tasks['write'].metrics()\nunitf.Learner.of(model)"
    )
    assert {"lightning", "torchmetrics", "sacrebleu"} <= found
