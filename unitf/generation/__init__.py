"""Generation: a core writes one token after the other, and a task decodes them."""

from unitf.generation.beams import search
from unitf.generation.generation_settings import Generation
from unitf.generation.prompt import Prompt, Reader
from unitf.generation.rules import Rules
from unitf.generation.sampling import GenerationStep, write
from unitf.generation.writing import GeneratedSequence, StreamedText, generate

__all__ = [
    "GeneratedSequence",
    "Generation",
    "GenerationStep",
    "Prompt",
    "Reader",
    "Rules",
    "StreamedText",
    "generate",
    "search",
    "write",
]
