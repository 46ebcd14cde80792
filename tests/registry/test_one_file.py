"""A plugin that is one file, without a hook: a recipe can name whatever it defines."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from unitf import registry
from unitf.cli import main
from unitf.errors import UserError
from unitf.registry.kinds import KINDS

TOYS = Path(__file__).parents[1] / "toys.py"
RECIPE = {
    "model": {
        "core": {"dim": 16, "depth": 1, "num_heads": 2},
        "tokenizers": {"waves": "Waves", "beats": "Beats"},
        "tasks": {
            "speed": {
                "class_path": "Classification",
                "init_args": {"inputs": ["waves", "beats"], "target": "speed"},
            }
        },
    },
    "data": {"sources": {"toy": "Swings"}, "batch_size": 32, "num_workers": 0},
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
}


@pytest.fixture
def run(tmp_path, capsys):
    """Writes a plugin file and a recipe with some settings, trains, and gives what was printed."""

    def run(name, text, settings, *arguments, verb="fit"):
        plugin, recipe = tmp_path / f"{name}.py", tmp_path / "recipe.yaml"
        plugin.write_text(text)
        parts = {part: {**RECIPE[part], **settings.get(part, {})} for part in RECIPE}
        recipe.write_text(yaml.safe_dump(parts))
        out = tmp_path / "run"
        files = ["--plugin", str(TOYS), "--plugin", str(plugin)]
        status = main([*files, verb, "--config", str(recipe), "--out", str(out), *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err.strip()

    return run


# ---- what a recipe names -----------------------------------------------------------------

ANNOUNCE = """
import json
import re
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Callback


@dataclass
class Wording:
    greeting: str = "hello"


class {name}(Callback):
    def __init__(self, file: str, wording: Wording | None = None):
        self.file, self.wording = file, wording or Wording()

    def on_train_epoch_end(self, trainer, pl_module):
        line = f"{{self.wording.greeting}} {{trainer.current_epoch}}\\n"
        with Path(self.file).open("a") as file:
            file.write(line)
"""


def test_a_file_with_nothing_but_a_callback_announces_every_epoch(run, tmp_path):
    text, file = ANNOUNCE.format(name="AnnounceEpochs"), tmp_path / "said.txt"
    settings = {"file": str(file), "wording": {"greeting": "hey"}}
    callbacks = [{"class_path": "AnnounceEpochs", "init_args": settings}]
    status, _, error = run("announces", text, {"trainer": {"callbacks": callbacks}})
    assert (status, error) == (0, "")
    assert file.read_text() == "hey 0\nhey 1\n"


def test_a_callback_may_be_named_on_the_command_line(run, tmp_path):
    text, file = ANNOUNCE.format(name="Shout"), tmp_path / "said.txt"
    words = ["--trainer.callbacks+=Shout", f"--trainer.callbacks.file={file}"]
    status, _, error = run("shouts", text, {}, *words)
    assert (status, error) == (0, "")
    assert file.read_text() == "hello 0\nhello 1\n"


SIGN_DESCENT = """
import torch
from torch.optim import Optimizer


class SignSteps(Optimizer):
    taken = []

    def __init__(self, params, lr: float = 1e-3, momentum: float = 0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            SignSteps.taken.append(group["lr"])
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * p.grad.sign())
        return loss
"""


def test_an_optimizer_of_a_file_trains(run):
    optimizer = {"class_path": "SignSteps", "init_args": {"lr": 0.004}}
    status, _, error = run("sign_descent", SIGN_DESCENT, {"model": {"optimizer": optimizer}})
    assert (status, error) == (0, "")
    taken = sys.modules["sign_descent"].SignSteps.taken
    assert max(taken) == pytest.approx(0.004, rel=0.3) and len(taken) == 2 * 2 * 3


SCHEDULE = """
from torch.optim.lr_scheduler import LRScheduler


class {name}(LRScheduler):
    {interval}
    seen = []

    def __init__(self, optimizer, factor: float = 0.5, last_epoch: int = -1):
        self.factor = factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        {name}.seen.append(self.last_epoch)
        return [base * self.factor**self.last_epoch for base in self.base_lrs]
"""


@pytest.mark.parametrize(
    ("name", "interval", "steps"),
    [("EachEpoch", "", [0, 1, 2]), ("EachStep", 'interval = "step"', list(range(7)))],
)
def test_a_schedule_of_a_file_steps_once_an_epoch_or_as_it_says(run, name, interval, steps):
    text = SCHEDULE.format(name=name, interval=interval)
    schedule = {"class_path": name, "init_args": {"factor": 0.9}}
    module = f"schedule_{name.lower()}"
    status, _, error = run(module, text, {"model": {"schedule": schedule}})
    assert (status, error) == (0, "")
    # a first schedule, made before the data is read, shows whether its arguments are right
    assert getattr(sys.modules[module], name).seen == [0, *steps]


def test_a_schedule_of_a_file_is_told_how_many_steps_there_will_be(run):
    text = SCHEDULE.format(name="Told", interval="total = None")
    text += "\n    def set_total_steps(self, total_steps):\n        Told.total = total_steps\n"
    status, _, error = run("schedule_told", text, {"model": {"schedule": "Told"}})
    assert (status, error) == (0, "")
    assert sys.modules["schedule_told"].Told.total == 6


LINES = """
import json
import re
from pathlib import Path

from lightning.pytorch.loggers import Logger


class Lines(Logger):
    name, version = "lines", "0"

    def __init__(self, file: str):
        super().__init__()
        self.file = file

    def log_hyperparams(self, params, *args, **kwargs): ...

    def log_metrics(self, metrics, step=None):
        with Path(self.file).open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\\n")
"""


def test_a_logger_of_a_file_gets_the_figures(run, tmp_path):
    file = tmp_path / "lines.jsonl"
    logger = {"class_path": "Lines", "init_args": {"file": str(file)}}
    status, _, error = run("logs_lines", LINES, {"trainer": {"logger": logger}})
    assert (status, error) == (0, "")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    losses = [line["validation/loss"] for line in lines if "validation/loss" in line]
    assert len(losses) == 2


NEGATIVE = """
import random

from unitf_image import ImageAugmentation


class Inverted(ImageAugmentation):
    moves = False
    calls = []

    def __init__(self, probability: float = 0.5):
        self.probability = probability

    def __call__(self, pixels, fill):
        Inverted.calls.append(self.probability)
        return 255 - pixels if random.random() < self.probability else pixels
"""


def test_an_augmentation_of_a_file_changes_training_images(run):
    image = {"patch": 4, "channels": 1, "augment": {"Inverted": {"probability": 0.25}}}
    tokenizers = {"image": {"class_path": "ImagePatches", "init_args": image}}
    inputs = {"inputs": ["image"], "target": "digit"}
    tasks = {"digit": {"class_path": "Classification", "init_args": inputs}}
    settings = {
        "model": {"tokenizers": tokenizers, "tasks": tasks},
        "data": {"sources": {"drawn": "ScannedDigits"}},
        "trainer": {"limit_train_batches": 2, "limit_val_batches": 1, "max_epochs": 1},
    }
    status, _, error = run("negatives", NEGATIVE, settings, "--test_after_fit", "false")
    assert (status, error) == (0, "")
    assert sys.modules["negatives"].Inverted.calls == [0.25] * 64


QUIETER = """
from unitf_audio import SoundAugmentation, SpectrumAugmentation


class Quieter(SoundAugmentation):
    calls = []

    def __init__(self, factor: float = 0.5):
        self.factor = factor

    def __call__(self, samples, sample_rate):
        Quieter.calls.append((self.factor, sample_rate))
        return samples * self.factor


class Lifted(SpectrumAugmentation):
    calls = []

    def __call__(self, spectrum, mean=0.0):
        Lifted.calls.append(len(spectrum))
        return spectrum + 1
"""


def test_augmentations_of_sounds_are_named_where_those_in_the_box_are(run):
    spectrogram = {"sample_rate": 8000, "num_mels": 16}
    sound = {
        "spectrogram": {"class_path": "Spectrogram", "init_args": spectrogram},
        "perturb": {"class_path": "Quieter", "init_args": {"factor": 0.25}},
        "mask": {"class_path": "Lifted"},
    }
    tokenizers = {"sound": {"class_path": "SpectrogramFrames", "init_args": sound}}
    inputs = {"inputs": ["sound"], "target": "digit"}
    tasks = {"digit": {"class_path": "Classification", "init_args": inputs}}
    sizes = {"train": 8, "validation": 4, "test": 4, "test_noisy": 4}
    dialled = {"class_path": "TelephoneTones", "init_args": {"sizes": sizes}}
    settings = {
        "model": {"tokenizers": tokenizers, "tasks": tasks},
        "data": {"sources": {"dialled": dialled}},
        "trainer": {"max_epochs": 1},
    }
    status, _, error = run("quieter", QUIETER, settings, "--test_after_fit", "false")
    assert (status, error) == (0, "")
    module = sys.modules["quieter"]
    assert module.Quieter.calls == [(0.25, 8000)] * 8 and module.Lifted.calls == [16] * 8


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("Brighter", {"by": 3}, None),
        ("Brighter", 3, None),
        ("Brighter", True, None),
        ("Brighter", {"bye": 3}, "augment: Brighter: found 'bye', expected by"),
        ("Brighter", {"by": -1}, "augment: Brighter: by is not negative"),
        (
            "Louder",
            True,
            "expected a subclass of unitf_image.augment_step.ImageAugmentation, found",
        ),
        ("GaussianBlur", True, "a class of a plugin and of one of torchvision"),
        ("Brightr", True, "unknown name 'Brightr'; did you mean Brighter"),
    ],
)
def test_an_augmentation_is_made_of_its_arguments_or_refused_in_one_line(
    tmp_path, name, setting, message
):
    from unitf_image import ImagePatches

    from unitf import UserError

    file = tmp_path / "brighter.py"
    file.write_text(
        "from unitf_audio import SoundAugmentation\nfrom unitf_image import ImageAugmentation\n\n\n"
        "class Brighter(ImageAugmentation):\n    def __init__(self, by=1):\n"
        "        if by < 0:\n            raise ValueError('by is not negative')\n"
        "        self.by = by\n\n    def __call__(self, pixels, fill):\n"
        "        return pixels + self.by\n\n\n"
        "class GaussianBlur(Brighter): ...\n\n\n"
        "class Louder(SoundAugmentation):\n    def __call__(self, samples, sample_rate):\n"
        "        return samples\n"
    )
    registry.load_file(file)
    if message is None:
        [step] = ImagePatches(8, augment={name: setting}).steps
        assert type(step).__name__ == name and step.by == (1 if setting is True else 3)
        return
    with pytest.raises(UserError) as caught:
        ImagePatches(8, augment={name: setting})
    assert message in str(caught.value) and "\n" not in str(caught.value)


# ---- a verb ------------------------------------------------------------------------------

HELLO = '''
import sys

import unitf


class {name}(unitf.Command):
    """Greets somebody, in one line.

    And says no more.
    """

    def add_arguments(self, parser):
        parser.add_argument("--who", default="you")

    def run(self, args):
        if args.who == "nobody":
            raise unitf.UserError("--who: found nobody, expected somebody")
        print(f"hello {{args.who}}")
        return 3 if args.who == "three" else None
'''


@pytest.fixture
def hello(tmp_path):
    file = tmp_path / "greetings.py"
    file.write_text(HELLO.format(name="SayHello"))
    return ["--plugin", str(file)]


def test_a_verb_of_a_file_runs_with_its_arguments(hello, capsys):
    assert main([*hello, "say-hello", "--who", "world"]) == 0
    assert capsys.readouterr().out == "hello world\n"
    assert main(["say-hello", *hello, "--who=three"]) == 3
    assert main(["say-hello", "--who", "nobody"]) == 2
    assert capsys.readouterr().err == "unitf: error: --who: found nobody, expected somebody\n"


def test_a_verb_explains_itself_and_is_listed(hello, capsys):
    assert main([*hello, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\n  say-hello +Greets somebody, in one line. \(greetings\)\n", shown)
    with pytest.raises(SystemExit) as stop:
        main([*hello, "say-hello", "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: unitf say-hello" in shown and "--who" in shown
    assert main([*hello, "say-helo"]) == 2
    assert "did you mean say-hello" in capsys.readouterr().err


def test_a_verb_of_unitf_stays_what_it_is(tmp_path, capsys):
    file = tmp_path / "takes_fit.py"
    file.write_text(HELLO.format(name="Models"))
    assert main(["--plugin", str(file), "models"]) == 0
    assert "hello" not in capsys.readouterr().out
    assert main(["--plugin", str(file), "plugins", "list"]) == 0
    assert "models: the name models is a verb of unitf itself" in capsys.readouterr().out


# ---- what is refused ---------------------------------------------------------------------


def test_a_hostile_class_path_is_refused_before_it_is_imported(run, tmp_path, site):
    (site / "hostile_file.py").write_text("raise SystemExit('this ran')\n")
    text = ANNOUNCE.format(name="Harmless")
    for number, settings in enumerate(
        [
            {"trainer": {"callbacks": [{"class_path": "hostile_file.Announce"}]}},
            {"trainer": {"logger": "hostile_file.Logger"}},
            {"model": {"optimizer": "hostile_file.SGD"}},
            {"model": {"schedule": {"class_path": "hostile_file.Halving"}}},
        ]
    ):
        status, _, error = run(f"harmless_{number}", text.replace("ss(", f"ss{number}("), settings)
        assert status == 2 and error.count("\n") == 0
        assert "found hostile_file." in error and error.endswith("loaded with --plugin FILE")
        assert "hostile_file" not in sys.modules


@pytest.mark.parametrize("path", ["{}.os.system", "{}.Path", "{}.json.JSONDecoder"])
def test_the_file_is_no_door_to_what_it_imports(run, path):
    name = f"doorway_{len(path)}"
    text = "import os\n" + ANNOUNCE.format(name=f"Doorkeeper{len(path)}")
    callbacks = [{"class_path": path.format(name)}]
    status, _, error = run(name, text, {"trainer": {"callbacks": callbacks}})
    assert status == 2 and error.count("\n") == 0, error


@pytest.mark.parametrize(
    ("settings", "place", "near"),
    [
        ({"trainer": {"callbacks": [{"class_path": "Murmurr"}]}}, "trainer.callbacks", "Murmur"),
        ({"trainer": {"logger": "CSVLoger"}}, "trainer.logger", "CSVLogger"),
        ({"model": {"optimizer": "AdamV"}}, "model.optimizer", "Adam"),
        ({"model": {"schedule": "StepRL"}}, "model.schedule", "StepLR"),
    ],
)
def test_a_misspelt_name_is_one_line_with_the_place_and_near_names(run, settings, place, near):
    text = ANNOUNCE.format(name="Murmur")
    status, _, error = run(f"murmurs_{place.replace('.', '_')}", text, settings)
    assert status == 2 and error.count("\n") == 0
    assert f"recipe.yaml: {place}" in error and near in error.partition("did you mean ")[2]


def test_a_name_that_torch_has_too_is_refused_with_both_paths(run):
    text = "import torch\n\n\nclass Rprop(torch.optim.Rprop): ...\n"
    status, _, error = run("two_rprops", text, {"model": {"optimizer": "Rprop"}})
    assert status == 2 and "torch.optim.Rprop" in error and "two_rprops.Rprop" in error


# ---- lazily registered -------------------------------------------------------------------

LAZY = """
import unitf


@unitf.hookimpl
def register_callbacks(register):
    register("lazy_heavy:Watcher")


@unitf.hookimpl
def register_optimizers(register):
    register("lazy_heavy:Momentum")


@unitf.hookimpl
def register_commands(register):
    register("lazy_verbs:Audit", name="audit", help="audits")
    register("lazy_verbs:Other", name="Not A Verb")
"""


def test_only_the_classes_that_a_recipe_names_are_imported(site, run, capsys):
    from broken import install

    heavy = "from lightning.pytorch import Callback\n\n\nclass Watcher(Callback): ...\n"
    verbs = HELLO.format(name="Audit")
    modules = {
        "lazy_everything": LAZY,
        "lazy_heavy": heavy,
        "lazy_verbs": verbs,
    }
    install(site, "lazy-everything", modules, "everything = lazy_everything")
    assert main(["plugins", "list"]) == 0
    shown = capsys.readouterr().out
    assert "lazy_heavy.Watcher" in shown
    assert "module lazy_heavy has no Momentum" in shown
    assert "expected a verb of lower-case letters and hyphens, found 'Not A Verb'" in shown
    assert main(["--help"]) == 0
    assert re.search(r"\n  audit +audits \(everything\)\n", capsys.readouterr().out)
    assert not {"lazy_heavy", "lazy_verbs"} & set(sys.modules)
    assert main(["audit", "--who", "me"]) == 0
    assert "lazy_heavy" not in sys.modules
    assert main(["plugins", "list"]) == 0
    settings = {"trainer": {"callbacks": [{"class_path": "Watcher"}], "max_epochs": 1}}
    assert run("names_watcher", "import unitf\n\n\nclass Silence(unitf.Command):\n"
               "    def run(self, args): ...\n", settings)[0] == 0  # fmt: skip
    assert "lazy_heavy" in sys.modules


def test_listing_imports_no_torch_and_no_class_even_of_a_package_that_is_heavy(site):
    from broken import install

    hook = "import unitf\n\n\n@unitf.hookimpl\ndef register_{0}(register):\n    register('{1}')\n"
    light = "".join(hook.format(kind, f"heavy_package.{kind}:Thing") for kind in KINDS)
    install(site, "light", {"light_package": light}, "light = light_package")
    (site / "heavy_package").mkdir()
    (site / "heavy_package" / "__init__.py").write_text("import torch\n")
    for kind in KINDS:
        (site / "heavy_package" / f"{kind}.py").write_text("import torch\nThing = 1\n")
    code = (
        "import sys\nfrom unitf.cli import main\n"
        "assert main(['plugins', 'list']) == 0 and main(['--help']) == 0\n"
        "found = [m for m in sys.modules if m.split('.')[0] in "
        "('torch', 'numpy', 'lightning', 'heavy_package')]\n"
        "assert not found, found\n"
        "own = ('unitf_text.', 'unitf_image.', 'unitf_audio.', 'unitf_video.', 'unitf_series.',"
        " 'unitf_table.')\n"
        "assert not [m for m in sys.modules if m.startswith(own)]\n"
    )
    environment = {"PYTHONPATH": ":".join([str(site), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        assert f"heavy_package.{kind}.Thing" in done.stdout


# ---- what is wrong with a file -------------------------------------------------------------

RATING = """
import unitf


class {name}(unitf.Task):
    def encode_target(self, sample): ...
    def outputs(self, columns, batch, tokenizers): ...
    def losses(self, output, batch, tokenizers): ...
    def metrics(self): ...
    def update_metrics(self, metrics, output, batch, tokenizers, sequences): ...
"""
WHOLE = RATING + "    def predict(self, output, batch, tokenizers): ...\n"
HOOK = "\n\n@unitf.hookimpl\ndef register_{kind}(register):\n    register({target})\n"


@pytest.mark.parametrize(
    ("module", "text", "message"),
    [
        ("lacks", RATING.format(name="Lacking"), "the task Lacking does not define predict"),
        ("lacks_beside", RATING.format(name="Lacks") + WHOLE.format(name="Has"),
         "the task Lacks does not define predict"),
        ("argues", "import unitf\n\n\n@unitf.hookimpl\ndef register_tasks(registry): ...\n",
         "register_tasks(registry): expected the argument register"),
        ("misplaced", WHOLE.format(name="Misplaced") + HOOK.format(kind="sources",
         target="Misplaced"), "register_sources: expected a subclass of unitf.Source, found the "
         "class misplaced.Misplaced, which register_tasks takes"),
        ("misspelt", WHOLE.format(name="Spelt") + HOOK.format(kind="tasks",
         target="'misspelt:Spellt'"), "module misspelt has no Spellt"),
    ],
)  # fmt: skip
def test_a_file_whose_class_cannot_be_used_is_refused_in_one_line(
    module, text, message, tmp_path, capsys
):
    plugin = tmp_path / f"{module}.py"
    plugin.write_text(text)
    assert main(["--plugin", str(plugin), "plugins", "list"]) == 2
    assert capsys.readouterr().err == f"unitf: error: --plugin {plugin}: {message}\n"


def test_a_base_class_of_a_file_is_no_broken_class(tmp_path):
    plugin = tmp_path / "with_base.py"
    leaf = "\n\nclass Leaf(Base):\n    def predict(self, output, batch, tokenizers): ...\n"
    plugin.write_text(RATING.format(name="Base") + leaf)
    registry.load_file(plugin)
    assert {"Leaf"} == {e.name for e in registry.records() if e.package == str(plugin)}


def test_a_class_that_the_hooks_of_its_file_leave_out_is_said(tmp_path):
    plugin = tmp_path / "leaves_out.py"
    text = WHOLE.format(name="Named") + WHOLE.format(name="LeftOut")
    plugin.write_text(text + HOOK.format(kind="tasks", target="Named"))
    registry.load_file(plugin)
    expected = f"{plugin} defines LeftOut, but its hooks do not register it"
    with pytest.raises(UserError, match=re.escape(expected)):
        registry.find("tasks", "LeftOut")


def test_the_command_to_copy_names_the_plugin_files(tmp_path, monkeypatch):
    used, plugin = registry.registry._registry(), tmp_path / "two words.py"
    monkeypatch.setattr(used, "files", [])
    assert registry.invocation() == "unitf"
    monkeypatch.setattr(used, "files", ["mine.py", str(plugin)])
    assert registry.invocation() == f"unitf --plugin mine.py --plugin '{plugin}'"
