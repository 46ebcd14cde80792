"""Checks how large a Parquet file is before it is read, as far as a small one may hide that."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitf.errors import UserError
from unitf.limits import check_cost, check_unpacked

if TYPE_CHECKING:  # slow to import
    import pyarrow

_SMALL = 2**26  # bytes; a larger file costs more to check


def check_table(path: Path) -> None:
    """Checks that a small Parquet file is not a very large table.

    Raises:
        UserError: it is, or it is damaged.
    """
    packed = path.stat().st_size
    if packed <= _SMALL and path.suffix.lower() == ".parquet":
        _check_parquet(path, packed)


def _size(column: "pyarrow.Array") -> int:
    """Returns the bytes of a column, each word of a dictionary as often as it stands there."""
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute  # its functions are generated when it is imported
    if not isinstance(column, pyarrow.DictionaryArray):
        return column.nbytes
    try:
        lengths = compute.binary_length(column.dictionary)
    except pyarrow.ArrowNotImplementedError:  # no texts
        return 8 * len(column)
    return compute.sum(lengths.take(column.indices)).as_py() or 0


def _check_parquet(path: Path, packed: int) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            check_cost(rows, packed, "table_rows", "rows_per_byte", f"{path}, rows")
            size = 0
            for batch in file.iter_batches(batch_size=256):
                size += sum(_size(column) for column in batch.columns)
                check_unpacked(size, packed, path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: no table, or damaged: {' '.join(str(error).split())}") from error
