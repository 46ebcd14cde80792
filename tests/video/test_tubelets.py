"""VideoTubelets: clips of every kind become tubelets, and come back."""

import subprocess
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from unitf_video import VideoTubelets
from unitf_video.scaling import Scaling
from unitf_video.tubelets import to_rows
from unitf_video.video_files import read_clip, spread

from unitf import Column, UserError
from unitf.recognition.recipe_maker import make_recipe
from unitf.recognition.wishes import Wishes
from unitf.testing import CHECKS, check_tokenizer
from unitf.tokenizer.token_embedding import Prefix

CLIP = np.random.default_rng(1).integers(0, 256, (5, 9, 13, 3), dtype=np.uint8)
SIZED = [np.random.default_rng(2).integers(0, 256, (4, 16, 24, 3), dtype=np.uint8)]
FIXED = {"num_frames": 4, "size": (16, 24)}


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (VideoTubelets.examples(), {}),
        (VideoTubelets.examples(), {"channels": 1, "tubelet": 1, "prefix": Prefix(2)}),
        (SIZED, {"position_embedding": "flat", **FIXED}),
        (SIZED, {"position_embedding": "learned", **FIXED, "mean": 0.4, "std": [0.2, 0.3, 0.4]}),
        (SIZED, {"position_embedding": "cubic", **FIXED}),
    ],
)
def test_it_keeps_to_the_contract(monkeypatch, values, options):
    # the check that starts an interpreter has nothing to say of options
    kept = {n: c for n, c in CHECKS.items() if not options or "spawned" not in n}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    check_tokenizer(VideoTubelets, values, patch=8, **options)


def test_tubelets_are_what_a_convolution_sees():
    clip = torch.randn(4, 3, 6, 8)
    convolution = torch.nn.Conv3d(3, 5, (2, 3, 4), stride=(2, 3, 4))
    expected = convolution(clip.transpose(0, 1)[None])[0].flatten(1).mT
    rows, grid = to_rows(clip.numpy(), (2, 3, 4))
    assert grid == (2, 2, 2)
    weight = convolution.weight.flatten(1)
    found = torch.from_numpy(rows) @ weight.mT + convolution.bias
    torch.testing.assert_close(found, expected)


def test_a_clip_that_does_not_fill_its_tubelets_is_continued():
    tokenizer = VideoTubelets(48, patch=8, tubelet=2)
    tokenizer.fit([CLIP])
    features = tokenizer.encode(CLIP)
    assert features.positions.max(1).values.tolist() == [2, 1, 1]
    back = tokenizer.decode(features)
    assert back.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(back[:5, :9, :13], CLIP)
    np.testing.assert_array_equal(back[5], back[4])  # the last frame, once more
    mean = CLIP[::2].reshape(-1, 3).mean(0)
    assert np.abs(back[:, 9:].astype(float) - mean).max() < 1


def test_frames_are_taken_evenly():
    assert spread(8, 4) == [1, 3, 5, 7]
    assert spread(2, 4) == [0, 0, 1, 1]
    clip = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    assert read_clip(clip, 1, 4)[:, 0, 0, 0].tolist() == [1, 3, 5, 7]
    assert read_clip(list(clip), 1, 4)[:, 0, 0, 0].tolist() == [1, 3, 5, 7]


def test_a_clip_is_the_same_however_it_is_held(tmp_path):
    expected = CLIP.transpose(0, 3, 1, 2)
    files = []
    for number, frame in enumerate(CLIP):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(frame).save(files[-1])
    for value in (
        torch.from_numpy(expected.copy()),
        list(CLIP),
        list(torch.from_numpy(expected.copy())),
        [Image.fromarray(frame) for frame in CLIP],
        files,
        [file.read_bytes() for file in files],
    ):
        np.testing.assert_array_equal(read_clip(value, 3), expected)


def test_grey_frames_are_the_same_however_they_are_held():
    clip = CLIP[..., 0]
    for value in (
        list(clip),
        [torch.from_numpy(frame) for frame in clip],
        [torch.from_numpy(frame)[None] for frame in clip],
        [Image.fromarray(frame) for frame in clip],
        [as_file(Image.fromarray(frame)) for frame in clip],
    ):
        np.testing.assert_array_equal(read_clip(value, 1), clip[:, None])
    halves = [torch.full((4, 6), 0.5, dtype=torch.bfloat16)] * 2
    np.testing.assert_array_equal(read_clip(halves, 1), np.full((2, 1, 4, 6), 0.5, np.float32))


def as_file(image: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def test_grey_of_16_bits_keeps_its_shades():
    image = Image.fromarray(np.full((4, 6), 20_000, np.uint16))
    for frame in (image, as_file(image), image.convert("I"), image.convert("F").point(to_white)):
        for channels in (1, 3):
            np.testing.assert_allclose(read_clip([frame], channels), 20_000 / 65_535, rtol=1e-5)


def to_white(shade: Any) -> Any:
    return shade * (1 / 65_535)


def test_transparency_is_laid_on_white():
    clear, half = Image.new("RGBA", (6, 4), (10, 20, 30, 0)), Image.new("LA", (6, 4), (55, 51))
    for frame in (clear, as_file(clear), np.asarray(clear)):
        assert (read_clip([frame], 3) == 255).all() and (read_clip([frame], 1) == 255).all()
    assert (read_clip(np.asarray(clear)[None], 3) == 255).all()
    assert (read_clip(np.asarray(clear)[None] / 255, 3) == 1).all()
    assert (read_clip([half, as_file(half)], 1) == 255 - 40).all()
    for mode, colour in (("L", 7), ("RGB", (1, 2, 3)), ("P", 0)):  # one colour is transparent
        keyed = as_file(Image.new(mode, (6, 4), colour), transparency=colour)
        opaque = Image.new("RGB", (6, 4))
        found = read_clip([keyed, opaque], 3)
        assert (found[0] == 255).all() and not found[1].any()


def write_video(path, frames):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)  # loses nothing
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def test_a_video_file_is_decoded(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "clip.mkv"
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 16, 3), dtype=np.uint8)
    write_video(path, frames)
    for value in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(read_clip(value, 3), frames.transpose(0, 3, 1, 2))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="not a readable video"):
        read_clip(path, 3)
    with pytest.raises(UserError, match="no such file"):
        read_clip(tmp_path / "none.mp4", 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 4, 4, 2), np.uint8), "2 channels, expected 3"),
        (np.zeros((0, 4, 4, 3), np.uint8), "has no pixels"),
        (np.zeros((4, 4), np.uint8), "an array of shape"),
        (np.zeros((2, 4, 4, 3), np.int64), "expected uint8 or floats"),
        (np.full((2, 4, 4, 3), np.nan), "NaN"),
        (torch.zeros(3, 4, 4), "a tensor of shape"),
        ([], "no frames"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], "different sizes"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32)], "expected one type"),
        ([b"no image"], "not a readable image"),
        (3, "found int"),
    ],
)
def test_what_is_no_clip_is_told(value, message):
    with pytest.raises(UserError, match=message):
        VideoTubelets(48, patch=8).encode(value)


def test_settings_that_do_not_fit_are_refused():
    for options, message in (
        ({"patch": 0}, "patch: expected"),
        ({"tubelet": 0}, "tubelet: expected"),
        ({"channels": 2}, "channels: expected 1 or 3"),
        ({"size": 16, "scaling": Scaling([8, 20])}, "needs a size within"),
        ({"mean": [0.1, 0.2]}, "mean: expected one number or 3, found 2"),
        ({"std": 0.0}, "std: expected numbers above 0, found 0.0"),
        ({"std": [0.1, 0.2, -1.0]}, "std: expected numbers above 0"),
    ):
        with pytest.raises(UserError, match=message):
            VideoTubelets(48, **options)
    with pytest.raises(UserError, match="need num_frames and size"):
        VideoTubelets(48, position_embedding="flat").build()
    with pytest.raises(UserError, match="expected rows and columns"):
        Scaling([8])


def test_mean_and_deviation_may_be_tuples():
    both = (0.4, 0.5, 0.6)
    tokenizer = VideoTubelets(48, patch=8, mean=both, std=both)
    np.testing.assert_allclose(tokenizer.decode(tokenizer.encode(SIZED[0])), SIZED[0])


def test_a_grey_clip_4_pixels_wide_is_drawn_whole():
    tokenizer = VideoTubelets(48, patch=4, channels=1)
    clip = np.random.default_rng(0).integers(0, 256, (2, 8, 4), dtype=np.uint8)
    np.testing.assert_array_equal(tokenizer.canvas(tokenizer.encode(clip)).pixels, clip[0])


def test_frames_cover_a_size_and_their_centre_is_kept():
    tall = np.random.default_rng(0).integers(0, 256, (2, 1, 30, 16), dtype=np.uint8)
    same = Scaling([16, 16])(tall, (16, 16))
    np.testing.assert_array_equal(same, tall[:, :, 7:23])
    assert Scaling([20, 24])(tall, (10, 24)).shape == (2, 1, 10, 24)
    assert Scaling([20, 24], keep_aspect=False)(tall, (20, 24)).shape == (2, 1, 20, 24)


def test_importing_it_imports_no_torch():
    code = "import unitf_video, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_class_folders_of_videos_are_recognised(tmp_path):
    pytest.importorskip("av")
    for number in range(6):
        file = tmp_path / "moves" / ("left" if number % 2 else "right") / f"{number}.mkv"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_video(file, [np.full((32, 48, 3), 40 * number, np.uint8)] * 5)
    recipe = make_recipe(tmp_path / "moves", Wishes()).recipe
    [(name, tokenizer)] = recipe["model"]["tokenizers"].items()
    assert (name, tokenizer["class_path"]) == ("video", "VideoTubelets")
    assert tokenizer["init_args"] == {"num_frames": 8, "tubelet": 2, "size": 32, "patch": 8}
    picture = tmp_path / "one.png"
    Image.fromarray(CLIP[0]).save(picture)
    assert VideoTubelets.recognise(Column("picture", [str(picture)], 1)) is None


def test_without_the_library_a_line_says_that_videos_are_left_out(monkeypatch, caplog):
    monkeypatch.setattr("unitf_video.recognised_clips.find_spec", lambda name: None)
    assert VideoTubelets.recognise(Column("clip", ["a.mp4", "b.mov"], 2)) is None
    assert "column clip: a.mp4 and others seem to be videos: pip install 'uni" in caplog.text
    caplog.clear()
    assert VideoTubelets.recognise(Column("text", ["a film", "b.mp4"], 2)) is None
    assert not caplog.text
