"""Pictures of attention: which are drawn, and what is in them."""

import numpy as np
import pytest
import torch
from attended_models import PICTURE, WRITERS, reader, writer
from PIL import Image

from unitf.analysis.attention import attend
from unitf.analysis.attention.drawing import Choice, draw, weights_between
from unitf.analysis.attention.drawing import reader as read_by
from unitf.analysis.attention.panels import overlay
from unitf.analysis.attention.token_groups import TokenGroup
from unitf.features import Features
from unitf.tokenizer.canvas import Canvas, plain_canvas


@pytest.mark.parametrize("choice", [Choice(), Choice(True, True), Choice(rollout=True)])
def test_a_sample_of_words_and_a_picture_has_both_and_what_they_make_of_each_other(
    tmp_path, choice
):
    attended = attend(reader(), {"text": "abc", "picture": PICTURE})
    files = draw(tmp_path, attended, choice)
    assert [file.name for file in files] == [
        "text.png",
        "text_pairs.png",
        "picture.png",
        "modalities.png",
    ]
    for file in files:
        with Image.open(file) as picture:
            assert picture.width > 100


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_aligns_words_with_words_and_with_a_picture(tmp_path, name):
    attended = attend(writer(name), {"text": "abc", "picture": PICTURE, "target": "de"})
    files = [file.name for file in draw(tmp_path, attended, Choice())]
    assert files[:2] == ["alignment.png", "picture.png"]
    assert all(file.startswith("modalities") for file in files[2:])


def test_a_panel_is_the_mean_of_what_is_not_told_apart():
    (looks,) = attend(reader(), {"text": "abc"}, layers=[0, 1], heads=[1]).maps
    rows = looks.rows.numpy()
    ((title, mean),) = Choice().views(looks)
    assert title == "mean of layers and heads"
    np.testing.assert_allclose(mean, rows.mean((0, 1)), rtol=1e-6)
    views = Choice(layers=True).views(looks)
    assert [batch.title for batch in views] == ["layer 0", "layer 1"]
    np.testing.assert_allclose(views[1].rows, rows[1].mean(0), rtol=1e-6)
    ((title, mean),) = Choice(heads=True).views(looks)
    assert title == "head 1"
    np.testing.assert_allclose(mean, rows[:, 0].mean(0), rtol=1e-6)
    views = Choice(layers=True, heads=True).views(looks)
    assert [batch.title for batch in views] == ["layer 0, head 1", "layer 1, head 1"]
    np.testing.assert_array_equal(views[1].rows, rows[1, 0])
    ((_, rolled),) = Choice(rollout=True).views(looks)
    np.testing.assert_array_equal(rolled, looks.rollout.numpy())


def test_a_sequence_reads_by_its_class_token_its_last_token_or_all():
    learned = [TokenGroup("text", [1, 2], ["a", "b"]), TokenGroup("learned", [0], [""])]
    words = [TokenGroup("text", [0, 1, 2], ["a", "b", "c"])]
    full = np.full((3, 3), 1 / 3) + np.eye(3) / 10
    causal = np.tril(full)
    np.testing.assert_array_equal(read_by(full, learned), full[0])
    np.testing.assert_array_equal(read_by(causal, words), causal[2])
    np.testing.assert_array_equal(read_by(causal, learned), causal[2])  # a start sees only itself
    np.testing.assert_array_equal(read_by(full, words), full.mean(0))


def test_the_table_says_which_share_of_a_modality_goes_to_each():
    sides = [TokenGroup("one", [0, 2], ["", ""]), TokenGroup("other", [1], [""])]
    rows = np.array([[0.5, 0.5, 0], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1]])
    np.testing.assert_allclose(weights_between(rows, sides, sides), [[0.35, 0.65], [0.4, 0.6]])


def test_the_most_is_warm_and_the_least_is_seen_through():
    boxes = np.array([[0, 0, 2, 1], [2, 0, 4, 1], [0, 1, 4, 3]], np.float32)
    canvas = Canvas(np.zeros((3, 4), np.uint8), boxes)
    heat = overlay(canvas, np.array([0.1, 0.3, 0.2]))[..., 3]
    np.testing.assert_allclose(heat[0], [0, 0, 0.85, 0.85], atol=1e-6)
    np.testing.assert_allclose(heat[1:], 0.425, atol=1e-6)


def test_numbers_of_any_modality_can_be_drawn_and_ids_cannot():
    numbers = torch.arange(6.0).view(3, 2)  # F = 3, N = 2
    line = plain_canvas(Features(numbers))
    assert line.pixels[:, 0].tolist() == sorted(line.pixels[:, 0], reverse=True)
    assert line.boxes.tolist() == [[0, 0, 1, 3], [1, 0, 2, 3]]
    grid = plain_canvas(Features(numbers, torch.tensor([[5.0, 7.5], [1.0, 0.0]])))
    assert grid.pixels.shape == (2, 2)
    assert grid.boxes.tolist() == [[1, 0, 2, 1], [0, 1, 1, 2]]
    assert plain_canvas(Features(torch.arange(3))) is None
    assert plain_canvas(Features(torch.zeros(3, 0))) is None
