"""A hook of MkDocs: the pages of the reference, made from `__all__`, docstrings and `--help`.

`PUBLIC` is the one list of public packages. A name of theirs without a docstring is a warning,
which the strict build refuses.
"""

import contextlib
import inspect
import io
import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from unittest import mock

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PUBLIC = (
    "unitf",
    "unitf.tokenizer",
    "unitf.tasks",
    "unitf.data",
    "unitf.interop",
    "unitf.training",
    "unitf.testing",
)
OURS = "unitf"  # what the names of our modules begin with; other libraries document themselves
_log = logging.getLogger("mkdocs.hooks.reference")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the public packages to the section "Reference" of the navigation."""
    for section in config.nav or []:
        if "Reference" in section:
            for package in PUBLIC:  # the page of the project is called unitf as well
                label = f"{package} (package)" if package == "unitf" else package
                section["Reference"].append({label: f"reference/{package}.md"})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each public package, one that lists them, and one of the command line."""
    seen: dict[str, str] = {}
    pages = {package: package_page(package, seen) for package in PUBLIC}
    pages["api"] = _list_of_packages()
    pages["command-line"] = command_line()
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for fault in undocumented():
        _log.warning(fault)
    return files


def public_names(package: str) -> list[str]:
    """The names that a package declares as public."""
    return list(import_module(package).__all__)


def home(package: str, name: str) -> str:
    """The dotted path under which a public name is defined, like `unitf.tasks.task.Task`."""
    value = getattr(import_module(package), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    return _static(package, name).path


def undocumented() -> Iterator[str]:
    """A line for each public name, and each public member of a public class, that says nothing."""
    for package in PUBLIC:
        for name in public_names(package):
            value = getattr(import_module(package), name)
            if inspect.isclass(value):
                text = value.__dict__.get("__doc__") or ""
                if not text or text.startswith(f"{value.__name__}("):  # written by dataclass
                    yield f"{package}.{name} has no docstring"
                yield from _undocumented_members(f"{package}.{name}", value)
            elif inspect.isfunction(value):
                if not inspect.getdoc(value):
                    yield f"{package}.{name} has no docstring"
            elif _static(package, name).docstring is None:
                yield f"{package}.{name} has no docstring: write one below it"


def _undocumented_members(path: str, cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        function = getattr(function, "__func__", function)  # of a class method
        ours = inspect.isfunction(function) and function.__module__.startswith(OURS)
        if ours and not name.startswith("_") and not inspect.getdoc(getattr(cls, name)):
            yield f"{path}.{name} has no docstring"


def _static(package: str, name: str) -> griffe.Object:
    """A name as it stands in the source; values know nothing of where they were defined."""
    member = _loaded(package)[name]
    return member.final_target if isinstance(member, griffe.Alias) else member


@cache
def _loaded(package: str) -> griffe.Object | griffe.Alias:
    return griffe.load(package)


def package_page(package: str, seen: dict[str, str]) -> str:
    """The page of a public package; `seen` maps what other pages describe to their packages."""
    lines = [f"# {package}", inspect.getdoc(import_module(package)) or ""]
    for name in public_names(package):
        path = home(package, name)
        if path in seen:  # public in two packages: described once
            lines += [f"## {name}", f"The same as [`{seen[path]}.{name}`]({seen[path]}.md)."]
            continue
        seen[path] = package
        options: dict[str, object] = {"heading_level": 2, "heading": name, "toc_label": name}
        value = getattr(import_module(package), name)
        if inspect.isclass(value):
            options["filters"] = ["!^_", *(f"!^{hidden}$" for hidden in foreign_members(value))]
            options["inherited_members"] = inherited_members(value)
        lines += [
            f"::: {path}\n    options:\n"
            + "\n".join(f"      {key}: {value!r}" for key, value in options.items())
        ]
    return "\n\n".join(lines) + "\n"


def foreign_members(cls: type) -> list[str]:
    """The members of a class that Lightning calls: they are no part of our interface."""
    lightning = [b for b in cls.__mro__ if b.__module__.startswith("lightning.")]
    return [name for name in vars(cls) if any(name in vars(base) for base in lightning)]


def inherited_members(cls: type) -> list[str]:
    """The members that a reader of a class needs and that its private bases describe."""
    return ["make_parameters", "fitted"] if cls.__name__ in ("Task", "Tokenizer") else []


_METHOD = re.compile(r'(id="unitf[\w.]*\.([A-Z]\w*)\.\w+" class="doc doc-heading">\s*<span [^>]*>)')


def on_page_content(html: str, **_: object) -> str:
    """Writes the class before each method and attribute in the headings: Task.losses."""
    return _METHOD.sub(r"\1\2.", html)


def _list_of_packages() -> str:
    described: dict[str, str] = {}  # by which page
    for package in PUBLIC:
        for name in public_names(package):
            described.setdefault(home(package, name), package)
    lines = [
        "# API",
        "These packages are public. What stands in none of them may change without notice.",
        "| package | what it holds | names |\n|---|---|---|\n"
        + "\n".join(
            f"| [{package}]({package}.md) | {_summary(package)} | "
            + ", ".join(
                f"[`{name}`]({described[path]}.md#{path})"
                for name in public_names(package)
                for path in [home(package, name)]
            )
            + " |"
            for package in PUBLIC
        ),
    ]
    return "\n\n".join(lines) + "\n"


def _summary(package: str) -> str:
    return (inspect.getdoc(import_module(package)) or "").splitlines()[0]


def command_line() -> str:
    """The page of the command line: what each verb prints for `--help`."""
    from unitf import cli

    lines = ["# Command line", "What each verb says of itself. Start with `unitf VERB --help`."]
    lines += ["## unitf", _block(_help([]))]
    verbs = {**cli.TRAINING, **cli.OTHERS, **cli.EXCHANGE}
    for verb in verbs:
        said = _help([verb]) if verb != "predict" else _help([verb, "--checkpoint", "DIR"])
        if verb in ("validate", "test"):  # as long as that of fit, and the same
            said = f"The arguments of `unitf {verb}` are those of [`unitf fit`](#unitf-fit)."
        else:
            said = _block(_options_first(said))
        lines += [f"## unitf {verb}", said]
    return "\n\n".join(lines) + "\n"


def _options_first(text: str) -> str:
    """A help text with the usage after the options: the usage of `fit` fills a screen."""
    usage, _, rest = text.partition("\n\n")
    if usage.count("\n") < 10:
        return text
    return f"{rest.rstrip()}\n\n{usage}\n"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _help(words: list[str]) -> str:
    """What `unitf … --help` prints."""
    from unitf.cli import main

    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
    ):
        main([*words, "--help"])
    return said.getvalue()
