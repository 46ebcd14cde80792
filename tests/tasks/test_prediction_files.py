"""What a prediction leaves as files: pictures with boxes, masks, images, sounds, clips, series."""

import csv
import io

import numpy as np
import soundfile
from PIL import Image
from unitf_audio import WaveformFrames
from unitf_image import ImagePatches
from unitf_series import Forecast, SeriesPatches
from unitf_text import Bytes
from unitf_video import VideoTubelets

from unitf.tasks import Detection, TokenClassification

GREY = np.full((16, 16, 3), 100, np.uint8)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_objects_are_drawn_into_the_picture_that_the_model_reads():
    tokenizers = {"image": ImagePatches(8, size=16, patch=4, mean=0.5, std=0.5)}
    task = Detection(["image"], "objects", num_objects=2, classes=["cat", "dog"])
    found = [{"label": "dog", "probability": 0.9, "box": [0.5, 0.5, 1.0, 1.0]}]
    files = task.prediction_files({"objects": found}, {"image": GREY}, tokenizers)
    ending, data = files["picture"]
    pixels = np.asarray(opened(data))
    assert ending == ".png" and pixels.shape == (256, 256, 3)
    assert tuple(pixels[255, 200]) == (255, 127, 14)  # the edge of the box, in the second colour
    assert tuple(pixels[60, 60]) == (100, 100, 100)
    assert not task.prediction_files({"objects": []}, {"image": None}, tokenizers)


def test_the_classes_of_patches_are_a_mask_and_those_of_words_are_none():
    tokenizers = {"image": ImagePatches(8, size=16, patch=8, mean=0.5, std=0.5), "text": Bytes(8)}
    tokens = [{"token": n, "label": label} for n, label in enumerate(["a", "b", "b", "c"])]
    task = TokenClassification(["image"], "mask", ["a", "b", "c"])
    _, data = task.prediction_files({"tokens": tokens}, {"image": GREY}, tokenizers)["mask"]
    image = opened(data)
    numbers = np.asarray(image)
    assert image.mode == "P" and numbers.shape == (16, 16)
    assert [int(numbers[row, column]) for row in (0, 15) for column in (0, 15)] == [0, 1, 1, 2]
    task = TokenClassification(["text"], "tags", ["a", "b", "c"])
    assert not task.prediction_files({"tokens": tokens}, {"text": "four"}, tokenizers)


def test_decoded_values_are_files_that_others_read():
    ending, data = ImagePatches(8, patch=4).to_file(GREY)
    assert ending == ".png" and np.array_equal(np.asarray(opened(data)), GREY)
    wave = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    ending, data = WaveformFrames(8, sample_rate=8000).to_file((wave, 8000))
    read, rate = soundfile.read(io.BytesIO(data))
    assert (ending, rate) == (".wav", 8000) and np.allclose(read, wave, atol=1e-4)
    ending, data = VideoTubelets(8).to_file(np.stack([GREY, GREY // 2, GREY]))
    clip = opened(data)
    assert ending == ".gif" and getattr(clip, "n_frames", 1) == 3
    assert Bytes(8).to_file("word") == (".txt", b"word")
    assert Bytes(8).to_file(3) is None


def test_a_forecast_is_a_table():
    task = Forecast(["series"], "next", horizon=2, num_patches=4)
    prediction = {"forecast": [[1.0, 2.0], [3.0, 4.5]]}
    files = task.prediction_files(prediction, {}, {"series": SeriesPatches(8, patch=4)})
    ending, data = files["forecast"]
    rows = list(csv.reader(io.StringIO(data.decode()), delimiter="\t"))
    assert ending == ".tsv"
    assert rows == [["channel_0", "channel_1"], ["1", "2"], ["3", "4.5"]]
