"""Cost of a training step by size: time and memory over N, D, depth and batch, with exponents.

    python -m benchmarks sizes [--quick] [--threads 1]

It measures the core alone, forward and backward, with full attention and with a window. Each size
runs in a separate process, three times in turn. The exponent is the slope of the upper half in
logarithms: twice the size costs 2 to that power.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt

from benchmarks.speed.runner import json_from

WINDOW = 64
BASE = {"length": 256, "dim": 128, "depth": 4, "batch": 4}
SIZES = {
    "length": (64, 128, 256, 512, 1024, 2048, 4096),
    "dim": (64, 128, 256, 512, 1024),
    "depth": (1, 2, 4, 8, 16),
    "batch": (1, 2, 4, 8, 16, 32),
}
_NAMES = {"length": "N, tokens of a sequence", "dim": "D", "depth": "depth", "batch": "sequences"}
_COSTS = (("seconds", "ms", 1e3), ("bytes", "MiB", 2**-20))
_COLOURS = {"full": "#4477aa", "window": "#cc6677"}


def measure(threads: int, rounds: int = 3, quick: bool = False) -> dict[str, Any]:
    """Returns CPU seconds and bytes of a step at each size, and the exponents."""
    curves: dict[str, Any] = {}
    for axis, sizes in SIZES.items():
        shown = sizes[:4] if quick else sizes
        for kind in _COLOURS:
            costs = [
                [_cost_of(BASE | {axis: s}, kind, threads) for s in shown] for _ in range(rounds)
            ]
            by_size = list(zip(*costs, strict=True))
            seconds = [statistics.median(t["seconds"] for t in tries) for tries in by_size]
            memory = [statistics.median(t["memory"] for t in tries) for tries in by_size]
            curves.setdefault(axis, {})[kind] = {
                "sizes": list(shown),
                "seconds": seconds,
                "bytes": memory,
                "exponents": {
                    "seconds": exponent(shown, seconds),
                    "bytes": exponent(shown, memory),
                },
            }
    return {"name": "sizes", "base": BASE, "window": WINDOW, "curves": curves}


def exponent(sizes: Any, costs: Any) -> float:
    """Returns the slope of log cost over log size in the upper half."""
    first = min(len(sizes) // 2, len(sizes) - 2)
    return float(np.polyfit(np.log(sizes[first:]), np.log(costs[first:]), 1)[0])


def lines(result: dict[str, Any]) -> list[str]:
    """Returns the exponents as rows of a Markdown table."""
    rows = ["| over | attention | exponent of time | exponent of memory |", "|---|---|---|---|"]
    for axis, kinds in result["curves"].items():
        for kind, curve in kinds.items():
            seconds, memory = curve["exponents"]["seconds"], curve["exponents"]["bytes"]
            rows.append(f"| {_NAMES[axis]} | {kind} | {seconds:.2f} | {memory:.2f} |")
    return rows


def draw(result: dict[str, Any], file: Path) -> None:
    """Draws time above and memory below, one column for each axis."""
    count = len(result["curves"])
    figure, axes = plt.subplots(2, count, figsize=(3.4 * count, 6), layout="constrained")
    for column, (axis, kinds) in enumerate(result["curves"].items()):
        for row, (name, unit, scale) in enumerate(_COSTS):
            panel = axes[row, column]
            for kind, curve in kinds.items():
                label = f"{kind}: {curve['exponents'][name]:.2f}"
                costs = [scale * cost for cost in curve[name]]
                panel.plot(curve["sizes"], costs, "o-", color=_COLOURS[kind], label=label, ms=4)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(curve["sizes"], [str(s) for s in curve["sizes"]], fontsize=8)
            panel.set_xlabel(_NAMES[axis])
            panel.grid(alpha=0.3)
            panel.legend(title="exponent", fontsize=8, title_fontsize=8)
            if column == 0:
                panel.set_ylabel(f"a training step, {unit}")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _cost_of(sizes: dict[str, int], kind: str, threads: int) -> dict[str, float]:
    return json_from("benchmarks.speed.sizes", json.dumps(sizes), kind, str(threads))


# ---- in the child process ----------------------------------------------------------------


def step_cost(sizes: dict[str, int], kind: str) -> dict[str, float]:
    """Returns the least CPU seconds of a step, and its bytes beyond the weights."""
    from unitf import Tokens, Transformer, TransformerConfig

    window = WINDOW if kind == "window" else None
    heads = max(1, sizes["dim"] // 64)
    torch.manual_seed(0)
    core = Transformer(
        TransformerConfig(dim=sizes["dim"], depth=sizes["depth"], num_heads=heads, window=window)
    )
    lengths = (sizes["length"],) * sizes["batch"]
    rows = torch.randn(sum(lengths), sizes["dim"])

    def step() -> None:
        core(Tokens.from_rows(rows, lengths)).matrix.square().mean().backward()

    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    step()
    memory = max(_resident("VmHWM") - before, 1)
    spent = []
    for _ in range(5):
        begin = time.process_time()
        step()
        spent.append(time.process_time() - begin)
        if sum(spent) > 4:
            break
    return {"seconds": min(spent), "memory": memory}


def _resident(name: str = "VmRSS") -> int:
    """Returns bytes of main memory: now, or the peak so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(name)]
    return int(line.split()[1]) * 1024


def main(sizes: str, kind: str, threads: str) -> None:
    """Measures one size and prints its cost as JSON."""
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    print(json.dumps(step_cost(json.loads(sizes), kind)))


if __name__ == "__main__":
    main(*sys.argv[1:])
