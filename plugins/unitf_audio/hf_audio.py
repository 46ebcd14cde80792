"""What transformers' audio models have in common, said in unitf."""

import json
from pathlib import Path
from typing import Any

from unitf import UserError
from unitf.interop import ACTIVATIONS, TransformersArchitecture

SOUND = "tokenizers.sound"


class AudioArchitecture(TransformersArchitecture):
    """A model of transformers over a sound, with the usual names of settings."""

    @property
    def activation(self) -> Any:
        """Of the feed-forwards."""
        return ACTIVATIONS[self.config.hidden_act]

    def unsupported(self) -> str | None:
        if self.config.hidden_act not in ACTIVATIONS:
            return f"hidden_act is {self.config.hidden_act!r}"
        return None

    def preparation(self, kind: str) -> dict[str, Any]:
        """What the source's feature extractor says of sounds; nothing where there is none.

        Args:
            kind: the class of feature extractor that unitf computes the same as.

        Raises:
            UserError: it is of another class.
        """
        if self.source is None or not _has_preparation(self.source):
            return {}
        from transformers import AutoFeatureExtractor

        found = AutoFeatureExtractor.from_pretrained(self.source)
        if type(found).__name__ != kind:
            raise UserError(
                f"{self.source}: its sounds are prepared by {type(found).__name__}, expected {kind}"
            )
        return json.loads(found.to_json_string())


def _has_preparation(source: str) -> bool:
    """Whether a folder says how sounds are prepared; a name on the hub does."""
    folder = Path(source).expanduser()
    names = ("preprocessor_config.json", "processor_config.json")
    return not folder.is_dir() or any((folder / name).is_file() for name in names)
