"""What the words of `--input` mean: texts stay texts, and what is no text may be files."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from unitf_image import ImagePatches
from unitf_text import Bytes

from unitf import Learner, TransformerConfig, UserError
from unitf.cli import generate, predict
from unitf.cli.inputs import read_inputs, texts_of
from unitf.tasks import Classification


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


def test_what_a_text_begins_with_may_be_a_number():
    parsed = generate.parser().parse_args(["--checkpoint", "o", "--begin", "7", "--stop", "2024"])
    settings = generate.read_settings(parsed)
    assert (settings.begin, settings.stop) == ("7", ["2024"])
    words = ["--checkpoint", "o", "--begin-ids", "7", "8", "--stop-ids", "9"]
    settings = generate.read_settings(generate.parser().parse_args(words))
    assert (settings.begin, settings.stop) == ([7, 8], [9])
