"""Learner: a Model that Lightning trains."""

import inspect

import lightning as L
import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import Tensor
from torch.optim import AdamW, Optimizer

from unitf.batch import Batch
from unitf.checkpoints.compare import check_same_model
from unitf.checkpoints.read import read_checkpoint
from unitf.core import TransformerConfig
from unitf.core.lora import LoRA, add_adapters
from unitf.ensemble import Ensemble
from unitf.errors import UserError
from unitf.fitting import fit_components, restore_components
from unitf.inference import InferenceModel
from unitf.model import Model, TokenizerFactory
from unitf.tasks.task import Task
from unitf.training.block_figures import BlockFigures
from unitf.training.clipping import clip_gradients
from unitf.training.data_module import DataModule
from unitf.training.finetuning import Freeze
from unitf.training.finetuning.freeze import Freezer
from unitf.training.finetuning.initial_weights import InitialWeights
from unitf.training.loss_logging import LossLog
from unitf.training.metric_board import ALL, MetricBoard, flat_metrics
from unitf.training.optimization import (
    OptimizerFactory,
    ScheduleFactory,
    WarmupCosine,
    make_optimizer,
    parameter_groups,
)
from unitf.training.parallel.step_length import (
    check_accumulation,
    longest_step,
    set_accumulation,
)
from unitf.training.results import Results
from unitf.training.survey import look_ahead

# the default of `core`: an instance without values, so that the parser knows its fields
NO_CORE: TransformerConfig = object.__new__(TransformerConfig)
_NO_TOKENIZERS: dict[str, TokenizerFactory] = {}
_NO_TASKS: dict[str, Task] = {}


class Learner(Model, L.LightningModule):
    """A Model with an optimizer, trained by Lightning.

    Args:
        core: the configuration of the Transformer; its `dim` is the D of all tokenizers and tasks.
        tokenizers: factories of the tokenizers, by the names that tasks call them; each is called
            with D.
        tasks: the tasks by name; they train together, with the same core.
        optimizer: makes a torch optimizer from the parameter groups.
        schedule: makes a torch schedule from the optimizer. It steps once an epoch, but
            `OneCycleLR`, `CyclicLR` and a schedule whose attribute `interval` is "step" (such as
            `WarmupCosine`) step after every optimizer step. If it has `set_total_steps`, that is
            called with the number of steps of the run (0: unknown).
        compile: whether the core's blocks are compiled by `torch.compile`.
        pretrained: a run's folder or a checkpoint. It provides what is not given here (the core's
            configuration, tokenizers, tasks), and all weights whose shapes agree.
        core_from: a run's folder or a checkpoint that provides the core alone; the tokenizers may
            be of any modality.
        freeze: the parts that are not trained.
        layer_decay: the factor of the learning rate for each block below the top.
        rates: factors of the learning rate by prefix of a parameter's name: a tokenizer
            (`tokenizers.text`), a task, a part of the core.
        lora: the adapters of the core.
    """

    @property
    def device(self) -> torch.device:
        """The device of the parameters; Lightning stores it, so that no step searches for it."""
        return super(InferenceModel, self).device

    def __init__(
        self,
        core: TransformerConfig = NO_CORE,
        tokenizers: dict[str, TokenizerFactory] = _NO_TOKENIZERS,
        tasks: dict[str, Task] = _NO_TASKS,
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
        """Returns a Learner that trains the modules of a model further; nothing is copied.

        Tokenizers and tasks stay fitted as they are. The other arguments and their defaults are
        those of the constructor.

        Args:
            model: a model that was loaded, imported or made.
            lora: adapters to add to the core of the model.

        Raises:
            UserError: the model is an ensemble; or `lora` is given, but it has adapters already.
        """
        if isinstance(model, Ensemble) and not issubclass(cls, Ensemble):
            raise UserError("an ensemble cannot be trained, expected one of its members")
        if lora is not None:
            if model.lora is not None:
                raise UserError("model.lora: the model has adapters, expected one without them")
            add_adapters(model.core, lora)
            model.lora = lora
        parameters = inspect.signature(Learner.__init__).parameters
        learner = cls.__new__(cls)
        L.LightningModule.__init__(learner)
        learner._share(model)
        learner._plan(
            InitialWeights(),
            optimizer or parameters["optimizer"].default,
            schedule or parameters["schedule"].default,
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
        """Stores the settings of the training."""
        self.start: InitialWeights = start
        self.optimizer: OptimizerFactory = optimizer
        self.schedule: ScheduleFactory = schedule
        self.compile_core: bool = compile
        self.freeze_settings: Freeze | None = freeze
        self.freezer: Freezer | None = None
        self.layer_decay: float | None = layer_decay
        self.rates: dict[str, float] | None = rates
        self.results: Results = {}
        self._metric_boards: dict[str, MetricBoard] = {}  # of the splits being measured
        self.block_figures: BlockFigures = BlockFigures()
        self.loss_log: LossLog = LossLog()

    # ---- Lightning ---------------------------------------------------------------------

    @property
    def _data(self) -> DataModule:
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            raise UserError("a Learner trains on a unitf DataModule, found none")
        return data

    def setup(self, stage: str) -> None:
        """Fits and builds tokenizers and tasks, freezes parts, and compiles the core."""
        data = self._data
        data.set_targets(dict(self.tasks.items()))
        if stage == "fit":
            check_accumulation(dict(self.tasks.items()), longest_step(self.trainer))
        self._fit_components(data)
        data.connect(self.tokenizers, self.tasks)
        if stage == "fit":
            tasks = dict(self.tasks.items())
            look_ahead(getattr(self.trainer, "callbacks", ()), data, tasks)
        if self.freeze_settings is not None and self.freezer is None and stage == "fit":
            self.freezer = Freezer(self, self.freeze_settings)
            self.freezer.prepare(self)  # before the processes are joined
        if self.compile_core and stage == "fit":
            self.core.compile_blocks()

    def _fit_components(self, data: DataModule) -> None:
        """Fits tokenizers and tasks, or restores them from a checkpoint, and builds them."""
        components = [*self.tokenizers.values(), *self.tasks.values()]
        unbuilt = [component for component in components if component.built is None]
        path = self.trainer.ckpt_path
        if unbuilt and path is not None:  # the checkpoint holds what was fitted, and all weights
            state = read_checkpoint(path)["state_dict"]
            restore_components(self.tokenizers, self.tasks, state)
            self.start.drop()
        elif unbuilt:
            if self.trainer.is_global_zero:
                self.fit_components(data)
            # every process must have fitted the same
            for component in unbuilt:
                component.fitted = self.trainer.strategy.broadcast(component.fitted)
        self.build_components()

    def fit_components(self, data: DataModule) -> None:
        """Fits the tokenizers and tasks that are not fitted yet, on `data.training_items()`."""
        self.start.load_fitted(self)
        fit_components(self.tokenizers, self.tasks, data)

    def build_components(self) -> None:
        """Makes the parameters of tokenizers and tasks, and copies those of a trained model."""
        super().build_components()
        self.start.fill(self)

    def train(self, mode: bool = True) -> "Learner":
        """Sets training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freezer is not None and self._trainer is not None and self.trainer.training:
            self.freezer.prepare_modes(self)
        return self

    def on_train_start(self) -> None:
        """Sets what belongs to the epoch of a run that resumes within an epoch."""
        self.loss_log.reset()
        set_accumulation(self.trainer)
        if self.freezer is not None:  # Lightning calls on_train_epoch_start for whole epochs only
            self.freezer.begin_epoch(self)

    def on_train_epoch_start(self) -> None:
        """Freezes what is frozen in this epoch."""
        if self.freezer is not None:
            self.freezer.begin_epoch(self)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the loss to minimise, and logs that of a step when its last batch is done."""
        loss = self.training_loss(batch)
        self.loss_log.update(self, batch, loss)
        self.block_figures.update(loss.auxiliary)
        # it is this batch's part of the step's loss already, and Lightning divides it again
        return loss.total * self.trainer.accumulate_grad_batches

    def on_train_epoch_end(self) -> None:
        """Logs the means of what the core's blocks reported."""
        means = self.block_figures.compute(self.trainer.strategy)
        if means:
            self.log_dict({f"train/{name}": value for name, value in means.items()})

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measures a batch of the validation split."""
        self._measure("validation", batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measures a batch of the test split of this number."""
        self._measure(self._data.test_splits[dataloader_idx], batch)

    def predict_step(
        self, batch: Batch, batch_idx: int = 0, dataloader_idx: int = 0
    ) -> list[dict[str, object]]:
        """Returns the predictions of each task for each of its samples."""
        return self.predictions(batch)

    def over_processes(self, counts: Tensor) -> tuple[Tensor, int]:
        """Returns the sum of `counts` over all processes, and the number of processes."""
        if self._trainer is None or self.trainer.world_size == 1:
            return super().over_processes(counts)
        total = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum")
        return total.cpu(), self.trainer.world_size

    def _measure(self, split: str, batch: Batch) -> None:
        board = self._metric_boards.get(split)
        if board is None:
            board = self._metric_boards[split] = self._new_board(split)
        outputs = self(batch)
        losses = self._losses(batch, outputs)
        tokenizers, testing = self._tokenizers, self.trainer.testing
        for name, task_batch in batch.task_batches.items():
            task = self.tasks[name]
            output = task.evaluate(outputs[name], task_batch, tokenizers, self.core, testing)
            board.update(name, task, output, task_batch, tokenizers, losses[name])

    @property
    def _is_in_fit(self) -> bool:
        return self.trainer.state.fn == "fit" and not self.trainer.sanity_checking

    def _new_board(self, split: str) -> MetricBoard:
        for task in self.tasks.values():
            task.calibrating = split == "validation" and self._is_in_fit
        return MetricBoard(dict(self.tasks.items())).to(self.device)

    def on_validation_epoch_end(self) -> None:
        """Computes and logs the results of the validation split."""
        self._finish_split("validation")

    def on_test_epoch_end(self) -> None:
        """Computes and logs the results of all test splits."""
        for split in self._data.test_splits:
            self._finish_split(split)

    def _finish_split(self, split: str) -> None:
        # a process without a batch of the split must also take part in the sum
        board = self._metric_boards.pop(split, None) or self._new_board(split)
        results = board.compute(self.trainer.strategy)
        self.results[split] = results
        for name, by_modality in results.items():
            if self.tasks[name].calibrating and ALL in by_modality:
                self.tasks[name].calibrate(by_modality[ALL])
        weights = {name: task.weight for name, task in self.tasks.items()}
        self.log_dict(flat_metrics(split, results, weights), rank_zero_only=False)

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRSchedulerConfigType]]:
        """Returns the optimizer and the schedule; see `parameter_groups` and `make_optimizer`."""
        # includes parameters that are frozen at first, so that a run can resume at any epoch
        trained = None if self.freezer is None else self.freezer.ever_trained
        groups = parameter_groups(self, trained, self.layer_decay, self.rates)
        return make_optimizer(groups, self.optimizer, self.schedule, self.trainer)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradients, also for a fused optimizer; see `clip_gradients`."""
        clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Adds the description of the model to a checkpoint."""
        checkpoint["unitf"] = self.description()

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Checks that a checkpoint is of this model; see `check_same_model`."""
        check_same_model(checkpoint, self.configuration(), self.state_dict())
