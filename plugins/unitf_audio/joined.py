"""JoinedClips: concatenated clips of one speaker, with their text."""

import zlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np

from unitf import Sample, UserError
from unitf.data import Files, Split, mix
from unitf_audio.sound import read_sound


class JoinedClips(Files):
    """Random strings of sound files; in training each epoch has other strings.

    A string is clips of one speaker with silence between them. The column `text` holds their text,
    one word for each clip. Held-out clips are only joined with held-out clips.

    Args:
        speaker: the column whose value all clips of a string share; None: any clips are joined.
        label: the column with the label of a clip.
        words: the written word of each label; None: the label itself.
        lengths: the fewest and the most clips of a string.
        silence: the least and the most seconds of silence between two clips.
        sample_rate: the sample rate of the strings in Hz.
        sizes: the number of strings of each split; None: the number of clips.
        seed: another seed gives other strings.
        path, pattern, column, split, limit: as in Files.
    """

    def __init__(
        self,
        path: str | dict[str, str],
        pattern: str,
        column: str = "sound",
        speaker: str | None = None,
        label: str = "label",
        words: dict[str, str] | None = None,
        lengths: Sequence[int] = (1, 5),
        silence: Sequence[float] = (0.0, 0.2),
        sample_rate: int = 8_000,
        sizes: dict[str, int] | None = None,
        seed: int = 0,
        split: Split | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(path, pattern, column, split, limit)
        self.speaker = speaker
        self.label = label
        self.words = words
        self.lengths = lengths
        self.silence = silence
        self.sample_rate = sample_rate
        self.sizes = sizes or {}
        self.seed = seed
        for name, limits, least in (("lengths", lengths, 1), ("silence", silence, 0)):
            if len(limits) != 2 or not least <= limits[0] <= limits[1]:
                raise UserError(f"JoinedClips({name}): expected the least and most, found {limits}")

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """Returns two speakers and two digits for `unitf plugins check JoinedClips`."""
        import soundfile

        for name in ("0_ann", "1_ann", "0_bob", "1_bob"):
            soundfile.write(root / f"{name}.wav", np.full(400, int(name[0]) / 10), 8_000)
        return {"path": {"train": "."}, "pattern": "{label}_{speaker}.wav", "speaker": "speaker"}

    def read(self, split: str, root: Path) -> Sequence[Sample]:
        clips = super().read(split, root)
        return Strings(self, split, clips) if len(clips) else []


class Strings(Sequence):
    """The strings of a split; each is a pure function of seed, epoch and index."""

    def __init__(self, source: JoinedClips, split: str, clips: Sequence[Sample]) -> None:
        self.source, self.split, self.clips = source, split, clips
        wanted = [name for name in (source.speaker, source.label) if name is not None]
        if missing := [name for name in wanted if name not in clips[0]]:
            raise UserError(f"{source.location}: the pattern has no column {missing[0]!r}")
        if (words := source.words) is not None:
            labels = dict.fromkeys(clip[source.label] for clip in clips)
            if unknown := [label for label in labels if label not in words]:
                raise UserError(
                    f"{source.location}: words has nothing for {unknown[0]!r}, only "
                    f"{', '.join(words)}"
                )
        order = sorted(range(len(clips)), key=self._speaker)
        self.groups = [list(group) for _, group in groupby(order, key=self._speaker)]

    def _speaker(self, index: int) -> str:
        return "" if self.source.speaker is None else str(self.clips[index][self.source.speaker])

    def __len__(self) -> int:
        return self.source.sizes.get(self.split, len(self.clips))

    def __getitem__(self, index: Any) -> Any:
        return self.at(range(len(self))[index], 0, 0)

    def at(self, index: int, seed: int, epoch: int) -> Sample:
        """Returns string number `index` of an epoch."""
        source = self.source
        part = zlib.crc32(self.split.encode())
        generator = np.random.default_rng([source.seed, part, mix(seed, epoch), index])
        group = self.groups[index % len(self.groups)]
        count = int(generator.integers(source.lengths[0], source.lengths[1], endpoint=True))
        clips = [self.clips[group[int(n)]] for n in generator.integers(0, len(group), count)]
        parts: list[np.ndarray] = []
        for clip in clips:
            seconds = generator.uniform(source.silence[0], source.silence[1]) if parts else 0.0
            parts.append(np.zeros(round(seconds * source.sample_rate), np.float32))
            parts.append(read_sound(clip[source.column], source.sample_rate).numpy())
        sample: dict[str, Any] = {source.column: (np.concatenate(parts), source.sample_rate)}
        sample["text"] = " ".join(self._word(clip[source.label]) for clip in clips)
        if source.speaker is not None:
            sample[source.speaker] = clips[0][source.speaker]
        return sample

    def _word(self, label: object) -> str:
        return str(label) if self.source.words is None else self.source.words[cast(str, label)]
