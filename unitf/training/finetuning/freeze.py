"""Freeze: parts of a model that are not trained, for some epochs or for the whole run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from unitf.core.lora import is_adapter
from unitf.errors import UserError, close_names, suggestion
from unitf.training.optimization import LayerIds


@dataclass(frozen=True)
class Freeze:
    """The parts that are not trained: they keep their weights, in evaluation mode.

    Args:
        parts: names within the model: core, tokenizers, tokenizers.image, core.encoder.input_norm.
            [core, tokenizers], which is all but the tasks, gives a linear probe.
        blocks: numbers of blocks of the core, counted from the input: 0-5, or 0,2,4.
        unfreeze_every: the number of epochs after which one more block is trained, from the top
            down, and at last the rest (Howard and Ruder, 2018); None: they stay frozen.
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
        self.freeze: Freeze = freeze
        self.epoch: int = 0
        # the weights beneath an adapter require no gradient now, and never will
        self.trainable: set[str] = {name for name, p in model.named_parameters() if p.requires_grad}
        self.layer_of: LayerIds = LayerIds(name for name, _ in model.named_modules())
        self.prefixes: tuple[str, ...] = tuple(f"{part}." for part in self._parts(model))
        self.ever_trained: set[str] = (
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
                close = close_names(part, known)
                hint = suggestion(close) if close else "expected core, tokenizers, …"
                raise UserError(f"model.freeze.parts: there is no part {part!r}; {hint}")
            yield part
        if self.freeze.blocks is not None:
            wanted = block_numbers(self.freeze.blocks, self.layer_of.depth)
            for name in modules:
                is_block = re.fullmatch(r"core\.\w+\.blocks\.\d+", name)
                if is_block and self.layer_of(name) in wanted:
                    yield name

    def _chosen(self, name: str) -> bool:
        # adapters are trained beside frozen weights
        return f"{name}.".startswith(self.prefixes) and not is_adapter(f"{name}.")

    def is_frozen(self, name: str) -> bool:
        """Returns whether a module or parameter is frozen in this epoch."""
        every = self.freeze.unfreeze_every
        num_unfrozen = 0 if every is None else self.epoch // every
        below = num_unfrozen == 0 or self.layer_of(name) <= self.layer_of.depth - num_unfrozen
        return below and self._chosen(name)

    def prepare(self, model: nn.Module) -> bool:
        """Freezes the parameters of this epoch, and returns whether any parameter has changed."""
        changed = False
        for name, parameter in model.named_parameters():
            is_trained = name in self.trainable and not self.is_frozen(name)
            if parameter.requires_grad is not is_trained:
                changed = True
                parameter.requires_grad_(is_trained)
                parameter.grad = None
        return changed

    def prepare_modes(self, model: nn.Module) -> None:
        """Sets frozen modules to evaluation mode: no dropout, and no update of statistics."""
        for name, module in model.named_modules():
            if self._chosen(name):
                module.training = model.training and not self.is_frozen(name)

    def begin_epoch(self, model: LightningModule) -> None:
        """Freezes and unfreezes the parts of the epoch that begins."""
        trainer = model.trainer
        self.epoch = trainer.current_epoch
        changed = self.prepare(model)
        self.prepare_modes(model)
        strategy = trainer.strategy
        if changed and isinstance(strategy, DDPStrategy):
            # it sums the gradients of the parameters that were trained when it was made
            strategy.model = strategy._setup_model(model)
            strategy._register_ddp_hooks()


def block_numbers(text: str, depth: int) -> set[int]:
    """Returns the layers of the blocks in `text`; block 0 is layer 1 (see `LayerIds`).

    Args:
        text: such as "0-5" or "0,2,4".
        depth: the number of blocks.

    Raises:
        UserError: `text` has another form, or a block does not exist.
    """
    numbers: set[int] = set()
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < depth:
            raise UserError(
                f"model.freeze.blocks: expected numbers from 0 to {depth - 1} such as "
                f"0-{depth - 1}, found {text!r}"
            )
        numbers |= set(range(first + 1, last + 2))
    return numbers
