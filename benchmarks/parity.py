"""Compares imported models with their original libraries: a table of every case.

    python -m benchmarks.parity --out docs/parity.md

Every parameter is random. Outputs and gradients are compared in float32 for the same random input,
and each model is imported and exported again. No weights are downloaded.
"""

import argparse
import gc
import os
import pkgutil
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from benchmarks import parity_cases
from unitf import UserError
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import GRADIENT_TOLERANCE, Parity, measure
from unitf.interop.proof import TOLERANCE

REGISTRY = "timm_registry"
# hub by the library of a model's class; unitf_audio contains KWT's model, because no package does
_HUBS = {"timm": "timm", "transformers": "hf", "unitf_audio": "kwt"}


@dataclass(frozen=True)
class Row:
    """The measurements of one model."""

    part: str
    name: str
    model: str
    library: str
    parity: Parity | str  # a text: the reason why nothing could be measured

    @property
    def holds(self) -> bool:
        """Whether outputs, gradients and the exported weights agree."""
        if isinstance(self.parity, str):
            return False
        gradient = self.parity.worst_gradient.relative
        return self.parity.proof.holds and gradient <= GRADIENT_TOLERANCE and not self.parity.lost

    @property
    def cells(self) -> list[str]:
        """The cells of the row in the table."""
        if isinstance(self.parity, str):
            return [self.name, self.model, self.parity, "", ""]
        outputs, gradients = self.parity.proof.worst, self.parity.worst_gradient
        lost = self.parity.lost
        return [
            self.name,
            self.model,
            f"{outputs.relative:.1e}",
            f"{gradients.relative:.1e}",
            f"no: {len(lost)} differ" if lost else "yes",
        ]


def parts() -> list[str]:
    """Returns the modules of cases and the registry of timm."""
    return [*(module.name for module in pkgutil.iter_modules(parity_cases.__path__)), REGISTRY]


def row(part: str, name: str, make: Callable[[], nn.Module], model: str = "{}") -> Row:
    """Makes a model and measures it; `{}` in `model` is the name of its class."""
    kind = library = ""
    torch.manual_seed(0)  # libraries draw some biases when they build a model
    try:
        published = make()
        kind, library = type(published).__name__, type(published).__module__.partition(".")[0]
        parity: Parity | str = measure(hubs()[_HUBS[library]], published)
    except Exception as error:  # the case reports the error, the other cases go on
        parity = f"**fails**: {str(error).strip().splitlines()[0][:200]}"
    gc.collect()
    return Row(part, name, model.format(kind), library, parity)


def cases(part: str) -> Iterator[Row]:
    """Yields the rows of a module of cases."""
    for name, make in import_module(f"{parity_cases.__name__}.{part}").CASES.items():
        yield row(part, name, make)


def registry(refused: dict[str, list[str]]) -> Iterator[Row]:
    """Yields the rows of timm's names; unsupported names are put into `refused`."""
    from benchmarks.timm_registry import make, names, reduced

    hub = hubs()["timm"]
    for name in names():
        whole = make(name, device="meta")  # all blocks, because they could differ
        try:
            describe(hub, whole)
        except UserError as error:
            refused[str(error).partition("; did you mean")[0]].append(name)
            continue
        torch.manual_seed(0)
        published = reduced(name, whole.embed_dim)
        blocks = f"{{}}, {len(published.blocks)} of {len(whole.blocks)} blocks"
        yield row(REGISTRY, name, lambda published=published: published, blocks)


# ---- the page ------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(rows: list[Row], refused: dict[str, list[str]], seconds: float) -> str:
    """Returns the whole page in Markdown."""
    measured = list(dict.fromkeys(one.part for one in rows))
    sections = [_head(rows, seconds), _summary(rows, measured)]
    for part in measured:
        mine = [one.cells for one in rows if one.part == part]
        title = part.replace("_", " ").capitalize()
        note = ""
        if part == REGISTRY:
            title, note = "Every name of timm's registry", _supported(len(mine), refused)
        head = ["case", "model", "outputs", "gradients", "comes back bit for bit"]
        sections.append(f"## {title}\n\n{note}{table(head, mine)}")
    if refused:
        reasons = sorted(refused.items(), key=lambda item: -len(item[1]))
        lines = [[why, str(len(names)), ", ".join(names)] for why, names in reasons]
        sections.append(f"## Names left out\n\n{table(['why', 'names', ''], lines)}")
    return "\n\n".join(sections) + "\n"


def _head(rows: list[Row], seconds: float) -> str:
    broken = [f"{one.part}: {one.name}" for one in rows if not one.holds]
    verdict = f"**Broken: {', '.join(broken)}.**" if broken else "All of them hold."
    return f"""# Parity

unitf imports models of other libraries and exports them again. Here every parameter of the original
model is random, and both libraries get the same random input in float32. The largest difference is
divided by the largest number: in any output (the columns after the last norm, and the logits of
each head), and in the gradient of any parameter. At most {TOLERANCE:.0e} and
{GRADIENT_TOLERANCE:.0e} are allowed. Then the weights are exported, and each tensor must have the
very same bits. {verdict}

Made by `python -m benchmarks.parity --out docs/parity.md` on {time.strftime("%Y-%m-%d")} in
{seconds / 60:.0f} minutes of one processor: {_processor()}; {platform.system()}, Python
{platform.python_version()}, torch {version("torch")}."""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _summary(rows: list[Row], measured: list[str]) -> str:
    lines = []
    for part in measured:
        mine = [one for one in rows if one.part == part]
        parities = [one.parity for one in mine if isinstance(one.parity, Parity)]
        libraries = sorted({one.library for one in mine if one.library})
        lines.append(
            [
                part.replace("_", " "),
                ", ".join(f"{n} {version(n.partition('_')[0])}" for n in libraries),
                f"{sum(one.holds for one in mine)} of {len(mine)}",
                f"{max((p.proof.worst.relative for p in parities), default=0):.1e}",
                f"{max((p.worst_gradient.relative for p in parities), default=0):.1e}",
            ]
        )
    return table(["part", "peer", "hold", "outputs, at most", "gradients, at most"], lines)


def _supported(count: int, refused: dict[str, list[str]]) -> str:
    total = count + sum(map(len, refused.values()))
    return f"""unitf supports {count} of timm's {total} names that begin with vit, deit, beit, eva
or samvit: {count / total:.0%}. Each has its real width and at most 8×8 patches. Models wider than
192 have only their first two blocks (one from a width of 2048 on), so that all of them take
minutes.

"""


def main() -> int:
    """Writes the page; returns 1 if a case does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--out", type=Path, help="the page to write; by default it is printed")
    parser.add_argument("--only", nargs="+", choices=parts(), default=parts(), metavar="PART")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows: list[Row] = []
    refused: dict[str, list[str]] = defaultdict(list)
    start = time.process_time()
    for part in options.only:
        for one in registry(refused) if part == REGISTRY else cases(part):
            print("holds" if one.holds else "BROKEN", part, *one.cells, file=sys.stderr, sep="  ")
            rows.append(one)
    text = page(rows, refused, time.process_time() - start)
    if options.out is None:
        print(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    return 0 if all(one.holds for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
