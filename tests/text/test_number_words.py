"""NumberWords: honest splits of plausible samples."""

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unitf_text import NumberWords
from unitf_text.spellings import (
    RELATIVES,
    SHORTEST,
    edits,
    has_relative,
    letters,
    meanings,
    spellings_of,
    splits,
    words,
)
from unitf_text.typing_errors import mistype

from unitf import UserError

NOWHERE = Path("nowhere")  # the source needs no file
SAMPLES = {split: NumberWords().read(split, NOWHERE) for split in ("train", "validation", "test")}


def keys(split: str) -> set[str]:
    return {key for key, part in splits().items() if part == split}


def test_there_are_many_languages_and_spellings():
    assert len(words()) >= 150
    complete = [name for name, digits in words().items() if all(digits)]
    assert len(complete) >= 130
    assert len(meanings()) > 1900
    assert len(keys("test")) > 180 and len(keys("validation")) > 50


def test_samples_are_words_and_digits_in_equal_shares():
    for split, size in (("train", 5000), ("validation", 500), ("test", 1000)):
        samples = SAMPLES[split]
        assert len(samples) == size
        assert set(Counter(sample["digit"] for sample in samples).values()) == {size // 10}
        assert all(sample["text"] and sample.keys() == {"text", "digit"} for sample in samples)


def test_no_sample_of_test_or_validation_has_the_letters_of_training():
    seen = {letters(sample["text"]) for sample in SAMPLES["train"]}
    for split in ("validation", "test"):
        written = {letters(sample["text"]) for sample in SAMPLES[split]}
        assert not written & seen
        assert not written & keys("train")
        assert not seen & keys(split)


def test_no_text_means_another_digit():
    for samples in SAMPLES.values():
        for sample in samples:
            assert meanings().get(letters(sample["text"]), sample["digit"]) == sample["digit"]
    assert meanings()["ba"] is None and "ba" not in splits()


def test_a_spelling_is_held_out_only_if_its_relatives_give_it_away():
    train = keys("train")
    for key in random.Random(0).sample(sorted(keys("test") | keys("validation")), 40):
        distances = sorted(
            (edits(key, other), meanings()[other] != meanings()[key]) for other in train
        )
        assert len(key) >= SHORTEST
        assert not any(wrong for _, wrong in distances[:RELATIVES])
        assert distances[RELATIVES - 1][0] <= len(key) // 3


def test_what_the_documentation_says_of_polish_is_so():
    assert [splits()[key] for key in ("siedym", "siedem", "sedem")] == ["test", "train", "train"]


def test_held_out_spellings_are_of_every_digit_and_do_not_depend_on_the_seed():
    count = Counter(meanings()[key] for key in keys("test"))
    assert min(count[digit] for digit in range(10)) >= 8
    other = NumberWords(seed=1, noise=0.0).read("test", NOWHERE)
    assert {letters(sample["text"]) for sample in other} <= keys("test")
    assert other != NumberWords(seed=2, noise=0.0).read("test", NOWHERE)


def test_training_draws_nearly_every_spelling_and_those_without_relatives_less_often():
    clean = NumberWords(noise=0.0).read("train", NOWHERE)
    count = Counter(letters(sample["text"]) for sample in clean)
    related = {key for key in keys("train") if has_relative(key)}
    lonely = keys("train") - related
    assert sum(key in count for key in related) > 0.95 * len(related)
    assert sum(key in count for key in lonely) > 0.5 * len(lonely)
    often = sum(count[key] for key in related) / len(related)
    assert 3 < often / (sum(count[key] for key in lonely) / len(lonely)) < 5
    assert not has_relative("egy") and has_relative("siedem")


def test_a_sample_depends_on_seed_split_and_index_alone():
    again = NumberWords().read("test", NOWHERE)
    assert again == SAMPLES["test"]
    fewer = NumberWords(sizes={"train": 5000, "test": 30}).read("test", NOWHERE)
    assert fewer == SAMPLES["test"][:30]


def test_case_varies_and_letters_are_mistyped():
    texts = [sample["text"] for sample in SAMPLES["train"]]
    for is_case in (str.islower, str.isupper, str.istitle):
        assert sum(map(is_case, texts)) > 300
    mistyped = sum(letters(text) not in meanings() for text in texts)
    assert 0.05 < mistyped / len(texts) < 0.2
    assert not any(letters(text) not in meanings() for text in texts if len(text) < SHORTEST - 1)


def test_columns_and_sizes_are_as_configured():
    source = NumberWords(column="word", target="number", sizes={"train": 10})
    assert source.splits() == ["train"]
    assert source.read("train", NOWHERE)[7].keys() == {"word", "number"}
    assert source.read("test", NOWHERE) == []
    with pytest.raises(UserError, match="no split 'tests', expected train"):
        NumberWords(sizes={"tests": 1})
    with pytest.raises(UserError, match="expected 0 to 1, found 2"):
        NumberWords(noise=2.0)


def test_the_same_letters_in_two_splits_are_never_the_same_group():
    home = defaultdict(set)
    for split in ("train", "validation", "test"):
        for groups in spellings_of(split):
            for group in groups:
                assert len({letters(word) for word in group}) == 1
                home[letters(group[0])].add(split)
    assert all(len(found) == 1 for found in home.values())


@settings(max_examples=500, deadline=None)
@given(text=st.text(min_size=1, max_size=30), share=st.floats(0, 0.99), seed=st.integers(0, 999))
def test_typing_errors_never_empty_a_text_nor_invent_strange_characters(text, share, seed):
    typed = mistype(text, share, random.Random(seed))
    assert typed == mistype(text, share, random.Random(seed))
    assert 1 <= len(typed) <= 2 * len(text)
    strange = set(typed.lower()) - set(text.lower()) - set("qwertyuiopasdfghjklzxcvbnm")
    assert not strange
    assert mistype(text, 0.0, random.Random(seed)) == text


def test_typing_errors_are_as_frequent_as_asked_for():
    text = "the quick brown fox jumps over the lazy dog " * 50
    typed = mistype(text, 0.1, random.Random(0))
    rng = random.Random(0)
    assert 0.05 < edits(text[:600], mistype(text[:600], 0.1, rng)) / 600 < 0.2
    assert typed != text


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=6), st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_is_a_distance(a, b, c):
    assert edits(a, b) == edits(b, a)
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, c) <= edits(a, b) + edits(b, c)
    assert edits("kitten", "sitting") == 3
