"""Recipes that are made of data: what is chosen, and how it is said."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from unitf import UserError
from unitf.cli.training_cli import ready
from unitf.recognition.recipe_maker import make_recipe
from unitf.recognition.recipe_text import as_yaml
from unitf.recognition.sizes import batch_samples, batch_tokens, core_size
from unitf.recognition.wishes import Wishes


def sentence(number: int) -> str:
    return " ".join(f"word{(number * k + k) % 23}" for k in range(1, 8)) + f" {number}"


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def tickets(path, count=200):
    queues = ["cards", "loans", "other"]
    rows = [{"text": sentence(n), "queue": queues[n % 3], "where": "shop"} for n in range(count)]
    return table(path, rows)


def class_of(entry) -> str:
    return entry["class_path"]


def test_a_table_of_texts_and_classes(tmp_path):
    made = make_recipe(tickets(tmp_path / "tickets.csv"), Wishes())
    model = made.recipe["model"]
    assert class_of(model["tokenizers"]["text"]) == "Words"
    assert class_of(model["tasks"]["queue"]) == "Classification"
    assert model["tasks"]["queue"]["init_args"]["inputs"] == ["text"]
    lines = "\n".join(made.lines)
    assert "--target: queue" in lines
    assert "column where: left out, it is always 'shop'" in lines
    assert "10 % of them for validation and 10 % for the test" in lines


def test_rows_without_a_target_and_their_numbers_are_left_out_which_is_said(tmp_path):
    rows = [{"id": f"P{n:04}", "n": n, "text": sentence(n), "tag": "ab"[n % 2]} for n in range(40)]
    made = make_recipe(
        table(tmp_path / "t.csv", [*rows, {**rows[0], "tag": "", "id": "P0040", "n": 99}]), Wishes()
    )
    assert made.recipe["data"]["on_error"] == "skip"
    assert "data.on_error: skip; 1 of 41 samples lack tag, and are left out" in made.lines
    assert "column id: left out, it numbers the rows, as 'P0000'" in made.lines
    assert "column n: left out, it numbers the rows, as '0'" in made.lines


def test_classes_at_the_end_of_a_file_are_seen(tmp_path):
    rows = [{"text": sentence(n), "queue": f"queue {n // 90}"} for n in range(900)]
    made = make_recipe(table(tmp_path / "sorted.csv", rows), Wishes())
    assert any("queue has 10 values" in line for line in made.lines)


@pytest.mark.parametrize("name", ["text", "words"])
def test_a_pretrained_model_brings_core_and_tokenizer(tmp_path, name):
    wishes = Wishes(pretrained="hf:bert", pretrained_tokenizers=(name,))
    made = make_recipe(tickets(tmp_path / "tickets.csv"), wishes)
    model = made.recipe["model"]
    assert model["pretrained"] == "hf:bert" and not model.keys() & {"core", "tokenizers"}
    inputs = model["tasks"]["queue"]["init_args"]["inputs"]
    assert inputs == (["text"] if name == "text" else {"text": "words"})
    assert made.recipe["data"]["batch_size"] == 16 and "tokens_per_batch" not in str(made.recipe)
    lines = "\n".join(made.lines)
    assert "core and tokenizers of hf:bert" in lines and "model.tokenizers.text" not in lines


def test_a_recipe_that_was_made_is_one_that_can_be_trained(tmp_path):
    made = make_recipe(tickets(tmp_path / "tickets.csv"), Wishes())
    file = tmp_path / "tickets.yaml"
    file.write_text(as_yaml(made.recipe))
    assert yaml.safe_load(file.read_text()) == made.recipe
    assert len(file.read_text().splitlines()) < 30
    ready("fit", ["--config", str(file), "--out", str(tmp_path / "run")])


def test_class_folders_of_images(tmp_path):
    for number in range(20):
        folder = tmp_path / "pets" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.full((12, 12), number * 10, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    recipe = make_recipe(tmp_path / "pets", Wishes()).recipe
    image = recipe["model"]["tokenizers"]["image"]
    assert class_of(image) == "ImagePatches"
    assert image["init_args"]["patch"] == 4 and image["init_args"]["channels"] == 1
    assert recipe["data"]["batch_size"] == 8  # all have as many tokens
    assert recipe["data"]["root"] == str(tmp_path)


def test_the_current_folder_is_read_as_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    tickets(tmp_path / "mine" / "train.csv")
    monkeypatch.chdir(tmp_path / "mine")
    by_name = make_recipe(Path("..", "mine"), Wishes()).recipe
    assert make_recipe(Path(), Wishes()).recipe == by_name


def test_class_folders_of_sounds(tmp_path):
    for number in range(12):
        folder = tmp_path / "words" / ("yes" if number % 2 else "no")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.wav", np.zeros(4_000 + 800 * number), 8_000)
    recipe = make_recipe(tmp_path / "words", Wishes()).recipe
    sound = recipe["model"]["tokenizers"]["audio"]
    assert class_of(sound) == "SpectrogramFrames"
    assert sound["init_args"]["spectrogram"]["init_args"]["sample_rate"] == 8_000
    assert recipe["data"]["tokens_per_batch"] >= 2 * 64  # sounds of several lengths


def test_a_number_is_regression(tmp_path):
    rows = [{"text": sentence(n), "price": f"{n * 1.37:.2f}"} for n in range(100)]
    recipe = make_recipe(table(tmp_path / "prices.csv", rows), Wishes(target="price")).recipe
    assert class_of(recipe["model"]["tasks"]["price"]) == "Regression"


def test_several_labels_between_separators(tmp_path):
    rows = [{"text": sentence(n), "tags": ["a;b", "b;c", ""][n % 3]} for n in range(60)]
    recipe = make_recipe(table(tmp_path / "tagged.csv", rows), Wishes()).recipe
    task = recipe["model"]["tasks"]["tags"]
    assert class_of(task) == "MultiLabelClassification"
    assert task["init_args"]["separator"] == ";" and task["init_args"]["empty_is_none"]
    assert "on_error" not in recipe["data"]


def test_a_target_of_texts_is_written_from_the_other_columns(tmp_path):
    """A translation, the answer to a question; of an image a caption."""
    rows = [{"de": sentence(n), "en": sentence(n + 7)} for n in range(60)]
    texts = table(tmp_path / "pairs.csv", rows)
    with pytest.raises(UserError, match=r"several columns could be what is predicted \(de, en\)"):
        make_recipe(texts, Wishes())
    for number in range(20):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    named = [{"image": f"{n}.png", "caption": sentence(n)} for n in range(20)]
    captions = table(tmp_path / "captions.csv", named)
    for path, target in ((texts, "en"), (captions, None)):
        made = make_recipe(path, Wishes(target=target))
        model, target = made.recipe["model"], target or "caption"
        assert model["core"]["kind"] == "encoder-decoder"
        assert class_of(model["tokenizers"][target]) == "Subwords"
        assert "position_embedding" not in model["tokenizers"][target]["init_args"]
        task = model["tasks"][target]
        assert class_of(task) == "SequenceToSequence"
        assert task["init_args"]["inputs"] == ["de" if target == "en" else "image"]
        file = tmp_path / f"{target}.yaml"
        file.write_text(as_yaml(made.recipe))
        ready("fit", ["--config", str(file), "--out", str(tmp_path / "run")])
        assert any(line.startswith(f"model.tokenizers.{target}: Subwords") for line in made.lines)
        assert not any("left out" in line for line in made.lines)


def test_texts_alone_are_written_on(tmp_path):
    text = "\n".join(sentence(n) for n in range(500))
    (tmp_path / "book.txt").write_text(text)
    model = make_recipe(tmp_path / "book.txt", Wishes()).recipe["model"]
    assert [class_of(task) for task in model["tasks"].values()] == ["NextToken"]
    assert class_of(model["tokenizers"]["text"]) == "Subwords"
    assert model["core"]["kind"] == "decoder"


def test_a_table_of_times_is_forecast(tmp_path):
    rows = [
        {"day": f"2020-{1 + n // 28:02d}-{1 + n % 28:02d}", "up": n, "down": 1 / (n + 1)}
        for n in range(336)
    ]
    table(tmp_path / "days.csv", rows)
    recipe = make_recipe(tmp_path / "days.csv", Wishes()).recipe
    task = recipe["model"]["tasks"]["future"]
    assert class_of(task) == "Forecast" and "horizon" not in task["init_args"]
    assert recipe["data"]["sources"]["days"]["init_args"]["future"] == 8  # in one place
    assert class_of(recipe["model"]["tokenizers"]["series"]) == "SeriesPatches"
    assert recipe["model"]["core"]["chunk"] == 8 and "num_patches" not in task["init_args"]
    file = tmp_path / "days.yaml"
    file.write_text(as_yaml(recipe))
    ready("fit", ["--config", str(file), "--out", str(tmp_path / "run")])
    wishes = Wishes(target="up")  # a column of the table itself
    assert class_of(make_recipe(tmp_path / "days.csv", wishes).recipe["model"]["tasks"]["up"])


def test_a_test_of_its_own(tmp_path):
    test = tickets(tmp_path / "else" / "later.csv", 30)
    wishes = Wishes(test=test)
    recipe = make_recipe(tickets(tmp_path / "tickets.csv"), wishes).recipe
    [source] = recipe["data"]["sources"].values()
    assert source["init_args"]["path"] == {"train": "tickets.csv", "test": str(test)}


@pytest.mark.parametrize(
    ("rows", "target", "message"),
    [
        (
            [{"text": sentence(n), "one": "ab"[n % 2], "two": "xyz"[n % 3]} for n in range(60)],
            None,
            "several columns could be what is predicted (one, two), expected --target COLUMN",
        ),
        (
            [{"text": sentence(n), "queue": "ab"[n % 2]} for n in range(60)],
            "que",
            "--target que: there is no such column; did you mean queue?",
        ),
        (
            [{"text": sentence(n), "title": f"t{n}"} for n in range(60)],
            "title",
            "--target title: no task learns it; 60 of 60 values are different",
        ),
    ],
    ids=["several", "misspelt", "all-different"],
)
def test_what_cannot_be_decided_is_refused_in_one_line(tmp_path, rows, target, message):
    with pytest.raises(UserError) as caught:
        make_recipe(table(tmp_path / "rows.csv", rows), Wishes(target=target))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_test_without_the_target_is_left_out_and_said(tmp_path):
    tickets(tmp_path / "tickets" / "train.csv")
    rows = [{"text": sentence(n)} for n in range(20)]
    table(tmp_path / "tickets" / "test.csv", rows)
    made = make_recipe(tmp_path / "tickets", Wishes())
    [source] = made.recipe["data"]["sources"].values()
    assert source["init_args"]["path"] == {"train": "tickets/train.csv"}
    assert any("test.csv is left out: it has no queue to measure by" in x for x in made.lines)


def test_what_no_source_reads_is_said_with_what_is_there(tmp_path):
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "one.xyz").write_text("?")
    with pytest.raises(UserError, match=r"no source reads it: found one\.xyz in it"):
        make_recipe(tmp_path / "things", Wishes())
    with pytest.raises(UserError, match="is not there, expected a file or a folder"):
        make_recipe(tmp_path / "nothing", Wishes())


def test_sizes_grow_with_the_data():
    counts = [10, 100, 1_000, 10_000, 100_000, 10_000_000]
    batches = [batch_samples(count) for count in counts]
    assert batches == sorted(batches) and batches[0] == 8 and batches[-1] == 128
    assert all(math.log2(batch).is_integer() for batch in batches)
    widths = [core_size(count, 30.0)["dim"] for count in counts]
    assert widths == sorted(widths) and widths[0] < widths[-1]


def test_a_batch_holds_the_longest_sample():
    assert batch_tokens(100, 10.0, 5_000) >= 5_000
