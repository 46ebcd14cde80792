"""Subwords: what is learned is the same each time, published tokenizers, BPE-dropout."""

import json
import os
import random
import subprocess
import sys
from collections import Counter

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast
from unitf_text import Subwords, Words

from unitf import Features, UserError

WORDS = ["lower", "lowest", "newer", "newest", "wider", "widest", "new", "low", "slow", "slower"]
WORDS += ["slowest", "narrower", "1", "22", "-", "é", "ü"]
CORPUS = [
    " ".join(random.Random(seed).choices(WORDS, k=12)) + random.Random(seed).choice(".?!")
    for seed in range(60)
]
LEARN = f"""
import hashlib, json, random
from unitf_text import Subwords, Words
WORDS = {WORDS!r}
CORPUS = {CORPUS!r}
found = []
for options in (
    {{}},
    {{"byte_level": True}},
    {{"algorithm": "wordpiece"}},
    {{"algorithm": "unigram"}},
    {{"algorithm": "unigram", "byte_level": True}},
):
    tokenizer = Subwords(8, vocabulary_size=300, **options)
    tokenizer.fit(CORPUS)
    found.append(hashlib.sha256(json.dumps(tokenizer.fitted).encode()).hexdigest())
words = Words(8)
words.fit(CORPUS)
print(found + [hashlib.sha256(json.dumps(words.fitted).encode()).hexdigest()])
"""


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a tiny published WordPiece tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "best", "of", "time", "##s", "."]
    published = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
    published.save_pretrained(folder)
    return folder, published


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    """The folder of a tiny published byte-level BPE tokenizer that has no start nor mask."""
    folder = tmp_path_factory.mktemp("gpt")
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer=trainer)
    published = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")
    published.save_pretrained(folder)
    return folder, published


def ids(tokenizer, text, train=False):
    return tokenizer.encode(text, train).values.tolist()


def test_learning_gives_the_same_vocabulary_in_every_process():
    # the library's hash tables are ordered differently in every process
    runs = [
        subprocess.run(
            [sys.executable, "-c", LEARN], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    ]
    assert len(set(runs)) == 1


@pytest.mark.parametrize("algorithm", ["bpe", "wordpiece", "unigram"])
def test_the_vocabulary_has_at_most_the_size_that_was_asked_for(algorithm):
    for size in (100, 120):
        tokenizer = Subwords(8, algorithm=algorithm, vocabulary_size=size)
        tokenizer.fit(CORPUS)
        assert 30 < tokenizer.vocabulary_size <= size
    tokenizer = Subwords(8, algorithm=algorithm, vocabulary_size=4)
    with pytest.raises(UserError, match=r"4 is too small"):
        tokenizer.fit(CORPUS)


def test_a_larger_vocabulary_gives_fewer_tokens():
    lengths = []
    for size in (40, 60, 80):
        tokenizer = Subwords(8, vocabulary_size=size)
        tokenizer.fit(CORPUS)
        lengths.append(sum(len(ids(tokenizer, text)) for text in CORPUS))
    assert lengths == sorted(lengths, reverse=True) and lengths[0] > lengths[-1]


def test_frequent_words_come_first():
    tokenizer = Words(8, vocabulary_size=8)
    tokenizer.fit(["a a a a b b b c c d", "e"])
    assert tokenizer.vocabulary_size == 8
    assert ids(tokenizer, "a b c d e") == [4, 5, 6, 7, tokenizer.unknown_id]


def test_learning_leaves_the_environment_as_it_was(monkeypatch):
    for before in (None, "true"):
        if before is None:
            monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
        else:
            monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
        Words(8).fit(CORPUS)
        assert os.environ.get("TOKENIZERS_PARALLELISM") == before


# ---- published tokenizers ---------------------------------------------------------------


def test_a_published_tokenizer_gives_its_own_ids_without_data(bert):
    folder, published = bert
    tokenizer = Subwords(8, pretrained=str(folder), add_start=True, add_end=True)
    tokenizer.fit([])
    for text in ("the best of times.", "The  worst", "time"):
        assert ids(tokenizer, text) == published(text)["input_ids"]
    assert tokenizer.vocabulary_size == len(published) == 11
    found = (tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id, tokenizer.mask_id)
    assert found == (1, 2, 3, 4)
    assert tokenizer.decode(tokenizer.encode("The best times")) == "the best times"


def test_a_published_byte_level_tokenizer_gives_its_own_ids_and_the_text_back(gpt):
    folder, published = gpt
    tokenizer = Subwords(8, pretrained=str(folder))
    tokenizer.fit([])
    for text in (*CORPUS[:9], "näïve\n 日本"):
        assert ids(tokenizer, text) == published(text)["input_ids"]
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert (tokenizer.start_id, tokenizer.end_id, tokenizer.mask_id) == (None, 0, None)
    with pytest.raises(UserError, match="no start token"):
        Subwords(8, pretrained=str(folder), add_start=True).fit([])


def test_a_checkpoint_of_a_published_tokenizer_needs_no_folder(bert):
    folder, _ = bert
    tokenizer = Subwords(8, pretrained=str(folder))
    tokenizer.fit([])
    tokenizer.build()
    fresh = Subwords(8, pretrained="/nowhere")
    fresh.load_state_dict(tokenizer.state_dict())
    assert ids(fresh, "the best times") == ids(tokenizer, "the best times")


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="no such folder: /nowhere/at/all"):
        Subwords(8, pretrained="/nowhere/at/all").fit([])
    with pytest.raises(UserError, match="pretrained: no tokenizer") as caught:
        Subwords(8, pretrained=str(tmp_path)).fit([])
    assert "\n" not in str(caught.value)


# ---- BPE-dropout ------------------------------------------------------------------------


@pytest.mark.parametrize("byte_level", [False, True])
def test_bpe_dropout_cuts_anew_each_time_and_keeps_the_text(byte_level):
    tokenizer = Subwords(8, vocabulary_size=400, byte_level=byte_level, dropout=0.2)
    tokenizer.fit(CORPUS)
    random.seed(0)
    for text in CORPUS[:5]:
        seen = [ids(tokenizer, text, train=True) for _ in range(20)]
        assert len(set(map(tuple, seen))) > 10
        assert all(tokenizer.decode(Features(torch.tensor(found))) == text for found in seen)
        assert min(map(len, seen)) >= len(ids(tokenizer, text))
        assert len({tuple(ids(tokenizer, text)) for _ in range(5)}) == 1


def test_bpe_dropout_of_almost_nothing_is_plain_bpe(gpt):
    folder, _ = gpt
    for options in ({"vocabulary_size": 200}, {"pretrained": str(folder)}):
        tokenizer = Subwords(8, dropout=1e-12, **options)
        tokenizer.fit(CORPUS)
        for text in (*CORPUS, "an unknown ж"):
            assert ids(tokenizer, text, train=True) == ids(tokenizer, text)


def test_bpe_dropout_leaves_out_each_merge_with_its_probability():
    tokenizer = Subwords(8, vocabulary_size=12, dropout=0.25)
    tokenizer.fit(["ab ab"])  # " a" or "ab" first, then " ab": two merges
    random.seed(0)
    counts = Counter(len(ids(tokenizer, "ab", train=True)) for _ in range(4000))
    learned = json.loads(tokenizer.fitted["tokenizer"])["model"]["merges"]
    assert len(learned) == 2
    # in the text " ab" only the first merge is possible at first: left out, three pieces stay
    assert abs(counts[3] / 4000 - 0.25) < 0.03
    assert abs(counts[2] / 4000 - 0.75 * 0.25) < 0.03


def test_dropout_of_what_is_no_bpe_is_refused(bert):
    folder, _ = bert
    with pytest.raises(UserError, match="it needs a plain BPE tokenizer, found WordPiece"):
        Subwords(8, pretrained=str(folder), dropout=0.1).fit([])
