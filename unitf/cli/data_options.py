"""The options of `unitf fit PATH` and `unitf recipe PATH`."""

import argparse


def data_parser(verb: str) -> argparse.ArgumentParser:
    """Returns the parser of a path and what a person says beside it."""
    parser = argparse.ArgumentParser(
        prog=f"unitf {verb}",
        description="Makes a recipe of your data. All options of `unitf fit` may follow.",
        allow_abbrev=False,
    )
    parser.add_argument("path", help="a file or folder: tables, class folders, texts, archives")
    parser.add_argument("--target", help="the column to predict")
    parser.add_argument("--test", help="a file or folder of test samples")
    parser.add_argument("--time", help="how long the training may take, as 10m (the default)")
    parser.add_argument("--pretrained", help="a model to fine-tune, as hf:NAME or a run's folder")
    return parser
