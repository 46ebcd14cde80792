"""What the package says of itself, and that the command line understands its classes."""

import subprocess
import sys

import jsonargparse
import pytest

from unitf import Tokenizer


def test_importing_it_imports_no_torch():
    code = (
        "import unitf_text, sys; "
        "print([m in sys.modules for m in ('torch', 'numpy', 'tokenizers', 'transformers')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False, False]"


def test_all_it_registers_is_there():
    import unitf_text

    names = []
    unitf_text.register_tokenizers(names.append)
    unitf_text.register_sources(names.append)
    assert sorted(name.split(":")[1] for name in names) == [
        "Bytes", "Characters", "NumberWords", "Sentences", "SquadFiles", "Stories", "Subwords",
        "TokenIds", "Words",
    ]  # fmt: skip
    for name in names:
        module, cls = name.split(":")
        assert getattr(unitf_text, cls).__module__ == module


def test_a_yaml_reaches_the_options_that_all_text_tokenizers_share():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Tokenizer, "tokenizer", skip={"dim"})
    for name, own in (
        ("Subwords", {"algorithm": "unigram", "dropout": 0.0}),
        ("Words", {"min_count": 2}),
        ("Characters", {"noise": 0.1}),
        ("Bytes", {"noise": 0.1}),
    ):
        shared = {"lowercase": True, "max_tokens": 64, "truncate": True, "token_dropout": 0.1}
        settings = {"class_path": f"unitf_text.{name}", "init_args": {**own, **shared}}
        found = parser.parse_object({"tokenizer": settings}).tokenizer.init_args.as_dict()
        assert found.items() >= {**own, **shared, "position_embedding": "sinusoidal"}.items()
        settings["init_args"]["token_dropuot"] = 0.1
        with pytest.raises(jsonargparse.ArgumentError, match="token_dropuot"):
            parser.parse_object({"tokenizer": settings})
