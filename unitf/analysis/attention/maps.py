"""Computes which tokens of a sample attend to which, in a model's layers and heads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from unitf.analysis.attention.token_groups import Side, TokenGroup, label, names_of
from unitf.batch import Sample, TaskBatch
from unitf.core.recorder import (
    AttentionKind,
    AttentionRecorder,
    recording_attention,
    rollout,
    rollout_across,
)
from unitf.data.encoder import Encoder
from unitf.errors import SampleError, UserError
from unitf.inference import evaluating
from unitf.model import Model
from unitf.tasks.task import Task

CROSSING: str = "target at source"
MOST: int = 20_000_000  # weights that a picture or a page can hold


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The weights of one attention: how much each query attends to each key.

    Args:
        name: which attention it is.
        queries: the tokens that attend.
        keys: the tokens that are attended to.
        layers: the numbers of the layers in `rows`, from 0.
        heads: the numbers of the heads in `rows`, from 0.
        rows: the weights; each row sums to 1.
        rollout: the weights over all layers (attention rollout), whichever were chosen.
    """

    name: str
    queries: Side
    keys: Side
    layers: list[int]
    heads: list[int]
    rows: Float[Tensor, "layers heads Lq Lk"]
    rollout: Float[Tensor, "Lq Lk"]

    def among(self, name: str, queries: Side, keys: Side) -> "AttentionMap":
        """Returns the map between some of the queries and some of the keys."""
        chosen = [
            [column_index for part in side for column_index in part.column_indices]
            for side in (queries, keys)
        ]
        return replace(
            self,
            name=name,
            queries=_renumbered(queries),
            keys=_renumbered(keys),
            rows=self.rows[:, :, chosen[0]][..., chosen[1]],
            rollout=self.rollout[chosen[0]][:, chosen[1]],
        )


@dataclass(frozen=True, eq=False)
class SampleAttention:
    """All attention of a model in one sample.

    Args:
        task: the name of the task that read the sample.
        maps: one for each kind of attention.
        alignment: of a task that generates: how much each token that it wrote attends to each
            token of the source.
    """

    task: str
    maps: list[AttentionMap]
    alignment: AttentionMap | None = None


@torch.inference_mode()
def attend(
    model: Model,
    sample: Sample,
    task: str | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> SampleAttention:
    """Computes what a model attends to in a raw sample.

    Args:
        model: the model.
        sample: its raw values, by column.
        task: the name of a task; None: the first that accepts the sample.
        layers: numbers of layers, from 0; None: all.
        heads: numbers of heads, from 0; None: all.

    Raises:
        UserError: there is no such task, layer or head, or the core has no attention.
    """
    name = _choose_task(model, sample, task)
    chosen: Task = model.tasks[name]
    encode = Encoder(model.tokenizers, {name: chosen}, labelled=False)
    with_target = completed(model, name, sample)
    try:
        batch = encode([encode.item(0, with_target)]).to(model.device)
    except SampleError as error:
        if with_target is sample:
            raise
        raise UserError(  # a tokenizer may refuse a text that the task generates
            f"task {name}: what it writes for this sample cannot be read again, give "
            f"{chosen.target}=… beside it ({error})"
        ) from error
    with evaluating(model), recording_attention(model.core) as recorders:
        model.columns(batch)
        task_batch = batch.task_batches[name]
        tokens, memory, prefix = label(chosen, task_batch, dict(model.tokenizers.items()))
    maps = _maps(recorders, tokens, memory, layers, heads)
    if not maps:
        raise UserError(f"task {name}: its core has no attention to show")
    last = maps[-1]  # of the target at its source, if its layers were chosen
    if task_batch.sequence is None or (memory is not None and last.name != CROSSING):
        return SampleAttention(name, maps)
    return SampleAttention(name, maps, _target_rows(model, chosen, task_batch, last, prefix))


def completed(model: Model, name: str, sample: Sample) -> Sample:
    """Returns the sample with a target: its own, or the one that the task generates."""
    task = model.tasks[name]
    if task.target is None or task.target_tokenizer is None:
        return sample
    if sample.get(task.target) is not None:
        return sample
    [written] = model.generate([sample], task=name)
    target = written["text"] if "text" in written else written["value"]
    if isinstance(target, str) and not target:
        raise UserError(
            f"task {name} writes nothing for this sample: expected {task.target}=… beside "
            f"{', '.join(task.inputs)}, the tokens that look at the source"
        )
    return {**sample, task.target: target}


def _choose_task(model: Model, sample: Sample, name: str | None) -> str:
    """Returns the name of the first task that accepts the sample."""
    if name is not None and name not in model.tasks:
        raise UserError(f"there is no task {name!r}, expected one of {', '.join(model.tasks)}")
    names = list(model.tasks) if name is None else [name]
    for candidate in names:
        if model.tasks[candidate].accepts(sample, labelled=False):
            return candidate
    columns = ", ".join(column for column, value in sample.items() if value is not None)
    raise UserError(f"no task takes a sample of {columns or 'no column'}: {', '.join(names)}")


def _maps(
    recorders: Sequence[AttentionRecorder],
    tokens: Side,
    memory: Side | None,
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
) -> list[AttentionMap]:
    """Returns a map of every attention that took place; cross-attention is the last."""
    used = [recorder for recorder in recorders if recorder.kinds()]
    deepest = max((recorder.depth for recorder in used), default=0)
    for number in layers or ():
        if not 0 <= number < deepest:
            raise UserError(f"there is no layer {number}, expected 0 to {deepest - 1}")
    make_map = _MapMaker(layers, heads)
    if memory is None:
        maps = [make_map("self-attention", recorder, "self", tokens, tokens) for recorder in used]
    else:
        encoder, decoder = recorders
        maps = [
            make_map("source at source", encoder, "self", memory, memory),
            make_map("target at target", decoder, "self", tokens, tokens),
        ]
        encoder_rollout = rollout(_mean_rows(encoder, "self"))
        maps.append(make_map(CROSSING, decoder, "cross", tokens, memory, encoder_rollout))
    return [attention_map for attention_map in maps if attention_map is not None]


@dataclass(frozen=True)
class _MapMaker:
    """Makes maps of the chosen layers and heads."""

    layers: Sequence[int] | None
    heads: Sequence[int] | None

    def __call__(
        self,
        name: str,
        recorder: AttentionRecorder,
        kind: AttentionKind,
        queries: Side,
        keys: Side,
        memory: Tensor | None = None,
    ) -> AttentionMap | None:
        """Returns the map of one attention; None: it has none of the chosen layers.

        Args:
            memory: the rollout of the encoder, for cross-attention.
        """
        layers = [n for n in range(recorder.depth) if self.layers is None or n in self.layers]
        if not layers:
            return None
        num_heads, num_queries, num_keys = recorder.shape(layers[0], kind=kind)
        heads = list(range(num_heads)) if self.heads is None else list(self.heads)
        for number in heads:
            if not 0 <= number < num_heads:
                raise UserError(f"there is no head {number}, expected 0 to {num_heads - 1}")
        count = len(layers) * len(heads) * num_queries * num_keys
        if count > MOST:
            raise UserError(
                f"{name}: {len(layers)} layers of {len(heads)} heads over {num_queries} × "
                f"{num_keys} tokens are too much to show, expected a choice of both"
            )
        rows = torch.stack([recorder.rows(n, kind=kind)[heads] for n in layers]).cpu()
        if memory is None:
            rolled_out = rollout(_mean_rows(recorder, kind))
        else:
            own_rows, cross_rows = _mean_rows(recorder, "self"), _mean_rows(recorder, "cross")
            rolled_out = rollout_across(own_rows, cross_rows, memory)
        return AttentionMap(name, queries, keys, layers, heads, rows, rolled_out.cpu())


def _mean_rows(recorder: AttentionRecorder, kind: AttentionKind) -> list[Tensor]:
    """Returns the weights of each layer, averaged over heads."""
    return [
        recorder.rows(number, kind=kind).mean(0, keepdim=True) for number in range(recorder.depth)
    ]


def _target_rows(
    model: Model, task: Task, batch: TaskBatch, attention_map: AttentionMap, prefix: int
) -> AttentionMap:
    """Returns the rows of the columns that predict the target, for the keys of the source."""
    assert batch.sequence is not None and task.target is not None
    assert task.target_tokenizer is not None
    names = names_of(model.tokenizers[task.target_tokenizer], batch.sequence)
    written = TokenGroup(task.target, [prefix + n for n in range(len(names))], names)
    source = attention_map.keys
    if prefix:  # source and target are one sequence
        before = [
            [
                (column_index, n)
                for n, column_index in enumerate(part.column_indices)
                if column_index < prefix
            ]
            for part in source
        ]
        source = [part.only(pairs) for part, pairs in zip(source, before, strict=True) if pairs]
    return attention_map.among("alignment", [written], source)


def _renumbered(side: Side) -> Side:
    """Returns the groups with new column indices, as if the sequence had no other tokens."""
    first = accumulate((len(part.column_indices) for part in side), initial=0)
    return [
        replace(part, column_indices=list(range(begin, begin + len(part.column_indices))))
        for begin, part in zip(first, side, strict=False)
    ]
