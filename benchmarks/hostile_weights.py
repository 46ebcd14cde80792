"""Hostile checkpoints, model folders and published models."""

import contextlib
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.hostile_cases import CASES, case, code, is_written, zip_of
from unitf.errors import UserError


def weights(name: str, change: Callable[[dict[str, object]], object]) -> None:
    def run(folder: Path) -> None:
        import unitf
        from unitf.checkpoints.folder import save_folder

        torch.save(model_of(change), folder / "x.ckpt")
        is_written()
        with contextlib.suppress(UserError):
            unitf.load(folder / "x.ckpt")
        unitf.load(save_folder(model_of(change), folder / "model"))

    CASES[f"a checkpoint with {name}"] = run


def model_of(change: Callable[[dict[str, object]], object]) -> dict[str, object]:
    import unitf
    from unitf.interop.exchange import as_checkpoint
    from unitf.registry import find, resolve_all
    from unitf.tasks import Classification

    resolve_all("tokenizers")
    characters = find("tokenizers", "Characters")
    model = unitf.Model(
        core=unitf.TransformerConfig(dim=16, depth=1, num_heads=2),
        tokenizers={"text": characters},
        tasks={"digit": Classification(["text"], "digit", classes=["a", "b"])},
    )
    model.tokenizers["text"].fit(iter(["abc"]))
    model.build_components()
    checkpoint = as_checkpoint(model)
    change(checkpoint["unitf"]["configuration"])
    return checkpoint


def core(**settings: object) -> Callable[[dict[str, object]], object]:
    return lambda configuration: configuration["core"].update(settings)  # pyright: ignore


weights("dim 100,000", core(dim=100_000))
weights("depth 3,000,000", core(depth=3_000_000))
weights("hidden_dim 10^12", core(hidden_dim=10**12))
weights("head_dim 10^9", core(head_dim=10**9))
weights(
    "a million experts",
    core(feedforward={"class_path": "MixtureOfExperts", "init_args": {"num_experts": 10**6}}),
)
weights("a word for a width", core(dim="wide"))
weights("an unknown key", core(evil=1))


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


@case
def a_checkpoint_with_code(folder: Path) -> None:
    import unitf

    torch.save({"unitf": Evil(), "state_dict": {}}, folder / "x.ckpt")
    unitf.load(folder / "x.ckpt")


@case
def a_pickle_as_checkpoint(folder: Path) -> None:
    import unitf

    (folder / "x.ckpt").write_bytes(pickle.dumps(Evil()))
    unitf.load(folder / "x.ckpt")


@case
def a_checkpoint_whose_members_are_packed(folder: Path) -> None:
    import unitf

    zip_of(folder / "x.ckpt", "archive/data.pkl", 1_000)
    unitf.load(folder / "x.ckpt")


@case
def a_safetensors_header_of_90_megabytes(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": {}}')
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{n}": entry for n in range(1_200_000)}).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    unitf.load(model)


@case
def a_safetensors_header_that_lies(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": {}}')
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    unitf.load(model)


@case
def a_model_folder_with_deep_json(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "unitf.json").write_text('{"states": ' + "[" * 1_000_000)
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    unitf.load(model)


@case
def a_published_folder_with_code(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "evil.py").write_text(code(folder))
    settings = {"model_type": "xxx", "auto_map": {"AutoConfig": "evil.X", "AutoModel": "evil.X"}}
    (model / "config.json").write_text(json.dumps(settings))
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    unitf.from_pretrained(f"hf:{model}")


@case
def a_published_folder_with_a_pickle(folder: Path) -> None:
    import unitf

    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    torch.save(Evil(), model / "pytorch_model.bin")
    unitf.from_pretrained(f"hf:{model}")
