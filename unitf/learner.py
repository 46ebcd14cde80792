"""Learner: the one LightningModule, of tokenizers, one core and one or more tasks."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from unitf.batch import Batch, Sample
from unitf.configurable import differences
from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError
from unitf.optimisation import WarmupCosine, parameter_groups
from unitf.scoreboard import ALL, Scoreboard
from unitf.tasks.task import Given, Task
from unitf.tokenizer import Tokenizer
from unitf.tokens import Tokens

TokenizerFactory = Callable[[int], Tokenizer]
OptimizerFactory = Callable[[Iterable], Optimizer]
ScheduleFactory = Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]


class Learner(L.LightningModule):
    """Tokenizers, one core, one or more tasks, an optimizer.

    Args:
        core: what the Transformer is; its `dim` is the D of all tokenizers and tasks.
        tokenizers: by the name that tasks call their inputs; each is made with D.
        tasks: by name; they train together, over the same core.
        optimizer: any torch optimizer, given the parameter groups.
        schedule: any torch schedule, given the optimizer.
        compile: whether the core's blocks go through `torch.compile`.
    """

    def __init__(
        self,
        core: TransformerConfig,
        tokenizers: dict[str, TokenizerFactory],
        tasks: dict[str, Task],
        optimizer: OptimizerFactory = lambda p: AdamW(p, lr=1e-3, weight_decay=0.05, fused=True),
        schedule: ScheduleFactory = lambda o: WarmupCosine(o),
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.config = core
        self.core = Transformer(core)
        # typed as what they hold: a ModuleDict's items are bare modules to a type checker
        self.tokenizers: Any = nn.ModuleDict({n: make(core.dim) for n, make in tokenizers.items()})
        self.tasks: Any = nn.ModuleDict(tasks)
        # drawn here, with the core's parameters: strategies may seed again before `setup`, and
        # what is built there must not depend on how many processes there are
        self._build_seed = int(torch.randint(2**31, ()).item())
        self.optimizer = optimizer
        self.schedule = schedule
        self.compile_core = compile
        # the published model that the weights began as, so that they can go back to its library
        self.origin: dict[str, Any] | None = None
        self.results: dict[str, dict[str, dict[str, dict[str, float | list]]]] = {}
        self.scoreboards: dict[str, Scoreboard] = {}
        self._check_inputs()

    def _check_inputs(self) -> None:
        if not self.tasks:
            raise UserError("model.tasks: found none, expected at least one")
        for name, task in self.tasks.items():
            for column, tokenizer in task.tokenized:
                if tokenizer not in self.tokenizers:
                    raise UserError(
                        f"model.tasks.{name}: column {column!r} needs a tokenizer {tokenizer!r}, "
                        f"found {', '.join(self.tokenizers) or 'none'}"
                    )

    def configuration(self) -> dict[str, Any]:
        """All that `unitf.load` needs to make this model again, as plain data."""
        return {
            "core": asdict(self.config),
            "tokenizers": {n: t.configuration() for n, t in self.tokenizers.items()},
            "tasks": {n: t.configuration() for n, t in self.tasks.items()},
        }

    @property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        return dict(self.tokenizers.items())

    # ---- the way from a batch to what the tasks read ------------------------------------

    def forward(self, batch: Batch) -> dict[str, Any]:
        """For each task what its heads read; the sequences of all tasks share one pass."""
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
            passed = self.core(packed.tokens, packed.memory, kind[0], packed.prefix)
            parts = passed.unpack([given[name].tokens.num_sequences for name in names])
            columns.update(zip(names, parts, strict=True))
        return {
            name: self.tasks[name].read(columns[name], view, tokenizers)
            for name, view in views.items()
        }

    def _losses(self, batch: Batch, readings: Mapping[str, Any]) -> dict[str, Tensor]:
        return {
            name: self.tasks[name].losses(readings[name], view, self._tokenizers)
            for name, view in batch.views.items()
        }

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
        if self.compile_core and stage == "fit":
            self.core.compile_blocks()

    def _fit_components(self, data: Any) -> None:
        """Learns from the training data what must be known before there are parameters."""
        components = [*self.tokenizers.items(), *self.tasks.items()]
        fresh = [component for _, component in components if component.built is None]
        path = self.trainer.ckpt_path
        if fresh and path is not None:  # what was fitted lies there
            self._restore_components(torch.load(path, map_location="cpu", weights_only=True))
        elif fresh:
            if self.trainer.is_global_zero:
                self.fit_components(data)
            # every process must have learned the same
            for component in fresh:
                component.fitted = self.trainer.strategy.broadcast(component.fitted)
        self.build_components()

    def fit_components(self, data: Any) -> None:
        """Fits tokenizers and tasks that are not fitted yet, on `data.training_samples()`."""
        for name, tokenizer in self.tokenizers.items():
            if type(tokenizer).fit is Tokenizer.fit or tokenizer.built is not None:
                continue
            columns = {
                column
                for task in self.tasks.values()
                for column, used in task.tokenized
                if used == name
            }
            tokenizer.fit(
                sample[column]
                for sample in data.training_samples()
                for column in columns
                if sample.get(column) is not None
            )
        for task in self.tasks.values():
            if type(task).fit is not Task.fit and task.built is None:
                task.fit(sample for sample in data.training_samples() if task.takes(sample))

    def build_components(self) -> None:
        """Makes the parameters of tokenizers and tasks."""
        wanted = frozenset().union(*(task.unembeds for task in self.tasks.values()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._build_seed)
            for name, tokenizer in self.tokenizers.items():
                tokenizer.build(unembed=name in wanted)
            for task in self.tasks.values():
                task.build(dim=self.config.dim)

    def _restore_components(self, checkpoint: Mapping[str, Any]) -> None:
        state = checkpoint["state_dict"]
        for kind, modules in (("tokenizers", self.tokenizers), ("tasks", self.tasks)):
            for name, module in modules.items():
                key = f"{kind}.{name}._extra_state"
                if key not in state:
                    raise UserError(f"the checkpoint has no {kind[:-1]} {name!r}")
                module.set_extra_state(state[key])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self._losses(batch, self(batch))
        loss = self.total_loss(batch, losses)
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
        for name, view in batch.views.items():
            board.update(
                name, self.tasks[name], readings[name], view, self._tokenizers, losses[name]
            )

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
        losses = [f[ALL]["loss"] * self.tasks[n].weight for n, f in figures.items()]
        logged = {f"{split}/loss": math.fsum(losses) / max(len(losses), 1)}
        for name, by_modality in figures.items():
            for modality, metrics in by_modality.items():
                place = f"{split}/{name}" + ("" if modality == ALL else f"/{modality}")
                logged |= {
                    f"{place}/{metric}": value
                    for metric, value in metrics.items()
                    if not isinstance(value, list)
                }
        self.log_dict(logged, rank_zero_only=False)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(parameter_groups(self))
        schedule: Any = self.schedule(optimizer)
        if isinstance(schedule, WarmupCosine):
            steps = self.trainer.estimated_stepping_batches
            schedule.set_total_steps(0 if math.isinf(steps) else int(steps))
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]
        settings = {"scheduler": schedule, "monitor": getattr(schedule, "monitor", None)}
        return [optimizer], [settings]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["unitf"] = {"format": 1, "configuration": self.configuration()}
        if self.origin is not None:
            checkpoint["unitf"]["origin"] = self.origin

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Says in what a checkpoint's model is another one.

        Raises:
            UserError: its parameters are others, so that they cannot be taken over.
        """
        if "unitf" not in checkpoint:
            raise UserError("the checkpoint was not made by unitf: it holds no configuration")
        found = checkpoint["unitf"]["configuration"]
        told = "; ".join(differences(found, self.configuration()))
        shapes, own = (
            {key: value.shape for key, value in state.items() if isinstance(value, Tensor)}
            for state in (checkpoint["state_dict"], self.state_dict())
        )
        if shapes != own:
            raise UserError(f"the checkpoint is of another model: {told or 'other parameters'}")
        if told:
            warnings.warn(f"the checkpoint is of a model with {told}", stacklevel=2)

    # ---- in Python ---------------------------------------------------------------------

    @torch.inference_mode()
    def predict(self, samples: Sequence[Sample], batch_size: int = 64) -> list[dict[str, Any]]:
        """What the tasks say of raw samples (dictionaries of columns), as plain data.

        Each prediction has `index`, the number of its sample, and `task`.
        """
        from unitf.data import Encoder

        training = self.training
        self.eval()
        encode = Encoder(self.tokenizers, self.tasks, labelled=False)
        items = [encode.item(number, sample) for number, sample in enumerate(samples)]
        numbers = {item.name: number for number, item in enumerate(items)}
        predictions: list[dict[str, Any]] = []
        for first in range(0, len(items), batch_size):
            batch = encode(items[first : first + batch_size]).to(self.device)
            predictions += [
                {"index": numbers[prediction.pop("sample")], **prediction}
                for prediction in self.predict_step(batch)
            ]
        self.train(training)
        return sorted(predictions, key=lambda prediction: prediction["index"])
