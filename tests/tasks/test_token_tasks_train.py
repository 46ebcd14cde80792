"""Three tasks of single tokens are learned together, over one core, by the real Trainer."""

import random
from functools import partial
from pathlib import Path

import pytest
import torch
from toys import make_trainer
from unitf_text import Characters

import unitf
from unitf import Learner, Source, TransformerConfig
from unitf.tasks import MaskedTokens, SpanAnswer, TokenClassification
from unitf.training import DataModule


@unitf.register
class Patterns(Source):
    """A letter again and again; a text, its vowels; a letter and where it stands in a text."""

    def read(self, split, root: Path):
        generator = random.Random(self.splits().index(split) if split in self.splits() else -1)
        return [self.sample(generator, n) for n in range(4608 if split == "train" else 192)]

    def sample(self, generator, number):
        letters = generator.sample("abcdefgh", 6)
        if number % 3 == 0:
            return {"pattern": letters[0] * generator.randint(4, 9)}
        text = "".join(letter * generator.randint(1, 3) for letter in letters)
        if number % 3 == 1:
            return {"text": text, "kinds": ["AEIOU".count(c.upper()) for c in text]}
        wanted = letters[3]
        run = wanted * text.count(wanted)
        return {"pair": [wanted, text], "run": {"text": [run], "answer_start": [text.index(run)]}}


@pytest.mark.slow
def test_masks_labels_and_answers_are_learned_together(tmp_path):
    torch.manual_seed(0)
    frame = {"num_segments": 2, "add_start": True, "add_end": True}
    learner = Learner(
        TransformerConfig(dim=48, depth=2, num_heads=4),
        {"text": partial(Characters, **frame)},
        {
            "masked": MaskedTokens({"pattern": "text"}),
            "kinds": TokenClassification(["text"], "kinds"),
            "run": SpanAnswer({"pair": "text"}, "run"),
        },
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
    )
    data = DataModule({"made": Patterns()}, batch_size=32, num_workers=0)
    trainer = make_trainer(tmp_path, max_epochs=5, check_val_every_n_epoch=5)
    trainer.fit(learner, datamodule=data)
    figures = {task: made["all"] for task, made in learner.results["validation"].items()}
    assert figures["masked"]["accuracy"] > 0.9
    assert figures["kinds"]["f1"] > 0.95
    assert figures["run"]["f1"] > 80
    predictions = learner.predict([{"text": "abbe"}, {"pair": ["d", "aaccbddegg"]}], batch_size=2)
    assert [token["label"] for token in predictions[0]["tokens"]] == [1, 0, 0, 1]
    assert predictions[1]["answer"] in ("d", "dd")
