"""Published weights on real sounds: a Keyword Transformer (KWT-1) on spoken digits (FSDD).

    python -m benchmarks.keywords [--shared ../shared]

Prints the fraction of `_unknown_` (a digit is none of its ten words), and the accuracy of a
logistic regression of the digits on its frozen class token: on the official split, and with each
speaker left out in turn.
"""

import argparse
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import unitf


def main() -> None:
    """Prints the predicted words and the accuracies."""
    parser = argparse.ArgumentParser(description="A Keyword Transformer on FSDD.")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    shared = parser.parse_args().shared
    learner = unitf.from_pretrained(f"kwt:{shared / 'weights' / 'kwt1'}")
    digits, speakers, takes, sounds = read_clips(shared / "data" / "fsdd" / "recordings.zip")

    begin = time.perf_counter()
    words = Counter(row["label"] for row in learner.predict([{"sound": s} for s in sounds]))
    seconds = time.perf_counter() - begin
    shown = ", ".join(f"{word} {count / len(sounds):.3f}" for word, count in words.most_common(5))
    print(f"{len(sounds)} clips in {seconds:.0f} s: {shown}")

    features = class_tokens(learner, sounds)
    test = takes < 5
    print(f"digits, official split: {accuracy(features, digits, test):.3f}")
    left_out = [accuracy(features, digits, speakers == who) for who in sorted(set(speakers))]
    print(f"digits, a new speaker (mean of {len(left_out)}): {np.mean(left_out):.3f}")


def read_clips(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bytes]]:
    """Returns digit, speaker and take number of every clip, and the bytes of its file."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav"))
        parts = [Path(name).stem.split("_") for name in names]
        digits, speakers, takes = (np.array(column) for column in zip(*parts, strict=True))
        return digits, speakers, takes.astype(int), [archive.read(name) for name in names]


@torch.inference_mode()
def class_tokens(learner: unitf.Model, sounds: list[bytes], size: int = 64) -> np.ndarray:
    """Returns the class token after the last block."""
    tokenizer, rows = learner.tokenizers["sound"], []
    for first in range(0, len(sounds), size):
        batch = [tokenizer.encode(sound) for sound in sounds[first : first + size]]
        columns = learner.core(tokenizer(unitf.Features.pack(batch)))
        rows.append(columns.within(0, 1).rows)
    return torch.cat(rows).numpy()


def accuracy(features: np.ndarray, digits: np.ndarray, test: np.ndarray) -> float:
    """Returns the accuracy of a logistic regression on standardised features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    model.fit(features[~test], digits[~test])
    return float(model.score(features[test], digits[test]))


if __name__ == "__main__":
    main()
