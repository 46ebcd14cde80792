"""Whatever holds an image becomes the same pixels, and what holds none is said in one line."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from unitf_image.image_files import read_image

from unitf.errors import UserError
from unitf.nn.reference_mode import reference_mode

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (10, 14, 3), dtype=np.uint8)
GREY = COLOUR[:, :, 0]


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png() -> bytes:
    return saved(Image.fromarray(COLOUR), "PNG")


def test_a_path_bytes_a_picture_an_array_and_a_tensor_are_the_same_pixels(tmp_path):
    (tmp_path / "image.png").write_bytes(png())
    for value in (
        tmp_path / "image.png",
        str(tmp_path / "image.png"),
        png(),
        bytearray(png()),
        {"bytes": png(), "path": None},
        {"bytes": None, "path": str(tmp_path / "image.png")},
        Image.fromarray(COLOUR),
        COLOUR,
        COLOUR.astype(np.int64),
        torch.from_numpy(COLOUR).permute(2, 0, 1),
    ):
        pixels = read_image(value, 3)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_lossless_files_give_their_pixels(format):
    content = saved(
        Image.fromarray(GREY), format, **({"lossless": True} if format == "WEBP" else {})
    )
    assert np.array_equal(read_image(content, 1), GREY[None])


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_gives_about_its_pixels(mode):
    image = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    pixels = read_image(saved(image.convert(mode), "JPEG", quality=95), 3)
    expected = np.asarray(image).transpose(2, 0, 1).astype(int)
    assert pixels.shape == (3, 32, 32)
    assert np.abs(pixels - expected).max() <= 8


@pytest.mark.parametrize("orientation", [None, 1, 3, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}]
)
def test_the_fast_decoder_gives_the_pixels_of_the_plain_one(mode, options, orientation):
    noise = RANDOM.integers(0, 256, (37, 51, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    content = saved(Image.fromarray(noise).convert(mode), "JPEG", exif=exif, **options)
    fast = read_image(content, 3)
    with reference_mode():
        assert np.array_equal(read_image(content, 3), fast)
    assert fast.shape == ((3, 51, 37) if orientation == 6 else (3, 37, 51))


def test_a_jpeg_that_is_cut_off_is_refused_by_both_decoders():
    content = saved(Image.fromarray(COLOUR).resize((640, 480)), "JPEG")[:-3000]
    for plain in (False, True):
        with reference_mode(plain), pytest.raises(UserError, match="not a readable image"):
            read_image(content, 3)


def test_16_bit_grey_keeps_its_precision():
    deep = RANDOM.integers(0, 65536, (6, 5), dtype=np.uint16)
    for value in (saved(Image.fromarray(deep), "PNG"), saved(Image.fromarray(deep), "TIFF"), deep):
        pixels = read_image(value, 1)
        assert pixels.dtype == np.float32
        assert np.allclose(pixels[0], deep / 65535, atol=1e-6)


def test_a_palette_becomes_its_colours():
    image = Image.fromarray(COLOUR).quantize(8)
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(read_image(saved(image, "PNG"), 3), expected)


def test_transparency_is_laid_on_white():
    image = np.zeros((4, 4, 4), np.uint8)  # black, and transparent but for one pixel
    image[1, 2, 3] = 255
    for value in (image, saved(Image.fromarray(image), "PNG")):
        for channels in (1, 3):
            pixels = read_image(value, channels)
            assert (pixels[:, 1, 2] == 0).all()
            assert pixels.sum() == channels * 15 * 255
    assert np.array_equal(read_image(image, 4), image.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "colour", "grey"), [("RGB", (10, 20, 30), (40, 50, 60)), ("L", 7, 99)]
)
def test_a_transparent_colour_is_laid_on_white(mode, colour, grey):
    image = Image.new(mode, (4, 4), colour)
    image.putpixel((1, 1), grey)
    pixels = read_image(saved(image, "PNG", transparency=colour), 3)
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 1, 1].tolist() == (list(grey) if mode == "RGB" else [grey] * 3)


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    image = Image.new("P", (2, 2), 0)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 1)
    pixels = read_image(saved(image, "PNG", transparency=0), 3)
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert (pixels.reshape(3, 4)[:, 1:] == 255).all()


def test_a_photograph_is_turned_as_its_exif_says():
    image, exif = Image.fromarray(COLOUR), Image.Exif()
    exif[0x0112] = 6  # the camera lay on its right side
    for format in ("PNG", "TIFF"):
        pixels = read_image(saved(image, format, exif=exif), 3)
        assert np.array_equal(pixels, np.rot90(COLOUR, -1).transpose(2, 0, 1))


def test_a_broken_exif_does_not_lose_the_image():
    content = saved(Image.fromarray(COLOUR), "PNG", exif=b"Exif\x00\x00no such thing")
    assert np.array_equal(read_image(content, 3), COLOUR.transpose(2, 0, 1))


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read_image(content, 1) == 10).all()


def test_grey_of_colour_is_that_of_pil():
    expected = np.asarray(Image.fromarray(COLOUR).convert("L")).astype(int)
    assert np.abs(read_image(COLOUR, 1)[0] - expected).max() <= 1
    assert np.array_equal(read_image(GREY, 3), np.stack([GREY] * 3))


def test_any_number_of_channels_is_kept_where_it_is_wanted():
    image = RANDOM.random((5, 6, 13), dtype=np.float32) * 20 - 10
    assert np.array_equal(read_image(image, 13), image.transpose(2, 0, 1))
    with pytest.raises(UserError, match="13 channels, expected 3"):
        read_image(image, 3)


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return (
        signature
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


BAD = {
    "no file": ("no/such.png", "no such file"),
    "a folder": (os.curdir, "not a file"),
    "a pipe": (os.devnull, "not a file"),
    "a name with NUL": ("a\0b", "cannot be read"),
    "no bytes": (b"", "empty"),
    "a text": (b"This is no image at all." * 9, "not an image"),
    "half a png": (png()[: len(png()) // 2], "not a readable image"),
    "half a jpeg": (saved(Image.fromarray(COLOUR), "JPEG")[:-60], "not a readable image"),
    "a header only": (png()[:40], "image"),
    "a bomb": (bomb(), "decompression bomb"),
    "a program for printers": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image",
    ),
    "no rows": (np.zeros((0, 5, 3), np.uint8), "no pixels"),
    "no columns": (torch.zeros(3, 5, 0), "no pixels"),
    "no channels": (np.zeros((5, 5, 0), np.uint8), "no pixels"),
    "a line": (np.zeros(5), "expected"),
    "a film": (np.zeros((2, 5, 5, 3)), "expected"),
    "NaN": (np.array([[0.5, np.nan]]), "NaN"),
    "infinity in a tensor": (torch.full((1, 2, 2), float("inf")), "NaN or infinite"),
    "too large for float32": (np.full((2, 2), 1e300), "NaN or infinite"),
    "whole numbers beyond 255": (np.array([[0, 300]]), "from 0 to 300, expected 0 to 255"),
    "negative numbers": (np.array([[-1, 3]]), "expected 0 to 255"),
    "complex numbers": (np.zeros((2, 2), complex), "complex128"),
    "words": (np.array([["a", "b"]]), "expected whole numbers or floats"),
    "nothing": (None, "found NoneType"),
    "a number": (3, "found int"),
    "a list": ([[1, 2], [3, 4]], "found list"),
    "an empty dictionary": ({}, "found dict"),
    "too many channels": (np.zeros((3, 8, 8), np.uint8), r"8 channels.*\(H, W, C\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_said_in_one_line(name):
    value, message = BAD[name]
    with pytest.raises(UserError, match=message) as caught:
        read_image(value, 3)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=200) | st.builds(lambda n, b: png()[:n] + b, st.integers(0, 60), st.binary())
)
def test_bytes_are_an_image_or_a_clear_error(content):
    try:
        pixels = read_image(content, 3)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert pixels.shape[0] == 3


@settings(deadline=None, max_examples=300)
@given(
    st.integers(0, len(png()) - 1),
    st.integers(0, 255),
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF"]),
)
def test_a_file_with_a_wrong_byte_is_an_image_or_a_clear_error(place, byte, format):
    content = bytearray(saved(Image.fromarray(COLOUR), format))
    content[place % len(content)] = byte
    try:
        pixels = read_image(bytes(content), 3)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert pixels.shape[0] == 3


@settings(deadline=None, max_examples=300)
@given(
    hnp.arrays(
        hnp.scalar_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.sampled_from([1, 2, 3, 4, 5]),
)
def test_any_array_is_an_image_or_a_clear_error(array, channels):
    try:
        pixels = read_image(array, channels)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert pixels.shape[0] == channels
        assert pixels.dtype in (np.uint8, np.float32)
        assert np.isfinite(pixels).all()


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_whole_numbers_of_a_tiff_are_read_like_those_of_an_array(tmp_path, kind):
    for low, high in ((0, 200), (-5, 200), (0, 70_000 if kind is np.int32 else 3_000)):
        array = np.linspace(low, high, 20).astype(kind).reshape(4, 5)
        save_tiff(array, tmp_path / "a.tif")
        if (low, high) == (0, 200):
            assert np.array_equal(read_image(str(tmp_path / "a.tif"), 1), read_image(array, 1))
        else:
            for value in (array, str(tmp_path / "a.tif")):
                with pytest.raises(UserError, match=f"from {low} to {high}, expected 0 to 255"):
                    read_image(value, 1)


def save_tiff(array, path):
    """Writes signed grey, which PIL alone writes in 32 bits."""
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    rows, columns = array.shape
    tags = [
        (256, 4, columns), (257, 4, rows), (258, 3, 8 * array.itemsize), (259, 3, 1), (262, 3, 1),
        (273, 4, 8 + 2 + 10 * 12 + 4), (277, 3, 1), (278, 4, rows), (279, 4, len(data)),
        (339, 3, 2),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    path.write_bytes(head + data)
