"""A task that keeps to everything, and others that each break one thing."""

import torch
from torch import nn
from torchmetrics import MeanMetric, MetricCollection

import unitf
from unitf.tasks import TaskMetrics

SAMPLES = [
    {"text": "hello", "more": [0.1, 0.2, 0.3, 0.4], "value": 3.0},
    {"text": "a", "more": [1.0, -1.0], "value": -1.0},
    {"text": "some words", "value": 0.5},
    {"text": "zebra", "more": None, "value": 2.0},
    {"more": [0.5, 0.5, 0.5, 0.0], "value": 1.0},
]


class Good(unitf.Task):
    """A number for each sample, from the mean of its columns."""

    loss_per_sample = True
    monitor = "error"

    def __init__(self, inputs, target, weight=1.0, scale=2.0):
        super().__init__(inputs, target, weight)
        self.scale = scale

    def fit(self, samples):
        values = [float(sample[self.target]) for sample in samples]
        self.fitted = {"mean": sum(values) / len(values)}

    def make_parameters(self, dim):
        self.linear = nn.Linear(dim, 1)

    def encode_target(self, sample):
        try:
            return torch.tensor(float(sample[self.target]) - self.fitted["mean"])
        except TypeError as error:
            raise unitf.UserError(f"expected a number, found {type(error).__name__}") from None

    def outputs(self, columns, batch, tokenizers):
        means = [part.rows.mean(0) for part in columns.split()]
        rows = torch.stack(means) if means else columns.rows[:0]
        return self.linear(rows)[:, 0] * self.scale

    def losses(self, output, batch, tokenizers):
        return (output - batch.target).square() if batch.num_samples else output

    def metrics(self):
        return MetricCollection({"error": MeanMetric()})

    def update_metrics(self, metrics, output, batch, tokenizers, sequences):
        if len(sequences):
            metrics["error"].update((output - batch.target)[list(sequences)].abs())

    def predict(self, output, batch, tokenizers):
        return [{"value": value + self.fitted["mean"]} for value in output.tolist()]


class Empty(Good):
    def collate(self, targets):
        return torch.stack(targets)


class Changes(Good):
    def encode_target(self, sample):
        sample["value"] += 1.0
        return super().encode_target(sample)


class Infinite(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers) / 0.0


class Scalar(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers).mean()


class Fewer(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers)[1:]


class Unstated(Good):
    loss_per_sample = False

    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers).repeat(2)


class Detached(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output.detach(), batch, tokenizers)


class Idle(Good):
    def make_parameters(self, dim):
        super().make_parameters(dim)
        self.forgotten = nn.Parameter(torch.ones(3))


class Blind(Good):
    def outputs(self, columns, batch, tokenizers):
        return self.linear(torch.ones(batch.num_samples, columns.matrix.shape[0]))[:, 0]


class Absent(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers) if batch.num_samples else torch.zeros(0)


class Padded(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers) if batch.num_samples else torch.zeros(1)


class Tensors(Good):
    def predict(self, output, batch, tokenizers):
        return [{"value": value} for value in output]


class OneForAll(Good):
    def predict(self, output, batch, tokenizers):
        return super().predict(output, batch, tokenizers)[:1]


class NeedsTarget(Good):
    def predict(self, output, batch, tokenizers):
        target = batch.target if batch.num_samples else 0
        return [{"value": value} for value in (output + 0 * target).tolist()]


class Mixed(Good):
    def outputs(self, columns, batch, tokenizers):
        found = super().outputs(columns, batch, tokenizers)
        return found + (found.detach().mean() if len(found) > 1 else 0.0)


class Shared(Good):
    def __init__(self, inputs, target):
        super().__init__(inputs, target)
        self._own = MetricCollection({"error": MeanMetric()})

    def metrics(self):
        return self._own


class WholeView(Good):
    def update_metrics(self, metrics, output, batch, tokenizers, sequences):
        if len(sequences):
            metrics["error"].update((output - batch.target)[1:].abs())
            metrics["error"].update(torch.tensor(float(len(sequences))))


class Monitored(Good):
    monitor = "accuracy"


class TakesAll(Good):
    def accepts(self, sample, labelled=True):
        return True


class TakesUntold(Good):
    def accepts(self, sample, labelled=True):
        return super().accepts(sample, labelled=False)


class Careless(Good):
    def encode_target(self, sample):
        return torch.tensor(float(sample[self.target]) - self.fitted["mean"])


class Swallows(Good):
    def encode_target(self, sample):
        value = sample[self.target]
        return torch.tensor(value if isinstance(value, float) else 0.0)


class Stubborn(Good):
    def losses(self, output, batch, tokenizers):
        return super().losses(output, batch, tokenizers) * 1e-6 + 1.0


class Forgetful(Good):
    def configuration(self):
        arguments = super().configuration()["init_args"]
        return {**super().configuration(), "init_args": {**arguments, "scale": 1.0}}


class Unkept(Good):
    def get_extra_state(self):
        return {**super().get_extra_state(), "fitted": {"mean": 0.0}}


class Mute(Good):
    @property
    def can_generate(self):
        return True


class Unpicklable(Good):
    def __init__(self, inputs, target):
        super().__init__(inputs, target)
        self.function = lambda value: value


class Private(Good):
    """What it gives depends on the process that it runs in."""

    def encode_target(self, sample):
        import os

        return super().encode_target(sample) + os.getpid() * 1e-6


class NoTensor(Good):
    def encode_target(self, sample):
        super().encode_target(sample)
        return int(sample[self.target])


class Unconstructed(Good):
    def __init__(self, inputs, target):
        self.scale = 2.0


class NoneTarget(Good):
    def losses(self, output, batch, tokenizers):
        return (output - batch.target).square()


class DictMetrics(Good):
    def metrics(self):
        return {"error": MeanMetric()}


class ByName(Good):
    def metrics(self):
        return TaskMetrics({"error": MeanMetric()})


class ManyIdle(Good):
    def make_parameters(self, dim):
        super().make_parameters(dim)
        self.idle = nn.ParameterList([nn.Parameter(torch.ones(1)) for _ in range(18)])
