"""Recognises the videos of a column, and proposes how they become tubelets."""

import logging
import mimetypes
import os
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from unitf import Column, Proposal

_log: logging.Logger = logging.getLogger(__name__)
_LOOKED_AT = 8  # videos
_SIDE = 64  # pixels to which frames are brought
_FRAMES = 8  # of a clip


def propose_tubelets(column: Column) -> Proposal | None:
    """Returns how VideoTubelets encodes the videos of a column; None: they are no videos.

    Without the library that reads videos, a line says that they seem to be some.
    """
    if find_spec("av") is None:
        if all(_is_named_video(value) for value in column.values):
            line = "column %s: %s and others seem to be videos: pip install 'unitf[video]'"
            _log.warning(line, column.name, column.values[0])
        return None
    chosen = column.values[:: max(1, len(column.values) // _LOOKED_AT)][:_LOOKED_AT]
    sizes = [_size(value) for value in chosen]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return None
    side = min(_SIDE, *(min(size) for size in known))
    patch = 16 if side >= _SIDE else 8
    side = max(patch, side // patch * patch)
    settings = {"num_frames": _FRAMES, "tubelet": 2, "size": side, "patch": patch}
    reason = (
        f"videos of {'×'.join(map(str, known[0]))} pixels; {_FRAMES} frames of each are read, of "
        f"{side}×{side} pixels"
    )
    return Proposal(settings, 0.9, reason, _RECIPE)


_RECIPE = {
    "model.core.drop_path": 0.05,
    "model.optimizer.init_args.weight_decay": 0.05,
    "trainer.max_epochs": 40,
}


def _size(value: object) -> tuple[int, int] | None:
    """Returns rows and columns of a video, by its path or bytes; None: it is none.

    A picture is none, although the library reads it as a video of one frame.
    """
    if not isinstance(value, str | os.PathLike | bytes):
        return None
    if not isinstance(value, bytes) and not _is_file(value):
        return None
    import av

    file: Any = BytesIO(value) if isinstance(value, bytes) else str(value)
    try:
        with av.open(file) as container:
            name = container.format.name
            if not container.streams.video or "pipe" in name or name in ("image2", "gif"):
                return None
            stream = container.streams.video[0]
            size = (stream.height, stream.width)
            return size if min(size) > 0 and stream.duration != 1 else None
    except (av.FFmpegError, ValueError, OSError):
        return None


def _is_named_video(value: object) -> bool:
    """Returns whether a value is a path whose ending is that of videos."""
    kind = mimetypes.guess_type(value)[0] if isinstance(value, str | os.PathLike) else None
    return (kind or "").startswith("video/")


def _is_file(value: str | os.PathLike[str]) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # a text that is no name of a file
        return False
