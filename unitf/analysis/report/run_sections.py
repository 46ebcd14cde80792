"""The parts of a page about the run itself: time, memory, recipe, versions, and what to do next."""

import shlex
from collections.abc import Mapping

from unitf import registry
from unitf.analysis.report.figure_sections import plain
from unitf.analysis.report.markup import (
    Html,
    code,
    element,
    folded,
    number,
    section,
    table,
    words,
)
from unitf.analysis.report.page_content import PageContent
from unitf.data.joined_columns import asked_for
from unitf.training.durations import clock


def cost_section(content: PageContent) -> Html:
    """Returns the time and the memory that the training took, and where."""
    training, rows = dict(content.run.training), []
    if (seconds := training.pop("seconds", None)) is not None:
        rows.append(["time of training", clock(seconds)])
    rows += [
        [plain(name), f"{int(value):,}" if float(value).is_integer() else number(value)]
        for name, value in training.items()
        if isinstance(value, int | float)
    ]
    if content.peak_memory is not None:
        rows.append(["memory at most", f"{content.peak_memory / 2**30:.2f} GiB"])
    parameters = content.run.metrics.get("parameters")
    if isinstance(parameters, dict):
        rows += [[f"parameters, {name}", f"{count:,}"] for name, count in parameters.items()]
    rows += [[plain(str(name)), _hardware(value)] for name, value in _of(content, "hardware")]
    cells = [[words(name), words(value)] for name, value in rows]
    return section("Time and memory", table((), cells, num_words=2) if cells else "", id="cost")


def _of(content: PageContent, key: str) -> list[tuple[object, object]]:
    found = content.run.versions.get(key, {})
    return list(found.items()) if isinstance(found, Mapping) else []


def _hardware(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def recipe_section(content: PageContent) -> Html:
    """Returns the recipe; a long one is folded."""
    recipe = content.run.recipe.strip()
    if not recipe:
        return ""
    shown = code(recipe)
    if recipe.count("\n") > 60:
        shown = folded(f"{1 + recipe.count(chr(10))} lines", shown)
    text = "The run can be repeated from this, whatever the time it may take."
    return section("The recipe", element("p", words(text), class_="soft"), shown, id="recipe")


def versions_section(content: PageContent) -> Html:
    """Returns the versions of unitf, Python, libraries and plugins."""
    names = {k: v for k, v in content.run.versions.items() if isinstance(v, str)}
    rows = [[words(name), words(value)] for name, value in names.items()]
    for name, described in _of(content, "plugins"):
        version = described.get("version", "") if isinstance(described, Mapping) else described
        rows.append([words(f"plugin {name}"), words(version)])
    rows += [[words(name), words(version)] for name, version in _of(content, "libraries")]
    if not rows:
        return ""
    return section("Versions", folded(f"{len(rows)} packages", table((), rows, 2)), id="versions")


def next_section(content: PageContent) -> Html:
    """Returns commands that can be pasted."""
    folder, unitf = shlex.quote(str(content.run.folder)), registry.invocation()
    if content.model is None:
        steps = {"Go on with the training:": f"{unitf} fit --resume {folder}"}
    else:
        inputs = _inputs(content)
        chosen = f"--checkpoint {folder}"
        steps = {
            "Predict samples of your own:": f"{unitf} predict {chosen} --input {inputs}",
            "See what the model looks at:": f"{unitf} attend {chosen} --input {inputs} --out looks",
        }
        if any(task.can_generate for task in content.tasks.values()):
            steps["Let it write:"] = f"{unitf} generate {chosen} --input {inputs}"
        if any(content.counts.get(split) for split in content.counts if split.startswith("test")):
            steps["Find what each input is worth:"] = f"{unitf} ablate {folder}"
        steps["Compare it with other runs:"] = f"{unitf} compare {folder} OTHER_RUN"
        steps["In Python:"] = f"import unitf\nmodel = unitf.load({str(content.run.folder)!r})"
    parts = "".join(element("p", words(text)) + code(command) for text, command in steps.items())
    return section("How to go on", element("div", parts, class_="paste"), id="next")


def _inputs(content: PageContent) -> str:
    """Returns the columns of a sample that was tried, or else those of the first task."""
    assert content.model is not None
    tried = [(task, one) for n, task in content.tasks.items() for one in content.tried_samples(n)]
    if tried:
        task, sample = tried[0]
        inputs = [column for column in task.inputs if sample.sample.get(column) is not None]
    else:
        inputs = [*next(iter(content.tasks.values())).inputs][:1]
    return asked_for(content.model.tokenizers, content.model.tasks, inputs)
