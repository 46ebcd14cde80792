"""Freezing: what is frozen stays as it is, in eval mode, and thaws when it should."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import CORE, Cut, CutError, fit, fresh_learner, weights_of

from unitf import Tokens, UserError
from unitf.training.callbacks import Checkpoint
from unitf.training.finetuning import Freeze
from unitf.training.finetuning.freeze import block_numbers

HERE = Path(__file__).parent
BATCH = {**CORE, "norm": "batch"}  # its statistics are not to change either


class Record(Callback):
    """What the model looks like before, and of every epoch what has gradients and trains."""

    def __init__(self):
        self.epochs = []

    def on_train_start(self, trainer, pl_module):
        self.before = weights_of(pl_module)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        graded = {n for n, p in pl_module.named_parameters() if p.grad is not None}
        training = {n for n, m in pl_module.named_modules() if m.training}
        if len(self.epochs) == trainer.current_epoch - self.first:
            self.epochs.append((graded, training))

    def on_train_epoch_start(self, trainer, pl_module):
        if not self.epochs:
            self.first = trainer.current_epoch


def changed(record, learner):
    after = weights_of(learner)
    return {n for n, value in record.before.items() if not torch.equal(value, after[n])}


def test_a_linear_probe_trains_the_head_alone(tmp_path):
    learner, record = fresh_learner(BATCH, freeze=Freeze(("core", "tokenizers"))), Record()
    fit(learner, tmp_path, [record])
    head = {"tasks.pace.head.linear.weight", "tasks.pace.head.linear.bias"}
    assert changed(record, learner) == head
    ((graded, training),) = record.epochs
    assert graded == head
    assert not any(name.startswith(("core", "tokenizers.")) for name in training)
    assert "tasks.pace.head" in training


def test_frozen_blocks_compute_as_in_evaluation(tmp_path):
    learner, record = fresh_learner(freeze=Freeze(("tokenizers.waves",), blocks="0-1")), Record()
    fit(learner, tmp_path, [record])
    frozen = ("core.encoder.blocks.0.", "core.encoder.blocks.1.", "tokenizers.waves.")
    names = {name for name in record.before if not name.startswith(frozen)}
    assert changed(record, learner) == names
    stack = learner.core.encoder
    assert [block.training for block in stack.blocks] == [False, False, True]
    rows = torch.randn(12, CORE["dim"])
    tokens = Tokens.from_rows(rows, (5, 7), torch.zeros(1, 12))
    seen = []
    for block in stack.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    stack(tokens), stack(tokens)
    assert torch.equal(seen[1], seen[4])  # no dropout, also none of attention
    assert not torch.equal(seen[2], seen[5])


def blocks_of(names):
    return sorted({name.split(".")[3] for name in names if ".blocks." in name})


def test_blocks_thaw_from_the_top_also_after_a_resume(tmp_path):
    freeze, record = Freeze(("core", "tokenizers"), unfreeze_every=1), Record()
    trainer = fit(fresh_learner(freeze=freeze), tmp_path, [record], max_epochs=3)
    trainer.save_checkpoint(tmp_path / "third.ckpt")
    assert [blocks_of(graded) for graded, _ in record.epochs] == [[], ["2"], ["1", "2"]]
    assert [blocks_of(training) for _, training in record.epochs] == [[], ["2"], ["1", "2"]]
    again, rest = fresh_learner(freeze=freeze), Record()
    fit(again, tmp_path, [rest], resume=tmp_path / "third.ckpt", max_epochs=5)
    assert [blocks_of(graded) for graded, _ in rest.epochs] == [["0", "1", "2"]] * 2
    embeddings = [any(n.startswith("tokenizers") for n in graded) for graded, _ in rest.epochs]
    assert embeddings == [False, True]


def test_a_resumed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    def learner():
        torch.manual_seed(0)
        return fresh_learner(freeze=Freeze(("core",), unfreeze_every=2))

    keeps = {"max_epochs": 4, "enable_checkpointing": True}
    whole, again = learner(), learner()
    fit(whole, tmp_path, max_epochs=4)
    with pytest.raises(CutError):
        fit(learner(), tmp_path, [Checkpoint(str(tmp_path)), Cut(3)], **keeps)
    fit(again, tmp_path, resume=tmp_path / "checkpoints/last.ckpt", max_epochs=4)
    expected, found = weights_of(whole), weights_of(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


class CutWithin(Callback):
    """Saves a run in the middle of an epoch of four steps, and ends it."""

    def on_train_batch_end(self, trainer, pl_module, *step):
        if trainer.global_step == 10:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "within.ckpt")
            raise CutError


@pytest.mark.parametrize("every", [None, 1])
def test_a_run_that_was_cut_within_an_epoch_goes_on_with_what_is_frozen(every, tmp_path):
    def learner():
        torch.manual_seed(0)
        return fresh_learner(BATCH, freeze=Freeze(blocks="0-2", unfreeze_every=every))

    whole, again = learner(), learner()
    fit(whole, tmp_path, max_epochs=3)
    with pytest.raises(CutError):
        fit(learner(), tmp_path, [CutWithin()], max_epochs=3)
    fit(again, tmp_path, resume=tmp_path / "within.ckpt", max_epochs=3)
    expected, found = weights_of(whole), weights_of(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_wrong_parts_are_named():
    assert block_numbers("0-2, 4", 6) == {1, 2, 3, 5}
    for text in ("0-6", "3-1", "top", "-1"):
        with pytest.raises(UserError, match=r"expected numbers from 0 to 5 .*found"):
            block_numbers(text, 6)
    with pytest.raises(UserError, match="neither parts nor blocks"):
        Freeze()


def test_a_misspelt_part_names_the_near_one(tmp_path):
    with pytest.raises(UserError, match=r"no part 'tokenisers'; did you mean tokenizers"):
        fit(fresh_learner(freeze=Freeze(("tokenisers",))), tmp_path)
    with pytest.raises(UserError, match="found all parts frozen"):
        fit(fresh_learner(freeze=Freeze(("core", "tokenizers", "tasks"))), tmp_path)


DDP = """
import sys
from functools import partial
from pathlib import Path
sys.path[:0] = [{here!r}, {above!r}]
import torch
from small_models import fresh_learner
from toys import make_data, make_trainer
from unitf.training.finetuning import Freeze
if __name__ == "__main__":
    processes = int(sys.argv[1])
    torch.manual_seed(0)
    learner = fresh_learner(
        dict(dim=32, depth=3, num_heads=2), freeze=Freeze(("core", "tokenizers"), unfreeze_every=1)
    )
    learner.optimizer = partial(torch.optim.SGD, lr=0.3)
    trainer = make_trainer(
        Path({folder!r}), max_epochs=5, limit_val_batches=0, devices=processes,
        limit_train_batches=2, strategy="ddp" if processes > 1 else "auto",
    )
    trainer.fit(learner, datamodule=make_data(batch_size=12 // processes))
    torch.save(learner.state_dict(), Path({folder!r}) / f"{{processes}}.{{trainer.global_rank}}.pt")
"""


@pytest.mark.slow
def test_two_processes_thaw_together(tmp_path):
    script = tmp_path / "ddp.py"
    script.write_text(DDP.format(here=str(HERE), above=str(HERE.parents[1]), folder=str(tmp_path)))
    for processes in ("1", "2"):
        subprocess.run(
            [sys.executable, str(script), processes], check=True, timeout=300, capture_output=True
        )
    names = ("1.0", "2.0", "2.1")
    one, two, other = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in names)
    for name, weight in one.items():
        if isinstance(weight, torch.Tensor):
            assert torch.allclose(weight, two[name], atol=1e-5), name
            assert torch.equal(two[name], other[name]), name
