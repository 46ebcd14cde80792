"""Proof: a published model and unitf compute the same from the same random input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from unitf.batch import TaskBatch
from unitf.errors import UserError
from unitf.interop.architecture import Architecture, DummyInputs
from unitf.interop.weight_map import WeightMap
from unitf.model import Model

TOLERANCE: float = 1e-5  # relative; of outputs in float32


@dataclass(frozen=True)
class Difference:
    """The largest difference of two tensors: absolute, and relative to their largest number."""

    name: str
    absolute: float
    relative: float

    @classmethod
    def of(cls, name: str, theirs: Tensor, ours: Tensor, least: float = 0.0) -> "Difference":
        """Compares two tensors of one shape.

        Args:
            least: the smallest size for the relative difference; it matters for tensors that are
                zero but for rounding.

        Raises:
            UserError: their shapes differ, or one of them is not finite.
        """
        if theirs.shape != ours.shape:
            raise UserError(
                f"{name}: the peer gives {tuple(theirs.shape)}, unitf {tuple(ours.shape)}"
            )
        absolute = (theirs - ours).abs().max().item() if theirs.numel() else 0.0
        size = max(theirs.abs().max().item(), ours.abs().max().item()) if theirs.numel() else 1.0
        size = max(size, least)
        if not torch.isfinite(torch.tensor([absolute, size])).all():
            raise UserError(f"{name}: not finite")
        return cls(name, absolute, absolute / size if size else 0.0)


@dataclass(frozen=True)
class Proof:
    """The differences of the outputs of each block (`layers`), of the columns and of the heads."""

    layers: Sequence[Difference]
    outputs: Sequence[Difference]

    @property
    def worst(self) -> Difference:
        """The largest relative difference of an output."""
        return max(self.outputs, key=lambda difference: difference.relative)

    @property
    def holds(self) -> bool:
        """Whether unitf computes the same, within TOLERANCE."""
        return self.worst.relative <= TOLERANCE


def compare(architecture: Architecture, model: Model, seed: int = 0) -> Proof:
    """Compares a published model and unitf on the same random input."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        dummy_inputs = architecture.dummy_inputs()
        blocks = architecture.blocks()
        unitf_blocks = {name: list(getattr(model.core, name).blocks) for name in blocks}
        with _recording(blocks) as theirs, _recording(unitf_blocks) as ours:
            published_outputs = architecture.outputs(dummy_inputs)
            unitf_outputs = outputs(model, dummy_inputs)
    layers = [
        Difference.of(name, _packed(dummy_inputs, name, tensor), ours[name])
        for name, tensor in theirs.items()
    ]
    return Proof(layers, _differences(published_outputs, unitf_outputs))


def compare_gradients(architecture: Architecture, model: Model, seed: int = 0) -> list[Difference]:
    """Returns the differences of the gradients, for one random weighting of the outputs.

    The difference of a very small gradient (that of a key bias is zero) is relative to a hundredth
    of the largest gradient of the model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dummy_inputs = architecture.dummy_inputs()
        theirs, ours = architecture.outputs(dummy_inputs), outputs(model, dummy_inputs)
        names = [name for name in theirs if name in ours]
        weights = {name: torch.randn_like(theirs[name]) for name in names}
        for network, values in ((architecture.published, theirs), (model, ours)):
            network.zero_grad()
            torch.stack([(values[name] * weights[name]).sum() for name in names]).sum().backward()
    table = WeightMap(architecture.weight_map(), architecture.published.state_dict())
    gradients = {
        name: p.grad if p.grad is not None else torch.zeros_like(p)
        for name, p in architecture.published.named_parameters(remove_duplicate=False)
    }
    own = dict(model.named_parameters())
    largest = max(g.abs().max().item() for g in gradients.values() if g.numel())
    recorded = []
    for map_weight in table.lines:
        parts = [gradients.get(name) for name in map_weight.theirs]
        if map_weight.ours in own and any(part is not None for part in parts):
            mine = own[map_weight.ours].grad
            mine = torch.zeros_like(own[map_weight.ours]) if mine is None else mine
            theirs_too = map_weight.change.to_unitf(parts).reshape(mine.shape)
            recorded.append(Difference.of(map_weight.ours, theirs_too, mine, largest / 100))
    return recorded


def outputs(model: Model, dummy_inputs: DummyInputs) -> dict[str, Tensor]:
    """Returns the outputs of unitf: "columns" (N, D), and the logits of each task."""
    results: dict[str, Tensor] = {}
    tokenizers = dict(model.tokenizers.items())
    for name, task in model.tasks.items():
        features = {column: dummy_inputs.features[used] for column, used in task.inputs.items()}
        count = next(iter(features.values())).num_sequences
        names = tuple(map(str, range(count)))
        batch = TaskBatch(
            features, None, ("+".join(features),) * count, names, sequence=dummy_inputs.target
        )
        core_inputs = task.core_inputs(batch, tokenizers)
        if core_inputs.memory is None:
            columns = model.core(core_inputs.tokens, causal=task.causal, prefix=core_inputs.prefix)
        else:
            memory = model.core.encode(core_inputs.memory)
            columns = model.core.decode(core_inputs.tokens, memory, task.causal)
            results["memory"] = memory.rows
        results.setdefault("columns", columns.rows)
        results[name] = task.logits(columns, batch, tokenizers)
    return results


def _packed(dummy_inputs: DummyInputs, block: str, columns: Tensor) -> Tensor:
    memory = dummy_inputs.target is not None and block.startswith("encoder")
    return dummy_inputs.packed(columns, memory) if columns.ndim > 2 else columns


def _differences(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[Difference]:
    names = [name for name in theirs if name in ours]
    if not names:
        raise UserError("nothing to compare: the peer and unitf give no output of one name")
    return [Difference.of(name, theirs[name], ours[name]) for name in names]


@contextmanager
def _recording(stacks: Mapping[str, Sequence[nn.Module]]) -> Iterator[dict[str, Tensor]]:
    """Records the output of each block, by "encoder 0" and so on."""
    recorded: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: object, output: object) -> None:
            recorded[name] = cast(Tensor, output[0] if isinstance(output, tuple) else output)

        return keep

    handles = [
        block.register_forward_hook(keeper(f"{stack} {number}"))
        for stack, blocks in stacks.items()
        for number, block in enumerate(blocks)
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
