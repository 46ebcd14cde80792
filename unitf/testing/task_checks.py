"""The checks of a task: what the rest of unitf relies on."""

import io
import pickle
from collections.abc import Callable

import torch
from torch import Tensor

from unitf import inference
from unitf.generation import Generation
from unitf.testing.checks import Skip
from unitf.testing.plain_data import (
    check_plain,
    check_target,
    expect_alike,
    expect_same_target,
)
from unitf.testing.spawned_worker import in_worker
from unitf.testing.subject import CheckError, expect, gap_between, seeded
from unitf.testing.task_measures import (
    Strange,
    computed_metrics,
    encode_in_worker,
    gradients_of,
    named,
)
from unitf.testing.task_subject import NAME, TaskSubject

ROUNDING = 1e-3  # between predictions for a sample alone and in a batch
STEPS, RATE, FALL = 60, 3e-3, 0.9  # of a training: the loss must fall below 0.9 of its start


def targets(subject: TaskSubject) -> str:
    """Every sample has a target that collates; `collate` also works without samples."""
    task, task_batch = subject.task, subject.batch(subject.samples).task_batches[NAME]
    count = len(subject.samples)
    expect(
        task_batch.num_samples == count,
        "accepts",
        f"{task_batch.num_samples} of {count} samples",
        "all",
    )
    before = pickle.dumps(subject.samples)
    subject.batch(subject.samples)
    expect(pickle.dumps(subject.samples) == before, "encode_target", "a changed sample", "none")
    check_target(task.collate([]), "collate([])")
    check_target(task_batch.target, "collate")
    return f"{count} samples"


def losses(subject: TaskSubject) -> str:
    """`losses` gives finite numbers (L,) whose mean can be minimised."""
    values, task_batch = subject.losses(subject.model, subject.batch(subject.samples))
    expect(isinstance(values, Tensor), "losses", type(values).__name__, "a tensor (L,)")
    expect(values.ndim == 1, "losses", f"shape {tuple(values.shape)}", "(L,)")
    expect(len(values) > 0, "losses", "none", "one or more")
    expect(bool(values.isfinite().all()), "losses", "NaN or infinity", "finite numbers")
    expect(values.requires_grad, "losses", "no gradient", "one, to the core")
    if subject.task.loss_per_sample:
        count = task_batch.num_samples
        expected = f"{count}, one each"
        expect(len(values) == count, "losses with loss_per_sample", len(values), expected)
    stated = None if task_batch.counts is None else task_batch.counts.losses
    expect(stated == len(values), "num_losses", stated, f"{len(values)}, as losses returned")
    return f"{len(values)} of {task_batch.num_samples} samples, mean {values.mean().item():.3f}"


def gradients(subject: TaskSubject) -> str:
    """Every parameter of the task has a gradient, and so has the core."""
    model = subject.fresh().train()
    by_name = gradients_of(subject, model, subject.samples)
    dead = [n for n, g in by_name.items() if n.startswith("tasks.") and (g is None or not g.any())]
    expect(not dead, "backward", f"no gradient for {named(dead)}", "one for every parameter")
    core = [g for n, g in by_name.items() if n.startswith("core.") and g is not None and g.any()]
    expect(bool(core), "backward", "no gradient in the core", "some")
    return f"{sum(p.numel() for t in model.tasks.values() for p in t.parameters()):,} parameters"


def nothing(subject: TaskSubject) -> None:
    """A batch without a sample of this task has no loss, but gradients for every parameter."""
    model = subject.fresh().train()
    try:
        values, task_batch = subject.losses(model, subject.batch([], model=model))
    except (AttributeError, TypeError) as error:
        raise CheckError(
            f"losses: found {type(error).__name__}: {error}, expected none of a batch without "
            "samples, in which batch.target is None (`if not batch.num_samples: return output`)"
        ) from error
    expect(len(values) == 0, "losses of no samples", len(values), "0")
    # else several processes wait for each other when one of them has no sample of the task
    some = gradients_of(subject, subject.fresh().train(), subject.samples)
    none = gradients_of(subject, model, [])
    without = [n for n in none if none[n] is None and some[n] is not None]
    expect(not without, "backward from no samples", f"none for {named(without)}", "zeros")
    with torch.no_grad():
        predicted = model.tasks[NAME].predict(
            model(subject.batch([]))[NAME], task_batch, subject.tokenizers
        )
    expect(list(predicted) == [], "predict of no samples", predicted, "[]")


def predictions(subject: TaskSubject) -> str:
    """`predict` gives plain data for each sample, also without targets."""
    unlabelled = subject.unlabelled()
    for location, samples, labelled in (
        ("predict", subject.samples, True),
        ("predict without targets", unlabelled, False),
    ):
        predicted = subject.predictions(samples, labelled)
        expect(isinstance(predicted, list), location, type(predicted).__name__, "a list")
        count = len(predicted)
        expect(count == len(samples), location, f"{count} predictions", len(samples))
        for number, prediction in enumerate(predicted):
            check_plain(prediction, f"{location}[{number}]")
    return ", ".join(map(str, predicted[0]))


def alone(subject: TaskSubject) -> None:
    """The prediction for a sample is the same alone and in a batch."""
    samples = subject.unlabelled()
    together = subject.predictions(samples)
    for number, sample in enumerate(samples):
        [one] = subject.predictions([sample])
        expect_alike(one, together[number], f"predict of samples[{number}] alone", ROUNDING)


def metrics(subject: TaskSubject) -> str:
    """`metrics` are new each time, finite, and the same for two halves as for all at once.

    `monitor` is one of the metrics, or the loss.
    """
    task, count = subject.task, len(subject.samples)
    expect(task.metrics() is not task.metrics(), "metrics()", "the same object", "a fresh one")
    once = computed_metrics(subject, [list(range(count))])
    halves = computed_metrics(
        subject, [list(range(count // 2)), [], list(range(count // 2, count))]
    )
    expect_alike(halves, once, "metrics of two halves", ROUNDING)
    for name, value in once.items():
        finite = bool(torch.as_tensor(value).isfinite().all())
        expect(finite, f"metrics: {name}", value, "finite numbers")
    expect(task.mode in ("min", "max"), "mode", repr(task.mode), "'min' or 'max'")
    known = [*once, "loss"]
    expect(task.monitor in known, "monitor", repr(task.monitor), f"one of {', '.join(known)}")
    return ", ".join(once)


def missing(subject: TaskSubject) -> str:
    """A sample without one input is refused by `accepts` or learned from; without all, refused."""
    task, columns = subject.task, list(subject.task.inputs)
    sample = next((s for s in subject.samples if all(s.get(c) is not None for c in columns)), None)
    expect(sample is not None, "samples", f"none with {' and '.join(columns)}", "one at least")
    bare = {k: v for k, v in (sample or {}).items() if k not in columns}
    expect(not task.accepts(bare), "accepts without an input", True, False)
    if task.target is not None:
        unlabelled = {k: v for k, v in (sample or {}).items() if k != task.target}
        expect(not task.accepts(unlabelled), "accepts without a target", True, False)
        accepted = task.accepts(unlabelled, labelled=False)
        expect(accepted, "accepts(labelled=False)", False, True)
    handled = 0
    for column in columns if len(columns) > 1 else ():
        for absent in ({}, {column: None}):
            some = {k: v for k, v in (sample or {}).items() if k != column} | absent
            if task.accepts(some):
                batch = subject.batch([some, *subject.samples])
                values, _ = subject.losses(subject.model, batch)
                finite = bool(values.isfinite().all())
                expect(finite, f"losses without {column}", "NaN or infinity", "finite numbers")
                subject.predictions([some], labelled=True)
                handled += 1
    return f"{handled} of {2 * len(columns) if len(columns) > 1 else 0} samples that lack an input"


def refused(subject: TaskSubject) -> None:
    """A target that is an object of an unknown class raises a UserError of one line."""
    task = subject.task
    if task.target is None:
        raise Skip("it has no target column")
    if task.target_tokenizer is not None:
        raise Skip("a tokenizer encodes the target")
    strange = {**subject.samples[0], task.target: Strange()}
    try:
        subject.batch([strange])
    except ValueError as error:
        text = str(error).strip()
        expect(bool(text) and "\n" not in text, "a strange target", repr(text), "one line")
    except Exception as error:
        kind = f"{type(error).__name__}: {error}"
        hint = " (catch TypeError too)" if isinstance(error, TypeError) else ""
        expect(False, "a strange target", kind, f"a unitf.UserError{hint}")
    else:
        expect(False, "a strange target", "nothing wrong with it", "a unitf.UserError")


def learns(subject: TaskSubject) -> str:
    """The loss falls while a model is trained on the samples."""
    model = subject.fresh().train()
    batch = subject.batch(subject.samples, model=model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    values: list[float] = []
    with seeded(0):
        for _ in range(STEPS):
            loss = subject.losses(model, batch)[0].mean()
            expect(bool(loss.isfinite()), f"loss of step {len(values)}", loss.item(), "finite")
            values.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    first, last = values[0], sum(values[-5:]) / 5
    falls = last < first - (1 - FALL) * abs(first)
    expect(falls, f"loss after {STEPS} steps", f"{last:.4f}", f"below {FALL} of {first:.4f}")
    return f"{first:.3f} → {last:.3f} in {STEPS} steps"


def state(subject: TaskSubject) -> None:
    """A task restored from its configuration and `state_dict` predicts the same."""
    buffer = io.BytesIO()
    torch.save(subject.task.state_dict(), buffer)
    buffer.seek(0)
    task = subject.remade()
    task.load_state_dict(torch.load(buffer, weights_only=True))
    model = subject.fresh()
    model.tasks[NAME] = task.eval()
    samples = subject.unlabelled()
    restored, expected = subject.predictions(samples, model=model), subject.predictions(samples)
    expect_alike(restored, expected, "predict of the remade one")
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
        check_plain(one.get("text", ""), "generate")
    return f"{sum(len(one['tokens']) for one in written)} tokens"


def spawned(subject: TaskSubject) -> None:
    """A data worker with its own interpreter encodes the same as this process."""
    parcel = pickle.dumps((subject.tokenizers, dict(subject.model.tasks.items()), subject.samples))
    from_worker = pickle.loads(in_worker(encode_in_worker, parcel))
    here = subject.batch(subject.samples).task_batches[NAME]
    for location, one, other in (
        ("target", from_worker.target, here.target),
        ("sample_info", from_worker.sample_infos, here.sample_infos),
    ):
        expect_same_target(one, other, f"{location} in a spawned worker")


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
"""The checks of a task by name, in their order; a check that fails raises `CheckError`."""
