"""`unitf merge`: puts the adapters of a model into its weights; the outputs stay the same."""

import argparse
import sys
from pathlib import Path

from unitf.cli.checkpoint_option import add_checkpoint
from unitf.cli.writable import check_folder
from unitf.errors import UserError


def main(argv: list[str]) -> int:
    """Writes the merged checkpoint."""
    parser = argparse.ArgumentParser(prog="unitf merge", description=__doc__)
    add_checkpoint(parser)
    parser.add_argument("--out", required=True, help="the folder of the merged model")
    options = parser.parse_args(argv)
    check_folder("--out", Path(options.out))
    from unitf.checkpoints.checksum import save_checkpoint
    from unitf.checkpoints.read import read_checkpoint
    from unitf.core.lora_weights import without_adapters

    checkpoint = read_checkpoint(options.checkpoint)
    if "lora" not in checkpoint["unitf"]["configuration"]:
        raise UserError(f"merge: {options.checkpoint} has no adapters (model.lora)")
    file = Path(options.out) / "checkpoints" / "best.ckpt"
    if file.exists():
        raise UserError(f"merge: {file} exists already; --out names another folder")
    model = without_adapters(checkpoint["unitf"]["configuration"], checkpoint["state_dict"])
    merged = {
        **{k: checkpoint[k] for k in ("epoch", "global_step", "pytorch-lightning_version")},
        "state_dict": model["state_dict"],
        "unitf": {**checkpoint["unitf"], "configuration": model["configuration"]},
    }
    save_checkpoint(merged, file)
    sys.stdout.write(f"merged: {file}\n")
    return 0
