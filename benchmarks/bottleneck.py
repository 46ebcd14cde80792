"""The information bottleneck: BLEU by length of source, recurrent, with attention, Transformer.

    python -m benchmarks.bottleneck train final_state --out runs/bottleneck
    python -m benchmarks.bottleneck train attention --out runs/bottleneck
    python -m benchmarks.bottleneck draw --out runs/bottleneck --transformer hypotheses.txt

`train` uses the data module and the tokenizer of a recipe. It translates the recipe's first test
set, and the same sentences joined by twos and by threes; `sources.txt` has all sources, one on each
line, for the Transformer to translate. `draw` computes BLEU and writes a picture and the numbers to
benchmarks/results/.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import sacrebleu
import torch
from jsonargparse import ArgumentParser
from torch import nn

import unitf
from benchmarks.recurrent import AdditiveAttention, FinalState, Recurrent
from unitf import registry
from unitf.training import DataModule

CONTEXTS = {"final_state": FinalState, "attention": AdditiveAttention}
LABELS = {
    "final_state": "LSTM, one final state",
    "attention": "LSTM, additive attention",
    "transformer": "Transformer",
}
WORDS = (
    (1, 8),
    (9, 12),
    (13, 16),
    (17, 20),
    (21, 999),
)  # the bounds of the length of a source, inclusive
JOINED = (2, 3)  # how many sentences are joined to one source


# ---- the texts to translate ------------------------------------------------------------------


class Recipe:
    """The data of a recipe and the tokenizer of its only task, fitted."""

    def __init__(self, path: Path) -> None:
        for kind in ("tokenizers", "tasks", "sources"):
            registry.resolve_all(kind)
        parser = ArgumentParser()
        parser.add_class_arguments(unitf.Learner, "model")
        parser.add_class_arguments(DataModule, "data")
        parser.add_argument("--trainer", type=dict)
        config = parser.instantiate(parser.parse_path(path))
        self.data: DataModule = config.data
        config.model.fit_components(self.data)
        config.model.build_components()
        self.data.connect(config.model.tokenizers, config.model.tasks)
        ((self.name, self.task),) = config.model.tasks.items()
        (self.column,) = self.task.inputs
        self.tokenizer = config.model.tokenizers[self.task.target_tokenizer]

    def pairs(self) -> list[tuple[str, str]]:
        """Returns source and reference of the first test set, then those of joined sentences."""
        (samples,) = self.data.samples(self.data.test_splits[0]).values()
        single = [(sample[self.column], sample[self.task.target]) for sample in samples]
        return [pair for count in (1, *JOINED) for pair in join(single, count)]


def join(pairs: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Joins each `count` neighbours; a rest at the end is dropped."""
    groups = zip(*(pairs[first::count] for first in range(count)), strict=False)
    return [(" ".join(sources), " ".join(targets)) for sources, targets in map(_turned, groups)]


def _turned(group: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sources, targets = zip(*group, strict=True)
    return sources, targets


# ---- recurrent ---------------------------------------------------------------------------


def train(network: Recurrent, recipe: Recipe, epochs: int, peak: float = 0.002) -> list[float]:
    """Trains like the recipe's task; returns validation losses in nats per token, by epoch."""
    loader = recipe.data.train_dataloader()
    optimizer = torch.optim.AdamW(network.parameters(), peak, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, epochs * len(loader), pct_start=0.1, cycle_momentum=False
    )
    losses = []
    for epoch in range(epochs):
        network.train()
        loader.position = lambda epoch=epoch: (epoch, 0)
        for batch in loader:
            loss = _loss(network, batch, recipe, recipe.task.label_smoothing, "mean")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        losses.append(validate(network, recipe))
        print(f"epoch {epoch + 1}: validation {losses[-1]:.3f}, {time.process_time():.0f} s of CPU")
    return losses


@torch.inference_mode()
def validate(network: Recurrent, recipe: Recipe) -> float:
    """Returns the validation loss in nats per token."""
    network.eval()
    total = count = 0
    for batch in recipe.data.val_dataloader()[0]:
        total += float(_loss(network, batch, recipe, 0.0, "sum"))
        count += batch.task_batches[recipe.name].sequence.num_tokens
    return total / count


def _loss(
    network: Recurrent, batch: Any, recipe: Recipe, smoothing: float, reduction: str
) -> torch.Tensor:
    task_batch = batch.task_batches[recipe.name]
    with torch.autocast("cpu", torch.bfloat16):
        logits, words = network(
            task_batch.features[recipe.column], task_batch.sequence, recipe.tokenizer.start_id
        )
    return nn.functional.cross_entropy(
        logits, words, label_smoothing=smoothing, reduction=reduction
    )


def translate(
    network: Recurrent, recipe: Recipe, sources: Sequence[str], size: int = 100
) -> list[str]:
    """Returns greedy translations."""
    network.eval()
    tokenizer = recipe.tokenizer
    order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
    translations = [""] * len(sources)
    for first in range(0, len(order), size):
        indices = order[first : first + size]
        features = unitf.Features.pack([tokenizer.encode(sources[number]) for number in indices])
        rows = network.generate(features, tokenizer.start_id, tokenizer.end_id)
        for number, row in zip(indices, rows, strict=True):
            translations[number] = tokenizer.decode(
                unitf.Features(torch.tensor(row, dtype=torch.int64))
            )
    return translations


def run_training(options: argparse.Namespace) -> None:
    """Trains a model and writes its translations, losses and weights."""
    torch.set_flush_denormal(True)
    recipe = Recipe(options.recipe)
    torch.manual_seed(options.seed)
    network = Recurrent(recipe.tokenizer.vocabulary_size, CONTEXTS[options.model])
    begin, cpu = time.perf_counter(), time.process_time()
    losses = train(network, recipe, options.epochs)
    summary = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "epochs": options.epochs,
        "minutes": round((time.perf_counter() - begin) / 60, 1),
        "cpu_minutes": round((time.process_time() - cpu) / 60, 1),
        "threads": torch.get_num_threads(),
        "validation_losses": [round(loss, 4) for loss in losses],
    }
    pairs = recipe.pairs()
    hypotheses = translate(network, recipe, [source for source, _ in pairs])
    options.out.mkdir(parents=True, exist_ok=True)
    write_lines(options.out / "sources.txt", [source for source, _ in pairs])
    write_lines(options.out / "references.txt", [reference for _, reference in pairs])
    write_lines(options.out / f"{options.model}.txt", hypotheses)
    (options.out / f"{options.model}.json").write_text(json.dumps(summary, indent=1) + "\n")
    torch.save(network.state_dict(), options.out / f"{options.model}.pt")


# ---- BLEU and the picture ------------------------------------------------------------------


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Writes texts to a file, one on each line."""
    path.write_text("".join(" ".join(line.split()) + "\n" for line in lines), encoding="utf-8")


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a file."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def buckets(sources: Sequence[str]) -> dict[str, list[int]]:
    """Groups the indices of sources: single sentences by words, joined ones by their number."""
    # n sentences give n, n // 2 and n // 3 sources
    count = next(n for n in range(len(sources)) if n + sum(n // j for j in JOINED) == len(sources))
    lengths = [len(source.split()) for source in sources]
    indices = {"all": list(range(count))}
    for low, high in WORDS:
        label = f"{low}-{high}" if high < 999 else f"{low}+"
        indices[label] = [number for number in range(count) if low <= lengths[number] <= high]
    for joined in JOINED:
        indices[f"{joined} joined"] = list(
            range(count, count := count + len(indices["all"]) // joined)
        )
    return {label: numbers for label, numbers in indices.items() if numbers}


def measure(
    hypotheses: Sequence[str], references: Sequence[str], sources: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Returns sacreBLEU (13a), cased and lower-cased, of each bucket that is translated."""
    table = {}
    for label, numbers in buckets(sources).items():
        if numbers[-1] >= len(hypotheses):
            continue
        translated, expected = ([lines[n] for n in numbers] for lines in (hypotheses, references))
        table[label] = {
            "sentences": len(numbers),
            "words": round(sum(len(sources[n].split()) for n in numbers) / len(numbers), 1),
            "bleu": round(sacrebleu.corpus_bleu(translated, [expected]).score, 1),
            "bleu_lower": round(
                sacrebleu.corpus_bleu(translated, [expected], lowercase=True).score, 1
            ),
        }
    return table


def draw(models: dict[str, Any], path: Path) -> None:
    """Draws BLEU by bucket; the joined sentences follow after a gap."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    labels: dict[float, str] = {}
    for number, (name, result) in enumerate(models.items()):
        rows = {label: row for label, row in result["bleu"].items() if label != "all"}
        ticks = {label: n + 0.5 * ("joined" in label) for n, label in enumerate(rows)}
        labels |= {ticks[k]: f"{k}\n({row['words']:.0f})" for k, row in rows.items()}
        for joined, style in ((False, "o-"), (True, "o--")):
            shown = [label for label in rows if ("joined" in label) == joined]
            bleu = [rows[label]["bleu"] for label in shown]
            label = None if joined else LABELS[name]
            axes.plot([ticks[k] for k in shown], bleu, style, color=f"C{number}", label=label)
    axes.set_xticks(list(labels), list(labels.values()))
    axes.set_xlabel("words of the source, or sentences joined (words on average)")
    axes.set_ylabel("sacreBLEU (13a, cased)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def run_drawing(options: argparse.Namespace) -> None:
    """Computes BLEU of all translations and draws it."""
    sources, references = (read_lines(options.out / f"{n}.txt") for n in ("sources", "references"))
    files = {name: options.out / f"{name}.txt" for name in CONTEXTS}
    if options.transformer is not None:
        files["transformer"] = options.transformer
    models: dict[str, Any] = {}
    for name, file in files.items():
        if not file.is_file():
            continue
        training = options.out / f"{name}.json"
        models[name] = json.loads(training.read_text()) if training.is_file() else {}
        models[name]["bleu"] = measure(read_lines(file), references, sources)
        print(LABELS[name], *(f"{k}: {row['bleu']}" for k, row in models[name]["bleu"].items()))
    options.results.mkdir(parents=True, exist_ok=True)
    results = {"sacrebleu": sacrebleu.__version__, "tokenize": "13a", "models": models}
    (options.results / "bottleneck.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(models, options.results / "bottleneck.png")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    verbs = parser.add_subparsers(required=True)
    training = verbs.add_parser("train", help="train a recurrent model and translate with it")
    training.add_argument("model", choices=sorted(CONTEXTS))
    training.add_argument("--recipe", type=Path, default=Path("configs/translate_en_fr.yaml"))
    training.add_argument("--epochs", type=int, default=10)
    training.add_argument("--seed", type=int, default=0)
    training.set_defaults(run=run_training)
    drawing = verbs.add_parser("draw", help="compute BLEU and draw the picture")
    drawing.add_argument(
        "--transformer", type=Path, help="translations of sources.txt, one on each line"
    )
    drawing.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    drawing.set_defaults(run=run_drawing)
    for verb in (training, drawing):
        verb.add_argument("--out", type=Path, default=Path("runs/bottleneck"))
    options = parser.parse_args()
    options.run(options)


_Plain = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    main()
