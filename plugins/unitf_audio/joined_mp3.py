"""Finds the second half of a joined MP3, which decoders leave out."""

import io
import logging
from functools import lru_cache

_log = logging.getLogger(__name__)
_HAS_SIZE = 2  # flag of the header "Xing" (or "Info"): the size of the sound follows


def warn_of_joined(file: io.BufferedIOBase, location: str) -> None:
    """Logs a warning if another MP3 follows the one that a file begins with.

    The header of an MP3 says where it ends. If two files are written one after the other, decoders
    read the first alone. The position in the file stays what it was.
    """
    position = file.tell()
    rest = _bytes_after_end(file)
    file.seek(position)
    if rest:
        _say(location, rest)


@lru_cache(1000)
def _say(location: str, rest: int) -> None:
    """Says it once for each file."""
    text = "%s: another MP3 of %s bytes follows in this file, and is lost; only the first is read"
    _log.warning(text, location, f"{rest:,}")


def _bytes_after_end(file: io.BufferedIOBase) -> int:
    """Returns the size of the MP3 that follows the first one; 0: there is none."""
    first = _after_tag(file, 0)
    file.seek(first)
    frame = file.read(256)
    if len(frame) < 4 or not _is_frame(frame):
        return 0
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or not int.from_bytes(frame[at + 4 : at + 8], "big") & _HAS_SIZE:
        return 0
    has_frames = frame[at + 7] & 1
    start = at + 8 + 4 * has_frames
    end = first + int.from_bytes(frame[start : start + 4], "big")
    size = file.seek(0, io.SEEK_END)
    file.seek(end)
    if file.read(3) == b"TAG":  # ID3v1, 128 bytes at the end of a file
        end += 128
    second = _after_tag(file, end)
    file.seek(second)
    return size - second if _is_frame(file.read(4)) else 0


def _is_frame(start: bytes) -> bool:
    """Returns whether bytes are the start of a frame of layer III."""
    return len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2


def _after_tag(file: io.BufferedIOBase, start: int) -> int:
    """Returns the position after an ID3v2 tag that begins at `start`, or `start`."""
    file.seek(start)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return start
    size = 0
    for byte in head[6:10]:  # seven bits of each
        size = size << 7 | byte & 0x7F
    return start + 10 + size
