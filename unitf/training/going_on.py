"""Where a run goes on: a function of where it stood and of how its batches are made now."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias, cast

from unitf.data.epoch_sampler import EpochStart, Stretch
from unitf.errors import UserError

_Plain: TypeAlias = tuple[int, bool, int, int, int, int]  # a Stretch, in a checkpoint a list


@dataclass(frozen=True)
class Standing:
    """Where a run stands, as its checkpoints hold it.

    Args:
        start: where the last epoch that was begun began in this process; its step is that of the
            next batch.
        stretch: how the batches are made; `steps` is 0, and `of` the steps of a whole epoch.
        batches: the number of batches of the epoch that are done, as Lightning counts them.
        length: that number at the end of the epoch.
        identity: what the order of the samples depends on, beside the batches.
        ended: whether what follows the last batch of an epoch is done too.
        validated: whether a validation that follows the last batch is done.
        stopped: whether the run was told to stop, as by EarlyStopping.
        metrics: the logged metrics, by name.
        means: the means over the epoch so far: see `epoch_means`.
    """

    start: EpochStart
    stretch: Stretch
    batches: int
    length: int
    identity: tuple[int, ...]
    ended: bool
    validated: bool
    stopped: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    means: list[dict[str, object]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether no batch of the epoch is left."""
        return self.batches >= self.length

    def to_plain(self) -> dict[str, object]:
        """Returns plain data, as checkpoints hold it."""
        return asdict(self) | {
            "start": [self.start.epoch, self.start.step, [list(s) for s in self.start.earlier]],
            "stretch": list(self.stretch),
            "identity": list(self.identity),
        }

    @classmethod
    def of_plain(cls, plain: Mapping[str, object]) -> "Standing":
        """Returns what `to_plain` was called on."""
        epoch, step, earlier = cast(tuple[int, int, list[_Plain]], plain["start"])
        made = dict(plain)
        made["start"] = EpochStart(epoch, step, tuple(Stretch(*each) for each in earlier))
        made["stretch"] = Stretch(*cast(_Plain, plain["stretch"]))
        made["identity"] = tuple(cast(list[int], plain["identity"]))
        return cls(**made)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Continuation:
    """Where and how a run goes on.

    Args:
        start: where the batches of the epoch begin.
        batches: how many of its batches are done, as Lightning counts them.
        length: that number at the end of the epoch.
        within: whether the epoch has begun and not ended.
        same: whether batches and data are those of before.
        half: the number of batches of a half step, which are done again.
        anew: whether an epoch that was begun begins again.
    """

    start: EpochStart
    batches: int
    length: int
    within: bool
    same: bool = True
    half: int = 0
    anew: bool = False

    def __str__(self) -> str:
        epoch = self.start.epoch
        if self.anew:
            return f"epoch {epoch} begins anew, with all of its samples"
        if not self.within:
            return f"from epoch {epoch} on"
        left = self.length - self.batches
        return f"{left} batches are made of the samples that are left of epoch {epoch}"


def continuation(
    saved: Standing,
    now: Stretch,
    identity: tuple[int, ...],
    num_steps_left: Callable[[int, Sequence[Stretch]], int],
) -> Continuation:
    """Returns where a run goes on that stood at `saved`.

    In an epoch that goes on with other batches, the number of its batches that are done is such
    that as many steps are left as there are, and that a step begins.

    Args:
        now: how batches are made now; `of` is the number of steps of an epoch.
        identity: see `Standing`.
        num_steps_left: returns the steps that earlier stretches have left of an epoch.
    """
    epoch, same = saved.start.epoch, now == saved.stretch and identity == saved.identity
    if saved.complete and saved.ended:
        return Continuation(EpochStart(epoch + 1), 0, now.of, within=False, same=same)
    if saved.complete:
        return Continuation(EpochStart(epoch), now.of, now.of, within=True, same=same)
    half = saved.batches % saved.stretch.accumulation
    start = saved.start._replace(step=saved.start.step - half)
    batches = saved.batches - half
    if start.step == 0 and not start.earlier:
        return Continuation(EpochStart(epoch), 0, now.of, within=False, same=same, half=half)
    if same:
        return Continuation(start, batches, saved.length, within=True, half=half)
    if identity != saved.identity:
        return Continuation(EpochStart(epoch), 0, now.of, False, False, half, anew=True)
    done = saved.stretch._replace(steps=start.step, of=saved.length - batches + start.step)
    earlier = (*start.earlier, done) if start.step else start.earlier
    left = _steps_left(now, earlier, num_steps_left(epoch, earlier), num_steps_left(epoch, ()))
    steps = -(-now.of // now.accumulation) - -(-left // now.accumulation)
    batches = steps * now.accumulation
    return Continuation(EpochStart(epoch, 0, earlier), batches, batches + left, True, False, half)


def _steps_left(now: Stretch, earlier: Sequence[Stretch], left: int, whole: int) -> int:
    """Returns the steps that are left of an epoch, which may be limited to a number of steps."""
    if now.of >= whole:
        return left
    share = math.prod(1 - stretch.steps / stretch.of for stretch in earlier)
    return min(left, round(now.of * share))


def stream_continuation(saved: Standing, now: Stretch, identity: tuple[int, ...]) -> Continuation:
    """Returns where a run goes on whose samples are streamed.

    Raises:
        UserError: processes, workers or batches are others, so that a stream would give samples
            twice.
    """
    before, after = _stream(saved.stretch, saved.identity), _stream(now, identity)
    changes = [
        f"{name} {after[name]}, expected {value} as before"
        for name, value in before.items()
        if after[name] != value
    ]
    begun = saved.start != EpochStart() or saved.batches > 0
    if begun and changes:
        raise UserError(
            f"a stream goes on only as it began, else samples come twice: found {changes[0]}"
        )
    epoch = saved.start.epoch
    if saved.complete:
        return continuation(saved, now, identity, lambda epoch, earlier: 0)
    half = saved.batches % saved.stretch.accumulation
    step = saved.start.step - half
    left = max(now.of - step, 0)
    steps = -(-now.of // now.accumulation) - -(-left // now.accumulation)
    same = now == saved.stretch
    batches = saved.batches - half if same else steps * now.accumulation
    length = saved.length if same else batches + left
    return Continuation(EpochStart(epoch, step), batches, length, step > 0, same, half)


def _stream(stretch: Stretch, identity: tuple[int, ...]) -> dict[str, int]:
    """Returns the numbers that must stay while a stream is read, by name."""
    size = "data.tokens_per_batch" if stretch.tokens else "data.batch_size"
    other = "data.batch_size" if stretch.tokens else "data.tokens_per_batch"
    return {
        size: stretch.size,
        other: 0,
        "number of processes": stretch.world,
        "data.steps_per_epoch": identity[0],
        "data.num_workers": identity[1],
    }


def changes(saved: Standing, now: Stretch, identity: tuple[int, ...]) -> list[str]:
    """Returns what is other than before, in words."""
    before = saved.stretch
    sizes = [("data.tokens_per_batch" if s.tokens else "data.batch_size") for s in (now, before)]
    found: list[str] = []
    if (now.size, now.tokens) != (before.size, before.tokens):
        old = before.size if sizes[0] == sizes[1] else f"{sizes[1]} {before.size}"
        found.append(f"{sizes[0]} {now.size} (before: {old})")
    if now.accumulation != before.accumulation:
        found.append(
            f"trainer.accumulate_grad_batches {now.accumulation} (before: {before.accumulation})"
        )
    if now.world != before.world:
        found.append(f"{now.world} process{'es' * (now.world > 1)} (before: {before.world})")
    if identity != saved.identity:
        found.append("other training data, or another order of it")
    if not found and now.of != before.of:
        found.append(f"{now.of} batches in an epoch (before: {before.of})")
    return found


def of_counters(
    total: int, current: int, epochs: int, validated: bool, now: Stretch, identity: tuple[int, ...]
) -> Standing:
    """Returns where a run stood by the counters of a checkpoint that holds no Standing.

    Args:
        total: the number of batches that each process had trained on.
        current: those of the last epoch.
        epochs: the number of epochs that had ended.
        validated: whether a validation that follows the last batch is done.
        now: how batches are made now; they must have been made so before.

    Raises:
        UserError: batches were made otherwise.
    """
    if epochs and total == current * epochs:  # between two epochs, whatever the batches were
        start, length = EpochStart(epochs - 1, current), current
        return Standing(start, now._replace(of=length), length, length, identity, True, True)
    epoch, step = divmod(total, now.of)
    if total and not step:
        epoch, step = epoch - 1, now.of
    if current not in (step, 0):
        raise UserError(
            f"the checkpoint was saved by an earlier unitf after {current} batches of an epoch, "
            f"which does not fit {now.of} batches in an epoch; expected the batch size, "
            "accumulation, processes and data of before"
        )
    ended = epochs > epoch
    return Standing(EpochStart(epoch, step), now, step, now.of, identity, ended, validated)
