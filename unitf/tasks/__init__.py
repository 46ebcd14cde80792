"""Tasks: what is learned from the core's columns."""

from unitf.tasks.classification import Classification, MultiLabelClassification
from unitf.tasks.next_token import NextToken
from unitf.tasks.regression import Regression
from unitf.tasks.task import Task
from unitf.tasks.transcription import Transcription

__all__ = [
    "Classification",
    "MultiLabelClassification",
    "NextToken",
    "Regression",
    "Task",
    "Transcription",
]
