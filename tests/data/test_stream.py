"""Streams: all samples, none twice, the same ones again after a resume."""

import tarfile
from collections import Counter
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest
from parts import Listed, Numbers, data, fitted_task, samples

from unitf import SampleError, UserError
from unitf.data import DataModule, HubStream, StreamSource
from unitf.data.stream import Lanes, StreamOrder


class Tap(StreamSource):
    """A stream of numbered samples."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def stream(self, split, root, shard, num_shards):
        return islice(iter(samples(self.count)), shard, None, num_shards)


def stream_data(position=(0, 0), workers=0, source=None, **arguments):
    arguments = {"batch_size": 4, "steps_per_epoch": 6} | arguments
    sources = source if isinstance(source, dict) else {"tap": source or Tap(24)}
    module = data(sources, num_workers=workers, **arguments)
    loader = module.train_dataloader()
    loader.position = lambda: position
    return loader


def names(loader):
    return [batch.views["class"].names for batch in loader]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_epoch_has_every_sample_once_whatever_the_workers(workers):
    drawn = Counter(sum(names(stream_data(workers=workers)), ()))
    assert len(drawn) == 24
    assert set(drawn.values()) == {1}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [{"batch_size": 4}, {"batch_size": None, "tokens_per_batch": 9}])
def test_a_stream_goes_on_from_any_step(workers, size):
    def run(position):
        return names(stream_data(position, workers, Tap(31), **size))

    whole = run((0, 0)) + run((1, 0))
    assert run((0, 5)) + run((1, 0)) == whole[5:]
    assert run((1, 3)) == whole[9:]


def test_workers_that_stay_go_on_where_they_were():
    loader = stream_data(workers=2, source=Tap(1000))
    loader.position = iter([(0, 0), (1, 0), (1, 3)]).__next__
    first, second, third = names(loader), names(loader), names(loader)
    assert len(set(sum(first + second, ()))) == 48
    assert third == second[3:]


def test_processes_and_workers_share_a_stream():
    module = data(Listed(train=samples(1)))
    drawn = Counter()
    for rank in range(2):
        lanes = Lanes(
            {"tap": Tap(24)}, Path(), [1.0], 4, None, module._encoder("raise"), rank * 3, 6
        )
        for place in StreamOrder(3, 3):
            drawn.update(item.name for item in lanes.__getitems__(place))
    assert len(drawn) == 24
    assert set(drawn.values()) == {1}


def test_the_budget_holds_and_weights_mix():
    sources = {"tap": Tap(100), "list": Listed(train=samples(10, 500))}
    loader = stream_data(
        source=sources,
        weights={"tap": 1.0, "list": 1.0},
        batch_size=None,
        tokens_per_batch=20,
        steps_per_epoch=60,
    )
    batches = list(loader)
    assert all(14 <= batch.num_tokens <= 20 for batch in batches)
    counts = Counter(name[:3] for batch in batches for name in batch.views["class"].names)
    assert 0.4 < counts["tap"] / counts.total() < 0.6


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_is_empty_or_has_no_length_is_an_error(workers):
    with pytest.raises(UserError, match="give steps_per_epoch"):
        stream_data(steps_per_epoch=None)
    with pytest.raises(UserError, match="give the weights of all sources"):
        stream_data(source={"tap": Tap(5), "list": Listed(train=samples(3))})
    with pytest.raises(SampleError, match=r"^source tap: no training samples in share 1 of"):
        list(stream_data(workers=workers, source=Tap(0)))


def test_shards_of_webdataset(tmp_path):
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / "shards" / f"train-{shard}.tar", "w") as archive:
            for i in range(6):
                for ending, content in (("txt", f"text {shard}{i}"), ("cls", str(i % 2))):
                    member = tarfile.TarInfo(f"{shard}{i}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, BytesIO(content.encode()))
    source = HubStream(
        files={"train": "shards/train-*.tar"}, columns={"letters": "txt", "label": "cls"}
    )
    for num_shards in (1, 2, 3):
        parts = [list(source.stream("train", tmp_path, n, num_shards)) for n in range(num_shards)]
        texts = [sample["letters"] for part in parts for sample in part]
        assert sorted(texts) == [f"text {s}{i}" for s in range(2) for i in range(6)]
    assert source.read("test", tmp_path) == []
    assert {sample["label"] for sample in source.read("train", tmp_path)} == {0, 1}
    wrong = HubStream(files={"train": "shards/train-*.tar"}, columns={"letters": "text"})
    with pytest.raises(UserError, match=r"no column 'text'; did you mean txt\?"):
        wrong.read("train", tmp_path)
    with pytest.raises(UserError, match="is not there"):
        HubStream(files={"train": "shards/none.tar"}).read("train", tmp_path)


def test_tokenizers_are_fitted_on_a_stream_too():
    module = DataModule({"tap": Tap(7)}, batch_size=2, steps_per_epoch=2)
    module.connect({"numbers": Numbers(8)}, {"class": fitted_task()})
    assert [item.sample["numbers"][0] for item in module.training_items()] == list(range(7))
