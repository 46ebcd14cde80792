"""What a run was made with: versions of Python, libraries and plugins, and the machine."""

import os
import platform
import re
from importlib import metadata
from typing import Any

import torch

from unitf import __version__, registry


def versions() -> dict[str, Any]:
    """Versions and hardware, as plain data."""
    return {
        "unitf": __version__,
        "python": platform.python_version(),
        "libraries": _libraries(),
        "plugins": _plugins(),
        "hardware": _hardware(),
    }


def _libraries() -> dict[str, str]:
    """Everything that unitf requires, with the version that is installed."""
    try:
        required = metadata.requires("unitf") or []
    except metadata.PackageNotFoundError:  # a source tree on the path, not installed
        required = ["torch", "lightning", "torchmetrics", "numpy"]
    names = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line
    ]
    found = {}
    for name in sorted(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plugins() -> dict[str, dict[str, str]]:
    """Each plugin with its package and version; a broken one with its reason."""
    plugins: dict[str, dict[str, str]] = {}
    for record in registry.records():
        if record.plugin == "unitf":
            continue
        told = {"package": record.package, "version": record.version}
        if record.reason:
            told["broken"] = record.reason
        plugins.setdefault(record.plugin, {}).update(told)
    return plugins


def _hardware() -> dict[str, Any]:
    hardware: dict[str, Any] = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        hardware["cuda"] = torch.version.cuda
        hardware["devices"] = [
            torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
        ]
    return hardware


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [
                line.partition(":")[2].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
