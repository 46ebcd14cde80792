"""Sheets of Excel and OpenDocument, read as text."""

import io
import zipfile
from pathlib import Path

from unitf.errors import UserError
from unitf.limits import check_unpacked


def sheet_as_csv(data: bytes, path: Path) -> bytes:
    """Returns the first sheet of a workbook as a .csv, with the text of each cell.

    Raises:
        UserError: it is no workbook, is damaged, or the package that reads it is missing.
    """
    import pandas

    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            check_unpacked(sum(part.file_size for part in parts.infolist()), len(data), path)
    try:
        sheet = pandas.read_excel(
            io.BytesIO(data), dtype=str, keep_default_na=False, na_values=[""]
        )
    except ImportError:
        raise UserError(f"{path}: reading it needs: pip install 'unitf[excel]'") from None
    except Exception as error:  # a reader raises whatever a broken file makes it raise
        raise UserError(f"{path} is no workbook, or is damaged: {error}") from error
    return sheet.to_csv(index=False).encode()
