"""Looks: which tokens of a sample look at which, in a model's layers and heads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

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
from unitf.tasks.task import Task

CROSSING = "target at source"
MOST = 20_000_000  # weights that a picture or a page can hold


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """One attention: its tokens, and how much each looks at each.

    Args:
        layers: the numbers of those that `rows` are of; `heads` likewise.
        rollout: the same over all layers up to the last, whichever were chosen.
    """

    name: str
    queries: Side
    keys: Side
    layers: list[int]
    heads: list[int]
    rows: Float[Tensor, "layers heads Lq Lk"]
    rollout: Float[Tensor, "Lq Lk"]

    def among(self, name: str, queries: Side, keys: Side) -> "AttentionMap":
        """What some of the queries make of some of the keys."""
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
    """All that a model looked at in one sample.

    Args:
        task: the name of the one that the sample was for.
        alignment: of a task that writes: at which tokens of the source it looked for each that it
            wrote.
    """

    task: str
    maps: list[AttentionMap]
    alignment: AttentionMap | None = None


@torch.inference_mode()
def attend(
    model: Any,
    sample: Sample,
    task: str | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> SampleAttention:
    """What a Learner looks at in a raw sample.

    Args:
        task: its name; None: the first that takes the sample.
        layers: from 0; None: all. `heads` likewise.

    Raises:
        UserError: there is no such task, layer or head, or nothing to see.
    """
    name = _choose_task(model, sample, task)
    chosen: Task = model.tasks[name]
    encode = Encoder(model.tokenizers, {name: chosen}, labelled=False)
    whole = completed(model, name, sample)
    try:
        batch = encode([encode.item(0, whole)]).to(model.device)
    except SampleError as error:
        if whole is sample:
            raise
        raise UserError(  # what it wrote need not be what a tokenizer makes of its text
            f"task {name}: what it writes for this sample cannot be read again, give "
            f"{chosen.target}=… beside it ({error})"
        ) from error
    with evaluating(model), recording_attention(model.core) as recorders:
        model.columns(batch)
        task_batch = batch.task_batches[name]
        own, memory, prefix = label(chosen, task_batch, dict(model.tokenizers.items()))
    attention_map = _looks(recorders, own, memory, layers, heads)
    if not attention_map:
        raise UserError(f"task {name}: its core has no attention to show")
    last = attention_map[-1]  # a target's look at its source, unless its layers were not chosen
    if task_batch.sequence is None or (memory is not None and last.name != CROSSING):
        return SampleAttention(name, attention_map)
    return SampleAttention(name, attention_map, _align(model, chosen, task_batch, last, prefix))


def completed(model: Any, name: str, sample: Sample) -> Sample:
    """The sample with a target to align with its source: its own, or what the task writes."""
    task = model.tasks[name]
    if task.target_tokenizer is None or sample.get(task.target) is not None:
        return sample
    [written] = model.generate([sample], task=name)
    target = written["text"] if "text" in written else written["value"]
    if isinstance(target, str) and not target:
        raise UserError(
            f"task {name} writes nothing for this sample: expected {task.target}=… beside "
            f"{', '.join(task.inputs)}, the tokens that look at the source"
        )
    return {**sample, task.target: target}


def _choose_task(model: Any, sample: Sample, name: str | None) -> str:
    if name is not None and name not in model.tasks:
        raise UserError(f"there is no task {name!r}, expected one of {', '.join(model.tasks)}")
    names = list(model.tasks) if name is None else [name]
    for one in names:
        if model.tasks[one].accepts(sample, labelled=False):
            return one
    there = ", ".join(column for column, value in sample.items() if value is not None)
    raise UserError(f"no task takes a sample of {there or 'no column'}: {', '.join(names)}")


def _looks(
    recorders: Sequence[AttentionRecorder],
    own: Side,
    memory: Side | None,
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
) -> list[AttentionMap]:
    """Of every attention that took place; that of a target at its source is the last."""
    seen = [recorder for recorder in recorders if recorder.kinds()]
    deepest = max((recorder.depth for recorder in seen), default=0)
    for number in layers or ():
        if not 0 <= number < deepest:
            raise UserError(f"there is no layer {number}, expected 0 to {deepest - 1}")
    made = _Maker(layers, heads)
    if memory is None:
        maps = [made("self-attention", recorder, "self", own, own) for recorder in seen]
    else:
        encoder, decoder = recorders
        maps = [
            made("source at source", encoder, "self", memory, memory),
            made("target at target", decoder, "self", own, own),
        ]
        rolled = rollout(_every(encoder, "self"))
        maps.append(made(CROSSING, decoder, "cross", own, memory, rolled))
    return [attention_map for attention_map in maps if attention_map is not None]


@dataclass(frozen=True)
class _Maker:
    """Makes Looks of the chosen layers and heads."""

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
        layers = [n for n in range(recorder.depth) if self.layers is None or n in self.layers]
        if not layers:
            return None
        most, looking, looked_at = recorder.shape(layers[0], kind=kind)
        heads = list(range(most)) if self.heads is None else list(self.heads)
        for number in heads:
            if not 0 <= number < most:
                raise UserError(f"there is no head {number}, expected 0 to {most - 1}")
        count = len(layers) * len(heads) * looking * looked_at
        if count > MOST:
            raise UserError(
                f"{name}: {len(layers)} layers of {len(heads)} heads over {looking} × "
                f"{looked_at} tokens are too much to show, expected a choice of both"
            )
        rows = torch.stack([recorder.rows(n, kind=kind)[heads] for n in layers]).cpu()
        if memory is None:
            rolled = rollout(_every(recorder, kind))
        else:
            rolled = rollout_across(_every(recorder, "self"), _every(recorder, "cross"), memory)
        return AttentionMap(name, queries, keys, layers, heads, rows, rolled.cpu())


def _every(recorder: AttentionRecorder, kind: AttentionKind) -> list[Tensor]:
    return [
        recorder.rows(number, kind=kind).mean(0, keepdim=True) for number in range(recorder.depth)
    ]


def _align(
    model: Any, task: Task, batch: TaskBatch, attention_map: AttentionMap, prefix: int
) -> AttentionMap:
    """The rows of the columns that predict a token of the target, over the source alone."""
    assert batch.sequence is not None and task.target is not None
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
    """The parts, as if their tokens were all that there are."""
    first = accumulate((len(part.column_indices) for part in side), initial=0)
    return [
        replace(part, column_indices=list(range(begin, begin + len(part.column_indices))))
        for begin, part in zip(first, side, strict=False)
    ]
