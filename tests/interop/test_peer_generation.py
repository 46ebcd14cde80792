"""What unitf writes is what transformers' own `generate` writes, with the same weights."""

import pytest
import torch
import transformers

from benchmarks.parity_cases import text_decoders, text_to_text, whisper
from unitf import Features, TaskBatch
from unitf.generation import Generation, generate
from unitf.generation.rules import likely
from unitf.interop.convert import to_model
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import randomise

DECODERS = {name: text_decoders.CASES[name] for name in ("GPT2", "Llama", "Mistral", "Gemma2")}
PAIRS = {name: text_to_text.CASES[name] for name in ("T5", "BART", "Marian")}
PAIRS["Whisper"] = whisper.CASES["Whisper"]
SETTINGS = {
    "greedy": {},
    "penalty": {"repetition_penalty": 1.7},
    "beam": {"num_beams": 4, "num_returns": 3},
    "short beam": {"num_beams": 3, "length_penalty": 0.2, "early_stopping": True},
    "long beam": {"num_beams": 5, "length_penalty": 2.0, "repetition_penalty": 1.3},
}


def made(make):
    torch.manual_seed(0)
    published = randomise(make().eval())
    with torch.no_grad():  # surer, so that what comes next depends on what came before
        for name, parameter in published.named_parameters():
            if parameter.ndim > 1 and "embed" not in name and "shared" not in name:
                parameter.mul_(1.7)
    architecture = describe(hubs()["hf"], published)
    return published, to_model(architecture), architecture.dummy_inputs()


def theirs(published, settings, max_tokens, **inputs):
    """The new tokens of each sequence, up to the first end, and the scores of beams."""
    published.config._attn_implementation = "eager"
    options = {k: v for k, v in settings.items() if k != "num_returns"}
    config = transformers.GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        num_return_sequences=settings.get("num_returns", 1),
        eos_token_id=published.config.eos_token_id,
        pad_token_id=published.config.pad_token_id,
        bos_token_id=getattr(published.config, "bos_token_id", None),
        decoder_start_token_id=getattr(published.config, "decoder_start_token_id", None),
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    method = transformers.GenerationMixin.generate  # Whisper's own adds languages and times
    published.generation_config = config
    with torch.no_grad():
        found = method(published, **inputs, generation_config=config)
    skip = inputs["input_ids"].shape[1] if not published.config.is_encoder_decoder else 1
    rows = [cut(row[skip:].tolist(), published.config.eos_token_id) for row in found.sequences]
    scores = found.get("sequences_scores")
    return rows, None if scores is None else scores.tolist()


def cut(tokens, end):
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


def compare(learner, batch, settings, max_tokens, expected):
    [task] = learner.tasks.values()
    with torch.no_grad():
        prompt = task.prompt(batch, dict(learner.tokenizers.items()))
    found = generate(learner.core, prompt, Generation(max_tokens=max_tokens, **settings))
    rows, scores = expected
    assert [one.tokens for one in found] == [row[:max_tokens] for row in rows]
    if scores is not None:
        assert [one.score for one in found] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_continue_prompts_of_different_lengths_as_transformers(name, settings):
    published, learner, trial = made(DECODERS[name])
    count, options = len(trial.mask), SETTINGS[settings]
    # as transformers wants them: filled up on the left
    features = trial.features["text"]
    ids = torch.zeros_like(trial.inputs["input_ids"])
    for row, one in zip(ids, features.split(), strict=True):
        row[-one.num_tokens :] = one.values.clamp(min=3)
    mask = trial.mask.flip(1).long()
    clean = Features(features.values.clamp(min=3), lengths=features.lengths)
    expected = theirs(published, options, 12, input_ids=ids, attention_mask=mask)
    everyone = tuple(map(str, range(count)))
    compare(learner, TaskBatch({"text": clean}, None, everyone, everyone), options, 12, expected)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", PAIRS)
def test_encoder_decoders_write_as_transformers(name, settings):
    published, learner, trial = made(PAIRS[name])
    inputs = {
        name: trial.inputs[name]
        for name in ("input_ids", "attention_mask", "input_features")
        if name in trial.inputs
    }
    expected = theirs(published, SETTINGS[settings], 10, **inputs)
    [task] = learner.tasks.values()
    [(column, tokenizer)] = task.inputs.items()
    everyone = tuple(map(str, range(3)))
    batch = TaskBatch({column: trial.features[tokenizer]}, None, everyone, everyone)
    compare(learner, batch, SETTINGS[settings], 10, expected)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["BART", "Whisper"])
def test_what_is_given_to_begin_with_is_followed_as_transformers_follows_it(name, settings):
    published, learner, trial = made(PAIRS[name])
    begin, count = [7, 11], 3
    inputs = {
        name: trial.inputs[name]
        for name in ("input_ids", "attention_mask", "input_features")
        if name in trial.inputs
    }
    first = [published.config.decoder_start_token_id, *begin]
    given = torch.tensor([first] * count)
    rows, scores = theirs(published, SETTINGS[settings], 8, decoder_input_ids=given, **inputs)
    [task] = learner.tasks.values()
    [(column, tokenizer)] = task.inputs.items()
    everyone = tuple(map(str, range(count)))
    batch = TaskBatch({column: trial.features[tokenizer]}, None, everyone, everyone)
    options = {"begin": begin, **SETTINGS[settings]}
    with torch.no_grad():
        prompt = task.prompt(batch, dict(learner.tokenizers.items()))
    found = generate(learner.core, prompt, Generation(max_tokens=8, **options))
    assert [one.tokens for one in found] == rows
    assert all(row[:2] == begin for row in rows)
    if scores is not None:
        assert [one.score for one in found] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize(
    "options", [{"top_k": 5}, {"top_p": 0.7}, {"min_p": 0.2}, {"top_k": 9, "top_p": 0.8}]
)
def test_tokens_are_drawn_from_the_probabilities_of_transformers(options):
    torch.manual_seed(0)
    logits, ids = 3 * torch.randn(6, 37), torch.zeros(6, 1, dtype=torch.long)
    expected = transformers.TemperatureLogitsWarper(1.4)(ids, logits)
    for name, kind in WARPERS.items():
        if name in options:
            expected = kind(options[name])(ids, expected)
    found = likely(logits, Generation(temperature=1.4, **options))
    torch.testing.assert_close(found, expected.softmax(-1))


WARPERS = {
    "top_k": transformers.TopKLogitsWarper,
    "top_p": transformers.TopPLogitsWarper,
    "min_p": transformers.MinPLogitsWarper,
}
