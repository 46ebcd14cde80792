"""Files within a page: as addresses that hold their whole content."""

import base64

import numpy as np
from jaxtyping import UInt8

from unitf.tokenizer.canvas import as_png


def data_url(content: bytes, media_type: str) -> str:
    """Returns the content of a file as an address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def picture_url(pixels: UInt8[np.ndarray, "H W *C"]) -> str:
    """Returns grey values, or colours, as the address of a PNG."""
    return data_url(as_png(pixels), "image/png")
