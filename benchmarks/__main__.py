"""Speed of unitf beside its peers.

    python -m benchmarks [NAME …] [--quick] [--pairs 7] [--threads 1] [--list]

A NAME takes all workloads that begin with it. Both sides run in turn, in processes of their own,
with the same weights, data, precision and threads; their outputs are compared first.
"""

import argparse
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> int:
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

    try:
        workloads = chosen(options.names, options.quick)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{w.name:34s}{w.against}" for w in workloads))
        return 0
    found, failed = [], 0
    for workload in workloads:
        try:
            found.append(measure(workload, 2 if options.quick else options.pairs, options.threads))
        except FailedError as failure:
            print(f"{workload.name}: {failure}", file=sys.stderr)
            failed += 1
            continue
        print(line(found[-1]), flush=True)
    if found:
        file = append(found, options.threads, RESULTS)
        file.with_suffix(".md").write_text(table(found), encoding="utf-8")
        draw(found, file.with_suffix(".png"))
        print(f"written to {file}, beside it a table and a picture")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
