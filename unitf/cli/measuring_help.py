"""The help of `unitf validate` and `unitf test`: their own options, not those of a training."""

import argparse

from unitf.cli.checkpoint_option import add_checkpoint

_SPLITS = {"validate": "the validation split", "test": "the test splits"}


def main(verb: str) -> int:
    """Prints the help of a verb."""
    parser = argparse.ArgumentParser(
        prog=f"unitf {verb}",
        description=f"Measures a trained model on {_SPLITS[verb]}.",
        epilog="Every key of a recipe can be given, too, as `--data.batch_size 256`; "
        f"`unitf {verb} --config RECIPE --help` lists them all.",
    )
    add_checkpoint(parser)
    parser.add_argument("--config", metavar="RECIPE", help="another recipe than the run's own")
    parser.add_argument("--data-root", metavar="DIR", help="the folder of the data")
    parser.add_argument("--out", metavar="DIR", help="where the figures are written")
    parser.print_help()
    return 0
