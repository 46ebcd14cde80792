"""CheckedMember: tar files whose damage is an error, and not their end."""

import logging
import tarfile
from typing import Any

_log = logging.getLogger(__name__)


class CheckedMember(tarfile.TarInfo):
    """A member of a tar; a damaged header is an error, where tarfile takes it for the end.

    It is given to `tarfile.open` as `tarinfo`.
    """

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> "CheckedMember":
        """Returns the next member."""
        try:
            return super().fromtarfile(tarfile)
        except (_InvalidHeader, _CutHeader) as error:
            raise _ReadError(f"{error} at byte {tarfile.offset:,}") from None
        except _NoHeader:
            if tarfile.offset:
                _log.warning("%s: has no end mark; was it cut off?", tarfile.name)
            raise


# tarfile does not publish all of its errors, and has a method whose argument has its own name
_errors: Any = tarfile
_InvalidHeader: type[Exception] = _errors.InvalidHeaderError
_CutHeader: type[Exception] = _errors.TruncatedHeaderError
_NoHeader: type[Exception] = _errors.EmptyHeaderError
_ReadError: type[Exception] = tarfile.ReadError
