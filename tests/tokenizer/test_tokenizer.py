"""The Tokenizer's defaults: what a plugin of one method gets for free."""

import pytest
import torch

from unitf import Features, Tokenizer, UserError
from unitf.tokenizer.position_embedding import (
    CubicPositions,
    InterpolatedPositions,
    LearnedPositions,
    SinusoidalPositions,
)


class Signal(Tokenizer):
    num_features = 4

    def encode(self, value, train=False):
        return Features(value)


class Letters(Tokenizer):
    def encode(self, value, train=False):
        return Features(torch.tensor([self.fitted["letters"].index(c) for c in value]))

    def fit(self, values):
        self.fitted = {"letters": sorted(set("".join(values)))}

    @property
    def vocabulary_size(self):
        return len(self.fitted["letters"]) if self.fitted else None


def test_a_state_dict_restores_what_was_fitted_and_built():
    letters = Letters(8)
    letters.fit(["hello", "world"])
    letters.build(unembed=True)
    fresh = Letters(8)
    fresh.load_state_dict(letters.state_dict())
    features = fresh.encode("low")
    assert torch.equal(fresh(features).matrix, letters(letters.encode("low")).matrix)
    assert fresh.fitted == letters.fitted


@pytest.mark.parametrize("training", [True, False])
def test_what_is_built_is_in_training_where_its_owner_is(training):
    made = Signal(8).train(training)
    made.build(unembed=True)
    assert {module.training for module in made.modules()} == {training}


def test_unembed_of_ids_is_the_transposed_table():
    letters = Letters(8, position_embedding="none")
    letters.fit(["abc"])
    letters.build(unembed=True)
    logits = letters.unembed(letters(letters.encode("ab")).matrix)
    table = letters.embedding.weight
    assert torch.allclose(logits, table @ table[:2].mT)
    assert len(list(letters.parameters())) == 1


def test_ids_and_sinusoidal_positions_begin_at_the_same_size():
    torch.manual_seed(0)
    letters = Letters(256)
    letters.fit(["abcdefghijklmnopqrstuvwxyz"])
    letters.build(unembed=True)
    features = letters.encode("thequickbrownfox")
    embedded = letters.embed(features)
    waves = letters.position_embedding(features.positions)
    assert 0.9 < embedded.norm() / (waves.norm() * 2**0.5) < 1.1
    assert 0.9 < letters.unembed(torch.randn(256, 100)).std() < 1.1  # logits begin at size 1


def test_loss_is_cross_entropy_for_ids_and_squared_error_for_numbers():
    letters = Letters(8)
    ids = Features(torch.tensor([2, 0]))
    logits = torch.randn(3, 2)
    expected = torch.stack([-logits[:, i].log_softmax(0)[t] for i, t in enumerate([2, 0])])
    assert torch.allclose(letters.loss(logits, ids), expected)
    numbers = Features(torch.zeros(4, 2))
    assert torch.allclose(
        Signal(8).loss(torch.full((4, 2), 3.0), numbers), torch.tensor([9.0, 9.0])
    )


def test_unembedding_is_made_only_where_a_task_wants_it():
    plain, both = Signal(8), Signal(8)
    plain.build()
    both.build(unembed=True)
    with pytest.raises(UserError, match="without the way back"):
        plain.unembed(torch.zeros(8, 2))
    assert both.unembed(torch.zeros(8, 2)).shape == (4, 2)


def test_an_embed_of_the_wrong_shape_is_named():
    class Wrong(Signal):
        def embed(self, features):
            return super().embed(features)[:3]

    wrong = Wrong(8)
    wrong.build()
    with pytest.raises(UserError, match=r"Wrong.embed gave 3×2, expected D×N = 8×2"):
        wrong(Features(torch.zeros(4, 2)))


def test_a_tokenizer_says_ids_or_numbers():
    class Neither(Signal):
        num_features = None

    with pytest.raises(UserError, match=r"either num_features .* or vocabulary_size"):
        Neither(8).build()


def test_learned_positions_need_a_size():
    with pytest.raises(UserError, match="max_tokens"):
        Signal(8, position_embedding="learned").build()


def test_sinusoidal_positions_follow_the_formula():
    positions = torch.tensor([[0.0, 1.0, 2.5]])
    waves = SinusoidalPositions(6)(positions)
    for row, position in zip(waves, positions[0], strict=True):
        for pair in range(3):
            angle = position / 10_000 ** (pair / 3)
            assert torch.allclose(row[pair], angle.sin())
            assert torch.allclose(row[3 + pair], angle.cos())


def test_sinusoidal_axes_do_not_touch_each_other():
    waves = SinusoidalPositions(10, num_axes=2)
    one, two = waves(torch.tensor([[1.0, 1.0], [5.0, 9.0]]))
    changed = (one != two).nonzero().flatten().tolist()
    assert changed == [4, 5, 6, 7]


def test_interpolated_positions_are_exact_on_the_grid_and_linear_between():
    learned = InterpolatedPositions(4, (3, 2))
    table = learned.table.reshape(3, 2, 4)
    got = learned(torch.tensor([[1.0, 0.5, 9.0, -3.0], [1.0, 0.25, 1.0, 0.0]]))
    assert torch.equal(got[0], table[1, 1])
    between = 0.75 * (table[0, 0] + table[1, 0]) / 2 + 0.25 * (table[0, 1] + table[1, 1]) / 2
    assert torch.allclose(got[1], between)
    assert torch.equal(got[2], table[2, 1])
    assert torch.equal(got[3], table[0, 0])


def test_cubic_positions_are_what_torch_makes_of_an_image():
    learned = CubicPositions(4, (5, 7))
    image = learned.table.reshape(1, 5, 7, 4).permute(0, 3, 1, 2)
    for size in ((5, 7), (8, 3), (2, 30)):
        expected = torch.nn.functional.interpolate(image, size, mode="bicubic")
        rows = (torch.arange(size[0]) + 0.5) * (5 / size[0]) - 0.5
        columns = (torch.arange(size[1]) + 0.5) * (7 / size[1]) - 0.5
        got = learned(torch.stack([rows.repeat_interleave(size[1]), columns.repeat(size[0])]))
        torch.testing.assert_close(got, expected[0].flatten(1).mT, rtol=1e-5, atol=1e-6)


def test_hidden_tokens_are_the_mask_column_where_they_stand():
    tokenizer = Signal(4, position_embedding="learned", max_tokens=3, mask_column=True)
    tokenizer.build()
    features = Features(torch.randn(4, 3))
    before, hidden = tokenizer(features).rows, torch.tensor([False, True, False])
    after = tokenizer(features, hidden).rows
    assert torch.equal(after[~hidden], before[~hidden])
    expected = tokenizer.mask_column + tokenizer.position_embedding.table[1]
    assert torch.equal(after[1], expected)
    plain = Signal(4)
    plain.build()
    with pytest.raises(UserError, match="it has no mask_column"):
        plain(features, hidden)


def test_learned_positions_are_a_lookup():
    learned = LearnedPositions(4, (5,))
    assert torch.equal(learned(torch.tensor([[3.0, 0.0]])), learned.table[[3, 0]])
