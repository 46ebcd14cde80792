"""The training verbs on the command line: a run's folder, going on, predicting, messages."""

import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from unitf.cli import main
from unitf.cli.inputs import read_inputs
from unitf.cli.predict import _show

TOYS = Path(__file__).parents[1] / "toys.py"


def error_of(argv: list[str], capsys) -> str:
    assert main(argv) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_run_keeps_everything_in_its_folder(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fit", "--config", str(recipe), "--out", str(out)]) == 0
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {
        "config.yaml", "metrics.csv", "metrics.json", "versions.json", "curves.png",
        "confusion_speed.png", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "report.html",
    } <= names  # fmt: skip
    figures = json.loads((out / "metrics.json").read_text())["results"]
    assert set(figures["test"]["speed"]) == {"all", "waves", "beats", "waves+beats"}
    shown = capsys.readouterr().out
    # the resolved configuration is itself a recipe
    again = ["--config", str(out / "config.yaml"), "--ckpt_path", str(out)]
    assert main(["test", *again]) == 0
    # what is shown can be pasted; `tmp_path` is the folder of the recipe's runs
    (pasted,) = [line for line in shown.splitlines() if "unitf predict" in line]
    words = shlex.split(pasted[pasted.index("unitf predict") :], comments=True)
    assert words == ["unitf", "predict", "--checkpoint", str(out)]
    assert main(["predict", "--checkpoint", str(tmp_path)]) == 0
    assert f"--checkpoint {tmp_path}: {out}" in capsys.readouterr().err
    lines = (out / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 96
    right = [json.loads(line)["label"] in ("fast", "slow") for line in lines]
    assert all(right)
    table = ["--out", str(tmp_path / "p.csv")]
    assert main(["predict", "--checkpoint", str(out), *table]) == 2
    assert "predictions.jsonl is written into a folder" in capsys.readouterr().err


def test_predict_reads_tables_and_says_json(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    main(["fit", "--config", str(recipe), "--out", str(out)])
    table = tmp_path / "in.jsonl"
    table.write_text("\n".join(json.dumps({"waves": [0.5] * n}) for n in (8, 12)))
    capsys.readouterr()
    assert main(["predict", "--checkpoint", str(out), "--input", str(table), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert [p["label"] in ("fast", "slow") for p in predictions] == [True, True]
    assert main(["predict", "--checkpoint", str(out), "--input", str(table)]) == 0
    assert predictions[0]["label"] in capsys.readouterr().out


def test_predict_shows_brackets_as_they_are(capsys):
    sure = {"probability": 0.9, "probabilities": {"[neg]": 0.9, "[/pos]": 0.1}}
    sample = {"text": "[/b] a [bold]loud[/bold] :smile:"}
    _show([{"sample": sample, "label": "[neg]", "task": "[red]", **sure}], several_tasks=True)
    shown = " ".join(capsys.readouterr().out.split())
    for part in (*sample.values(), "[neg]", "[red]", "([/pos] 0.100)"):
        assert part in shown


def test_predict_reads_lines_that_end_at_their_line_end_only(tmp_path):
    (tmp_path / "lines.txt").write_bytes("one\u2028still\r\n\ntwo\x0cstill\rtoo\x85\n".encode())
    samples = read_inputs([f"text=@{tmp_path / 'lines.txt'}"], ["text"])
    expected = ["one\u2028still", "", "two\x0cstill\rtoo\x85"]
    assert [sample["text"] for sample in samples] == expected
    (tmp_path / "table.csv").write_text("text,sound\nNA,\n,a.wav\n")
    table = read_inputs([str(tmp_path / "table.csv")], ["text", "sound"])
    assert table == [{"text": "NA"}, {"sound": "a.wav"}]


def test_a_misspelt_class_lists_what_is_installed(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("waves: Waves", "waves: Wavs"))
    line = error_of(["fit", "--config", str(recipe)], capsys)
    assert "Wavs" in line
    assert "Waves" in line


def test_a_misspelt_argument_is_named(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("depth: 1", "dept: 1"))
    line = error_of(["fit", "--config", str(recipe)], capsys)
    assert "dept" in line


def test_malformed_yaml_says_where(recipe, capsys):
    recipe.write_text(recipe.read_text().replace("sources:", "sources: ["))
    line = error_of(["fit", "--config", str(recipe)], capsys)
    assert "toy.yaml" in line
    assert "line" in line


def test_a_duplicate_key_is_an_error(recipe, capsys):
    recipe.write_text(recipe.read_text() + "data:\n  batch_size: 3\n")
    line = error_of(["fit", "--config", str(recipe)], capsys)
    assert "data" in line
    assert "twice" in line


def test_a_missing_recipe_is_named(capsys):
    assert "nowhere.yaml" in error_of(["fit", "--config", "nowhere.yaml"], capsys)


def test_a_foreign_class_is_not_imported(recipe, tmp_path, capsys):
    recipe.write_text(recipe.read_text().replace("waves: Waves", "waves: this.Waves"))
    line = error_of(["fit", "--config", str(recipe)], capsys)
    assert "this" in line
    assert "this" not in sys.modules


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_a_model_that_has_learned_nothing_is_not_measured(recipe, tmp_path, capsys, verb):
    line = error_of([verb, "--config", str(recipe), "--out", str(tmp_path / "run")], capsys)
    assert "--checkpoint" in line


def test_resume_without_a_run_says_what_is_missing(tmp_path, capsys):
    line = error_of(["fit", "--resume", str(tmp_path)], capsys)
    assert "config.yaml is not there" in line


def steps_of(run) -> list[int]:
    """The steps of which `metrics.csv` has a training loss."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows if row["train/loss_step"]]


def test_resume_keeps_the_figures_of_what_went_before(recipe, tmp_path):
    out = tmp_path / "run"
    begin = ["fit", "--config", str(recipe), "--trainer.log_every_n_steps", "1"]
    assert main([*begin, "--out", str(out), "--test_after_fit", "false"]) == 0
    before = steps_of(out)
    with (out / "metrics.csv").open("a") as file:  # written after the last checkpoint
        file.write(f"0,{before[-1] + 9},0.5,0.5\n")
    more = ["--trainer.max_epochs", "5", "--trainer.max_steps", str(before[-1] + 3)]
    assert main(["fit", "--resume", str(out), *more]) == 0
    after = steps_of(out)
    assert after[: len(before)] == before
    assert after == sorted(set(after)) and len(after) == len(before) + 2
    assert before[-1] + 9 not in after


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_and_resume_goes_on(recipe, tmp_path, number):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "unitf", "--plugin", str(TOYS), "fit"]
    begin = [*command, "--config", str(recipe), "--out", str(out), "--trainer.max_epochs", "2000"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        begin, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        while not (out / "checkpoints" / "last.ckpt").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.2)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    [line] = told.splitlines()  # what it was told, and nothing of Lightning's
    assert f" fit --resume {out}" in line
    go_on = [*command, "--resume", str(out), "--trainer.max_steps", "1"]
    assert subprocess.run(go_on, capture_output=True, timeout=120).returncode == 0


def test_the_configuration_lies_in_the_folder_of_the_run_whatever_logs_first(recipe, tmp_path):
    out, tensorboard = tmp_path / "run", tmp_path / "tensorboard"
    logger = {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(tensorboard)},
    }
    begin = ["fit", "--config", str(recipe), "--test_after_fit", "false"]
    assert main([*begin, "--out", str(out), "--trainer.logger", json.dumps(logger)]) == 0
    assert list(tensorboard.rglob("events*"))
    assert (out / "config.yaml").is_file()
    assert main(["fit", "--resume", str(out), "--trainer.max_epochs", "3"]) == 0
    assert "max_epochs: 3" in (out / "config.yaml").read_text()


def test_predicting_nothing_is_an_error_of_one_line(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    quick = ["--trainer.max_steps", "1", "--test_after_fit", "false"]
    assert main(["fit", "--config", str(recipe), "--out", str(out), *quick]) == 0
    capsys.readouterr()
    predict = ["predict", "--config", str(recipe), "--out", str(out), "--ckpt_path", str(out)]
    line = error_of([*predict, "--trainer.limit_predict_batches", "0"], capsys)
    assert "found no predictions" in line
    (tmp_path / "train.jsonl").write_text('{"waves": [1, 2, 3, 4], "speed": "slow"}\n' * 3)
    only_training = f"class_path: Table, init_args: {{path: {tmp_path / 'train.jsonl'}}}"
    recipe.write_text(recipe.read_text().replace("class_path: Swings", only_training))
    line = error_of(predict, capsys)
    assert "found no test or validation samples in toy" in line


COMMAND = [sys.executable, "-m", "unitf", "--plugin", str(TOYS)]
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


@pytest.mark.slow
def test_two_processes_predict_what_one_does(recipe, tmp_path):
    recipe.write_text(recipe.read_text().replace("batch_size: 16", "batch_size: 7"))
    out = tmp_path / "run"
    assert (
        main(["fit", "--config", str(recipe), "--out", str(out), "--trainer.max_steps", "1"]) == 0
    )
    written = []
    for folder, processes in (("one", []), ("two", TWO)):
        predict = ["predict", "--config", str(recipe), "--out", str(tmp_path / folder)]
        told = subprocess.run(
            [*COMMAND, *predict, "--ckpt_path", str(out), *processes],
            check=True,
            capture_output=True,
            timeout=120,
            text=True,
        ).stdout
        assert told.count(" predictions: ") == 1
        lines = (tmp_path / folder / "predictions.jsonl").read_text().splitlines()
        written.append([json.loads(line) for line in lines])
    one, two = written
    assert [line["sample"] for line in one] == [f"toy/test[{number}]" for number in range(96)]
    assert [line["sample"] for line in two] == [line["sample"] for line in one]
    assert [line["label"] for line in two] == [line["label"] for line in one]


@pytest.mark.slow
def test_processes_that_torchrun_starts_share_the_folder_of_the_first(recipe, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in ("0", "1"):
        environment = {
            **os.environ, "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "toy",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        processes.append(
            subprocess.Popen(
                [*COMMAND, "fit", "--config", str(recipe), "--trainer.max_steps", "2", *TWO],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        time.sleep(1.1)  # else both may name the same second
    try:
        told = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], told
    (out,) = (tmp_path / "runs" / "toy").iterdir()
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"config.yaml", "metrics.json", "checkpoints/best.ckpt"} <= names
    assert "test" in json.loads((out / "metrics.json").read_text())["results"]
    assert f"--checkpoint {out.relative_to(tmp_path)}" in told[0]


@pytest.mark.slow
@pytest.mark.parametrize("at_fault", [0, 1])
def test_the_processes_of_a_run_end_together_with_a_line_of_what_was_wrong(at_fault, tmp_path):
    lines = [f'{{"waves": [1, 2, 3, 4], "speed": "{speed}"}}\n' for speed in ("slow", "fast")] * 4
    (tmp_path / "train.jsonl").write_text("".join(lines))
    # the first sample comes to the first process, the second to the second
    lines[at_fault] = lines[at_fault].replace("[1, 2, 3, 4]", '"none"')
    (tmp_path / "validation.jsonl").write_text("".join(lines))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model:\n"
        "  core: {dim: 16, depth: 1, num_heads: 2}\n"
        "  tokenizers: {waves: {class_path: Waves}}\n"
        "  tasks:\n"
        "    speed: {class_path: Classification, init_args: {inputs: [waves], target: speed}}\n"
        "data:\n"
        "  batch_size: 4\n"
        "  sources:\n"
        f"    toy: {{class_path: Table, init_args: {{path: {{train: {tmp_path}/train.jsonl, "
        f"validation: {tmp_path}/validation.jsonl}}}}}}\n"
        "trainer: {accelerator: cpu, max_epochs: 1, num_sanity_val_steps: 0}\n"
    )
    fit = ["fit", "--config", str(recipe), "--out", str(tmp_path / "run")]
    ended = subprocess.run([*COMMAND, *fit, *TWO], capture_output=True, timeout=120, text=True)
    # Lightning kills the first process where another ended before it noticed
    assert ended.returncode == 2 or (at_fault and ended.returncode == -signal.SIGKILL)
    errors = [line for line in ended.stderr.splitlines() if line.startswith("unitf: error:")]
    assert any(f"validation.jsonl, line {at_fault + 1}:" in line for line in errors), ended.stderr
    assert "in _call_and_handle_interrupt" not in ended.stderr  # Lightning's traceback


def test_a_run_is_not_trained_over_another(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    quick = ["--trainer.max_steps", "1", "--test_after_fit", "false"]
    begin = ["fit", "--config", str(recipe), "--out", str(out), *quick]
    assert main(begin) == 0
    before = (out / "checkpoints" / "best.ckpt").read_bytes()
    capsys.readouterr()
    assert f" fit --resume {out}" in error_of(begin, capsys)
    assert (out / "checkpoints" / "best.ckpt").read_bytes() == before


def test_figures_of_the_test_are_those_of_the_model_that_was_tested(recipe, tmp_path):
    out = tmp_path / "run"
    assert main(["fit", "--config", str(recipe), "--out", str(out)]) == 0
    assert "test" in json.loads((out / "metrics.json").read_text())["results"]
    go_on = ["fit", "--resume", str(out), "--trainer.max_epochs", "9", "--test_after_fit", "false"]
    assert main(go_on) == 0
    assert set(json.loads((out / "metrics.json").read_text())["results"]) == {"validation"}


def test_a_run_needs_neither_a_progress_bar_nor_checkpoints(recipe, tmp_path, capsys):
    out = tmp_path / "run"
    begin = ["fit", "--config", str(recipe), "--out", str(out), "--trainer.max_steps", "2"]
    assert main([*begin, "--trainer.enable_progress_bar", "false"]) == 0
    assert "samples/s" not in capsys.readouterr().out
    begin[4] = str(tmp_path / "other")
    assert main([*begin, "--trainer.enable_checkpointing", "false"]) == 0
    assert (tmp_path / "other" / "metrics.json").is_file()
    assert not (tmp_path / "other" / "checkpoints").exists()


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_a_precision_that_positions_would_suffer_from_is_refused(recipe, precision, capsys):
    line = error_of(["fit", "--config", str(recipe), "--trainer.precision", precision], capsys)
    assert "expected 32-true, 16-mixed or bf16-mixed" in line and precision in line


def test_a_schedule_with_rates_of_its_own_is_refused_beside_factors(recipe, tmp_path, capsys):
    schedule = {"class_path": "torch.optim.lr_scheduler.OneCycleLR"}
    schedule["init_args"] = {"max_lr": 0.01, "total_steps": 100}
    begin = ["fit", "--config", str(recipe), "--model.schedule", json.dumps(schedule)]
    begin += ["--trainer.max_steps", "1", "--test_after_fit", "false"]
    line = error_of([*begin, "--model.layer_decay", "0.5", "--out", str(tmp_path / "a")], capsys)
    assert "OneCycleLR sets rates of its own" in line
    out = tmp_path / "b"
    assert main([*begin, "--trainer.max_steps", "3", "--out", str(out)]) == 0
    [state] = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["lr_schedulers"]
    assert state["last_epoch"] == 3  # steps


def test_a_recipe_names_an_optimizer_of_timm_and_goes_on_with_it(recipe, tmp_path):
    out = tmp_path / "run"
    muon = json.dumps({"class_path": "timm.optim.Muon", "init_args": {"lr": 0.002}})
    begin = ["fit", "--config", str(recipe), "--out", str(out), "--model.optimizer", muon]
    assert main([*begin, "--trainer.max_steps", "2"]) == 0
    assert main(["fit", "--resume", str(out), "--trainer.max_steps", "4"]) == 0
    saved = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    [optimizer] = saved["optimizer_states"]
    states = optimizer["state"].values()
    assert {state["use_muon"] for state in states} == {True, False}
    for state in states:
        assert ("momentum_buffer" in state) == state["use_muon"]
        assert state["use_muon"] or int(state["step"]) == 4


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("os.system", "found os.system, expected a class of unitf, of a plugin, or of torch.optim"),
        ("my_own.Optimizer", "model.optimizer: found my_own.Optimizer, expected a class of unitf"),
        ("torch.optim.AdamV", "torch.optim has no AdamV; did you mean Adam"),
        ("timm.optim.Muoon", "model.optimizer: timm.optim has no Muoon; did you mean Muon"),
    ],
)
@pytest.mark.parametrize("as_class_path", [False, True])
def test_an_optimizer_that_cannot_be_had_is_one_short_line(
    recipe, capsys, optimizer, message, as_class_path
):
    value = json.dumps({"class_path": optimizer}) if as_class_path else optimizer
    line = error_of(["fit", "--config", str(recipe), "--model.optimizer", value], capsys)
    assert message in line and len(line) < 200


def test_a_signal_after_the_last_step_is_no_clean_end(recipe, tmp_path, capsys, monkeypatch):
    from unitf.training.learner import Learner

    step = Learner.validation_step

    def signalled(self, *arguments, **options):
        if not self.trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments, **options)

    monkeypatch.setattr(Learner, "validation_step", signalled)
    out = tmp_path / "run"
    begin = ["fit", "--config", str(recipe), "--out", str(out), "--trainer.max_epochs", "1"]
    begin += ["--trainer.limit_val_batches", "1"]
    assert main(begin) == 128 + signal.SIGTERM
    assert f" fit --resume {out}" in capsys.readouterr().err
    assert "test" not in json.loads((out / "metrics.json").read_text())["results"]
    monkeypatch.setattr(Learner, "validation_step", step)
    assert main(["fit", "--resume", str(out)]) == 0
    assert "test" in json.loads((out / "metrics.json").read_text())["results"]
