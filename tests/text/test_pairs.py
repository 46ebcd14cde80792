"""Pairs of texts as one sequence of two segments, and single texts beside them."""

import pytest
import torch
from unitf_text import Bytes, Words

from unitf import Features, Transformer, TransformerConfig, UserError
from unitf.testing import check_tokenizer

VALUES = [("the cat sat", "on a mat"), "alone", ["is it so", b"yes"]]
FRAME = {"add_start": True, "add_end": True, "num_segments": 2}
START, END = Bytes.start_id, Bytes.end_id


def test_a_pair_is_start_a_end_b_end_and_knows_its_segments():
    features = Bytes(8, **FRAME).encode(("ab", "c"))
    assert features.values.tolist() == [START, 97, 98, END, 99, END]
    assert features.positions.tolist() == [[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 1, 1]]
    single = Bytes(8, **FRAME).encode("ab")
    assert single.positions.tolist() == [[0, 1, 2, 3], [0, 0, 0, 0]]


@pytest.mark.parametrize("cls", [Bytes, Words])
@pytest.mark.parametrize("positions", ["additive", "learned", "sinusoidal"])
def test_pairs_keep_to_the_contract(cls, positions, monkeypatch):
    from unitf.testing import CHECKS

    kept = {name: check for name, check in CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    values = [tuple(value) if isinstance(value, list) else value for value in VALUES]
    check_tokenizer(cls, values, position_embedding=positions, max_tokens=30, **FRAME)


def test_a_pair_is_decoded_to_a_pair():
    tokenizer = Bytes(8, **FRAME)
    assert tokenizer.decode(tokenizer.encode(["ab", "c"])) == ("ab", "c")
    assert tokenizer.decode(tokenizer.encode("ab")) == "ab"
    assert tokenizer.decode(Features(torch.tensor([97]))) == "a"  # as generation makes them


def test_additive_positions_of_a_pair_are_those_of_bert():
    tokenizer = Bytes(8, position_embedding="additive", max_tokens=9, **FRAME)
    tokenizer.build()
    features = tokenizer.encode(("ab", "c"))
    places, segments = tokenizer.position_embedding.tables
    expected = tokenizer.embedding(features.values) + places[:6] + segments[[0, 0, 0, 0, 1, 1]]
    assert torch.allclose(tokenizer(features).rows, expected)


def test_one_segment_is_a_vector_added_to_every_token():
    tokenizer = Bytes(
        8, position_embedding="additive", max_tokens=9, num_segments=1, position_offset=2
    )
    tokenizer.build()
    places, segments = tokenizer.position_embedding.tables
    assert (len(places), len(segments)) == (11, 1)
    features = tokenizer.encode("ab")
    expected = tokenizer.embedding(features.values) + places[2:4] + segments
    assert torch.allclose(tokenizer(features).rows, expected)
    with pytest.raises(UserError, match="expected text, found list"):
        tokenizer.encode(["ab", "c"])


@pytest.mark.parametrize(
    ("pair", "cut"),
    [
        (("aaaaaaaa", "bb"), ("aaaa", "bb")),  # the longer one loses first
        (("aa", "bbbbbbbb"), ("aa", "bbbb")),
        (("aaaaaaaa", "bbbbbbbb"), ("aaa", "bbb")),
        (("aaa", "bbb"), ("aaa", "bbb")),
    ],
)
def test_a_pair_that_is_too_long_is_cut_where_it_is_longer(pair, cut):
    tokenizer = Bytes(8, max_tokens=9, truncate=True, **FRAME)
    features = tokenizer.encode(pair)
    assert tokenizer.decode(features) == cut
    assert features.num_tokens <= 9
    if pair != cut:
        with pytest.raises(UserError, match="tokens, expected at most 6"):
            Bytes(8, max_tokens=9, **FRAME).encode(pair)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (["a"], "expected a text or a pair of texts, found 1 of them"),
        (["a", ""], "empty text"),
        (["a", None], "expected text, found NoneType None"),
    ],
)
def test_what_is_no_pair_is_one_clear_line(value, line):
    with pytest.raises(UserError) as caught:
        Bytes(8, **FRAME).encode(value)
    assert str(caught.value) == line


def test_words_learn_from_both_texts_of_a_pair():
    tokenizer = Words(8, num_segments=2)
    tokenizer.fit([("one two", "three"), "four"])
    assert tokenizer.vocabulary_size == 4 + 4


def test_without_segments_a_rotary_core_sees_one_axis():
    config = TransformerConfig(dim=16, depth=1, num_heads=2, relative_positions="rotary")
    for segments, works in ((0, True), (1, False)):
        tokenizer = Bytes(16, position_embedding="none", num_segments=segments)
        tokenizer.build()
        tokens = tokenizer(tokenizer.encode("abc"))
        if works:
            assert Transformer(config)(tokens).num_tokens == 3
        else:
            with pytest.raises(UserError, match="2 position axes"):
                Transformer(config)(tokens)
