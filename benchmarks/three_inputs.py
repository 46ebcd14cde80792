"""A table with an image, a text and numbers, and what each is worth: `unitf fit`, `unitf ablate`.

    python -m benchmarks.three_inputs FOLDER [--root ../shared/data] [--time 5m]

The table is made of real data: garments of Fashion-MNIST and questions of TREC, each with the
training and test split of its authors, beside two numbers drawn evenly, the days since the purchase
(0 to 60) and the price (5 to 200). A parcel comes back with a question, and its `desk` follows from
all three: shoes, a bag or clothes in the image; a question that asks for a person, a place or a
number, or for more; a refund, if `days + price / 10 <= 40`. These are 12 desks. Who knows two of
the three has two or three desks to choose from, who knows one has four or six.
Further options are those of `unitf fit`.
"""

import argparse
import csv
import gzip
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SHOES, BAG = (5, 7, 9), 8
SHORT = ("HUM", "LOC", "NUM")
FILES = {"train": "train", "test": "t10k"}


def garments(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images (N, 28, 28) and the classes (N) of a file of Fashion-MNIST."""
    pixels = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.frombuffer(labels, np.uint8, offset=8)


def desk(garment: int, question: str, days: int, price: float) -> str:
    """Returns where a parcel goes."""
    kind = "shoes" if garment in SHOES else "bag" if garment == BAG else "clothes"
    answer = "short" if question.partition(":")[0] in SHORT else "long"
    return f"{kind} {answer} {'refund' if days + price / 10 <= 40 else 'repair'}"


def rows(root: Path, folder: Path, split: str) -> Iterator[dict[str, str | int | float]]:
    """Yields the rows of a split, whose images it writes below `folder`."""
    drawn = random.Random(split)
    images, labels = garments(root / "fashion-mnist", FILES[split])
    lines = (root / "trec" / f"{split}.txt").read_text(encoding="latin-1").splitlines()
    (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(lines):
        label, _, question = line.partition(" ")
        file = f"images/{split}/{number}.png"
        Image.fromarray(images[number]).save(folder / file)
        days, price = drawn.randint(0, 60), round(drawn.uniform(5, 200), 2)
        goal = desk(int(labels[number]), label, days, price)
        row = {"photo": file, "asks": question, "days": days, "price": price}
        yield {**row, "split": split, "desk": goal}


def write(root: Path, folder: Path) -> Path:
    """Returns `parcels.csv`, written into `folder`."""
    table = [row for split in FILES for row in rows(root, folder, split)]
    with (folder / "parcels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return folder / "parcels.csv"


def main() -> int:
    """Trains, and prints what the inputs are worth; returns 1 if one of the three is worth none."""
    from unitf.cli import main as unitf

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    options, further = parser.parse_known_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table, run = write(options.root, options.folder), options.folder / "run"
    if unitf(["fit", str(table), "--target", "desk", "--out", str(run), *further]):
        return 1
    worth = options.folder / "worth.json"
    if unitf(["ablate", str(run), "--out", str(worth)]):
        return 1
    [task] = json.loads(worth.read_text())["tasks"].values()
    three = [one for one in task["inputs"] if "." not in one["input"]]
    keys = ("left_out_difference", "permuted_difference")
    return int(len(three) < 3 or any(one[key] <= 0 for one in three for key in keys))


if __name__ == "__main__":
    sys.exit(main())
