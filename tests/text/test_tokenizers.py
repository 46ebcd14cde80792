"""Every tokenizer of text: round trips, limits, bad input, and what a checkpoint carries."""

import io
import pickle
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unitf_text import Bytes, Characters, Subwords, Words
from unitf_text.text import UNKNOWN_MARK, TextTokenizer

from unitf import Features, UserError
from unitf.testing import check_tokenizer

TEXTS = [
    "A tale of two cities: it was the best of times, it was the worst of times.",
    "it wasn't the age of wisdom; it isn't the age of foolishness",
    "naïve café, 1859 — Ærøskøbing\n\tsecond line",
    "это было лучшее время 日本語 🙂",
    *TextTokenizer.examples(),
]
KINDS = {
    "bytes": (Bytes, {}),
    "characters": (Characters, {}),
    "words": (Words, {}),
    "bpe": (Subwords, {"vocabulary_size": 600}),
    "byte bpe": (Subwords, {"vocabulary_size": 400, "byte_level": True}),
    "wordpiece": (Subwords, {"algorithm": "wordpiece", "vocabulary_size": 600}),
    "unigram": (Subwords, {"algorithm": "unigram", "vocabulary_size": 600}),
    "byte unigram": (
        Subwords,
        {"algorithm": "unigram", "vocabulary_size": 400, "byte_level": True},
    ),
}
EXACT = ["bytes", "byte bpe", "byte unigram"]  # whatever the text, decoding gives it back
LOSSLESS = [*EXACT, "characters", "bpe", "unigram"]  # of what training texts were made of
LEARNED = [kind for kind in KINDS if kind != "bytes"]


def make(kind: str, **options) -> TextTokenizer:
    cls, settings = KINDS[kind]
    tokenizer = cls(16, **{**settings, **options})
    tokenizer.fit(TEXTS)
    return tokenizer


FITTED = {kind: make(kind) for kind in KINDS}
anything = st.text(min_size=1, max_size=40)  # no surrogates: hypothesis leaves them out by default
known = st.text(
    alphabet=sorted({c for t in TEXTS if isinstance(t, str) for c in t}), min_size=1, max_size=40
)


def ids(tokenizer: TextTokenizer, value, train: bool = False) -> list[int]:
    return tokenizer.encode(value, train).values.tolist()


@pytest.mark.parametrize("kind", ["bytes", "words", "bpe"])  # each starts an interpreter
def test_it_keeps_to_the_contract(kind):
    cls, options = KINDS[kind]
    check_tokenizer(cls, TEXTS, **options)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(text=anything)
def test_any_text_gives_ids_of_the_vocabulary_or_one_clear_line(kind, text):
    tokenizer = FITTED[kind]
    try:
        values = tokenizer.encode(text).values
    except UserError as error:
        assert kind in ("words", "wordpiece")  # they drop spaces and control characters
        assert "text without a token" in str(error)
        return
    assert values.dtype == torch.int64 and len(values) > 0
    assert values.min() >= 0 and values.max() < tokenizer.vocabulary_size
    assert isinstance(tokenizer.decode(Features(values)), str)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=200, deadline=None)
@given(text=anything)
def test_over_bytes_decoding_gives_any_text_back(kind, text):
    tokenizer = FITTED[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=200, deadline=None)
@given(text=known)
def test_decoding_gives_back_a_text_of_known_characters(kind, text):
    tokenizer = FITTED[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200, deadline=None)
@given(text=known)
def test_what_was_decoded_encodes_to_the_same_ids(kind, text):
    tokenizer = FITTED[kind]
    try:
        first = ids(tokenizer, text)
    except UserError:
        return  # nothing but spaces
    if tokenizer.unknown_id in first:
        return  # a word that training never saw
    assert ids(tokenizer, tokenizer.decode(Features(torch.tensor(first)))) == first


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_ids_that_a_model_made_up_decode_to_some_text(kind, seed):
    tokenizer = FITTED[kind]
    values = torch.randint(
        tokenizer.vocabulary_size, (20,), generator=torch.Generator().manual_seed(seed)
    )
    text = tokenizer.decode(Features(values))
    assert isinstance(text, str) and text.encode()  # some of them are no special tokens


def test_words_are_cut_as_in_the_penn_treebank():
    tokenizer = Words(16)
    tokenizer.fit(["it wasn't the age , ?", "isn't"])
    assert tokenizer.decode(tokenizer.encode("it wasn't  the age, isn't it?")) == (
        "it was n't the age , is n't it ?"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_read_as_utf8(kind):
    tokenizer = FITTED[kind]
    assert ids(tokenizer, TEXTS[2].encode()) == ids(tokenizer, TEXTS[2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("", "empty text"),
        (b"", "empty text"),
        (float("nan"), "expected text, found float nan"),
        (None, "expected text, found NoneType None"),
        ({"a": 1}, "expected text, found dict {'a': 1}"),
        (["a"], "expected text, found list ['a']"),
        (b"caf\xe9 noir", "expected UTF-8 text, found byte 0xe9 at byte 3"),
        ("x\ud800", "expected Unicode text, found half of a surrogate pair at character 1"),
    ],
)
def test_what_is_no_text_is_one_clear_line(kind, value, line):
    with pytest.raises(UserError) as caught:
        FITTED[kind].encode(value)
    assert str(caught.value) == line


def test_a_name_of_a_special_token_is_text_like_any_other():
    for kind in ("bpe", "byte bpe", "wordpiece", "unigram", "words"):
        tokenizer = FITTED[kind]
        for name in ("[MASK]", "[START]", "[END]"):
            assert not {1, 2, 3} & set(ids(tokenizer, f"it was {name} the best"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in EXACT])
def test_what_training_never_saw_is_unknown(kind):
    tokenizer = FITTED[kind]
    assert tokenizer.unknown_id in ids(tokenizer, "ஃ")
    if kind == "characters":
        assert tokenizer.decode(tokenizer.encode("caஃfé")) == f"ca{UNKNOWN_MARK}fé"


def test_rare_characters_and_words_can_be_left_unknown():
    tokenizer = Characters(16, min_count=2)
    tokenizer.fit(["aab"])
    assert ids(tokenizer, "ab") == [4, tokenizer.unknown_id]
    words = Words(16, min_count=2)
    words.fit(["one two two"])
    assert ids(words, "one two") == [words.unknown_id, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_makes_case_irrelevant(kind):
    tokenizer = make(kind, lowercase=True)
    assert ids(tokenizer, TEXTS[0].upper()) == ids(tokenizer, TEXTS[0])


@pytest.mark.parametrize("kind", KINDS)
def test_added_tokens_stand_at_the_ends_and_are_not_decoded(kind):
    plain, framed = FITTED[kind], make(kind, add_start=True, add_end=True)
    inner = ids(plain, TEXTS[0])
    assert ids(framed, TEXTS[0]) == [framed.start_id, *inner, framed.end_id]
    assert framed.decode(framed.encode(TEXTS[0])) == plain.decode(plain.encode(TEXTS[0]))
    special = {plain.start_id, plain.end_id, plain.mask_id}
    assert len(special) == 3 and not special & set(inner)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_is_an_error_or_cut(kind):
    inner = ids(FITTED[kind], TEXTS[0])
    fits = make(kind, max_tokens=len(inner) + 1, add_end=True)
    assert ids(fits, TEXTS[0])[:-1] == inner
    strict = make(kind, max_tokens=len(inner), add_end=True)
    with pytest.raises(UserError, match=f"{len(inner)} tokens, expected at most {len(inner) - 1}"):
        strict.encode(TEXTS[0])
    short = make(kind, max_tokens=5, truncate=True, add_start=True, add_end=True)
    assert ids(short, TEXTS[0]) == [short.start_id, *inner[:3], short.end_id]


@pytest.mark.parametrize("kind", KINDS)
def test_token_dropout_blanks_its_share_in_training_alone(kind):
    tokenizer = make(kind, token_dropout=0.3, add_end=True)
    blank = tokenizer.mask_id if kind == "bytes" else tokenizer.unknown_id
    clean = ids(tokenizer, TEXTS[0])
    torch.manual_seed(0)
    kept = changed = 0
    for _ in range(300):
        seen = ids(tokenizer, TEXTS[0], train=True)
        assert len(seen) == len(clean) and seen[-1] == tokenizer.end_id
        assert all(new in (old, blank) for new, old in zip(seen, clean, strict=True))
        changed += sum(new != old for new, old in zip(seen, clean, strict=True))
        kept += len(clean) - 1
    assert 0.27 < changed / kept < 0.33
    assert ids(tokenizer, TEXTS[0]) == clean


@pytest.mark.parametrize("cls", [Bytes, Characters])
def test_noise_mistypes_in_training_alone(cls):
    tokenizer = cls(16, noise=0.1)
    tokenizer.fit(TEXTS)
    random.seed(0)
    seen = {tokenizer.decode(tokenizer.encode(TEXTS[0], train=True)) for _ in range(20)}
    assert len(seen) > 15
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_is_enough(kind):
    tokenizer = make(kind)
    tokenizer.build(unembed=True)
    file = io.BytesIO()
    torch.save(tokenizer.state_dict(), file)
    file.seek(0)
    cls, options = KINDS[kind]
    fresh = cls(16, **options)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for other in (fresh, pickle.loads(pickle.dumps(tokenizer))):
        for text in TEXTS:
            assert ids(other, text) == ids(tokenizer, text)
        features = tokenizer.encode(TEXTS[0])
        assert torch.equal(other(features).matrix, tokenizer(features).matrix)


@pytest.mark.parametrize("kind", LEARNED)
def test_before_fit_it_says_so_and_after_fit_it_has_a_size(kind):
    cls, options = KINDS[kind]
    tokenizer = cls(16, **options)
    assert tokenizer.vocabulary_size is None
    with pytest.raises(UserError, match="comes before encode"):
        tokenizer.encode("a")
    with pytest.raises(UserError, match="no text in the training data"):
        tokenizer.fit([float("nan"), "", None])
    tokenizer.fit(["", *TEXTS, float("nan")])  # what is no text is reported when it is encoded
    assert tokenizer.fitted == FITTED[kind].fitted
    assert tokenizer.vocabulary_size > 4


@pytest.mark.parametrize(
    ("cls", "options", "line"),
    [
        (Characters, {"noise": 1.0}, "noise must be at least 0 and less than 1, found 1.0"),
        (Words, {"token_dropout": -0.1}, "token_dropout must be"),
        (Bytes, {"truncate": True}, "truncate needs max_tokens"),
        (Bytes, {"max_tokens": 1, "add_end": True}, "leaves no room for text"),
        (Subwords, {"algorithm": "wordpiece", "byte_level": True}, "not for wordpiece"),
        (Subwords, {"algorithm": "unigram", "dropout": 0.1}, "it needs algorithm bpe"),
    ],
)
def test_settings_that_cannot_be_are_refused(cls, options, line):
    with pytest.raises(UserError, match=line):
        cls(16, **options)
