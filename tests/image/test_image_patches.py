"""ImagePatches: the right numbers in the right columns, and back."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unitf_image import ImagePatches
from unitf_image.rows import from_rows, to_rows

from unitf.errors import UserError
from unitf.features import Features
from unitf.testing import check_tokenizer

DIM = 16


def image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def tokenizer(**arguments) -> ImagePatches:
    made = ImagePatches(DIM, **arguments)
    made.fit([image(8, 8, made.channels, seed) for seed in range(3)])
    torch.manual_seed(0)
    made.build(unembed=True)
    return made.eval()


# ---- layout --------------------------------------------------------------------------------

SIDES = st.integers(1, 3)
IMAGES = st.tuples(SIDES, SIDES, SIDES, SIDES, SIDES, st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(IMAGES)
def test_rows_are_those_of_a_for_loop(sizes):
    rows, columns, height, width, channels, overlap = sizes
    pixels = np.random.default_rng(1).standard_normal(
        (channels, rows * height, columns * width), dtype=np.float32
    )
    expected = []
    for row in range(rows):
        for column in range(columns):
            numbers = []
            for channel in range(channels):
                for y in range(row * height - overlap, (row + 1) * height + overlap):
                    for x in range(column * width - overlap, (column + 1) * width + overlap):
                        inside = 0 <= y < rows * height and 0 <= x < columns * width
                        numbers.append(pixels[channel, y, x] if inside else 0.0)
            expected.append(numbers)
    assert np.array_equal(to_rows(pixels, (height, width), overlap), np.float32(expected))


@settings(deadline=None, max_examples=60)
@given(IMAGES)
def test_rows_are_those_of_torch_unfold(sizes):
    rows, columns, height, width, channels, overlap = sizes
    pixels = torch.randn(channels, rows * height, columns * width)
    expected = torch.nn.functional.unfold(
        pixels[None],
        (height + 2 * overlap, width + 2 * overlap),
        stride=(height, width),
        padding=overlap,
    )[0]
    assert np.array_equal(to_rows(pixels.numpy(), (height, width), overlap), expected.mT.numpy())


@settings(deadline=None, max_examples=60)
@given(IMAGES, st.randoms(use_true_random=False))
def test_from_rows_undoes_to_rows_in_any_order(sizes, random):
    rows, columns, height, width, channels, overlap = sizes
    pixels = np.random.default_rng(1).standard_normal(
        (channels, rows * height, columns * width), dtype=np.float32
    )
    order = list(range(rows * columns))
    random.shuffle(order)
    places = np.array([(n // columns, n % columns) for n in order]).T
    shuffled = to_rows(pixels, (height, width), overlap)[order]
    assert np.array_equal(from_rows(shuffled, places, (height, width), overlap), pixels)


def test_the_embedding_is_the_convolution_of_a_vision_transformer():
    made, pixels = tokenizer(patch=(4, 2), mean=0.0, std=1.0), image(12, 10)
    weight = made.embedding.weight.reshape(DIM, 3, 4, 2)
    signal = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = torch.nn.functional.conv2d(signal, weight, made.embedding.bias, stride=(4, 2))
    assert torch.allclose(made.embed(made.encode(pixels)), expected[0].flatten(1), atol=1e-5)


def test_a_convolutional_stem_sees_the_whole_image_as_it_was():
    made = tokenizer(patch=(4, 8), stem="convolution", mean=0.0, std=1.0)
    pixels = image(12, 16)
    signal = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    expected = made.embedding.layers(signal)[0].flatten(1)
    assert torch.allclose(made.embed(made.encode(pixels)), expected, atol=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "interpolated"])
def test_images_of_several_grids_go_through_the_stem_together(positions):
    made = tokenizer(patch=4, stem="convolution", position_embedding=positions, grid=(2, 2))
    sizes = [(8, 12), (12, 8), (4, 4), (8, 12)]
    images = [made.encode(image(*size, seed=seed)) for seed, size in enumerate(sizes)]
    together = made.embed(Features.pack(images))
    alone = torch.cat([made.embed(one) for one in images], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together[:, :6], together[:, -6:])


@pytest.mark.parametrize("count", [0, 2])
def test_no_image_gives_each_parameter_of_the_stem_a_gradient(count):
    made = tokenizer(patch=4, stem="convolution").train()
    features = replace(Features.pack([made.empty()]), lengths=(0,) * count)
    tokens = made(features)
    assert tokens.matrix.shape == (DIM, 0)
    tokens.matrix.sum().backward()
    assert all((parameter.grad == 0).all() for parameter in made.embedding.parameters())


def test_a_single_place_passes_a_convolutional_stem_in_training():
    made = tokenizer(patch=2, stem="convolution").train()
    alone = made.encode(image(2, 2))
    before = made.embed(alone)
    assert torch.equal(before, made.eval().embed(alone))
    assert before.isfinite().all()
    several = made.train().embed(Features.pack([made.encode(image(4, 4, seed=s)) for s in (1, 2)]))
    assert not torch.allclose(before, made.eval().embed(alone))  # the statistics have moved
    assert several.isfinite().all()


def test_what_is_cut_off_an_image_is_in_the_mean_colour():
    made = tokenizer(patch=4, stem="convolution")
    whole = made.encode(image(8, 12))
    values = whole.values.clone()
    values[:, 5] = 0
    cut = made.embed(Features(whole.values[:, :5], whole.positions[:, :5]))
    grey = made.embed(Features(values, whole.positions))
    assert torch.allclose(cut, grey[:, :5], atol=1e-5)
    assert not torch.allclose(cut, made.embed(whole)[:, :5])


def test_positions_are_row_and_column():
    positions = tokenizer(patch=4).encode(image(8, 12)).positions
    assert positions.tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]


def test_columns_lie_one_after_the_other():
    assert tokenizer().encode(image(8, 12)).values.mT.is_contiguous()


# ---- any size, aspect, channels, type ------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 2, 3, 4, 5]),
    st.sampled_from([None, 7, (8, 12), (1, 9)]),
    st.sampled_from([1, 4, (2, 5)]),
    st.sampled_from([0, 1]),
    st.sampled_from(["sinusoidal", "interpolated", "none"]),
    st.sampled_from(["uint8", "float32", "float64", "int64", "bool"]),
)
def test_any_image_gives_the_patches_that_cover_it(
    height, width, channels, size, patch, overlap, positions, kind
):
    made = tokenizer(
        size=size, patch=patch, channels=channels, overlap=overlap, position_embedding=positions
    )
    pixels = image(height, width, channels)
    features = made.encode((pixels / 255).astype(kind) if kind[0] in "fb" else pixels.astype(kind))
    sides = (height, width) if size is None else (size, size) if isinstance(size, int) else size
    rows, columns = (-(-side // p) for side, p in zip(sides, made.patch, strict=True))
    assert features.values.shape == (made.num_features, rows * columns)
    assert features.values.dtype == torch.float32
    assert features.values.isfinite().all()
    assert features.positions.shape == (2, rows * columns)
    assert made(features).matrix.shape == (DIM, rows * columns)
    decoded = made.decode(features)
    assert decoded.shape[:2] == (rows * made.patch[0], columns * made.patch[1])
    if size is None and kind == "uint8":
        assert np.array_equal(
            decoded.reshape(*decoded.shape[:2], channels)[:height, :width], pixels
        )


def test_what_is_beyond_the_image_is_the_mean_colour():
    made = tokenizer(patch=4, mean=[0.2, 0.4, 0.6], std=[0.1, 0.2, 0.3])
    decoded = made.decode(made.encode(image(5, 6)))
    assert (decoded[5:] == [51, 102, 153]).all()
    assert (decoded[:, 6:] == [51, 102, 153]).all()


def test_another_size_is_the_centred_box_resized():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200  # the centred square
    made = tokenizer(size=5, patch=5)
    assert (made.decode(made.encode(pixels)) == 200).all()


def test_resizing_is_antialiased():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    made = tokenizer(size=16, channels=1)
    inner = made.decode(made.encode(stripes))[:, 1:-1]
    assert np.abs(inner.astype(int) - 100).max() <= 4


def test_an_image_as_long_as_a_wire_needs_no_memory():
    made = tokenizer(size=32, patch=8, channels=1)
    assert made.encode(np.zeros((1, 1_000_000), np.uint8)).num_tokens == 16


# ---- learned positions ---------------------------------------------------------------------


def test_an_image_of_the_reference_size_gets_the_very_vectors_of_the_table():
    for scheme in ("interpolated", "learned"):
        made = tokenizer(position_embedding=scheme, grid=(2, 3), patch=4)
        features = made.encode(image(8, 12))
        added = made(features).matrix - made.embed(features)
        assert torch.allclose(added.mT, made.position_embedding.table, atol=1e-6)
        assert features.positions.tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (4, 6), (8, 3), (16, 16)])
def test_positions_of_another_size_are_torch_s_bilinear_interpolation(grid):
    made = tokenizer(position_embedding="interpolated", grid=(4, 6), patch=2)
    features = made.encode(image(2 * grid[0], 2 * grid[1]))
    table = made.position_embedding.table.mT.reshape(1, DIM, 4, 6)
    expected = torch.nn.functional.interpolate(table, grid, mode="bilinear", align_corners=False)
    added = made.position_embedding(features.positions)
    assert torch.allclose(added.mT, expected.reshape(DIM, -1), atol=1e-6)


def test_the_reference_grid_is_that_of_the_size_or_the_median_of_what_was_seen():
    assert tokenizer(position_embedding="interpolated", size=(8, 20), patch=4).reference_grid == (
        2,
        5,
    )
    made = ImagePatches(DIM, patch=4, position_embedding="interpolated")
    made.fit([image(8, 8), image(12, 20), image(400, 16)])
    assert made.reference_grid == (3, 4)
    for scheme in ("interpolated", "learned"):
        with pytest.raises(UserError, match="needs size or grid"):
            ImagePatches(DIM, position_embedding=scheme).build()


# ---- learned normalisation -----------------------------------------------------------------


def test_mean_and_deviation_are_those_of_the_training_pixels():
    images = [image(6, 9, 3, seed) // (seed + 1) for seed in range(20)]
    made = ImagePatches(DIM, patch=3)
    made.fit(iter(images))
    pixels = np.concatenate([i.reshape(-1, 3) for i in images]) / 255
    assert np.allclose(made.fitted["mean"], pixels.mean(0), atol=1e-6)
    assert np.allclose(made.fitted["std"], pixels.std(0), atol=1e-6)
    features = Features.pack([made.encode(i) for i in images]).values.reshape(3, -1)
    assert torch.allclose(features.mean(1), torch.zeros(3), atol=1e-4)
    assert torch.allclose(features.std(1), torch.ones(3), atol=1e-2)


def test_floats_of_any_scale_are_normalised():
    images = [np.random.default_rng(n).normal(500, 70, (8, 8, 2)) for n in range(5)]
    made = ImagePatches(DIM, patch=4, channels=2)
    made.fit(images)
    features = Features.pack([made.encode(i) for i in images]).values
    assert abs(features.mean()) < 1e-3
    assert abs(features.std() - 1) < 1e-2


def test_what_is_given_is_not_learned():
    made = ImagePatches(DIM, mean=[0.1, 0.2, 0.3], std=0.5)
    made.fit(iter([]))
    features = made.encode(np.zeros((4, 4, 3), np.uint8)).values.reshape(3, -1)
    assert torch.allclose(features[:, 0], torch.tensor([-0.2, -0.4, -0.6]))


def test_a_channel_that_never_changes_is_not_divided_by_zero():
    made = ImagePatches(DIM, channels=1)
    made.fit([np.full((4, 4), 7, np.uint8)])
    assert made.encode(np.full((4, 4), 7, np.uint8)).values.abs().max() < 1e-5


def test_only_a_sample_is_read_and_images_that_cannot_be_read_are_left_out():
    made = ImagePatches(DIM, channels=1)
    made.fit([b"no image", np.full((4, 4), 51, np.uint8), np.full((4, 4), 153, np.uint8)])
    assert np.allclose(made.fitted["mean"], [0.4])
    many = [np.full((1, 1), n % 256, np.uint8) for n in range(20_000)]
    made.fit(iter(many))
    assert abs(made.fitted["mean"][0] - 0.5) < 0.05
    with pytest.raises(UserError, match=r"found none.*not an image"):
        made.fit([b"no image at all"])
    with pytest.raises(UserError, match="found none"):
        made.fit([])


# ---- what the rest of unitf relies on ------------------------------------------------------

VARIANTS = {
    "interpolated": {
        "position_embedding": "interpolated",
        "patch": [2, 4],
        "overlap": 1,
    },
    "convolution": {"patch": [2, 4], "stem": "convolution", "grid": [2, 2]},
    "augmented": {
        "position_embedding": "learned",
        "channels": 1,
        "size": (16, 12),
        "augment": {"resized_crop": [0.5, 1.0], "crop": 2, "affine": True, "erase": 1.0},
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_keeps_to_the_contract(name):
    check_tokenizer(ImagePatches, ImagePatches.examples(), **VARIANTS[name])


def test_features_are_linear_in_the_pixels():
    made, (one, other) = tokenizer(patch=4), (image(8, 8, seed=1) / 255, image(8, 8, seed=2) / 255)
    mixed = made.encode(0.3 * one + 0.7 * other).values
    apart = 0.3 * made.encode(one).values + 0.7 * made.encode(other).values
    assert torch.allclose(mixed, apart, atol=1e-5)


def test_a_pickled_one_encodes_the_same():
    made = tokenizer(position_embedding="interpolated")
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again.encode(image(9, 7)).values, made.encode(image(9, 7)).values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch": 0}, "patch: expected whole numbers from 1 on, one or two, found 0"),
        ({"size": (8, -1)}, "size: expected"),
        ({"patch": [1, 2, 3]}, "patch: expected"),
        ({"channels": 0}, "channels: expected"),
        ({"overlap": -1}, "overlap: expected"),
        ({"overlap": 1, "stem": "convolution"}, "overlap must be 0: 1"),
        ({"mean": [0.1, 0.2]}, "mean: expected one number or 3, found 2"),
        ({"std": 0.0}, "std: expected numbers above 0"),
    ],
)
def test_a_wrong_argument_is_said_in_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        ImagePatches(DIM, **arguments)


def test_nothing_cannot_be_decoded():
    made = tokenizer()
    with pytest.raises(UserError, match="no patches"):
        made.decode(made.empty())


def test_learned_positions_take_no_more_patches_than_they_know():
    made = tokenizer(patch=4, position_embedding="learned", grid=(2, 3))
    assert made.encode(image(8, 12)).num_tokens == 6
    for sides in ((12, 8), (8, 16)):
        with pytest.raises(UserError, match="expected at most 2×3"):
            made.encode(image(*sides))


def test_a_deviation_that_is_given_is_kept_however_small():
    small = tokenizer(patch=4, mean=0.5, std=1e-4).encode(np.full((4, 4, 3), 255, np.uint8))
    assert torch.allclose(small.values, torch.tensor(5000.0))
