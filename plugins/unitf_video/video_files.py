"""Reads clips of any kind as arrays T×C×H×W: uint8, or float32 where 1 is white."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image

from unitf import UserError

Frames = Shaped[np.ndarray, "_ _ _ _"]  # T×C×H×W
_EXPECTED = (
    "a path or the bytes of a video, a list of frames (files, PIL images, arrays), an array "
    "(T, H, W, C) or (T, H, W), a tensor (T, C, H, W)"
)


def read_clip(value: object, channels: int, count: int | None = None) -> Frames:
    """Returns the frames of a clip with the given number of channels.

    A white background replaces transparency; frames of 16-bit grey become float32 from 0 to 1.

    Args:
        count: the number of frames to take, evenly spaced over the clip; None: all.

    Raises:
        UserError: the value is no clip, has no pixels or NaN, or its frames differ in size.
    """
    if isinstance(value, np.ndarray):
        frames = _from_array(value)
    elif isinstance(value, torch.Tensor):
        frames = _from_tensor(value)
    elif isinstance(value, list | tuple):
        frames = _from_list([value[index] for index in spread(len(value), count)], channels)
    elif isinstance(value, str | os.PathLike | bytes | bytearray):
        frames = _from_video(value, count)
    else:
        raise UserError(f"expected {_EXPECTED}; found {type(value).__name__}")
    if frames.size == 0:
        raise UserError(f"a clip of {'×'.join(map(str, frames.shape))} has no pixels")
    frames = frames[spread(len(frames), count)]
    return _to_channels(frames, channels)


def spread(length: int, count: int | None) -> list[int]:
    """Returns `count` evenly spaced indices below `length`; some repeat if `length` is smaller."""
    if count is None or length == 0:
        return list(range(length))
    return [int((index + 0.5) * length / count) for index in range(count)]


def _to_channels(frames: Frames, channels: int) -> Frames:
    num_channels = frames.shape[1]
    if num_channels == channels:
        return frames
    if (num_channels, channels) == (1, 3):
        return np.repeat(frames, 3, axis=1)
    if num_channels == 4:  # the last channel is alpha
        white = 255 if frames.dtype == np.uint8 else 1
        alpha = frames[:, 3:].astype(np.float32) / white
        laid = _like(frames[:, :3] * alpha + white * (1 - alpha), frames)
        return _to_channels(laid, channels)
    if (num_channels, channels) == (3, 1):  # luma of ITU-R BT.601, as PIL's "L"
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        luma = np.einsum("c,tchw->thw", weights, frames.astype(np.float32))[:, None]
        return _like(luma, frames)
    raise UserError(
        f"a clip of {num_channels} channels, expected {channels} "
        "(an array is (T, H, W, C), a tensor (T, C, H, W))"
    )


def _like(numbers: Frames, frames: Frames) -> Frames:
    """`numbers` in the type of `frames`."""
    return np.rint(numbers).astype(np.uint8) if frames.dtype == np.uint8 else numbers


def _from_array(array: np.ndarray) -> Frames:
    if array.ndim not in (3, 4):
        raise UserError(f"an array of shape {array.shape}, expected (T, H, W, C) or (T, H, W)")
    frames = _checked(array)
    return frames[:, None] if frames.ndim == 3 else frames.transpose(0, 3, 1, 2)


def _from_tensor(tensor: torch.Tensor) -> Frames:
    if tensor.ndim != 4:
        raise UserError(f"a tensor of shape {tuple(tensor.shape)}, expected (T, C, H, W)")
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return _checked(tensor.detach().cpu().numpy())


def _checked(array: np.ndarray) -> np.ndarray:
    """Returns uint8 unchanged and floats as float32."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise UserError(f"a clip of {array.dtype}, expected uint8 or floats")
    with np.errstate(over="ignore"):
        frames = array.astype(np.float32)
    if not np.isfinite(frames).all():
        raise UserError("a clip with NaN or infinite numbers")
    return frames


def _from_list(values: Sequence[Any], channels: int) -> Frames:
    if not values:
        raise UserError("a clip of no frames")
    frames = [_to_channels(_frame(value), channels) for value in values]
    sizes = {frame.shape[2:] for frame in frames}
    if len(sizes) > 1:
        raise UserError(f"frames of {len(sizes)} different sizes: {sorted(sizes)[:2]}")
    if len({frame.dtype for frame in frames}) > 1:
        raise UserError("some frames have 8 bits and others do not, expected one type")
    return np.concatenate(frames)


def _frame(value: object) -> Frames:
    """Returns one frame as a clip."""
    if isinstance(value, np.ndarray):
        return _from_array(value[None])
    if isinstance(value, torch.Tensor):
        return _from_tensor(value[None, None] if value.ndim == 2 else value[None])
    if not isinstance(value, str | os.PathLike | bytes | bytearray | Image.Image):
        raise UserError(f"a frame of type {type(value).__name__}; expected {_EXPECTED}")
    try:
        if isinstance(value, Image.Image):
            pixels = _pixels(value)
        else:
            file: Any = BytesIO(value) if isinstance(value, bytes | bytearray) else value
            with Image.open(file) as opened:
                pixels = _pixels(opened)
    except Exception as error:  # PIL's readers raise whatever a broken file makes them raise
        words = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"a frame that is not a readable image: {words}") from None
    return _from_array(pixels[None])


def _pixels(image: Image.Image) -> np.ndarray:
    """Returns an image as (H, W) or (H, W, C)."""
    if image.mode.startswith("I"):  # 16-bit grey, which older versions of PIL widen to 32 bits
        return np.clip(np.asarray(image, dtype=np.float32) / 65535, 0, 1)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image if image.mode in ("L", "RGB", "F") else image.convert("RGB"))


def _from_video(value: Any, count: int | None) -> Frames:
    try:
        import av
    except ImportError:
        raise UserError("a video file needs the package av: pip install 'unitf[video]'") from None
    name = "bytes of a video" if isinstance(value, bytes | bytearray) else str(value)
    if not isinstance(value, bytes | bytearray) and not Path(value).is_file():
        raise UserError(f"{name}: no such file, expected a video")
    file: Any = BytesIO(value) if isinstance(value, bytes | bytearray) else str(value)
    try:
        opened: Any = av.open(file)
        with opened as container:
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise UserError(f"{name}: not a readable video: {error}") from None
    return _from_list([decoded[index] for index in spread(len(decoded), count)], 3)
