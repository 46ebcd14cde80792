"""Small models of words and pictures whose attention is looked at."""

import numpy as np
import torch

import unitf
from unitf import Features, Learner, Tokenizer, TransformerConfig
from unitf.tasks import Classification, SequenceToSequence
from unitf.tokenizer.token_embedding import Prefix

DIM = 16


class Letters(Tokenizer):
    """A letter a token; 0 begins a text and 1 ends it."""

    vocabulary_size = 28
    start_id, end_id = 0, 1

    def encode(self, value, train=False):
        return Features(torch.tensor([ord(letter) - 95 for letter in value]))

    def decode(self, features):
        return "".join(chr(number + 95) for number in features.values.tolist() if number > 1)

    def token_names(self):
        return ["<s>", "</s>", *map(chr, range(97, 123))]


class Squares(Tokenizer):
    """A picture (H, W) as its pixels."""

    num_features = 1
    num_axes = 2

    def encode(self, value, train=False):
        rows, columns = np.indices(value.shape)
        places = torch.from_numpy(np.stack([rows.ravel(), columns.ravel()])).float()
        return Features(torch.from_numpy(value.ravel()[None].astype(np.float32)), places)


class Nameless(Letters):
    """Ids that nobody has named."""

    def token_names(self):
        return Tokenizer.token_names(self)


for made in (Letters, Squares, Nameless):
    unitf.register(made)

PICTURE = np.arange(6).reshape(2, 3)
WRITERS = {
    "memory": ("encoder-decoder", {}),
    "memory, start token": ("encoder-decoder", {"start": "tokenizer"}),
    "prefix": ("decoder", {"prefix": True}),
    "prefix, start token": ("decoder", {"prefix": True, "start": 0}),
}


def tokenizers(**prefix):
    return {
        "text": lambda dim: Letters(dim, position_embedding="none", **prefix),
        "picture": lambda dim: Squares(dim, position_embedding="none"),
    }


def make(tasks, kind="encoder", prefix=0, **core):
    torch.manual_seed(0)
    config = {"dim": DIM, "depth": 2, "num_heads": 2, "kind": kind, "relative_positions": "rotary"}
    config = {**config, "position_axes": 2, **core}
    options = {"prefix": Prefix(prefix)} if prefix else {}
    learner = Learner(TransformerConfig(**config), tokenizers(**options), tasks)
    learner.build_components()
    with torch.no_grad():
        for parameter in learner.core.parameters():
            parameter.mul_(5 if parameter.ndim > 1 else 1)
    return learner.eval()


def reader(pooling="class_token", **settings):
    task = Classification(["text", "picture"], "kind", ["a", "b"], pooling)
    return make({"kind": task}, **settings)


def writer(name, **settings):
    kind, options = WRITERS[name]
    task = SequenceToSequence(["text", "picture"], "target", "text", **options)
    return make({"write": task}, kind, **settings)
