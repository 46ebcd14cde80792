"""The recipe that most verbs are tried on."""

import pytest

RECIPE = """
model:
  core: {dim: 16, depth: 1, num_heads: 2}
  tokenizers: {waves: Waves, beats: Beats}
  tasks:
    speed: {class_path: Classification, init_args: {inputs: [waves, beats], target: speed}}
data:
  sources:
    toy: {class_path: Swings}
  batch_size: BATCH_SIZE
  num_workers: 0
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.fixture
def recipe(tmp_path, request):
    """A toy recipe's file; a test file may say another BATCH_SIZE."""
    import toys  # noqa: F401 (registers its classes)

    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE.replace("BATCH_SIZE", str(getattr(request.module, "BATCH_SIZE", 16))))
    return path


@pytest.fixture
def runner(monkeypatch, tmp_path):
    """Runs the processes of a search or of folds in this one; the second of them is killed."""
    from in_process import Runner

    from unitf.cli import child_runs

    monkeypatch.chdir(tmp_path)
    runner = Runner(dies_at=1)
    monkeypatch.setattr(child_runs, "_started", runner)
    monkeypatch.setattr("unitf.cli.training_cli.process_seconds", lambda: 0.0)
    return runner
