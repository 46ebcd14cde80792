"""Where patches stand, in the coordinates that a core reads."""

import numpy as np
import pytest
import torch
from unitf_image import ImagePatches
from unitf_image.patch_grid import Coordinates
from unitf_image.resizing import Resizing, resize

from unitf.core import Transformer, TransformerConfig
from unitf.errors import UserError
from unitf.features import Features
from unitf.tokenizer.token_embedding import Prefix

DIM = 16


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tokenizer(**arguments) -> ImagePatches:
    made = ImagePatches(
        DIM, patch=4, position_embedding=arguments.pop("position_embedding", "none"), **arguments
    )
    made.build()
    return made.eval()


def read(made: ImagePatches, *sizes: tuple[int, int]) -> list[torch.Tensor]:
    """What the core reads of images of these sizes, in one batch."""
    tokens = made(Features.pack([made.encode(image(*size)) for size in sizes]))
    return [one.positions for one in tokens.split()]


def test_places_are_rows_and_columns_unless_coordinates_say_otherwise():
    [places] = read(tokenizer(), (8, 12))
    assert places.tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]
    [shifted] = read(tokenizer(coordinates=Coordinates(shift=1.0)), (8, 12))
    assert torch.equal(shifted, places + 1)


def test_images_of_all_sizes_lie_in_one_range():
    made = tokenizer(coordinates=Coordinates([2.0, 2.0], shift=0.5, start=-1.0))
    wide, small, tall = read(made, (8, 16), (4, 4), (16, 8))
    assert wide[0].unique().tolist() == [-0.5, 0.5]
    assert wide[1].unique().tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert small.tolist() == [[0.0], [0.0]]
    assert torch.equal(tall[0].unique(), wide[1].unique())


@pytest.mark.parametrize("positions", ["interpolated", "cubic"])
@pytest.mark.parametrize("extent", [[2.0, 2.0], None])
@pytest.mark.parametrize("shift", [0.5, 0.0])
def test_places_on_another_grid_are_the_images_own(positions, extent, shift):
    coordinates = Coordinates(extent, shift=shift, start=-1.0)
    laid = tokenizer(coordinates=coordinates, position_embedding=positions, grid=(3, 5))
    sizes = (8, 16), (32, 4), (28, 52)
    for places, expected in zip(
        read(laid, *sizes), read(tokenizer(coordinates=coordinates), *sizes), strict=True
    ):
        assert torch.allclose(places, expected, atol=1e-5)


def test_learned_positions_still_read_rows_and_columns():
    plain = tokenizer(position_embedding="learned", grid=(2, 3))
    made = tokenizer(position_embedding="learned", grid=(2, 3), coordinates=Coordinates([9.0, 9.0]))
    made.load_state_dict(plain.state_dict())
    features = made.encode(image(8, 12))
    assert torch.equal(made(features).matrix, plain(features).matrix)


def test_no_image_has_no_coordinates():
    made = tokenizer(coordinates=Coordinates([2.0, 2.0]), prefix=Prefix(2))
    assert made(Features.pack([made.empty(), made.empty()])).positions.shape == (2, 0)
    with pytest.raises(UserError, match="extent: expected two numbers above 0"):
        Coordinates([0.0, 1.0])


def test_the_core_turns_by_coordinates_not_by_places():
    config = TransformerConfig(
        dim=DIM,
        depth=2,
        num_heads=2,
        relative_positions="rotary",
        position_axes=2,
        rotary_base=10.0,
    )
    core = Transformer(config).eval()
    for parameter in core.parameters():  # else attention is even, wherever tokens stand
        torch.nn.init.normal_(parameter)
    plain, made = tokenizer(), tokenizer(coordinates=Coordinates([4.0, 4.0], shift=1.0))
    made.load_state_dict(plain.state_dict())
    features = plain.encode(image(8, 8))
    laid = Features(features.values, (features.positions + 1) * 2)  # 2 × 2 patches, each 2 wide
    assert torch.allclose(core(made(features)).matrix, core(plain(laid)).matrix, atol=1e-4)
    assert not torch.allclose(core(made(features)).matrix, core(plain(features)).matrix, atol=1e-2)


# ---- resizing ------------------------------------------------------------------------------


def test_a_resized_image_is_the_middle_of_the_whole():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 25:35] = 200
    made = tokenizer(
        size=8, resizing=Resizing([16, 16], interpolation="bicubic"), mean=0.0, std=1.0
    )
    found = made.decode(made.encode(pixels))
    assert found.shape == (8, 8, 3)  # of 16 × 48: columns 20 to 28 are the white ones
    assert (found[:, 2:6] > 195).all()
    squashed = tokenizer(size=8, resizing=Resizing([8, 8], keep_aspect=False), mean=0.0, std=1.0)
    found = squashed.decode(squashed.encode(pixels))
    assert (found[:, [0, 1, 6, 7]] == 0).all()
    assert (found[:, 3:5] > 100).all()


def test_an_image_as_long_as_a_wire_can_be_resized():
    made = tokenizer(size=32, resizing=Resizing([36, 36]))
    assert made.encode(np.zeros((1, 1_000_000), np.uint8)).num_tokens == 64


def test_a_cut_image_ends_with_its_last_whole_patch():
    made = tokenizer(cut=True, mean=0.0, std=1.0)
    pixels = image(11, 14)
    assert np.array_equal(made.decode(made.encode(pixels)), pixels[:8, :12])
    assert made.encode(image(3, 9)).num_tokens == 2  # what is no patch at all is continued
    assert tokenizer(cut=True, size=11).reference_grid == (2, 2)


@pytest.mark.parametrize("size", [None, 32, (8, 17)])
def test_what_is_cut_out_must_lie_within_what_was_resized(size):
    with pytest.raises(UserError, match=r"resizing to \[16, 16\] needs a size within"):
        ImagePatches(DIM, size=size, resizing=Resizing([16, 16]))
    with pytest.raises(UserError, match="expected rows and columns from 1 on"):
        Resizing([16])


@pytest.mark.parametrize("kind", ["rows of colours", "planes", "flipped", "read-only"])
def test_a_resized_image_is_the_same_however_it_lies_in_memory(kind):
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pixels = colours.transpose(2, 0, 1)
    expected = resize(np.ascontiguousarray(pixels), (7, 9))
    if kind == "planes":
        pixels = np.ascontiguousarray(pixels)
    if kind == "flipped":
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])[:, :, ::-1]
    if kind == "read-only":
        pixels = pixels[:]
        pixels.flags.writeable = False
    assert np.array_equal(resize(pixels, (7, 9)), expected)
