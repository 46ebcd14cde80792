"""Learning a vocabulary with the `tokenizers` library, so that the same texts give the same ids."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from unitf import UserError
from unitf_text.text import SPECIAL

_IDS = {"unknown": 0, "start": 1, "end": 2, "mask": 3}
# a word, a number or a run of punctuation, each with the space before it; other spaces alone
_PIECES = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"

# a word or a run of punctuation; English contractions as in the Penn Treebank: "is n't", "it 's"
_WORDS = r"(?i)\w+(?=n['’]t\b)|n['’]t\b|\w+|['’](?:s|re|ve|ll|d|m)\b|[^\w\s]+"


def learn(
    algorithm: str, texts: list[str], size: int, byte_level: bool = False, min_count: int = 2
) -> tuple[str, dict[str, int | None]]:
    """Returns a tokenizer's JSON text, and the ids of unknown, start, end and mask.

    Args:
        algorithm: "words", "bpe", "wordpiece" or "unigram".
        texts: the training texts.
        size: the largest number of tokens, including the four special ones.
        byte_level: whether the alphabet is bytes instead of characters.
        min_count: how often a word, or a pair of pieces that is merged, must occur.
    """
    tokenizer = tokenizers.Tokenizer(_model(algorithm))
    _surround(tokenizer, algorithm, byte_level)
    alphabet: list[str] = []
    if byte_level:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    elif algorithm != "words":  # most of the vocabulary is for pieces, not for rare characters
        # WordPiece has both a and ##a
        most = size // 4 if algorithm == "wordpiece" else size // 2
        alphabet = _known_characters(texts, most)
        rare = set().union(*texts) - set(alphabet)
        if rare:
            blank = str.maketrans(dict.fromkeys(rare, " "))
            texts = [text.translate(blank) for text in texts]
    if size <= len(alphabet) + len(SPECIAL):
        raise UserError(
            f"vocabulary_size {size} is too small: {len(SPECIAL)} special tokens and "
            f"{len(alphabet)} characters come first"
        )
    trainer = _trainer(algorithm, size, alphabet, min_count)
    with _one_thread():
        try:
            tokenizer.train_from_iterator(texts, trainer=trainer)
        except Exception as error:  # the library raises nothing more precise
            raise UserError(f"learning a {algorithm} vocabulary of {size}: {error}") from error
    description = _in_fixed_order(json.loads(tokenizer.to_str()))
    return json.dumps(description, ensure_ascii=False), dict(_IDS)


def add_words(description: str, words: Iterable[str]) -> str:
    """Returns the JSON text of a word tokenizer with more words; known words keep their ids."""
    tokenizer = json.loads(description)
    vocabulary = tokenizer["model"]["vocab"]
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    return json.dumps(tokenizer, ensure_ascii=False)


def _model(algorithm: str) -> models.Model:
    if algorithm == "words":
        return models.WordLevel(unk_token="[UNK]")
    if algorithm == "wordpiece":
        return models.WordPiece(unk_token="[UNK]")
    if algorithm == "unigram":
        return models.Unigram()
    return models.BPE(unk_token="[UNK]")


def _surround(tokenizer: tokenizers.Tokenizer, algorithm: str, byte_level: bool) -> None:
    """Sets how text is split before the model, and how it is joined again."""
    if algorithm == "words":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    elif algorithm == "wordpiece":
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=False)
    elif byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:  # the first word is split like the others, and decoding is still exact
        tokenizer.normalizer = normalizers.Prepend(" ")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), "isolated")
        tokenizer.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def _known_characters(texts: list[str], most: int) -> list[str]:
    """Returns the most frequent characters in Unicode order."""
    counts = Counter()
    for text in texts:
        counts.update(text)
    return sorted(sorted(counts, key=lambda c: (-counts[c], c))[:most])


def _trainer(algorithm: str, size: int, alphabet: list[str], min_count: int) -> trainers.Trainer:
    if algorithm == "words":
        return trainers.WordLevelTrainer(
            vocab_size=size,
            min_frequency=min_count,
            special_tokens=SPECIAL,
            show_progress=False,
        )
    if algorithm == "unigram":
        return trainers.UnigramTrainer(
            vocab_size=size,
            special_tokens=SPECIAL,
            unk_token="[UNK]",
            initial_alphabet=alphabet,
            show_progress=False,
        )
    pieces = {"bpe": trainers.BpeTrainer, "wordpiece": trainers.WordPieceTrainer}[algorithm]
    # the library numbers ##a, ##b, … by its hash table's order, which differs from run to run,
    # and breaks ties by number: listing them first fixes both
    inner = [f"##{c}" for c in alphabet] if algorithm == "wordpiece" else []
    return pieces(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=SPECIAL + inner,
        initial_alphabet=alphabet,
        show_progress=False,
    )


def _in_fixed_order(description: dict[str, Any]) -> dict[str, Any]:
    """Sorts the entries whose order depends on the library's hash tables."""
    description["added_tokens"] = description["added_tokens"][: len(SPECIAL)]
    model = description["model"]
    if model["type"] == "Unigram":
        first, rest = model["vocab"][: len(SPECIAL)], model["vocab"][len(SPECIAL) :]
        # characters that were pruned come back in steps of 1e-4 from the lowest score, in any
        # order; other scores carry the rounding error of a sum in any order
        floor = min(score for _, score in rest)
        scores = {
            piece: round(floor if _is_step(piece, score, floor) else score, 6)
            for piece, score in rest
        }
        rest = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        model["vocab"] = first + [[piece, score] for piece, score in rest]
    return description


def _is_step(piece: str, score: float, floor: float) -> bool:
    steps = (score - floor) / 1e-4
    return len(piece) == 1 and steps < 10_001 and abs(steps - round(steps)) < 1e-6


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs the library without threads; else it would warn in every forked data worker."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
