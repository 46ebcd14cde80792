"""Makes a recipe of a person's data, and says each decision."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypeAlias, cast

from unitf.data.sources.file_source import FileSource
from unitf.errors import UserError
from unitf.recognition.asking import Answer, answers
from unitf.recognition.columns import Chosen, choose
from unitf.recognition.decisions import Decisions
from unitf.recognition.looking import Look, look_at, made_tokenizer
from unitf.recognition.notation import named
from unitf.recognition.sizes import (
    average_decay,
    batch_samples,
    batch_tokens,
    core_size,
    num_epochs,
    num_tokens,
)
from unitf.recognition.wishes import Wishes

Settings: TypeAlias = dict[str, Any]  # a recipe as plain data, or a part of one
TIME: str = "10m"  # that a training takes at most, if nothing is said
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
    decisions = Decisions()
    source, look = _source(path, wishes, decisions)
    split = cast(Mapping[str, object], source.proposal.settings.get("split") or {})
    columns = [column for column in look.columns if column.name != split.get("column")]
    chosen = choose(columns, wishes.target or source.proposal.target, decisions)
    decisions.add_answer("model.tasks", chosen.tasks)
    return Made(_Recipe(path, wishes, decisions, source, look, chosen).make(), decisions.lines)


def _source(path: Path, wishes: Wishes, decisions: Decisions) -> tuple[Answer, Look]:
    """Returns the first source that reads the path, and what is seen with it."""
    root, problems = path.parent, []
    ranked = answers("sources", path.absolute())
    for number, answer in enumerate(ranked):
        answer = _with_test(answer, path, wishes.test)
        try:
            look = look_at(answer.cls, answer.proposal.settings, root)
        except ValueError as error:
            problems.append(f"{answer.name}: {error}")
            continue
        is_known = wishes.target in (None, *(column.name for column in look.columns))
        if look.samples and (is_known or number + 1 == len(ranked)):
            decisions.add_answer("data.sources", [answer, *ranked[number + 1 :]])
            return answer, look
    found = "; ".join(problems) or _found(path)
    raise UserError(f"{path}: no source reads it: {found}")


def _found(path: Path) -> str:
    if path.is_file():
        return f"found a file {path.name}, expected a table, an archive or a text"
    names = sorted(entry.name for entry in path.iterdir())
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"found {shown or 'nothing'} in it, expected a folder for each class, a table or texts"


def _with_test(answer: Answer, path: Path, test: Path | None) -> Answer:
    """Returns the answer with a file of test samples, which a person gave with `--test`."""
    if test is None:
        return answer
    if not issubclass(answer.cls, FileSource):
        raise UserError(
            f"--test {test}: {answer.name} reads no files, so it has no file for a test"
        )
    others = {other.name: other for other in answers("sources", test.absolute())}
    if answer.name not in others:
        raise UserError(f"--test {test}: found nothing that {answer.name} reads like {path}")
    settings, path_of_test = dict(answer.proposal.settings), _first_path(others[answer.name])
    known = settings["path"]
    files = dict(known) if isinstance(known, dict) else {"train": known}
    folder = test.absolute().parent
    settings["path"] = {**files, "test": str(folder / path_of_test)}
    return answer._replace(proposal=_replaced(answer, settings))


def _first_path(answer: Answer) -> str:
    path = answer.proposal.settings["path"]
    return str(next(iter(path.values())) if isinstance(path, dict) else path)


def _replaced(answer: Answer, settings: Settings) -> Any:
    from dataclasses import replace

    return replace(answer.proposal, settings=settings)


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
        self.encoders: dict[str, Answer] = {
            column.name: chosen.tokenizers[column.name][0] for column in chosen.inputs
        }
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
                    for name, answer in self.encoders.items()
                },
                "tasks": {self._task_name(): self._task()},
                "optimizer": named(
                    "torch.optim.AdamW", {"lr": 0.001, "weight_decay": 0.05, "fused": True}
                ),
            },
            "data": self._data(tokens, longest),
            "trainer": {"max_epochs": self._epochs(), "callbacks": []},
        }
        self._further(recipe)
        if self.wishes.pretrained is not None:
            self._fine_tune(recipe)
        self._callbacks(recipe)
        self._say(recipe, tokens)
        return recipe

    # ---- parts -------------------------------------------------------------------------

    def _tokens(self) -> tuple[float, int]:
        """Returns the mean and the largest number of tokens of a sample."""
        usual, longest = 0.0, 0
        for column in self.chosen.inputs:
            answer = self.encoders[column.name]
            present = len(column.values) / (len(column.values) + column.num_missing)
            tokenizer = made_tokenizer(answer.cls, answer.proposal.settings, 64)
            counts = num_tokens(tokenizer, column.values)
            usual += present * fmean(counts)
            longest += max(counts)
        return usual, longest

    def _task_name(self) -> str:
        name = "text" if self.chosen.target is None else self.chosen.target.name
        name = name if self.chosen.target is not None else self.task.name.lower()
        return "".join(c if c.isalnum() or c == "_" else "_" for c in name)

    def _task(self) -> Settings:
        inputs = [column.name for column in self.chosen.inputs]
        target = {} if self.chosen.target is None else {"target": self.chosen.target.name}
        return named(self.task.name, {"inputs": inputs, **target, **self.task.proposal.settings})

    def _data(self, tokens: float, longest: int) -> Settings:
        root = self.path.parent
        name = "".join(c if c.isalnum() or c == "_" else "_" for c in self.path.name.split(".")[0])
        return {
            **({} if root == Path() else {"root": str(root)}),
            "sources": {name or "data": named(self.source.name, self.source.proposal.settings)},
            **self._batch(tokens, longest),
        }

    def _batch(self, tokens: float, longest: int) -> Settings:
        """Returns the size of a batch: of samples, if all have as many tokens; else of tokens."""
        if tokens == longest:
            return {"batch_size": batch_samples(self.count)}
        # a sample that was not looked at may be longer still
        return {"tokens_per_batch": batch_tokens(self.count, tokens, 2 * longest)}

    def _epochs(self) -> int:
        values = [] if self.chosen.target is None else self.chosen.target.values
        return num_epochs(len({str(value) for value in values}))

    def _further(self, recipe: Settings) -> None:
        """Puts in the further keys of all proposals; the first one for a key counts."""
        known: set[str] = set()
        for answer in (self.source, *self.encoders.values(), self.task):
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
        inputs = [column.name for column in self.chosen.inputs]
        used = {column: column if column in names else names[0] for column in inputs}
        if len(names) > 1 and set(inputs) - set(names):
            raise UserError(
                f"--pretrained {self.wishes.pretrained}: its tokenizers are {', '.join(names)}, "
                f"expected one for each of {', '.join(inputs)}"
            )
        [task] = model["tasks"].values()
        task["init_args"]["inputs"] = used if used != dict.fromkeys(inputs) else inputs
        put(recipe, "model.optimizer.init_args.lr", 0.0002)
        put(recipe, "model.optimizer.init_args.weight_decay", 0.01)
        put(recipe, "trainer.max_epochs", 4)

    def _callbacks(self, recipe: Settings) -> None:
        steps = max(1, self.count // batch_samples(self.count))
        callbacks = recipe["trainer"]["callbacks"]
        if self.wishes.pretrained is None:
            callbacks.append(named("EMA", {"decay": average_decay(steps)}))
        if recipe["trainer"]["max_epochs"] > 2 * _PATIENCE:
            stopping = {"monitor": "validation/loss", "patience": _PATIENCE}
            callbacks.append(named("EarlyStopping", stopping))
        callbacks.append(named("TimeBudget", {"limit": self.wishes.time or TIME}))

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

    def _held_out(self) -> str:
        counts = self.look.counts
        if "validation" in counts:
            return ""
        tests = any(split.startswith("test") for split in counts)
        drawn = "10 % of them for validation" + ("" if tests else " and 10 % for the test")
        return f"; {drawn}, drawn by a hash" + (
            " within each class" if self.chosen.target is not None else ""
        )


def _tokens_said(size: int, tokens: float) -> str:
    return f"{size:,}, about {max(1, round(size / tokens))} samples"


def put(recipe: Settings, key_path: str, value: object) -> None:
    """Puts a value at a key such as `model.core.dropout` into a recipe."""
    *groups, last = key_path.split(".")
    for key in groups:
        recipe = recipe.setdefault(key, {})
    recipe[last] = value
