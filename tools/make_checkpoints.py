#!/usr/bin/env python3
"""Make checkpoints with random but lively weights, laid out as OpenCLIP and transformers do.

    make_checkpoints.py DIRECTORY [NAME...]      a directory for each; without NAME, lists all names
    make_checkpoints.py DIRECTORY tiny           all names that begin like this

Freshly initialised towers test nothing: half of their parameters are 0 or 1, their attention is
flat, and a wrong tower passes. So every parameter is drawn again at the scale of trained towers
(`enliven`).
Needs: torch, open_clip_torch, transformers, safetensors.
"""
import argparse
import contextlib
import copy
import gzip
import json
import shutil
from pathlib import Path

import open_clip
import torch
from open_clip.tokenizer import bytes_to_unicode, default_bpe
import transformers
from safetensors.torch import load_file, save_file
from transformers import (AltCLIPConfig, AltCLIPModel, BertConfig, BertModel, ChineseCLIPConfig, ChineseCLIPModel,
                          CLIPConfig, CLIPModel, CLIPTokenizer, M2M100Config, MT5Config, XLMRobertaConfig)

OPENAI_MEAN = [0.48145466, 0.4578275, 0.40821073]
OPENAI_STD = [0.26862954, 0.26130258, 0.27577711]
PREPROCESS = {"mean": OPENAI_MEAN, "std": OPENAI_STD, "interpolation": "bicubic", "resize_mode": "shortest"}
FULL = 48894  # merges of CLIP's own vocabulary: 49,408 ids
TINY = 62     # the first of them: 576 ids, so that the tiny checkpoints are tiny

# ---- Lively weights ------------------------------------------------------------------------------


def deviation(name, p):
    """The deviation of a weight of two or more dimensions that turns inputs of unit variance into
    outputs of about unit variance."""
    fan_in = p[0].numel()
    if "token_embedding" in name or "class_embedding" in name:
        return 0.4
    if "position" in name:
        return 0.2
    if name in ("text_projection", "visual.proj"):  # used as x @ W
        return p.shape[0] ** -0.5
    if any(s in name for s in ("in_proj", "q_proj", "k_proj", ".query.", ".key.")):
        return 1.3 * fan_in**-0.5  # attention that chooses
    if "conv" in name or "downsample" in name:
        return (2 / fan_in) ** 0.5 if ".layer" in name or p.shape[-1] == 3 else fan_in**-0.5
    return 0.8 * fan_in**-0.5


@torch.no_grad()
def enliven(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if name == "logit_scale":
            p.fill_(4.2 + 0.01 * (seed % 10))
        elif p.ndim >= 2 or "class_embedding" in name:
            p.copy_(torch.randn(p.shape, generator=g) * deviation(name, p))
        elif name.endswith("bias"):
            p.copy_(torch.randn(p.shape, generator=g) * 0.1)
        elif "bn3.weight" in name and "layer" in name:
            p.copy_(0.2 + 0.4 * torch.rand(p.shape, generator=g))  # the residual branch is weaker than the stream
        else:
            p.copy_(1 + 0.2 * torch.randn(p.shape, generator=g))
    if hasattr(getattr(model, "visual", None), "bn1"):
        settle_batchnorm(model.visual, g)


def smooth_pictures(n, size, generator, coarse=7):
    """[n, 3, size, size], about normalised: noise on a coarse grid and a little at every pixel."""
    low = torch.randn(n, 3, coarse, coarse, generator=generator)
    x = torch.nn.functional.interpolate(low, size=(size, size), mode="bicubic", align_corners=False)
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def settle_batchnorm(visual, generator):
    """Running statistics from a batch of pictures."""
    norms = [m for m in visual.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = [m.momentum for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain mean
    visual.train()
    visual(smooth_pictures(8, visual.image_size, generator))
    visual.eval()
    for m, was in zip(norms, momentum):
        m.momentum = was


# ---- Tokenizers ----------------------------------------------------------------------------------


def clip_merges(n):
    lines = gzip.open(default_bpe()).read().decode("utf-8").split("\n")[1 : n + 1]
    return [tuple(line.split()) for line in lines]


def vocabulary(merges):
    letters = list(bytes_to_unicode().values())
    words = letters + [c + "</w>" for c in letters] + ["".join(m)
                                                       for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {w: i for i, w in enumerate(words)}


def write_tokenizer(out, n_merges, form):
    merges = clip_merges(n_merges)
    lines = "\n".join(" ".join(m) for m in merges)
    if form == "bpe":
        with gzip.GzipFile(out / "bpe_simple_vocab_16e6.txt.gz", "wb", mtime=0) as f:
            f.write(('"bpe_simple_vocab_16e6.txt#version: 0.2\n' + lines).encode())
        return
    (out / "vocab.json").write_text(json.dumps(vocabulary(merges), ensure_ascii=False), encoding="utf-8")
    (out / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", encoding="utf-8")
    if form == "json":  # as transformers saves it: tokenizer.json, tokenizer_config.json
        CLIPTokenizer.from_pretrained(out).save_pretrained(out)
        (out / "vocab.json").unlink()
        (out / "merges.txt").unlink()


# ---- OpenCLIP's and OpenAI's layout --------------------------------------------------------------

TINY_TEXT = {"context_length": 16, "vocab_size": 512 + TINY + 2, "width": 32, "heads": 2, "layers": 2}
TINY_VIT = {
    "embed_dim": 40, "vision_cfg": {"image_size": 32, "layers": 2, "width": 40, "head_width": 20, "patch_size": 8},
    "text_cfg": TINY_TEXT | {"mlp_ratio": 9.0}
}  # more than 256: sums of real models are longer than a block of a matrix product
TINY_RESNET = {
    "embed_dim": 40, "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 6, "patch_size": None},
    "text_cfg": TINY_TEXT
}
TINY_OPENAI = {
    "embed_dim": 40,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8},  # heads of 64: the file can't say
    "text_cfg": TINY_TEXT | {"width": 64, "heads": 1, "layers": 1}
}
TINY_COCA = {
    "embed_dim": 24,
    "custom_text": True,
    "vision_cfg": TINY_VIT["vision_cfg"] | {"layers": 1, "attentional_pool": True, "attn_pooler_queries": 3,
                                            "attn_pooler_heads": 2, "output_tokens": True},
    "text_cfg": TINY_TEXT | {"embed_cls": True, "output_tokens": True},
    "multimodal_cfg": {"width": 8, "heads": 1, "layers": 1, "vocab_size": 8, "context_length": 16},
}
TINY_SCALED = {"layers": 1, "ls_init_value": 0.1}
TINY_EOS = 512 + TINY + 1  # the end token


def builtin(name, **changes):
    """OpenCLIP's own configuration; `changes`: vision_layers, text_layers."""
    cfg = open_clip.get_model_config(name)
    for key, value in changes.items():
        tower, _, setting = key.partition("_")
        cfg[tower + "_cfg"][setting] = value
    return cfg


def changed(cfg, vision=None, text=None, **top):
    cfg = copy.deepcopy(cfg) | top
    cfg["vision_cfg"] |= vision or {}
    cfg["text_cfg"] |= text or {}
    return cfg


def make_openclip(cfg, seed):
    make = open_clip.CoCa if "multimodal_cfg" in cfg else open_clip.CLIP
    model = make(**{k: v for k, v in copy.deepcopy(cfg).items() if k != "custom_text"}).eval()
    enliven(model, seed)
    return model


def openclip(out, cfg, seed, dtype=torch.float32, merges=FULL, tokenizer="vocab", preprocess=PREPROCESS):
    model = make_openclip(cfg, seed)
    tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file(tensors, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": preprocess}, indent=2))
    write_tokenizer(out, merges, tokenizer)


def openai(out, cfg, seed, extras, merges=FULL):
    """A bare file with OpenAI's names: f16 matrices, f32 norms; optionally the extra tensors."""
    model = make_openclip(changed(cfg, quick_gelu=extras), seed)
    open_clip.model.convert_weights_to_fp16(model)
    tensors = dict(model.state_dict())
    if extras:
        tensors["input_resolution"] = torch.tensor(cfg["vision_cfg"]["image_size"])
        tensors["context_length"] = torch.tensor(cfg["text_cfg"]["context_length"])
        tensors["vocab_size"] = torch.tensor(cfg["text_cfg"]["vocab_size"])
    save_file(tensors, out / "model.safetensors")
    write_tokenizer(out, merges, "bpe")


def longclip(out, cfg, seed, merges):
    """Long-CLIP's two tables of positions, and every name as torch.compile() saves it. The head of
    one table and the tail of the other count."""
    model = make_openclip(cfg, seed)
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    g = torch.Generator().manual_seed(seed + 1)
    tensors["positional_embedding_res"] = (0.2 * torch.randn(tensors["positional_embedding"].shape, generator=g)).half()
    save_file({"_orig_mod." + k: v for k, v in tensors.items()}, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": PREPROCESS}, indent=2))
    write_tokenizer(out, merges, "bpe")


# ---- Hugging Face's layout -----------------------------------------------------------------------

HF_B32 = {
    "text_config": {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}, "vision_config": {}, "projection_dim": 512
}
HF_TINY = {
    "text_config": {"vocab_size": 512 + TINY + 2, "hidden_size": 32, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 2},
    "vision_config": {"hidden_size": 40, "intermediate_size": 144, "num_hidden_layers": 2, "num_attention_heads": 2,
                      "image_size": 32, "patch_size": 8},
    "projection_dim": 40,
}


def hf_changed(cfg, both=None, **text):
    cfg = copy.deepcopy(cfg)
    cfg["text_config"] |= (both or {}) | text
    cfg["vision_config"] |= both or {}
    return cfg


def huggingface(out, cfg, seed, dtype=torch.float32, merges=FULL, tokenizer="vocab", shard="50GB",
                old_preprocessor=False):
    model = CLIPModel(CLIPConfig(**copy.deepcopy(cfg))).eval()
    enliven(model, seed)
    model.to(dtype).save_pretrained(out, max_shard_size=shard)
    size = model.config.vision_config.image_size
    pictures = {
        "do_center_crop": True, "do_normalize": True, "do_resize": True, "image_mean": OPENAI_MEAN,
        "image_std": OPENAI_STD, "resample": 3
    }
    if old_preprocessor:  # as openai/clip-vit-base-patch32 has it
        pictures |= {"crop_size": size, "feature_extractor_type": "CLIPFeatureExtractor", "size": size}
    else:
        pictures |= {
            "crop_size": {"height": size, "width": size}, "do_convert_rgb": True, "do_rescale": True,
            "image_processor_type": "CLIPImageProcessor", "rescale_factor": 1 / 255, "size": {"shortest_edge": size}
        }
    (out / "preprocessor_config.json").write_text(json.dumps(pictures, indent=2))
    write_tokenizer(out, merges, tokenizer)


# ---- Texts read by BERT and its kin --------------------------------------------------------------

SQUASHED = {"do_center_crop": False, "do_normalize": True, "do_resize": True, "image_mean": OPENAI_MEAN,
            "image_std": OPENAI_STD, "resample": 3, "feature_extractor_type": "ChineseCLIPFeatureExtractor"}
CHINESE_CLIP_TINY = {
    "text_config": {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 20, "pad_token_id": 0},
    "vision_config": HF_TINY["vision_config"] | {"num_hidden_layers": 1},
    "projection_dim": 40,
}
NLLB_TINY = {"vocab_size": 300, "d_model": 32, "encoder_ffn_dim": 272, "encoder_layers": 2, "decoder_layers": 1,
             "decoder_ffn_dim": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
MT5_TINY = {"vocab_size": 300, "d_model": 32, "d_kv": 16, "d_ff": 40, "num_layers": 2, "num_heads": 2}
XLM_ROBERTA_TINY = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 24, "type_vocab_size": 1,
                    "layer_norm_eps": 1e-5}


def chinese_clip(out, cfg, seed):
    model = ChineseCLIPModel(ChineseCLIPConfig(**copy.deepcopy(cfg))).eval()
    enliven(model, seed)
    model.half().save_pretrained(out)
    size = model.config.vision_config.image_size
    (out / "preprocessor_config.json").write_text(
        json.dumps(SQUASHED | {"size": {"height": size, "width": size}}, indent=2))


ALTCLIP_TINY = {
    "text_config": {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 82, "project_dim": 24},
    "vision_config": HF_TINY["vision_config"] | {"num_hidden_layers": 1},
    "projection_dim": 40,
}


def save_altclip(model, out):
    """As BAAI/AltCLIP has it. transformers 5 reads these names and calls the layers otherwise."""
    model.config.save_pretrained(out)
    save_file({k.replace("roberta.encoder.layers.", "roberta.encoder.layer."): v.contiguous()
               for k, v in model.state_dict().items()}, out / "model.safetensors")


def altclip(out, cfg, seed):
    model = AltCLIPModel(AltCLIPConfig(**copy.deepcopy(cfg))).eval()
    enliven(model, seed)
    save_altclip(model.half(), out)


def altclip_5(out, cfg, seed):
    """As transformers 5 saves it again."""
    model = AltCLIPModel(AltCLIPConfig(**copy.deepcopy(cfg))).eval()
    enliven(model, seed)
    model.half().save_pretrained(out)


# ---- Other models of transformers ----------------------------------------------------------------

METACLIP_2_TINY = HF_TINY | {"text_config": HF_TINY["text_config"] | {"eos_token_id": 2}}
CLIPSEG_TINY = {
    "text_config": HF_TINY["text_config"] | {"eos_token_id": TINY_EOS},
    "vision_config": HF_TINY["vision_config"], "projection_dim": 40, "extract_layers": [0, 1], "reduce_dim": 8,
    "decoder_num_attention_heads": 2, "decoder_intermediate_size": 16
}
BERT_TINY = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2,
             "num_attention_heads": 2, "max_position_embeddings": 20}
VIT_TINY = HF_TINY["vision_config"] | {"num_hidden_layers": 1}
FLAVA_TINY = {"text_config": BERT_TINY, "image_config": VIT_TINY, "projection_dim": 40,
              "multimodal_config": VIT_TINY | {"intermediate_size": 8}}
AIMV2_TINY = {"text_config": HF_TINY["text_config"] | {"eos_token_id": TINY_EOS},
              "vision_config": HF_TINY["vision_config"], "projection_dim": 40}
SEGMENTED = {"do_normalize": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
             "image_std": [0.229, 0.224, 0.225], "resample": 2, "image_processor_type": "ViTImageProcessor"}


def of_transformers(out, name, config, seed, cfg, kind="Model"):
    """A model of transformers by the beginning of its classes' names."""
    model = getattr(transformers, name + kind)(getattr(transformers, config + "Config")(**copy.deepcopy(cfg))).eval()
    enliven(model, seed)
    model.half().save_pretrained(out)
    return model


def clipseg(out, seed):
    """Its pictures are larger than its table of positions, as those of all real ones are."""
    of_transformers(out, "CLIPSegFor", "CLIPSeg", seed, CLIPSEG_TINY, "ImageSegmentation")
    (out / "preprocessor_config.json").write_text(
        json.dumps(SEGMENTED | {"size": {"height": 48, "width": 48}}, indent=2))


NAFLEX_TINY = {
    "text_config": {"vocab_size": 512 + TINY + 2, "hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 16, "projection_size": 40,
                    "pad_token_id": TINY_EOS},
    "vision_config": {"hidden_size": 40, "intermediate_size": 144, "num_hidden_layers": 2, "num_attention_heads": 2,
                      "patch_size": 8, "num_patches": 16}
}


def naflex(out, seed):
    """Its pictures have more patches than its table of positions has places."""
    of_transformers(out, "Siglip2", "Siglip2", seed, NAFLEX_TINY)
    transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=24).save_pretrained(out)
    write_tokenizer(out, TINY, "vocab")


def dual_encoder(out, vision, text, seed):
    """vision, text: configurations of transformers."""
    cfg = {"vision_config": vision.to_dict(), "text_config": text.to_dict(), "projection_dim": 40}
    of_transformers(out, "VisionTextDualEncoder", "VisionTextDualEncoder", seed, cfg)


def dual_encoder_4(out, seed):
    """A CLIP's image encoder within it, as transformers 4 names its tensors."""
    dual_encoder(out, transformers.CLIPVisionConfig(**VIT_TINY), XLMRobertaConfig(**XLM_ROBERTA_TINY), seed)
    tensors = load_file(out / "model.safetensors")
    save_file({("vision_model." + k if k.startswith("vision_model.") else k): v for k, v in tensors.items()},
              out / "model.safetensors")


# ---- Texts read by BERT, in its authors' and in OpenCLIP's layout --------------------------------


class OwnChineseCLIP(torch.nn.Module):
    """As cn_clip names its tensors: OpenAI's image encoder, and BERT."""

    def __init__(self, vision, bert, embed_dim=512):
        super().__init__()
        clip = open_clip.CLIP(embed_dim=embed_dim, quick_gelu=True, vision_cfg=vision, text_cfg={"layers": 1})
        self.visual, self.logit_scale = clip.visual, clip.logit_scale
        self.bert = BertModel(BertConfig(layer_norm_eps=1e-12, **bert))
        self.text_projection = torch.nn.Parameter(torch.empty(self.bert.config.hidden_size, embed_dim))

    def encode_image(self, pixels):
        return self.visual(pixels)

    def encode_text(self, ids):
        return self.bert(ids, attention_mask=(ids != 0).long())[0][:, 0] @ self.text_projection


OWN_VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
OWN_BERT = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 40, "num_hidden_layers": 1,
            "num_attention_heads": 1, "max_position_embeddings": 20}


def own_chinese_clip(out, seed):
    model = OwnChineseCLIP(OWN_VISION, OWN_BERT, 40).eval()
    enliven(model, seed)
    save_file({"module." + k: v.half() for k, v in model.state_dict().items()}, out / "model.safetensors")


def openclip_hf(out, text, config, seed):
    """OpenCLIP with a text encoder of transformers, whose configuration is in the directory "text"."""
    config.save_pretrained(out / "text")
    text = text | {"context_length": 16, "hf_model_name": "text", "hf_model_pretrained": False}
    cfg = {"embed_dim": 40, "vision_cfg": TINY_VIT["vision_cfg"] | {"layers": 1}, "text_cfg": text}
    with contextlib.chdir(out):
        model = open_clip.CustomTextCLIP(**copy.deepcopy(cfg)).eval()
    enliven(model, seed)
    save_file({k: v.half() for k, v in model.state_dict().items()}, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": PREPROCESS}, indent=2))


# ---- All checkpoints -----------------------------------------------------------------------------

f16, bf16 = torch.float16, torch.bfloat16
SQUASH = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
LONGEST = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "longest", "fill_color": 255}

CHECKPOINTS = {
    # tiny: every layout, type and switch
    "tiny-vit": lambda out: openclip(out, TINY_VIT, 1, merges=TINY),
    "tiny-vit-eos": lambda out: openclip(
        out, changed(TINY_VIT, {"mlp_ratio": 7.3637, "no_ln_pre": True}, {"pool_type": "eos", "eos_id": TINY_EOS}), 2,
        f16, TINY),
    "tiny-vit-quickgelu": lambda out: openclip(out, changed(TINY_VIT, quick_gelu=True), 3, f16, TINY, "bpe", SQUASH),
    "tiny-vit-bf16": lambda out: openclip(out, TINY_VIT, 4, bf16, TINY, "json", LONGEST),
    "tiny-resnet": lambda out: openclip(out, TINY_RESNET, 5, f16, TINY),
    "tiny-resnet-f32": lambda out: openclip(out, changed(TINY_RESNET, vision={"width": 8, "layers": [2, 1, 2, 2]}), 6,
                                            merges=TINY),
    "tiny-coca": lambda out: openclip(out, TINY_COCA, 19, f16, TINY),
    "tiny-scaled": lambda out: openclip(
        out, changed(TINY_VIT, TINY_SCALED, TINY_SCALED), 21, f16, TINY),
    "tiny-openai": lambda out: openai(out, TINY_OPENAI, 7, True, TINY),
    "tiny-openai-no-extras": lambda out: openai(out, TINY_OPENAI, 8, False, TINY),
    "tiny-openai-resnet": lambda out: openai(out, TINY_OPENAI |
                                             {"vision_cfg": TINY_RESNET["vision_cfg"] | {"width": 8}}, 9, True, TINY),
    "tiny-longclip": lambda out: longclip(
        out, changed(TINY_VIT, {"layers": 1}, {"context_length": 40, "layers": 1}, quick_gelu=True), 13, TINY),
    "tiny-hf": lambda out: huggingface(out, HF_TINY, 10, f16, TINY, old_preprocessor=True),
    "tiny-hf-eos": lambda out: huggingface(out, hf_changed(HF_TINY, {"hidden_act": "gelu"}, eos_token_id=TINY_EOS), 11,
                                           bf16, TINY, "json", "100KB"),
    "tiny-hf-f32": lambda out: huggingface(out, HF_TINY, 12, merges=TINY),
    "tiny-chinese-clip": lambda out: chinese_clip(out, CHINESE_CLIP_TINY, 14),
    "tiny-chinese-clip-own": lambda out: own_chinese_clip(out, 15),
    "tiny-altclip": lambda out: altclip(out, ALTCLIP_TINY, 18),
    "tiny-altclip-5": lambda out: altclip_5(out, ALTCLIP_TINY, 19),
    "tiny-metaclip-2": lambda out: of_transformers(out, "MetaClip2", "MetaClip2", 20, METACLIP_2_TINY),
    "tiny-clipseg": lambda out: clipseg(out, 21),
    "tiny-owlvit": lambda out: of_transformers(out, "OwlViTFor", "OwlViT", 22, HF_TINY, "ObjectDetection"),
    "tiny-dual-vit": lambda out: dual_encoder(out, transformers.ViTConfig(**VIT_TINY), BertConfig(**BERT_TINY), 23),
    "tiny-dual-clip": lambda out: dual_encoder(out, transformers.CLIPVisionConfig(**VIT_TINY),
                                               XLMRobertaConfig(**XLM_ROBERTA_TINY), 24),
    "tiny-dual-clip-4": lambda out: dual_encoder_4(out, 25),
    "tiny-flava": lambda out: of_transformers(out, "Flava", "Flava", 26, FLAVA_TINY),
    "tiny-aimv2": lambda out: of_transformers(out, "Aimv2", "Aimv2", 28, AIMV2_TINY),
    "tiny-naflex": lambda out: naflex(out, 29),
    "tiny-cls-pooler": lambda out: openclip_hf(out, {"hf_pooler_type": "cls_pooler"}, BertConfig(**BERT_TINY), 27),
    "tiny-xlm-roberta": lambda out: openclip_hf(out, {}, XLMRobertaConfig(**XLM_ROBERTA_TINY), 16),
    "tiny-nllb": lambda out: openclip_hf(out, {"hf_proj_type": "linear", "hf_pooler_type": "cls_pooler"},
                                         M2M100Config(**NLLB_TINY), 17),
    "tiny-mt5": lambda out: openclip_hf(out, {}, MT5Config(**MT5_TINY), 22),
    # full size
    **{
        name: (lambda name: lambda out: openclip(out, builtin(name), 20, tokenizer="bpe"))(name)
        for name in ("ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16", "ViT-L-14-336", "RN50", "RN101", "RN50x4")
    },
    "hf-B-32": lambda out: huggingface(out, HF_B32, 30, old_preprocessor=True),
    "hf-B-32-eos": lambda out: huggingface(out, hf_changed(HF_B32, eos_token_id=49407), 31, tokenizer="json", shard=
                                           "200MB"),
    "hf-B-32-f16": lambda out: huggingface(out, HF_B32, 32, f16),
    "hf-B-32-bf16": lambda out: huggingface(out, HF_B32, 33, bf16),
    "openai-B-32": lambda out: openai(out, builtin("ViT-B-32"), 34, True),
    "openai-RN50": lambda out: openai(out, builtin("RN50"), 35, True),
    # the widths, heads and MLPs of the largest models, with few layers
    "H-14-short": lambda out: openclip(out, builtin("ViT-H-14", vision_layers=2, text_layers=2), 40),
    "g-14-short": lambda out: openclip(out, builtin("ViT-g-14", vision_layers=2, text_layers=2), 41),
    "bigG-14-short": lambda out: openclip(out, builtin("ViT-bigG-14", vision_layers=2, text_layers=2), 42),
    "RN50x16": lambda out: openclip(out, builtin("RN50x16"), 43),
    "RN50x64": lambda out: openclip(out, builtin("RN50x64"), 44),
}


def make(directory, name):
    """Make one. Returns its directory."""
    out = Path(directory) / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    CHECKPOINTS[name](out)
    return out


def expand(names):
    """Names, or the beginnings of names."""
    found = []
    for n in names:
        these = [n] if n in CHECKPOINTS else [c for c in CHECKPOINTS if c.startswith(n)]
        if not these:
            raise SystemExit(f"no checkpoint is called '{n}' or begins so; there are: {', '.join(CHECKPOINTS)}")
        found += [c for c in these if c not in found]
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory")
    p.add_argument("name", nargs="*")
    a = p.parse_args()
    if not a.name:
        print("\n".join(CHECKPOINTS))
    for name in expand(a.name):
        out = make(a.directory, name)
        size = sum(f.stat().st_size for f in out.iterdir())
        print(f"{out}: {size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
