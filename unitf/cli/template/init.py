"""The modality $name for unitf. This file imports no torch, so that listing plugins is quick."""

from unitf.registry.hookspecs import hookimpl

unitf_api = 1


@hookimpl
def register_tokenizers(register):
    register("unitf_$name.tokenizer:$Name")


@hookimpl
def register_sources(register):
    register("unitf_$name.examples:${Name}Examples")
