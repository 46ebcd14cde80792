"""Classification: classes learned from data, torch's plain losses, torchmetrics' figures."""

import dataclasses

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from sklearn.metrics import f1_score, roc_auc_score
from task_toys import (
    DIM,
    SAMPLES,
    arranged,
    figures,
    random_tokens,
    read,
    ready,
    tokenizers,
    view_of,
)
from torch.nn import functional

from unitf.errors import UserError
from unitf.tasks import Classification, MultiLabelClassification
from unitf.tasks.heads.head import Head, PooledHead
from unitf.tasks.heads.pooling import POOLINGS

BOTH = ["text", "image"]
TAGGED = [
    {"text": "aa", "tags": ["red", "big"]},
    {"text": "bb", "tags": []},
    {"text": "cc", "tags": ["big"]},
]


def logits_view(task, samples, seed=0):
    """Random logits, and the view that they belong to."""
    made = tokenizers()
    output = torch.randn(len(samples), task.num_classes, generator=torch.manual_seed(seed))
    return made, view_of(task, samples, made), output


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([10, 9, 2], [2, 9, 10]),
        ([np.int64(3), torch.tensor(1), 2.0], [1, 2, 3]),
        ([True, False], [False, True]),
    ],
)
def test_classes_are_the_sorted_labels_of_the_training_samples(labels, classes):
    task = Classification(BOTH, "label")
    task.fit([{"text": "x", "label": label} for label in labels])
    assert task.classes == classes
    assert [type(name) for name in task.classes] == [type(name) for name in classes]
    assert task.num_classes == len(classes)


def test_samples_without_label_or_input_teach_no_class():
    task = Classification(BOTH, "label")
    task.fit([*SAMPLES, {"text": "x", "label": None}, {"sound": "x", "label": "owl"}])
    assert task.classes == ["cat", "cow", "dog"]


def test_given_classes_are_kept_in_their_order_and_need_no_samples():
    task = Classification(BOTH, "label", classes=["dog", "cow", "cat"])
    task.fit(iter([]))
    assert task.classes == ["dog", "cow", "cat"]
    assert task.encode_target({"label": "cat"}) == 2


def test_an_unknown_label_is_told_with_near_names():
    task = Classification(BOTH, "label")
    task.fit(SAMPLES)
    with pytest.raises(UserError, match=r"target 'label': unknown class 'caw'; did you mean 'cow'"):
        task.encode_target({"label": "caw"})
    with pytest.raises(UserError, match=r"unknown class '1234'; known: cat, cow, dog"):
        task.encode_target({"label": "1234"})


@pytest.mark.parametrize("label", [1.5, float("nan"), [1], {"a": 1}])
def test_what_is_no_class_name_is_refused(label):
    with pytest.raises(UserError, match="a class is a text, a whole number or a boolean"):
        Classification(BOTH, "label").fit([{"text": "x", "label": label}])


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_one_class_is_nothing_to_learn(labels):
    with pytest.raises(UserError, match="two or more different classes"):
        Classification(BOTH, "label").fit([{"text": "x", "label": label} for label in labels])
    with pytest.raises(UserError, match="two or more different classes"):
        Classification(BOTH, "label", classes=labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_cross_entropy_of_each_sample(smoothing):
    task = Classification(BOTH, "label", label_smoothing=smoothing)
    task.fit(SAMPLES)
    made, batch, logits = logits_view(task, SAMPLES)
    log_p = logits.log_softmax(1)
    wanted = torch.tensor([["cat", "cow", "dog"].index(s["label"]) for s in SAMPLES])
    one_hot = functional.one_hot(wanted, 3) * (1 - smoothing) + smoothing / 3
    torch.testing.assert_close(task.losses(logits, batch, made), -(one_hot * log_p).sum(1))


def test_soft_targets_are_a_distribution_and_scored_by_their_mode():
    task = Classification(BOTH, "label")
    task.fit(SAMPLES)
    made, batch, logits = logits_view(task, SAMPLES)
    soft = torch.rand(5, 3, generator=torch.manual_seed(1)).softmax(1)
    mixed = dataclasses.replace(batch, target=soft)
    expected = -(soft * logits.log_softmax(1)).sum(1)
    torch.testing.assert_close(task.losses(logits, mixed, made), expected)
    hard = dataclasses.replace(batch, target=soft.argmax(1))
    assert figures(task, mixed, logits, made)["accuracy"] == pytest.approx(
        figures(task, hard, logits, made)["accuracy"]
    )


def test_figures_equal_those_of_scikit_learn():
    samples = [{"text": "x", "label": "abc"[i % 7 % 3]} for i in range(40)]
    task = Classification(BOTH, "label")
    task.fit(samples)
    made, batch, logits = logits_view(task, samples)
    found, truth = figures(task, batch, logits, made), batch.target.numpy()
    predicted, p = logits.argmax(1).numpy(), logits.softmax(1).numpy()
    assert found["accuracy"] == pytest.approx((predicted == truth).mean())
    assert found["f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, p, multi_class="ovr"))
    assert found["confusion"].tolist() == [
        [((truth == i) & (predicted == j)).sum() for j in range(3)] for i in range(3)
    ]
    assert found["num_samples"] == 40


def test_a_class_that_no_sample_has_is_not_held_against_the_figures():
    task = Classification(BOTH, "label", classes=["cat", "cow", "dog", "owl"])
    made, batch, logits = logits_view(task, SAMPLES * 4)
    found, truth = figures(task, batch, logits, made), batch.target.numpy()
    p = logits.softmax(1).numpy()
    binary = [roc_auc_score(truth == c, p[:, c]) for c in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(binary))


def test_figures_of_some_samples_are_those_of_a_batch_of_them():
    task = Classification(BOTH, "label")
    task.fit(SAMPLES)
    made, batch, logits = logits_view(task, SAMPLES)
    chosen = [3, 0]
    some = figures(task, batch, logits, made, chosen)
    _, part, _ = logits_view(task, [SAMPLES[s] for s in chosen])
    alone = figures(task, part, logits[chosen], made)
    assert some.keys() == alone.keys()
    assert all(torch.equal(some[name], alone[name]) for name in some)


def test_without_samples_there_are_no_figures():
    task = Classification(BOTH, "label")
    task.fit(SAMPLES)
    made, batch, logits = logits_view(task, SAMPLES)
    assert task.metrics().compute() == {}
    assert figures(task, batch, logits, made, []) == {}


def test_figures_of_one_class_leave_out_what_is_undefined():
    task = Classification(BOTH, "label")
    task.fit(SAMPLES)
    made, batch, logits = logits_view(task, SAMPLES)
    found = figures(task, batch, logits, made, [0, 3])  # both are cats
    assert "auroc" not in found
    assert "accuracy" in found


def test_predictions_name_the_best_classes_with_their_probabilities():
    samples = [{"text": "x", "label": f"c{i}"} for i in range(8)]
    task = Classification(BOTH, "label")
    task.fit(samples)
    made, batch, logits = logits_view(task, samples)
    for row, told in zip(logits.softmax(1), task.predict(logits, batch, made), strict=True):
        best = row.sort(descending=True)
        assert told["label"] == f"c{best.indices[0]}"
        assert told["probability"] == pytest.approx(best.values[0].item())
        assert list(told["probabilities"]) == [f"c{i}" for i in best.indices[:5].tolist()]
        assert list(told["probabilities"].values()) == pytest.approx(best.values[:5].tolist())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_sample_reads_the_same_alone_and_in_a_mixed_batch(pooling):
    task, made = ready(Classification(BOTH, "label", pooling=pooling)), tokenizers()
    _, together = read(task, SAMPLES, made)
    alone = [read(task, [sample], made)[1] for sample in SAMPLES]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_batch_without_samples_has_no_loss_and_a_gradient(pooling):
    task, made = ready(Classification(BOTH, "label", pooling=pooling)), tokenizers()
    batch, output = read(task, [], made)
    losses = task.losses(output, batch, made)
    assert losses.shape == (0,)
    losses.sum().backward()
    assert task.head.linear.weight.grad.abs().sum() == 0
    assert task.predict(output, batch, made) == []


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_learns(pooling):
    task, made = ready(Classification(BOTH, "label", pooling=pooling)), tokenizers()
    batch, output = read(task, SAMPLES, made)
    task.losses(output, batch, made).mean().backward()
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_a_head_learns_to_tell_the_samples_apart():
    task, made = ready(Classification(BOTH, "label")), tokenizers()
    samples = [sample for sample in SAMPLES if sample.get("text") != ""]
    parameters = [*task.parameters(), *(p for t in made.values() for p in t.parameters())]
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(60):
        batch, output = read(task, samples, made)
        optimizer.zero_grad()
        task.losses(output, batch, made).mean().backward()
        optimizer.step()
    told = task.predict(read(task, samples, made)[1], batch, made)
    assert [p["label"] for p in told] == [sample["label"] for sample in samples]


def test_unlabelled_samples_are_predicted():
    task, made = ready(Classification(BOTH, "label")), tokenizers()
    samples = [{"text": "hello"}]
    batch = view_of(task, samples, made, labelled=False)
    output = task.outputs(arranged(task, batch, made), batch, made)
    assert len(task.predict(output, batch, made)) == 1


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_fresh_task_is_restored_from_a_state_with_its_classes(pooling):
    task, made = ready(Classification(BOTH, "label", pooling=pooling)), tokenizers()
    fresh = Classification(BOTH, "label", pooling=pooling)
    fresh.load_state_dict(task.state_dict())
    assert fresh.classes == task.classes
    assert torch.equal(read(fresh.eval(), SAMPLES, made)[1], read(task, SAMPLES, made)[1])


def test_a_task_is_made_again_from_its_configuration():
    settings = {"label_smoothing": 0.1, "pooling": "attention", "classes": ["x", "y"]}
    task = Classification(inputs=BOTH, target="label", **settings)
    told = task.configuration()
    assert {**told, "version": "", "init_args": {}} == {
        "class": "Classification",
        "kind": "tasks",
        "distribution": "unitf",
        "version": "",
        "init_args": {},
    }
    assert Classification(**told["init_args"]).configuration() == told


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        (["big", "red"], ["big", "red"]),
        ("big; red", ["big", "red"]),
        ("", []),
        (("red",), ["red"]),
        (np.array(["red", "big"]), ["red", "big"]),
        (3, [3]),
    ],
)
def test_labels_come_as_a_list_or_as_one_text(value, labels):
    assert MultiLabelClassification(BOTH, "tags").labels(value) == labels


def test_multi_label_loss_is_the_mean_binary_cross_entropy():
    task = MultiLabelClassification(["text"], "tags")
    task.fit(TAGGED)
    assert task.classes == ["big", "red"]
    made, batch, logits = logits_view(task, TAGGED)
    assert batch.target.tolist() == [[1, 1], [0, 0], [1, 0]]
    p, y = logits.sigmoid(), batch.target
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean(1)
    torch.testing.assert_close(task.losses(logits, batch, made), expected)


def test_multi_label_figures_and_predictions():
    task = MultiLabelClassification(["text"], "tags", classes=["big", "red", "unseen"])
    made, batch, _ = logits_view(task, TAGGED)
    logits = torch.tensor([[2.0, -2.0, -2.0], [-2.0, -2.0, -2.0], [2.0, -1.0, -2.0]])
    found = figures(task, batch, logits, made)
    assert found["accuracy"] == pytest.approx(2 / 3)  # the first lacks "red"
    assert found["auroc"] == pytest.approx((1.0 + 0.25) / 2)  # of "big" and "red"
    told = task.predict(logits, batch, made)
    assert [p["labels"] for p in told] == [["big"], [], ["big"]]
    assert told[0]["probabilities"]["big"] == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert figures(task, batch, logits, made, []) == {}


def test_an_empty_target_of_labels_is_none_of_them_if_it_is_said():
    sample, other = {"text": "aa", "tags": None}, {"text": "aa"}
    task = MultiLabelClassification(["text"], "tags", ["big", "red"], empty_is_none=True)
    assert task.accepts(sample) and task.encode_target(sample).tolist() == [0, 0]
    assert not task.accepts(other) and task.accepts(other, labelled=False)
    assert not MultiLabelClassification(["text"], "tags").accepts(sample)


def test_multi_label_reads_batches_without_samples():
    task, made = ready(MultiLabelClassification(["text"], "tags"), TAGGED), tokenizers()
    batch, output = read(task, [], made)
    assert task.losses(output, batch, made).shape == (0,)
    assert output.shape == (0, 2)
    assert task.head.linear.in_features == DIM


def test_a_head_may_have_a_narrower_layer_before_the_logits():
    head = PooledHead(DIM, 3, "mean", settings=Head(hidden="none", width=5))
    columns = random_tokens((4, 2))
    means = torch.stack([part.rows.mean(0) for part in columns.split()])
    assert head.hidden is not None and head.linear is not None
    assert head.hidden.weight.shape == (5, DIM) and head.linear.weight.shape == (3, 5)
    torch.testing.assert_close(head(columns), head.linear(head.hidden(means)))
    with pytest.raises(UserError, match="expected 1 or more, and `hidden` beside it"):
        Head(width=5)


def test_classes_in_yaml_may_be_called_yes_and_no():
    parser = ArgumentParser()
    parser.add_class_arguments(Classification)
    parser.add_argument("--config", action="config")
    given = '{"inputs": ["text"], "target": "answer", "classes": ["no", "yes", 3]}'
    assert parser.parse_args(["--config", given]).classes == ["no", "yes", 3]
