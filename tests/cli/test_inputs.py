"""What the words of `--input` mean: texts stay texts, and what is no text may be files."""

from functools import partial

import pytest
from unitf_image import ImagePatches
from unitf_text import Bytes

from unitf import Learner, TransformerConfig, UserError
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
