"""Times training steps, part by part."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.hooks import RemovableHandle

from unitf.batch import Batch
from unitf.core.block import Block
from unitf.tokens import Tokens
from unitf.training.callbacks.prepared import training_batches
from unitf.training.learner import Learner

# in their order; backward is one part, because autograd runs through all parts at once
PARTS: tuple[str, ...] = (
    "waiting for data",
    "embedding",
    "attention",
    "feed-forward",
    "rest of the core",
    "head and loss",
    "backward",
    "optimizer",
)
INSIDE: tuple[str, ...] = ("attention", "feed-forward")  # parts of the core's blocks

Mark = float | torch.cuda.Event  # a point in time: seconds on a CPU, an event on a GPU


class Clock:
    """Measures the seconds between two marks; on a GPU it times the work that was queued."""

    def __init__(self, device: torch.device) -> None:
        self.on_cuda: bool = device.type == "cuda"

    def mark(self) -> Mark:
        """Returns a mark of this point in time."""
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wait(self) -> None:
        """Synchronises the device; only then can times between marks be read."""
        if self.on_cuda:
            torch.cuda.synchronize()

    def between(self, begin: Mark, end: Mark) -> float:
        """Returns the seconds from one mark to another."""
        if self.on_cuda:
            events = cast(torch.cuda.Event, begin), cast(torch.cuda.Event, end)
            return events[0].elapsed_time(events[1]) / 1000
        return cast(float, end) - cast(float, begin)


class BatchMarks(NamedTuple):
    """The marks of one batch in a step.

    Args:
        received: when the batch was there.
        first_pass: the number of the first pass through the core that belongs to the batch.
        forward_end: when its loss was computed.
        backward_end: when its gradients were computed.
    """

    received: Mark
    first_pass: int
    forward_end: Mark
    backward_end: Mark


@dataclass
class StepTimes:
    """One step of the optimizer: the size of what it trained on, and the seconds of its parts."""

    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    samples: int = 0
    tokens: int = 0
    columns: int = 0  # that the core read, learned columns included
    padded: int = 0  # the columns if all sequences were padded to the longest of each pass


class Stepper:
    """Trains as the recipe says (batches, precision, clipping, optimizer): one step for each call.

    Args:
        trainer: is prepared for training (see `run_prepared`).
    """

    def __init__(self, trainer: Trainer, learner: Learner) -> None:
        self.trainer: Trainer = trainer
        self.learner: Learner = learner
        self.batches: Iterator[Batch] = training_batches(trainer)
        self.clock: Clock = Clock(learner.device)
        self.spans: dict[str, list[tuple[Mark, Mark]]] = defaultdict(list)
        self.step: StepTimes = StepTimes()
        # False in backward: a block that is computed again there belongs to backward
        self.forward: bool = False

    def __call__(self) -> StepTimes:
        self.step, clock = StepTimes(), self.clock
        optimizer = self.trainer.optimizers[0]
        clock.wait()
        with self._recording_spans():
            begin = clock.mark()
            marks: list[BatchMarks] = []
            self.trainer.strategy.optimizer_step(
                optimizer, lambda: self._closure(optimizer, marks), model=self.learner
            )
            for schedule in self.trainer.lr_scheduler_configs:
                if schedule.interval == "step" and not schedule.reduce_on_plateau:
                    cast(LRScheduler, schedule.scheduler).step()
            end = clock.mark()
        clock.wait()
        self._set_parts(begin, marks, end)
        return self.step

    def _closure(self, optimizer: Optimizer, marks: list[BatchMarks]) -> Tensor:
        """Computes forward and backward passes of the batches that the recipe accumulates."""
        count, loss = self.trainer.accumulate_grad_batches, torch.zeros(())
        for number in range(count):
            batch = next(self.batches)
            self._count(batch)
            received, first_pass = self.clock.mark(), len(self.spans["core"])
            loss = self.loss(batch)  # a part of the step's loss
            forward_end = self.clock.mark()
            if number == 0:
                optimizer.zero_grad()
            self.trainer.strategy.backward(loss, optimizer)
            marks.append(BatchMarks(received, first_pass, forward_end, self.clock.mark()))
        return loss

    def loss(self, batch: Batch) -> Tensor:
        """Returns the loss of a training batch, computed in the recipe's precision."""
        self.forward = True
        with self.trainer.precision_plugin.train_step_context():
            loss = self.learner.loss(batch)
        self.forward = False
        return loss

    def _count(self, batch: Batch) -> None:
        self.step.samples += batch.num_samples
        self.step.tokens += batch.num_tokens

    def _set_parts(self, begin: Mark, marks: list[BatchMarks], end: Mark) -> None:
        """Sets the seconds of the step's parts, which are disjoint and cover the step."""
        parts, between = self.step.parts, self.clock.between
        sums = {name: sum(between(*span) for span in spans) for name, spans in self.spans.items()}
        previous = begin
        for batch in marks:
            core_begin = self.spans["core"][batch.first_pass][0]
            parts["waiting for data"] += between(previous, batch.received)
            parts["embedding"] += between(batch.received, core_begin)
            parts["head and loss"] += between(core_begin, batch.forward_end)
            parts["backward"] += between(batch.forward_end, batch.backward_end)
            previous = batch.backward_end
        for name in INSIDE:
            parts[name] = sums.get(name, 0.0)
        parts["rest of the core"] = sums["core"] - sum(parts[name] for name in INSIDE)
        parts["head and loss"] -= sums["core"]
        parts["optimizer"] = between(previous, end)
        self.step.seconds = between(begin, end)

    @contextmanager
    def _recording_spans(self) -> Iterator[None]:
        """Records the times of the forward passes of the core and its parts inside the context."""
        self.spans.clear()
        core = self.learner.core
        hooks: list[RemovableHandle] = []
        hooks += self._add_hooks(core, "core")
        if not self.learner.compile_core:  # compiled, a block is one thing
            for block in (cast(Block, b) for stack in core.stacks for b in stack.blocks):
                for module in filter(None, (block.attention, block.cross)):
                    hooks += self._add_hooks(module, "attention")
                hooks += self._add_hooks(block.feedforward, "feed-forward")
        hooks += [stack.register_forward_pre_hook(self._count_columns) for stack in core.stacks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _add_hooks(self, module: nn.Module, name: str) -> list[RemovableHandle]:
        """Adds hooks that record the forward passes of a module under a part's name."""
        begins: list[Mark] = []

        def begin(*_: object) -> None:
            begins.append(self.clock.mark())

        def end(*_: object) -> None:
            span = begins.pop(), self.clock.mark()
            if self.forward:
                self.spans[name].append(span)

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]

    def _count_columns(self, stack: nn.Module, inputs: tuple[Tokens, ...]) -> None:
        if self.forward:
            tokens = inputs[0]
            self.step.columns += tokens.num_tokens
            self.step.padded += tokens.num_sequences * tokens.longest
