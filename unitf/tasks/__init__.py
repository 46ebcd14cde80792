"""Tasks: what a model predicts from the core's columns."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unitf.public import lazily

_HOMES = {
    "Classification": "unitf.tasks.classification",
    "DenseDetection": "unitf.tasks.dense_detection",
    "Detection": "unitf.tasks.detection",
    "Embedding": "unitf.tasks.embedding",
    "Head": "unitf.tasks.heads.head",
    "MaskedTokens": "unitf.tasks.masked_tokens",
    "MultiLabelClassification": "unitf.tasks.multi_label",
    "NextToken": "unitf.tasks.next_token",
    "PoolingName": "unitf.tasks.heads.pooling",
    "Regression": "unitf.tasks.regression",
    "SequenceToSequence": "unitf.tasks.sequence_to_sequence",
    "SpanAnswer": "unitf.tasks.span_answer",
    "TargetPositions": "unitf.tasks.common.target_sequence",
    "Task": "unitf.tasks.task",
    "TaskMetrics": "unitf.tasks.metrics.task_metrics",
    "TokenClassification": "unitf.tasks.token_classification",
    "Tokenizers": "unitf.tasks.task",
    "Transcription": "unitf.tasks.transcription",
    "input_rows": "unitf.tasks.common.token_offsets",
    "take": "unitf.tasks.common.selection",
}

if TYPE_CHECKING:
    from unitf.tasks.classification import Classification
    from unitf.tasks.common.selection import take
    from unitf.tasks.common.target_sequence import TargetPositions
    from unitf.tasks.common.token_offsets import input_rows
    from unitf.tasks.dense_detection import DenseDetection
    from unitf.tasks.detection import Detection
    from unitf.tasks.embedding import Embedding
    from unitf.tasks.heads.head import Head
    from unitf.tasks.heads.pooling import PoolingName
    from unitf.tasks.masked_tokens import MaskedTokens
    from unitf.tasks.metrics.metric_types import TaskMetrics
    from unitf.tasks.multi_label import MultiLabelClassification
    from unitf.tasks.next_token import NextToken
    from unitf.tasks.regression import Regression
    from unitf.tasks.sequence_to_sequence import SequenceToSequence
    from unitf.tasks.span_answer import SpanAnswer
    from unitf.tasks.task import Task, Tokenizers
    from unitf.tasks.token_classification import TokenClassification
    from unitf.tasks.transcription import Transcription

__all__ = [
    "Classification",
    "DenseDetection",
    "Detection",
    "Embedding",
    "Head",
    "MaskedTokens",
    "MultiLabelClassification",
    "NextToken",
    "PoolingName",
    "Regression",
    "SequenceToSequence",
    "SpanAnswer",
    "TargetPositions",
    "Task",
    "TaskMetrics",
    "TokenClassification",
    "Tokenizers",
    "Transcription",
    "input_rows",
    "take",
]

__getattr__: Callable[[str], object]
__dir__: Callable[[], list[str]]
__getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
