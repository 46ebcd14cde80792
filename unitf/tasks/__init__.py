"""Tasks: what is learned from the core's columns."""

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
