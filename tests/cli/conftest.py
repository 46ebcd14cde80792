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
