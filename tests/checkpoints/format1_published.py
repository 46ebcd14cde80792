"""Models of transformers and timm, small, with random weights, taken over by `unitf import`."""

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from format1_saving import IMAGE, SOUND, TEXTS, generate, keep, predict
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn

from unitf.cli import main as unitf_main


def randomise(peer: nn.Module) -> nn.Module:
    """Makes every parameter random, so that none is left at zero or one."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in peer.parameters():
            if not parameter.requires_grad:
                continue
            if parameter.ndim > 1 and parameter[0].numel() > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            else:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for name, buffer in peer.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return peer.eval()


def peer_of(name: str, config: str | None = None, **options: Any) -> nn.Module:
    """A model of transformers with random weights."""
    torch.manual_seed(0)
    cls: Any = getattr(transformers, name)
    settings = getattr(transformers, config)(**options) if config else cls.config_class(**options)
    settings._attn_implementation = "eager"
    return randomise(cls(settings))


def take(folder: Path, source: str, name: str) -> None:
    """`unitf import`, in this process, because a new one takes a while to start."""
    with contextlib.chdir(folder):  # so that what is saved names no folder of this machine
        if unitf_main(["import", source, "--out", name]):
            raise SystemExit(f"{name} was not imported")


def take_over(folder: Path, name: str, parts: list[Any], calls: list[dict[str, Any]]) -> None:
    """A model of transformers, with what reads its inputs, as unitf's."""
    for one in parts:
        one.save_pretrained(folder / "theirs")
    take(folder, "hf:theirs", name)
    keep(name, folder / name, calls)


def timm_model(folder: Path, name: str, architecture: str, **options: Any) -> None:
    """A model of timm, as unitf's."""
    settings = {"img_size": [24, 16], "patch_size": 8, "embed_dim": 24, "depth": 2}
    settings |= {"num_heads": 2, **options}
    torch.manual_seed(0)
    peer: Any = randomise(timm.create_model(architecture, num_classes=5, **settings))
    cfg = {
        k: v for k, v in peer.pretrained_cfg.items()
        if isinstance(v, str | int | float | list | tuple)
    }  # fmt: skip
    config = {
        "architecture": architecture,
        "num_classes": 5,
        "num_features": peer.num_features,
        "global_pool": getattr(peer, "global_pool", None),
        "pretrained_cfg": cfg,
        "model_args": settings,
    }
    (folder / "theirs").mkdir()
    (folder / "theirs" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {key: tensor.detach().contiguous() for key, tensor in peer.state_dict().items()}
    save_file(state, folder / "theirs" / "model.safetensors", metadata={"format": "pt"})
    take(folder, "timm:theirs", name)
    keep(name, folder / name, [predict({"image": IMAGE})])


TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("vit_tiny_patch16_224", {"reg_tokens": 2, "init_values": 0.1}),
    "beit": ("beit_base_patch16_224", {}),
    "eva_rotary": ("eva02_tiny_patch14_224", {}),
    "eva_post_norm": ("eva02_enormous_patch14_clip_224", {}),
    "rope_mixed": ("vit_small_patch16_rope_mixed_224", {}),
    "dinov3": ("vit_small_patch16_dinov3", {}),
}


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=60, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return transformers.BertTokenizer(vocab=tokenizer.get_vocab(), model_max_length=20)


def bpe(template: str | None, **special: str) -> Any:
    """A published tokenizer of texts, by words."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    names = list(dict.fromkeys([*special.values(), "<unk>"]))
    trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=names, show_progress=False)
    made.train_from_iterator(TEXTS * 5, trainer)
    if template is not None:
        ids = [(name, made.token_to_id(name)) for name in names]
        made.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", **{f"{k}_token": v for k, v in special.items()}
    )


BERT = {
    "vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 32, "max_position_embeddings": 20, "num_labels": 3,
}  # fmt: skip


def publish_bert(folder: Path, head: str = "BertModel") -> None:
    for part in (peer_of(head, **BERT), wordpiece()):
        part.save_pretrained(folder)


def bert(folder: Path) -> None:
    parts = [peer_of("BertForSequenceClassification", **BERT), wordpiece()]
    take_over(folder, "bert", parts, [predict({"text": TEXTS[0]}, {"text": "a fox"})])


def masked_bert(folder: Path) -> None:
    parts = [peer_of("BertForMaskedLM", **BERT), wordpiece()]
    take_over(folder, "masked_bert", parts, [predict({"text": "the [MASK] dog"})])


def modernbert(folder: Path) -> None:
    options = {**BERT, "local_attention": 6, "pad_token_id": 0, "cls_token_id": 2}
    options |= {"bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3, "mlp_dropout": 0.1}
    texts = bpe(
        "[CLS] $A [SEP]", pad="[PAD]", unk2="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]"
    )
    parts = [peer_of("ModernBertForTokenClassification", **options), texts]
    take_over(folder, "modernbert", parts, [predict({"text": TEXTS[0]})])


WRITERS = {
    "vocab_size": 44, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 40, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
PROMPTS = [{"text": "the fox"}, {"text": "a dog sleeps"}]
WRITTEN = [
    predict(*PROMPTS),
    generate(*PROMPTS, max_tokens=8),
    generate(*PROMPTS, max_tokens=8, num_beams=3, num_returns=2),
    generate(*PROMPTS, max_tokens=8, temperature=0.9, top_k=10, repetition_penalty=1.2, seed=5),
]


def gpt2(folder: Path) -> None:
    parts = [peer_of("GPT2LMHeadModel", **WRITERS), bpe(None, pad="<pad>", bos="<s>", eos="</s>")]
    take_over(folder, "gpt2", parts, WRITTEN)


def phi(folder: Path) -> None:
    """Without a vocabulary, so that it reads ids."""
    options = {**WRITERS, "num_key_value_heads": 2, "intermediate_size": 40}
    peer = peer_of("PhiForCausalLM", **{**options, "partial_rotary_factor": 0.5, "hidden_size": 32})
    asked = [{"text": [5, 6, 7, 8]}, {"text": [1, 40]}]
    take_over(folder, "phi", [peer], [predict(*asked), generate(*asked, max_tokens=5)])


def gemma2(folder: Path) -> None:
    options = {
        **WRITERS, "intermediate_size": 40, "num_key_value_heads": 2, "head_dim": 8,
        "sliding_window": 4, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    }  # fmt: skip
    texts = bpe("<s> $A", pad="<pad>", bos="<s>", eos="</s>")
    take_over(folder, "gemma2", [peer_of("Gemma2ForCausalLM", **options), texts], WRITTEN)


SOURCES = [{"source": "the dog"}, {"source": "a quick fox over"}]
TRANSLATED = [
    predict({**SOURCES[0], "target": "a fox jumps"}, {**SOURCES[1], "target": "a"}),
    generate(*SOURCES, max_tokens=8),
    generate(*SOURCES, max_tokens=8, num_beams=3),
    generate(*SOURCES, max_tokens=8, temperature=1.0, seed=2),
]


def t5(folder: Path) -> None:
    peer = peer_of(
        "T5ForConditionalGeneration", vocab_size=44, d_model=24, d_kv=6, d_ff=20, num_layers=2,
        num_decoder_layers=2, num_heads=3, relative_attention_num_buckets=8,
        relative_attention_max_distance=10, decoder_start_token_id=0,
    )  # fmt: skip
    take_over(folder, "t5", [peer, bpe("$A </s>", pad="<pad>", eos="</s>")], TRANSLATED)


def bart(folder: Path) -> None:
    peer: Any = peer_of(
        "BartForConditionalGeneration", vocab_size=44, d_model=24, encoder_layers=2,
        decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=20,
        decoder_ffn_dim=20, max_position_embeddings=16, activation_dropout=0.1,
    )  # fmt: skip
    peer.final_logits_bias.normal_()
    texts = bpe("<s> $A </s>", bos="<s>", pad="<pad>", eos="</s>", cls="<s>", sep="</s>")
    take_over(folder, "bart", [peer, texts], TRANSLATED)


def whisper(folder: Path) -> None:
    peer = peer_of(
        "WhisperForConditionalGeneration", vocab_size=44, num_mel_bins=10, d_model=24,
        encoder_layers=2, decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=3,
        encoder_ffn_dim=20, decoder_ffn_dim=20, max_source_positions=50, max_target_positions=12,
        decoder_start_token_id=3, pad_token_id=43, bos_token_id=43, eos_token_id=43,
    )  # fmt: skip
    parts = [
        peer,
        bpe("$A <eot>", eos="<eot>"),
        transformers.WhisperFeatureExtractor(10, chunk_length=1),
    ]
    calls = [
        predict({"sound": SOUND, "text": "a fox"}, {"sound": SOUND}),
        generate({"sound": SOUND}, max_tokens=6),
        generate({"sound": SOUND}, max_tokens=6, num_beams=2),
    ]
    take_over(folder, "whisper", parts, calls)


def wav2vec(folder: Path) -> None:
    peer = peer_of(
        "Wav2Vec2ForSequenceClassification", hidden_size=24, num_hidden_layers=2,
        num_attention_heads=3, intermediate_size=32, conv_dim=(10, 12, 14), conv_kernel=(5, 3, 2),
        conv_stride=(3, 2, 2), num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4,
        classifier_proj_size=10, vocab_size=9, num_labels=5,
    )  # fmt: skip
    parts = [peer, transformers.Wav2Vec2FeatureExtractor()]
    take_over(folder, "wav2vec", parts, [predict({"sound": SOUND})])


SMALL_IMAGES = {
    "image_size": 24, "patch_size": 8, "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 3, "num_labels": 5, "intermediate_size": 48,
}  # fmt: skip


def yolos(folder: Path) -> None:
    options = {"image_size": [16, 32], "num_detection_tokens": 4}
    options["use_mid_position_embeddings"] = False
    peer: Any = peer_of("YolosForObjectDetection", **{**SMALL_IMAGES, **options})
    with torch.no_grad():  # else it is sure of no object
        peer.class_labels_classifier.layers[-1].bias[-2:] += torch.tensor([4.0, -4.0])
    reads = transformers.YolosImageProcessor()
    take_over(folder, "yolos", [peer, reads], [predict({"image": IMAGE})])


def videomae(folder: Path) -> None:
    options = {"image_size": 16, "num_frames": 6, "tubelet_size": 2}
    peer = peer_of("VideoMAEForVideoClassification", **{**SMALL_IMAGES, **options})
    reads = transformers.VideoMAEImageProcessor(
        size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}
    )
    take_over(folder, "videomae", [peer, reads], [predict({"video": {"array": "clip"}})])


def patchtst(folder: Path) -> None:
    peer = peer_of(
        "PatchTSTForPrediction", num_input_channels=3, context_length=22, patch_length=6,
        patch_stride=4, d_model=24, num_attention_heads=3, num_hidden_layers=2, ffn_dim=40,
        prediction_length=5, ff_dropout=0.1,
    )  # fmt: skip
    take_over(folder, "patchtst", [peer], [predict({"series": {"array": "series"}})])


MAKERS: dict[str, Callable[[Path], None]] = {
    **{maker.__name__: maker for maker in (
        bert, masked_bert, modernbert, gpt2, phi, gemma2, t5, bart, whisper, wav2vec, yolos,
        videomae, patchtst,
    )},
    **{
        name: partial(timm_model, name=name, architecture=architecture, **options)
        for name, (architecture, options) in TIMM.items()
    },
}  # fmt: skip
