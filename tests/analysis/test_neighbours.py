"""Nearest tokens and samples: neighbours mean what training taught, in Python and the shell."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import Swings, make_data, make_learner, make_trainer
from unitf_image import ImagePatches
from unitf_text import Bytes, Characters, Subwords, Words, WordVectors

import unitf
from unitf import Learner, Source, TransformerConfig, UserError
from unitf.analysis.neighbours import nearest, nearest_tokens
from unitf.cli import main
from unitf.tasks import Classification, Embedding, MaskedTokens
from unitf.training import DataModule

HERE = Path(__file__).parent
GOOD = ["good", "great", "fine", "lovely"]
BAD = ["bad", "awful", "poor", "dreadful"]


class Moods(Source):
    """Two words that are both good or both bad."""

    def read(self, split, root):
        generator = np.random.default_rng(self.splits().index(split))
        moods = [generator.integers(2) for _ in range(160)]
        words = [generator.choice((BAD, GOOD)[mood], 2) for mood in moods]
        return [
            {"text": " ".join(two), "mood": ("bad", "good")[mood]}
            for two, mood in zip(words, moods, strict=True)
        ]


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """A model that has learned moods, and its checkpoint."""
    folder = tmp_path_factory.mktemp("moods")
    torch.manual_seed(0)
    learner = Learner(
        TransformerConfig(dim=16, depth=1, num_heads=2),
        {"text": partial(Words, position_embedding="none")},
        {"mood": Classification(["text"], "mood")},
        optimizer=partial(torch.optim.AdamW, lr=1e-2),
    )
    data = DataModule({"moods": Moods()}, batch_size=16, num_workers=0)
    trainer = make_trainer(folder, max_epochs=6)
    trainer.fit(learner, datamodule=data)
    trainer.save_checkpoint(folder / "model.ckpt")
    return learner.eval(), folder / "model.ckpt"


def test_cosines_are_those_of_the_formula_best_first():
    torch.manual_seed(0)
    rows, query = torch.randn(20, 5), torch.randn(5)
    cosines = torch.cosine_similarity(rows, query[None])
    order = cosines.argsort(descending=True)[:3].tolist()
    found = nearest(query, rows, 3)
    assert [number for number, _ in found] == order
    assert [cosine for _, cosine in found] == pytest.approx(cosines[order].tolist(), abs=1e-6)
    assert len(nearest(query, rows, 99)) == 20


# ---- tokens ------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "kin"), [("good", GOOD), ("awful", BAD)])
def test_words_that_mean_the_same_to_the_task_are_near(moods, word, kin):
    found = nearest_tokens(moods[0].tokenizers["text"], word, top=3)
    assert {name for name, _ in found} == set(kin) - {word}
    assert [cosine for _, cosine in found] == sorted((c for _, c in found), reverse=True)


def test_published_vectors_keep_their_neighbours_through_a_projection(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("king 1 0 .1\nqueen .9 0 .2\ncat 0 1 0\ndog .1 .9 0\nsat -1 -1 1\n")
    tokenizer = Words(8, vectors=WordVectors(str(file), freeze=True, added_words=-1))
    tokenizer.fit(["the cat"])
    tokenizer.build()
    assert nearest_tokens(tokenizer, "king", 1)[0][0] == "queen"
    name, cosine = nearest_tokens(tokenizer, "cat", 1)[0]
    assert name == "dog" and cosine == pytest.approx(0.9 / 0.82**0.5, abs=1e-5)


def test_a_token_may_be_named_by_the_text_that_it_is():
    tokenizer = Subwords(8, vocabulary_size=60)
    tokenizer.fit(["a cat sat on a cat"] * 3)
    tokenizer.build()
    assert " cat" in tokenizer.token_names()
    assert nearest_tokens(tokenizer, "cat") == nearest_tokens(tokenizer, " cat")
    with pytest.raises(UserError, match=r"'cat sat' is no token \(2 tokens:  cat  sat\)"):
        nearest_tokens(tokenizer, "cat sat")


@pytest.mark.parametrize("cls", [Bytes, Characters, Words, Subwords])
def test_every_id_of_a_text_tokenizer_has_a_name(cls):
    tokenizer = cls(8)
    tokenizer.fit(["hello world", "naïve"])
    names = tokenizer.token_names()
    assert len(names) == len(set(names)) == tokenizer.vocabulary_size
    assert all(names[i] for i in tokenizer.encode("hello").values)
    assert names[tokenizer.start_id] == "[START]" and names[tokenizer.mask_id] == "[MASK]"


def test_what_is_no_token_is_one_line_with_near_names(moods):
    with pytest.raises(UserError, match=r"'grate' is no token; did you mean great\?"):
        nearest_tokens(moods[0].tokenizers["text"], "grate")
    with pytest.raises(UserError, match="ImagePatches has no names for its tokens"):
        nearest_tokens(ImagePatches(8), "good")


# ---- samples -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swings():
    torch.manual_seed(0)
    learner, data = make_learner(), make_data()
    learner.fit_components(data)
    learner.build_components()
    return learner.eval()


def test_an_embedding_is_the_mean_of_the_cores_columns(swings):
    samples = Swings(7).read("test", HERE)
    vectors = swings.embed(samples, batch_size=3)
    assert vectors.shape == (7, 32)
    for sample, vector in zip(samples, vectors, strict=True):
        brought = [swings.tokenizers[k] for k in ("waves", "beats") if k in sample]
        signal = sample.get("waves", sample.get("beats"))
        parts = [tokenizer(tokenizer.encode(signal)) for tokenizer in brought]
        columns = swings.core(unitf.Tokens.concat(parts)).matrix
        assert torch.allclose(vector, columns.mean(1), atol=1e-5)


def test_samples_are_embedded_by_the_first_task_that_takes_them(moods):
    learner = moods[0]
    before = learner.embed([{"text": "good"}])
    learner.tasks["more"] = Classification({"other": "text"}, "mood", classes=["a", "b"])
    try:
        learner.tasks["more"].build(dim=16)
        texts = [{"other": "good"}, {"text": "good"}, {"text": "bad", "other": "good"}]
        vectors = learner.embed(texts)
        assert torch.allclose(vectors[1], before[0], atol=1e-6)
        assert torch.allclose(vectors[0], before[0], atol=1e-6)
        assert not torch.allclose(vectors[2], before[0], atol=1e-2)
    finally:
        del learner.tasks["more"]


def test_a_sample_that_no_task_takes_is_named_and_the_model_trains_on(swings):
    swings.train()
    try:
        with pytest.raises(UserError, match="sample 1: no input column waves or beats"):
            swings.embed([{"waves": np.ones(8)}, {"image": 1}])
        assert swings.training
    finally:
        swings.eval()


def test_samples_that_mean_the_same_to_the_task_are_near(moods):
    learner = moods[0]
    samples = Moods().read("test", HERE)[:40]
    rows = learner.embed(samples)
    for sample, row in zip(samples, rows, strict=True):
        found = [samples[number]["mood"] for number, _ in nearest(row, rows, 10)]
        assert found == [sample["mood"]] * 10


def test_nothing_is_hidden_from_a_masked_model_that_embeds():
    torch.manual_seed(0)
    model = Learner(
        TransformerConfig(dim=16, depth=1, num_heads=2),
        {"image": partial(ImagePatches, patch=2, channels=1, mean=0.5, std=0.3)},
        {"masked": MaskedTokens(["image"], mask_ratio=0.6)},
    )
    model.build_components()
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    images[1] = images[0]
    images[1, 0, 0] ^= 1  # another draw of what is hidden, of an image that is nearly the same
    rows = model.embed([{"image": one} for one in images])
    others = torch.cdist(rows[:1], rows[2:]).min()
    assert torch.dist(rows[0], rows[1]) < 0.01 * others


@pytest.mark.parametrize("size", [None, 5])
def test_the_vector_of_a_pair_is_the_mean_of_both_and_that_of_one_its_own(size):
    torch.manual_seed(0)
    model = Learner(
        TransformerConfig(dim=16, depth=1, num_heads=2),
        {"text": Characters},
        {"pair": Embedding({"a": "text", "b": "text"}, size=size)},
    )
    samples = [{"a": "one", "b": "two"}, {"a": "one"}, {"b": "two"}]
    model.tokenizers["text"].fit(["onetwo"])
    model.build_components()
    both, first, second = model.embed(samples)
    said = model.predict(samples)[0]["embeddings"]
    assert first.tolist() == pytest.approx(said["a"], abs=1e-5) and len(first) == (size or 16)
    assert second.tolist() == pytest.approx(said["b"], abs=1e-5)
    assert torch.allclose(both, (first + second) / 2, atol=1e-5)
    assert model.embed([]).shape == (0, 16)


# ---- the command line --------------------------------------------------------------------


def run(argv, capsys) -> str:
    assert main(["nearest", *map(str, argv)]) == 0
    return capsys.readouterr().out


def test_the_command_tells_near_tokens(moods, capsys):
    checkpoint = ["--checkpoint", moods[1]]
    lines = run([*checkpoint, "--query", "good", "--top", "3"], capsys).splitlines()
    assert {line.split("\t")[1] for line in lines} == set(GOOD[1:])
    told = json.loads(run([*checkpoint, "--query", "good", "bad", "--json"], capsys))
    assert [answer["query"] for answer in told] == ["good", "bad"]
    assert told[0]["nearest"][0]["token"] in GOOD and len(told[1]["nearest"]) == 10


def test_the_command_draws_a_table_on_a_terminal(moods, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    told = run(["--checkpoint", moods[1], "--query", "good", "--top", "3"], capsys)
    assert "cosine" in told and all(word in told for word in GOOD[1:])


def test_the_command_tells_near_samples_of_a_table_or_lines(moods, tmp_path, capsys):
    table, lines = tmp_path / "texts.jsonl", tmp_path / "texts.txt"
    texts = ["awful poor", "great good", "dreadful bad", "fine fine"]
    table.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    lines.write_text("\n".join(texts))
    query = ["--checkpoint", moods[1], "--input", "text=lovely great", "--top", "2"]
    for data in (table, f"text=@{lines}"):
        told = json.loads(run([*query, "--data", data, "--json"], capsys))
        assert told[0]["query"] == {"text": "lovely great"}
        assert {n["sample"]["text"] for n in told[0]["nearest"]} == {"great good", "fine fine"}
    plain = run([*query, "--data", table], capsys).splitlines()
    assert {line.split("\t")[1] for line in plain} == {"text=great good", "text=fine fine"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--query", "grate"], "'grate' is no token; did you mean great"),
        (["--query", "good", "--tokenizer", "image"], "with a vocabulary: text"),
        (["--query", "good", "--input", "text=bad"], "expected --query TOKEN, or --input"),
        (["--input", "text=bad"], "--input and --data go together"),
        (["--input", "text=bad", "--data", "sound=x"], "--data sound=x: expected COLUMN=VALUE"),
        (["--query", "good", "--top", "0"], "--top 0: expected 1 or more"),
        ([], "expected --query TOKEN"),
    ],
)
def test_a_mistake_is_one_line(moods, capsys, words, line):
    assert main(["nearest", "--checkpoint", str(moods[1]), *words]) == 2
    told = [t for t in capsys.readouterr().err.splitlines() if not t.startswith("unitf: warning")]
    assert len(told) == 1 and line in told[0]


def test_a_folder_needs_no_column_where_there_is_one(tmp_path, capsys):
    """Images by image: a patch of the query's colour is nearest to files of that colour."""
    from PIL import Image

    torch.manual_seed(0)
    learner = Learner(
        TransformerConfig(dim=16, depth=1, num_heads=2),
        {"image": partial(ImagePatches, patch=4, mean=0.5, std=0.5)},
        {"colour": Classification(["image"], "colour", classes=["red", "blue"])},
    )
    learner.build_components()
    checkpoint = {"state_dict": learner.state_dict()}
    learner.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "model.ckpt")
    folder = tmp_path / "images"
    folder.mkdir()
    for number, colour in enumerate(["red", "blue", "red", "blue"]):
        Image.new("RGB", (8, 8 + 4 * number), colour).save(folder / f"{number}{colour}.png")
    Image.new("RGB", (12, 12), "blue").save(tmp_path / "query.png")
    words = ["--checkpoint", tmp_path / "model.ckpt", "--input", tmp_path / "query.png"]
    told = json.loads(run([*words, "--data", folder, "--top", "2", "--json"], capsys))
    assert {Path(n["sample"]["image"]).stem[1:] for n in told[0]["nearest"]} == {"blue"}
