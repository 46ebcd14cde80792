"""Beginning from a trained model: what is taken, what is new, and that it is said."""

from functools import partial

import pytest
import torch
from small_models import CORE, built, learner_from, new_task, samples, weights_of
from toys import Beats, Waves

import unitf
from unitf import Learner, TransformerConfig, UserError
from unitf.loading import read_source
from unitf.tasks import Classification
from unitf.training.finetuning.resize_positions import resize


def tensors(source):
    state = read_source(source)["state_dict"]
    return {name: value for name, value in state.items() if torch.is_tensor(value)}


def test_only_the_head_is_new(source):
    learner = built(
        learner_from(pretrained=source, tasks={"pace": new_task(pooling="class_token")})
    )
    theirs, ours = tensors(source), weights_of(learner)
    others = {name for name in ours if not name.startswith("tasks.pace.head.linear")}
    for name in others:
        assert torch.equal(ours[name], theirs[name.replace(".pace.", ".speed.")]), name
    assert len(ours) == len(others) + 2
    assert learner.start.described == (
        f"pretrained {source}: took over {len(others)} of {len(ours)} weights; new "
        "tasks.pace.head.linear.weight, tasks.pace.head.linear.bias; left over "
        "tasks.speed.head.linear.weight, tasks.speed.head.linear.bias"
    )
    assert learner.tokenizers["waves"].fitted == unitf.load(source).tokenizers["waves"].fitted


def test_what_is_not_given_comes_from_the_source(source):
    learner = built(Learner(pretrained=source))
    assert learner.predict(samples()) == unitf.load(source).predict(samples())


def test_a_head_of_as_many_other_classes_is_new(source):
    same = built(learner_from(pretrained=source, tasks={"speed": new_task(["fast", "slow"])}))
    other = built(learner_from(pretrained=source, tasks={"speed": new_task(["slow", "fast"])}))
    theirs = tensors(source)["tasks.speed.head.linear.weight"]
    assert torch.equal(weights_of(same)["tasks.speed.head.linear.weight"], theirs)
    assert not torch.equal(weights_of(other)["tasks.speed.head.linear.weight"], theirs)


def test_tokenizers_that_no_task_reads_are_left_out(source):
    task = Classification(["waves"], "speed", classes=["fast", "slow"])
    learner = learner_from(pretrained=source, tasks={"pace": task})
    assert list(learner.tokenizers) == ["waves"]


def test_a_tokenizer_of_another_class_is_fitted_anew(source):
    learner = built(learner_from(pretrained=source, tokenizers={"waves": Beats, "beats": Beats}))
    assert not torch.equal(
        weights_of(learner)["tokenizers.waves.embedding.weight"],
        tensors(source)["tokenizers.waves.embedding.weight"],
    )
    assert "new tokenizers.waves," in learner.start.described


@pytest.mark.parametrize("length", [5, 30])
def test_positions_of_another_length_keep_their_places(source, length):
    tokenizers = {"waves": partial(Waves, position_embedding="learned", max_tokens=length)}
    learner = built(learner_from(pretrained=source, tokenizers=tokenizers))
    name = "tokenizers.waves.position_embedding.table"
    theirs, ours = tensors(source)[name], weights_of(learner)[name]
    assert len(ours) == length
    assert torch.equal(ours[:12], theirs[:length])
    assert f"interpolated {name} 12 → {length}" in learner.start.described


def test_a_grid_is_interpolated_as_a_picture():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    table = torch.stack([rows, columns, rows * 0 + 1], dim=-1).flatten(0, 1)
    assert torch.equal(resize(table, (8, 6), (8, 6)), table)
    finer = resize(table, (8, 6), (16, 12)).unflatten(0, (16, 12))
    # a plane stays a plane, within the border
    expected = (torch.arange(16) + 0.5) / 2 - 0.5
    torch.testing.assert_close(finer[4:-4, 6, 0], expected[4:-4], atol=1e-4, rtol=0)
    torch.testing.assert_close(finer[..., 2], torch.ones(16, 12))
    assert resize(table, (48,), (4, 12)) is None


def test_the_core_alone_goes_under_other_tokenizers(source):
    learner = built(learner_from(core_from=source, tokenizers={"waves": Beats, "beats": Waves}))
    theirs, ours = tensors(source), weights_of(learner)
    core = [name for name in ours if name.startswith("core.")]
    assert core and all(torch.equal(ours[name], theirs[name]) for name in core)
    assert not torch.equal(
        ours["tokenizers.beats.embedding.weight"], theirs["tokenizers.beats.embedding.weight"]
    )
    assert learner.config == unitf.load(source).config
    assert learner.start.described.startswith(f"core_from {source}: took over {len(core)} of ")


def test_what_cannot_be_is_one_clear_line(source, tmp_path):
    with pytest.raises(UserError, match="expected one of them"):
        learner_from(pretrained=source, core_from=source)
    with pytest.raises(UserError, match=r"model\.core: found none"):
        learner_from(tokenizers={"waves": Waves, "beats": Beats})
    with pytest.raises(UserError, match="there is no such file"):
        learner_from(pretrained=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="timm has no model 'vit'"):
        learner_from(core_from="timm:vit")
    wider = learner_from(pretrained=source, core=TransformerConfig(**{**CORE, "dim": 48}))
    with pytest.raises(UserError, match=r"no weight of its core .*\(dim: 32, not 48"):
        built(wider)
