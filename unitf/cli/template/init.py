"""The modality $name for unitf. This file imports no torch, so that listing plugins is quick."""

import unitf

unitf_api: int = 1


@unitf.hookimpl
def register_tokenizers(register: unitf.Register) -> None:
    register("unitf_$name.tokenizer:$Name")


@unitf.hookimpl
def register_sources(register: unitf.Register) -> None:
    register("unitf_$name.examples:${Name}Examples")
