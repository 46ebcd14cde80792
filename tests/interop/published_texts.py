"""Folders as text models are published: small weights, a vocabulary of the family's kind."""

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from benchmarks.parity_cases.text_encoders import make
from unitf.interop.parity import randomise

CORPUS = [
    "The cat sat on the mat, and the dog sat on the log.",
    "Naïve cafés in Ærøskøbing don't open before 9 o'clock!",
    "It's 3.14 times as far from London to New York as to Rome.",
] * 3
TEXTS = [
    CORPUS[0],
    "a",
    "Naïve CAFÉS in Ærøskøbing",
    "don't  stop\nnow: 3.14 (again)",
    "日本語 🙂 unknown letters",
    "the cat " * 30,
]
PAIRS = [("the cat", "sat on the mat"), ("a dog on a log. " * 9, "why?"), ("why?", "a dog " * 30)]


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([text.lower() for text in CORPUS], trainer)
    return transformers.BertTokenizer(vocab=tokenizer.get_vocab(), model_max_length=20)


def byte_level(special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def roberta():
    import json

    made = json.loads(byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]).to_str())["model"]
    merges = [tuple(merge) for merge in made["merges"]]
    return transformers.RobertaTokenizer(vocab=made["vocab"], merges=merges)


def modernbert():
    tokenizer = byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {kind: f"[{kind.upper()}]" for kind in ("pad", "unk", "cls", "sep", "mask")}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{kind}_token": name for kind, name in names.items()}
    )


def unigram(cls, special):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special,
                                      unk_token="<unk>", show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(CORPUS, trainer)
    import json

    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    return cls(vocab=[tuple(entry) for entry in vocabulary])


def xlm_roberta():
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    return unigram(transformers.XLMRobertaTokenizer, special)


def albert():
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    return unigram(transformers.AlbertTokenizer, special)


TOKENIZERS = {
    "Bert": wordpiece,
    "DistilBert": wordpiece,
    "Electra": wordpiece,
    "Roberta": roberta,
    "XLMRoberta": xlm_roberta,
    "Albert": albert,
    "ModernBert": modernbert,
}


def publish(folder, family, head="Model", **options):
    """Writes weights and vocabulary; gives the model and its tokenizer."""
    tokenizer = TOKENIZERS[family]()
    special = {"pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer) + 3}
    if family == "ModernBert":
        special |= {"cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    published = randomise(make(family, head, **special, **options).eval())
    published.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return published, transformers.AutoTokenizer.from_pretrained(folder)
