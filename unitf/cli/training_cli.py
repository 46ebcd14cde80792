"""The training verbs: a LightningCLI of one Learner and one DataModule."""

import sys
from pathlib import Path
from typing import cast

import torch
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from unitf import registry
from unitf.checkpoints import find_checkpoint, read_checkpoint
from unitf.checkpoints.members import is_ensemble
from unitf.cli.checkpoint_option import with_checkpoint
from unitf.cli.data_options import data_parser
from unitf.cli.kept_recipe import KeptRecipe, kept_recipe
from unitf.cli.located import check_values, explained
from unitf.cli.machine import check_lengths, check_trainer, prepare_machine, warn_of_emulation
from unitf.cli.owners import OWNERS
from unitf.cli.page_after_run import write_page
from unitf.cli.parser_messages import parser_line
from unitf.cli.predictions import write_predictions
from unitf.cli.preparing import prepare
from unitf.cli.pretrained import Inherited
from unitf.cli.run_folder import RunFolder, SaveConfig, SharedFolder, mark_finished
from unitf.cli.run_length import process_seconds, set_length, set_time
from unitf.cli.writable import check_folder
from unitf.cli.written_table import ENDINGS
from unitf.errors import UserError
from unitf.loading import load
from unitf.spelling import expanded
from unitf.training import DataModule, RandomState
from unitf.training.callbacks import (
    Adapters,
    Checkpoint,
    FiniteLoss,
    Progress,
    RunReport,
    Summary,
    Watchdog,
)
from unitf.training.callbacks.csv_logger import ContinuedCSVLogger
from unitf.training.callbacks.interrupt import Interrupt, RunInterrupted
from unitf.training.ensemble_learner import EnsembleLearner
from unitf.training.learner import Learner
from unitf.training.optimization import check_optimizer
from unitf.training.parallel.end_together import EndTogether, noticing_the_others

VERBS: tuple[str, ...] = ("fit", "validate", "test", "predict")


class TrainingCLI(LightningCLI):
    """Parses the arguments of `unitf fit|validate|test|predict`, and runs the verb.

    Args:
        verb: one of `VERBS`.
        argv: the words after the verb, as `prepare` returns them.
        folder: reserves the folder of the run; the caller releases it.
        seconds_before: how long the command runs already; `--time` counts from there.
    """

    config: Namespace
    config_init: Namespace
    model: Learner
    datamodule: DataModule
    trainer: Trainer

    def __init__(
        self,
        verb: str,
        argv: list[str],
        folder: RunFolder | None = None,
        seconds_before: float = 0.0,
    ) -> None:
        self.verb: str = verb
        self.folder: RunFolder = folder or RunFolder()
        self.inherits_tasks: bool = False
        self.measures_ensemble: bool = False
        self.seconds_before: float = seconds_before
        super().__init__(
            model_class=Learner,
            datamodule_class=DataModule,
            args=argv,
            run=False,
            seed_everything_default=0,
            save_config_callback=SaveConfig if verb == "fit" else None,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={
                "gradient_clip_val": 1.0,
                "use_distributed_sampler": False,  # our sampler knows ranks and resumes
                "enable_model_summary": False,  # the callback Summary shows one
            },
            parser_kwargs={
                "prog": f"unitf {verb}",
                "description": _DESCRIPTIONS[verb],
                "exit_on_error": False,
                "allow_abbrev": False,  # `--model.core.dept` is a mistake
            },
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: object) -> None:
        """Parses the words of the command line; a trained model gives the defaults."""
        words = cast(list[str], args)
        inherited = Inherited(words)
        parser.set_defaults(inherited.defaults())
        try:
            self.config = parser.parse_args(words)
            if not self.config.model.tasks and inherited.tasks():
                parser.set_defaults(inherited.tasks())
                self.config = parser.parse_args(words)
                self.inherits_tasks = not inherited.goes_on
        except ArgumentError as error:
            raise UserError(parser_line(error)) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the arguments of the verbs."""
        parser.add_argument(
            "--out",
            type=str | None,
            default=None,
            help="Folder of the run (default: runs/<recipe>/<time>).",
        )
        parser.add_argument(
            "--time",
            type=str | None,
            default=None,
            help="How long `fit` may take, as 10m; the number of steps is set by it.",
        )
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="Checkpoint file or run folder to start from.",
        )
        parser.add_argument(
            "--test_after_fit",
            type=bool,
            default=True,
            help="Whether `fit` ends with a test of its best checkpoint.",
        )
        parser.add_argument(
            "--report",
            type=bool,
            default=True,
            help="Whether report.html, the page of the run, is written at its end.",
        )

    def before_instantiate_classes(self) -> None:
        """Chooses the folder of the run, and checks the settings of the trainer."""
        torch.set_flush_denormal(True)  # computing with denormal numbers is ten times slower
        if self.config.out is None:
            recipe = Path("runs") / Path(str((self.config.config or ["run"])[0])).stem
            check_folder("--out", recipe)
            self.config.out = str(self.folder.new(recipe))
        self.config.out = expanded(self.config.out)  # of a recipe
        check_folder("--out", Path(self.config.out))
        if self.verb == "predict" and Path(self.config.out).suffix.lower() in ENDINGS:
            raise UserError(
                f"--out {self.config.out}: without --input, predictions.jsonl is written into a "
                "folder, expected a folder"
            )
        if self.verb == "fit":
            self.folder.lock(Path(self.config.out))
        self.config.trainer.default_root_dir = self.config.out
        if self.verb == "fit":
            set_length(self.config.trainer, self.config.time)
        check_trainer(self.config.trainer)
        if self.verb == "fit":
            check_lengths(self.config.trainer)
        warn_of_emulation(self.config.trainer)
        if self.verb != "fit":
            self.config.trainer.logger = False

    def after_instantiate_classes(self) -> None:
        """Gives inherited tasks what they learned from their training samples."""
        if self.verb == "fit":
            check_optimizer(self.model.optimizer, self.model.schedule)
        if self.verb != "fit" and self.config.ckpt_path and is_ensemble(self.config.ckpt_path):
            self.model = EnsembleLearner.of(load(self.config.ckpt_path)).eval()
            self.measures_ensemble = True
        elif self.inherits_tasks:
            self.model.start.load_fitted_tasks(self.model.tasks)

    def instantiate_trainer(self, **kwargs: object) -> Trainer:
        """Makes the trainer, with the usual loggers and callbacks."""
        out = self.config.out
        self.datamodule.set_targets(dict(self.model.tasks.items()))
        if self.verb == "fit":
            set_time(self.config_init.trainer, self.config.time, self.seconds_before)
        configured = [type(callback) for callback in self.config_init.trainer.callbacks or []]
        callbacks = [c for c in self._usual_callbacks() if type(c) not in configured]
        if self.config_init.trainer.logger in (None, True):
            path = self.config.ckpt_path if self.verb == "fit" else None
            step = 0 if path is None else read_checkpoint(find_checkpoint(path))["global_step"]
            kwargs["logger"] = [
                ContinuedCSVLogger(out, step),
                TensorBoardLogger(out, name="", version="tensorboard"),
            ]
        trainer_config = {**self.config_init.trainer, **kwargs}
        return self._instantiate_trainer(trainer_config, callbacks)

    def _usual_callbacks(self) -> list[Callback]:
        """Returns the callbacks of every run; the recipe may replace them, class by class.

        They do not get the folder of the run, which only the trainer knows: see `SharedFolder`.
        """
        configured: list[Callback] = [
            RunReport(test_follows=self.tests),
            Summary(test_follows=self.tests),
        ]
        if self.config_init.trainer.enable_progress_bar in (None, True):
            configured = [Progress(), *configured]
        if self.verb == "fit" and self.keeps:
            adapters = [] if self.model.lora is None else [Adapters()]
            configured = [
                *adapters,  # before Summary, which says where they are
                *configured,
                FiniteLoss(),
                RandomState(),
                Checkpoint(),
            ]
        elif self.verb == "fit":
            configured += [FiniteLoss(), RandomState()]
        configured.append(Interrupt(saves=self.verb == "fit" and self.keeps))
        return [EndTogether(), Watchdog(), SharedFolder(), *configured]

    def keep(self, recipe: str) -> None:
        """Lets the run keep a recipe in its folder, with the length that came out."""
        callbacks: list[Callback] = vars(self.trainer)["callbacks"]  # Lightning declares it not
        callbacks.append(KeptRecipe(recipe))

    @property
    def keeps(self) -> bool:
        """Whether the run writes checkpoints."""
        return self.config_init.trainer.enable_checkpointing in (None, True)

    @property
    def tests(self) -> bool:
        """Whether a test of the best checkpoint follows the training."""
        requested = self.verb == "fit" and self.keeps and self.config.test_after_fit
        return requested and bool(self.datamodule.test_splits)

    def run(self) -> None:
        """Runs the verb; `fit` ends with a test of the best checkpoint."""
        trainer, path = self.trainer, self.config.ckpt_path
        prepare_machine(trainer, self.datamodule.num_workers)
        if self.measures_ensemble:
            path = None  # its members are loaded
        elif path is not None:
            path = str(find_checkpoint(path))
        elif self.verb != "fit":  # an untrained model is not worth measuring
            raise UserError(f"{self.verb}: expected --checkpoint with a run's folder or `latest`")
        elif trainer.is_global_zero and any(Path(self.config.out, "checkpoints").glob("*.ckpt")):
            raise UserError(
                f"--out {self.config.out}: found a run there, expected a folder without one "
                f"(to go on: {registry.invocation()} fit --resume {self.config.out})"
            )
        self._check_samples()
        with noticing_the_others(trainer):
            self._run(path)
        if self.verb == "fit" and trainer.is_global_zero:
            mark_finished(Path(trainer.default_root_dir))
        self.write_page()

    def write_page(self, notice: str | None = None) -> None:
        """Writes the page of the run, unless `--report false` turns it off."""
        if self.config.report and self.verb != "predict":
            write_page(self.trainer, self.datamodule, notice)

    def _check_samples(self) -> None:
        """Refuses to measure nothing."""
        data, verb = self.datamodule, self.verb
        if verb == "test" and not data.test_splits:
            raise UserError("test: the sources of the recipe have no test split, expected one")
        if verb == "validate" and not data.samples("validation"):
            raise UserError("validate: the sources have no validation samples, expected some")

    def _run(self, path: str | None) -> None:
        trainer = self.trainer
        if self.verb == "fit":
            self._start_from(path)
            trainer.fit(self.model, datamodule=self.datamodule, weights_only=True)
            if not self.tests:
                return
            path = str(Path(trainer.default_root_dir) / "checkpoints" / "best.ckpt")
        self._start_from(path)
        if self.verb == "predict":
            write_predictions(self.trainer, self.model, self.datamodule)
            return
        function = trainer.validate if self.verb == "validate" else trainer.test
        function(self.model, datamodule=self.datamodule, verbose=False, weights_only=True)

    def _start_from(self, path: str | None) -> None:
        """Sets the checkpoint before the model is set up, because fitted parts are read from it."""
        self.trainer.ckpt_path = path


_DESCRIPTIONS = {  # of the verbs, for `--help`
    "fit": "Train a model, and test the best checkpoint.",
    "validate": "Measure a checkpoint on the validation split.",
    "test": "Measure a checkpoint on the test splits.",
    "predict": "Predict the samples of the data module with a checkpoint.",
    "inspect": "Show what a packed batch of a recipe looks like.",
    "bench": "Time the training steps of a recipe.",
    "ablate": "Show what each input and column is worth.",
    "report": "Write the page of a run.",
}


def ready(verb: str, argv: list[str]) -> TrainingCLI:
    """Reads a command line as `main` does, up to where the verb would begin.

    It leaves no folder behind.

    Raises:
        UserError: there is a mistake in the command line or in a recipe.
    """
    folder = RunFolder()
    try:
        return _made(verb, argv, folder)
    finally:
        folder.release()


def _made(
    verb: str, argv: list[str], folder: RunFolder, seconds_before: float = 0.0
) -> TrainingCLI:
    """Reads a command line and makes the objects that it describes.

    Raises:
        UserError: there is a mistake; the message says where.
    """
    argv = words = with_checkpoint(verb, argv)
    try:
        words = prepare(argv)
        made = TrainingCLI(verb, words, folder, seconds_before)
        check_values(words, argv, OWNERS)
        return made
    except Exception as error:
        raise explained(error, words, argv, OWNERS) from error


def main(verb: str, argv: list[str]) -> int:
    """Runs a training verb."""
    if verb == "fit" and {"--help", "-h"} & set(argv):
        sys.stdout.write(f"{data_parser(verb).format_help()}\nOr, with a recipe:\n\n")
    return run(verb, argv, process_seconds())[0]


def run(
    verb: str, argv: list[str], seconds_before: float = 0.0, recipe: str | None = None
) -> tuple[int, str]:
    """Runs a training verb; returns the exit status and the folder of the run.

    Args:
        argv: the words after the verb.
        seconds_before: how long the command runs already.
        recipe: the text of a recipe that was made for the run, which keeps it.
    """
    folder, out, cli = RunFolder(), "", None
    try:
        cli = _made(verb, argv, folder, seconds_before)
        out = str(cli.config.out)
        if recipe is None and verb == "fit":  # a run that goes on has that of its beginning
            recipe = kept_recipe(Path(out))
        if recipe is not None:
            cli.keep(recipe)
        try:
            cli.run()
        except RunInterrupted:
            cli.write_page("The run was interrupted; these are its figures so far.")
            raise
    except RunInterrupted as interruption:
        sys.stderr.write(f"unitf: {interruption}\n")
        return interruption.exit_status, out
    except Exception:
        if cli is None or cli.trainer.global_step == 0:
            folder.discard()
        raise
    finally:
        folder.release()
    return 0, out
