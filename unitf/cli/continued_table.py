"""A table that the source of a run reads in its own way, and its predictions in the same terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from unitf.errors import UserError

if TYPE_CHECKING:  # torch takes long to import
    from unitf.batch import Sample


@runtime_checkable
class ContinuedTable(Protocol):
    """Samples of a source that are to be predicted; see `Source.to_predict`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> "Sample": ...
    def restored(
        self, index: int, prediction: Mapping[str, object], /
    ) -> "tuple[Sample, Mapping[str, object]]":
        """Returns a sample and its prediction in the terms of the source."""
        ...

    def rows(self, predictions: Sequence[Mapping[str, object]], /) -> list[dict[str, object]]:
        """Returns predictions as the rows of a table of the source."""
        ...


def samples_of_source(words: Sequence[str], run: str) -> ContinuedTable | None:
    """Returns what the source of a run makes of a table that is to be predicted.

    Args:
        words: of `--input`.
        run: a run's folder, or a checkpoint in it.

    Returns:
        None: it is no single table, the run has no recipe, or none of its sources reads a table in
        its own way.

    Raises:
        UserError: the table lacks something that the source needs.
    """
    from unitf.data.sources.table import is_table

    if len(words) != 1 or not is_table(Path(words[0])) or not Path(words[0]).is_file():
        return None
    folder = Path(run) if Path(run).is_dir() else Path(run).parent.parent
    if not (folder / "config.yaml").is_file():
        return None
    found = _samples(folder / "config.yaml", Path(words[0]))
    if found is not None and not isinstance(found, ContinuedTable):
        raise UserError(
            f"to_predict gave {type(found).__name__}, expected samples with restored and rows"
        )
    return found


def _samples(config: Path, table: Path) -> object:
    """Returns the samples of the first source of a recipe that reads tables in its own way."""
    from unitf import registry
    from unitf.cli.recipe import read_recipe
    from unitf.data.source import Source
    from unitf.recognition.looking import made

    data = cast("Mapping[str, object]", read_recipe(config).get("data") or {})
    sources = cast("Mapping[str, Mapping[str, object]]", data.get("sources") or {})
    for entry in sources.values():
        cls = registry.find("sources", str(entry.get("class_path")))
        if not issubclass(cls, Source) or cls.to_predict is Source.to_predict:
            continue
        settings = cast("Mapping[str, object]", entry.get("init_args") or {})
        source = cast(Source, made(cls, settings, Source))
        found = source.to_predict(table, Path(str(data.get("root") or ".")))
        if found is not None:
            return found
    return None
