"""`unitf attend`: pictures and a page from a checkpoint; a mistake is one line and status 2."""

import shlex

import pytest
from toys import make_data, make_learner, make_trainer

from unitf.cli import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attend")
    trainer = make_trainer(folder, max_epochs=1, limit_train_batches=1, limit_val_batches=1)
    trainer.fit(make_learner(), make_data())
    trainer.save_checkpoint(folder / "last.ckpt")
    signal = ", ".join(str(number % 5) for number in range(16))
    (folder / "signals.jsonl").write_text(
        f'{{"waves": [{signal}]}}\n{{"waves": [{signal}], "beats": [{signal}]}}\n'
    )
    return folder


def attend(folder, words, out="out"):
    given = ["--checkpoint", str(folder / "last.ckpt"), "--out", str(folder / out)]
    return main(["attend", *given, *shlex.split(words.format(table=folder / "signals.jsonl"))])


def test_each_sample_has_a_folder_with_its_page_and_pictures(checkpoint, capsys):
    assert attend(checkpoint, "--input {table} --layer 0 1 --head 1") == 0
    written = sorted(str(f.relative_to(checkpoint / "out")) for f in checkpoint.glob("out/*/*"))
    assert written == [
        "0/attention.html",
        "0/waves.png",
        "1/attention.html",
        "1/beats.png",
        "1/modalities.png",
        "1/waves.png",
    ]
    assert len(capsys.readouterr().out.split()) == len(written)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--input {table} --layer 2", "there is no layer 2, expected 0 to 1"),
        ("--input {table} --head 4", "there is no head 4, expected 0 to 1"),
        ("--input sound=a.wav", "--input sound=a.wav: expected COLUMN=VALUE with a column of"),
        ("--input {table} --task tempo", "there is no task 'tempo', expected one of speed"),
        ("", "--input: found no sample"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(checkpoint, capsys, words, message):
    assert attend(checkpoint, words, "none") == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not (checkpoint / "none").exists()
