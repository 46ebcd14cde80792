"""Models that the recipes of `recipes/` describe, trained for a few steps; interrupted runs."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from format1_exact import FORMAT1, digests, exact
from format1_published import publish_bert
from format1_saving import (
    HERE,
    IMAGE,
    ROOT,
    SOUND,
    TEXTS,
    fit_words,
    generate,
    keep,
    predict,
    remove,
    run,
    write,
)
from PIL import Image

import unitf


def write_data(folder: Path) -> None:
    """A table with columns of all modalities."""
    random, rows = np.random.default_rng(1), []
    for number in range(24):
        fast = number % 2
        image = random.integers(0, 256, (20, 24, 3), dtype=np.uint8) // (1 + fast)
        Image.fromarray(image).save(folder / f"{number}.png")
        wave = np.sin(np.arange(3_000 + 100 * number) * (0.1 + 0.4 * fast)) / 2
        soundfile.write(folder / f"{number}.wav", wave.astype(np.float32), 8_000)
        text = TEXTS[number % 3]
        rows.append(
            {
                "image": str(folder / f"{number}.png"),
                "sound": str(folder / f"{number}.wav"),
                "text": text,
                "target": TEXTS[(number + 1) % 3],
                "kind": ["slow", "fast"][fast],
                "marks": ["loud;high", "loud", "high"][number % 3],
                "size": number / 10,
                "tags": " ".join("XY"[len(word) % 2] for word in text.split()),
                "answer": text.split()[-1],
                "cepstra": random.standard_normal((20 + number, 13)).round(3).tolist(),
                "numbers": f"{number} 1 {number + 1} 0",
            }
        )
    for split, part in (("train", rows[:16]), ("validation", rows[16:])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def trained(folder: Path, recipe: str, *words: object, plugin: Path | None = None) -> Path:
    """The best checkpoint of a recipe that learns from that table."""
    write_data(folder)
    options = [] if plugin is None else ["--plugin", plugin]
    argv = [*options, *fit_words([recipe, "table"], "run"), "--data-root", folder]
    run(folder, *argv, *words)
    return folder / "run" / "checkpoints" / "best.ckpt"


def quickstart(folder: Path) -> None:
    """The quickstart, smaller."""
    words = ["--model.core.dim", 12, "--model.core.depth", 2, "--model.core.num_heads", 2]
    words += ["--trainer.limit_val_batches", 2, "--trainer.max_steps", 4]
    run(folder, *fit_words([str(ROOT / "configs" / "quickstart.yaml")], "run"), *words)
    asked = [{"text": "siebn"}, {"text": "TROIS"}, {"image": {"array": "grey"}}]
    asked.append({"sound": {"array": "sound", "rate": 8_000}})
    keep("quickstart", folder / "run" / "checkpoints" / "best.ckpt", [predict(*asked)], whole=True)


def images(folder: Path) -> None:
    """Every setting of an image."""
    keep("images", trained(folder, "images"), [predict({"image": IMAGE})])


def sounds(folder: Path) -> None:
    """Every setting of a sound."""
    asked = [{"sound": {"array": "sound", "rate": 8_000}}, {"sound": SOUND}]
    asked.append({"cepstra": {"array": "cepstra"}})
    keep("sounds", trained(folder, "sounds"), [predict(*asked)])


def sequences(folder: Path) -> None:
    """An encoder and a decoder of texts; word vectors."""
    words = sorted({word for text in TEXTS for word in text.split()} | {"cat", "mat"})
    random = np.random.default_rng(2)
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in random.standard_normal(8))}" for word in words]
    (folder / "vectors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = [{"text": text} for text in (*TEXTS, "a cat")]
    asked = [predict({**texts[0], "target": TEXTS[1]}), generate(*texts, max_tokens=6)]
    asked.append(generate(texts[0], max_tokens=6, temperature=1.0, top_k=5, seed=3, num_returns=2))
    asked.append(generate(*texts, max_tokens=6, num_beams=3, num_returns=3))
    keep("sequences", trained(folder, "sequences"), asked)


def language(folder: Path) -> None:
    """A language model."""
    texts = [{"text": "the lazy"}, {"text": "a"}]
    asked = [predict(*texts), generate(*texts, max_tokens=12)]
    asked.append(generate(*texts, max_tokens=12, temperature=0.8, top_p=0.9, seed=1))
    keep("language", trained(folder, "language"), asked)


def readers(folder: Path) -> None:
    """The tasks of texts that write nothing."""
    asked = [{"text": TEXTS[0], "target": TEXTS[1]}, {"text": "a fox", "target": "x"}]
    keep("readers", trained(folder, "readers"), [predict(*asked)])


def fine_tuned(folder: Path) -> None:
    """BERT, from a folder as it is published, with another task."""
    publish_bert(folder / "bert")
    file = trained(folder, "from_bert", "--model.pretrained", "hf:bert")
    keep("fine_tuned", file, [predict({"text": TEXTS[0]}, {"text": "a fox"})])


def adapted(folder: Path) -> None:
    """The same with adapters."""
    publish_bert(folder / "bert")
    words = ["--model.pretrained", "hf:bert", "--model.lora.rank", 2, "--model.lora.dropout", 0.1]
    words += ["--model.lora.layers", '["attention.qkv", "attention.out", "feedforward.inner"]']
    file = trained(folder, "from_bert", *words)
    keep("adapted", file, [predict({"text": TEXTS[0]}, {"text": "a fox"})])


def plugin_file(folder: Path) -> None:
    """A model with a class of a file that was given by `--plugin`; asked by the command line."""
    home = FORMAT1 / "plugin_file"
    shutil.copyfile(trained(folder, "pulses", plugin=home / "pulses.py"), home / "best.ckpt")
    words = ["--checkpoint", "best.ckpt", "--input", "asked.jsonl", "--json"]
    said = json.loads(run(home, "--plugin", "pulses.py", "predict", *words))
    write(home / "said.json", {"result": exact(said)})
    remove(home / "__pycache__")


# ---- interrupted runs ------------------------------------------------------------------------


def interrupted(
    folder: Path, name: str, recipes: list[str], at: int, words: list[object] | None = None
) -> None:
    """A run that a signal ended in its second epoch, and what it becomes when it goes on."""
    argv = [*fit_words(recipes, name), *(words or [])]
    run(folder, at, *argv, script=HERE / "interrupted_fit.py", status=130)
    kept = FORMAT1 / "interrupted" / name
    remove(kept)
    (kept / "checkpoints").mkdir(parents=True)
    for file in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt"):
        shutil.copyfile(folder / name / file, kept / file)
    shutil.copytree(kept, folder / "again" / name)
    run(folder / "again", "fit", "--resume", name)
    model: Any = unitf.load(folder / "again" / name / "checkpoints" / "last.ckpt")
    state = {k: v for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
    with (folder / "again" / name / "metrics.csv").open(newline="") as lines:
        losses = [row["train/loss_step"] for row in csv.DictReader(lines)]
    record = {
        "losses": exact([float(loss) for loss in losses if loss]),
        "shapes": {key: list(tensor.shape) for key, tensor in state.items()},
        "digests": digests(state),
    }
    write(kept / "after.json", record)


def interrupted_ema(folder: Path) -> None:
    interrupted(folder, "ema", ["interrupted_text", "averaged"], 11)


def interrupted_accumulation(folder: Path) -> None:
    interrupted(folder, "accumulation", ["interrupted_all"], 7)


def interrupted_lora(folder: Path) -> None:
    run(folder, *fit_words(["interrupted_text"], "base"), "--trainer.max_epochs", 1)
    words = ["--model.pretrained", "base", "--model.lora.rank", 2, "--model.lora.dropout", 0.1]
    interrupted(folder, "lora", ["interrupted_text"], 11, words)


MAKERS = [
    quickstart, images, sounds, sequences, language, readers, fine_tuned, adapted, plugin_file,
    interrupted_ema, interrupted_accumulation, interrupted_lora,
]  # fmt: skip
