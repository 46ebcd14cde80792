"""Out-of-fold figures: each training sample measured once, by the model that was not shown it."""

from collections.abc import Iterable, Sequence
from itertools import islice

import torch
from lightning.pytorch.strategies import SingleDeviceStrategy

from unitf.data.encoder import Encoder, Item
from unitf.ensemble import Ensemble
from unitf.inference import evaluating
from unitf.model import Model
from unitf.training.metric_board import MetricBoard
from unitf.training.results import SplitResults


@torch.inference_mode()
def out_of_fold(
    ensemble: Ensemble, parts: Sequence[Iterable[Item]], batch_size: int = 64
) -> SplitResults:
    """Returns the figures over the samples of all parts, each by one member.

    Args:
        ensemble: the members.
        parts: for each member the samples that were held out from its training.
        batch_size: the number of samples in a batch.
    """
    board = MetricBoard(dict(ensemble.tasks.items())).to(ensemble.device)
    encode = Encoder(ensemble.tokenizers, ensemble.tasks, on_error="skip", skip_targets=True)
    with evaluating(ensemble):
        for member, items in zip(ensemble.members, parts, strict=True):
            items = iter(items)
            while chunk := list(islice(items, batch_size)):
                _measure(board, ensemble, member, encode, chunk)
        return board.compute(SingleDeviceStrategy(ensemble.device))


def _measure(
    board: MetricBoard, ensemble: Ensemble, member: Model, encode: Encoder, items: list[Item]
) -> None:
    batch = encode(items).to(ensemble.device)
    if not batch.num_samples:
        return
    tokenizers = dict(ensemble.tokenizers.items())
    for name, averaged in ensemble.outputs_of(member, batch).items():
        task, part = ensemble.tasks[name], batch.task_batches[name]
        output = task.from_average(averaged)
        losses = task.losses(output, part, tokenizers)
        output = task.evaluate(output, part, tokenizers, member.core, testing=True)
        board.update(name, task, output, part, tokenizers, losses)
