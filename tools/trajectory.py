#!/usr/bin/env python3
"""Train a few steps on the reference's batches and compare loss, gradient norm and logit_scale.

    trajectory.py REFERENCE_DIRECTORY --build build --work DIRECTORY

The reference's trajectory.json has OpenCLIP's values. Batch s is the 64 pairs s*64 .. s*64+63 of
train-*.tar in order, with their first captions and without augmentation. tests/train/run_steps
makes the steps, with the engine's own gradient and optimizer. Exit 1 if a number is off by more
than a thousandth.
Needs: numpy, Pillow, open_clip_torch, safetensors.
"""
import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

import references

LIMIT = 1e-3


def pairs(directory, n):
    """(picture, first caption) of the first n pairs of the training split."""
    found = []
    for path in sorted((directory / "pairs").glob("train-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                data = tar.extractfile(member).read()
                if member.name.endswith(".png"):
                    found.append([Image.open(io.BytesIO(data)).convert("RGB"), None])
                elif member.name.endswith(".txt"):
                    found[-1][1] = data.decode().strip()
                elif len(found) == n:  # the .json of the last
                    return found
    raise SystemExit(f"{directory}: fewer than {n} pairs")


def write_pairs(path, found, directory, context_length):
    tokenizer = references.simple_tokenizer(directory, context_length)
    rows = [tokenizer(c)[0].tolist() for _, c in found]
    rows = [r[: r.index(tokenizer.eot_token_id) + 1] for r in rows]
    pixels = np.stack([np.asarray(p) for p, _ in found]).transpose(0, 3, 1, 2)
    save_file(
        {
            "pixels": np.ascontiguousarray(pixels / np.float32(127.5) - np.float32(1), np.float32), "ids": np.array(
                sum(rows, []), np.int32), "off": np.cumsum([0] + [len(r) for r in rows]).astype(np.int32)
        }, path)


def far(a, b):
    return abs(a - b) / max(abs(b), 1e-12)


def first_gradients(build, checkpoint, batch, should, work):
    """The largest error of a parameter's gradient norm at the first step. Norms that are only
    rounding (softmax cancels them) count as 0."""
    out = work / "gradients.safetensors"
    subprocess.run([build / "tests/train/dump_step", checkpoint, batch, "clip", out], check=True)
    norms = {k: float(np.linalg.norm(v.astype(np.float64))) for k, v in load_file(out).items()}
    whole = max(should.values())
    return max((far(norms[k], v), k) for k, v in should.items() if v > 1e-6 * whole)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("reference", type=Path)
    p.add_argument("--build", type=Path, required=True, help="a build directory")
    p.add_argument("--work", type=Path, required=True, help="a folder for the batches (100 MB)")
    a = p.parse_args()
    truth = json.loads((a.reference / "trajectory.json").read_text())
    steps, batch = truth["steps"], 64
    lr = max(s["lr"] for s in steps)
    warmup = 1 + next(i for i, s in enumerate(steps) if s["lr"] == lr)

    checkpoint = a.work / "init"
    checkpoint.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(a.reference / "emoji-clip/open_clip_config.json", checkpoint / "open_clip_config.json")
    shutil.copyfile(a.reference / "emoji-clip/init.safetensors", checkpoint / "open_clip_model.safetensors")
    context = json.loads((checkpoint / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]["context_length"]
    found = pairs(a.reference, len(steps) * batch)
    write_pairs(a.work / "pairs.safetensors", found, a.reference / "emoji-clip", context)
    write_pairs(a.work / "first.safetensors", found[:batch], a.reference / "emoji-clip", context)

    error, name = first_gradients(a.build, checkpoint, a.work / "first.safetensors", truth["step0_gradient_norms"],
                                  a.work)
    print(f"gradient norms of the parameters at the first step: off by {error:.1e} at most ({name})\n")
    command = [a.build / "tests/train/run_steps", checkpoint, a.work / "pairs.safetensors", batch, lr, warmup]
    out = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    ours = [json.loads(line) for line in out.splitlines()]
    print(
        "| step | loss | OpenCLIP | gradient norm | OpenCLIP | logit_scale | OpenCLIP | largest relative difference |\n"
        + "|---" * 8 + "|")
    worst = error
    for o, t in zip(ours, steps, strict=True):
        most = max(far(o[k], t[k]) for k in ("lr", "loss", "grad_norm", "logit_scale"))
        worst = max(worst, most)
        numbers = " | ".join(f"{o[k]:.5f} | {t[k]:.5f}" for k in ("loss", "grad_norm", "logit_scale"))
        print(f"| {o['step']} | {numbers} | {most:.1e} |")
    print(f"\nlargest relative difference: {worst:.1e}: {'pass' if worst <= LIMIT else 'FAIL'}")
    return worst > LIMIT


if __name__ == "__main__":
    sys.exit(main())
