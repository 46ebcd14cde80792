"""Hostile recipes: aliases that multiply, and classes that are none."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.hostile_cases import CASES, code

RECIPE = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {text: {class_path: Characters}}
  tasks: {digit: {class_path: Classification, init_args: {inputs: [text], target: digit}}}
data:
  sources: {written: {class_path: NumberWords}}
  batch_size: 8
  num_workers: 0
trainer: {max_steps: 1, accelerator: cpu}
"""


def recipe(name: str, change: Callable[[str], str]) -> None:
    def run(folder: Path) -> None:
        from unitf.cli.training_cli import ready

        (folder / "evil.py").write_text(code(folder))
        (folder / "recipe.yaml").write_text(change(RECIPE).replace("RAN", str(folder / "ran")))
        ready("fit", ["--config", "recipe.yaml", "--out", "out"])

    CASES[name] = run


def aliases(item: str, levels: int = 12) -> str:
    lines = [f"a0: &a0 {item.replace('*', 'x')}"]
    lines += [f"a{n}: &a{n} {item.replace('*', f'*a{n - 1}')}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


MANY = ",".join(f"k{n}: *" for n in range(9))
MERGE = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}], y{n}: 1}}\n" for n in range(1, 12)
)
EXTRA: dict[str, str] = {
    "aliases of lists": aliases("[*,*,*,*,*,*,*,*,*,*]"),
    "aliases of dictionaries": aliases("{" + MANY + "}"),
    "merged aliases": MERGE,
    "an alias of itself": "a: &a [*a, *a]\n",
    "brackets 100,000 deep": "a: " + "[" * 100_000 + "\n",
    "a megabyte of keys": "".join(f"k{n}: 1\n" for n in range(120_000)),
    "a tag of python": "a: !!python/object/apply:pathlib.Path.touch [RAN]\n",
    "a name of python": "a: !!python/name:os.system\n",
    "a module of python": "a: !!python/module:evil\n",
    "a number of 5,000,000 digits": "a: " + "9" * 900_000 + "\n",
}
for title, text in EXTRA.items():
    recipe(title, lambda plain, text=text: text + plain)
recipe(
    "aliases among the arguments",
    lambda plain: (
        aliases("[*,*,*,*,*,*,*,*,*]").replace("a", "b")
        + plain.replace("NumberWords}", "NumberWords, init_args: {x: *b11}}")
    ),
)
for title, path in {"a function": "os.system", "a file beside it": "evil.X"}.items():
    for place in ("Characters", "NumberWords", "Classification"):
        recipe(f"{title} as {place}", lambda t, n=path, p=place: t.replace(p, n))
    recipe(
        f"{title} as callback",
        lambda t, n=path: t.replace("max_steps", f"callbacks: [{{class_path: {n}}}], max_steps"),
    )
    recipe(
        f"{title} as schedule's function",
        lambda t, n=path: t.replace(
            "model:",
            "model:\n  schedule: {class_path: torch.optim.lr_scheduler.LambdaLR, "
            f"init_args: {{lr_lambda: {n}}}}}",
        ),
    )
