#!/usr/bin/env python3
"""Compare `clip embed --tokens`, `--pooled` and `--projected` with transformers' CLIP encoders.

    parity_hidden.py --clip build/cli/clip --work DIRECTORY [NAME...]

The encoders are CLIPTextModel, CLIPTextModelWithProjection and CLIPVisionModel. They have the sizes
of Stable Diffusion 1 (text and vision encoder of ViT-L/14) and XL (text encoder of bigG), random
but lively weights, and the layouts of diffusers, of transformers and of a single file of Stable
Diffusion. Compared from text or picture to states, padding included. Prints the largest difference
of each as a share of the largest state; exit 1 if one is above 1e-4. bigG takes 2.8 GB on disk and
twice that in memory. Every model is removed again.
Needs: the packages of make_checkpoints.py, and Pillow.
"""
import argparse
import gc
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (CLIPImageProcessorPil, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection,
                          CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection)

import make_checkpoints

LARGEST = 1e-4
SAMPLES = Path(__file__).resolve().parent.parent / "models/samples"
TEXTS = [
    "", "a photo of an astronaut riding a horse on mars", "hello! world", "it's 7 o'clock, (don't) worry", "word " * 100
]

TEXT_L = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768)
TEXT_G = dict(hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
              projection_dim=1280, hidden_act="gelu")
VISION_L = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=224,
                patch_size=14, projection_dim=768)


def save_tokenizer(out, pad):
    out.mkdir()
    make_checkpoints.write_tokenizer(out, make_checkpoints.FULL, "vocab")
    (out / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}))
    (out / "tokenizer_config.json").write_text(
        json.dumps({"pad_token": pad, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}))


@torch.inference_mode()
def text(work, kind, config, number, pad, single):
    """(folder or file to load, {what: values})."""
    model = kind(CLIPTextConfig(bos_token_id=0, eos_token_id=2, **config)).eval()
    make_checkpoints.enliven(model, 50)
    encoder, tokenizer = work / f"text_encoder{number}", work / f"tokenizer{number}"
    model.save_pretrained(encoder, max_shard_size="50GB")
    save_tokenizer(tokenizer, pad)
    ids = CLIPTokenizer.from_pretrained(tokenizer)(TEXTS, padding="max_length", truncation=True, max_length=77,
                                                   return_tensors="pt").input_ids
    out = model(ids, output_hidden_states=True)
    want = states(out.hidden_states, out.last_hidden_state)
    want |= {"projected": out.text_embeds} if kind is CLIPTextModelWithProjection else {"pooled": out.pooler_output}
    if single:  # among tensors of other parts
        state = {
            f"cond_stage_model.transformer.text_model.{k}": v
            for k, v in load_file(encoder / "model.safetensors").items()
        }
        state |= {
            "model.diffusion_model.out.2.weight": torch.zeros(4, 320, 3, 3),
            "first_stage_model.decoder.conv_in.bias": torch.zeros(512)
        }
        shutil.rmtree(encoder)
        encoder = work / "sd.safetensors"
        save_file(state, encoder)
    return encoder, [f"--text={t}" for t in TEXTS], numpy(want)


@torch.inference_mode()
def vision(work):
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION_L)).eval()
    make_checkpoints.enliven(model, 51)
    out = work / "vision"
    model.save_pretrained(out, max_shard_size="50GB")
    (out / "preprocessor_config.json").write_text(
        json.dumps({
            "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
            "image_mean": make_checkpoints.OPENAI_MEAN, "image_std": make_checkpoints.OPENAI_STD, "resample": 3,
            "feature_extractor_type": "CLIPFeatureExtractor", "size": 224
        }))
    files = sorted(SAMPLES.glob("*.png"))[:3]
    pixels = CLIPImageProcessorPil.from_pretrained(out)([Image.open(f).convert("RGB") for f in files]).pixel_values
    got = model.vision_model(torch.from_numpy(np.stack(pixels)), output_hidden_states=True)
    want = states(got.hidden_states, got.last_hidden_state) | {
        "pooled": got.pooler_output, "projected": model.visual_projection(got.pooler_output)
    }
    return out, list(map(str, files)), numpy(want)


def states(hidden, last):
    """By layer; "last" is last_hidden_state."""
    layers = len(hidden) - 1
    return {0: hidden[0], 1: hidden[1], layers // 2: hidden[layers // 2], -2: hidden[-2], "last": last, -1: hidden[-1]}


def numpy(want):
    return {k: v.numpy() for k, v in want.items()}


def command(clip, path, inputs, what, out):
    options = {"pooled": ["--pooled"], "projected": ["--projected"], "last": ["--tokens"]}.get(
        what, ["--tokens", "--layer", str(what), "--final-norm", "off"])
    subprocess.run([clip, "embed", "--model", path, "-o", out, *options, *inputs], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return np.load(out)


MODELS = {
    "SD1 text": lambda w: text(w, CLIPTextModel, TEXT_L, "", "<|endoftext|>", False),
    "SD1 single file": lambda w: text(w, CLIPTextModel, TEXT_L, "", "<|endoftext|>", True),
    "SDXL text 2": lambda w: text(w, CLIPTextModelWithProjection, TEXT_G, "_2", "!", False),
    "ViT-L/14 vision": vision,
}


def check(clip, work, name):
    folder = work / "parity-hidden"
    folder.mkdir(parents=True)
    try:
        path, inputs, want = MODELS[name](folder)
        gc.collect()
        passed = True
        for what, should in want.items():
            got = command(clip, path, inputs, what, folder / "out.npy")
            share = np.abs(got - should).max() / np.abs(should).max() if got.shape == should.shape else float("inf")
            print(
                f"| {name} | {what} | {'x'.join(map(str, should.shape))} | {np.abs(should).max():.3g} | {share:.1e} |",
                flush=True)
            passed &= bool(share <= LARGEST)
        return passed
    finally:
        shutil.rmtree(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--clip", required=True)
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("name", nargs="*", help=f"of: {', '.join(MODELS)}")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print("| model | layer | shape | largest value | largest difference, as a share |\n|---|---|---|---|---|")
    return 0 if all([check(a.clip, a.work, n) for n in a.name or MODELS]) else 1


if __name__ == "__main__":
    sys.exit(main())
