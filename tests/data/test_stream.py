"""Streams: all samples, none twice, the same ones again after a resume."""

import json
import tarfile
from collections import Counter
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest
from parts import Listed, Numbers, data, fitted_task, samples

from unitf import SampleError, UserError
from unitf.data import HubStream, StreamSource
from unitf.data.stream import StreamSampler, StreamShards
from unitf.training import DataModule


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
    return [batch.task_batches["class"].names for batch in loader]


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
        lanes = StreamShards(
            {"tap": Tap(24)}, Path(), [1.0], 4, None, module._encoder("raise"), rank * 3, 6
        )
        for place in StreamSampler(3, 3):
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
    counts = Counter(name[:3] for batch in batches for name in batch.task_batches["class"].names)
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


@pytest.mark.parametrize("num_files", [1, 4])
def test_data_workers_read_all_of_a_streamed_data_set(tmp_path, num_files):
    for file in range(num_files):
        rows = [{"numbers": [0.0] * (n + 1), "label": n % 2} for n in range(file, 24, num_files)]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = HubStream(files={"train": str(tmp_path / "*.jsonl")})  # also an absolute path
    for workers in (0, 2):
        loader = stream_data(workers=workers, source=source)
        batches = [batch.task_batches["class"].features["numbers"].lengths for batch in loader]
        assert sorted(sum(batches, ())) == list(range(1, 25))


def test_a_budget_ends_where_no_sample_can_be_encoded():
    class Broken(Tap):
        def stream(self, split, root, shard, num_shards):
            return ({"numbers": ["no number"], "label": "a"} for _ in range(50))

    with pytest.raises(SampleError, match=r"tap/train\["):
        next(iter(stream_data(source=Broken(0), batch_size=None, tokens_per_batch=20)))


def test_workers_keep_their_lanes_from_epoch_to_epoch():
    with pytest.raises(UserError, match="steps_per_epoch 7, expected a multiple of num_workers 2"):
        stream_data(workers=2, steps_per_epoch=7)


def test_a_list_beside_a_stream_is_read_as_it_is_alone():
    class Shifted(list):
        def at(self, index, seed, epoch):
            if index == 1:
                raise OSError("disk on fire")
            return {"numbers": [0.0] * (epoch + 1), "label": self[index]["label"]}

    sources = {"tap": Tap(100), "list": Listed(train=Shifted(samples(4)))}
    loader = stream_data(
        source=sources,
        weights={"tap": 1.0, "list": 2.0},
        batch_size=8,
        steps_per_epoch=3,
        on_error="skip",
    )
    views = [batch.task_batches["class"] for batch in loader]
    drawn = [
        pair for v in views for pair in zip(v.names, v.features["numbers"].lengths, strict=True)
    ]
    seen = [(name, length) for name, length in drawn if name.startswith("list/")]
    assert {name for name, _ in seen} == {"list/train[0]", "list/train[2]", "list/train[3]"}
    assert {1, 2} <= {length for _, length in seen}


def test_a_stream_says_from_how_many_samples_one_is_drawn():
    class InOrder(Tap):
        buffer = 1

    drawn = sum(names(stream_data(source=InOrder(24))), ())
    assert drawn == tuple(f"tap/train[{n}]" for n in range(24))


def test_tokenizers_are_fitted_on_a_stream_too():
    module = DataModule({"tap": Tap(7)}, batch_size=2, steps_per_epoch=2)
    module.connect({"numbers": Numbers(8)}, {"class": fitted_task()})
    assert [item.sample["numbers"][0] for item in module.training_items()] == list(range(7))
