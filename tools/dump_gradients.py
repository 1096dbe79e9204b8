#!/usr/bin/env python3
"""Write tests/train/golden: tiny checkpoints, a batch, and OpenCLIP's losses and gradients.

    dump_gradients.py [DIRECTORY]

Gradients are computed in f64 and stored as f32, exact to seven digits. The distance of f32 PyTorch
from them is printed. Also a module for gradients.py, which uses the reference step.
Needs: the packages of make_checkpoints.py.
"""
import json
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch
import transformers
from open_clip.loss import ClipLoss, SigLipLoss
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

import make_checkpoints
import parity_families
import references

TEXT = {"context_length": 12, "vocab_size": 100, "width": 16, "heads": 2, "layers": 2,
        "mlp_ratio": 17.0}  # sums longer than a block of a product
VIT = {"embed_dim": 24, "text_cfg": TEXT,
       "vision_cfg": {"image_size": 32, "layers": 2, "width": 24, "head_width": 12, "patch_size": 8, "mlp_ratio": 3.0}}
QUICKGELU = {
    "embed_dim": 20, "quick_gelu": True, "text_cfg": TEXT | {"mlp_ratio": 3.0, "pool_type": "eos", "eos_id": 99},
    "vision_cfg": {
        "image_size": 32, "layers": 2, "width": 24, "head_width": 12, "patch_size": 16, "mlp_ratio": 2.1,
        "no_ln_pre": True
    }
}
RESNET = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "head_width": 32,
                   "patch_size": None}, "text_cfg": TEXT | {"layers": 1, "mlp_ratio": 4.0}
}

SIGLIP = {
    "text_config": {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 12, "projection_size": 24,
                    "bos_token_id": 98, "eos_token_id": 99, "pad_token_id": 1},
    "vision_config": {"hidden_size": 24, "intermediate_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2,
                      "image_size": 32, "patch_size": 8}
}

CHINESE_CLIP = {
    "projection_dim": 20,
    "text_config": {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 272, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "max_position_embeddings": 14, "pad_token_id": 0,
                    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "vision_config": {"hidden_size": 24, "intermediate_size": 50, "num_hidden_layers": 1, "num_attention_heads": 2,
                      "image_size": 32, "patch_size": 8}
}

# name: (configuration, seed, whose gradients are stored)
CASES = {"vit": (VIT, 61, ("clip",)), "vit-quickgelu": (QUICKGELU, 62, ("siglip",)), "resnet": (RESNET, 64, ("clip",))}
BATCH = 6
FLOOR = 1e-4

README = f"""# Golden values of training

Made by `tools/dump_gradients.py` with torch {torch.__version__.split('+')[0]}, open_clip \
{open_clip.__version__}; weights are random \
(`tools/make_checkpoints.py`). Each directory is a checkpoint of OpenCLIP without a tokenizer, and beside it

| file | |
|---|---|
| batch.safetensors | `pixels` U8 [{BATCH}, 3, S, S], where a byte b stands for (b - 128) / 64; `ids` I32, \
ragged, and `off` I32 [{BATCH + 1}] |
| clip.safetensors | `loss`, the symmetric InfoNCE loss of the batch, and under every parameter's name its gradient |
| siglip.safetensors | the same of the sigmoid loss, which has a `logit_bias`, where it is there |

Computed in f64, stored as f32. The ResNet is in train() mode; under the names of its running statistics are \
their values after the step.

| checkpoint | holds |
|---|---|
| vit | f16, GELU, ln_pre, argmax |
| vit-quickgelu | f16, QuickGELU, no_ln_pre, mlp_ratio 2.1, pool_type eos |
| resnet | f16, modified ResNet with few channels |
| siglip | f16, transformers' SiglipModel: attention pooling, padded texts; its names |
| chinese-clip | f16, transformers' ChineseCLIPModel: a BERT, masked texts; its names |
"""


# ---- The reference step --------------------------------------------------------------------------


def bytes_of(n, size, generator):
    """Pictures that survive as bytes."""
    x = make_checkpoints.smooth_pictures(n, size, generator)
    return (x * 64 + 128).round().clamp(0, 255).to(torch.uint8)


def texts(n, vocab_size, context_length, seed):
    """Ragged texts: start, words, end. The shortest and the longest length are among them."""
    rng = np.random.default_rng(seed)
    lengths = [0, context_length - 2] + rng.integers(1, context_length - 2, n - 2).tolist()
    return [[vocab_size - 2] + rng.integers(0, vocab_size - 2, k).tolist() + [vocab_size - 1] for k in lengths[:n]]


def write_batch(path, pixels, rows):
    save_arrays({"pixels": pixels.numpy(), "ids": np.array(sum(rows, []), np.int32),
                 "off": np.cumsum([0] + [len(r) for r in rows]).astype(np.int32)}, path)


def step(model, pixels, rows, loss, dtype):
    """{name: array} of the loss, every gradient, and the running statistics after the step. The
    model is left unchanged."""
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.to(dtype).train()
    model.zero_grad()
    image = model.encode_image((pixels.to(dtype) - 128) / 64, normalize=True)
    text = model.encode_text(references.padded(rows, model.context_length), normalize=True)
    if loss == "clip":
        value = ClipLoss()(image, text, model.logit_scale.exp())
    else:
        value = SigLipLoss()(image, text, model.logit_scale.exp(), model.logit_bias)
    value.backward()
    out = {"loss": value.detach()}
    for name, p in model.named_parameters():
        if p.grad is not None:  # logit_bias has no gradient under ClipLoss
            out[name.removeprefix("model.")] = p.grad.clone()
    out |= {k: v for k, v in model.state_dict().items() if k.endswith(("running_mean", "running_var"))}
    out = {k: np.array(v.double().numpy(), order="C") for k, v in out.items()}
    model.load_state_dict(before)
    return out


def error(a, b, scale):
    """The error of a gradient: norm of the difference / norm. Some gradients are 0 or nearly so
    (softmax cancels the bias of keys): for them the norm of the whole gradient, `scale`, is
    used."""
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), FLOOR * scale))


def compare(got, should):
    """[(error, name)], largest first."""
    scale = np.sqrt(sum(np.sum(v**2) for k, v in should.items() if k != "loss" and "running" not in k))
    return sorted(((error(got[k].astype(np.float64), v.astype(np.float64), scale), k) for k, v in should.items()),
                  reverse=True)


class HuggingFace(torch.nn.Module):
    """A model of transformers with OpenCLIP's methods."""

    def __init__(self, model, masks):
        super().__init__()
        self.model, self.masks = model, masks
        self.context_length = model.config.text_config.max_position_embeddings
        self.logit_scale = model.logit_scale
        if hasattr(model, "logit_bias"):
            self.logit_bias = model.logit_bias

    def encode_image(self, x, normalize):
        return torch.nn.functional.normalize(self.model.get_image_features(x).pooler_output, dim=-1)

    def encode_text(self, x, normalize):
        mask = {"attention_mask": (x != 0).long()} if self.masks else {}
        return torch.nn.functional.normalize(self.model.get_text_features(x, **mask).pooler_output, dim=-1)


# ---- The files -----------------------------------------------------------------------------------


def make(out, cfg, seed):
    out.mkdir(parents=True, exist_ok=True)
    model = make_checkpoints.make_openclip(cfg | {"init_logit_bias": -1.0}, seed)
    with torch.no_grad():
        model.logit_scale.fill_(2.0)  # neither loss is flat there
    state = {k: v.half() if v.ndim else v for k, v in model.state_dict().items() if "num_batches" not in k}
    save_file(state, out / "open_clip_model.safetensors")
    (out / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": cfg, "preprocess_cfg": make_checkpoints.PREPROCESS}, indent=2))
    model.load_state_dict({k: v.float()
                           for k, v in load_file(out / "open_clip_model.safetensors").items()}, strict=False)
    return model


@torch.no_grad()
def make_huggingface(out, model, seed):
    out.mkdir(parents=True, exist_ok=True)
    parity_families.enliven(model, seed)
    model.logit_scale.fill_(2.0)
    if hasattr(model, "logit_bias"):
        model.logit_bias.fill_(-1.0)
    for p in model.parameters():
        p.copy_(p.half().float() if p.numel() > 1 else p)
    model.model.save_pretrained(out)
    save_file({k: v.half() if v.numel() > 1 else v for k, v in model.model.state_dict().items()},
              out / "model.safetensors")


def write_huggingface(out, model, seed, rows, losses):
    make_huggingface(out, model, seed)
    pixels = bytes_of(BATCH, 32, torch.Generator().manual_seed(seed))
    write_batch(out / "batch.safetensors", pixels, rows)
    for loss in losses:
        should = step(model, pixels, rows, loss, torch.float64)
        worst = compare(step(model, pixels, rows, loss, torch.float32), should)[:2]
        save_arrays({k: v.astype(np.float32) for k, v in should.items()}, out / f"{loss}.safetensors")
        print(f"{out.name}, {loss}: loss {should['loss']:.6f}; f32 PyTorch: {worst}")


def write_siglip(out):
    model = HuggingFace(transformers.SiglipModel(transformers.SiglipConfig(**SIGLIP)), False)
    rows = [r + [1] * (model.context_length - len(r)) for r in texts(BATCH, 100, model.context_length, 66)]
    write_huggingface(out, model, 66, rows, ("clip", "siglip"))


def write_chinese_clip(out):
    model = HuggingFace(transformers.ChineseCLIPModel(transformers.ChineseCLIPConfig(**CHINESE_CLIP)), True)
    rows = [[max(i, 1) for i in r] for r in texts(BATCH, 100, 12, 67)]  # 0 is masked
    write_huggingface(out, model, 67, rows, ("clip",))


def main():
    default = Path(__file__).resolve().parent.parent / "tests/train/golden"
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for name, (cfg, seed, losses) in CASES.items():
        model = make(directory / name, cfg, seed)
        pixels = bytes_of(BATCH, cfg["vision_cfg"]["image_size"], torch.Generator().manual_seed(seed))
        rows = texts(BATCH, TEXT["vocab_size"], TEXT["context_length"], seed)
        write_batch(directory / name / "batch.safetensors", pixels, rows)
        for loss in losses:
            should = step(model, pixels, rows, loss, torch.float64)
            worst = compare(step(model, pixels, rows, loss, torch.float32), should)[:2]
            save_arrays({k: v.astype(np.float32) for k, v in should.items()}, directory / name / f"{loss}.safetensors")
            print(
                f"{name}, {loss}: loss {should['loss']:.6f}; f32 PyTorch: {', '.join(f'{k} {e:.1e}' for e, k in worst)}"
            )
        print(f"{name}: {sum(f.stat().st_size for f in (directory / name).iterdir()) / 1e3:.0f} KB")
    write_siglip(directory / "siglip")
    write_chinese_clip(directory / "chinese-clip")
    (directory / "README.md").write_text(README)


if __name__ == "__main__":
    main()
