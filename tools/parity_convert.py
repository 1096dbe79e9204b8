#!/usr/bin/env python3
"""Load the output of `clip convert` with OpenCLIP and transformers, and compare embeddings.

    parity_convert.py --clip build/cli/clip --work DIRECTORY CHECKPOINT...

For each checkpoint, in both layouts, tokenizer and preprocessing included: unit embeddings of the
sample pictures and of some texts. Then back to the first layout: the weights must be the same file.
Prints a table. Exit 1 if a cosine is below 0.99999, a difference above 2e-5, or files differ.
Needs: numpy, Pillow, torch, open_clip, transformers.
"""
import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import open_clip
import torch
from transformers import AutoTokenizer, CLIPModel, CLIPProcessor
# Pillow's arithmetic, not torchvision's
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Pil

import references

SMALLEST_COSINE, LARGEST_DIFFERENCE = 0.99999, 2e-5
PICTURES = sorted((Path(__file__).resolve().parent.parent / "models/samples").glob("*.png"))
TEXTS = ["a photo of a cat", "grinning face", "It's 12 o'clock: RED, green & blue!", "café", "x",
         "a flag " * 5]  # short: some contexts are, too
CLIP_VOCABULARY = 49408


def convert(clip, source, out, *args):
    shutil.rmtree(out, ignore_errors=True)
    return subprocess.run([clip, "convert", "--model", source, *args, out], stderr=subprocess.PIPE, text=True)


def by_openclip(directory, own_tokenizer):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{directory}", precision="fp32")
    model.eval()
    with torch.no_grad():
        image = model.encode_image(torch.stack([preprocess(references.on_white(f)) for f in PICTURES]), normalize=True)
        if not own_tokenizer:
            return image.numpy(), None
        text = model.encode_text(open_clip.get_tokenizer(f"local-dir:{directory}")(TEXTS), normalize=True)
    return image.numpy(), text.numpy()


def features(output):
    return torch.nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1).numpy()


def by_transformers(directory):
    model, loading = CLIPModel.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading[kind]:
            raise SystemExit(f"{directory}: {kind}: {loading[kind]}")
    processor = CLIPProcessor.from_pretrained(directory)
    model.eval()
    pixels = Pil.from_pretrained(directory)([references.on_white(f) for f in PICTURES],
                                            return_tensors="pt").pixel_values
    assert AutoTokenizer.from_pretrained(directory)(TEXTS[0]).input_ids == processor.tokenizer(TEXTS[0]).input_ids
    ids = processor(text=TEXTS, return_tensors="pt", padding=True, truncation=True,
                    max_length=model.config.text_config.max_position_embeddings)
    with torch.no_grad():
        return features(model.get_image_features(pixel_values=pixels)), features(model.get_text_features(**ids))


def by_clip(clip, directory, work):
    run = lambda out, *args: subprocess.run([
        clip, "embed", "--model", directory, "--background", "white", "-o", out, *args
    ], check=True, stdout=subprocess.DEVNULL)
    run(work / "image.npy", *PICTURES)
    run(work / "text.npy", *(f"--text={t}" for t in TEXTS))
    return np.load(work / "image.npy"), np.load(work / "text.npy")


def compare(should, got):
    if should is None:
        return "–", True
    cosine = (should * got).sum(1) / np.linalg.norm(should, axis=1) / np.linalg.norm(got, axis=1)
    most = np.abs(should - got).max()
    return f"{cosine.min():.7f}, {most:.1e}", cosine.min() >= SMALLEST_COSINE and most <= LARGEST_DIFFERENCE


def check_layout(a, source, layout):
    out = a.work / layout
    done = convert(a.clip, source, out, "--to", layout)
    if done.returncode:
        print(f"| {source.name} | {layout} | {done.stderr.strip().split(': ', 1)[-1]} | | |", flush=True)
        return None
    if layout == "openclip":
        text_cfg = json.loads((out / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
        theirs = by_openclip(out, text_cfg["vocab_size"] == CLIP_VOCABULARY or "hf_tokenizer_name" in text_cfg)
    else:
        theirs = by_transformers(out)
    ours = by_clip(a.clip, out, a.work)
    (image, ok_image), (text, ok_text) = compare(theirs[0], ours[0]), compare(theirs[1], ours[1])
    print(f"| {source.name} | {layout} | {image} | {text} | {'pass' if ok_image and ok_text else 'FAIL'} |", flush=True)
    return ok_image and ok_text


def check_return(a, source):
    """openclip -> hf -> openclip, and f16 -> f32 -> f16."""
    same = True
    for first, second in ((["--to", "openclip"], ["--to", "hf"]), (["--to", "hf", "--dtype",
                                                                    "f16"], ["--to", "openclip", "--dtype", "f32"])):
        steps = [a.work / n for n in ("step1", "step2", "step3")]
        for step, args in zip(steps, (first, second, first)):
            done = convert(a.clip, source if step is steps[0] else steps[steps.index(step) - 1], step, *args)
            if done.returncode:
                print(done.stderr, file=sys.stderr)
                return False
        weights = next(steps[0].glob("*.safetensors")).name
        same &= filecmp.cmp(steps[0] / weights, steps[2] / weights, shallow=False)
    print(f"| {source.name} | there and back | | | {'pass' if same else 'FAIL'} |", flush=True)
    return same


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--clip", required=True, help="the command to test")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints")
    p.add_argument("checkpoint", nargs="+", type=Path)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    print("| checkpoint | layout | pictures: least cosine, largest difference | texts | |\n|---|---|---|---|---|")
    results = []
    for source in a.checkpoint:
        layouts = [check_layout(a, source, layout) for layout in ("openclip", "hf")]
        results += layouts if None not in layouts else layouts[:1]
        if None not in layouts:
            results.append(check_return(a, source))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
