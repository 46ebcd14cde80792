"""AudioArchitecture: what the mappings of transformers' audio models to unitf share."""

import json
from pathlib import Path
from typing import Any

from unitf import UserError
from unitf.interop import ACTIVATIONS, TransformersArchitecture

SOUND = "tokenizers.sound"


class AudioArchitecture(TransformersArchitecture):
    """A model of transformers over sounds whose settings have the usual names."""

    @property
    def activation(self) -> Any:
        """The activation of the feed-forwards."""
        return ACTIVATIONS[self.config.hidden_act]

    def unsupported(self) -> str | None:
        if self.config.hidden_act not in ACTIVATIONS:
            return f"hidden_act is {self.config.hidden_act!r}"
        return None

    def preparation(self, kind: str) -> dict[str, Any]:
        """Returns the settings of the source's feature extractor; empty if there is none.

        Args:
            kind: the class of feature extractor that unitf reproduces.

        Raises:
            UserError: the feature extractor is of another class.
        """
        if self.source is None or not _has_preparation(self.source):
            return {}
        from transformers import AutoFeatureExtractor

        extractor = AutoFeatureExtractor.from_pretrained(self.source, trust_remote_code=False)
        if type(extractor).__name__ != kind:
            raise UserError(
                f"{self.source}: its sounds are prepared by {type(extractor).__name__}, "
                f"expected {kind}"
            )
        return json.loads(extractor.to_json_string())


def _has_preparation(source: str) -> bool:
    """Whether a folder has a feature extractor; a name on the hub always counts as one."""
    folder = Path(source).expanduser()
    names = ("preprocessor_config.json", "processor_config.json")
    return not folder.is_dir() or any((folder / name).is_file() for name in names)
