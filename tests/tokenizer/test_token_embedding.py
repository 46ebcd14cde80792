"""What published models have around their tables: offsets, widths, scales, segments, prefixes."""

import pytest
import torch
from jsonargparse import ArgumentParser
from unitf_audio import SpectralPatches, Spectrogram, SpectrogramFrames, WaveformFrames
from unitf_image import ImagePatches
from unitf_text import Bytes, Words

from unitf import Features, TaskBatch, Tokenizer, Tokens, Transformer, TransformerConfig, UserError
from unitf.tasks import NextToken
from unitf.testing import CHECKS, check_tokenizer
from unitf.tokenizer.position_embedding import AdditivePositions, LearnedPositions
from unitf.tokenizer.token_embedding import EmbeddingTable, Prefix, Unembedding

TEXTS = ["the cat sat", "on", "a mat of straw"]


@pytest.fixture(autouse=True)
def without_a_process(monkeypatch):
    """The check that starts an interpreter has nothing to say of embeddings."""
    kept = {name: check for name, check in CHECKS.items() if "spawned" not in name}
    monkeypatch.setattr("unitf.testing.CHECKS", kept)


def built(cls, dim=8, values=TEXTS, unembed=False, **options) -> Tokenizer:
    torch.manual_seed(0)
    tokenizer = cls(dim, **options)
    tokenizer.fit(values)
    tokenizer.build(unembed=unembed)
    return tokenizer


# ---- the table, and positions ------------------------------------------------------------


def test_an_offset_skips_the_first_learned_positions():
    tokenizer = built(Bytes, position_embedding="learned", max_tokens=5, position_offset=2)
    table = tokenizer.position_embedding.table
    assert table.shape == (7, 8)
    features = tokenizer.encode("abcde")
    expected = tokenizer.embedding(features.values) + table[2:]
    assert torch.equal(tokenizer(features).rows, expected)
    with pytest.raises(UserError, match="learned positions, found 'sinusoidal'"):
        Bytes(8, position_offset=2)


@pytest.mark.parametrize("scheme", ["sinusoidal", "none"])
def test_a_scale_multiplies_the_vectors(scheme):
    features = Bytes(8).encode("abc")
    for scale in (1.0, 2.5):
        tokenizer = built(Bytes, position_embedding=scheme, table=EmbeddingTable(scale=scale))
        vectors = tokenizer.embedding(features.values)
        assert torch.equal(tokenizer.embed(features).mT, vectors * scale)


def test_a_narrow_table_is_projected_after_positions_and_norm():
    table = EmbeddingTable(width=4, norm_eps=1e-12)
    tokenizer = built(Bytes, position_embedding="learned", max_tokens=5, table=table)
    features = tokenizer.encode("abc")
    state = tokenizer.state_dict()
    assert state["embedding.weight"].shape == (259, 4)
    inner = state["embedding.weight"][features.values] + state["position_embedding.table"][:3]
    inner = torch.nn.functional.layer_norm(inner, (4,), eps=1e-12)
    expected = inner @ state["embedding_projection.weight"].mT
    assert torch.allclose(tokenizer(features).rows, expected, atol=1e-6)


def test_the_way_back_goes_through_the_narrow_table():
    tokenizer = built(Bytes, dim=64, unembed=True, table=EmbeddingTable(width=16))
    columns = torch.randn(64, 10)
    whole = tokenizer.embedding.weight @ tokenizer.embedding_projection.weight.mT
    assert torch.allclose(tokenizer.unembed(columns), whole @ columns, atol=1e-4)
    assert 0.5 < tokenizer.unembed(torch.randn(64, 100)).std() < 2  # logits begin at size 1


def test_positions_may_follow_the_projection():
    table = EmbeddingTable(width=4, projected_first=True, projection_bias=False, norm_eps=1e-5)
    tokenizer = built(Bytes, position_embedding="learned", max_tokens=5, table=table)
    features = tokenizer.encode("abc")
    state = tokenizer.state_dict()
    assert "embedding_projection.bias" not in state
    rows = state["embedding.weight"][features.values] @ state["embedding_projection.weight"].mT
    expected = torch.nn.functional.layer_norm(rows + state["position_embedding.table"][:3], (8,))
    torch.testing.assert_close(tokenizer(features).rows, expected)


# ---- the way back to ids -----------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_ids_may_have_a_matrix_of_their_own_for_the_way_back(bias):
    options = {"unembedding": Unembedding(tied=False, bias=bias)}
    tokenizer, columns = built(Bytes, unembed=True, **options), torch.randn(8, 3)
    own = tokenizer.unembedding
    assert own.weight.shape == (259, 8)
    assert (own.bias is not None) == bias
    expected = own.weight @ columns + (own.bias[:, None] if bias else 0)
    torch.testing.assert_close(tokenizer.unembed(columns), expected)
    assert built(Bytes, **options).unembedding is None  # no task wants it


def test_a_tied_table_may_have_a_bias_and_a_projection_of_its_own():
    settings = Unembedding(bias=True, projection=True)
    tokenizer = built(Bytes, unembed=True, table=EmbeddingTable(width=4), unembedding=settings)
    with torch.no_grad():
        tokenizer.unembedding.bias.normal_()
    columns = torch.randn(8, 3)
    narrow = tokenizer.unembedding.projection.weight @ columns
    expected = tokenizer.embedding.weight @ narrow + tokenizer.unembedding.bias[:, None]
    torch.testing.assert_close(tokenizer.unembed(columns), expected)


@pytest.mark.parametrize("tied", [True, False])
def test_a_softcap_bounds_the_logits(tied):
    plain, capped = (
        built(Bytes, unembed=True, unembedding=Unembedding(tied=tied, softcap=cap))
        for cap in (None, 1.5)
    )
    columns = 50 * torch.randn(8, 20)
    logits = plain.unembed(columns)
    assert logits.abs().max() > 3
    torch.testing.assert_close(capped.unembed(columns), 1.5 * (logits / 1.5).tanh())


def test_settings_of_the_way_back_that_make_no_sense_are_named():
    with pytest.raises(UserError, match="softcap: expected above 0, found 0"):
        Unembedding(softcap=0.0)
    with pytest.raises(UserError, match="found tied false"):
        Unembedding(tied=False, projection=True)
    with pytest.raises(UserError, match="`unembedding` is not for it"):
        WaveformFrames(8, unembedding=Unembedding(tied=False)).make_parameters()


@pytest.mark.parametrize(
    "unembedding", [Unembedding(tied=False), Unembedding(bias=True, projection=True, softcap=9.0)]
)
def test_a_way_back_of_its_own_keeps_to_the_contract(unembedding):
    check_tokenizer(Bytes, TEXTS, unembedding=unembedding, table=EmbeddingTable(width=12))


@pytest.mark.parametrize("table", [EmbeddingTable(width=12), EmbeddingTable(scale=3.0)])
def test_a_table_of_its_own_keeps_to_the_contract(table):
    check_tokenizer(Words, TEXTS, table=table)
    check_tokenizer(Bytes, TEXTS, table=table, position_embedding="learned", max_tokens=20)


def test_options_that_make_no_sense_are_one_line():
    with pytest.raises(UserError, match=r"table.width: expected a number above 0, found 0"):
        EmbeddingTable(width=0)
    with pytest.raises(UserError, match="expected 1 or more, found 0"):
        Prefix(num_tokens=0)
    with pytest.raises(UserError, match="ImagePatches has no ids: `table` is not for it"):
        ImagePatches(8, mean=0.5, std=0.5, table=EmbeddingTable(width=4)).build()


def test_additive_positions_are_a_sum_of_one_vector_for_each_axis():
    positions = AdditivePositions(4, (5, 2), offset=1)
    one, two = positions.state_dict().values()
    assert list(positions.state_dict()) == ["tables.0", "tables.1"]
    assert (one.shape, two.shape) == ((6, 4), (2, 4))
    got = positions(torch.tensor([[0.0, 4.0, 2.0], [0.0, 1.0, 1.0]]))
    assert torch.equal(got, one[[1, 5, 3]] + two[[0, 1, 1]])
    alone = AdditivePositions(4, (5,))
    same = LearnedPositions(4, (5,))
    same.table = alone.tables[0]
    places = torch.tensor([[3.0, 0.0, 9.0]])
    assert torch.equal(alone(places), same(places))


# ---- prefix ------------------------------------------------------------------------------

SOUNDS = [torch.linspace(-1, 1, n).sin().numpy() for n in (1600, 4000)]
SOUNDS = [{"array": array, "sampling_rate": 16_000} for array in SOUNDS]
MODALITIES = {
    "bytes": (Bytes, TEXTS, {}),
    "images": (ImagePatches, ImagePatches.examples(), {}),
    "frames": (SpectrogramFrames, SOUNDS, {"spectrogram": Spectrogram(num_mels=8)}),
    "spectral": (SpectralPatches, SOUNDS, {"patch_frames": 4}),
    "waveform": (WaveformFrames, SOUNDS, {}),
}


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_with_a_prefix_keeps_to_the_contract(modality, positions):
    cls, values, options = MODALITIES[modality]
    check_tokenizer(cls, values, prefix=Prefix(3, positions), **options)


def test_prefix_columns_stand_before_each_sequence_that_is_there():
    prefix = Prefix(num_tokens=2, position=-1.0)
    tokenizer, plain = built(Bytes, prefix=prefix), built(Bytes)
    plain.load_state_dict({k: v for k, v in tokenizer.state_dict().items() if "prefix" not in k})
    parts = [tokenizer.encode("abc"), tokenizer.empty(), tokenizer.encode("d")]
    features = Features.pack(parts)
    tokens = tokenizer(features)
    assert tokens.lengths == tokenizer.num_columns(features) == (5, 0, 3)
    first, _, last = tokens.split()
    expected = tokenizer.prefix.tokens + tokenizer.prefix.positions
    for sequence, value in ((first, parts[0]), (last, parts[2])):
        assert torch.equal(sequence.rows[:2], expected)
        assert torch.equal(sequence.rows[2:], plain(value).rows)
        assert torch.equal(sequence.rows, tokenizer(value).rows)  # packed = one at a time
    assert first.positions.tolist() == [[-1, -1, 0, 1, 2]]


def test_registers_have_no_positions():
    tokenizer = built(Bytes, prefix=Prefix(3, positions=1))
    rows, prefix = tokenizer(tokenizer.encode("ab")).rows, tokenizer.prefix
    assert torch.equal(rows[0], prefix.tokens[0] + prefix.positions[0])
    assert torch.equal(rows[1:3], prefix.tokens[1:])
    with pytest.raises(UserError, match="expected at most 3, found 4"):
        Prefix(3, positions=4)
    tokenizer = built(Bytes, prefix=Prefix(4, positions=False))
    names = [name for name, _ in tokenizer.named_parameters() if "prefix" in name]
    assert names == ["prefix.tokens"]


def test_a_prefix_reaches_its_parameters_also_without_a_sequence():
    tokenizer = built(Bytes, prefix=Prefix())
    for lengths in ((), (0, 0)):
        nothing = Features(torch.zeros(0, dtype=torch.long), torch.zeros(1, 0), lengths)
        tokenizer(nothing).matrix.sum().backward()
        assert all(p.grad is not None and not p.grad.any() for p in tokenizer.prefix.parameters())


def test_rotary_attention_does_not_turn_a_prefix_at_zero():
    torch.manual_seed(0)
    config = TransformerConfig(
        dim=32, depth=1, num_heads=2, relative_positions="rotary", position_axes=2, bias=False
    )
    core = Transformer(config).eval()
    tokenizer = built(
        ImagePatches, 32, ImagePatches.examples(), position_embedding="none", prefix=Prefix(2)
    )
    tokens = tokenizer(tokenizer.encode(ImagePatches.examples()[0]))
    assert not tokens.positions[:, :2].any()
    cosine, sine = core.encoder.positions.rotation(tokens.positions)
    assert bool((cosine[:2] == 1).all()) and not sine[:2].any()
    assert core(tokens).rows.shape == tokens.rows.shape


def test_the_next_token_is_predicted_past_a_prefix():
    plain, prefixed = built(Bytes, unembed=True), built(Bytes, unembed=True, prefix=Prefix(2))
    state = {k: v for k, v in prefixed.state_dict().items() if "prefix" not in k}
    plain.load_state_dict(state)
    task = NextToken(["text", "other"])
    features = Features.pack([plain.encode("abc"), plain.empty(), plain.encode("de")])
    other = Features.pack([plain.encode("x"), plain.encode("yz"), plain.empty()])
    task.build(dim=8)
    parts = [prefixed(features), prefixed(other)]
    columns = task.join_inputs(parts)
    batch = TaskBatch({"text": features, "other": other}, None, ("text",) * 3, ("a", "b", "c"))
    read = task.outputs(columns, batch, {"text": prefixed, "other": prefixed})
    # sample 0 is: start, 2 of the prefix, a, b, c, 2 of the prefix, x; so "a" is read from row 2
    rows = columns.split()[0].rows
    for place, target in ((2, 0), (3, 1), (4, 2)):
        logits = plain.unembed(rows[place : place + 1].mT)
        expected = torch.nn.functional.cross_entropy(logits.mT, features.values[target][None])
        assert torch.allclose(read["text"][target], expected)
    logits = plain.unembed(rows[7:8].mT)
    expected = torch.nn.functional.cross_entropy(logits.mT, other.values[:1])
    assert torch.allclose(read["other"][0], expected)
    assert len(read["text"]) == 5 and len(read["other"]) == 3


@pytest.mark.parametrize("cls", [Bytes, Words, ImagePatches, SpectralPatches, WaveformFrames])
def test_a_recipe_can_say_all_of_it(cls):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "tokenizer")
    given = {"dim": 8, "prefix": {"num_tokens": 2, "position": -1.0}}
    if cls in (Bytes, Words):
        given |= {"table": {"width": 4}, "position_embedding": "additive", "num_segments": 2}
        given |= {"max_tokens": 9, "position_offset": 2}
    made = parser.instantiate_classes(parser.parse_object({"tokenizer": given})).tokenizer
    assert made.num_prefix == 2 and made.prefix_settings == Prefix(2, position=-1.0)
    assert made.embedding_dim == (4 if cls in (Bytes, Words) else 8)


def test_tokens_of_a_prefix_stay_on_the_tokens_device_and_dtype():
    tokenizer = built(Bytes, prefix=Prefix(2)).bfloat16()
    tokens = tokenizer(tokenizer.encode("abc"))
    assert isinstance(tokens, Tokens) and tokens.matrix.dtype == torch.bfloat16
    assert tokens.matrix.mT.is_contiguous()
