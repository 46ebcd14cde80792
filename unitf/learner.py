"""Learner: the one LightningModule, of tokenizers, one core and one or more tasks."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from unitf import inference
from unitf.batch import Batch, Sample
from unitf.checkpoints.compare import check_same_model
from unitf.checkpoints.read import read_checkpoint
from unitf.clipping import clip_gradients
from unitf.configurable import plain
from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError
from unitf.finetuning import Freeze, LoRA
from unitf.finetuning.freeze import Freezer
from unitf.finetuning.lora import add_adapters
from unitf.finetuning.start import Start
from unitf.fitting import (
    build_components,
    check_inputs,
    fit_components,
    restore_components,
)
from unitf.generation import Generation
from unitf.optimisation import WarmupCosine, check_scaled, parameter_groups, scale_rates
from unitf.plain import is_plain
from unitf.scoreboard import Scoreboard, flat_figures
from unitf.tasks.task import Given, Task
from unitf.tokenizer import Tokenizer
from unitf.tokens import Places, Tokens

TokenizerFactory = Callable[[int], Tokenizer]
OptimizerFactory = Callable[[Iterable], Optimizer]
ScheduleFactory = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
# what stands where nothing was given: an instance, so that the parser knows its fields (all open)
NO_CORE: TransformerConfig = object.__new__(TransformerConfig)
_NONE: dict[str, Any] = {}


class Learner(L.LightningModule):
    """Tokenizers, one core, one or more tasks, an optimizer.

    Args:
        core: what the Transformer is; its `dim` is the D of all tokenizers and tasks.
        tokenizers: by the name that tasks call their inputs; each is made with D.
        tasks: by name; they train together, over the same core.
        optimizer: any torch optimizer, given the parameter groups.
        schedule: any torch schedule, given the optimizer; it steps once an epoch, but
            `WarmupCosine`, `OneCycleLR` and `CyclicLR` with every step of the optimizer.
        compile: whether the core's blocks go through `torch.compile`.
        pretrained: a run's folder or a checkpoint, from which comes what is not given here (the
            core's configuration, tokenizers, tasks), and the weights of all that agrees.
        core_from: the same of the core alone, under tokenizers of any modality.
        freeze: what is not trained.
        layer_decay: the factor of the learning rate for each block below the top.
        rates: factors of the learning rate by what names of parameters begin with: a tokenizer
            (`tokenizers.text`), a task, a part of the core.
        lora: adapters of the core.
    """

    def __init__(
        self,
        core: TransformerConfig = NO_CORE,
        tokenizers: dict[str, TokenizerFactory] = _NONE,
        tasks: dict[str, Task] = _NONE,
        optimizer: OptimizerFactory = lambda p: AdamW(p, lr=1e-3, weight_decay=0.05, fused=True),
        schedule: ScheduleFactory = lambda o: WarmupCosine(o),
        compile: bool = False,
        pretrained: str | None = None,
        core_from: str | None = None,
        freeze: Freeze | None = None,
        layer_decay: float | None = None,
        rates: dict[str, float] | None = None,
        lora: LoRA | None = None,
    ) -> None:
        super().__init__()
        self.start = Start(pretrained, core_from)
        core = self.start.core() if core is NO_CORE else core
        tasks = self.start.tasks(tasks)
        tokenizers = self.start.tokenizers(tokenizers, tasks)
        self.config = core
        self.core = Transformer(core)
        if lora is not None:
            add_adapters(self.core, lora)
        # typed as what they hold: a ModuleDict's items are bare modules to a type checker
        self.tokenizers: Any = nn.ModuleDict({n: make(core.dim) for n, make in tokenizers.items()})
        self.tasks: Any = nn.ModuleDict(tasks)
        # drawn here, with the core's parameters: strategies may seed again before `setup`, and
        # what is built there must not depend on how many processes there are
        self._build_seed = int(torch.randint(2**31, (), device="cpu").item())
        self.optimizer = optimizer
        self.schedule = schedule
        self.compile_core = compile
        # the published model that the weights began as, so that they can go back to its library
        self.origin: dict[str, Any] | None = None
        self.freeze_settings = freeze
        self.freezer: Freezer | None = None
        self.layer_decay = layer_decay
        self.rates = rates
        self.lora = lora
        self.results: dict[str, dict[str, dict[str, dict[str, float | list]]]] = {}
        self.scoreboards: dict[str, Scoreboard] = {}
        check_inputs(self.tokenizers, self.tasks)

    def configuration(self) -> dict[str, Any]:
        """All that `unitf.load` needs to make this model again, as plain data."""
        return {
            "core": asdict(self.config),
            "tokenizers": {n: t.configuration() for n, t in self.tokenizers.items()},
            "tasks": {n: t.configuration() for n, t in self.tasks.items()},
            **({} if self.lora is None else {"lora": plain(asdict(self.lora), "lora")}),
        }

    @property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        return dict(self.tokenizers.items())

    # ---- the way from a batch to what the tasks read ------------------------------------

    def columns(self, batch: Batch, everything: bool = True) -> dict[str, Tokens]:
        """For each task the core's columns; the sequences of all tasks share one pass.

        Args:
            everything: also those that a task does not read.
        """
        views, tokenizers = batch.views, self._tokenizers
        given = {name: self.tasks[name].give(view, tokenizers) for name, view in views.items()}
        kinds = {
            name: (self.tasks[name].causal, one.memory is None, one.prefix is None)
            for name, one in given.items()
        }
        columns: dict[str, Tokens] = {}
        for kind in dict.fromkeys(kinds.values()):
            names = [name for name in given if kinds[name] == kind]
            packed = Given.pack([given[name] for name in names])
            read = None
            if not (everything or is_plain()):
                read = self._read(packed.tokens, {n: given[n].tokens.num_sequences for n in names})
            passed = self.core(packed.tokens, packed.memory, kind[0], packed.prefix, read=read)
            parts = passed.unpack([given[name].tokens.num_sequences for name in names])
            columns.update(zip(names, parts, strict=True))
        return columns

    def _read(self, tokens: Tokens, counts: Mapping[str, int]) -> Places | None:
        """The columns that some tasks read of their sequences; None: all of them."""
        slices = {name: self.tasks[name].reads for name in counts}
        if not any(slices.values()):
            return None
        return tokens.places(
            [slices[name] or (None, None) for name, count in counts.items() for _ in range(count)]
        )

    def forward(self, batch: Batch) -> dict[str, Any]:
        """For each task what its heads read."""
        columns = self.columns(batch, everything=False)
        return {
            name: self.tasks[name].read(columns[name], view, self._tokenizers)
            for name, view in batch.views.items()
        }

    def _losses(self, batch: Batch, readings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            name: self.tasks[name].losses(readings[name], view, self._tokenizers)
            for name, view in batch.views.items()
        }

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """The loss of a batch of labelled samples; see `total_loss`."""
        return self.total_loss(batch, self._losses(batch, self(batch)))

    def total_loss(self, batch: Batch, losses: Mapping[str, Tensor]) -> Tensor:
        """The mean loss, each task by its weight and its share of the samples.

        In several processes, counts are those of the global batch: the mean of the processes'
        gradients is then that of one process which had all samples.
        """
        names = list(losses)
        counts = torch.tensor(
            [
                [batch.views[n].num_samples for n in names],
                [len(losses[n]) for n in names],
            ],
            dtype=torch.float32,
        )
        processes = 1
        if self._trainer is not None and self.trainer.world_size > 1:
            processes = self.trainer.world_size
            counts = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum").cpu()
        samples, items = counts.tolist()
        total = torch.zeros((), device=self.device)
        for name, n, count in zip(names, samples, items, strict=True):
            share = n / max(sum(samples), 1) / max(count, 1)
            total = total + losses[name].float().sum() * (share * self.tasks[name].weight)
        return total * processes

    # ---- Lightning ---------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise UserError("a Learner trains on a unitf DataModule, found none")
        self._fit_components(data)
        data.connect(self.tokenizers, self.tasks)
        if self.freeze_settings is not None and self.freezer is None and stage == "fit":
            self.freezer = Freezer(self, self.freeze_settings)
            self.freezer.settle(self)  # before the processes are joined
        if self.compile_core and stage == "fit":
            self.core.compile_blocks()

    def _fit_components(self, data: Any) -> None:
        """Learns from the training data what must be known before there are parameters."""
        components = [*self.tokenizers.values(), *self.tasks.values()]
        fresh = [component for component in components if component.built is None]
        path = self.trainer.ckpt_path
        if fresh and path is not None:  # what was fitted lies there, and so do all weights
            state = read_checkpoint(path)["state_dict"]
            restore_components(self.tokenizers, self.tasks, state)
            self.start.drop()
        elif fresh:
            if self.trainer.is_global_zero:
                self.fit_components(data)
            # every process must have learned the same
            for component in fresh:
                component.fitted = self.trainer.strategy.broadcast(component.fitted)
        self.build_components()

    def fit_components(self, data: Any) -> None:
        """Fits tokenizers and tasks that are not fitted yet, on `data.training_items()`."""
        self.start.adopt(self)
        fit_components(self.tokenizers, self.tasks, data)

    def build_components(self) -> None:
        """Makes the parameters of tokenizers and tasks."""
        build_components(self.tokenizers, self.tasks, self.config.dim, self._build_seed)
        self.start.fill(self)

    def train(self, mode: bool = True) -> "Learner":
        super().train(mode)
        if self.freezer is not None and self._trainer is not None and self.trainer.training:
            self.freezer.settle_modes(self)
        return self

    def on_train_start(self) -> None:
        if self.freezer is not None:  # a run that goes on within an epoch begins none
            self.freezer.begin_epoch(self)

    def on_train_epoch_start(self) -> None:
        if self.freezer is not None:
            self.freezer.begin_epoch(self)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log(
            "train/loss",
            loss.detach(),
            on_step=True,
            on_epoch=True,
            prog_bar=True,
            batch_size=max(batch.num_samples, 1),
            sync_dist=True,
        )
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score("validation", batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score(self.trainer.datamodule.test_splits[dataloader_idx], batch)  # type: ignore

    def predict_step(self, batch: Batch, batch_idx: int = 0, dataloader_idx: int = 0) -> list[dict]:
        readings = self(batch)
        return [
            {"sample": sample, "task": name, **prediction}
            for name, view in batch.views.items()
            if view.num_samples
            for sample, prediction in zip(
                view.names,
                self.tasks[name].predict(readings[name], view, self._tokenizers),
                strict=True,
            )
        ]

    def _score(self, split: str, batch: Batch) -> None:
        board = self.scoreboards.get(split)
        if board is None:
            board = self.scoreboards[split] = Scoreboard(dict(self.tasks.items())).to(self.device)
        readings = self(batch)
        losses = self._losses(batch, readings)
        tokenizers, testing = self._tokenizers, self.trainer.testing
        for name, view in batch.views.items():
            task = self.tasks[name]
            readings[name] = task.examine(readings[name], view, tokenizers, self.core, testing)
            board.update(name, task, readings[name], view, tokenizers, losses[name])

    def on_validation_epoch_end(self) -> None:
        self._close_split("validation")

    def on_test_epoch_end(self) -> None:
        for split in self.trainer.datamodule.test_splits:  # type: ignore[union-attr]
            self._close_split(split)

    def _close_split(self, split: str) -> None:
        # also a process without a batch of the split takes part in the sum
        board = self.scoreboards.pop(split, None) or Scoreboard(dict(self.tasks.items())).to(
            self.device
        )
        figures = board.compute(self.trainer.strategy)
        self.results[split] = figures
        weights = {name: task.weight for name, task in self.tasks.items()}
        self.log_dict(flat_figures(split, figures, weights), rank_zero_only=False)

    def configure_optimizers(self) -> Any:
        # also what is frozen at first, so that a run can go on at any epoch
        trained = None if self.freezer is None else self.freezer.ever_trained
        groups = parameter_groups(self, trained, self.layer_decay, self.rates)
        optimizer = self.optimizer(groups)
        rates = scale_rates(optimizer)
        schedule: Any = self.schedule(optimizer)
        check_scaled(optimizer, schedule, rates)
        if isinstance(schedule, WarmupCosine):
            steps = self.trainer.estimated_stepping_batches
            schedule.set_total_steps(0 if math.isinf(steps) else int(steps))
        settings = {"scheduler": schedule, "monitor": getattr(schedule, "monitor", None)}
        if isinstance(schedule, WarmupCosine | OneCycleLR | CyclicLR):
            settings["interval"] = "step"
        return [optimizer], [settings]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["unitf"] = {"format": 1, "configuration": self.configuration()}
        if self.origin is not None:
            checkpoint["unitf"]["origin"] = self.origin

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Says in what a checkpoint's model is another one."""
        check_same_model(checkpoint, self.configuration(), self.state_dict())

    # ---- in Python ---------------------------------------------------------------------

    def predict(self, samples: Sequence[Sample], batch_size: int = 64) -> list[dict[str, Any]]:
        """What the tasks say of raw samples (dictionaries of columns), as plain data.

        Each prediction has `index`, the number of its sample, and `task`.
        """
        return inference.predict(self, samples, batch_size)

    def generate(
        self,
        samples: Sequence[Sample],
        settings: Generation | None = None,
        task: str | None = None,
        batch_size: int = 32,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """What a task writes for raw samples: text (or value), tokens, log-probabilities.

        Args:
            settings: how; by default the likeliest token, up to 256 of them.
            task: the name of the task that writes, where several can.
            options: those of `Generation`, by name, instead of `settings`.
        """
        settings = settings or Generation(**options)
        return inference.generate(self, samples, settings, task, batch_size)

    def stream(
        self,
        sample: Sample,
        settings: Generation | None = None,
        task: str | None = None,
        **options: Any,
    ) -> Iterator[dict[str, Any]]:
        """What a task writes for one raw sample, token by token; see `generate`."""
        return inference.stream(self, sample, settings or Generation(**options), task)

    def embed(self, samples: Sequence[Sample], batch_size: int = 64) -> Float[Tensor, "S _"]:
        """A vector for each raw sample, of its first task: the mean of its columns (S×D).

        That of `Embedding` is the task's own; of one that hides tokens nothing is hidden.
        """
        return inference.embed(self, samples, batch_size)
