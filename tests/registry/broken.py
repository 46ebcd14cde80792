"""Twelve plugins, each broken in its own way, and two that are whole.

`python tests/registry/broken.py DIR` installs them in a folder for PYTHONPATH.
"""

import sys
from pathlib import Path

# name → the module's text, and what its reason must say
BROKEN = {
    "lacks_library": ("import no_such_library\n", "No module named 'no_such_library'"),
    "exits": ("import sys\n\nsys.exit(3)\n", "ends the program (sys.exit(3))"),
    "syntax": ("def register_tokenizers(register:\n", "SyntaxError"),
    "no_module": (None, "No module named 'unitf_broken_no_module'"),
    "signature": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(registry): ...\n",
        "register_tokenizers(registry): expected the argument register",
    ),
    "misspelt": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenisers(register): ...\n",
        "there is no hook register_tokenisers; did you mean register_tokenizers",
    ),
    "unmarked": ("def register_tasks(register): ...\n", "marked with @unitf.hookimpl"),
    "other_api": ("unitf_api = 99\n", "version 99 of the plugin API, this unitf has 1"),
    "no_class": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_sources(register):\n    register(42)\n",
        "expected a subclass of unitf.Source, found 42",
    ),
    "wrong_kind": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tasks(register):\n    register(dict)\n",
        "found the class builtins.dict",
    ),
    "claims": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n"
        "    register('unitf_broken_claims:ImagePatches')\n\n\nclass ImagePatches: ...\n",
        "the name ImagePatches is claimed by unitf 0.1.0 (unitf_image.image_patches.ImagePatches) "
        "and unitf-broken-claims 1.0 (unitf_broken_claims.ImagePatches)",
    ),
    "unresolved": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n"
        "    register('unitf_broken_unresolved:Missing')\n",
        "module unitf_broken_unresolved has no Missing",
    ),
}
LAZY = {
    "lazy_plugin": (
        "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n"
        "    register('lazy_plugin.heart:LazyHeart')\n"
    ),
    "lazy_plugin.heart": (
        "import torch\n\nimport unitf\n\n\nclass LazyHeart(unitf.Tokenizer):\n"
        "    num_features = 4\n\n    def encode(self, value, train=False):\n"
        "        return unitf.Features(torch.as_tensor(value))\n"
    ),
}
ELECTROCARDIOGRAM = '''
import unitf
from einops import rearrange


class Electrocardiogram(unitf.Tokenizer):
    """12-lead ECG at 500 Hz: one token per 40 ms."""

    num_features = 12 * 20

    def encode(self, signal, train=False):
        windows = signal[:, : signal.shape[1] // 20 * 20].reshape(12, -1, 20)
        return unitf.Features(rearrange(windows, "lead n t -> (lead t) n"))


@unitf.hookimpl
def register_tokenizers(register):
    register(Electrocardiogram)
'''


def install(
    folder: Path, package: str, modules: dict[str, str], points: str, version: str = "1.0"
) -> None:
    """Puts a package into a folder as pip would: its modules and its metadata."""
    for name, text in modules.items():
        below = any(other.startswith(f"{name}.") for other in modules)
        path = folder / (name.replace(".", "/") + ("/__init__.py" if below else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[unitf]\n{points}\n")


def install_broken(folder: Path) -> None:
    for name, (text, _) in BROKEN.items():
        module = f"unitf_broken_{name}"
        modules = {} if text is None else {module: text}
        install(folder, module.replace("_", "-"), modules, f"{name} = {module}")


def install_whole(folder: Path) -> None:
    install(folder, "ecg-whole", {"ecg_whole": ELECTROCARDIOGRAM}, "heart = ecg_whole")
    install(folder, "lazy-plugin", LAZY, "lazy = lazy_plugin", version="2.1")


if __name__ == "__main__":
    install_broken(Path(sys.argv[1]))
    install_whole(Path(sys.argv[1]))
