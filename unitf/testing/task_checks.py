"""The checks of a task: what the rest of unitf relies on in one."""

import io
import json
import pickle
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor

from unitf import inference
from unitf.batch import TaskBatch
from unitf.generation import Generation
from unitf.model import Model
from unitf.tasks.task import Task
from unitf.testing.checks import Skip
from unitf.testing.subject import CheckError, expect, gap_between, seeded
from unitf.testing.task_subject import NAME, TaskSubject, expect_alike

ROUNDING = 1e-3  # between a sample alone and the same among others
STEPS, RATE, FALL = 60, 3e-3, 0.9  # of a training: the loss must end below 0.9 of its beginning


def targets(subject: TaskSubject) -> str:
    """Every sample has a target that collates; of no samples `collate` gives something too."""
    task, task_batch = subject.task, subject.batch(subject.samples).task_batches[NAME]
    count = len(subject.samples)
    expect(
        task_batch.num_samples == count,
        "takes",
        f"{task_batch.num_samples} of {count} samples",
        "all",
    )
    before = pickle.dumps(subject.samples)
    subject.batch(subject.samples)
    expect(pickle.dumps(subject.samples) == before, "encode_target", "a changed sample", "none")
    _plain_target(task.collate([]), "collate([])")
    _plain_target(task_batch.target, "collate")
    return f"{count} samples"


def losses(subject: TaskSubject) -> str:
    """`losses` gives finite numbers (L,) of which the mean can be minimised."""
    found, task_batch = subject.losses(subject.model, subject.batch(subject.samples))
    expect(isinstance(found, Tensor), "losses", type(found).__name__, "a tensor (L,)")
    expect(found.ndim == 1, "losses", f"shape {tuple(found.shape)}", "(L,)")
    expect(len(found) > 0, "losses", "none", "one or more")
    expect(bool(found.isfinite().all()), "losses", "NaN or infinity", "finite numbers")
    expect(found.requires_grad, "losses", "no gradient", "one, to the core")
    if subject.task.loss_per_sample:
        count = task_batch.num_samples
        expect(len(found) == count, "losses with loss_per_sample", len(found), f"{count}, one each")
    return f"{len(found)} of {task_batch.num_samples} samples, mean {found.mean().item():.3f}"


def gradients(subject: TaskSubject) -> str:
    """Every parameter of the task has a gradient, and so has the core."""
    model = subject.fresh().train()
    found = _gradients(subject, model, subject.samples)
    dead = [n for n, g in found.items() if n.startswith("tasks.") and (g is None or not g.any())]
    expect(not dead, "backward", f"no gradient for {_named(dead)}", "one for every parameter")
    core = [g for n, g in found.items() if n.startswith("core.") and g is not None and g.any()]
    expect(bool(core), "backward", "no gradient in the core", "some")
    return f"{sum(p.numel() for p in model.tasks.parameters()):,} parameters"


def nothing(subject: TaskSubject) -> None:
    """A batch without a sample of this task has no loss, and leaves no parameter out."""
    model = subject.fresh().train()
    found, task_batch = subject.losses(model, subject.batch([], model=model))
    expect(len(found) == 0, "losses of no samples", len(found), "0")
    # else several processes wait for each other when one of them has no sample of the task
    some = _gradients(subject, subject.fresh().train(), subject.samples)
    none = _gradients(subject, model, [])
    without = [n for n in none if none[n] is None and some[n] is not None]
    expect(not without, "backward from no samples", f"none for {_named(without)}", "zeros")
    with torch.no_grad():
        said = model.tasks[NAME].predict(
            model(subject.batch([]))[NAME], task_batch, subject.tokenizers
        )
    expect(list(said) == [], "predict of no samples", said, "[]")


def predictions(subject: TaskSubject) -> str:
    """`predict` gives plain data for each sample, also where there is no target."""
    unlabelled = subject.unlabelled()
    for place, samples, labelled in (
        ("predict", subject.samples, True),
        ("predict without targets", unlabelled, False),
    ):
        found = subject.predictions(samples, labelled)
        expect(isinstance(found, list), place, type(found).__name__, "a list")
        expect(len(found) == len(samples), place, f"{len(found)} predictions", len(samples))
        for number, prediction in enumerate(found):
            _check_plain(prediction, f"{place}[{number}]")
    return ", ".join(map(str, found[0]))


def alone(subject: TaskSubject) -> None:
    """A sample alone is predicted as it is among others."""
    samples = subject.unlabelled()
    together = subject.predictions(samples)
    for number, sample in enumerate(samples):
        [one] = subject.predictions([sample])
        expect_alike(one, together[number], f"predict of samples[{number}] alone", ROUNDING)


def metrics(subject: TaskSubject) -> str:
    """`metrics` are fresh each time; half by half they count as all at once; figures are numbers.

    `monitor` is one of the figures, or the loss.
    """
    task, count = subject.task, len(subject.samples)
    expect(task.metrics() is not task.metrics(), "metrics()", "the same object", "a fresh one")
    once = _figures(subject, [list(range(count))])
    halves = _figures(subject, [list(range(count // 2)), [], list(range(count // 2, count))])
    expect_alike(halves, once, "metrics of two halves", ROUNDING)
    for name, value in once.items():
        finite = bool(torch.as_tensor(value).isfinite().all())
        expect(finite, f"metrics: {name}", value, "finite numbers")
    expect(task.mode in ("min", "max"), "mode", repr(task.mode), "'min' or 'max'")
    known = [*once, "loss"]
    expect(task.monitor in known, "monitor", repr(task.monitor), f"one of {', '.join(known)}")
    return ", ".join(once)


def missing(subject: TaskSubject) -> str:
    """What lacks an input is refused by `accepts` or learned from; what lacks all is refused."""
    task, columns = subject.task, list(subject.task.inputs)
    sample = next((s for s in subject.samples if all(s.get(c) is not None for c in columns)), None)
    expect(sample is not None, "samples", f"none with {' and '.join(columns)}", "one at least")
    bare = {k: v for k, v in (sample or {}).items() if k not in columns}
    expect(not task.accepts(bare), "takes without an input", True, False)
    if task.target is not None:
        untold = {k: v for k, v in (sample or {}).items() if k != task.target}
        expect(not task.accepts(untold), "takes without a target", True, False)
        expect(task.accepts(untold, labelled=False), "takes(labelled=False)", False, True)
    handled = 0
    for column in columns if len(columns) > 1 else ():
        for absent in ({}, {column: None}):
            some = {k: v for k, v in (sample or {}).items() if k != column} | absent
            if task.accepts(some):
                batch = subject.batch([some, *subject.samples])
                found, _ = subject.losses(subject.model, batch)
                finite = bool(found.isfinite().all())
                expect(finite, f"losses without {column}", "NaN or infinity", "finite numbers")
                subject.predictions([some], labelled=True)
                handled += 1
    return f"{handled} of {2 * len(columns) if len(columns) > 1 else 0} samples that lack an input"


def refused(subject: TaskSubject) -> None:
    """A target that makes no sense is a ValueError of one line."""
    task = subject.task
    if task.target is None:
        raise Skip("it has no target column")
    if task.target_tokenizer is not None:
        raise Skip("a tokenizer encodes the target")
    strange = {**subject.samples[0], task.target: _Strange()}
    try:
        subject.batch([strange])
    except ValueError as error:
        text = str(error).strip()
        expect(bool(text) and "\n" not in text, "a strange target", repr(text), "one line")
    except Exception as error:
        kind = f"{type(error).__name__}: {error}"
        expect(False, "a strange target", kind, "a unitf.UserError")
    else:
        expect(False, "a strange target", "nothing wrong with it", "a unitf.UserError")


def learns(subject: TaskSubject) -> str:
    """The loss falls when a model is trained on the samples."""
    model = subject.fresh().train()
    batch = subject.batch(subject.samples, model=model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    track: list[float] = []
    with seeded(0):
        for _ in range(STEPS):
            loss = subject.losses(model, batch)[0].mean()
            expect(bool(loss.isfinite()), f"loss of step {len(track)}", loss.item(), "finite")
            track.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    first, last = track[0], sum(track[-5:]) / 5
    falls = last < first - (1 - FALL) * abs(first)
    expect(falls, f"loss after {STEPS} steps", f"{last:.4f}", f"below {FALL} of {first:.4f}")
    return f"{first:.3f} → {last:.3f} in {STEPS} steps"


def state(subject: TaskSubject) -> None:
    """Its configuration and its state_dict make it again: the same predictions."""
    buffer = io.BytesIO()
    torch.save(subject.task.state_dict(), buffer)
    buffer.seek(0)
    task = subject.remade()
    task.load_state_dict(torch.load(buffer, weights_only=True))
    model = subject.fresh()
    model.tasks[NAME] = task.eval()
    samples = subject.unlabelled()
    found, expected = subject.predictions(samples, model=model), subject.predictions(samples)
    expect_alike(found, expected, "predict of the remade one")
    once, _ = subject.losses(subject.model, subject.batch(subject.samples))
    again, _ = subject.losses(model, subject.batch(subject.samples, model=model))
    gap = gap_between(once, again) if once.shape == again.shape else float("inf")
    expect(gap == 0, "losses of the remade one", f"{gap:.1e} off", "the same")


def generates(subject: TaskSubject) -> str:
    """A task that generates writes something for every sample."""
    if not subject.task.can_generate:
        raise Skip("it does not generate")
    samples = subject.unlabelled()
    written = inference.generate(subject.model, samples, Generation(max_tokens=4), NAME)
    numbers = sorted(one["index"] for one in written)
    expect(numbers == list(range(len(samples))), "generate", numbers, "one for each sample")
    for one in written:
        expect(len(one["tokens"]) <= 4, "generate", f"{len(one['tokens'])} tokens", "at most 4")
        _check_plain(one.get("text", ""), "generate")
    return f"{sum(len(one['tokens']) for one in written)} tokens"


def spawned(subject: TaskSubject) -> None:
    """It travels to a data worker of its own interpreter and encodes there as it does here."""
    parcel = pickle.dumps((subject.tokenizers, dict(subject.model.tasks.items()), subject.samples))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pickle.loads(pool.submit(_encode_there, parcel).result(timeout=300))
    here = subject.batch(subject.samples).task_batches[NAME]
    for place, one, other in (
        ("target", there.target, here.target),
        ("sample_info", there.sample_infos, here.sample_infos),
    ):
        _expect_same(one, other, f"{place} in a spawned worker")


TASK_CHECKS: dict[str, Callable[[TaskSubject], str | None]] = {
    "targets collate, also none": targets,
    "losses finite": losses,
    "gradients reach every parameter": gradients,
    "a batch without samples": nothing,
    "predictions are plain data": predictions,
    "batch of one = batch of many": alone,
    "metrics, part by part": metrics,
    "missing inputs and targets": missing,
    "a strange target is refused": refused,
    "the loss falls": learns,
    "configuration and state_dict restore it": state,
    "generates": generates,
    "pickles to a spawned worker": spawned,
}


class _Strange:
    """A value that is no target of any task."""


def _encode_there(parcel: bytes) -> bytes:
    from unitf.data.encoder import Encoder

    tokenizers, tasks, samples = pickle.loads(parcel)
    encode = Encoder(tokenizers, tasks)
    with seeded(0):
        batch = encode([encode.item(number, sample) for number, sample in enumerate(samples)])
    return pickle.dumps(batch.task_batches[NAME])


def _named(names: Sequence[str]) -> str:
    return ", ".join(name.removeprefix(f"tasks.{NAME}.") for name in names)


def _gradients(
    subject: TaskSubject, model: Model, samples: Sequence[Any]
) -> dict[str, Tensor | None]:
    """The gradient of each parameter from the sum of the losses of these samples."""
    model.zero_grad()
    with seeded(0):
        found, _ = subject.losses(model, subject.batch(samples, model=model))
        if found.requires_grad:
            found.sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def _figures(subject: TaskSubject, parts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The figures after updates with these parts of the samples."""
    task: Task = subject.task
    task_batch: TaskBatch = subject.batch(subject.samples).task_batches[NAME]
    made = task.metrics()
    outputs = subject.model(subject.batch(subject.samples))[NAME]
    outputs = task.evaluate(outputs, task_batch, subject.tokenizers, subject.model.core, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few samples for a figure
        for sequences in parts:
            task.update_metrics(made, outputs, task_batch, subject.tokenizers, sequences)
        found = {name: value.tolist() for name, value in made.compute().items()}
    expect(bool(found), "metrics", "no figure", "some")
    return found


def _plain_target(value: Any, place: str) -> None:
    """Targets travel from workers to the device: tensors, in dictionaries or not, or plain data."""
    if isinstance(value, dict):
        for key, item in value.items():
            _plain_target(item, f"{place}[{key!r}]")
    elif isinstance(value, Tensor):
        expect(not value.requires_grad, place, "a tensor with a gradient", "data")
    else:
        right = value is None or isinstance(value, str | int | float | list | tuple)
        expect(right, place, type(value).__name__, "a tensor, or a dictionary of tensors")


def _check_plain(value: Any, place: str) -> None:
    """That a value is plain data, which JSON gives back as it is."""
    try:
        again = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckError(f"{place}: found {error}, expected plain data") from error
    expect_alike(again, value, place)


def _expect_same(found: Any, expected: Any, place: str) -> None:
    """That two targets are the same."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            _expect_same(found[key], value, f"{place}[{key!r}]")
    elif isinstance(expected, Tensor):
        same = found.shape == expected.shape and torch.equal(
            found.nan_to_num(), expected.nan_to_num()
        )
        expect(same, place, found, expected)
    else:
        same = pickle.dumps(found) == pickle.dumps(expected)
        expect(same, place, f"{found!r:.60}", f"{expected!r:.60}")
