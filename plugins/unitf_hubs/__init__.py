"""The libraries whose published models unitf opens: timm and transformers."""

from unitf import Register, hookimpl


@hookimpl
def register_hubs(register: Register) -> None:
    """Registers the hubs of published models of this plugin."""
    register("unitf_hubs.timm_hub:TimmHub")
    register("unitf_hubs.transformers_hub:TransformersHub")
