#!/usr/bin/env python3
"""Write tests/model/golden/hidden: tiny encoders alone, and their hidden states in f32.

    dump_hidden.py [DIRECTORY]

transformers computes the states. text/ is CLIPTextModel's directory, and vision/
CLIPVisionModelWithProjection's. two.safetensors is a single file with two text encoders between
other tensors, as in Stable Diffusion XL: `text` again, and one in OpenCLIP's names with a
projection, whose values PyTorch computes as OpenCLIP. aimv2-*.npy are the last states of the
checkpoint tiny-aimv2, whose last norm is an RMSNorm.
Needs: the packages of make_checkpoints.py.
"""
import shutil
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file
from transformers import Aimv2Model, CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

import make_checkpoints

CONTEXT, VOCAB, END = 8, 40, 39
IDS = [[38, 39], [38, 1, 2, 3, 39], [38, 5, 6, 7, 8, 9, 10, 39]]


def padded(pad):
    return torch.tensor([i + [pad] * (CONTEXT - len(i)) for i in IDS])


def save(out, name, value):
    np.save(out / f"{name}.npy", np.ascontiguousarray(value.numpy(), np.float32))


@torch.inference_mode()
def text(out):
    model = CLIPTextModel(
        CLIPTextConfig(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
                       num_attention_heads=1, max_position_embeddings=CONTEXT, bos_token_id=38, eos_token_id=2)).eval()
    make_checkpoints.enliven(model, 60)
    model.half().save_pretrained(out / "text")
    model.float()
    got = model(padded(END), output_hidden_states=True)
    for layer, value in enumerate(got.hidden_states):
        save(out, f"text-{layer}", value)
    save(out, "text-last", got.last_hidden_state)
    save(out, "text-pooled", got.pooler_output)
    return load_file(out / "text" / "model.safetensors")


@torch.inference_mode()
def two(out, first):
    model = open_clip.CLIP(
        64, {"image_size": 16, "layers": 1, "width": 64, "patch_size": 16},
        {"context_length": CONTEXT, "vocab_size": VOCAB, "width": 64, "heads": 1, "layers": 2}).eval()
    make_checkpoints.enliven(model, 61)
    model.half().float()
    ids, seen = padded(0), []
    for block in model.transformer.resblocks:
        block.register_forward_hook(lambda module, inputs, x: seen.append(x))
    save(out, "two-projected", model.encode_text(ids))
    save(out, "two-1", seen[0])
    save(out, "two-1-normed", model.ln_final(seen[0]))
    tensors = {f"conditioner.embedders.0.transformer.text_model.{k}": v for k, v in first.items()}
    tensors |= {
        f"conditioner.embedders.1.model.{k}": v.half()
        for k, v in model.state_dict().items() if not k.startswith("visual.")
    }
    tensors |= {
        "model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.quant_conv.weight": torch.zeros(
            8, 8, 1, 1)
    }
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "two.safetensors")


@torch.inference_mode()
def vision(out):
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
                         image_size=16, patch_size=8, projection_dim=24)).eval()
    make_checkpoints.enliven(model, 62)
    model.half().save_pretrained(out / "vision")
    model.float()
    pixels = make_checkpoints.smooth_pictures(2, 16, torch.Generator().manual_seed(5))
    got = model.vision_model(pixels, output_hidden_states=True)
    save(out, "pixels", pixels)
    for layer, value in enumerate(got.hidden_states):
        save(out, f"vision-{layer}", value)
    save(out, "vision-pooled", got.pooler_output)
    save(out, "vision-projected", model.visual_projection(got.pooler_output))


@torch.inference_mode()
def aimv2(out, checkpoint):
    model = Aimv2Model.from_pretrained(checkpoint).float().eval()
    ids = torch.tensor([[574] + list(range(4, 18)) + [575]] * 2)
    mask = torch.ones_like(ids)
    mask[1, -1] = 0  # where nothing is masked it is not causal
    save(out, "aimv2-text", model.text_model(ids, mask).last_hidden_state[:1])
    pixels = torch.from_numpy(np.load(checkpoint / "pixels.npy"))[:1]
    save(out, "aimv2-vision", model.vision_model(pixels).last_hidden_state)


def main():
    out = Path(sys.argv[1]) if len(
        sys.argv) > 1 else Path(__file__).resolve().parent.parent / "tests/model/golden/hidden"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    two(out, text(out))
    vision(out)
    aimv2(out, out.parent / "tiny-aimv2")


if __name__ == "__main__":
    main()
