"""Reading images with augmentation: steps of unitf beside the same of torchvision, interleaved.

    python -m benchmarks.augmentation [--rounds 9]

A line for each size of an image and each step: the time of torchvision's, divided by that of
unitf's, as the median over rounds, with the lowest and highest.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from unitf_image import ImagePatches

COLOURS = ("brightness", "contrast", "saturation")
STEPS = {
    "flip": ({"flip": True}, {"RandomHorizontalFlip": {}}),
    "crop": ({"crop": 4}, {"RandomCrop": {"padding": 4}}),
    "affine": ({"affine": True}, {"RandomAffine": {"degrees": 10, "translate": [0.1, 0.1]}}),
    "resized_crop": ({"resized_crop": True}, {"RandomResizedCrop": {"scale": [0.3, 1.0]}}),
    "jitter": ({"jitter": True}, {"ColorJitter": dict.fromkeys(COLOURS, 0.3)}),
    "erase": ({"erase": True}, {"RandomErasing": {"p": 0.25}}),
}
SIZES = (28, 32, 96, 224)


def seconds(tokenizer: ImagePatches, image: np.ndarray, count: int) -> float:
    """Returns the seconds of encoding an image so often."""
    begin = time.perf_counter()
    for _ in range(count):
        tokenizer.encode(image, train=True)
    return time.perf_counter() - begin


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for size in SIZES:
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
        for name, (own, other) in STEPS.items():
            for settings in other.values():
                if name in ("crop", "resized_crop"):
                    settings["size"] = [size, size]
            pair = [ImagePatches(8, 4, size, augment=step) for step in (own, other)]
            count = max(5, 20_000 // size**2 * 10)
            ratios = []
            for _ in range(rounds):
                mine, theirs = (seconds(tokenizer, image, count) for tokenizer in pair)
                ratios.append(theirs / mine)
            low, high = min(ratios), max(ratios)
            print(f"{size}×{size} {name:13} {median(ratios):.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
