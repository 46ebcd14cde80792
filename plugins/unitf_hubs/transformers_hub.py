"""TransformersHub: models of transformers by hub name or from a local folder."""

import copy
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unitf import UserError
from unitf.interop import ModelHub
from unitf_hubs.local_files import cached_repositories, check_folder, explained

_TOWERS = ("vision", "text")
_SENTENCE_FILES = (  # how sentence-transformers pools the columns
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)


class TransformersHub(ModelHub):
    """`hf:NAME` or `hf:FOLDER`, whose `config.json` names the class of the model.

    A model with an image tower and a text tower (CLIP, SigLIP) is imported one tower at a time, as
    `hf:NAME#vision` and `hf:NAME#text`.
    """

    prefix = "hf"

    def open(self, name: str) -> nn.Module:
        import transformers

        if Path(name).expanduser().is_dir():
            name = str(Path(name).expanduser())
            check_folder(Path(name))
        elif name.startswith((".", "/", "~")):
            raise UserError(f"hf:{name}: there is no such folder")
        transformers.utils.logging.disable_progress_bar()  # `unitf import` prints the proof alone
        with explained(f"hf:{name}"):
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
            cls = _class_of(config, name)
            published, report = cls.from_pretrained(
                name,
                config=config,
                trust_remote_code=False,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
            )
        _check(report, published, name)
        return published.eval()

    def parts(self, published: Any) -> list[str]:
        if not all(hasattr(published, f"{tower}_model") for tower in _TOWERS):
            return []
        return [tower for tower in _TOWERS if _class_of_tower(published, tower) is not None]

    def part(self, published: Any, name: str) -> nn.Module:
        cls = _class_of_tower(published, name)
        if cls is None:
            return super().part(published, name)
        config = copy.deepcopy(getattr(published.config, f"{name}_config"))
        config._attn_implementation = "eager"
        if hasattr(config, "projection_dim"):
            config.projection_dim = published.config.projection_dim
        config.architectures = [cls.__name__]
        # the scale of similarities belongs to both towers
        config.logit_scale = published.logit_scale.item()
        tower, state = cls(config), published.state_dict()
        prefix = f"{name}_model."
        tower.load_state_dict({k: state.get(k, state.get(prefix + k)) for k in tower.state_dict()})
        return tower.float().eval()

    def kind(self, published: Any) -> str:
        return published.config.model_type

    def recipe(self, published: Any) -> dict[str, Any]:
        return {
            "class": type(published).__name__,
            "config": json.loads(published.config.to_json_string(False)),
            "untied": _untied(published),
        }

    def make(self, recipe: dict[str, Any]) -> nn.Module:
        import transformers

        settings = dict(recipe["config"])
        config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
        config._attn_implementation = "eager"
        if (cls := _model_class(recipe["class"])) is None:
            raise UserError(f"transformers has no model class {str(recipe['class'])[:80]!r}")
        published = cls(config)
        for name in recipe.get("untied", ()):
            module, _, parameter = name.rpartition(".")
            untied = nn.Parameter(published.get_parameter(name).detach().clone())
            setattr(published.get_submodule(module), parameter, untied)
            published.all_tied_weights_keys.pop(name, None)
        return published.eval()

    def save(self, published: Any, folder: Path, source: str | None) -> None:
        published.save_pretrained(folder)
        if source is not None:  # the vocabulary, and how images or sounds are prepared
            _copy_preprocessing(source, folder)

    def cached(self) -> list[str]:
        return [name for name in cached_repositories() if not name.startswith("timm/")]


def _class_of_tower(published: Any, tower: str) -> Any:
    """Returns the class of a tower, with its projection if there is one."""
    import transformers

    base = type(published).__name__.removesuffix("Model") + f"{tower.capitalize()}Model"
    return getattr(transformers, f"{base}WithProjection", getattr(transformers, base, None))


def _class_of(config: Any, name: str) -> Any:
    import transformers

    named = (config.architectures or [None])[0]
    if named is None:
        return transformers.AutoModel
    cls = _model_class(named)
    if cls is None:
        raise UserError(
            f"hf:{name}: transformers has no model class {named}, which its config.json names"
        )
    return cls


def _model_class(name: object) -> Any:
    """Returns the class of this name if it is one of a model; a file may name anything."""
    import transformers

    cls = getattr(transformers, str(name), None)
    is_model = isinstance(cls, type) and issubclass(cls, transformers.PreTrainedModel)
    return cls if is_model else None


def _untied(published: Any) -> list[str]:
    """Returns parameters that a new model of the same configuration would tie to others.

    The configuration of T5 1.1 does not tell; only the weights show that they are not tied.
    """
    tied = published.get_expanded_tied_weights_keys(all_submodels=True)
    return [
        name
        for name, source in tied.items()
        if published.get_parameter(name) is not published.get_parameter(source)
    ]


def _check(report: Any, published: Any, name: str) -> None:
    """Refuses missing or unknown tensors; the library would fill missing ones randomly."""
    ignored = set(getattr(published, "_keys_to_ignore_on_load_unexpected", None) or ())
    problems = {
        "it lacks": sorted(report["missing_keys"]),
        "it also has": sorted(set(report["unexpected_keys"]) - ignored),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    descriptions = [f"{what} {', '.join(keys[:5])}" for what, keys in problems.items() if keys]
    if descriptions or report.get("error_msgs"):
        raise UserError(
            f"hf:{name}: tensors do not fit {type(published).__name__}: {'; '.join(descriptions)}"
        )


def _beside(source: str, name: str) -> Path | None:
    """Returns a file beside the weights, in a folder or on the hub; None: there is none."""
    from transformers.utils import cached_file

    if Path(source).is_dir():
        return Path(source, name) if Path(source, name).is_file() else None
    file = cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if file is None else Path(str(file))


def _copy_preprocessing(source: str, folder: Path) -> None:
    import transformers

    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():
        warnings.warn(f"{source} is gone, so only the weights are written", stacklevel=2)
        return
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    for kind in (
        transformers.AutoTokenizer,
        transformers.AutoImageProcessor,
        transformers.AutoFeatureExtractor,
    ):
        try:
            kind.from_pretrained(source, trust_remote_code=False).save_pretrained(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # this model has no such preprocessor
    for name in _SENTENCE_FILES:
        if (file := _beside(source, name)) is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, folder / name)
