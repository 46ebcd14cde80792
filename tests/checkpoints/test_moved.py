"""Old words of saved models become those of today, as a table says."""

import pytest

from unitf import Tokenizer, TransformerConfig
from unitf.checkpoints import moved
from unitf.checkpoints.moved import updated_arguments
from unitf.checkpoints.update import named_by_path, updated


class Base:
    """A made-up owner."""

    def __init__(self, width: int = 1, shape: str = "round") -> None:
        pass


class Owner(Base):
    former_arguments = {"thickness": "depth"}  # noqa: RUF012

    def __init__(self, depth: int = 1, **options: int) -> None:
        super().__init__(**options)


@pytest.fixture(autouse=True)
def _table(monkeypatch):
    arguments = {"Base": {"breadth": "width", "form": "shape"}, "Stranger": {"a": "b"}}
    monkeypatch.setattr(moved, "ARGUMENTS", {**moved.ARGUMENTS, **arguments})
    values = {"Base": {"shape": {"circle": "round"}}}
    monkeypatch.setattr(moved, "VALUES", {**moved.VALUES, **values})
    for cls in (Base, Owner):
        monkeypatch.setattr(cls, "__module__", "unitf.made_up")


def test_arguments_and_values_are_renamed_also_those_of_a_base_class():
    old = {"breadth": 3, "form": "circle", "thickness": 2, "another": 1}
    assert updated_arguments(Owner, old) == {
        "width": 3,
        "shape": "round",
        "depth": 2,
        "another": 1,
    }


def test_words_of_today_stay():
    new = {"width": 3, "shape": "round", "depth": 2}
    assert updated_arguments(Owner, new) == new
    assert updated_arguments(Base, {"shape": "square"}) == {"shape": "square"}


def test_a_word_that_a_class_still_takes_is_no_old_one():
    class Taking(Base):
        def __init__(self, breadth: int = 1, **options: int) -> None:
            super().__init__(**options)

    Taking.__module__ = "unitf.made_up"
    assert updated_arguments(Taking, {"breadth": 3}) == {"breadth": 3}


def test_a_strangers_class_of_the_same_name_is_left_alone():
    class Stranger:
        def __init__(self, b: int) -> None:
            pass

    assert updated_arguments(Stranger, {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"positions": "rotary"}, {"relative_positions": "rotary"}),
        ({"positions": "buckets"}, {"relative_positions": "t5"}),
        ({"positions": "grid", "grid": [2, 2]}, {"relative_positions": "beit", "grid": [2, 2]}),
        ({"positions": "mixed"}, {"relative_positions": "rope_mixed"}),
        ({"hidden_dropout": 0.1}, {"activation_dropout": 0.1}),
        ({"checkpoint": True}, {"gradient_checkpointing": True}),
        ({"norm_position": "branch"}, {"norm_position": "res_post"}),
        ({"norm_position": "both"}, {"norm_position": "sandwich"}),
    ],
)
def test_the_words_of_the_core_are_those_of_today(old, new):
    found = updated({"configuration": {"core": {"dim": 8, **old}}})
    assert found["configuration"]["core"] == {"dim": 8, **new}
    TransformerConfig(**{"num_heads": 2, **found["configuration"]["core"]})


def test_the_settings_of_lora_are_brought_to_the_words_of_today(monkeypatch):
    monkeypatch.setattr(moved, "ARGUMENTS", {"LoRA": {"width": "rank"}})
    saved = updated({"configuration": {"lora": {"width": 4, "alpha": 8}}})
    assert saved["configuration"]["lora"] == {"rank": 4, "alpha": 8}


def test_the_scheme_of_a_tokenizers_positions_has_its_new_name():
    class Own(Tokenizer):
        def __init__(self, dim: int, rate: int = 1, **options) -> None:
            super().__init__(dim, **options)

    assert updated_arguments(Own, {"positions": "learned", "rate": 2}) == {
        "position_embedding": "learned",
        "rate": 2,
    }


def test_a_path_of_format_1_is_a_name_of_a_distribution_or_of_a_module():
    assert named_by_path("unitf_image.image_patches.ImagePatches", "tokenizers") == {
        "class": "ImagePatches",
        "kind": "tokenizers",
        "distribution": "unitf",
    }
    assert named_by_path("a.b.Outer.Inner") == {"class": "Outer.Inner", "module": "a.b"}


def test_every_entry_of_the_table_leads_to_a_word_that_is_taken():
    from unitf.registry.arguments import annotations

    owners = {"TransformerConfig": TransformerConfig, "Tokenizer": Tokenizer}
    for name in ("TransformerConfig", "Tokenizer"):
        taken = annotations(owners[name])
        for old, new in moved.ARGUMENTS[name].items():
            assert new in taken and old not in taken
