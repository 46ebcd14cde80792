"""Encoder: what reaches a task is what the samples say, and what is wrong is named."""

import numpy as np
import pytest
import torch
from parts import Letters, Numbers, fitted_task, samples

from unitf import Features, SampleError, UserError
from unitf.data import Encoder, Item
from unitf.data.seeding import seed_host

TOKENIZERS = {"numbers": Numbers(8), "letters": Letters(8)}


def encoder(inputs=("numbers", "letters"), **arguments):
    tokenizers = arguments.pop("tokenizers", TOKENIZERS)
    return Encoder(tokenizers, {"class": fitted_task(inputs)}, **arguments)


def item(sample, name="made/train[3]", **more):
    return Item(sample, name, **more)


def test_samples_that_lack_columns_bring_no_tokens_of_them():
    batch = encoder()(
        [
            item({"numbers": [1.0, 2.0], "label": 0}, "a"),
            item({"letters": "xyz", "numbers": None, "label": 1}, "b"),
            item({"letters": "q", "numbers": [3.0], "label": 1}, "c"),
        ]
    )
    view = batch.task_batches["class"]
    assert view.features["numbers"].lengths == (2, 0, 1)
    assert view.features["numbers"].values[0].tolist() == [1, 2, 3]
    assert view.features["letters"].lengths == (0, 3, 1)
    assert view.modalities == ("numbers", "letters", "numbers+letters")
    assert view.names == ("a", "b", "c")
    assert view.target.tolist() == [0, 1, 1]
    assert batch.num_tokens == 7


def test_a_task_without_samples_has_empty_features_of_every_column():
    tasks = {"class": fitted_task(["numbers"]), "other": fitted_task(["letters"])}
    encode = Encoder(TOKENIZERS, tasks)
    for items in ([], [item({"numbers": [1.0], "label": 1})]):
        other = encode(items).task_batches["other"]
        assert other.num_samples == other.num_tokens == 0
        assert other.features["letters"].lengths == ()
        assert other.features["letters"].values.shape == (0,)
    assert encode([]).task_batches["class"].features["numbers"].values.shape == (2, 0)


def test_a_column_is_encoded_once_for_all_tasks():
    class Counting(Numbers):
        calls = 0

        def encode(self, value, train=False):
            self.calls += 1
            return super().encode(value, train)

    tokenizer = Counting(8)
    tasks = {"one": fitted_task(), "two": fitted_task()}
    batch = Encoder({"numbers": tokenizer}, tasks)([item(samples(1)[0])])
    assert tokenizer.calls == 1
    assert batch.task_batches["one"].num_samples == batch.task_batches["two"].num_samples == 1


def test_augmentation_depends_on_the_sample_and_the_epoch_alone():
    def values(index, epoch, seed=0, before=0):
        items = [item(s, index=90 + i, train=True) for i, s in enumerate(samples(before))]
        items.append(item({"numbers": [1.0], "label": 0}, index=index, epoch=epoch, train=True))
        torch.manual_seed(before)
        batch = encoder(["numbers"], seed=seed)(items)
        return float(batch.task_batches["class"].features["numbers"].values[0, -1])

    assert values(5, 1) == values(5, 1, before=3)
    assert len({values(5, 1), values(5, 2), values(6, 1), values(5, 1, seed=1)}) == 4


def test_the_process_keeps_its_own_random_state():
    def draws():
        return torch.rand(2).tolist(), np.random.rand()  # beartype itself draws from random

    encode = encoder(["numbers"])
    seed_host(3)
    expected = draws()
    seed_host(3)
    encode([item(samples(1)[0], train=True)])
    assert draws() == expected


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"letters": "é", "label": 0}, "letters: Letters.encode gave id 233, expected 0 to 127"),
        ({"letters": "", "label": 0}, "letters: Letters found nothing to make a token of"),
        ({"numbers": [1.0, float("nan")], "label": 0}, "numbers: .* not finite"),
        ({"numbers": [], "label": 0}, "found nothing"),
        ({"numbers": "text", "label": 0}, "numbers: 'text' is not a list of numbers"),
        ({"numbers": [1.0], "label": 7}, "unknown class 7"),
        ({"numbers": [1.0]}, "no target column label; the sample has numbers"),
        ({"numbers": [1.0], "label": None}, "label is empty; `data.on_error: skip` leaves"),
        (
            {"number": [1.0], "label": 1},
            "no input column numbers or letters; the sample has number",
        ),
        ({}, "the sample has no column"),
    ],
)
def test_a_bad_sample_is_named_or_skipped_and_counted(sample, message):
    good = item({"numbers": [1.0], "letters": "ab", "label": 1}, "good")
    with pytest.raises(SampleError, match=rf"^made/train\[3\]: .*{message}"):
        encoder()([good, item(sample)])
    batch = encoder(on_error="skip")([good, item(sample), good])
    assert batch.task_batches["class"].names == ("good", "good")
    assert batch.task_batches["class"].target.tolist() == [1, 1]
    assert len(batch.skipped) == 1
    assert batch.skipped[0].startswith("made/train[3]: ")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (torch.zeros(2, 3), "gave Tensor, expected Features"),
        (
            Features(torch.zeros(2, 3, dtype=torch.float64)),
            "gave float64 2×3, expected float32 2×N",
        ),
        (Features(torch.zeros(3, 2)), "gave float32 3×2, expected float32 2×N"),
        (Features(torch.zeros(3, dtype=torch.int64)), "gave int64 3, expected float32 2×N"),
        (Features(torch.zeros(2, 3), torch.zeros(2, 3)), "positions float32 2×3, expected 1×3"),
        (Features(torch.zeros(2, 3), torch.full((1, 3), torch.inf)), "positions .* not finite"),
        (Features(torch.zeros(2, 9)), "9 tokens of Wrong, expected at most 8"),
    ],
)
def test_what_a_tokenizer_returns_is_checked(made, message):
    class Wrong(Numbers):
        def encode(self, value, train=False):
            return made

    with pytest.raises(SampleError, match=message):
        encoder(["numbers"], tokenizers={"numbers": Wrong(8, max_tokens=8)})([item(samples(1)[0])])


def test_a_mistake_in_a_tokenizer_is_no_bad_sample():
    class Broken(Numbers):
        def encode(self, value, train=False):
            raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        encoder(["numbers"], tokenizers={"numbers": Broken(8)}, on_error="skip")(
            [item(samples(1)[0])]
        )


def test_unlabelled_samples_are_for_prediction():
    encode = encoder(labelled=False)
    view = encode([encode.item(4, {"letters": "ab"})]).task_batches["class"]
    assert view.target is None
    assert view.num_samples == 1


def test_an_input_without_a_tokenizer_is_an_error():
    with pytest.raises(UserError, match="names the tokenizer 'number'; did you mean numbers"):
        encoder(["number"])
