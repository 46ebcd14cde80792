"""Steps that are measured are those of training; operations are counted by hand."""

import pytest
import torch
from toys import make_data, make_learner, make_trainer

from unitf import Tokens, TransformerConfig
from unitf.analysis.measuring.peak_memory import is_memory_error, largest_fitting
from unitf.analysis.measuring.step_times import PARTS, Stepper
from unitf.analysis.measuring.work import count_flops
from unitf.core import Transformer
from unitf.training.callbacks.prepared import run_prepared

SETTINGS = {"max_steps": 3, "gradient_clip_val": 0.1, "limit_val_batches": 0}


def made():
    torch.manual_seed(0)
    return make_learner()


def measured(folder, **settings):
    """Three steps, and the learner after them."""
    learner, trainer = made(), make_trainer(folder, **{**SETTINGS, **settings})

    def take():
        stepper = Stepper(trainer, learner)
        return [stepper() for _ in range(3)]

    return run_prepared(trainer, learner, make_data(), take), learner


@pytest.mark.parametrize(
    "settings", [{}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}], ids=str
)
def test_a_measured_step_trains_as_lightning_does(tmp_path, settings):
    _, ours = measured(tmp_path, **settings)
    theirs = made()
    make_trainer(tmp_path, **{**SETTINGS, **settings}).fit(theirs, make_data())
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}], ids=str)
def test_the_parts_of_a_step_are_disjoint_and_cover_it(tmp_path, settings):
    for step in measured(tmp_path, **settings)[0]:
        assert set(step.parts) == set(PARTS)
        assert sum(step.parts.values()) == pytest.approx(step.seconds)
        assert all(seconds > 0 for seconds in step.parts.values())


def test_a_step_counts_samples_tokens_and_padding(tmp_path):
    [first, *_], learner = measured(tmp_path)
    data = make_data()
    data.connect(learner.tokenizers, learner.tasks)
    batch = next(iter(data.train_dataloader()))
    features = batch.task_batches["speed"].features.values()
    lengths = [sum(both) for both in zip(*(f.lengths for f in features), strict=True)]
    assert (first.samples, first.tokens) == (batch.num_samples, batch.num_tokens)
    assert (first.columns, first.padded) == (sum(lengths), len(lengths) * max(lengths))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [(4, 4), (2, 9), (1, 3, 30)])
def test_only_pairs_that_see_each_other_count(causal, lengths):
    dim, depth, hidden = 16, 2, 40
    config = TransformerConfig(dim=dim, depth=depth, num_heads=2, hidden_dim=hidden)
    core = Transformer(config)
    rows = torch.randn(sum(lengths), dim, requires_grad=True)

    def loss():
        return core(Tokens.from_rows(rows, lengths), causal=causal).matrix.square().sum()

    weights = depth * (3 * dim * dim + dim * dim + 2 * dim * hidden)
    pairs = sum(n * (n + 1) // 2 if causal else n * n for n in lengths)
    attention = depth * 2 * pairs * 2 * dim  # scores, and sums of values
    assert count_flops(core, loss) == 3 * (2 * weights * sum(lengths) + attention)
    assert all(stack.recorder is None for stack in core.stacks)


@pytest.mark.parametrize("first", [1, 16, 1000])
@pytest.mark.parametrize("limit", [1, 3, 100, 777, 4096])
def test_the_largest_batch_fits_and_hardly_more_would(first, limit):
    tried = []

    def fits(samples):
        tried.append(samples)
        return samples if samples <= limit else 0

    found, everything = largest_fitting(fits, first)
    assert found <= limit < found + max(1, found // 16) + 1
    assert not everything and len(tried) == len(set(tried))


def test_where_all_samples_fit_the_search_ends():
    assert largest_fitting(lambda samples: min(samples, 96), 16) == (96, True)


def test_where_not_one_sample_fits_it_is_said():
    assert largest_fitting(lambda samples: 0, 16) == (0, False)


def test_memory_errors_are_told_from_others():
    assert is_memory_error(MemoryError())
    assert is_memory_error(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_memory_error(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_memory_error(ValueError("out of memory"))
