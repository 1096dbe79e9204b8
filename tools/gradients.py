#!/usr/bin/env python3
"""Compare the gradient of every parameter of full-size models with PyTorch's (OpenCLIP).

    gradients.py --build build --work DIRECTORY [--batch 8] [NAME...]

NAME: default ViT-B-32 RN50 RN50-steady. Makes each named checkpoint of make_checkpoints.py
(OpenCLIP's layout) in the work directory, with random pictures and ragged texts.
tests/train/dump_step computes our side. PyTorch computes in f32, as it trains, and in f64. The
engine is compared with f32; f64 shows which side a difference comes from. An error is norm of the
difference / norm. Exit 1 if one is above 1e-4 and above three times the error of f32 PyTorch.

The second condition is for ResNets. Their gradient jumps where a ReLU's input passes 0, and
rounding moves some of the tens of millions of inputs across. So ResNets are compared twice. As they
are, f32 PyTorch is some 5e-3 away from f64. "-steady" has norms that keep most inputs of the ReLUs
away from 0, half of the channels open and half shut; its errors are a hundred times smaller.
Needs: the packages of make_checkpoints.py.
"""
import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import dump_gradients
import make_checkpoints
import references

LIMIT = 1e-4
STEADY = "-steady"  # ends a name: ReLUs that are open or shut


def steady(state):
    """Norms of deviation 1/5 around 1 or -1. The sums of blocks stay as far from 0: the identity
    branch has a mean of at least 1."""
    rng = np.random.default_rng(1)
    for name, bias in state.items():
        if re.fullmatch(r"visual\..*(bn\d|downsample\.1)\.bias", name):
            if name.endswith("downsample.1.bias"):
                state[name] = np.ones_like(bias)
            elif ".layer" in name and name.endswith("bn3.bias"):
                state[name] = np.full_like(bias, 0.3)
            else:
                state[name] = rng.choice([-1, 1], bias.shape).astype(bias.dtype)
            state[name[:-4] + "weight"] = np.full_like(bias, 0.2)


def checkpoint(name, work):
    directory, plain = work / name, work / name.removesuffix(STEADY)
    if not plain.exists():
        make_checkpoints.make(work, plain.name)
    if not directory.exists():
        shutil.copytree(plain, directory)
        state = load_file(directory / "open_clip_model.safetensors")
        steady(state)
        save_file(state, directory / "open_clip_model.safetensors")
    return directory


def sides(name, a):
    """The same step three times: ours, PyTorch's in f32 and in f64."""
    directory = checkpoint(name, a.work)
    ref = references.load(directory)
    pixels = dump_gradients.bytes_of(a.batch, ref.image_size, torch.Generator().manual_seed(1))
    rows = dump_gradients.texts(a.batch, ref.vocab_size, ref.context_length, 1)
    batch, out = a.work / "batch.safetensors", a.work / "gradients.safetensors"
    dump_gradients.write_batch(batch, pixels, rows)
    subprocess.run([a.build / "tests/train/dump_step", directory, batch, "clip", out], check=True)
    return load_file(out), *(dump_gradients.step(ref.model, pixels, rows, "clip", t)
                             for t in (torch.float32, torch.float64))


def kind(name):
    if name == "loss" or "running" in name:
        return "loss" if name == "loss" else "running statistics"
    return "image tower" if name.startswith("visual.") else "text tower"


def check(name, a):
    ours, f32, f64 = sides(name, a)
    by_f32, ours_by_f64, f32_by_f64 = (dump_gradients.compare(x, y) for x, y in ((ours, f32), (ours, f64), (f32, f64)))
    for k in dict.fromkeys(kind(n) for n in f32):
        found, mine, theirs = ([e for e in errors if kind(e[1]) == k] for errors in (by_f32, ours_by_f64, f32_by_f64))
        print(
            f"| {name} | {k} | {len(found)} | {found[0][0]:.1e} | {found[0][1]} | {mine[0][0]:.1e} | "
            f"{theirs[0][0]:.1e} |",
            flush=True)
    return by_f32[0][0] <= max(LIMIT, 3 * f32_by_f64[0][0])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", type=Path, required=True, help="a build directory")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints (1 GB)")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("name", nargs="*", default=["ViT-B-32", "RN50", "RN50" + STEADY])
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    print("| model | of | tensors | largest error | in | ours by f64 | f32 PyTorch by f64 |\n" + "|---" * 7 + "|",
          flush=True)
    results = [check(name, a) for name in a.name]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
