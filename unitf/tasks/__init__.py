"""Tasks: what is learned from the core's columns."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Classification": "unitf.tasks.classification",
    "Embedding": "unitf.tasks.embedding",
    "Head": "unitf.tasks.heads.head",
    "MaskedTokens": "unitf.tasks.masked_tokens",
    "MultiLabelClassification": "unitf.tasks.classification",
    "NextToken": "unitf.tasks.next_token",
    "Regression": "unitf.tasks.regression",
    "SequenceToSequence": "unitf.tasks.sequence_to_sequence",
    "SpanAnswer": "unitf.tasks.span_answer",
    "Task": "unitf.tasks.task",
    "TokenClassification": "unitf.tasks.token_classification",
    "Transcription": "unitf.tasks.transcription",
}
__all__ = [
    "Classification",
    "Embedding",
    "Head",
    "MaskedTokens",
    "MultiLabelClassification",
    "NextToken",
    "Regression",
    "SequenceToSequence",
    "SpanAnswer",
    "Task",
    "TokenClassification",
    "Transcription",
]

if TYPE_CHECKING:
    from unitf.tasks.classification import Classification, MultiLabelClassification
    from unitf.tasks.embedding import Embedding
    from unitf.tasks.heads.head import Head
    from unitf.tasks.masked_tokens import MaskedTokens
    from unitf.tasks.next_token import NextToken
    from unitf.tasks.regression import Regression
    from unitf.tasks.sequence_to_sequence import SequenceToSequence
    from unitf.tasks.span_answer import SpanAnswer
    from unitf.tasks.task import Task
    from unitf.tasks.token_classification import TokenClassification
    from unitf.tasks.transcription import Transcription


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'unitf.tasks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
