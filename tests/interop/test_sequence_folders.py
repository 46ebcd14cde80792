"""Encoder-decoders from folders: raw values to the same loss, and back to the same tensors."""

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from benchmarks.parity_cases import text_to_text, whisper
from unitf import load
from unitf.interop.exchange import export_model, write_import
from unitf.interop.parity import randomise

TEXTS = ["the lazy dog sleeps", "a quick fox jumps over"]


def tokenizer(template, **special):
    """A small published tokenizer of texts."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    names = list(dict.fromkeys([*special.values(), "<unk>"]))
    trainer = trainers.BpeTrainer(vocab_size=38, special_tokens=names, show_progress=False)
    made.train_from_iterator(TEXTS * 5, trainer)
    ids = [(name, made.token_to_id(name)) for name in names]
    made.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", **{f"{k}_token": v for k, v in special.items()}
    )


def t5_tokenizer():
    return tokenizer("$A </s>", pad="<pad>", eos="</s>")


def bart_tokenizer():
    return tokenizer("<s> $A </s>", bos="<s>", pad="<pad>", eos="</s>", cls="<s>", sep="</s>")


@pytest.mark.parametrize(
    ("case", "make"),
    [("T5", t5_tokenizer), ("T5 1.1", t5_tokenizer), ("BART", bart_tokenizer)],
)
def test_a_text_has_the_loss_that_transformers_gives_it(case, make, tmp_path):
    published, texts = randomise(text_to_text.CASES[case]().eval()), make()
    if case == "T5 1.1":  # as after opening a file in which the two differ
        published.all_tied_weights_keys.pop("lm_head.weight")
    check(published, tmp_path, [texts])
    samples = [{"source": "the dog", "target": "a fox jumps"}, {"source": "over", "target": "a"}]
    for sample, told in zip(samples, load(tmp_path / "ours").predict(samples), strict=True):
        labels = texts(sample["target"], return_tensors="pt").input_ids
        expected = published(
            texts(sample["source"], return_tensors="pt").input_ids, labels=labels
        ).loss
        assert told["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_sound_has_the_loss_that_transformers_gives_it(tmp_path):
    published = randomise(whisper.CASES["Whisper"](max_source_positions=50).eval())
    texts = tokenizer("$A <eot>", eos="<eot>")
    hears = transformers.WhisperFeatureExtractor(10, chunk_length=1)
    check(published, tmp_path, [texts, hears])
    wave = np.sin(np.arange(5_000) * 0.3).astype(np.float32) / 2
    sample = {"sound": (wave, 16_000), "text": "a fox jumps"}
    inputs = hears(wave, sampling_rate=16_000, return_tensors="pt").input_features
    expected = published(inputs, labels=texts(sample["text"], return_tensors="pt").input_ids).loss
    told = load(tmp_path / "ours").predict([sample, {"sound": sample["sound"]}])
    assert told[0]["loss"] == pytest.approx(expected.item(), rel=1e-4)
    assert told[1]["loss"] is None


def test_tokens_of_language_are_read_by_their_names(tmp_path):
    published = randomise(whisper.CASES["Whisper"](max_source_positions=50).eval())
    texts = tokenizer("$A <eot>", eos="<eot>", pad="<|en|>", cls="<|write|>")
    check(published, tmp_path, [texts, transformers.WhisperFeatureExtractor(10, chunk_length=1)])
    sample = {"sound": (np.zeros(5_000, np.float32), 16_000)}
    [found] = load(tmp_path / "ours").generate([sample], begin="<|en|><|write|>", max_tokens=2)
    wanted = texts.convert_tokens_to_ids(["<|en|>", "<|write|>"])
    assert found["tokens"][:2] == wanted


def check(published, folder, others):
    """Imports the peer from a folder, exports it again, and compares every tensor."""
    for part in (published, *others):
        part.save_pretrained(folder / "theirs")
    write_import(f"hf:{folder / 'theirs'}", folder / "ours")
    export_model(load(folder / "ours"), "hf", folder / "back")
    back = type(published).from_pretrained(folder / "back").state_dict()
    lost = [name for name, t in published.state_dict().items() if not torch.equal(t, back[name])]
    assert not lost
