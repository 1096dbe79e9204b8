#!/usr/bin/env python3
"""`clip index` beside a script on OpenCLIP, over 12-megapixel JPEGs, in one sitting: pictures/s from files to embeddings.

    bench/index.py --clip build/cli/clip --model DIRECTORY --work DIRECTORY [--pictures N] [--rounds N] [--threads N] [--make-only]

The model is a checkpoint as OpenCLIP writes it (open_clip_config.json, open_clip_model.safetensors). The pictures are made (once, kept in WORK): noise over
several scales as in landscapes, shapes, gradients and lines of text, 4000 x 3000, as large as a phone's files. The script is what people write: a
DataLoader with two loading processes, batches of 32, OpenCLIP's own transform; with Pillow's draft mode (JPEGs reduced while they are decoded, to no less than twice
what the model looks at) and without. Turns alternate; the table shows the median. Loading the model is not counted on either side. Their embeddings are compared with ours.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 4000, 3000
BATCH, LOADERS = 32, 2

# ---- Pictures ----------------------------------------------------------------------------------------------


def landscape(rng):
    """Noise whose octaves fall off with frequency, like light in photographs, in three correlated colours."""
    sum_ = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    fall = rng.uniform(0.55, 0.8)
    strength = 60.0
    for side in (4, 9, 20, 45, 100, 220, 500, 1100):
        grid = rng.normal(0, 1, (side, side * 4 // 3, 1)).astype(np.float32) + 0.4 * rng.normal(0, 1, (side, side * 4 // 3, 3)).astype(np.float32)
        for c in range(3):
            sum_[:, :, c] += strength * np.asarray(Image.fromarray(grid[:, :, c]).resize((WIDTH, HEIGHT), Image.BICUBIC))
        strength *= fall
    across, down = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    tilt = rng.uniform(-60, 60, (2, 3)).astype(np.float32)
    sum_ += across[None, :, None] * tilt[0] + down[:, None, None] * tilt[1] + rng.uniform(60, 190, 3).astype(np.float32)
    sum_ += rng.normal(0, rng.uniform(1.0, 4.0), (HEIGHT, WIDTH, 1)).astype(np.float32)   # the sensor
    return Image.fromarray(np.clip(sum_, 0, 255).astype(np.uint8))


def draw_things(picture, rng):
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 12)):
        x, y, r = rng.integers(0, WIDTH), rng.integers(0, HEIGHT), rng.integers(50, 700)
        color = tuple(int(v) for v in rng.integers(0, 256, 3))
        kind = rng.integers(0, 3)
        if kind == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=color)
        elif kind == 1:
            draw.rectangle((x - r, y - r // 2, x + r, y + r // 2), fill=color)
        else:
            draw.polygon([(x + int(r * np.cos(a)), y + int(r * np.sin(a))) for a in np.sort(rng.uniform(0, 6.28, 5))], fill=color)
    for line in range(rng.integers(0, 8)):
        words = "".join(chr(97 + int(c)) if c < 26 else " " for c in rng.integers(0, 30, 40))
        draw.text((int(rng.integers(0, WIDTH // 2)), 200 + 300 * line), words, fill=(20, 20, 20), font_size=int(rng.integers(30, 120)))


def make_pictures(folder, count):
    """A new scene for every eighth; the others are crops, mirror images and other qualities of it."""
    folder.mkdir(parents=True, exist_ok=True)
    scene = None
    for i in range(count):
        path = folder / f"{i:05}.jpg"
        rng = np.random.default_rng(i)
        if i % 8 == 0 or scene is None:
            if all((folder / f"{j:05}.jpg").exists() for j in range(i, min(i + 8, count))):
                continue
            scene = landscape(np.random.default_rng(i // 8 * 8))
            draw_things(scene, np.random.default_rng(i // 8 * 8))
        if path.exists():
            continue
        zoom = rng.uniform(0.55, 1.0)
        w, h = int(WIDTH * zoom), int(HEIGHT * zoom)
        x, y = int(rng.integers(0, WIDTH - w + 1)), int(rng.integers(0, HEIGHT - h + 1))
        picture = scene.crop((x, y, x + w, y + h)).resize((WIDTH, HEIGHT), Image.BILINEAR)
        if rng.integers(0, 2):
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        grain = rng.normal(0, rng.uniform(2, 5), (HEIGHT, WIDTH)).astype(np.int8)
        pixels = np.clip(np.asarray(picture).astype(np.int16) + grain[:, :, None], 0, 255).astype(np.uint8)
        temporary = path.with_suffix(".part")
        Image.fromarray(pixels).save(temporary, "JPEG", quality=int(rng.integers(84, 93)), subsampling="4:2:0")
        temporary.rename(path)
    return [str(folder / f"{i:05}.jpg") for i in range(count)]
