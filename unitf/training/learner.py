"""Learner: the one LightningModule, a Model that is trained."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from unitf.batch import Batch
from unitf.checkpoints.compare import check_same_model
from unitf.checkpoints.read import read_checkpoint
from unitf.core import TransformerConfig
from unitf.core.lora import LoRA, add_adapters
from unitf.errors import UserError
from unitf.fitting import fit_components, restore_components
from unitf.model import Model, TokenizerFactory, TrainingLoss
from unitf.tasks.task import Task
from unitf.training.block_figures import BlockFigures
from unitf.training.clipping import clip_gradients
from unitf.training.finetuning import Freeze
from unitf.training.finetuning.freeze import Freezer
from unitf.training.finetuning.initial_weights import InitialWeights
from unitf.training.metric_board import MetricBoard, flat_metrics
from unitf.training.optimization import WarmupCosine, check_scaled, parameter_groups, scale_rates

OptimizerFactory = Callable[[Iterable], Optimizer]
ScheduleFactory = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]

# what stands where nothing was given: an instance, so that the parser knows its fields (all open)
NO_CORE: TransformerConfig = object.__new__(TransformerConfig)
_NONE: dict[str, Any] = {}


class Learner(Model, L.LightningModule):
    """A Model with an optimizer, trained by Lightning.

    Args:
        core: what the Transformer is; its `dim` is the D of all tokenizers and tasks.
        tokenizers: by the name that tasks call their inputs; each is made with D.
        tasks: by name; they train together, over the same core.
        optimizer: any torch optimizer, given the parameter groups.
        schedule: any torch schedule, given the optimizer; it steps once an epoch, but
            `OneCycleLR`, `CyclicLR` and one whose attribute `interval` is "step" (`WarmupCosine`)
            with every step of the optimizer. One that has `set_total_steps` is told how many
            steps the run takes (0: nobody knows).
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

    device = L.LightningModule.device  # which Lightning keeps, so that no step looks for it

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
        start = InitialWeights(pretrained, core_from)
        core = start.core() if core is NO_CORE else core
        tasks = start.tasks(tasks)
        super().__init__(core, start.tokenizers(tokenizers, tasks), tasks, lora)
        self._plan(start, optimizer, schedule, compile, freeze, layer_decay, rates)

    @classmethod
    def of(
        cls,
        model: Model,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = None,
        compile: bool = False,
        freeze: Freeze | None = None,
        layer_decay: float | None = None,
        rates: dict[str, float] | None = None,
        lora: LoRA | None = None,
    ) -> "Learner":
        """A Learner that trains the very modules of a model further; nothing is copied.

        What the model's tokenizers and tasks were fitted to stays. The arguments are those of the
        constructor, as are their defaults.

        Args:
            model: one that was loaded, imported or made.
            lora: adapters that are put into the core of the model.

        Raises:
            UserError: the model has adapters already, and `lora` asks for others.
        """
        if lora is not None:
            if model.lora is not None:
                raise UserError("model.lora: the model has adapters, expected one without them")
            add_adapters(model.core, lora)
            model.lora = lora
        usual = inspect.signature(cls.__init__).parameters
        learner = cls.__new__(cls)
        L.LightningModule.__init__(learner)
        learner._share(model)
        learner._plan(
            InitialWeights(),
            optimizer or usual["optimizer"].default,
            schedule or usual["schedule"].default,
            compile,
            freeze,
            layer_decay,
            rates,
        )
        return learner.to(model.device).train()

    def _plan(
        self,
        start: InitialWeights,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        compile: bool,
        freeze: Freeze | None,
        layer_decay: float | None,
        rates: dict[str, float] | None,
    ) -> None:
        """How it is trained."""
        self.start = start
        self.optimizer = optimizer
        self.schedule = schedule
        self.compile_core = compile
        self.freeze_settings = freeze
        self.freezer: Freezer | None = None
        self.layer_decay = layer_decay
        self.rates = rates
        self.results: dict[str, dict[str, dict[str, dict[str, float | list]]]] = {}
        self.scoreboards: dict[str, MetricBoard] = {}
        self.block_figures = BlockFigures()

    # ---- Lightning ---------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise UserError("a Learner trains on a unitf DataModule, found none")
        self._fit_components(data)
        data.connect(self.tokenizers, self.tasks)
        if self.freeze_settings is not None and self.freezer is None and stage == "fit":
            self.freezer = Freezer(self, self.freeze_settings)
            self.freezer.prepare(self)  # before the processes are joined
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
        self.start.load_fitted(self)
        fit_components(self.tokenizers, self.tasks, data)

    def build_components(self) -> None:
        """Makes the parameters of tokenizers and tasks; takes over those of a trained model."""
        super().build_components()
        self.start.fill(self)

    def train(self, mode: bool = True) -> "Learner":
        super().train(mode)
        if self.freezer is not None and self._trainer is not None and self.trainer.training:
            self.freezer.prepare_modes(self)
        return self

    def on_train_start(self) -> None:
        if self.freezer is not None:  # a run that goes on within an epoch begins none
            self.freezer.begin_epoch(self)

    def on_train_epoch_start(self) -> None:
        if self.freezer is not None:
            self.freezer.begin_epoch(self)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.training_loss(batch)
        self.log(
            "train/loss",
            loss.tasks.detach(),
            on_step=True,
            on_epoch=True,
            prog_bar=True,
            batch_size=max(batch.num_samples, 1),
            sync_dist=True,
        )
        if loss.auxiliary:
            self._log_auxiliary(loss, max(batch.num_samples, 1))
        return loss.total

    def _log_auxiliary(self, loss: TrainingLoss, batch_size: int) -> None:
        """Logs what is minimised, and each term without its coefficient."""
        told = dict(loss.terms)
        if told:
            told["total_loss"] = loss.total.detach()
        for name, value in told.items():
            self.log(
                f"train/{name}",
                value,
                on_step=True,
                on_epoch=True,
                batch_size=batch_size,
                sync_dist=True,
            )
        self.block_figures.update(loss.auxiliary)

    def on_train_epoch_end(self) -> None:
        figures = self.block_figures.compute(self.trainer.strategy)
        if figures:
            self.log_dict({f"train/{name}": value for name, value in figures.items()})

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score("validation", batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._score(self.trainer.datamodule.test_splits[dataloader_idx], batch)  # type: ignore

    def predict_step(self, batch: Batch, batch_idx: int = 0, dataloader_idx: int = 0) -> list[dict]:
        return self.predictions(batch)

    def over_processes(self, counts: Tensor) -> tuple[Tensor, int]:
        if self._trainer is None or self.trainer.world_size == 1:
            return super().over_processes(counts)
        total = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum")
        return total.cpu(), self.trainer.world_size

    def _score(self, split: str, batch: Batch) -> None:
        board = self.scoreboards.get(split)
        if board is None:
            board = self.scoreboards[split] = MetricBoard(dict(self.tasks.items())).to(self.device)
        outputs = self(batch)
        losses = self._losses(batch, outputs)
        tokenizers, testing = self._tokenizers, self.trainer.testing
        for name, view in batch.task_batches.items():
            task = self.tasks[name]
            outputs[name] = task.evaluate(outputs[name], view, tokenizers, self.core, testing)
            board.update(name, task, outputs[name], view, tokenizers, losses[name])

    def on_validation_epoch_end(self) -> None:
        self._close_split("validation")

    def on_test_epoch_end(self) -> None:
        for split in self.trainer.datamodule.test_splits:  # type: ignore[union-attr]
            self._close_split(split)

    def _close_split(self, split: str) -> None:
        # also a process without a batch of the split takes part in the sum
        board = self.scoreboards.pop(split, None) or MetricBoard(dict(self.tasks.items())).to(
            self.device
        )
        figures = board.compute(self.trainer.strategy)
        self.results[split] = figures
        weights = {name: task.weight for name, task in self.tasks.items()}
        self.log_dict(flat_metrics(split, figures, weights), rank_zero_only=False)

    def configure_optimizers(self) -> Any:
        # also what is frozen at first, so that a run can go on at any epoch
        trained = None if self.freezer is None else self.freezer.ever_trained
        groups = parameter_groups(self, trained, self.layer_decay, self.rates)
        optimizer = self.optimizer(groups)
        rates = scale_rates(optimizer)
        schedule: Any = self.schedule(optimizer)
        check_scaled(optimizer, schedule, rates)
        if hasattr(schedule, "set_total_steps"):
            steps = self.trainer.estimated_stepping_batches
            schedule.set_total_steps(0 if math.isinf(steps) else int(steps))
        settings = {"scheduler": schedule, "monitor": getattr(schedule, "monitor", None)}
        each_step = isinstance(schedule, OneCycleLR | CyclicLR)
        settings["interval"] = "step" if each_step else getattr(schedule, "interval", "epoch")
        return [optimizer], [settings]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["unitf"] = self.description()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Says in what a checkpoint's model is another one."""
        check_same_model(checkpoint, self.configuration(), self.state_dict())
