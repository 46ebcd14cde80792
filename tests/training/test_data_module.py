"""DataModule: every sample reaches a batch, and those that cannot are reported."""

import logging
import pickle
import re
from collections import Counter

import pytest
import torch
from parts import Letters, Listed, Numbers, data, samples

import unitf
from unitf import SampleError, UserError
from unitf.data.epoch_sampler import SampleIndex
from unitf.data.read_samples import same_samples
from unitf.data.sample_dataset import SampleDataset
from unitf.fitting import fit_components
from unitf.tasks import Classification, Regression
from unitf.training import DataModule


class Process:
    """What a DataModule asks of a trainer, as one of several processes."""

    num_training_batches = float("inf")

    def __init__(self, rank, world):
        self.global_rank, self.world_size = rank, world


def names(loader):
    return [name for batch in loader for name in batch.task_batches["class"].names]


@pytest.mark.parametrize("size", [{"batch_size": 4}, {"batch_size": None, "tokens_per_batch": 12}])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_is_validated_and_tested_once_by_two_processes(size, workers):
    source = Listed(train=samples(9), validation=samples(13), test=samples(5), test_hard=samples(2))
    seen, lengths = Counter(), []
    for rank in range(2):
        module = data(source, num_workers=workers, **size)
        module.trainer = Process(rank, 2)
        loaders = [*module.val_dataloader(), *module.test_dataloader()]
        assert module.test_splits == ["test", "test_hard"]
        lengths.append([len(list(loader)) for loader in loaders])
        seen.update(name for loader in loaders for name in names(loader))
    assert lengths[0] == lengths[1]
    assert len(seen) == 20
    assert set(seen.values()) == {1}


def test_training_shuffles_and_augments_and_validation_does_not():
    module = data(Listed(train=samples(30), validation=samples(30)))
    train = names(module.train_dataloader())
    assert train != sorted(train, key=lambda name: int(name[11:-1]))
    assert len(set(train)) == 30
    (loader,) = module.val_dataloader()
    values = torch.cat([b.task_batches["class"].features["numbers"].values[0] for b in loader])
    assert torch.equal(values, values.round())


def test_batches_keep_to_the_token_budget():
    module = data(Listed(train=samples(40)), batch_size=None, tokens_per_batch=17)
    sizes = [batch.num_tokens for batch in module.train_dataloader()]
    assert max(sizes) <= 17
    assert sum(sizes) == 120


def test_sources_mix_in_a_batch_by_weight():
    letters = [{"letters": "ab", "label": 1}] * 5
    sources = {"n": Listed(train=samples(95)), "l": Listed(train=letters)}
    tokenizers = {"numbers": Numbers(8), "letters": Letters(8)}
    module = data(sources, tokenizers, weights={"n": 1.0, "l": 3.0}, batch_size=20)
    batches = [batch.task_batches["class"].modalities for batch in module.train_dataloader()]
    counts = Counter(modality for batch in batches for modality in batch)
    assert counts == {"numbers": 25, "letters": 75}
    assert all(len(set(batch)) == 2 for batch in batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_sample_stops_the_run_in_one_line(workers):
    broken = [*samples(5), {"numbers": "five", "label": 1}]
    module = data(Listed(train=broken), num_workers=workers)
    message = r"^made/train\[5\]: numbers: 'five' is not a list of numbers$"
    with pytest.raises(SampleError, match=message):
        list(module.train_dataloader())


class Unreadable(list):
    """Samples of which one cannot be read."""

    def at(self, index, seed, epoch):
        if index == 3:
            raise OSError("disk on fire")
        return self[index]

    def name(self, index):
        return f"file{index}.txt"


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_samples_are_counted_and_reported_at_the_end(workers, caplog):
    broken = Unreadable([*samples(5), *[{"numbers": "bad", "label": 1}] * 30])
    module = data(Listed(train=broken), num_workers=workers, on_error="skip", batch_size=3)
    loader = module.train_dataloader()
    batches = [*loader, *loader]
    assert len(batches) == 24  # also those of which nothing is left
    assert sum(batch.num_samples for batch in batches) == 8
    messages = {message for batch in batches for message in batch.skipped}
    assert "file3.txt: disk on fire" in messages
    with caplog.at_level(logging.WARNING):
        module.teardown("fit")
    (record,) = caplog.records
    lines = record.getMessage().splitlines()
    assert lines[0] == "31 samples were left out (on_error: skip), 62 times in all:"
    assert len(lines) == 22
    assert lines[-1] == "  … and 11 more"
    assert all(line.startswith("  file") for line in lines[1:-1])
    module.teardown("fit")
    assert len(caplog.records) == 1


def test_a_batch_of_nothing_but_bad_samples_is_empty():
    module = data(Listed(train=[{"numbers": "x", "label": 1}]), on_error="skip")
    (batch,) = module.train_dataloader()
    assert batch.num_samples == 0
    assert batch.task_batches["class"].features["numbers"].lengths == ()
    assert len(batch.skipped) == 1


def test_loaders_reach_a_spawned_worker():
    module = data(Listed(train=samples(5)))
    loader = module.train_dataloader()
    dataset, collate = pickle.loads(
        pickle.dumps((loader._loader.dataset, loader._loader.collate_fn))
    )
    assert collate([dataset[next(iter(loader.order))[0]]]).num_samples == 1


class Ages(list):
    """Samples with an age, of which one cannot be read."""

    def name(self, index):
        if index == 2:
            raise OSError("disk on fire")
        return ""


def ages(*given):
    return [{"numbers": [1.0, 2.0], "age": age} for age in given]


class FirstNumber(Numbers):
    """Learns the largest first number."""

    def fit(self, values):
        self.fitted = {"largest": max(self.encode(value).values[0, 0].item() for value in values)}


def fit_on(listed, task, on_error="skip"):
    tokenizer = FirstNumber(8)
    module = DataModule({"made": Listed(train=listed)}, batch_size=2, on_error=on_error)
    fit_components({"numbers": tokenizer}, {"task": task}, module)
    return tokenizer.fitted, task.fitted


@pytest.mark.parametrize("given", [[1.0, 3.0, "n/a", 5.0], ["n/a", 1.0, 3.0, [2.0, 2.0], 5.0]])
def test_with_skip_a_task_learns_from_the_targets_that_are_some(given):
    expected = fit_on(ages(1.0, 3.0, 5.0), Regression(["numbers"], "age"))
    assert fit_on(ages(*given), Regression(["numbers"], "age")) == expected


def test_with_skip_a_task_learns_the_classes_that_are_some():
    _, learned = fit_on(ages("old", 1.5, "young", "old"), Classification(["numbers"], "age"))
    assert learned == {"classes": ["old", "young"]}


def test_with_skip_nothing_is_learned_from_samples_that_cannot_be_read_or_encoded():
    listed = ages(1.0, 3.0, 700.0, 5.0)
    listed.append({"numbers": "five", "age": 3.0})
    known, learned = fit_on(Ages(listed), Regression(["numbers"], "age"))
    assert known == {"largest": 1.0}
    assert learned["mean"] == [3.0]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (ages(1.0, "n/a"), "made/train[1]: target 'age': expected a finite number or a list"),
        (ages(1.0, [1.0, 2.0]), "made/train[1]: target 'age': expected 1 numbers as in the first"),
        (Ages(ages(1.0, 2.0, 3.0)), "made/train[2]: disk on fire"),
        ([{"numbers": "five", "age": 1.0}], "made/train[0]: 'five' is not a list of numbers"),
    ],
    ids=["no number", "several numbers", "unreadable", "no list"],
)
def test_what_cannot_be_learned_from_is_named(listed, message):
    with pytest.raises(SampleError, match=f"^{re.escape(message)}"):
        fit_on(listed, Regression(["numbers"], "age"), on_error="raise")


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_what_is_wrong_with_all_samples_together_names_none(on_error):
    message = r"^model.tasks.task: target 'age': expected two or more different classes"
    with pytest.raises(UserError, match=message):
        fit_on(ages("old", "old"), Classification(["numbers"], "age"), on_error)


def test_without_test_and_validation_samples_there_is_nothing_to_predict():
    with pytest.raises(UserError, match="found no test or validation samples in made"):
        data(Listed(train=samples(5))).predict_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"held_out": 0.5}, "data.held_out: expected 0 or more, below 0.5, found 0.5"),
        ({"batch_size": 4, "tokens_per_batch": 9}, "give either batch_size or tokens_per_batch"),
        ({"batch_size": 0}, "at least 1; found batch_size 0"),
        ({"batch_size": 4, "weights": {"mad": 1.0}}, "source 'mad'; did you mean made?"),
        ({"batch_size": 4, "weights": {}}, "weights lack the source made"),
        (
            {"batch_size": 4, "weights": {"made": -1.0}},
            "data.weights.made: expected 0 or more, found -1.0",
        ),
        ({"batch_size": 4, "weights": {"made": 0.0}}, "no source has a weight above 0"),
        ({"tokens_per_batch": 4}, "a sample has 5 tokens, more than tokens_per_batch 4"),
        ({"batch_size": 4, "sources": {}}, "there is no source"),
        ({"batch_size": 4, "sources": {"test": Listed(test=samples(2))}}, "no training samples in"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_mistake_in_the_configuration_is_one_line(arguments, message):
    from parts import fitted_task

    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        module = DataModule(**({"sources": {"made": Listed(train=samples(9))}} | arguments))
        module.connect({"numbers": Numbers(8)}, {"class": fitted_task()})
        module.train_dataloader()


class Reads(unitf.Source):
    """A source that gives what it is told to, for every split."""

    def __init__(self, value):
        self.value = value

    def read(self, split, root):
        return self.value


@pytest.mark.parametrize(
    ("value", "found"),
    [(None, "None"), ({"text": ["a"]}, "dict"), ((s for s in ()), "generator"), ("ab", "str")],
)
def test_what_is_no_sequence_of_samples_is_refused_in_one_line(value, found):
    with pytest.raises(UserError, match=rf"^read\('train'\) of Reads: found {found}, expected a"):
        data(Reads(value)).train_dataloader()


def test_a_sample_that_is_no_dictionary_is_refused_with_its_name():
    class Tuples(list):
        def at(self, index, seed, epoch):
            return "a", 1

    item = SampleDataset("train", {"set": Tuples([{}])}, train=True)[SampleIndex(0, 0, 0)]
    assert (item.name, item.error) == (
        "set/train[0]",
        "found tuple, expected a dictionary of columns",
    )


def test_a_source_that_ignores_the_split_is_told(caplog):
    module = DataModule({"set": Reads([{"text": "a"}, {"text": "b"}])}, batch_size=1)
    assert module.samples("train") and module.samples("test")
    assert caplog.messages == [
        f"source set: the splits train and {split} have the same samples: "
        "does Reads.read use `split`?"
        for split in ("validation", "test")
    ]


def test_lists_of_equal_samples_are_the_same_samples_and_others_are_not():
    rows = [{"text": text} for text in "abc"]
    assert same_samples(rows, [{"text": text} for text in "abc"])
    assert not same_samples(rows, [{"text": text} for text in "abd"])
    assert not same_samples([], []) and not same_samples(rows, rows[:2])
