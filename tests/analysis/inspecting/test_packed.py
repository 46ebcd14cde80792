"""What is shown of a packed batch is what the core reads, and what its kernels let through."""

from functools import partial

import numpy as np
import pytest
import torch
from toys import Beats, Waves, make_data, make_learner

from unitf import Learner, Tokens, TransformerConfig
from unitf.analysis.inspecting import batch_statistics, observe
from unitf.analysis.inspecting.masks import MASKED, Mask, paint
from unitf.tasks import SequenceToSequence


def ready(learner, **settings):
    """The learner, built, and its first training batch."""
    data = make_data(**{"batch_size": 6, **settings})
    learner.fit_components(data)
    learner.build_components()
    data.connect(learner.tokenizers, learner.tasks)
    return learner.eval(), next(iter(data.train_dataloader()))


def writer(prefix, **core) -> Learner:
    """Writes beats after waves."""
    tokenizer = {"waves": Waves, "beats": Beats}
    task = SequenceToSequence(["waves"], "beats", prefix=prefix)
    config = TransformerConfig(dim=16, depth=1, num_heads=2, **core)
    return Learner(config, tokenizer, {"write": task}, partial(torch.optim.AdamW, lr=1e-2))


LEARNERS = {
    "encoder": lambda: make_learner(depth=1),
    "causal": lambda: make_learner(depth=1, kind="decoder"),
    "window": lambda: make_learner(depth=1, window=1),
    "causal window": lambda: make_learner(
        depth=1, kind="decoder", window=2, relative_positions="alibi"
    ),
    "chunk": lambda: make_learner(depth=1, chunk=3),
    "prefix": lambda: writer(True, kind="decoder"),
    "encoder-decoder": lambda: writer(False, kind="encoder-decoder"),
}


def moved(tokens: Tokens, place: int) -> Tokens:
    rows = tokens.rows.clone()
    rows[place] += torch.randn(tokens.dim)
    return tokens.with_rows(rows)


@torch.no_grad()
def reached(run, tokens: Tokens) -> np.ndarray:
    """(N, M): whether the output of a token changes with another one's input."""
    plain = run(tokens).rows
    changes = [
        (run(moved(tokens, place)).rows - plain).abs().amax(1) > 1e-6
        for place in range(tokens.num_tokens)
    ]
    return torch.stack(changes, dim=1).numpy()


def shown(packed, kind: str, whole: bool = True) -> np.ndarray:
    """(N, M): who sees whom in the picture, a pixel a pair: by its colour."""
    [attention] = [one for one in packed.attentions if one.kind == kind]
    keys = packed if kind == "self" else packed.memory
    colours = np.linspace((0.1, 0.2, 0.3), (0.3, 0.1, 0.2), len(packed.names))
    image = paint(Mask(packed, keys, attention), range(len(packed.lengths)), colours, most=10**6)
    white = np.isclose(image, 1, atol=1e-4).all(-1)
    masked = np.isclose(image, MASKED, atol=1e-4).all(-1)
    expected = np.broadcast_to(colours[keys.columns][None], image.shape)
    seen = ~white & ~masked
    np.testing.assert_allclose(image[seen], expected[seen], atol=1e-4)
    inside = np.zeros_like(seen)
    for s in range(len(packed.lengths)):
        rows, columns = (slice(p.starts[s], p.starts[s + 1]) for p in (packed, keys))
        inside[rows, columns] = True
    np.testing.assert_array_equal(white, ~inside)
    return seen


@pytest.mark.parametrize("name", LEARNERS)
def test_the_mask_is_what_the_kernels_let_through(name):
    torch.manual_seed(0)
    learner, batch = ready(LEARNERS[name](), on_error="skip")
    *_, packed = observe(learner, batch)
    ((task, task_batch),) = batch.task_batches.items()
    given = learner.tasks[task].core_inputs(task_batch, learner._tokenizers)
    causal = learner.tasks[task].causal
    run = partial(learner.core, causal=causal, prefix=given.prefix)
    if given.memory is None:
        changed = reached(run, given.tokens)
        np.testing.assert_array_equal(shown(packed, "self"), changed)
    else:
        memory = learner.core.encode(given.memory)
        changed = reached(lambda tokens: learner.core.decode(given.tokens, tokens), memory)
        np.testing.assert_array_equal(shown(packed, "cross"), changed)
        changed = reached(lambda tokens: learner.core.decode(tokens, memory), given.tokens)
        np.testing.assert_array_equal(shown(packed, "self"), changed)


def test_every_token_is_told_the_column_that_it_comes_from():
    learner, batch = ready(make_learner())
    [packed] = observe(learner, batch)
    task_batch = batch.task_batches["speed"]
    expected = [
        column
        for number in range(task_batch.num_samples)
        for column in ("waves", "beats")
        for _ in range(task_batch.features[column].lengths[number])
    ]
    assert [packed.names[number] for number in packed.columns] == expected
    assert {"waves", "beats", "waves+beats"} == set(task_batch.modalities)


def test_a_start_is_learned_and_a_target_is_a_matrix_of_its_own():
    learner, batch = ready(writer(False, kind="encoder-decoder"), on_error="skip")
    source, target = observe(learner, batch)
    assert (source.name, target.name) == ("source", "target")
    assert {source.names[c] for c in source.columns} == {"waves"}
    firsts = target.columns[target.starts[:-1]]
    assert {target.names[c] for c in firsts} == {"learned"}
    assert sum(target.lengths_of(target.names.index("learned"))) == len(target.lengths)


def test_padding_is_what_a_count_by_hand_gives():
    learner, batch = ready(make_learner())
    figures = batch_statistics([(batch, observe(learner, batch))])
    features = batch.task_batches["speed"].features
    lengths = [w + b for w, b in zip(*(f.lengths for f in features.values()), strict=True)]
    assert figures["tokens"] == sum(lengths)
    assert figures["padded_tokens"] == len(lengths) * max(lengths)
    wasted = sum(max(lengths) - length for length in lengths)
    assert figures["padding_avoided"] == pytest.approx(wasted / (len(lengths) * max(lengths)))
    [matrix] = figures["matrices"]
    assert sum(column["tokens"] for column in matrix["columns"].values()) == sum(lengths)
    assert matrix["columns"]["waves"]["longest"] == max(features["waves"].lengths)
    assert matrix["columns"]["waves"]["positions"] == [[0.0, max(features["waves"].lengths) - 1.0]]


def test_a_smaller_picture_has_the_mean_of_the_larger():
    learner, batch = ready(make_learner(kind="decoder"), batch_size=8)
    [packed] = observe(learner, batch)
    mask = Mask(packed, packed, packed.attentions[0])
    colours = np.zeros((len(packed.names), 3))
    large, small = (paint(mask, range(8), colours, most) for most in (10**6, 7))
    pixels = np.arange(packed.num_tokens) * 7 // packed.num_tokens
    one = large[pixels == 2][:, pixels == 2].mean((0, 1))
    np.testing.assert_allclose(small[2, 2], one, atol=1e-5)
    assert small.shape == (7, 7, 3)


def test_looking_leaves_a_model_as_it_was():
    learner, batch = ready(make_learner())
    before = learner(batch)["speed"]
    observe(learner, batch)
    assert torch.equal(learner(batch)["speed"], before)
    assert all(stack.recorder is None for stack in learner.core.stacks)
