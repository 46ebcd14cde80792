"""A look at all targets before the first step, as far as that takes no more than seconds."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import nn

from unitf.data.encoder import Item
from unitf.data.sample_dataset import SampleDataset
from unitf.errors import SampleError, UserError, did_you_mean
from unitf.spelling import tidied
from unitf.tasks.task import Task
from unitf.training.data_module import DataModule

_log = logging.getLogger(__name__)
SECONDS: float = 3.0  # that a survey may take


def survey_targets(data: DataModule, tasks: Mapping[str, Task]) -> None:
    """Looks at the targets of all splits; says what a test has that training does not know.

    A test measures its other samples. It stops after some seconds, in each split in turn, and
    says so.

    Args:
        data: the samples.
        tasks: the fitted tasks.

    Raises:
        SampleError: a target of the training or validation split cannot be used, and is not to be
            skipped.
    """
    known = {name: task for name, task in tasks.items() if _is_plain(task)}
    spellings: dict[str, set[str]] = {}
    splits = ["train", "validation", *data.test_splits]
    for split in splits if known else ():
        end = time.monotonic() + SECONDS / len(splits)
        faults: Counter[str] = Counter()
        out_of_scope: Counter[str] = Counter()  # which a test measures in figures of their own
        samples = SampleDataset(split, data.lasting_samples(split))
        for number, item in enumerate(samples.items()):
            if time.monotonic() > end:
                _log.warning("%s: only %d targets were looked at in advance", split, number)
                break
            _collect_spellings(item, known, spellings)
            if fault := _fault(item, known):
                if not split.startswith("test") and data.on_error == "raise":
                    raise SampleError(f"{item.label}: {fault}")
                own = _has_scope(item, known)
                (out_of_scope if own and split.startswith("test") else faults)[fault] += 1
        if split.startswith("test") and faults:
            _log.warning("%s: %s", split, _said(faults, "left out of the figures"))
        if out_of_scope:
            words = "out of scope, which only figures of the confidence count"
            _log.warning("%s: %s", split, _said(out_of_scope, words))
    _say_spellings(spellings)


def look_ahead(callbacks: Iterable[object], data: DataModule, tasks: Mapping[str, Task]) -> None:
    """Finds before the first step what would end a run after it: see the functions below."""
    watched = {
        type(callback).__name__: getattr(callback, "monitor", None) for callback in callbacks
    }
    check_monitors({name: str(monitor) for name, monitor in watched.items() if monitor}, tasks)
    survey_targets(data, tasks)


def check_monitors(monitors: Mapping[str, str], tasks: Mapping[str, Task]) -> None:
    """Checks that the metrics exist that callbacks watch.

    Args:
        monitors: the name of a watched metric, by the name of the callback.
        tasks: the tasks, whose names and metrics make the names that are logged.

    Raises:
        UserError: nothing will log such a metric.
    """
    logged = {name: _metrics(task) for name, task in tasks.items()}
    names = [f"validation/{name}/{metric}" for name, known in logged.items() for metric in known]
    for callback, monitor in monitors.items():
        split, *path = monitor.split("/")
        if split != "validation" or len(path) != 2 or (path[0] in logged and not logged[path[0]]):
            continue
        if monitor not in names and all(logged.values()):
            known = did_you_mean(monitor, names)
            raise UserError(f"{callback}: monitor {monitor!r}: nothing will log it{known}")


def _metrics(task: Task) -> list[str]:
    """Returns the names of the metrics of a task; none if only its results will show them."""
    metrics = task.metrics()
    if not isinstance(metrics, nn.ModuleDict):
        return []
    named = [getattr(metric, "names", (name,)) for name, metric in metrics.items()]
    names = ["loss", *(name for several in named for name in several)]
    return names if task.monitor in names else []


def _is_plain(task: Task) -> bool:
    """Returns whether the targets of a task need no tokens and no files."""
    reads_tokens = type(task).encode_token_target is not Task.encode_token_target
    return task.target is not None and task.target_tokenizer is None and not reads_tokens


def _fault(item: Item, tasks: Mapping[str, Task]) -> str:
    """Returns why a task cannot use the target of a sample; empty if all can."""
    for task in tasks.values():
        if item.error or not task.accepts(item.sample):
            continue
        try:
            task.encode_target(item.sample)
        except ValueError as error:
            return str(error)
    return ""


def _has_scope(item: Item, tasks: Mapping[str, Task]) -> bool:
    """Returns whether each task of a sample has a target for what it does not know."""
    read = [task for task in tasks.values() if task.accepts(item.sample)]
    return not item.error and all(t.out_of_scope_target(item.sample) is not None for t in read)


def _said(faults: Counter[str], consequence: str) -> str:
    shown = "; ".join(f"{fault} ({count})" for fault, count in faults.most_common(5))
    more = f"; … {len(faults) - 5} more" if len(faults) > 5 else ""
    return (
        f"{faults.total()} samples have a target that training does not know, and are "
        f"{consequence}: {shown}{more}"
    )


def _collect_spellings(
    item: Item, tasks: Mapping[str, Task], spellings: dict[str, set[str]]
) -> None:
    """Collects the labels that white space or Unicode writes in several ways."""
    for task in tasks.values():
        value = item.sample.get(str(task.target))
        if isinstance(value, str) and (tidy := tidied(value)) != value:
            spellings.setdefault(tidy, set()).add(value)


def _say_spellings(spellings: Mapping[str, set[str]]) -> None:
    if spellings:
        shown = "; ".join(f"{sorted(ways)[0]!r} is {tidy!r}" for tidy, ways in spellings.items())
        _log.warning("white space makes no other class: %s", shown[:300])
