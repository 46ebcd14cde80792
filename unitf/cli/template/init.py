"""The modality $name for unitf. This file imports no torch, so that listing plugins is quick."""

from unitf.registry.hookspecs import Register, hookimpl

unitf_api: int = 1


@hookimpl
def register_tokenizers(register: Register) -> None:
    register("unitf_$name.tokenizer:$Name")


@hookimpl
def register_sources(register: Register) -> None:
    register("unitf_$name.examples:${Name}Examples")
