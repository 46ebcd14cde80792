"""The parts of a recipe, and the classes that take their arguments."""

from lightning.pytorch import Trainer

from unitf.training import DataModule
from unitf.training.learner import Learner

OWNERS: dict[str, type] = {"model": Learner, "data": DataModule, "trainer": Trainer}
OTHERS: tuple[str, ...] = (  # keys of a recipe beside its parts
    "out", "time", "ckpt_path", "test_after_fit", "report", "seed_everything", "print_config",
)  # fmt: skip
FOREIGN = ("torch.optim", "timm.optim", "lightning.pytorch")  # whose classes a recipe names
