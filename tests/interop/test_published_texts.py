"""Text models from a folder: the vocabulary, a prediction, the way back, what is not supported."""

import json
import shutil

import pytest
import torch
import transformers
from published_texts import PAIRS, TEXTS, TOKENIZERS, publish

from unitf import UserError, load
from unitf.cli import main
from unitf.interop.exchange import import_model
from unitf.tasks import MaskedTokens

LONGEST = 20


def imported(folder):
    return import_model(f"hf:{folder}")


@pytest.mark.parametrize("family", TOKENIZERS)
def test_texts_and_pairs_become_the_ids_of_the_peer(family, tmp_path):
    published_model, published = publish(tmp_path / "peer", family)
    learner, proof = imported(tmp_path / "peer")
    assert proof.holds
    text = learner.tokenizers["text"]
    longest = LONGEST - (2 if family in ("Roberta", "XLMRoberta") else 0)
    assert text.max_tokens == longest
    assert text.vocabulary_size == published_model.config.vocab_size
    for value in [*TEXTS, *PAIRS]:
        parts = value if isinstance(value, tuple) else (value,)
        expected = published(
            *parts, truncation=True, max_length=longest, return_token_type_ids=True
        )
        features = text.encode(value)
        assert features.values.tolist() == expected["input_ids"], value
        if text.num_segments > 1:
            assert features.positions[1].tolist() == expected["token_type_ids"]


@pytest.mark.parametrize("family", TOKENIZERS)
def test_a_folder_is_imported_predicts_without_it_and_goes_back(family, tmp_path, capsys):
    published_model, published = publish(tmp_path / "peer", family, "ForMaskedLM")
    assert main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(tmp_path / "ours")]) == 0
    masked = f"the cat sat {published.mask_token} the mat"
    inputs = published(masked, return_tensors="pt")
    shutil.move(tmp_path / "peer", tmp_path / "moved")
    learner = load(tmp_path / "ours")
    assert learner.tokenizers["text"].encode(masked).values.tolist() == inputs.input_ids[0].tolist()
    capsys.readouterr()
    arguments = ["--checkpoint", str(tmp_path / "ours"), "--input", f"text={masked}", "--json"]
    assert main(["predict", *arguments]) == 0
    [prediction] = json.loads(capsys.readouterr().out)
    [mask] = prediction["masks"]
    with torch.no_grad():
        likely = published_model(**inputs).logits[0, mask["position"]].softmax(0)
    assert inputs.input_ids[0, mask["position"]] == published.mask_token_id
    assert mask["tokens"][0]["probability"] == pytest.approx(likely.max().item(), rel=1e-4)
    shutil.move(tmp_path / "moved", tmp_path / "peer")
    arguments = [str(tmp_path / "ours"), "--to", "hf", "--out", str(tmp_path / "theirs")]
    assert main(["export", *arguments]) == 0
    again = type(published_model).from_pretrained(tmp_path / "theirs").state_dict()
    assert again.keys() == published_model.state_dict().keys()
    assert all(torch.equal(again[name], t) for name, t in published_model.state_dict().items())
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")(masked) == published(
        masked
    )


def test_an_export_needs_the_folder_no_more(tmp_path):
    published, _ = publish(tmp_path / "peer", "Bert")
    write_sentence_files(tmp_path / "peer")
    main(["import", f"hf:{tmp_path / 'peer'}", "--out", str(tmp_path / "ours")])
    shutil.rmtree(tmp_path / "peer")
    arguments = [str(tmp_path / "ours"), "--to", "hf", "--out", str(tmp_path / "theirs")]
    with pytest.warns(UserWarning, match="is gone, so only the weights are written"):
        assert main(["export", *arguments]) == 0
    again = type(published).from_pretrained(tmp_path / "theirs").state_dict()
    assert all(torch.equal(again[name], t) for name, t in published.state_dict().items())


def write_sentence_files(folder, mode="cls_token", kinds=("Transformer", "Pooling", "Normalize")):
    paths = ["", "1_Pooling", "2_Last"]
    modules = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"}
        for path, kind in zip(paths, kinds, strict=False)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {f"pooling_mode_{mode}": True, "pooling_mode_max_tokens": mode == "max_tokens"}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')


@pytest.mark.parametrize("mode", ["cls_token", "mean_tokens", "lasttoken"])
@pytest.mark.parametrize("last", [["Normalize"], []])
def test_sentence_encoders_pool_and_cut_as_their_files_say(mode, last, tmp_path):
    published_model, published = publish(tmp_path, "Bert")
    write_sentence_files(tmp_path, mode, ["Transformer", "Pooling", *last])
    learner, proof = imported(tmp_path)
    assert "embedding" in [difference.name for difference in proof.outputs]
    assert learner.tokenizers["text"].max_tokens == 12
    predictions = learner.predict([{"text": text} for text in TEXTS])
    found = [p["embedding"] for p in predictions if p["task"] == "embedding"]
    for text, embedding in zip(TEXTS, found, strict=True):
        inputs = published(text, return_tensors="pt", truncation=True, max_length=12)
        with torch.no_grad():
            columns = published_model(**inputs).last_hidden_state[0]
        places = {"cls_token": columns[0], "mean_tokens": columns.mean(0), "lasttoken": columns[-1]}
        vector = places[mode] / (places[mode].norm() if last else 1.0)
        torch.testing.assert_close(torch.tensor(embedding), vector, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "kinds", "message"),
    [
        ("max_tokens", ["Transformer", "Pooling"], "its sentence embedding pools by max_tokens"),
        ("cls_token", ["Transformer", "Pooling", "Dense"], "Transformer → Pooling → Dense"),
    ],
)
def test_sentence_poolings_that_unitf_lacks_are_said(mode, kinds, message, tmp_path):
    publish(tmp_path, "Bert")
    write_sentence_files(tmp_path, mode, kinds)
    with pytest.raises(UserError, match=message):
        imported(tmp_path)


@pytest.mark.parametrize(
    ("family", "head", "options", "message"),
    [
        ("Bert", "ForNextSentencePrediction", {}, "its head is not one of ForMaskedLM, For"),
        ("Bert", "Model", {"hidden_act": "tanh"}, "its activation is 'tanh'"),
        ("Bert", "Model", {"is_decoder": True}, "it is a decoder"),
        ("Bert", "ForMaskedLM", {"tie_word_embeddings": False}, "a table of its own"),
        ("Albert", "Model", {"inner_group_num": 2}, "it has 2 different blocks"),
        ("Albert", "Model", {"embedding_size": 24}, "as wide as its blocks"),
    ],
)
def test_options_that_unitf_lacks_are_said(family, head, options, message, tmp_path):
    publish(tmp_path, family, head, **options)
    with pytest.raises(UserError, match=f"is not supported: .*{message}"):
        imported(tmp_path)


def test_labels_keep_their_names_and_a_single_one_is_a_number(tmp_path):
    publish(tmp_path / "a", "Roberta", "ForSequenceClassification",
            num_labels=2, id2label={0: "good", 1: "bad"})  # fmt: skip
    learner, _ = imported(tmp_path / "a")
    [prediction] = learner.predict([{"text": ["a cat", "a dog"]}])
    assert set(prediction["probabilities"]) == {"good", "bad"}
    published_model, published = publish(
        tmp_path / "b", "Bert", "ForSequenceClassification", num_labels=1
    )
    learner, _ = imported(tmp_path / "b")
    [prediction] = learner.predict([{"text": ["a cat", "a dog"]}])
    with torch.no_grad():
        expected = published_model(**published("a cat", "a dog", return_tensors="pt")).logits.item()
    assert prediction["value"] == pytest.approx(expected, rel=1e-4)


def test_tokens_have_labels_and_questions_answers_in_the_text_itself(tmp_path):
    publish(tmp_path / "a", "DistilBert", "ForTokenClassification", num_labels=3)
    [prediction] = imported(tmp_path / "a")[0].predict([{"text": "The CAT sat"}])
    assert "".join(token["token"] for token in prediction["tokens"]) == "TheCATsat"
    publish(tmp_path / "b", "Electra", "ForQuestionAnswering")
    context = "The CAT sat on a log."
    [prediction] = imported(tmp_path / "b")[0].predict([{"text": ["Who?", context]}])
    assert prediction["answer"] == context[prediction["begin"] : prediction["end"]] != ""


def test_without_a_vocabulary_texts_are_ids(tmp_path):
    publish(tmp_path, "Bert", "ForMaskedLM")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    learner, proof = imported(tmp_path)
    assert proof.holds
    assert isinstance(learner.tasks["masked"], MaskedTokens)
    assert learner.predict([{"text": [5, 6, 7]}])[0]["filled"] == [5, 6, 7]
