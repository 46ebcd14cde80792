"""The versions of Python, libraries and plugins, and the hardware of a run."""

import os
import platform
import re
from importlib import metadata

import torch

from unitf import __version__, registry


def versions() -> dict[str, object]:
    """Returns versions and hardware as plain data."""
    return {
        "unitf": __version__,
        "python": platform.python_version(),
        "libraries": _libraries(),
        "plugins": _plugins(),
        "hardware": _hardware(),
    }


def _libraries() -> dict[str, str]:
    """Returns the installed version of each library that unitf requires."""
    try:
        required = metadata.requires("unitf") or []
    except metadata.PackageNotFoundError:  # a source tree on the path, not installed
        required = ["torch", "lightning", "torchmetrics", "numpy"]
    names = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line
    ]
    installed: dict[str, str] = {}
    for name in sorted(names):
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _plugins() -> dict[str, dict[str, str]]:
    """Returns the package and version of each plugin; for a broken plugin also the reason."""
    plugins: dict[str, dict[str, str]] = {}
    for record in registry.records():
        if record.plugin == "unitf":
            continue
        described = {"package": record.package, "version": record.version}
        if record.reason:
            described["broken"] = record.reason
        plugins.setdefault(record.plugin, {}).update(described)
    return plugins


def _hardware() -> dict[str, object]:
    hardware: dict[str, object] = {
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
