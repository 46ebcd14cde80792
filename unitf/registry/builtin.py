"""The tasks and sources of unitf itself, registered as a plugin like any other.

This file imports no torch.
"""

from unitf.registry.hookspecs import Register, hookimpl

_TASKS = (
    "classification:Classification",
    "multi_label:MultiLabelClassification",
    "regression:Regression",
    "next_token:NextToken",
    "sequence_to_sequence:SequenceToSequence",
    "embedding:Embedding",
    "dense_detection:DenseDetection",
    "detection:Detection",
    "masked_tokens:MaskedTokens",
    "token_classification:TokenClassification",
    "span_answer:SpanAnswer",
    "transcription:Transcription",
)
_SOURCES = (
    "composed:ComposedRecords",
    "files:Files",
    "datasets_hub:Hub",
    "datasets_hub:HubStream",
    "idx:IdxFiles",
    "lines:Lines",
    "parallel_text:ParallelText",
    "plain_text:PlainText",
    "ragged:RaggedArrays",
    "records:Records",
    "table:Table",
    "windows:Windows",
)


@hookimpl
def register_tasks(register: Register) -> None:
    """Registers the tasks of unitf."""
    for target in _TASKS:
        register(f"unitf.tasks.{target}")


@hookimpl
def register_sources(register: Register) -> None:
    """Registers the sources of unitf."""
    for target in _SOURCES:
        register(f"unitf.data.sources.{target}")


# what a recipe may also name, found without being registered: kind → "module:Class"
UNREGISTERED: dict[str, tuple[str, ...]] = {
    "callbacks": (
        "unitf.training.callbacks.averaging:EMA",
        "unitf.training.callbacks.checkpoint:Checkpoint",
        "unitf.training.callbacks.finite_loss:FiniteLoss",
        "unitf.training.callbacks.progress:Progress",
        "unitf.training.callbacks.run_report:RunReport",
        "unitf.training.callbacks.summary:Summary",
        "unitf.training.callbacks.time_budget:TimeBudget",
        "unitf.training.parallel.watchdog:Watchdog",
    ),
    "schedules": ("unitf.training.optimization:WarmupCosine",),
}
