"""The kinds of classes that a plugin can add: one row each. This file imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of class that a plugin can add.

    Args:
        one: the word for one such class, in messages.
        bases: dotted paths of base classes. A class is of this kind if one of its bases has such
            a path; so the kind is known without importing the base class.
        recipe_key: the key of a recipe that names such a class; `*` stands for any name that the
            recipe chooses. Empty: the class is named elsewhere (in the arguments of another class,
            or on the command line).
        nameable: whether a plugin may register a class under another name than its own. Saved
            models and recipes use the class names of the other kinds.
        foreign: whether a recipe may also name unregistered classes there (those of torch and
            Lightning).
    """

    one: str
    bases: tuple[str, ...]
    recipe_key: str = ""
    foreign: bool = False
    nameable: bool = False


KINDS: dict[str, Kind] = {
    "tokenizers": Kind("tokenizer", ("unitf.tokenizer.tokenizer.Tokenizer",), "model.tokenizers.*"),
    "tasks": Kind("task", ("unitf.tasks.task.Task",), "model.tasks.*"),
    "sources": Kind("source", ("unitf.data.source.Source",), "data.sources.*"),
    "hubs": Kind("hub", ("unitf.interop.hub.ModelHub",)),
    "architectures": Kind("architecture", ("unitf.interop.architecture.Architecture",)),
    "norms": Kind("norm", ("unitf.core.norms.Norm",), nameable=True),
    "activations": Kind("activation", ("unitf.core.activations.Activation",), nameable=True),
    "feedforwards": Kind("feed-forward", ("unitf.core.feedforward.FeedForward",), nameable=True),
    "relative_positions": Kind(
        "scheme of relative positions",
        ("unitf.core.relative_positions.RelativePositions",),
        nameable=True,
    ),
    "augmentations": Kind(
        "augmentation", ("unitf.tokenizer.augmentation.Augmentation",), nameable=True
    ),
    "callbacks": Kind(
        "callback",
        ("lightning.pytorch.callbacks.callback.Callback",),
        "trainer.callbacks",
        foreign=True,
    ),
    "loggers": Kind(
        "logger", ("lightning.pytorch.loggers.logger.Logger",), "trainer.logger", foreign=True
    ),
    "optimizers": Kind(
        "optimizer", ("torch.optim.optimizer.Optimizer",), "model.optimizer", foreign=True
    ),
    "schedules": Kind(
        "schedule", ("torch.optim.lr_scheduler.LRScheduler",), "model.schedule", foreign=True
    ),
    "commands": Kind("command", ("unitf.registry.command.Command",), nameable=True),
}
HOOKS: list[str] = [f"register_{kind}" for kind in KINDS]
