"""Makes a small moving picture of a clip, for a page."""

import io

import numpy as np
from PIL import Image

from unitf.tokenizer import Media
from unitf_video.video_files import Frames

_FRAMES, _SIDE = 16, 160  # at most so many frames, and pixels of the longest side
_SECONDS = 2.0  # of one round


def shown_video(frames: Frames) -> Media:
    """Returns frames, evenly spaced, as a GIF that moves on and on; of floats 1 is white."""
    chosen = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
    images = [_as_image(frames[index]) for index in chosen]
    buffer = io.BytesIO()
    duration = round(1000 * _SECONDS / len(images))
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0
    )
    return Media(buffer.getvalue(), "image/gif")


def _as_image(frame: np.ndarray) -> Image.Image:
    if frame.dtype != np.uint8:
        frame = (np.clip(frame, 0, 1) * 255).round().astype(np.uint8)
    pixels = frame[0] if len(frame) == 1 else frame.transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((_SIDE, _SIDE))
    return image
