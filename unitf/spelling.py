"""One spelling for names that look the same: of files, of columns and of classes; and paths."""

import os
import unicodedata


def composed(name: str) -> str:
    """Returns a name in Unicode's composed form (NFC), so that both spellings of "é" are one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def tidied(name: str) -> str:
    """Returns a name in composed form, with single spaces in it and none around it."""
    return " ".join(composed(name).split())


def expanded(path: str) -> str:
    """Returns a path with the home folder for `~`, and with the values of variables (`$DATA`)."""
    return os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111
