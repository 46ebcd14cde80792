"""One spelling for names that look the same: of files, of columns and of classes."""

import unicodedata


def composed(name: str) -> str:
    """Returns a name in Unicode's composed form (NFC), so that both spellings of "é" are one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def tidied(name: str) -> str:
    """Returns a name in composed form, with single spaces in it and none around it."""
    return " ".join(composed(name).split())
