"""Makes a recipe of a person's data, and says each decision."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeAlias, cast

from unitf.errors import UserError
from unitf.proposal import Column
from unitf.recognition.asking import Answer
from unitf.recognition.columns import Chosen, choose
from unitf.recognition.decisions import Decisions
from unitf.recognition.joining import joined
from unitf.recognition.looking import Look, made_task, made_tokenizer
from unitf.recognition.recipe_text import named
from unitf.recognition.sizes import (
    average_decay,
    batch_samples,
    batch_tokens,
    core_size,
    num_epochs,
    num_tokens,
    precision,
)
from unitf.recognition.source_finder import find_source, without_unlabelled
from unitf.recognition.wishes import Wishes
from unitf.tasks.task import Task

Settings: TypeAlias = dict[str, Any]  # a recipe as plain data, or a part of one
TIME: str = "10m"  # that a training takes at most, if nothing is said
_MOST_SAMPLES = 32  # of a batch in fine-tuning
_PATIENCE = 10  # epochs without an improvement after which a long training ends


class Made(NamedTuple):
    """A recipe and how it came about.

    Args:
        recipe: plain data that a person could have written.
        lines: the decisions, each with the key that changes it.
    """

    recipe: Settings
    lines: list[str]


def make_recipe(path: Path, wishes: Wishes) -> Made:
    """Makes a recipe for the data at a path.

    Raises:
        UserError: nothing reads it, several targets could be meant, or nothing fits.
    """
    if not path.exists():
        raise UserError(f"{path} is not there, expected a file or a folder of data")
    if path.name in ("", ".."):  # the current folder, which has a name as well
        path = Path(path, "..", path.resolve().name)
    decisions = Decisions()
    source, look = find_source(path, wishes, decisions)
    split = cast(Mapping[str, object], source.proposal.settings.get("split") or {})
    columns = [column for column in look.columns if column.name != split.get("column")]
    chosen = choose(columns, wishes.target or source.proposal.target, decisions)
    decisions.add_answer("model.tasks", chosen.tasks)
    if chosen.target is not None:
        source = without_unlabelled(source, look, chosen.target.name, decisions)
    return Made(_Recipe(path, wishes, decisions, source, look, chosen).make(), decisions.lines)


class _Recipe:
    """The parts of a recipe.

    Args:
        path: what a person gave.
        wishes: what a person asked for.
        decisions: is told what was decided.
        source: the chosen source.
        look: what was seen of it.
        chosen: the target, the inputs, the tokenizers and the task.
    """

    def __init__(
        self,
        path: Path,
        wishes: Wishes,
        decisions: Decisions,
        source: Answer,
        look: Look,
        chosen: Chosen,
    ) -> None:
        self.path: Path = path
        self.wishes: Wishes = wishes
        self.decisions: Decisions = decisions
        self.source: Answer = source
        self.look: Look = look
        self.chosen: Chosen = chosen
        self.task: Answer = chosen.tasks[0]
        self.by_column: dict[str, Answer] = {
            column.name: self._as_asked(column.name, chosen.tokenizers[column.name][0])
            for column in chosen.inputs
        }
        self.encoders: dict[str, Answer] = joined(chosen.inputs, self.by_column)
        # the columns whose tokens a sample has, and the tokenizer of a target that is written
        self.encoded: list[Column] = list(chosen.inputs)
        self.tokenizers: dict[str, Answer] = dict(self.encoders)
        if chosen.target is not None and chosen.target.written:
            name = chosen.target.name
            self.encoded.append(chosen.target)
            self.by_column[name] = self.tokenizers[name] = chosen.tokenizers[name][0]
        self.count: int = look.num_samples

    def make(self) -> Settings:
        """Returns the recipe."""
        tokens, longest = self._tokens()
        size = core_size(self.count, tokens)
        recipe: Settings = {
            "model": {
                "core": dict(size),
                "tokenizers": {
                    name: named(answer.name, answer.proposal.settings)
                    for name, answer in self.tokenizers.items()
                },
                "tasks": {self._task_name(): self._task()},
                "optimizer": named(
                    "torch.optim.AdamW", {"lr": 0.001, "weight_decay": 0.05, "fused": True}
                ),
            },
            "data": self._data(tokens, longest),
            "trainer": {"max_epochs": self._epochs(), **self._precision(tokens), "callbacks": []},
        }
        self._further(recipe)
        if self.wishes.pretrained is not None:
            self._fine_tune(recipe)
        self._callbacks(recipe)
        self._say(recipe, tokens)
        return recipe

    def _as_asked(self, column: str, answer: Answer) -> Answer:
        """Returns a tokenizer with the settings that the source asks for, which it says."""
        group = f"model.tokenizers.{column}"
        begin = f"{group}.init_args."
        recipe = self.source.proposal.recipe
        asked = {k.removeprefix(begin): v for k, v in recipe.items() if k.startswith(begin)}
        if not asked:
            return answer
        settings = ", ".join(f"{key} {value}" for key, value in asked.items())
        self.decisions.drop(group)
        self.decisions.add(group, f"{answer.name}, with {settings}, as {self.source.name} needs it")
        proposal = replace(answer.proposal, settings={**answer.proposal.settings, **asked})
        return answer._replace(proposal=proposal)

    # ---- parts -------------------------------------------------------------------------

    def _tokens(self) -> tuple[float, int]:
        """Returns the mean and the largest number of tokens of a sample."""
        usual, longest = 0.0, 0
        for column in self.encoded:
            answer = self.by_column[column.name]
            present = len(column.values) / (len(column.values) + column.num_missing)
            tokenizer = made_tokenizer(answer.cls, answer.proposal.settings, 64)
            counts = num_tokens(tokenizer, column.values)
            usual += present * fmean(counts)
            longest += max(counts)
        return usual, longest

    def _task_name(self) -> str:
        target = self.chosen.target
        return _as_key(self.task.name.lower() if target is None else target.name)

    def _task(self) -> Settings:
        inputs = list(self.encoders)
        target = {} if self.chosen.target is None else {"target": self.chosen.target.name}
        return named(self.task.name, {"inputs": inputs, **target, **self.task.proposal.settings})

    def _data(self, tokens: float, longest: int) -> Settings:
        root = self.path.parent
        name = _as_key(self.path.name.split(".")[0])
        return {
            **({} if root == Path() else {"root": str(root)}),
            "sources": {name or "data": named(self.source.name, self.source.proposal.settings)},
            **self._batch(tokens, longest),
            **self._on_error(),
        }

    def _on_error(self) -> Settings:
        """Returns that samples are left out, if the task cannot use some that were looked at."""
        inputs = [column.name for column in self.chosen.inputs]
        target = None if self.chosen.target is None else self.chosen.target.name
        task = made_task(self.task.cls, self.task.proposal.settings, inputs, target)
        samples = self.look.samples
        lacking = sum(not task.accepts(sample) for sample in samples)
        if not lacking:
            return {}
        what = f"{lacking} of {len(samples)} samples lack {target or 'all inputs'}"
        self.decisions.add("data.on_error", f"skip; {what}, and are left out")
        return {"on_error": "skip"}

    def _batch(self, tokens: float, longest: int) -> Settings:
        """Returns the size of a batch: of samples, if all have as many tokens; else of tokens."""
        # every token of a written sample is a target, so that fewer samples are as many
        is_written = any(column.written for column in self.encoded)
        count = self.count // 4 if is_written else self.count
        if tokens == longest:
            return {"batch_size": batch_samples(count)}
        # a sample that was not looked at may be longer still
        return {"tokens_per_batch": batch_tokens(count, tokens, 2 * longest)}

    def _precision(self, tokens: float) -> Settings:
        wanted = precision(self.count, tokens)
        return {} if wanted is None else {"precision": wanted}

    def _epochs(self) -> int:
        values = [] if self.chosen.target is None else self.chosen.target.values
        return num_epochs(len({str(value) for value in values}))

    def _further(self, recipe: Settings) -> None:
        """Puts in the further keys of all proposals; the first one for a key counts."""
        known: set[str] = set()
        for answer in (self.source, *self.tokenizers.values(), self.task):
            for key, value in answer.proposal.recipe.items():
                if key not in known:
                    put(recipe, key, deepcopy(value))
                known.add(key)

    def _fine_tune(self, recipe: Settings) -> None:
        """Replaces core and tokenizers by those of a trained model."""
        model = recipe["model"]
        model.pop("core")
        model.pop("tokenizers")
        recipe["model"] = model = {
            "pretrained": self.wishes.pretrained,
            "layer_decay": 0.8,
            **model,
        }
        names = self.wishes.pretrained_tokenizers
        inputs = list(self.encoders)
        used = {column: column if column in names else names[0] for column in inputs}
        if len(names) > 1 and set(inputs) - set(names):
            raise UserError(
                f"--pretrained {self.wishes.pretrained}: its tokenizers are {', '.join(names)}, "
                f"expected one for each of {', '.join(inputs)}"
            )
        [task] = model["tasks"].values()
        task["init_args"]["inputs"] = inputs if all(c == n for c, n in used.items()) else used
        recipe["data"].pop("tokens_per_batch", None)  # its tokens are others than those counted
        recipe["data"]["batch_size"] = min(_MOST_SAMPLES, batch_samples(self.count))
        put(recipe, "model.optimizer.init_args.lr", 0.0002)
        put(recipe, "model.optimizer.init_args.weight_decay", 0.01)
        put(recipe, "trainer.max_epochs", 4)

    def _callbacks(self, recipe: Settings) -> None:
        steps = max(1, self.count // batch_samples(self.count))
        callbacks = recipe["trainer"]["callbacks"]
        if self.wishes.pretrained is None:
            callbacks.append(named("EMA", {"decay": average_decay(steps)}))
        if recipe["trainer"]["max_epochs"] > 2 * _PATIENCE:
            callbacks.append(named("EarlyStopping", {**self._watched(), "patience": _PATIENCE}))
        callbacks.append(named("TimeBudget", {"limit": self.wishes.time or TIME}))

    def _watched(self) -> Settings:
        """Returns which figure of validation says that a training no longer improves."""
        task = cast(type[Task], self.task.cls)
        if task.steady_loss:
            return {"monitor": "validation/loss"}
        return {"monitor": f"validation/{self._task_name()}/{task.monitor}", "mode": task.mode}

    # ---- lines -------------------------------------------------------------------------

    def _say(self, recipe: Settings, tokens: float) -> None:
        counts = self.look.counts
        self.decisions.add(
            "data.held_out",
            ", ".join(f"{split} {count:,} samples" for split, count in counts.items())
            + self._held_out(),
        )
        size = recipe["model"].get("core")
        if size:
            self.decisions.add(
                "model.core",
                f"width {size['dim']}, {size['depth']} blocks, for {self.count:,} samples of about "
                f"{tokens:.0f} tokens",
            )
        size = recipe["data"].get("batch_size")
        self.decisions.add(
            "data.batch_size" if size else "data.tokens_per_batch",
            f"{size} samples" if size else _tokens_said(recipe["data"]["tokens_per_batch"], tokens),
        )
        self.decisions.add(
            "trainer.max_epochs",
            f"{recipe['trainer']['max_epochs']}, or what {self.wishes.time or TIME} allow (--time)",
        )
        self._say_training(recipe)
        if (wanted := recipe["trainer"].get("precision")) is not None:
            self.decisions.add("trainer.precision", f"{wanted}, which this machine computes faster")

    def _say_training(self, recipe: Settings) -> None:
        """Says how it is trained, and what else the recipe has."""
        if (trained := recipe["model"].get("pretrained")) is not None:
            self.decisions.drop("model.tokenizers")  # those of the pretrained model are taken
            decay = recipe["model"]["layer_decay"]
            what = (
                f"core and tokenizers of {trained}; deeper layers learn more (layer_decay {decay})"
            )
            self.decisions.add("model.pretrained", what)
        optimizer = recipe["model"]["optimizer"]
        settings = [f"{name} {value}" for name, value in optimizer["init_args"].items()]
        kind = optimizer["class_path"].rpartition(".")[2]
        self.decisions.add("model.optimizer", f"{kind}, {', '.join(settings)}")
        callbacks = [_in_words(callback) for callback in recipe["trainer"]["callbacks"]]
        self.decisions.add("trainer.callbacks", ", ".join(callbacks))

    def _held_out(self) -> str:
        counts = self.look.counts
        if "validation" in counts:
            return ""
        tests = any(split.startswith("test") for split in counts)
        drawn = "10 % of them for validation" + ("" if tests else " and 10 % for the test")
        return f"; {drawn}, drawn by a hash" + (" within each class" if self._has_classes() else "")

    def _has_classes(self) -> bool:
        """Returns whether values of the target occur again: numbers are drawn as they come."""
        values = [] if self.chosen.target is None else self.chosen.target.values
        return len({str(value) for value in values}) * 2 <= len(values) > 0


def _in_words(entry: Settings) -> str:
    values = ", ".join(f"{name} {value}" for name, value in entry["init_args"].items())
    return f"{entry['class_path']} ({values})"


def _as_key(name: str) -> str:
    """Returns a name as a key of a recipe, which options can name."""
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)


def _tokens_said(size: int, tokens: float) -> str:
    return f"{size:,}, about {max(1, round(size / tokens))} samples"


def put(recipe: Settings, key_path: str, value: object) -> None:
    """Puts a value at a key such as `model.core.dropout` into a recipe."""
    *groups, last = key_path.split(".")
    for key in groups:
        recipe = recipe.setdefault(key, {})
    recipe[last] = value
