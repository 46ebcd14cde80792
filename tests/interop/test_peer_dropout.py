"""A model that was taken over drops in training what it dropped before, and nothing else."""

import pytest
import torch

from benchmarks.parity_cases import (
    audio,
    hf_images,
    hf_series,
    hf_video,
    text_decoders,
    text_encoders,
    text_to_text,
    whisper,
)
from unitf.interop.convert import to_model
from unitf.interop.hub import describe, hubs
from unitf.interop.parity import randomise
from unitf.interop.proof import TOLERANCE, compare
from unitf.nn.reference_mode import reference_mode

ALL = 1 - 1e-9  # a share that leaves nothing; one of 1 is refused by some
NO_MASK = "wav2vec 2.0, no vector for what is hidden"
HIDDEN, WEIGHTS = "hidden_dropout_prob", "attention_probs_dropout_prob"
FAMILIES = {
    text_decoders: {
        "GPT2 body": ("embd_pdrop", "resid_pdrop", "attn_pdrop"),
        "GPTNeoX body": ("hidden_dropout", "attention_dropout"),
        "OPT body": ("dropout", "attention_dropout"),
        "Phi body": ("embd_pdrop", "resid_pdrop", "attention_dropout"),
        "Llama body": ("attention_dropout",),
        "Gemma3Text body": ("attention_dropout",),
    },
    text_encoders: {
        "Bert body": (HIDDEN, WEIGHTS),
        "Roberta body": (HIDDEN, WEIGHTS),
        "ModernBert body": ("embedding_dropout", "mlp_dropout"),
    },
    text_to_text: {
        "BART without logits": ("dropout", "attention_dropout", "activation_dropout"),
        "Marian without logits": ("dropout", "attention_dropout", "activation_dropout"),
    },
    whisper: {"Whisper without logits": ("dropout", "attention_dropout", "activation_dropout")},
    hf_images: {
        "ViT": (HIDDEN, WEIGHTS),
        "DeiT": (HIDDEN, WEIGHTS),
        "DINOv2": (WEIGHTS,),
        "YOLOS": (HIDDEN, WEIGHTS),
        "CLIP": ("attention_dropout",),
    },
    audio: {
        "AST, body": (HIDDEN, WEIGHTS),
        NO_MASK: ("hidden_dropout", "attention_dropout", "activation_dropout"),
    },
    hf_video: {"VideoMAE": (HIDDEN, WEIGHTS)},
    hf_series: {
        "PatchTST": ("ff_dropout", "path_dropout", "positional_dropout", "attention_dropout")
    },
}
OTHERS = {NO_MASK: {"layerdrop": 0.0, "feat_proj_dropout": 0.0}}
TRIALS = [
    (module, case, name)
    for module, cases in FAMILIES.items()
    for case, names in cases.items()
    for name in names
]


@pytest.mark.parametrize(("module", "case", "name"), TRIALS)
def test_each_share_is_of_the_same_numbers(module, case, name):
    shares = dict.fromkeys(FAMILIES[module][case], 0.0) | OTHERS.get(case, {}) | {name: ALL}
    published = randomise(module.CASES[case](**shares))
    architecture = describe(hubs()["hf"], published.eval())
    learner = to_model(architecture)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trial = architecture.dummy_inputs()
        whole = architecture.outputs(trial)["columns"]
        published.train()
        learner.train()
        assert (architecture.outputs(trial)["columns"] - whole).abs().max() > 1e-3
    with reference_mode():
        assert compare(architecture, learner).worst.relative < 10 * TOLERANCE
