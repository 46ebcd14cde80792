"""Every command and every Python block of README.md and docs/ runs, or says why it does not.

A block is left out by a line before it: `<!-- test: skip, REASON -->`. A fragment of YAML is read
over a recipe by `<!-- test: over RECIPE -->`. A block whose first line is `# NAME.py` or
`# NAME.yaml` is that file for what follows on the page. Trainings are cut to two steps.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from functools import cache
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from unittest import mock

import lightning
import pytest
import transformers
from documented import PAGES, RUN, SHOWN, Block, blocks_of, commands_of, markers_of
from folders import ROOT, SHARED
from prepared_folder import SHORT, PreparedFolder

from unitf import cli
from unitf.cli.recipe import read_recipe

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
VERBS = {**cli.TRAINING, **cli.OTHERS, **cli.EXCHANGE}
ONE_BATCH = [
    *("--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"),
    *("--trainer.limit_predict_batches", "1", "--data.num_workers", "0"),
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Makes a short run of a recipe, once."""

    @cache
    def train(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / "shared").symlink_to(SHARED)
        (folder / "unitf").mkdir()
        (folder / "unitf" / "configs").symlink_to(ROOT / "configs")
        with contextlib.chdir(folder / "unitf"):
            run_unitf(["fit", "--config", f"configs/{name}.yaml", "--out", "run"])
        return folder / "unitf" / "run"

    return train


@pytest.fixture
def folder(tmp_path, trained, monkeypatch):
    prepared = PreparedFolder(tmp_path, trained)
    monkeypatch.chdir(prepared.path)
    monkeypatch.syspath_prepend(prepared.path)
    save_published_bert(prepared.path / "my-bert")
    before = set(sys.modules)
    yield prepared
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def save_published_bert(path: Path) -> None:
    """A small model as transformers saves it."""
    from interop.published_texts import wordpiece

    tokenizer = wordpiece()
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(tokenizer), intermediate_size=32, **sizes)
    transformers.BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)


class ShortTrainer(lightning.Trainer):
    """Trains for two steps, whatever it is told."""

    def __init__(self, **arguments) -> None:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
        two = {"max_steps": 2, "limit_val_batches": 1, "accelerator": "cpu", "devices": 1}
        super().__init__(**{**arguments, **two, **quiet})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs_in_its_order(page, folder, monkeypatch):
    blocks = list(blocks_of(page))
    text = "\n".join(block.text for block in blocks if not block.skipped)
    if not SHARED.is_dir() and ("configs/" in text or "runs/" in text):
        pytest.skip("shared data not available")
    module = ModuleType("documented_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks:
        if block.skipped or block.language in SHOWN:
            continue
        try:
            run_block(block, folder, module)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block}: {type(error).__name__}: {error}") from error


def run_block(block: Block, folder: PreparedFolder, module: ModuleType) -> None:
    if block.language in ("sh", "bash"):
        for command in commands_of(block.text):
            run_command(folder.prepare(command))
        return
    text = folder.prepare(block.text)
    if block.file:
        (folder.path / block.file).write_text(text)
    if block.language == "yaml":
        read_fragment(block, text, folder.path)
    else:
        run_python(block, text, module)


def run_python(block: Block, text: str, module: ModuleType) -> None:
    if block.file:  # a file can be imported by other processes too
        vars(module).update(vars(import_module(Path(block.file).stem)))
        return
    known = set(vars(module))
    with mock.patch.object(lightning, "Trainer", ShortTrainer):
        exec(compile(text, str(block), "exec"), vars(module))
    for name in set(vars(module)) - known:
        if name.startswith("test_"):
            vars(module)[name]()


def read_fragment(block: Block, text: str, path: Path) -> None:
    file = path / (block.file or "fragment.yaml")
    file.write_text(text)
    assert read_recipe(file)
    if block.base:
        over = ["--config", f"configs/{block.base}", "--config", str(file), "--print_config"]
        run_unitf(["fit", *over], short=False)


def run_command(command: str) -> None:
    words = shlex.split(command, comments=True)
    if words[0] != "unitf" or "--plugin" in words or re.search(r"[|>]|\$\(|&&", command):
        # plugins are registered for a whole process; `unitf` may be that of another tree
        command = re.sub(r"(?<![\w./-])unitf(?= )", f"{sys.executable} -m unitf", command)
        if "--plugin" in words and "fit" in words:
            command += " " + shlex.join(shortened(words[1:])[len(words) - 1 :])
        paths = [str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=300, env=environment
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    else:
        run_unitf(words[1:])


def run_unitf(words: list[str], short: bool = True) -> None:
    told, stdin = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO("hello\n")  # of `unitf chat`
    try:
        with contextlib.redirect_stderr(told), warnings.catch_warnings():
            status = cli.main(shortened(words) if short else words)
    except SystemExit as exit:  # of --print_config and --version
        status = exit.code or 0
    finally:
        sys.stdin = stdin
    assert status == 0, f"unitf {shlex.join(words)}\n{told.getvalue()}"


def shortened(words: list[str]) -> list[str]:
    """The same command, over in seconds; what stands last counts."""
    verb = next((word for word in words if word in VERBS), "")
    if verb == "bench":
        return [*words, "--steps", "2", "--data.num_workers", "0"]
    if verb in ("validate", "test", "predict") and "--checkpoint" not in words:
        return [*words, *ONE_BATCH]
    if verb != "fit":
        return words
    options = dict(SHORT)
    if "--resume" in words:  # what ended is not begun again
        options = {"--trainer.max_steps": "3", "--test_after_fit": "false"}
    return [*words, *(part for pair in options.items() for part in pair)]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block):
    assert block.language in RUN | SHOWN, f"{block}: the language {block.language!r}"
    known = block.skipped or block.base or not block.marker
    assert known, f"{block}: {block.marker!r}, expected `skip, REASON` or `over RECIPE`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_marker_stands_directly_before_a_block(page):
    assert len(markers_of(page)) == sum(bool(block.marker) for block in blocks_of(page))


@cache
def help_of(verb: str) -> str:
    told = io.StringIO()
    more = ["--checkpoint", "DIR"] if verb == "predict" else []
    with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        cli.main([verb, *more, "--help"])
    return told.getvalue()


SKIPPED = [block for block in BLOCKS if block.skipped and block.language in ("sh", "bash")]


@pytest.mark.parametrize("block", SKIPPED, ids=str)
def test_a_command_that_is_not_run_has_known_verbs_and_options(block):
    for command in commands_of(block.text):
        for part in re.split(r"&&|\|", command):
            check_words(shlex.split(part, comments=True), str(block))


def check_words(words: list[str], where: str) -> None:
    if not words or words[0] != "unitf":
        return
    verb = next((word for word in words[1:] if not word.startswith("-")), "")
    assert verb in VERBS or words[1:] == ["--version"], f"{where}: {verb}"
    for option in (word.partition("=")[0] for word in words[2:] if word.startswith("--")):
        if not option.startswith(("--model.", "--data.", "--trainer.", "--data-root", "--resume")):
            assert option in help_of(verb), f"{where}: {verb} has no {option}"
    for name in re.findall(r"configs/\w+\.yaml", " ".join(words)):
        assert (ROOT / name).is_file(), f"{where}: {name}"


RECIPES = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_the_header_of_a_recipe_is_short_and_its_commands_are_known(recipe):
    lines = recipe.read_text().splitlines()
    header = list(takewhile(lambda line: line.startswith("#"), lines))
    assert len(header) <= 8, f"{recipe.name}: {len(header)} lines"
    for line in header:
        if command := re.match(r"#\s+(unitf .*)", line):
            check_words(shlex.split(command[1].partition("#")[0]), recipe.name)
