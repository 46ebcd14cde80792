"""Freeze: parts of a model that are not trained, for a while or for good."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from unitf.core.lora_weights import is_adapter
from unitf.errors import UserError
from unitf.plugin_errors import close_names
from unitf.training.optimization import LayerIds
from unitf.training.random_state import batches_done


@dataclass(frozen=True)
class Freeze:
    """What is not trained: its weights stay, it is in eval mode, and has no gradients.

    Args:
        parts: names within the model: core, tokenizers, tokenizers.image, core.encoder.input_norm.
            All but the tasks, [core, tokenizers], is a linear probe.
        blocks: of the core, counted from the input: 0-5, or 0,2,4.
        unfreeze_every: after each so many epochs one more block is trained, from the top, and at
            last the rest (Howard and Ruder, 2018); None: never.
    """

    parts: tuple[str, ...] = ()
    blocks: str | None = None
    unfreeze_every: int | None = None

    def __post_init__(self) -> None:
        if not self.parts and self.blocks is None:
            raise UserError("model.freeze: found neither parts nor blocks, expected one of them")
        if self.unfreeze_every is not None and self.unfreeze_every < 1:
            raise UserError(
                f"model.freeze.unfreeze_every: expected 1 or more, found {self.unfreeze_every}"
            )


class Freezer:
    """Freezes a model as `Freeze` says, epoch by epoch."""

    def __init__(self, model: nn.Module, freeze: Freeze) -> None:
        self.freeze = freeze
        self.epoch = 0
        # what does not want a gradient now never does: the weights beneath an adapter
        self.trainable = {name for name, p in model.named_parameters() if p.requires_grad}
        self.levels = LayerIds(name for name, _ in model.named_modules())
        self.prefixes = tuple(f"{part}." for part in self._parts(model))
        self.ever_trained = (
            {name for name in self.trainable if not self._chosen(name)}
            if freeze.unfreeze_every is None
            else self.trainable
        )
        if not self.ever_trained:
            raise UserError("model.freeze: found all parts frozen, expected one that is trained")

    def _parts(self, model: nn.Module) -> Iterator[str]:
        modules = [name for name, _ in model.named_modules() if name]
        known = {*modules, *(name for name, _ in model.named_parameters())}
        for part in self.freeze.parts:
            if part not in known:
                near = close_names(part, known)
                hint = f"near: {', '.join(near)}" if near else "expected core, tokenizers, …"
                raise UserError(f"model.freeze.parts: there is no part {part!r}; {hint}")
            yield part
        if self.freeze.blocks is not None:
            wanted = block_numbers(self.freeze.blocks, self.levels.depth)
            for name in modules:
                if re.fullmatch(r"core\.\w+\.blocks\.\d+", name) and self.levels(name) in wanted:
                    yield name

    def _chosen(self, name: str) -> bool:
        # adapters are there to be trained beside what is frozen
        return f"{name}.".startswith(self.prefixes) and not is_adapter(f"{name}.")

    def is_frozen(self, name: str) -> bool:
        """Whether a module or parameter is frozen in this epoch."""
        every = self.freeze.unfreeze_every
        thawed = 0 if every is None else self.epoch // every
        deep = thawed == 0 or self.levels(name) <= self.levels.depth - thawed
        return deep and self._chosen(name)

    def prepare(self, model: nn.Module) -> bool:
        """Freezes what is frozen in this epoch, and says whether that is something new."""
        changed = False
        for name, parameter in model.named_parameters():
            wants = name in self.trainable and not self.is_frozen(name)
            if parameter.requires_grad is not wants:
                changed = True
                parameter.requires_grad_(wants)
                parameter.grad = None
        return changed

    def prepare_modes(self, model: nn.Module) -> None:
        """Eval mode for what is frozen, so that it drops nothing and counts no statistics."""
        for name, module in model.named_modules():
            if self._chosen(name):
                module.training = model.training and not self.is_frozen(name)

    def begin_epoch(self, model: LightningModule) -> None:
        """Trains what is to be trained from this epoch on."""
        trainer = model.trainer
        # not Lightning's number: see `batches_done`
        self.epoch = batches_done(trainer) // int(trainer.num_training_batches)
        changed = self.prepare(model)
        self.prepare_modes(model)
        strategy = trainer.strategy
        if changed and isinstance(strategy, DDPStrategy):
            # it sums the gradients of those parameters that it saw when it was made
            strategy.model = strategy._setup_model(model)
            strategy._register_ddp_hooks()


def block_numbers(text: str, depth: int) -> set[int]:
    """The levels (the first block's is 1) of "0-5" or "0,2,4"."""
    numbers: set[int] = set()
    for word in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < depth:
            raise UserError(
                f"model.freeze.blocks: expected numbers from 0 to {depth - 1} such as "
                f"0-{depth - 1}, found {text!r}"
            )
        numbers |= set(range(first + 1, last + 2))
    return numbers
