"""The text decoders of transformers and unitf's are the same function, there and back."""

import json
import math
from functools import partial

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, pre_tokenizers, processors
from torch.nn import functional

from benchmarks.parity_cases.text_decoders import CASES
from unitf import Features, TaskBatch, UserError, load
from unitf.cli.import_export import main as exchange
from unitf.cli.predict import main as predict
from unitf.interop import DummyInputs
from unitf.interop.convert import to_model
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import measure, randomise
from unitf.interop.proof import TOLERANCE, compare

TEXTS = ["the quick brown fox", "jumps over the lazy dog", "naïve café"]


def described(name, **settings):
    published = randomise(CASES[name]().eval())
    for setting, value in settings.items():
        setattr(published.config, setting, value)
    return describe(hubs()["hf"], published)


@pytest.mark.parametrize("name", CASES)
def test_unitf_computes_what_transformers_computes(name):
    measure(hubs()["hf"], CASES[name]()).raise_if_broken()


@pytest.mark.parametrize("name", ["GPT2", "Phi", "Llama", "Gemma2"])
def test_the_loss_is_that_of_the_peers_labels(name):
    architecture = described(name)
    learner, trial = to_model(architecture), architecture.dummy_inputs()
    labels = trial.inputs["input_ids"].masked_fill(~trial.mask, -100)
    batch = TaskBatch(trial.features, None, ("text",) * 3, ("a", "b", "c"))
    with torch.no_grad():
        expected = architecture.published(**trial.inputs, labels=labels).loss
        task, made = learner.tasks["next_token"], dict(learner.tokenizers.items())
        columns = learner.core(
            task.join_inputs([made["text"](batch.features["text"])]), causal=True
        )
        losses = task.losses(task.outputs(columns, batch, made), batch, made)
    assert losses.shape == (sum(batch.features["text"].lengths) - 3,)
    torch.testing.assert_close(losses.mean(), expected)


@pytest.mark.parametrize("name", ["Llama", "Llama llama3", "GPTNeoX", "Gemma3Text"])
def test_angles_are_the_same_far_into_a_text(name, monkeypatch):
    architecture = described(name)
    ids = torch.randint(1, 37, (1, 1500))
    inputs = {"input_ids": ids, "use_cache": False}
    trial = DummyInputs(inputs, {"text": Features(ids[0])}, torch.ones_like(ids, dtype=torch.bool))
    monkeypatch.setattr(architecture, "dummy_inputs", lambda: trial)
    assert compare(architecture, to_model(architecture)).worst.relative < TOLERANCE


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("GPT2", {"scale_attn_by_inverse_layer_idx": True}, "gives every block another scale"),
        ("GPT2", {"add_cross_attention": True}, "read a memory"),
        ("GPT2", {"activation_function": "tanh"}, "activation 'tanh' is not supported"),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic"}}, "angles are of type 'dynamic'"),
        ("Phi", {"rope_parameters": {"rope_type": "yarn"}}, "angles are of type 'yarn'"),
        ("Gemma3Text", {"use_bidirectional_attention": True}, "makes an encoder of it"),
        ("OPT", {"layer_norm_elementwise_affine": False}, "norms have no weights"),
    ],
)
def test_what_unitf_lacks_is_one_line(name, settings, reason):
    with pytest.raises(UserError, match=reason):
        described(name, **settings).core()


def test_a_head_that_unitf_lacks_is_one_line():
    config = CASES["Llama"]().config
    for cls in (transformers.LlamaForTokenClassification, transformers.LlamaForQuestionAnswering):
        with pytest.raises(UserError, match="has another head"):
            describe(hubs()["hf"], cls(config))


# ---- from a folder and back ----------------------------------------------------------------


def save_tokenizer(folder, start=True):
    """A byte-level BPE, which puts <s> first if `start`."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    if start:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    names = dict(zip(("pad_token", "bos_token", "eos_token"), special, strict=True))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    fast.save_pretrained(folder)
    return fast


@pytest.fixture(params=["Llama", "GPT2", "Mistral classifier"])
def published(request, tmp_path):
    """A saved model with its tokenizer: the model, the tokenizer, its folder."""
    make: partial = CASES[request.param]
    keywords = make.keywords | {"vocab_size": 300}
    published_model = randomise(make.func(*make.args, **keywords).eval())
    published_model.save_pretrained(tmp_path / "theirs")
    return (
        published_model,
        save_tokenizer(tmp_path / "theirs", start="GPT2" not in request.param),
        tmp_path,
    )


def test_a_published_folder_comes_in_predicts_and_goes_back(published, capsys):
    published_model, vocabulary, folder = published
    theirs, ours, back = (str(folder / name) for name in ("theirs", "ours", "back"))
    assert exchange("import", [f"hf:{theirs}", "--out", ours]) == 0
    (folder / "theirs").rename(folder / "gone")  # what was imported is enough by itself

    tokenizer = load(ours).tokenizers["text"]
    for text in TEXTS:
        assert tokenizer.encode(text).values.tolist() == vocabulary(text)["input_ids"]
    assert tokenizer.vocabulary_size == 300

    capsys.readouterr()
    assert predict(["--checkpoint", ours, "--json", "--input", *(f"text={t}" for t in TEXTS)]) == 0
    told = json.loads(capsys.readouterr().out)
    for text, prediction in zip(TEXTS, told, strict=True):
        with torch.no_grad():
            ids = torch.tensor([vocabulary(text)["input_ids"]])
            logits = published_model(ids).logits[0]
        if "perplexity" in prediction:
            expected = functional.cross_entropy(logits[:-1], ids[0, 1:]).item()
            assert prediction["loss"] == pytest.approx(expected, rel=1e-4)
            assert prediction["perplexity"] == pytest.approx(math.exp(expected), rel=1e-3)
        else:
            assert prediction["label"] == published_model.config.id2label[int(logits.argmax())]
            best = logits.softmax(0).max().item()
            assert prediction["probability"] == pytest.approx(best, rel=1e-4)

    (folder / "gone").rename(folder / "theirs")
    assert exchange("export", [ours, "--to", "hf", "--out", back]) == 0
    again = type(published_model).from_pretrained(back)
    for name, tensor in published_model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert transformers.AutoTokenizer.from_pretrained(back)(TEXTS)["input_ids"] == [
        vocabulary(text)["input_ids"] for text in TEXTS
    ]


def test_a_folder_without_a_vocabulary_takes_ids(tmp_path):
    published = randomise(CASES["Qwen3"]().eval())
    published.save_pretrained(tmp_path / "theirs")
    exchange("import", [f"hf:{tmp_path / 'theirs'}", "--out", str(tmp_path / "ours")])
    learner = load(tmp_path / "ours")
    told = learner.predict([{"text": [5, 6, 7, 8]}])
    with torch.no_grad():
        ids = torch.tensor([[5, 6, 7, 8]])
        expected = published(ids, labels=ids).loss.item()
    assert told[0]["loss"] == pytest.approx(expected, rel=1e-4)
    assert (learner.tokenizers["text"].start_id, learner.tokenizers["text"].end_id) == (1, 2)


def test_a_vocabulary_that_is_larger_than_the_table_is_refused(tmp_path):
    CASES["Llama"]().save_pretrained(tmp_path / "theirs")
    save_tokenizer(tmp_path / "theirs")
    with pytest.raises(UserError, match="has 280 pieces, its model 37 vectors"):
        exchange("import", [f"hf:{tmp_path / 'theirs'}", "--out", str(tmp_path / "ours")])
