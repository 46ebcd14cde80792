"""What is installed is found, what is broken is named, and everything else goes on."""

import pkgutil
import subprocess
import sys

import pytest
import torch
from broken import BROKEN, install, install_broken, install_whole

import unitf
from unitf import registry
from unitf.registry.discovery import class_path
from unitf.registry.kinds import KINDS

HOOK = "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n    "
HEART = """
import torch
import unitf


class Heart(unitf.Tokenizer):
    num_features = 4

    def encode(self, value, train=False):
        return unitf.Features(torch.as_tensor(value))
"""


def names(kind):
    return {entry.name for entry in registry.records() if entry.kind == kind and not entry.reason}


def reasons():
    return {e.plugin: e.reason for e in registry.records() if e.reason}


def test_every_kind_has_base_classes_that_are_there():
    for row in KINDS.values():
        for path in row.bases:
            cls = pkgutil.resolve_name(path)
            assert isinstance(cls, type) and class_path(cls) == path


def test_twelve_broken_plugins_are_named_with_their_reasons_and_the_others_work(site):
    install_broken(site)
    install_whole(site)
    found = reasons()
    assert set(found) == set(BROKEN) and len(BROKEN) == 12
    for name, (_, expected) in BROKEN.items():
        assert expected in found[name] and "\n" not in found[name]
    assert {"ImagePatches", "Electrocardiogram", "LazyHeart"} <= names("tokenizers")
    assert registry.find("tokenizers", "Electrocardiogram")(8).encode(torch.zeros(12, 50))
    assert {"Classification", "Regression", "NextToken"} <= names("tasks")
    summary = registry.broken_summary()
    assert summary is not None and "\n" not in summary
    assert all(f"unitf-broken-{name.replace('_', '-')} 1.0" in summary for name in BROKEN)


def test_the_classes_of_whole_plugins_are_given_by_short_name(site, monkeypatch):
    install_broken(site)
    install_whole(site)
    monkeypatch.setenv("UNITF_PLUGINS", ",".join(["heart", "lazy", *BROKEN]))
    with pytest.warns(UserWarning, match=r"Missing \(unitf-broken-unresolved 1.0\)"):
        classes = registry.resolve_all("tokenizers")
    assert {name: cls.__module__ for name, cls in classes.items()} == {
        "Electrocardiogram": "ecg_whole",
        "LazyHeart": "lazy_plugin.heart",
    }


def test_without_broken_plugins_nothing_is_said(site):
    install_whole(site)
    assert registry.broken_summary() is None


def test_listing_imports_no_lazy_class(site):
    install(site, "lazy", {"lazy_one": f"{HOOK}register('lazy_two:Heart')\n"}, "lazy = lazy_one")
    (site / "lazy_two.py").write_text(HEART)
    assert "Heart" in names("tokenizers") and "lazy_two" not in sys.modules
    assert registry.find("tokenizers", "Heart").__module__ == "lazy_two"


def test_a_lazy_class_that_fails_when_it_is_used_is_warned_of_and_left_out(site, monkeypatch):
    install(site, "lazy", {"lazy_bad": f"{HOOK}register('lazy_worse:Heart')\n"}, "lazy = lazy_bad")
    (site / "lazy_worse.py").write_text("raise RuntimeError('no licence')\nHeart = 1\n")
    monkeypatch.setenv("UNITF_PLUGINS", "lazy")
    assert "Heart" in names("tokenizers")
    with pytest.warns(UserWarning, match=r"left out because broken: Heart \(lazy 1.0\)"):
        assert "Heart" not in registry.resolve_all("tokenizers")
    with pytest.raises(unitf.UserError, match=r"no licence \(.*lazy_worse.py:1\)"):
        registry.find("tokenizers", "Heart")


def test_a_class_that_lacks_a_method_is_broken_and_its_neighbour_is_not(site):
    lame = HEART + "\n\nclass Lame(unitf.Tokenizer):\n    num_features = 4\n"
    hook = "\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n"
    text = f"{lame}{hook}    register(Lame)\n    register(Heart)\n"
    install(site, "two", {"two_classes": text}, "two = two_classes")
    assert reasons() == {"two": "the tokenizer Lame does not define encode"}
    assert "Heart" in names("tokenizers")


def test_a_class_that_the_parser_finds_by_its_own_name_cannot_be_called_otherwise(site):
    text = f"{HEART}\n\n{HOOK}register(Heart, name='Core')\n"
    install(site, "renames", {"renames_heart": text}, "renames = renames_heart")
    assert reasons() == {"renames": "tokenizers have the names of their classes, found name='Core'"}


def test_a_package_that_hides_its_hooks_from_dir_is_still_a_plugin(site):
    text = f"{HOOK}register('shy:Heart')\n\n\ndef __dir__():\n    return ['Heart']\n\n\nHeart = 1\n"
    install(site, "shy", {"shy": text}, "shy = shy")
    assert "Heart" in names("tokenizers") and not reasons()


def test_a_hook_that_raises_leaves_nothing_behind(site):
    text = f"{HOOK}register('half:Heart')\n    raise OSError('disk')\n"
    install(site, "half", {"half": text}, "half = half")
    assert "OSError: disk" in reasons()["half"] and "Heart" not in names("tokenizers")


def test_a_name_that_two_strangers_claim_is_nobodys_and_the_error_names_both(site):
    for package in ("one", "two"):
        text = HEART + f"\n\n{HOOK}register(Heart)\n"
        install(site, package, {f"heart_{package}": text}, f"{package} = heart_{package}")
    with pytest.raises(unitf.UserError, match=r"one 1.0 \(heart_one.Heart\) and two 1.0 \(heart"):
        registry.find("tokenizers", "Heart")
    assert registry.find("tokenizers", "heart_two.Heart").__module__ == "heart_two"


def test_a_package_whose_entry_points_cannot_be_read_is_named(site):
    install(site, "garbled", {}, "this is no entry point")
    install_whole(site)
    assert "entry_points.txt cannot be read" in reasons()["garbled"]
    assert "LazyHeart" in names("tokenizers")


def test_an_entry_point_that_is_no_module_is_named(site):
    install(site, "odd", {}, "odd = not a module!")
    assert reasons() == {"odd": "its entry point names no module: 'not a module!'"}


def test_what_a_plugin_prints_does_not_reach_stdout(site, capsys):
    text = f"print('hello')\n{HOOK}register('loud:Heart')\n\n\nHeart = 1\n"
    install(site, "loud", {"loud": text}, "loud = loud")
    assert "Heart" in names("tokenizers")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize("value", ["", "none"])
def test_the_environment_may_switch_all_plugins_off(site, monkeypatch, value):
    install_broken(site)
    monkeypatch.setenv("UNITF_PLUGINS", value)
    assert not reasons() and not names("tokenizers")
    assert "Classification" in names("tasks")


def test_the_environment_may_name_the_plugins_to_load(site, monkeypatch):
    install_broken(site)
    install_whole(site)
    monkeypatch.setenv("UNITF_PLUGINS", "heart, lazy-plugin, hart")
    assert names("tokenizers") == {"Electrocardiogram", "LazyHeart"}
    found = reasons()
    assert set(found) == {"hart"} and "UNITF_PLUGINS names it" in found["hart"]


def test_an_unknown_name_lists_near_ones_and_what_is_installed():
    with pytest.raises(unitf.UserError) as caught:
        registry.find("tokenizers", "imagepatch")
    message = str(caught.value)
    assert "no tokenizer is called 'imagepatch'; did you mean ImagePatches" in message
    assert "SpectralPatches" in message.partition("installed: ")[2]


def test_a_class_path_outside_the_plugins_is_refused_before_it_is_imported(site):
    (site / "hostile.py").write_text("raise SystemExit('this ran')\n")
    with pytest.raises(unitf.UserError, match=r"called 'hostile\.Heart'"):
        registry.find("tokenizers", "hostile.Heart")
    assert "hostile" not in sys.modules


def test_a_class_path_of_another_kind_is_refused():
    with pytest.raises(
        unitf.UserError, match=r"expected a subclass of unitf\.Tokenizer, found the class"
    ):
        registry.find("tokenizers", "unitf_image.digits.ScannedDigits")


def test_the_modules_of_plugins_may_be_named_and_those_of_broken_ones_not(site):
    install_broken(site)
    install_whole(site)
    assert {"unitf", "unitf_image", "ecg_whole", "lazy_plugin"} <= registry.modules()
    assert not {"builtins", "unitf_broken_exits"} & registry.modules()


# ---- notebooks, scripts, files -----------------------------------------------------------


def make_heart(module="__main__"):
    def encode(self, value, train=False):
        return unitf.Features(torch.as_tensor(value))

    body = {"num_features": 4, "encode": encode, "__module__": module, "__qualname__": "Heart"}
    return type("Heart", (unitf.Tokenizer,), body)


def test_a_notebook_registers_a_class_and_may_run_the_cell_again():
    first, second = make_heart(), make_heart()
    assert unitf.register(first) is first
    assert registry.find("tokenizers", "Heart") is first
    unitf.register(second)
    assert registry.find("tokenizers", "Heart") is second
    assert registry.find("tokenizers", "__main__.Heart") is second
    assert "__main__" in registry.modules()


def test_a_notebook_cannot_take_a_name_of_another_package(site):
    text = HEART + f"\n\n{HOOK}register(Heart)\n"
    install(site, "one", {"heart_first": text}, "one = heart_first")
    with pytest.raises(unitf.UserError, match=r"one 1.0 \(heart_first.Heart\) and this session"):
        unitf.register(make_heart())


def test_what_is_neither_tokenizer_nor_task_nor_source_cannot_be_registered():
    with pytest.raises(unitf.UserError, match="found <class 'dict'>"):
        unitf.register(dict)


@pytest.mark.parametrize("hook", ["", f"\n\n{HOOK}register(Heart)\n"])
def test_a_file_is_a_plugin_by_its_hooks_or_by_its_classes(tmp_path, hook):
    file = tmp_path / "heart_file.py"
    file.write_text(HEART + hook)
    registry.load_file(file)
    assert registry.find("tokenizers", "Heart").__module__ == "heart_file"
    assert "heart_file" in registry.modules()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.py", None, "there is no such file"),
        ("two-words.py", "", "a name that Python can import"),
        ("json.py", "", "the name json is taken by"),
        ("nothing_in_it.py", "x = 1\n", "brings nothing"),
        ("syntax_error.py", "def\n", "SyntaxError"),
        ("exits_now.py", "raise SystemExit(1)\n", "ends the program"),
        ("misspelt_hook.py", HOOK.replace("ize", "ise") + "pass\n", "you mean register_tokenizers"),
    ],
)
def test_a_file_that_is_no_plugin_is_one_line(tmp_path, name, text, message):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(unitf.UserError) as caught:
        registry.load_file(file)
    assert message in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plugin_may_register_while_it_is_loaded(site):
    text = f"{HEART}\n\nunitf.register(Heart)\n\n\n{HOOK}register('eager:Other')\n\n\nOther = 1\n"
    install(site, "eager", {"eager": text}, "eager = eager")
    assert {"Heart", "Other", "ImagePatches"} <= names("tokenizers")


def test_listing_imports_no_torch(site):
    install_broken(site)
    code = (
        "import sys, unitf\nfrom unitf import registry\nregistry.records()\n"
        "sys.exit(len({'torch', 'numpy', 'lightning'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(site)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
