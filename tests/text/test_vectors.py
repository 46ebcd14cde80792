"""Word vectors: their files' formats, the vocabulary they give, and what a checkpoint carries."""

import gzip
import io
import logging
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unitf_text import Words, WordVectors

from unitf import UserError
from unitf.testing import CHECKS, check_tokenizer
from unitf.tokenizer.token_embedding import EmbeddingTable

WIDTH = 12
RANDOM = np.random.default_rng(0)
VECTORS = {
    word: RANDOM.standard_normal(WIDTH).astype(np.float32)
    for word in ("the", "king", "queen", "naïve", "日本", "cat", "sat")
}
TEXTS = ["the king sat", "the dog barks", "naïve cat"]  # the file lacks dog and barks


def glove(vectors) -> bytes:
    lines = [" ".join([word, *map(str, vector.tolist())]) for word, vector in vectors.items()]
    return "".join(f"{line}\n" for line in lines).encode()


def fasttext(vectors) -> bytes:
    header = f"{len(vectors)} {len(next(iter(vectors.values())))}\n".encode()
    return header + glove(vectors).replace(b"\n", b" \n")


def word2vec(vectors, end=b"\n") -> bytes:
    header = f"{len(vectors)} {len(next(iter(vectors.values())))}\n".encode()
    return header + b"".join(w.encode() + b" " + v.tobytes() + end for w, v in vectors.items())


FORMATS = {
    "glove": glove,
    "fasttext": fasttext,
    "word2vec": word2vec,
    "binary without newlines": lambda vectors: word2vec(vectors, b""),
    "gzipped": lambda vectors: gzip.compress(word2vec(vectors)),
    "windows": lambda vectors: glove(vectors).replace(b"\n", b"\r\n"),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(glove(VECTORS))
    return path


def built(path, dim=WIDTH, unembed=False, **options) -> Words:
    settings = {name: options.pop(name) for name in ("freeze", "added_words") if name in options}
    tokenizer = Words(dim, vectors=WordVectors(str(path), **settings), **options)
    tokenizer.fit(TEXTS)
    tokenizer.build(unembed=unembed)
    return tokenizer


def row(tokenizer, word):
    return tokenizer.embedding.weight[tokenizer.token_names().index(word)].detach()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_vectors(kind, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(FORMATS[kind](VECTORS))
    found = WordVectors(str(path), added_words=-1).read([])
    assert list(found) == list(VECTORS)
    assert all(np.array_equal(found[word], VECTORS[word]) for word in VECTORS)
    assert list(WordVectors(str(path)).read({"cat", "dog"})) == ["cat"]
    assert list(WordVectors(str(path), added_words=2).read({"cat"})) == ["the", "king", "cat"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), width=st.integers(1, 40), spread=st.floats(1e-3, 1e3))
def test_a_binary_file_is_never_taken_for_text_nor_text_for_binary(
    seed, width, spread, tmp_path_factory
):
    numbers = np.random.default_rng(seed).normal(0, spread, (20, width)).astype(np.float32)
    vectors = {f"w{number}": vector for number, vector in enumerate(numbers)}
    path = tmp_path_factory.mktemp("vectors") / "file"
    for write in (word2vec, fasttext):
        path.write_bytes(write(vectors))
        found = WordVectors(str(path), added_words=-1).read([])
        assert all(np.array_equal(found[word], vectors[word]) for word in vectors)


def test_a_large_binary_file_is_read_in_pieces(tmp_path):
    numbers = RANDOM.standard_normal((9000, 60)).astype(np.float32)  # 2 MB
    path = tmp_path / "large.bin"
    path.write_bytes(word2vec({f"word{n}": vector for n, vector in enumerate(numbers)}))
    found = WordVectors(str(path)).read({"word0", "word4400", "word8999"})
    assert all(np.array_equal(found[f"word{n}"], numbers[n]) for n in (0, 4400, 8999))


def test_a_word_of_the_file_may_hold_spaces_and_stand_twice(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"the 1 2\n. . . 3 4\nthe 5 6\n")
    found = WordVectors(str(path), added_words=-1).read([])
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "the": [1, 2],
        ". . .": [3, 4],
    }


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "line 1: empty, expected a word and its vector"),
        (b"hello\n", "line 1: b'hello\\n', expected a word and its vector"),
        (b"the 1 2\nking 3\n", "line 2: 1 numbers after the word, expected 2"),
        (b"the 1 2\nking 3 4 5\n", "line 2: 3 numbers after the word, expected 2"),
        (b"the 1 2\nking 3 x\n", "line 2: could not convert string to float: b'x'"),
        (b"the 1 2\nking 3 nan\n", "line 2: a number that is not finite"),
        (b"3 2\nthe 1 2\nking 3 4\n", "line 4: the file ends after 2 words, expected 3"),
        (b"3 2\nthe 1 2\nking 3", "line 3: 1 numbers after the word, expected 2"),
        (word2vec(VECTORS)[:-9], "the file ends in word 7 of 7"),
        (b"5 999999999\nx", "line 1: the header says vectors of 999999999 numbers"),
        (gzip.compress(glove(VECTORS))[:-20], "Compressed file ended"),
    ],
)
def test_a_damaged_file_is_one_line_with_the_place(content, line, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        WordVectors(str(path)).read({"the", "king"})
    assert str(caught.value).startswith(f"vectors {path}: ")
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_one_line():
    with pytest.raises(UserError, match="vectors /nowhere: No such file or directory"):
        Words(8, vectors=WordVectors("/nowhere")).fit(TEXTS)


# ---- the table ---------------------------------------------------------------------------


def test_the_table_begins_with_the_vectors_at_the_usual_size(file):
    tokenizer, plain = built(file), Words(WIDTH)
    plain.fit(TEXTS)
    plain.build()
    known = [word for word in VECTORS if word in tokenizer.token_names()]
    assert known == ["the", "king", "naïve", "cat", "sat"]
    for word in known:
        cosine = torch.cosine_similarity(row(tokenizer, word), torch.tensor(VECTORS[word]), dim=0)
        assert cosine > 0.9999
    ratios = [row(tokenizer, w).norm() / np.linalg.norm(VECTORS[w]) for w in known]
    assert np.ptp(ratios) < 1e-5  # all by the same factor
    size = torch.stack([row(tokenizer, word) for word in known]).square().mean().sqrt()
    assert size == pytest.approx(plain.embedding.weight.square().mean().sqrt().item(), rel=0.3)
    assert tokenizer.embedding_projection is None


def test_it_is_said_how_many_words_the_file_lacks(file, caplog):
    with caplog.at_level(logging.WARNING):
        tokenizer = built(file)
    assert "2 of 7 words are not in it and begin randomly" in caplog.text
    assert row(tokenizer, "dog").norm() > 0
    assert not torch.equal(row(tokenizer, "dog"), row(tokenizer, "barks"))


def test_words_of_the_file_may_join_the_vocabulary(file):
    small, large = built(file), built(file, added_words=-1)
    assert small.encode("queen").values.tolist() == [small.unknown_id]
    assert large.vocabulary_size == small.vocabulary_size + 2  # queen and 日本
    assert large.encode("queen").values.item() == large.token_names().index("queen")
    assert large.token_names()[: small.vocabulary_size] == small.token_names()
    cosine = torch.cosine_similarity(row(large, "日本"), torch.tensor(VECTORS["日本"]), dim=0)
    assert cosine > 0.9999


def test_vectors_of_another_width_go_through_a_projection(file):
    tokenizer = built(file, dim=8, unembed=True)
    features = tokenizer.encode("the king")
    assert tokenizer(features).matrix.shape == (8, 2)
    assert tokenizer.embedding.weight.shape[1] == WIDTH
    assert tokenizer.unembed(tokenizer(features).matrix).shape == (tokenizer.vocabulary_size, 2)
    with pytest.raises(UserError, match=r"12 wide, but table.width is 5"):
        built(file, table=EmbeddingTable(width=5))


@pytest.mark.parametrize("freeze", [True, False])
def test_a_frozen_table_stays_as_it_is(file, freeze):
    tokenizer = built(file, dim=8, freeze=freeze)
    before = tokenizer.embedding.weight.detach().clone()
    trained = [p for p in tokenizer.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    tokenizer(tokenizer.encode("the king")).matrix.square().sum().backward()
    optimizer.step()
    assert torch.equal(tokenizer.embedding.weight, before) is freeze
    assert tokenizer.embedding_projection.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("freeze", [True, False])
def test_a_checkpoint_does_not_need_the_file(file, freeze):
    tokenizer = built(file, dim=8, freeze=freeze, added_words=1)
    content = io.BytesIO()
    torch.save(tokenizer.state_dict(), content)
    assert set(tokenizer.fitted) == {"tokenizer", "size", "special", "width"}  # not twice
    file.unlink()
    content.seek(0)
    fresh = Words(8, vectors=WordVectors(str(file), freeze=freeze, added_words=1))
    fresh.load_state_dict(torch.load(content, weights_only=True))
    features = tokenizer.encode("the king barks")
    assert torch.equal(fresh(features).matrix, tokenizer(features).matrix)
    assert fresh.embedding.weight.requires_grad is not freeze


@pytest.mark.parametrize("options", [{}, {"freeze": True, "added_words": -1}])
def test_vectors_keep_to_the_contract(file, options, monkeypatch):
    kept = {name: check for name, check in CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)
    check_tokenizer(Words, TEXTS, vectors=WordVectors(str(file), **options))


def test_a_file_of_other_words_is_one_line(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(struct.pack("2s", b"x ") + b"1 2\n")
    with pytest.raises(UserError, match="it holds none of 7 words"):
        Words(8, vectors=WordVectors(str(path))).fit(TEXTS)
