"""The speed of unitf beside that of other libraries (the peers).

    python -m benchmarks [NAME …] [--quick] [--pairs 7] [--threads 1] [--list]

A NAME selects all workloads that begin with it. Both sides run in turn, in separate processes, with
the same weights, data, precision and threads; their outputs are compared first. Two more names have
no peer: `loop` (the cost of `unitf fit` beyond a bare loop) and `sizes` (cost by size).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ALONE = {
    "loop": "a bare loop around the same training step, and Lightning's Trainer",
    "sizes": "nothing: time and memory over N, D, depth and batch",
}


def main() -> int:
    """Runs the chosen workloads; returns 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="a few workloads, two pairs each")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="the names of all workloads")
    options = parser.parse_args()
    from benchmarks.speed.report import append, draw, line, table
    from benchmarks.speed.runner import FailedError, measure
    from benchmarks.speed.workloads import chosen

    alone = [n for n in ALONE if n in options.names or not (options.names or options.quick)]
    names = [name for name in options.names if name not in ALONE]
    try:
        workloads = [] if options.names and not names else chosen(names, options.quick)
    except LookupError as error:
        print(f"{error.args[0]}, {', '.join(ALONE)}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{w.name:34s}{w.against}" for w in workloads))
        print("\n".join(f"{name:34s}{ALONE[name]}" for name in alone))
        return 0
    results, failed = [], 0
    for workload in workloads:
        try:
            results.append(
                measure(workload, 2 if options.quick else options.pairs, options.threads)
            )
        except FailedError as failure:
            print(f"{workload.name}: {failure}", file=sys.stderr)
            failed += 1
            continue
        print(line(results[-1]), flush=True)
    if results:
        file = append(results, options.threads, RESULTS)
        file.with_suffix(".md").write_text(table(results), encoding="utf-8")
        draw(results, file.with_suffix(".png"))
        print(f"written to {file}, with a table and a picture beside it")
    for name in alone:
        try:
            _alone(name, options)
        except FailedError as failure:
            print(f"{name}: {failure}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _alone(name: str, options: Any) -> None:
    """Runs a measurement without a peer."""
    from benchmarks.speed import loop, sizes
    from benchmarks.speed.report import append

    if name == "loop":
        result = loop.measure(2 if options.quick else options.pairs, options.threads)
        print(loop.line(result), flush=True)
        append([result], options.threads, RESULTS, name)
        return
    result = sizes.measure(options.threads, 1 if options.quick else 3, options.quick)
    rows = "\n".join(sizes.lines(result))
    print(rows, flush=True)
    file = append([result], options.threads, RESULTS, name)
    file.with_suffix(".md").write_text(rows + "\n", encoding="utf-8")
    sizes.draw(result, file.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(main())
