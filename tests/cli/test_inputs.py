"""What the words of `--input` mean: texts stay texts, and what is no text may be files."""

import contextlib
import csv
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unitf_image import ImagePatches
from unitf_text import Bytes

from unitf import Learner, TransformerConfig, UserError
from unitf.cli import generate, main, predict
from unitf.cli.checkpoint_option import resolve_run, with_checkpoint
from unitf.cli.inputs import read_inputs, texts_of
from unitf.tasks import Classification, SequenceToSequence


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a.png", ".hidden"):
        (tmp_path / name).touch()
    return tmp_path


def test_columns_that_are_read_as_ids_are_texts():
    learner = Learner(
        TransformerConfig(dim=8, depth=1, num_heads=1),
        {"words": partial(Bytes, max_tokens=8), "image": ImagePatches},
        {"label": Classification({"title": "words", "image": "image"}, "label", [0, 1])},
    )
    assert texts_of(learner) == {"title"}


def test_a_folder_is_its_files_where_a_column_is_no_text(photos):
    files = [{"image": str(photos / name)} for name in ("a.png", "b.png")]
    assert read_inputs([f"image={photos}"], ["image", "text"], texts={"text"}) == files
    assert read_inputs([str(photos)], ["image"]) == files
    told = read_inputs([f"text={photos}"], ["image", "text"], texts={"text"})
    assert told == [{"text": str(photos)}]
    with pytest.raises(UserError, match="expected COLUMN=VALUE with a column of text"):
        read_inputs([str(photos)], ["text"], texts={"text"})


def test_nothing_is_no_name_of_the_current_folder(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert read_inputs(["image="], ["image"]) == [{"image": ""}]
    with pytest.raises(UserError, match="expected COLUMN=VALUE"):
        read_inputs([""], ["image"])


def test_the_lines_of_a_file_are_texts(photos):
    (photos / "lines.txt").write_text("one\n.\n")
    told = read_inputs([f"text=@{photos / 'lines.txt'}"], ["text"], texts={"text"})
    assert told == [{"text": "one"}, {"text": "."}]


def test_a_text_that_begins_with_an_at_sign_is_text(photos, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    read = partial(read_inputs, columns=["text"], texts={"text"})
    assert read(["text=@someone hello"]) == [{"text": "@someone hello"}]
    (photos / "lines.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    lines = [{"text": "one"}, {"text": "two"}]
    assert read(["text=@file:lines.txt"]) == lines
    assert not capsys.readouterr().err
    assert read(["text=@lines.txt"]) == lines
    assert "@file:lines.txt says so" in capsys.readouterr().err
    (photos / "lines.txt").write_text("one\ntwo\n", encoding="utf-16")
    assert read(["text=@file:lines.txt"]) == lines
    with pytest.raises(UserError, match="No such file"):
        read(["text=@file:other.txt"])


def test_a_folder_with_class_folders_is_the_files_in_these(tmp_path):
    for name in ("cat/0.png", "dog/0.png", ".git/0.png", "cat/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = [{"image": str(tmp_path / name)} for name in ("cat/0.png", "dog/0.png")]
    assert read_inputs([f"image={tmp_path}"], ["image"]) == files


def test_files_that_a_table_names_lie_beside_it(photos):
    (photos / "list.csv").write_text("image,text\na.png,b.png\nnone.png,2024\n")
    assert read_inputs([str(photos / "list.csv")], ["image", "text"], texts={"text"}) == [
        {"image": str(photos / "a.png"), "text": "b.png"},
        {"image": "none.png", "text": "2024"},
    ]


@pytest.fixture
def model(monkeypatch):
    learner = Learner(
        TransformerConfig(dim=8, depth=1, num_heads=1),
        {"image": partial(ImagePatches, size=8, mean=0.5, std=0.5)},
        {"label": Classification(["image"], "label", ["cat", "dog"])},
    )
    learner.build_components()
    monkeypatch.setattr("unitf.loading.load", lambda path: learner)


def test_one_file_that_cannot_be_read_costs_no_other_prediction(model, tmp_path, capsys):
    for number in range(4):
        image = np.full((8, 8, 3), 50 * number, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"")
    command = ["--checkpoint", "o", "--input", f"image={tmp_path}", "--json"]
    for batch_size in ("1", "64"):
        assert predict.main([*command, "--batch-size", batch_size]) == 1
        out, err = capsys.readouterr()
        names = [Path(line["sample"]["image"]).name for line in json.loads(out)]
        assert names == ["0.png", "1.png", "3.png"]
        assert err.count("left out:") == 1 and "2.png: empty, expected an image" in err
    (tmp_path / "2.png").unlink()
    assert predict.main(command) == 0
    for number in (0, 1, 3):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"0\.png: empty, expected an image \(and 2 more\)"):
        predict.main(command)


@pytest.fixture
def class_folders(tmp_path):
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "cow/0.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "pets" / name)
    return tmp_path / "pets"


def test_class_folders_say_how_many_are_right(model, class_folders, capsys):
    assert predict.main(["--checkpoint", "o", "--input", str(class_folders), "--json"]) == 0
    out, err = capsys.readouterr()
    labels = {Path(line["sample"]["image"]).parent.name: line["label"] for line in json.loads(out)}
    right = {"cat": 2, "dog": 1}[labels["cat"]]  # all images are the same
    expected = f"unitf: {right} of 3 are right ({right / 3:.3f}), by the names of their folders"
    assert err.strip() == f"{expected}; 1 lie in folders of no class"
    # a file alone, or a folder without class folders, says nothing
    for word in (f"image={class_folders / 'cat' / '0.png'}", str(class_folders / "cat")):
        assert predict.main(["--checkpoint", "o", "--input", word, "--json"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_predictions_are_written_as_a_table(model, class_folders, tmp_path, capsys, ending):
    file = tmp_path / "new" / f"out.{ending}"
    command = ["--checkpoint", "o", "--input", str(class_folders), "--out", str(file)]
    assert predict.main(command) == 0
    assert capsys.readouterr().out == f"4 predictions: {file}\n"
    if ending == "csv":
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        assert {row["label"] for row in rows} <= {"cat", "dog"}
        assert {*json.loads(rows[0]["probabilities"])} == {"cat", "dog"}
        assert [Path(row["image"]).parent.name for row in rows] == ["cat", "cat", "cow", "dog"]
    else:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert [Path(row["sample"]["image"]).name for row in rows] == ["0.png", "1.png"] + 2 * [
            "0.png"
        ]


def test_a_table_of_another_kind_is_refused_before_the_work(tmp_path):
    with pytest.raises(UserError, match=r"--out o\.txt: expected a file that ends with \.csv or"):
        predict.main(["--checkpoint", "o", "--input", "x", "--out", "o.txt"])


def test_the_help_of_predict_is_its_own(capsys):
    for verb, words in {"predict": "--input", "test": "--config", "validate": "--out"}.items():
        with contextlib.suppress(SystemExit):
            assert main([verb, "--help"]) == 0
        text = capsys.readouterr().out
        assert "--checkpoint RUN" in text and words in text
        assert "--trainer" not in text and len(text.splitlines()) < 50


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for time, name in enumerate(("pets/a", "pets/b", "birds/c", "pets/empty")):
        folder = tmp_path / "runs" / name / "checkpoints"
        folder.mkdir(parents=True)
        if "empty" not in name:
            (folder / "last.ckpt").touch()
            os.utime(folder / "last.ckpt", (time, time + 1))
    return tmp_path / "runs"


def test_a_run_is_found_by_the_words_that_a_person_has(runs, capsys):
    assert resolve_run("latest") == "runs/birds/c"
    assert resolve_run("runs/pets") == resolve_run("pets") == "runs/pets/b"
    assert "unitf: --checkpoint pets: runs/pets/b\n" in capsys.readouterr().err
    for word in ("runs/pets/a", "runs/pets/a/checkpoints", "a.ckpt", "runs/pets/empty", "hf:x/y"):
        assert resolve_run(word) == word
    assert capsys.readouterr().err == ""
    (runs / "birds/c/checkpoints/last.ckpt").unlink()
    assert resolve_run("latest") == "runs/pets/b"


def test_no_run_at_all_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--checkpoint latest: found no run with a checkpoint in"):
        predict.main(["--checkpoint", "latest", "--input", "x"])


def test_verbs_that_measure_take_the_recipe_of_the_run(runs):
    (runs / "pets/a/config.yaml").touch()
    options = ["--config", "runs/pets/a/config.yaml", "--ckpt_path", "runs/pets/a"]
    assert with_checkpoint("test", ["--checkpoint", "runs/pets/a"]) == options
    words = ["--checkpoint=runs/pets/a", "--config", "other.yaml"]
    assert with_checkpoint("test", words) == ["--config", "other.yaml", *options[2:]]
    assert with_checkpoint("test", ["--config", "x"]) == ["--config", "x"]
    with pytest.raises(UserError, match=r"test --checkpoint runs/pets/b: found no runs/pets/b/con"):
        with_checkpoint("test", ["--checkpoint", "runs/pets/b"])
    with pytest.raises(UserError, match="fit --checkpoint: expected --resume RUN"):
        with_checkpoint("fit", ["--checkpoint", "runs/pets/a"])


def test_what_a_text_begins_with_may_be_a_number():
    parsed = generate.parser().parse_args(["--checkpoint", "o", "--begin", "7", "--stop", "2024"])
    settings = generate.read_settings(parsed)
    assert (settings.begin, settings.stop) == ("7", ["2024"])
    words = ["--checkpoint", "o", "--begin-ids", "7", "8", "--stop-ids", "9"]
    settings = generate.read_settings(generate.parser().parse_args(words))
    assert (settings.begin, settings.stop) == ([7, 8], [9])


@pytest.fixture
def answers(monkeypatch):
    """A model that answers pictures, writes them, finds objects in them and masks them."""
    image = partial(ImagePatches, size=16, mean=0.5, std=0.5, channels=3)
    core = TransformerConfig(dim=8, depth=1, num_heads=1, kind="encoder-decoder")
    learner = Learner(
        core,
        {"image": image, "text": partial(Bytes, max_tokens=8)},
        {
            "caption": SequenceToSequence(["image"], "text", "text"),
            "drawn": SequenceToSequence(["text"], "image", "image"),
        },
    )
    learner.build_components()
    monkeypatch.setattr("unitf.loading.load", lambda path: learner)


def test_a_folder_gets_what_is_written_as_files(answers, tmp_path, capsys):
    names = ["cat/0.png", "dog/0.png"]
    for name in names:
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(tmp_path / name)
    inputs = [f"image={tmp_path / name}" for name in names]
    out = tmp_path / "out"
    command = ["--checkpoint", "o", "--input", *inputs, "--out", f"{out}/"]
    assert predict.main(command) == 0
    assert capsys.readouterr().out == f"2 predictions, 2 files: {out}/\n"
    assert sorted(file.name for file in out.iterdir()) == [
        "0_caption.txt",
        "0_caption_2.txt",
        "predictions.csv",
    ]
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text_file"] for row in rows] == ["0_caption.txt", "0_caption_2.txt"]
    assert rows[0]["text"] == (out / "0_caption.txt").read_bytes().decode()
    with pytest.raises(UserError, match=r"found predictions\.csv there, expected a folder without"):
        predict.main(command)
    (out / "predictions.csv").unlink()
    with pytest.raises(UserError, match=r"found 0_caption\.txt there, expected a folder without"):
        predict.main(command)
    assert not (out / "predictions.csv").exists()
    drawn = ["--checkpoint", "o", "--input", "text=seven", "--out", str(tmp_path / "d") + "/"]
    assert predict.main(drawn) == 0
    with Image.open(tmp_path / "d" / "000001_drawn.png") as image:
        assert image.mode == "RGB"
