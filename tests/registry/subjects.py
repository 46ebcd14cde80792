"""A tokenizer that keeps to everything, and others that each break one thing."""

import torch

import unitf


class Good(unitf.Tokenizer):
    """Letters as ids, learned from the values."""

    def __init__(self, dim, extra=1):
        super().__init__(dim)
        self.extra = extra

    @property
    def vocabulary_size(self):
        return len(self.fitted["letters"]) + self.extra if self.fitted else None

    def fit(self, values):
        self.fitted = {"letters": "".join(sorted(set("".join(values))))}

    def encode(self, value, train=False):
        letters = self.fitted["letters"]
        ids = torch.tensor([letters.find(c) + 1 for c in value], dtype=torch.int64)
        if train:
            ids = ids[torch.rand(len(ids)) < 0.5]
        return unitf.Features(ids)

    def decode(self, features):
        return "".join(self.fitted["letters"][i - 1] for i in features.values)

    @staticmethod
    def examples():
        return ["", "a", "heart", "a long line of text"]


class Numbers(unitf.Tokenizer):
    """A matrix of two rows as it is."""

    num_features = 2

    def encode(self, value, train=False):
        return unitf.Features(value.clone())


class Above(Good):
    def encode(self, value, train=False):
        return unitf.Features(super().encode(value).values + 1)


class Whole(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value.long())


class Rows(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value[:1])


class Infinite(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value / 0)


class Axes(Numbers):
    num_axes = 2


class Silent(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value[:, :0])


class RowMajor(Numbers):
    def forward(self, features):
        tokens = super().forward(features)
        return unitf.Tokens(
            tokens.matrix.contiguous(), tokens.offsets, tokens.positions, tokens.lengths
        )


class Dead(Numbers):
    def make_parameters(self, unembed=False):
        super().make_parameters(unembed)
        self.forgotten = torch.nn.Parameter(torch.ones(3))


class Mixed(Numbers):
    def embed(self, features):
        return super().embed(features) / max(features.num_tokens, 1)


class Fragile(Numbers):
    def embed(self, features):
        assert features.num_tokens, "no tokens"
        return super().embed(features)


class Absent(Numbers):
    def embed(self, features):
        if not features.lengths:
            return torch.zeros(self.dim, 0)
        return super().embed(features)


class Short(Numbers):
    def embed(self, features):
        return super().embed(features) / (features.num_tokens < 1000)


class Lossy(Numbers):
    def loss(self, predicted, features):
        return super().loss(predicted, features).mean(0, keepdim=True)


class Reversed(Good):
    def decode(self, features):
        return super().decode(features)[::-1]


class Restless(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value + torch.rand(1))


class Greedy(Numbers):
    def encode(self, value, train=False):
        return unitf.Features(value.abs_() if value.min() < 0 else value.clone())


class Private(Numbers):
    def __init__(self, dim):
        super().__init__(dim)
        self.count = 0

    def encode(self, value, train=False):
        self.count += train
        return unitf.Features(value + self.count if train else value.clone())


class Forgetful(Numbers):
    def __init__(self, dim, scale=2.0):
        super().__init__(dim)
        self.scale = scale

    def configuration(self):
        return {**super().configuration(), "init_args": {"scale": 1.0}}

    def encode(self, value, train=False):
        return unitf.Features(value * self.scale)


class Unkept(Good):
    def get_extra_state(self):
        return {"fitted": {}, "built": None}


class Unpicklable(Numbers):
    def __init__(self, dim):
        super().__init__(dim)
        self.scale = lambda value: value
