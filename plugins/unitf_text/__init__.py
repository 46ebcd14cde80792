"""The text modality of unitf: bytes, characters, words and subwords; digits written in words."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from unitf import hookimpl

_HOME = {
    "Bytes": "unitf_text.symbols",
    "Characters": "unitf_text.symbols",
    "NumberWords": "unitf_text.number_words",
    "Sentences": "unitf_text.sentences",
    "SquadFiles": "unitf_text.squad",
    "Stories": "unitf_text.stories",
    "Subwords": "unitf_text.subwords",
    "TextTokenizer": "unitf_text.text",
    "TokenIds": "unitf_text.token_ids",
    "WordVectors": "unitf_text.vectors",
    "Words": "unitf_text.subwords",
}
__all__ = [
    "Bytes",
    "Characters",
    "NumberWords",
    "Sentences",
    "SquadFiles",
    "Stories",
    "Subwords",
    "TextTokenizer",
    "TokenIds",
    "WordVectors",
    "Words",
]
unitf_api = 1

if TYPE_CHECKING:
    from unitf_text.number_words import NumberWords
    from unitf_text.sentences import Sentences
    from unitf_text.squad import SquadFiles
    from unitf_text.stories import Stories
    from unitf_text.subwords import Subwords, Words
    from unitf_text.symbols import Bytes, Characters
    from unitf_text.text import TextTokenizer
    from unitf_text.token_ids import TokenIds
    from unitf_text.vectors import WordVectors


@hookimpl
def register_tokenizers(register: Callable[[str], None]) -> None:
    """Registers the tokenizers of this plugin."""
    register("unitf_text.symbols:Bytes")
    register("unitf_text.symbols:Characters")
    register("unitf_text.subwords:Subwords")
    register("unitf_text.subwords:Words")
    register("unitf_text.sentences:Sentences")
    register("unitf_text.token_ids:TokenIds")


@hookimpl
def register_sources(register: Callable[[str], None]) -> None:
    """Registers the data sources of this plugin."""
    register("unitf_text.number_words:NumberWords")
    register("unitf_text.stories:Stories")
    register("unitf_text.squad:SquadFiles")


@hookimpl
def register_architectures(register: Callable[[str], None]) -> None:
    """Registers the published architectures that this plugin maps to unitf."""
    register("unitf_text.hf_clip_text:HFClipText")
    register("unitf_text.hf_clip_text:HFSiglipText")
    register("unitf_text.gpt_decoders:GPT2")
    register("unitf_text.gpt_decoders:GPTNeoX")
    register("unitf_text.gpt_decoders:OPT")
    register("unitf_text.gpt_decoders:Phi")
    register("unitf_text.llama_line:LlamaLine")
    register("unitf_text.llama_line:Gemma")
    register("unitf_text.llama_line:Gemma2")
    register("unitf_text.stablelm:StableLM")
    register("unitf_text.bert:Bert")
    register("unitf_text.bert:Roberta")
    register("unitf_text.bert:Electra")
    register("unitf_text.bert:DistilBert")
    register("unitf_text.bert:Albert")
    register("unitf_text.modernbert:ModernBert")
    register("unitf_text.t5:T5")
    register("unitf_text.bart:Bart")
    register("unitf_text.bart:Marian")


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unitf_text' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
