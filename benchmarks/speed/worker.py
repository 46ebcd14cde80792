"""One side of a workload in its own process: runs on command and prints the time.

    python -m benchmarks.speed.worker WORKLOAD unitf|peer|limit THREADS FILE

It reads commands from stdin and answers with JSON lines: "run" with CPU and wall-clock seconds.
"""

import json
import resource
import sys
import warnings

import torch

from benchmarks.speed.limits import limit, spent
from benchmarks.speed.workloads import find
from unitf.training.freed_memory import keep_freed_memory


def main(name: str, who: str, threads: str, file: str) -> None:
    """Builds a side, saves its outputs, and answers commands."""
    warnings.filterwarnings("ignore")
    answers = sys.stdout
    sys.stdout = sys.stderr  # output of libraries is not an answer
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    if who == "unitf":
        keep_freed_memory()  # as `unitf fit` does
    workload = find(name)
    if who == "limit":
        assert workload.limit is not None
        side = limit(workload.limit)
    else:
        side = getattr(workload, who)()
    if side.outputs is not None:
        with torch.no_grad():
            torch.save(side.outputs().float(), file)
    side.run()  # one-time costs are not timed
    say = {"count": side.count, "floats": side.floats, "read": side.read}
    print(json.dumps(say), file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() != "run":
            break
        print(json.dumps(spent(side)), file=answers, flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"memory": memory}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
