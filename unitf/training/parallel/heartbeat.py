"""Heartbeat: what a process of a run says of itself, so that one that hangs can be named."""

import os
import socket
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

# in which a process waits for the others: a sum, or the backward pass of a model in processes
_WAITING = ("/torch/distributed/", "/torch/autograd/graph.py")
_LIBRARIES = ("/torch/", "/lightning/", "/lightning_utilities/")
_STANDARD = sysconfig.get_paths()["stdlib"]
_COMPILING = ("/torch/_dynamo/convert_frame.py", "/torch/_inductor/")


@dataclass(frozen=True)
class Heartbeat:
    """What a process says of itself.

    Args:
        beats: a number that grows while the process does anything.
        batch: the training batches that it has begun.
        phase: how far it is in the batch; a process that waits for others is further than they.
        host: the name of its machine.
        pid: its number there.
        stands: where its main thread stands, as "file:line function".
        waits: whether it waits for other processes.
    """

    beats: int
    batch: int
    phase: int
    host: str
    pid: int
    stands: str = "an unknown line"
    waits: bool = False


def heartbeat(main_thread: int, beats: int, batch: int, phase: int) -> Heartbeat:
    """Returns what this process says of itself.

    Args:
        main_thread: the thread that trains.
        beats: a number that has grown if the process has done anything.
        batch: the training batches that it has begun.
        phase: how far it is in the batch.
    """
    frame = sys._current_frames().get(main_thread)
    host, pid = socket.gethostname(), os.getpid()
    return Heartbeat(beats, batch, phase, host, pid, _stands(frame), _waits(frame))


def compiles(main_thread: int) -> bool:
    """Returns whether a thread compiles."""
    frames = _frames(sys._current_frames().get(main_thread))
    return any(_is_in(each, _COMPILING) for each in frames)


def hanging(beats: Mapping[int, Heartbeat | None], timeout: float) -> str:
    """Returns the line that names the processes that hang: those that are least far."""
    least = min(_progress(beat) for beat in beats.values())
    behind = {rank: beat for rank, beat in beats.items() if _progress(beat) == least}
    working = {r: b for r, b in behind.items() if b is None or not b.waits} or behind
    names = ", ".join(named(rank, beat) for rank, beat in working.items())
    verb = "has" if len(working) == 1 else "have"
    others = "" if len(working) == len(beats) else ", for which the others wait"
    return f"{names} {verb} not gone on for {timeout:g} s{others}"


def _progress(beat: Heartbeat | None) -> tuple[int, int]:
    return (-1, 0) if beat is None else (beat.batch, beat.phase)


def named(rank: int, beat: Heartbeat | None) -> str:
    """Returns how a line names a process."""
    if beat is None:
        return f"process {rank} (which said nothing)"
    of = f"process {rank} (host {beat.host}, pid {beat.pid}"
    return f"{of}, training batch {beat.batch}, last seen at {beat.stands})"


def _frames(frame: FrameType | None) -> list[FrameType]:
    """Returns the frames of a thread, the innermost first."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _stands(frame: FrameType | None) -> str:
    """Returns the innermost line that is no library's, or else the innermost."""
    frames = _frames(frame)
    own = [f for f in frames if not _is_library(f)]
    for found in (own or frames)[:1]:
        return f"{found.f_code.co_filename}:{found.f_lineno} {found.f_code.co_name}"
    return "an unknown line"


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    standard = file.startswith(_STANDARD) and "site-packages" not in file
    return standard or file.startswith("<") or _is_in(frame, _LIBRARIES)


def _waits(frame: FrameType | None) -> bool:
    return any(_is_in(each, _WAITING) for each in _frames(frame))


def _is_in(frame: FrameType, parts: tuple[str, ...]) -> bool:
    return any(part in frame.f_code.co_filename for part in parts)
