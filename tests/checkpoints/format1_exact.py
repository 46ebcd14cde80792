"""Predictions as JSON that keeps every bit, and the machine that they were computed on."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT1 = Path(__file__).parent / "format1"


def environment() -> dict[str, str]:
    """What the last bits of a sum depend on: torch, the vector instructions, the vendor.

    Math libraries choose their kernels by the last two.
    """
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    vendors = [line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")]
    return {
        "torch": torch.__version__.partition("+")[0],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "vendor": vendors[0] if vendors else "unknown",
    }


def exact(value: Any) -> Any:
    """A prediction as JSON; a float is a text of its hexadecimal digits."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return exact(value.tolist())
    if isinstance(value, dict):
        return {str(key): exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    return value.hex() if isinstance(value, float) else value


def number(value: Any) -> float | None:
    """The float that `exact` wrote as a text; None: it is another value."""
    if not isinstance(value, str) or not value.lstrip("-").startswith(("0x", "inf", "nan")):
        return None
    try:
        return float.fromhex(value)
    except ValueError:
        return None


def sample(described: dict[str, Any]) -> dict[str, Any]:
    """A raw sample; `{"array": NAME}` is an array of inputs.npz, with a rate it is a sound."""
    with np.load(FORMAT1 / "inputs.npz") as arrays:
        return {column: _value(value, arrays) for column, value in described.items()}


def _value(value: Any, arrays: Any) -> Any:
    if not isinstance(value, dict):
        return value
    array = arrays[value["array"]]
    return (array, value["rate"]) if "rate" in value else array


def digests(state: dict[str, Any]) -> dict[str, str]:
    """The SHA-256 of each tensor's type, shape and bytes, by its name."""
    return {
        name: hashlib.sha256(
            f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
            + tensor.contiguous().numpy().tobytes()
        ).hexdigest()
        for name, tensor in state.items()
        if isinstance(tensor, torch.Tensor)
    }
