"""Which settings of runs differ: a class has one spelling, and equal settings are left out."""

import yaml

from unitf.analysis.report.page_of_comparison import differences
from unitf.analysis.report.recorded_run import RecordedRun


def recorded(folder, settings):
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return RecordedRun(folder)


def test_short_and_long_names_of_a_class_are_equal(tmp_path):
    short = {"text": {"Words": {"lowercase": True, "most": 3}}, "out": "a", "dim": 16}
    long = {"class_path": "unitf_text.subwords.Words", "init_args": {"lowercase": True, "most": 4}}
    runs = [
        recorded(tmp_path / "a", short),
        recorded(tmp_path / "b", {"text": long, "out": "b", "dim": 16, "callbacks": [{"EMA": {}}]}),
    ]
    assert differences(runs) == {
        "text.Words.most": ["3", "4"],
        "callbacks.0.EMA": ["–", "{}"],
    }
