"""What a model looks at in a sample: whose tokens they are, and that the rows are the core's."""

import pytest
import torch
from attended_models import PICTURE, WRITERS, Letters, Nameless, make, reader, writer

from unitf import UserError
from unitf.analysis.attention import attend
from unitf.core.recorder import AttentionRecorder, rollout
from unitf.tasks import Classification, MaskedTokens


def described(side):
    return {part.name: (part.column_indices, part.names) for part in side}


def test_every_token_is_found_wherever_a_task_and_a_prefix_put_it():
    sample = {"text": "abc", "picture": PICTURE}
    (looks,) = attend(reader(prefix=2), sample).maps
    places = ["0,0", "0,1", "0,2", "1,0", "1,1", "1,2"]
    assert described(looks.queries) == {
        "text": ([3, 4, 5], ["a", "b", "c"]),
        "picture": ([6, 7, 8, 9, 10, 11], places),
        "learned": ([0, 1, 2], ["[learned]"] * 3),
    }
    assert looks.keys is looks.queries
    assert looks.rows.shape == (2, 2, 12, 12)


def test_a_lone_modality_has_its_tokens_alone_and_ids_without_names_their_numbers():
    learner = reader(pooling="mean")
    (looks,) = attend(learner, {"picture": PICTURE}).maps
    assert described(looks.queries).keys() == {"picture"}
    learner.tokenizers["text"].__class__ = Nameless
    (looks,) = attend(learner, {"text": "ab"}).maps
    assert described(looks.queries) == {"text": ([0, 1], ["2", "3"])}


def test_rows_and_rollout_are_those_of_the_chosen_layers_and_heads():
    learner, sample = reader(), {"text": "abc", "picture": PICTURE}
    (every,) = attend(learner, sample).maps
    (some,) = attend(learner, sample, layers=[1], heads=[1, 0]).maps
    assert torch.equal(some.rows[0], every.rows[1][[1, 0]])
    assert (some.layers, some.heads) == ([1], [1, 0])
    for looks in (some, every):
        torch.testing.assert_close(looks.rollout, rollout(list(every.rows)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_word_is_aligned_by_the_column_that_writes_it(name):
    learner = writer(name)
    attended = attend(learner, {"text": "abc", "picture": PICTURE, "target": "de"})
    alignment, whole = attended.alignment, attended.maps[-1]
    assert described(alignment.queries) == {"target": ([0, 1, 2], ["d", "e", "</s>"])}
    assert [part.name for part in alignment.keys] == ["text", "picture"]
    assert alignment.keys[1].canvas is not None
    first = 9 if "prefix" in name else 0  # after the source
    assert torch.equal(alignment.rows, whole.rows[:, :, first : first + 3, :9])
    # the last word that is read before it has no part in what a word looks at
    other = attend(learner, {"text": "abc", "picture": PICTURE, "target": "df"}).alignment
    torch.testing.assert_close(other.rows[:, :, :2], alignment.rows[:, :, :2])
    assert not torch.isclose(other.rows[:, :, 2], alignment.rows[:, :, 2]).all()
    if "memory" in name:
        assert [looks.name for looks in attended.maps] == [
            "source at source",
            "target at target",
            "target at source",
        ]
        torch.testing.assert_close(whole.rollout.sum(-1), torch.ones(len(whole.rollout)))


def test_looking_leaves_the_model_as_it_was():
    learner, sample = reader(dropout=0.5), {"text": "abc"}
    before = learner.predict([sample])
    learner.train()
    attend(learner, sample)
    assert learner.training
    assert all(stack.recorder is None for stack in learner.core.stacks)
    assert not learner.tokenizers["text"]._forward_hooks
    assert learner.predict([sample]) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [2]}, "there is no layer 2, expected 0 to 1"),
        ({"layers": [-1]}, "there is no layer -1, expected 0 to 1"),
        ({"heads": [0, 5]}, "there is no head 5, expected 0 to 1"),
        ({"task": "kinds"}, "there is no task 'kinds', expected one of kind"),
    ],
)
def test_what_is_not_there_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        attend(reader(), {"text": "abc"}, **settings)


def test_a_sample_that_no_task_takes_is_named():
    with pytest.raises(UserError, match="no task takes a sample of sound: kind"):
        attend(reader(), {"sound": 1})


@pytest.mark.parametrize("name", WRITERS)
def test_a_target_that_is_missing_is_what_the_model_writes(name):
    learner, sample = writer(name), {"text": "abc", "picture": PICTURE}
    [written] = learner.generate([sample])
    assert written["text"]
    alignment = attend(learner, sample).alignment
    told = attend(learner, sample | {"target": written["text"]}).alignment
    assert described(alignment.queries) == described(told.queries)
    assert torch.equal(alignment.rows, told.rows)


def test_a_model_that_writes_nothing_has_nothing_to_align(monkeypatch):
    monkeypatch.setattr(Letters, "decode", lambda self, features: "")
    with pytest.raises(
        UserError, match=r"writes nothing .* expected target=… beside text, picture"
    ):
        attend(writer("memory"), {"text": "abc"})


def test_what_it_writes_and_cannot_read_again_is_said(monkeypatch):
    encode = Letters.encode

    def strict(self, value, train=False):
        if value == "???":
            raise UserError("text of 3 tokens, expected at most 2")
        return encode(self, value, train)

    monkeypatch.setattr(Letters, "decode", lambda self, features: "???")
    monkeypatch.setattr(Letters, "encode", strict)
    with pytest.raises(UserError, match=r"cannot be read again, give target=… .* at most 2"):
        attend(writer("memory"), {"text": "abc"})


def test_columns_with_one_tokenizer_are_told_apart_also_where_tokens_are_hidden():
    learner = make({"hidden": MaskedTokens({"premise": "text", "claim": "text"}, mask_ratio=0.5)})
    (looks,) = attend(learner, {"premise": "abc", "claim": "de"}).maps
    assert {name: places for name, (places, _) in described(looks.queries).items()} == {
        "premise": [0, 1, 2],
        "claim": [3, 4],
    }


def test_too_much_to_show_is_said_and_not_shown(monkeypatch):
    monkeypatch.setattr("unitf.analysis.attention.maps.MOST", 30)
    with monkeypatch.context() as context, pytest.raises(UserError, match="too much"):
        context.setattr(
            AttentionRecorder, "rows", lambda *_, **__: pytest.fail("before anything is computed")
        )
        attend(writer("memory"), {"text": "abc", "target": "ab"})
    with pytest.raises(UserError, match="2 layers of 2 heads over 4 × 4 tokens are too much"):
        attend(reader(), {"text": "abc"})
    attend(reader(), {"text": "abc"}, layers=[0], heads=[0])


def test_a_layer_that_only_the_encoder_has_shows_the_encoder():
    task = Classification(["text"], "kind", ["a", "b"])
    (looks,) = attend(make({"kind": task}, depth=3), {"text": "ab"}, layers=[2]).maps
    assert looks.layers == [2]
    learner = writer("memory", depth=2, decoder_depth=1)
    attended = attend(learner, {"text": "ab", "target": "c"}, layers=[1])
    assert [looks.name for looks in attended.maps] == ["source at source"]
    assert attended.alignment is None
