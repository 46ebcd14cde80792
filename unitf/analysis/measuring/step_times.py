"""Training steps, timed part by part."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unitf.batch import Batch
from unitf.training.callbacks.prepared import training_batches

# in their order; backward is one part: it takes the parts' operations back in one go
PARTS = (
    "waiting for data",
    "embedding",
    "attention",
    "feed-forward",
    "rest of the core",
    "head and loss",
    "backward",
    "optimizer",
)
INSIDE = ("attention", "feed-forward")  # of the core's blocks


class Clock:
    """Marks in time, and the seconds between them: on a GPU those of the work that was given it."""

    def __init__(self, device: torch.device) -> None:
        self.on_cuda = device.type == "cuda"

    def mark(self) -> Any:
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def wait(self) -> None:
        """Until all work that was given is done; before it nothing can be told of marks."""
        if self.on_cuda:
            torch.cuda.synchronize()

    def between(self, begin: Any, end: Any) -> float:
        return begin.elapsed_time(end) / 1000 if self.on_cuda else end - begin


@dataclass
class StepTimes:
    """One step of the optimizer: what it trained on, and the seconds of its parts."""

    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    samples: int = 0
    tokens: int = 0
    columns: int = 0  # that the core read: also those that are learned
    padded: int = 0  # as many they would be, padded to the longest of each pass


class Stepper:
    """Trains by the recipe's batches, precision, clipping and optimizer, a step a call."""

    def __init__(self, trainer: Any, learner: Any) -> None:
        self.trainer, self.learner = trainer, learner
        self.batches = training_batches(trainer)
        self.clock = Clock(learner.device)
        self.spans: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        self.step = StepTimes()
        self.forward = False  # a block that is computed again in backward is part of that

    def __call__(self) -> StepTimes:
        self.step, clock = StepTimes(), self.clock
        optimizer = self.trainer.optimizers[0]
        clock.wait()
        with self._watched():
            began = clock.mark()
            marks: list[list[Any]] = []
            self.trainer.strategy.optimizer_step(
                optimizer, lambda: self._closure(optimizer, marks), model=self.learner
            )
            for schedule in self.trainer.lr_scheduler_configs:
                if schedule.interval == "step" and not schedule.reduce_on_plateau:
                    schedule.scheduler.step()
            ended = clock.mark()
        clock.wait()
        self._tell(began, marks, ended)
        return self.step

    def _closure(self, optimizer: Any, marks: list[list[Any]]) -> Tensor:
        """Forward and backward, of so many batches as the recipe accumulates."""
        count, loss = self.trainer.accumulate_grad_batches, torch.zeros(())
        for number in range(count):
            batch = next(self.batches)
            self._count(batch)
            got, passes = self.clock.mark(), len(self.spans["core"])
            loss = self.loss(batch) / count
            lost = self.clock.mark()
            if number == 0:
                optimizer.zero_grad()
            self.trainer.strategy.backward(loss, optimizer)
            marks.append([got, passes, lost, self.clock.mark()])
        return loss

    def loss(self, batch: Batch) -> Tensor:
        """Of a training batch, in the recipe's precision."""
        self.forward = True
        with self.trainer.precision_plugin.train_step_context():
            loss = self.learner.loss(batch)
        self.forward = False
        return loss

    def _count(self, batch: Batch) -> None:
        self.step.samples += batch.num_samples
        self.step.tokens += batch.num_tokens

    def _tell(self, began: Any, marks: list[list[Any]], ended: Any) -> None:
        """The parts of a step, which are disjoint and cover it."""
        parts, between = self.step.parts, self.clock.between
        sums = {name: sum(between(*span) for span in spans) for name, spans in self.spans.items()}
        before = began
        for got, passes, lost, done in marks:
            first = self.spans["core"][passes][0]
            parts["waiting for data"] += between(before, got)
            parts["embedding"] += between(got, first)
            parts["head and loss"] += between(first, lost)
            parts["backward"] += between(lost, done)
            before = done
        for name in INSIDE:
            parts[name] = sums.get(name, 0.0)
        parts["rest of the core"] = sums["core"] - sum(parts[name] for name in INSIDE)
        parts["head and loss"] -= sums["core"]
        parts["optimizer"] = between(before, ended)
        self.step.seconds = between(began, ended)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """While it lasts, the core and its parts keep the times of their forward passes."""
        self.spans.clear()
        core, hooks = self.learner.core, []
        hooks += self._over(core, "core")
        if not self.learner.compile_core:  # compiled, a block is one thing
            for block in (block for stack in core.stacks for block in stack.blocks):
                for module in filter(None, (block.attention, block.cross)):
                    hooks += self._over(module, "attention")
                hooks += self._over(block.feedforward, "feed-forward")
        hooks += [stack.register_forward_pre_hook(self._look) for stack in core.stacks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _over(self, module: nn.Module, name: str) -> list[Any]:
        begun: list[Any] = []

        def begin(*_: Any) -> None:
            begun.append(self.clock.mark())

        def end(*_: Any) -> None:
            span = begun.pop(), self.clock.mark()
            if self.forward:
                self.spans[name].append(span)

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]

    def _look(self, stack: nn.Module, given: tuple[Any, ...]) -> None:
        if self.forward:
            self.step.columns += given[0].num_tokens
            self.step.padded += given[0].num_sequences * given[0].longest
