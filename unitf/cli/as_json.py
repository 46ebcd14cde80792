"""Predictions as JSON."""

import json
import re

from unitf.errors import UserError


def as_json(predictions: object, indent: int | None = None) -> str:
    """Returns predictions as JSON.

    Raises:
        UserError: a task's `predict` gave something that is no plain data.
    """
    try:
        return json.dumps(predictions, ensure_ascii=False, indent=indent)
    except TypeError as error:
        kind = re.search(r"Object of type (\w+)", str(error))
        raise UserError(
            f"predict: found {f'a {kind[1]}' if kind else error} in a task's predictions, expected "
            "plain data (text, numbers, lists and dictionaries; `.tolist()` makes them of a tensor)"
        ) from error
