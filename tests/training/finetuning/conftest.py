"""The trained model that these tests begin from."""

from small_models import source

__all__ = ["source"]
