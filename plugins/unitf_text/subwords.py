"""Words and Subwords: text as learned or published pieces."""

import logging
import random
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
import torch

from unitf import Column, Proposal, UserError
from unitf_text.bpe_dropout import merge_ranks, segment_with_dropout
from unitf_text.recognised_texts import propose_subwords, propose_words
from unitf_text.subword_training import add_words, learn
from unitf_text.text import SPECIAL, TextTokenizer, check_probability
from unitf_text.vectors import WordVectors

log = logging.getLogger(__name__)
Algorithm = Literal["bpe", "wordpiece", "unigram"]


class Pieces(TextTokenizer):
    """A tokenizer of the `tokenizers` library, stored as JSON text; a subclass writes `fit`."""

    read_special: bool = False

    def keep(self, description: str, special: dict[str, int | None]) -> None:
        """Stores the JSON text and the ids of unknown, start, end and mask in `fitted`."""
        for name, wanted in (("start", self.add_start), ("end", self.add_end)):
            if wanted and special[name] is None:
                raise UserError(f"this tokenizer has no {name} token to add (add_{name})")
        size = open_pieces(description).get_vocab_size()
        self.fitted = {"tokenizer": description, "size": size, "special": special}

    @property
    def vocabulary_size(self) -> int | None:
        """V, the number of ids; None before `fit`."""
        return self.fitted.get("size")

    @property
    def unknown_id(self) -> int | None:
        """The id of unknown tokens; None: there is none."""
        return self.fitted.get("special", {}).get("unknown")

    @property
    def start_id(self) -> int | None:
        """The id of the start token; None: there is none."""
        return self.fitted.get("special", {}).get("start")

    @property
    def end_id(self) -> int | None:
        """The id of the end token; None: there is none."""
        return self.fitted.get("special", {}).get("end")

    @property
    def mask_id(self) -> int | None:
        """The id of the mask token; None: there is none."""
        return self.fitted.get("special", {}).get("mask")

    def token_names(self) -> list[str]:
        tokenizer = open_pieces(self.fitted["tokenizer"])
        return [tokenizer.id_to_token(i) or "" for i in range(tokenizer.get_vocab_size())]

    def segment(self, text: str, train: bool) -> list[int]:
        return self._encoded(text).ids

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        return self._encoded(text).offsets

    def _encoded(self, text: str) -> tokenizers.Encoding:
        tokenizer = open_pieces(self.fitted["tokenizer"], self.read_special)
        return tokenizer.encode(text, add_special_tokens=False)

    def join(self, ids: list[int]) -> str:
        return open_pieces(self.fitted["tokenizer"]).decode(ids, skip_special_tokens=False)


class Words(Pieces):
    """One token per word or run of punctuation; a word that is not frequent enough is unknown.

    English contractions are split as in the Penn Treebank ("is n't", "it 's"); `decode` puts one
    space between words.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        vocabulary_size: the largest number of words; the most frequent ones are kept.
        min_count: how often a word must occur in the training data.
        vectors: published word vectors with which the table is initialised; the table has their
            width, and a linear projection brings it to D.
        options: the options of TextTokenizer.
    """

    searched: Mapping[str, object] = {
        "token_dropout": {"low": 0.0, "high": 0.4},
        "min_count": [1, 2, 3],
    }

    def __init__(
        self,
        dim: int,
        vocabulary_size: int = 20_000,
        min_count: int = 1,
        vectors: WordVectors | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        self.limit = vocabulary_size
        self.min_count = min_count
        self.vectors = vectors

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises a column of texts of words."""
        return propose_words(column)

    def fit(self, values: Iterable[object]) -> None:
        self.keep(*learn("words", self.readable(values), self.limit, min_count=self.min_count))
        if self.vectors is not None:
            self._read_vectors(self.vectors)

    def _read_vectors(self, vectors: WordVectors) -> None:
        """Reads the vectors of the words, and adds words of the file to the vocabulary."""
        description, special = self.fitted["tokenizer"], self.fitted["special"]
        ids = open_pieces(description).get_vocab(with_added_tokens=False)
        words = ids.keys() - set(SPECIAL)
        vectors_by_word = vectors.read(words)
        if not vectors_by_word:
            raise UserError(f"vectors {vectors.path}: it holds none of {len(words):,} words")
        rows = torch.from_numpy(np.stack(list(vectors_by_word.values())))
        if self.table.width not in (None, rows.shape[1]):
            raise UserError(
                f"vectors {vectors.path}: {rows.shape[1]} wide, but table.width is "
                f"{self.table.width}"
            )
        missing = len(words - vectors_by_word.keys())
        if missing:
            log.warning(
                "vectors %s: %s of %s words are not in it and begin randomly",
                vectors.path,
                f"{missing:,}",
                f"{len(words):,}",
            )
        self.keep(add_words(description, vectors_by_word), special)
        ids = open_pieces(self.fitted["tokenizer"]).get_vocab(with_added_tokens=False)
        rows_of_words = torch.tensor([ids[word] for word in vectors_by_word])
        self.fitted |= {"width": rows.shape[1], "vectors": {"places": rows_of_words, "rows": rows}}

    @property
    def embedding_dim(self) -> int:
        return self.fitted.get("width") or super().embedding_dim

    def make_parameters(self, unembed: bool = False) -> None:
        super().make_parameters(unembed)
        table: Any = self.embedding
        # popped, because from now on a checkpoint has the vectors in the table
        if (published := self.fitted.pop("vectors", None)) is not None:
            with torch.no_grad():
                # scaled to the size of a random table, so that other tokenizers' settings apply
                size = (table.weight.square().mean() / published["rows"].square().mean()).sqrt()
                table.weight[published["places"]] = published["rows"] * size.nan_to_num(posinf=1.0)
        if self.vectors is not None and self.vectors.freeze:
            table.requires_grad_(False)


class Subwords(Pieces):
    """Frequent words as one token, rare words as pieces; learned from training data or published.

    Learned BPE and Unigram keep every space, so that decoding returns the text, except for
    characters that training never saw (byte-level: exactly the text). WordPiece loses spaces.

    Args:
        dim: D, the width of a token; the core's configuration gives it.
        algorithm: BPE (Sennrich et al., 2016), WordPiece (Schuster and Nakajima, 2012) or
            Unigram (Kudo, 2018).
        vocabulary_size: the largest number of learned pieces.
        byte_level: BPE and Unigram over UTF-8 bytes, in which nothing is unknown (as GPT-2).
        pretrained: hub name or local folder of a published tokenizer; `fit` then needs no data.
            Its template is not used: `add_start` and `add_end` set the tokens around a text.
        read_special: whether the name of a special token in a text ("[MASK]") is that token; else
            it is text like any other.
        dropout: BPE-dropout (Provilkov et al., 2020): the probability that a merge is skipped in
            training, so that a word is split in a new way each time.
        options: the options of TextTokenizer.
    """

    def __init__(
        self,
        dim: int,
        algorithm: Algorithm = "bpe",
        vocabulary_size: int = 8_000,
        byte_level: bool = False,
        pretrained: str | None = None,
        read_special: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(dim, **options)
        check_probability("dropout", dropout)
        if byte_level and algorithm == "wordpiece":
            raise UserError("byte_level is for bpe and unigram, not for wordpiece")
        if dropout and pretrained is None and algorithm != "bpe":
            raise UserError(f"dropout is BPE-dropout: it needs algorithm bpe, found {algorithm}")
        self.algorithm: Algorithm = algorithm
        self.limit = vocabulary_size
        self.byte_level = byte_level
        self.pretrained = pretrained
        self.read_special = read_special
        self.dropout = dropout

    @classmethod
    def recognise(cls, column: Column) -> Proposal | None:
        """Recognises a column of texts, above all one that a model must write."""
        return propose_subwords(column)

    def fit(self, values: Iterable[object]) -> None:
        if self.pretrained is not None:
            self.keep(*_published(self.pretrained))
        else:
            texts = self.readable(values)
            self.keep(*learn(self.algorithm, texts, self.limit, byte_level=self.byte_level))
        if self.dropout:
            merge_ranks(self.fitted["tokenizer"])  # raises if it has no merges

    def segment(self, text: str, train: bool) -> list[int]:
        if not (train and self.dropout):
            return super().segment(text, train)
        tokenizer = open_pieces(self.fitted["tokenizer"])
        ranks = merge_ranks(self.fitted["tokenizer"])
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        words = [text]
        if tokenizer.pre_tokenizer is not None:
            words = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        pieces = (
            piece
            for word in words
            for piece in segment_with_dropout(word, ranks, self.dropout, random)
        )
        ids = (tokenizer.token_to_id(piece) for piece in pieces)
        known = (self.unknown_id if i is None else i for i in ids)
        return [i for i in known if i is not None]


@lru_cache(maxsize=16)
def open_pieces(description: str, read_special: bool = False) -> tokenizers.Tokenizer:
    """Returns the tokenizer of a JSON text; cached, so that modules only pickle plain data."""
    tokenizer = tokenizers.Tokenizer.from_str(description)
    tokenizer.encode_special_tokens = not read_special
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _published(name: str) -> tuple[str, dict[str, int | None]]:
    """Returns the JSON text of a published tokenizer and the ids of its special tokens."""
    from transformers import AutoTokenizer

    if name.startswith((".", "/", "~")) and not Path(name).expanduser().is_dir():
        raise UserError(f"pretrained: no such folder: {name}")
    try:
        published = AutoTokenizer.from_pretrained(
            str(Path(name).expanduser()), trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"pretrained: no tokenizer {name!r} on the hub or as a folder: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if getattr(published, "backend_tokenizer", None) is None:
        raise UserError(f"pretrained: {name!r} has no fast tokenizer (tokenizer.json)")

    def first_id(*kinds: str) -> int | None:
        ids = (getattr(published, f"{kind}_token_id") for kind in kinds)
        return next((i for i in ids if i is not None), None)

    special = {
        "unknown": first_id("unk"),
        "start": first_id("cls", "bos"),
        "end": first_id("sep", "eos"),
        "mask": first_id("mask"),
    }
    return published.backend_tokenizer.to_str(), special
