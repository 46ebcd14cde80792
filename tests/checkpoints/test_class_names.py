"""A saved model finds its classes wherever their files lie by now, and says what is missing."""

import json
import sys
import warnings

import pytest
import torch
from checkpoints.conftest import VALUE
from registry.broken import install

import unitf
from unitf import registry
from unitf.checkpoints import read_checkpoint
from unitf.checkpoints.folder import save_folder

FILTER = """
from unitf.registry.configurable import Configurable


class Filter(Configurable):
    def __init__(self, gain: float = 1.0, inner: "Filter | None" = None):
        self.gain = gain if inner is None else gain * inner.gain
"""
HEART = """
import torch
import unitf


class Heart(unitf.Tokenizer):
    num_features = 4

    def __init__(
        self, dim: int, filter: Filter | None = None, others: list[Filter] = (), **options
    ):
        super().__init__(dim, **options)
        self.filter, self.others = filter, others

    def encode(self, value, train=False):
        gain = 1.0 if self.filter is None else self.filter.gain
        for other in self.others:
            gain += other.gain
        return unitf.Features(torch.tensor(value).view(-1, 4).mT * gain)
"""
HOOK = "import unitf\n\n\n@unitf.hookimpl\ndef register_tokenizers(register):\n    "


def package(site, where, name="Heart", text=HEART, version="1.0", distribution="unitf-ecg"):
    """Installs a distribution whose classes lie in the modules `where` says."""
    heart, settings = where
    modules = {
        "ecg_pkg": f"{HOOK}register('ecg_pkg.{heart}:{name}')\n",
        f"ecg_pkg.{heart}": f"from ecg_pkg.{settings} import Filter\n{text}",
        f"ecg_pkg.{settings}": FILTER,
    }
    install(site, distribution, modules, "ecg = ecg_pkg", version)


def uninstall(site, restart):
    for path in sorted(site.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    restart()


def made(module):
    return __import__(module, fromlist=["x"])


def filters():
    cls = made("ecg_pkg.settings").Filter
    return {"filter": cls(2.0, inner=cls(3.0)), "others": [cls(0.5)]}


def predict(path, plugin=None):
    if plugin is not None:
        registry.load_file(plugin)
    return unitf.load(path).predict([{"x": VALUE}])


def configuration(path):
    return read_checkpoint(path)["unitf"]["configuration"]["tokenizers"]["x"]


@pytest.mark.parametrize("folder", [False, True])
def test_a_model_is_loaded_after_its_classes_moved_to_other_files(site, save, restart, folder):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart, **filters())
    path = site.parent / "model.ckpt"
    text = json.dumps(torch.load(path, weights_only=True)["unitf"])
    assert "leads" not in text and "settings" not in text and "ecg_pkg" not in text
    if folder:
        path = save_folder(read_checkpoint(path), site.parent / "folder")
        assert "leads" not in (path / "unitf.json").read_text()
    uninstall(site, restart)
    package(site, ("signals", "filters"))
    assert predict(path) == said
    assert "ecg_pkg.leads" not in sys.modules


def test_what_is_saved_says_the_name_the_kind_and_the_distribution(site, save):
    package(site, ("leads", "settings"))
    save(made("ecg_pkg.leads").Heart, **filters())
    saved = torch.load(site.parent / "model.ckpt", weights_only=True)["unitf"]
    assert saved["format"] == 2
    assert saved["configuration"]["tokenizers"]["x"] == {
        "class": "Heart",
        "kind": "tokenizers",
        "distribution": "unitf-ecg",
        "version": "1.0",
        "init_args": {
            "filter": {
                "class": "Filter",
                "init_args": {
                    "gain": 2.0,
                    "inner": {"class": "Filter", "init_args": {"gain": 3.0}},
                },
            },
            "others": [{"class": "Filter", "init_args": {"gain": 0.5}}],
        },
    }


def test_a_setting_whose_annotation_says_too_little_is_found_in_its_distribution(
    site, save, restart
):
    text = HEART.replace("Filter | None", "object").replace("list[Filter]", "list")
    package(site, ("leads", "settings"), text=text)
    said = save(made("ecg_pkg.leads").Heart, **filters())
    own = configuration(site.parent / "model.ckpt")["init_args"]["filter"]
    assert (own["class"], own["distribution"]) == ("Filter", "unitf-ecg")
    uninstall(site, restart)
    package(site, ("signals", "filters"), text=text)
    assert predict(site.parent / "model.ckpt") == said


def test_a_setting_may_be_of_a_subclass_of_what_the_annotation_says(site, save, restart):
    more = "\n\nclass Louder(Filter):\n    pass\n"
    text = HEART + more
    package(site, ("leads", "settings"), text=text)
    leads = made("ecg_pkg.leads")
    said = save(leads.Heart, filter=leads.Louder(4.0))
    assert configuration(site.parent / "model.ckpt")["init_args"]["filter"]["class"] == "Louder"
    uninstall(site, restart)
    package(site, ("signals", "filters"), text=text)
    assert predict(site.parent / "model.ckpt") == said


def test_of_two_distributions_with_one_name_the_one_that_was_saved_is_taken(site, save, restart):
    twice = HEART.replace("* gain", "* 2.0 * gain")
    for name, text in (("one", HEART), ("two", twice)):
        modules = {f"heart_{name}": f"{FILTER}\n{text}\n\n{HOOK}register(Heart)\n"}
        install(site, f"unitf-{name}", modules, f"{name} = heart_{name}")
    for name in ("one", "two"):
        restart()
        said = save(made(f"heart_{name}").Heart)
        restart()
        assert configuration(site.parent / "model.ckpt")["distribution"] == f"unitf-{name}"
        assert predict(site.parent / "model.ckpt") == said
        assert type(unitf.load(site.parent / "model.ckpt").tokenizers["x"]).__module__ == (
            f"heart_{name}"
        )


def test_a_class_of_a_package_that_is_not_installed_is_one_line(site, save, restart):
    package(site, ("leads", "settings"), version="1.2")
    save(made("ecg_pkg.leads").Heart)
    uninstall(site, restart)
    with pytest.raises(unitf.UserError) as caught:
        unitf.load(site.parent / "model.ckpt")
    assert str(caught.value) == (
        "the saved model needs the tokenizer Heart of the package unitf-ecg 1.2, which is not "
        "installed: pip install unitf-ecg"
    )


def test_a_class_that_an_installed_package_no_longer_has_is_one_line(site, save, restart):
    package(site, ("leads", "settings"))
    save(made("ecg_pkg.leads").Heart)
    uninstall(site, restart)
    text = HEART.replace("class Heart(", "class Hearts(")
    package(site, ("leads", "settings"), name="Hearts", text=text, version="2.0")
    with pytest.raises(unitf.UserError) as caught:
        unitf.load(site.parent / "model.ckpt")
    assert str(caught.value) == (
        "the saved model needs the tokenizer Heart of the package unitf-ecg 2.0, which has no "
        "Heart; did you mean Hearts?"
    )


def test_a_package_that_is_left_out_or_broken_is_named(site, save, restart, monkeypatch):
    package(site, ("leads", "settings"))
    save(made("ecg_pkg.leads").Heart)
    restart()
    monkeypatch.setenv("UNITF_PLUGINS", "text")
    with pytest.raises(unitf.UserError, match="unitf-ecg, which UNITF_PLUGINS leaves out"):
        unitf.load(site.parent / "model.ckpt")
    monkeypatch.delenv("UNITF_PLUGINS")
    (site / "ecg_pkg" / "__init__.py").write_text("raise OSError('no licence')\n")
    restart()
    with pytest.raises(unitf.UserError, match="unitf-ecg, which is broken: OSError: no licence"):
        unitf.load(site.parent / "model.ckpt")


def test_a_class_says_under_which_names_it_was_known(site, save, restart):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart, **filters())
    uninstall(site, restart)
    named = "num_features = 4\n    former_names = ('Heart',)"
    text = HEART.replace("class Heart(", "class Cardiogram(").replace("num_features = 4", named)
    package(site, ("leads", "settings"), name="Cardiogram", text=text)
    assert predict(site.parent / "model.ckpt") == said
    assert configuration(site.parent / "model.ckpt")["class"] == "Cardiogram"


@pytest.mark.parametrize("bare", [True, False])
def test_a_class_of_settings_says_under_which_names_it_was_known(site, save, restart, bare):
    text = HEART if bare else HEART.replace("Filter | None", "object").replace("[Filter]", "")
    package(site, ("leads", "settings"), text=text)
    said = save(made("ecg_pkg.leads").Heart, **filters())
    uninstall(site, restart)
    package(site, ("leads", "settings"), text=text.replace("Filter", "Gain"))
    (site / "ecg_pkg" / "settings.py").write_text(
        FILTER.replace("Filter", "Gain").replace(
            "):\n", "):\n    former_names = ('Filter',)\n\n", 1
        )
    )
    leads = site / "ecg_pkg" / "leads.py"
    leads.write_text(leads.read_text().replace("import Filter", "import Gain"))
    assert predict(site.parent / "model.ckpt") == said


def test_a_class_that_went_to_another_distribution_says_where_it_was(site, save, restart):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart)
    uninstall(site, restart)
    named = "num_features = 4\n    former_names = ('unitf-ecg:Heart',)"
    text = HEART.replace("num_features = 4", named)
    package(site, ("leads", "settings"), text=text, distribution="unitf-medicine")
    assert predict(site.parent / "model.ckpt") == said
    assert configuration(site.parent / "model.ckpt")["distribution"] == "unitf-medicine"


def test_a_class_says_under_which_names_its_arguments_were_known(site, save, restart):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart, **filters())
    uninstall(site, restart)
    renamed = "num_features = 4\n    former_arguments = {'filter': 'gain', 'others': 'gains'}"
    text = HEART.replace("num_features = 4", renamed)
    text = text.replace("filter: Filter", "gain: Filter").replace("others: list", "gains: list")
    text = text.replace("= filter, others", "= gain, gains")
    package(site, ("leads", "settings"), text=text)
    assert predict(site.parent / "model.ckpt") == said


def former(path):
    """The model as the commit before format 2 wrote it."""
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["unitf"]["format"]
    cls = "ecg_pkg.old.settings.Filter"
    checkpoint["unitf"]["configuration"]["tokenizers"]["x"] = {
        "class_path": "ecg_pkg.old.leads.Heart",
        "init_args": {
            "filter": {
                "class_path": cls,
                "init_args": {
                    "gain": 2.0,
                    "inner": {"class_path": cls, "init_args": {"gain": 3.0}},
                },
            },
            "others": [{"class_path": cls, "init_args": {"gain": 0.5}}],
        },
    }
    torch.save(checkpoint, path)


def test_format_1_of_a_package_is_found_wherever_its_files_lie(site, save, restart):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart, **filters())
    today = configuration(site.parent / "model.ckpt")
    former(site.parent / "model.ckpt")
    restart()
    assert predict(site.parent / "model.ckpt") == said
    assert configuration(site.parent / "model.ckpt") == today


def test_format_1_of_a_class_with_another_name_is_found_by_its_old_path(site, save, restart):
    package(site, ("leads", "settings"))
    said = save(made("ecg_pkg.leads").Heart, **filters())
    former(site.parent / "model.ckpt")
    uninstall(site, restart)
    named = "num_features = 4\n    former_names = ('ecg_pkg.old.leads.Heart',)"
    text = HEART.replace("class Heart(", "class Cardiogram(").replace("num_features = 4", named)
    package(site, ("leads", "settings"), name="Cardiogram", text=text)
    assert predict(site.parent / "model.ckpt") == said


def test_format_1_of_a_class_that_nobody_has_is_one_line(site, save, restart):
    package(site, ("leads", "settings"))
    save(made("ecg_pkg.leads").Heart)
    former(site.parent / "model.ckpt")
    uninstall(site, restart)
    with pytest.raises(unitf.UserError) as caught:
        unitf.load(site.parent / "model.ckpt")
    assert str(caught.value) == (
        "the saved model needs the tokenizer Heart of ecg_pkg.old.leads, which no installed "
        "plugin has"
    )


def test_a_later_format_is_refused(site, save):
    package(site, ("leads", "settings"))
    save(made("ecg_pkg.leads").Heart)
    checkpoint = torch.load(site.parent / "model.ckpt", weights_only=True)
    checkpoint["unitf"]["format"] = 3
    torch.save(checkpoint, site.parent / "model.ckpt")
    with pytest.raises(unitf.UserError, match="format 3, expected at most 2: it was saved by a la"):
        unitf.load(site.parent / "model.ckpt")


# ---- files and notebooks -------------------------------------------------------------------


@pytest.fixture
def file(site, save, restart):
    """A plugin file with which a model was saved, and what it said."""
    home = site.parent / "home"
    home.mkdir()
    path = home / "heart.py"
    path.write_text(f"{FILTER}\n{HEART}")
    registry.load_file(path)
    module = made("heart")
    said = save(module.Heart, filter=module.Filter(2.0))
    restart()
    return path, said


def test_a_class_of_a_file_is_saved_by_its_name_the_files_name_and_hash(file):
    path, _ = file
    own = torch.load(path.parent.parent / "model.ckpt", weights_only=True)
    own = own["unitf"]["configuration"]["tokenizers"]["x"]
    assert (own["class"], own["kind"], own["file"]) == ("Heart", "tokenizers", "heart.py")
    assert len(own["sha256"]) == 64 and str(path.parent) not in json.dumps(own)
    assert own["init_args"]["filter"] == {"class": "Filter", "init_args": {"gain": 2.0}}


@pytest.mark.parametrize("name", ["heart.py", "moved.py"])
def test_a_class_of_a_file_is_found_when_the_file_is_given_wherever_it_lies(file, name):
    path, said = file
    other = path.parent.parent / "other"
    other.mkdir()
    path = path.rename(other / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predict(other.parent / "model.ckpt", path) == said


def test_a_setting_whose_annotation_says_too_little_is_found_in_a_renamed_file(site, save, restart):
    path = site.parent / "heart.py"
    text = HEART.replace("Filter | None", "object")
    path.write_text(f"{FILTER}\n{text}")
    registry.load_file(path)
    said = save(made("heart").Heart, filter=made("heart").Filter(2.0))
    assert configuration(site.parent / "model.ckpt")["init_args"]["filter"]["file"] == "heart.py"
    restart()
    assert predict(site.parent / "model.ckpt", path.rename(path.with_name("moved.py"))) == said


def test_a_file_that_has_changed_is_named(file):
    path, said = file
    path.write_text(path.read_text() + "\n# another line\n")
    with pytest.warns(UserWarning, match=r"^heart.py has changed since the model was saved$"):
        assert predict(path.parent.parent / "model.ckpt", path) == said


def test_another_file_with_another_content_is_named(file):
    path, said = file
    path.write_text(path.read_text() + "\n# another line\n")
    path = path.rename(path.with_name("renamed.py"))
    with pytest.warns(UserWarning, match=r"^Heart was saved from heart.py and is taken from ren"):
        assert predict(path.parent.parent / "model.ckpt", path) == said


def test_a_class_of_a_file_that_is_not_given_is_one_line(file):
    path, _ = file
    with pytest.raises(unitf.UserError) as caught:
        unitf.load(path.parent.parent / "model.ckpt")
    assert str(caught.value) == (
        "the saved model needs the tokenizer Heart of the file heart.py, which was not given: "
        "unitf --plugin heart.py … (in Python: import heart; unitf.register(heart.Heart))"
    )
    assert "heart" not in sys.modules


def test_a_class_of_a_file_that_became_a_package_is_found_by_its_former_name(file, site):
    path, said = file
    named = "num_features = 4\n    former_names = ('heart.Heart',)"
    package(site, ("leads", "settings"), text=HEART.replace("num_features = 4", named))
    assert predict(path.parent.parent / "model.ckpt") == said


def test_a_class_of_a_notebook_is_found_where_it_is_defined_again(site, save, monkeypatch):
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(f"{FILTER}\n{HEART}", vars(main))
    said = save(main.Heart, filter=main.Filter(2.0))
    path = site.parent / "model.ckpt"
    own = configuration(path)
    assert (own["class"], own["file"]) == ("Heart", None)
    exec(f"{FILTER}\n{HEART}", vars(main))  # the cells ran again
    assert predict(path) == said
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    with pytest.raises(unitf.UserError, match=r"tokenizer Heart of a notebook: define it there"):
        unitf.load(path)
