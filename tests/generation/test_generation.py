"""Generation: cached is uncached, a batch is its samples, and settings mean what they say."""

from itertools import islice

import pytest
import torch
from toys import Letters

from unitf import Features, Learner, Tokenizer, Tokens, TransformerConfig, UserError
from unitf.generation import Generation, Reader, search, write
from unitf.nn import projection
from unitf.nn.reference_mode import reference_mode
from unitf.tasks import Classification, NextToken, SequenceToSequence

DIM = 16
TEXTS = ["hello", "a", "seven letters", "xyz"]


class LayerIds(Tokenizer):
    """Three numbers a token."""

    num_features = 3

    def encode(self, value, train=False):
        return Features(torch.as_tensor(value, dtype=torch.float32))

    def decode(self, features):
        return features.values.tolist()


class Rereading(Reader):
    """Reads everything again for each token, and keeps nothing: the reference."""

    def __init__(self, core, prompt, settings):
        super().__init__(core, prompt, settings)
        self.read = [[] for _ in self.samples]

    def begin(self):
        return self._columns()

    def follow(self, values):
        tokens = self.embedded(values).split()
        self.num_read += 1
        self.read = [[*past, one] for past, one in zip(self.read, tokens, strict=True)]
        return self._columns()

    def reorder(self, index, sharing=1):
        self.read = [self.read[number] for number in index]
        self.samples = [self.samples[number] for number in index]

    def _columns(self):
        begun, prompt = self.prompt.tokens.split(), self.prompt
        parts = [
            Tokens.concat([begun[sample], *past])
            for sample, past in zip(self.samples, self.read, strict=True)
        ]
        memory = prompt.memory and Tokens.pack([prompt.memory.split()[s] for s in self.samples])
        prefix = prompt.prefix and tuple(prompt.prefix[s] for s in self.samples)
        columns = self.core(Tokens.pack(parts), memory, True, prefix)
        return columns.rows.index_select(0, columns.offsets[1:].long() - 1).mT


KINDS = {
    "decoder": ("decoder", NextToken(["text"])),
    "prefix decoder": ("decoder", SequenceToSequence(["text"], "target", "text", prefix=True)),
    "encoder-decoder": ("encoder-decoder", SequenceToSequence(["text"], "target", "text")),
    "a decoder's task over an encoder and decoder": ("encoder-decoder", NextToken(["text"])),
    "start token": (
        "encoder-decoder",
        SequenceToSequence(["text"], "target", "text", start="tokenizer"),
    ),
}


def learner(kind, task, **core):
    torch.manual_seed(0)
    made = Learner(
        TransformerConfig(
            **{
                "dim": DIM,
                "depth": 2,
                "num_heads": 2,
                "kind": kind,
                "relative_positions": "rotary",
                **core,
            }
        ),
        {"text": Letters, "levels": LayerIds},
        {"write": type(task)(**task.configuration()["init_args"])},
    )
    made.build_components()
    with torch.no_grad():  # so that every token matters to every other
        for parameter in made.core.parameters():
            parameter.mul_(3 if parameter.ndim > 1 else 1)
    return made.eval()


def samples(texts=TEXTS):
    return [{"text": text} for text in texts]


def prompt_of(model, texts=TEXTS):
    from unitf.inference import _prompt

    return _prompt(model, "write", samples(texts))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("core", [{}, {"relative_positions": "t5", "window": 3}])
def test_a_cache_changes_no_token(name, core):
    model = learner(*KINDS[name], **core)
    if name == "prefix decoder" and core:
        core = {"relative_positions": "t5"}
        model = learner(*KINDS[name], **core)
    with torch.inference_mode():
        prompt = prompt_of(model)
        greedy, beams = Generation(max_tokens=15), Generation(max_tokens=15, num_beams=3)
        found, expected = (list(write(r(model.core, prompt, greedy), greedy)) for r in BOTH)
        assert [step[:3] for step in found] == [step[:3] for step in expected]
        assert len(found) > len(TEXTS)
        found, expected = (search(r(model.core, prompt, beams), beams) for r in BOTH)
        assert [b[0].tokens for b in found] == [b[0].tokens for b in expected]
        for one, other in zip(found, expected, strict=True):
            assert one[0].log_probabilities == pytest.approx(other[0].log_probabilities, abs=1e-4)


BOTH = (Reader, Rereading)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "settings", [{}, {"num_beams": 3, "num_returns": 2}, {"temperature": 0.9, "num_returns": 2}]
)
def test_a_batch_writes_what_its_samples_write_alone(name, settings):
    model, settings = learner(*KINDS[name]), Generation(max_tokens=12, seed=7, **settings)
    together = model.generate(samples(), settings)
    alone = [model.generate([sample], settings) for sample in samples()]
    assert [one["tokens"] for one in together] == [one["tokens"] for a in alone for one in a]
    assert [one["index"] for one in together[:: settings.num_returns]] == [0, 1, 2, 3]


@pytest.mark.skipif(not projection._CAN_PACK, reason="torch has no oneDNN")
@pytest.mark.parametrize("name", ["decoder", "encoder-decoder"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}])
def test_packed_weights_change_no_token(options, name, monkeypatch):
    monkeypatch.setattr(projection, "_CACHED", 0)  # small weights, too
    model, packed = learner(*KINDS[name]), []
    of = projection.PackedWeights.of
    monkeypatch.setattr(projection.PackedWeights, "of", lambda *both: packed.append(1) or of(*both))
    found = model.generate(samples(), max_tokens=20, **options)
    assert packed
    with reference_mode():
        expected = model.generate(samples(), max_tokens=20, **options)
    assert [one["tokens"] for one in found] == [one["tokens"] for one in expected]
    packed.clear()
    model.generate(samples(), max_tokens=5, **options)  # too few to pay
    assert not packed


class Stripped(Letters):
    """Leaves out the space that a text begins with, as BPE and SentencePiece do."""

    def decode(self, features):
        return "".join(" abc"[i % 4] for i in features.values.tolist()).removeprefix(" ")


def test_a_text_that_goes_on_keeps_the_space_it_begins_with(monkeypatch):
    model = learner(*KINDS["decoder"])
    model.tokenizers["text"].__class__ = Stripped
    [one] = model.generate([{"text": "hello"}], max_tokens=3, allowed=[4])  # spaces alone
    assert one["text"] == "   "
    assert (
        "".join(p["text"] for p in model.stream({"text": "hello"}, max_tokens=3, allowed=[4]))
        == "   "
    )
    [one] = model.generate([{"text": "hello"}], max_tokens=9, allowed=[4, 5], stop=[" "])
    assert " " not in one["text"]
    model = learner(*KINDS["encoder-decoder"])  # what is a text of its own begins with none
    model.tokenizers["text"].__class__ = Stripped
    assert prompt_of(model, ["a"]).decode(torch.tensor([4, 4, 4]), 0) == "  "


def test_nothing_is_put_between_inputs_that_training_had_not_there():
    from unitf.inference import _prompt

    model = learner("decoder", NextToken(["levels", "text"], start=False))
    levels = [[1.0, 2.0]] * 3
    several = [{"levels": levels}, {"text": ""}, {"levels": levels, "text": "ab"}]
    assert _prompt(model, "write", several).tokens.lengths == (2, 1, 4)


def test_room_for_many_tokens_is_made_when_they_come():
    model = learner(*KINDS["decoder"])
    [one] = model.generate([{"text": "a"}], max_tokens=10**12, allowed=[5], stop=[5])
    assert len(one["tokens"]) == 1


def test_a_grid_is_written_to_its_end_and_no_further():
    class Grid(LayerIds):
        num_axes = 2
        position_shape = (2, 3)

    task = SequenceToSequence(["text"], "target", "levels")
    model = learner("encoder-decoder", task, position_axes=2)
    model.tokenizers["levels"].__class__ = Grid
    [one] = model.generate([{"text": "a"}])
    assert len(one["tokens"]) == 6


class RereadingLately(Rereading):
    """Reads again only as many of the last tokens as a context of 6 leaves: the reference."""

    def _columns(self):
        begun, parts = self.prompt.tokens.split(), []
        for sample, past in zip(self.samples, self.read, strict=True):
            kept = min(begun[sample].num_tokens, 6)
            for _ in past:
                kept = kept + 1 if kept < 6 else 3
            parts.append(Tokens.concat([begun[sample], *past]).within(-kept, None))
        columns = self.core(Tokens.pack(parts), None, True)
        return columns.rows.index_select(0, columns.offsets[1:].long() - 1).mT


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"temperature": 0.9, "num_returns": 2}])
def test_with_a_context_only_the_last_tokens_are_read(options):
    model, settings = learner(*KINDS["decoder"]), Generation(max_tokens=20, seed=3, **options)
    bounded = Generation(max_tokens=20, seed=3, context=6, **options)
    with torch.inference_mode():
        prompt = prompt_of(model)
        how = search if "num_beams" in options else write
        found, expected = (
            [one[:3] if how is write else one[0].tokens for one in how(reader, settings)]
            for reader in (
                Reader(model.core, prompt, bounded),
                RereadingLately(model.core, prompt, settings),
            )
        )
    assert found == expected
    together = model.generate(samples(), bounded)
    assert together != model.generate(samples(), settings)
    alone = [one for sample in samples() for one in model.generate([sample], bounded)]
    assert [one["tokens"] for one in together] == [one["tokens"] for one in alone]
    if not options:
        streamed = [piece["token"] for piece in model.stream(samples()[0], bounded)]
        assert streamed == together[0]["tokens"]


def test_what_reads_a_source_has_no_context():
    for name in ("prefix decoder", "encoder-decoder"):
        with pytest.raises(UserError, match="context is for what only goes on"):
            learner(*KINDS[name]).generate(samples(), context=6)


def test_log_probabilities_are_those_of_the_model():
    model = learner(*KINDS["decoder"])
    [one] = model.generate([{"text": "hello"}], max_tokens=6, temperature=1.5, seed=1)
    whole = model.predict([{"text": "hello" + one["text"]}])[0]["loss"]
    begin = model.predict([{"text": "hello"}])[0]["loss"]
    count = len(one["text"])
    expected = whole * (5 + count) - begin * 5
    assert -sum(one["log_probabilities"][:count]) == pytest.approx(expected, rel=1e-4)


def test_what_is_drawn_is_likely_and_depends_on_the_seed():
    model = learner(*KINDS["decoder"])

    def tokens(**options):
        return [o["tokens"] for o in model.generate(samples(), max_tokens=12, **options)]

    assert tokens(temperature=1.0, seed=1) == tokens(temperature=1.0, seed=1)
    assert tokens(temperature=1.0, seed=1) != tokens(temperature=1.0, seed=2)
    narrowing = ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0})
    cold = ({"temperature": 1e-4}, {"temperature": 1e-40}, {"temperature": 1e-320})
    for narrow in (*narrowing, *cold):
        assert tokens(**{"temperature": 1.0, "seed": 3, **narrow}) == tokens()


def test_only_answers_and_allowed_tokens_come_out():
    for name in KINDS:
        model = learner(*KINDS[name])
        answers = ["yes", "no", "yesterday"]
        for options in ({}, {"num_beams": 3}, {"temperature": 2.0, "seed": 0}):
            found = model.generate(samples(), answers=answers, max_tokens=20, **options)
            encoded = [model.tokenizers["text"].encode(a).values.tolist() for a in answers]
            assert all([*one["tokens"][:-1]] in encoded for one in found)
        found = model.generate(samples(), allowed=[5, 6], max_tokens=9)
        assert {token for one in found for token in one["tokens"]} <= {1, 5, 6}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3}, {"temperature": 1.0, "seed": 0}, {"answers": ["no", "yes"]}]
)
def test_every_sequence_begins_with_what_it_is_given(name, options):
    model = learner(*KINDS[name])
    ids = model.tokenizers["text"].encode("hey").values.tolist()
    found = model.generate(samples(), begin="hey", max_tokens=8, **options)
    assert all(one["tokens"][:3] == ids and len(one["tokens"]) <= 11 for one in found)
    assert found == model.generate(samples(), begin=ids, max_tokens=8, **options)
    if "answers" in options:
        assert {one["text"] for one in found} <= {"heyno", "heyyes"}
    pieces = model.stream(samples()[0], begin="hey", max_tokens=8, **options)
    if "num_beams" not in options:
        assert "".join(piece["text"] for piece in pieces) == found[0]["text"]


def test_what_stops_a_text_is_looked_for_behind_what_it_begins_with():
    model = learner(*KINDS["decoder"])
    options = {"max_tokens": 8, "allowed": list(range(2, 30)), "begin": "hey"}
    [free] = model.generate([{"text": "a"}], **options)
    begun = model.tokenizers["text"].decode(model.tokenizers["text"].encode("hey"))
    stop = free["text"][len(begun) + 2]
    [one] = model.generate([{"text": "a"}], stop=[begun[1], stop], **options)
    first = min(p for s in (begun[1], stop) if (p := free["text"].find(s, len(begun))) >= 0)
    assert one["text"] == free["text"][:first]
    pieces = model.stream({"text": "a"}, stop=[begun[1], stop], **options)
    assert "".join(piece["text"] for piece in pieces) == one["text"]


def test_what_fills_all_room_is_no_beginning():
    model = learner(*KINDS["decoder"])
    model.tokenizers["text"].max_tokens = 8
    with pytest.raises(UserError, match="begin: expected fewer tokens than there is room for, 3"):
        model.generate([{"text": "hello"}], begin="hey")
    found = model.generate([{"text": "hello"}], begin="he", num_beams=3, num_returns=3)
    assert all(one["score"] > -1e6 for one in found)


def test_a_language_model_that_must_begin_so_goes_on_as_after_a_prompt():
    model = learner(*KINDS["decoder"])
    [after] = model.generate([{"text": "hello"}], max_tokens=9)
    [begun] = model.generate([{"text": "he"}], begin="llo", max_tokens=9)
    assert begun["tokens"][3:] == after["tokens"]
    assert begun["log_probabilities"][3:] == pytest.approx(after["log_probabilities"], abs=1e-4)


def test_a_sequence_stops_at_tokens_texts_and_the_limit():
    model = learner(*KINDS["decoder"])
    [plain] = model.generate([{"text": "hello"}], max_tokens=12, allowed=list(range(2, 30)))
    ids, text = plain["tokens"], plain["text"]
    options = {"max_tokens": 12, "allowed": list(range(2, 30))}
    [one] = model.generate([{"text": "hello"}], stop=[ids[3]], **options)
    assert one["tokens"] == ids[: ids.index(ids[3]) + 1]
    stop = text[4:6]
    [one] = model.generate([{"text": "hello"}], stop=[stop], **options)
    assert one["text"] == text[: text.find(stop)]
    assert len(ids) <= 12


def test_a_stream_is_the_text_in_pieces():
    model = learner(*KINDS["encoder-decoder"])
    [whole] = model.generate([{"text": "hello"}], max_tokens=12)
    pieces = list(model.stream({"text": "hello"}, max_tokens=12))
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert [piece["token"] for piece in pieces] == whole["tokens"]
    assert len(list(islice(model.stream({"text": "hello"}, max_tokens=12), 1))) == 1
    stop = whole["text"][2:4]
    stopped = model.stream({"text": "hello"}, max_tokens=12, stop=[stop])
    assert "".join(p["text"] for p in stopped) == whole["text"][: whole["text"].find(stop)]


def test_a_stream_waits_for_a_stop_text_longer_than_what_is_written():
    model = learner(*KINDS["decoder"])
    [whole] = model.generate([{"text": "hello"}], max_tokens=12)
    for last in (8, 9, 12):
        stop = [whole["text"][:last]]
        [expected] = model.generate([{"text": "hello"}], max_tokens=12, stop=stop)
        pieces = model.stream({"text": "hello"}, max_tokens=12, stop=stop)
        assert "".join(piece["text"] for piece in pieces) == expected["text"] == ""


def test_a_language_model_begins_with_nothing():
    model = learner(*KINDS["decoder"])
    alone = model.generate([{}], max_tokens=6)
    assert [o["tokens"] for o in model.generate([{"text": "ab"}, {}], max_tokens=6)][1:] == [
        alone[0]["tokens"]
    ]


def test_numbers_are_written_where_a_tokenizer_has_no_ids():
    model = learner("decoder", NextToken(["levels"]))
    given = torch.randn(3, 4).tolist()
    [one] = model.generate([{"levels": given}], max_tokens=5)
    assert torch.tensor(one["value"]).shape == (3, 5)
    # each is what the model expects after those before it
    whole = torch.cat([torch.tensor(given), torch.tensor(one["value"])[:, :4]], dim=1)
    [next_one] = model.generate([{"levels": whole.tolist()}], max_tokens=1)
    assert next_one["tokens"][0] == pytest.approx(one["tokens"][4], abs=1e-4)
    with pytest.raises(UserError, match="numbers are predicted"):
        model.generate([{"levels": given}], temperature=1.0)
    with pytest.raises(UserError, match="begin: expected a model that writes ids"):
        model.generate([{"levels": given}], begin=[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 0}, "max_tokens: expected 1 or more, found 0"),
        ({"temperature": float("inf")}, "temperature: expected 0 or more, and finite, found inf"),
        ({"length_penalty": float("nan")}, "length_penalty: expected a number from -100 to 100"),
        ({"length_penalty": 1000.0}, "length_penalty: expected a number from -100 to 100"),
        ({"allowed": [5], "stop": [99]}, "stop: expected ids from 0 to 29, found 99"),
        ({"context": 1}, "context: expected 2 or more, found 1"),
        ({"temperature": -1.0}, "temperature: expected 0 or more"),
        ({"top_p": 0.5}, "top_p: expected a temperature above 0"),
        ({"num_beams": 2, "temperature": 1.0}, "beams take the likeliest"),
        ({"num_returns": 2}, "num_returns: expected at most num_beams 1"),
        ({"answers": []}, "answers: expected at least one"),
        ({"allowed": [99]}, "allowed: expected ids from 0 to 29, found 99"),
        ({"begin": [30]}, "begin: expected ids from 0 to 29, found 30"),
    ],
)
def test_what_settings_cannot_be_is_said(options, message):
    model = learner(*KINDS["decoder"])
    with pytest.raises(UserError, match=message):
        model.generate(samples(), **options)


def test_an_answer_that_begins_another_needs_an_end():
    class Endless(Letters):
        end_id = None

    model = learner(*KINDS["decoder"])
    model.tokenizers["text"].__class__ = Endless
    with pytest.raises(UserError, match="answers: 'ab' begins another one, and this model writes"):
        model.generate(samples(), answers=["abc", "ab"])
    assert model.generate(samples()[:1], answers=["abc", "b"])[0]["text"] in ("abc", "b")


def test_what_cannot_generate_is_said():
    model = learner("encoder", Classification(["text"], "label", ["a", "b"]))
    with pytest.raises(UserError, match="this model cannot generate: its tasks are write"):
        model.generate(samples())
    model = learner(*KINDS["encoder-decoder"])
    with pytest.raises(UserError, match="nothing to read: expected an input of text"):
        model.generate([{}])
    with pytest.raises(UserError, match="task: expected one of write, found 'draw'"):
        model.generate(samples(), task="draw")
    model = learner("decoder", NextToken(["levels"], start=False))
    with pytest.raises(UserError, match="an empty prompt"):
        model.generate([{}])
