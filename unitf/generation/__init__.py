"""Generation: a core writes, token after token, what a task then decodes."""

from unitf.generation.beams import search
from unitf.generation.choosing import Rules
from unitf.generation.prompt import Prompt, Reader
from unitf.generation.sampling import Step, write
from unitf.generation.settings import Generation
from unitf.generation.writing import StreamedText, Written, generate

__all__ = [
    "Generation",
    "Prompt",
    "Reader",
    "Rules",
    "Step",
    "StreamedText",
    "Written",
    "generate",
    "search",
    "write",
]
