"""Reads images of any kind as arrays C×H×W: uint8, or float32 where 1 is white."""

import os
import stat
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image, ImageOps

from unitf import UserError
from unitf.data import check_cost
from unitf.tokenizer import is_reference_mode

Pixels = Shaped[np.ndarray, "_ _ _"]  # C×H×W

# PIL knows more formats, but some start other programs (EPS) and none is usual for images
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # where PIL finds EXIF
_ORIENTATION = 0x0112  # EXIF tag
_EXPECTED = (
    "a path, the bytes of a file, a PIL image, an array (H, W) or (H, W, C), a tensor (C, H, W)"
)
_WIDENED = ("PNG", "PPM", "JPEG2000")  # whose 16-bit grey some versions of PIL widen to 32 bits
_CONVERTED = {"1": "L", "P": "RGB", "LA": "RGBA", "La": "RGBA", "PA": "RGBA", "RGBa": "RGBA"}


def read_image(value: object, channels: int) -> Pixels:
    """Returns the pixels of an image with the given number of channels.

    The EXIF orientation of a file is applied. Of an animation the first frame is read. A white
    background replaces transparency. 16-bit grey becomes float32 from 0 to 1. Floats are not
    changed. Other whole numbers must be from 0 to 255, in a file as in an array.

    Raises:
        UserError: the value is no image, is truncated, has no pixels, or has NaN.
    """
    if isinstance(value, np.ndarray):
        pixels = _from_array(value)
    elif isinstance(value, torch.Tensor):
        pixels = _from_tensor(value)
    elif isinstance(value, Image.Image):
        pixels = _from_pil(value, "image")
    else:
        pixels = _from_file(value)
    if pixels.size == 0:
        raise UserError(f"an image of {_size(pixels)} has no pixels")
    return to_channels(pixels, channels)


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Converts between grey (1), grey and alpha (2), colour (3), and colour and alpha (4).

    Any other number of channels must already be the given one.
    """
    num_channels = pixels.shape[0]
    if num_channels == channels:
        return pixels
    if num_channels > 4 or channels not in (1, 3, 4):
        raise UserError(
            f"an image of {num_channels} channels, expected {channels} "
            "(an array is (H, W, C), a tensor (C, H, W))"
        )
    white = 255 if pixels.dtype == np.uint8 else 1.0
    if num_channels in (2, 4):  # alpha is the last channel; the background becomes white
        alpha = pixels[-1:].astype(np.float32) / white
        pixels = _like(pixels[:-1] * alpha + white * (1 - alpha), pixels)
    if channels == 1 and pixels.shape[0] == 3:  # luma of ITU-R BT.601, as PIL's "L"
        luma = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), pixels, axes=1)
        return _like(luma[None], pixels)
    if channels > 1 and pixels.shape[0] == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    if channels == 4:
        pixels = np.concatenate([pixels, np.full_like(pixels[:1], white)])
    return pixels


def _like(numbers: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Returns `numbers` in the type of `pixels`."""
    if pixels.dtype == np.uint8:
        return np.rint(numbers).astype(np.uint8)
    return numbers.astype(np.float32)


def _size(pixels: Pixels) -> str:
    return "×".join(map(str, pixels.shape[1:]))


# ---- files ---------------------------------------------------------------------------------


def _from_file(value: object) -> Pixels:
    if isinstance(value, dict) and {"bytes", "path"} & set(value):  # of the `datasets` library
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if isinstance(value, str | os.PathLike):
        name, content = str(value), _read_bytes(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        name, content = f"{len(value):,} bytes", bytes(value)
    else:
        raise UserError(f"expected {_EXPECTED}; found {type(value).__name__}")
    if not content:
        raise UserError(f"{name}: empty, expected an image")
    try:
        image = Image.open(BytesIO(content), formats=_formats())
        pixels = image.width * image.height
        check_cost(pixels, len(content), "image_pixels", "pixels_per_byte", f"{name}, pixels")
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        raise UserError(f"{name}: not an image, or of a format that is not read") from None
    except Exception as error:  # PIL's readers raise whatever a broken file makes them raise
        raise _unreadable(name, error) from None
    decoded = None if is_reference_mode() else _decode_jpeg(image, content)
    return _from_pil(image, name) if decoded is None else decoded


def _decode_jpeg(image: Image.Image, content: bytes) -> Pixels | None:
    """Decodes a JPEG with torchvision, which is faster than PIL and gives the same pixels.

    Returns None for a file that needs PIL: another kind, an orientation, or a fault to report.
    """
    if image.format != "JPEG" or image.mode not in ("L", "RGB"):
        return None
    from torchvision.io import decode_jpeg  # the import takes a second

    with suppress(Exception):  # a broken EXIF; a broken JPEG
        if not _ORIENTED & image.info.keys() or image.getexif().get(_ORIENTATION, 1) == 1:
            pixels: Any = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            return pixels.numpy()
    return None


def _read_bytes(path: str | os.PathLike) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (Path takes 20 µs)
            # opening a pipe would wait for ever
            raise UserError(f"{path}: not a file, expected an image")
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected an image") from None
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UserError(f"{str(path)!r}: cannot be read: {error}") from None


@cache
def _formats() -> tuple[str, ...]:
    """Returns those of the usual formats that this PIL supports."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _unreadable(name: str, error: Exception) -> UserError:
    words = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{name}: not a readable image: {words}")


def _from_pil(image: Image.Image, name: str) -> Pixels:
    try:
        image.load()
        if _ORIENTED & image.info.keys() or image.format == "TIFF":  # getexif takes 30 µs
            with suppress(Exception):  # a broken EXIF says nothing about the pixels
                image = ImageOps.exif_transpose(image)
        array = _pil_array(image)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except Exception as error:  # see _from_file
        raise _unreadable(name, error) from None
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pil_array(image: Image.Image) -> np.ndarray:
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in _WIDENED):
        numbers = np.asarray(image).astype(np.float32)
        return np.clip(numbers / 65535, 0, 1).astype(np.float32)
    if mode == "I":  # a TIFF of signed 16 bits or of 32 bits
        return _checked_numbers(np.asarray(image))
    if mode == "F":
        return _checked_floats(np.asarray(image, dtype=np.float32))
    if mode == "La":  # which PIL turns into LA alone
        image = image.convert("LA")
    if mode in ("1", "L", "P", "RGB") and "transparency" in image.info:
        mode, image = "RGBA", image.convert("RGBA")
    if mode not in ("L", "RGB", "RGBA"):
        image = image.convert(_CONVERTED.get(mode, "RGB"))
    return np.asarray(image)


# ---- arrays --------------------------------------------------------------------------------


def _from_tensor(tensor: torch.Tensor) -> Pixels:
    if tensor.ndim not in (2, 3):
        raise UserError(f"a tensor of shape {tuple(tensor.shape)}, expected (C, H, W)")
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    pixels = _checked_numbers(tensor.detach().cpu().numpy())
    return pixels[None] if pixels.ndim == 2 else pixels


def _from_array(array: np.ndarray) -> Pixels:
    if array.ndim not in (2, 3):
        raise UserError(f"an array of shape {array.shape}, expected (H, W) or (H, W, C)")
    pixels = _checked_numbers(array)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _checked_numbers(array: np.ndarray) -> np.ndarray:
    """Returns uint8 unchanged, floats as float32, booleans and other whole numbers converted."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        return _checked_floats(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return array.astype(np.float32) / 65535
    if array.dtype.kind in "iu":
        if array.size and (array.min() < 0 or array.max() > 255):
            raise UserError(
                f"an image of {array.dtype} from {array.min()} to {array.max()}, "
                "expected 0 to 255 (or uint16, or floats)"
            )
        return array.astype(np.uint8)
    raise UserError(f"an image of {array.dtype}, expected whole numbers or floats")


def _checked_floats(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        pixels = array.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise UserError("an image with NaN or infinite numbers")
    return pixels
