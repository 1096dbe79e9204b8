#!/usr/bin/env python3
"""`clip index` beside a script on OpenCLIP, over 12-megapixel JPEGs, in one sitting.

Prints pictures/s from files to embeddings.

    bench/index.py --clip build/cli/clip --model DIRECTORY --work DIRECTORY [--pictures N]
                   [--rounds N] [--threads N] [--make-only]

The model is a checkpoint as OpenCLIP writes it (open_clip_config.json,
open_clip_model.safetensors). The pictures are made once and kept in WORK: noise over several scales
as in landscapes, shapes, gradients and lines of text, 4000 x 3000, as large as a phone's files.

The script is a common one: a DataLoader with two loading processes, batches of 32, OpenCLIP's own
transform. It runs with and without Pillow's draft mode, which reduces JPEGs while decoding, to at
least twice the model's input. Turns alternate. The table shows the median. The lines below it show
the limits: the time of the encoder alone and of entropy decoding. Loading the model is not counted
on either side. Their embeddings are compared with ours.

Both sides compute in f32, and also in bf16 if the processor can: `clip index --precision bf16`, and
the script with model and input in bf16, the fastest of PyTorch's ways here (autocast is slower than
f32).
"""
import argparse
import copy
import io
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

# ---- Pictures ------------------------------------------------------------------------------------


def landscape(rng):
    """Noise whose octaves fall off with frequency, in three correlated colours."""
    sum_ = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    fall = rng.uniform(0.55, 0.8)
    strength = 60.0
    for side in (4, 9, 20, 45, 100, 220, 500, 1100):
        grid = rng.normal(0, 1, (side, side * 4 // 3, 1)).astype(
            np.float32) + 0.4 * rng.normal(0, 1, (side, side * 4 // 3, 3)).astype(np.float32)
        for c in range(3):
            sum_[:, :,
                 c] += strength * np.asarray(Image.fromarray(grid[:, :, c]).resize((WIDTH, HEIGHT), Image.BICUBIC))
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
            draw.polygon([(x + int(r * np.cos(a)), y + int(r * np.sin(a))) for a in np.sort(rng.uniform(0, 6.28, 5))],
                         fill=color)
    for line in range(rng.integers(0, 8)):
        words = "".join(chr(97 + int(c)) if c < 26 else " " for c in rng.integers(0, 30, 40))
        draw.text((int(rng.integers(0, WIDTH // 2)), 200 + 300 * line), words, fill=(20, 20, 20), font_size=int(
            rng.integers(30, 120)))


def make_pictures(folder, count):
    """Every eighth picture is a new scene; the others are crops, mirror images and other qualities
    of it."""
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


# ---- The sides -----------------------------------------------------------------------------------


def ours(args, pictures, *options):
    """Pictures/s of `clip index`, and the seconds that it waited for pictures. The embeddings stay
    in WORK/index."""
    index, listing = Path(args.work) / "index", Path(args.work) / "some"
    shutil.rmtree(index, ignore_errors=True)
    shutil.rmtree(listing, ignore_errors=True)
    listing.mkdir()
    for p in pictures:
        (listing / Path(p).name).symlink_to(Path(p).resolve())
    command = [
        args.clip, "index", "--json", "--index",
        str(index), "--model", args.model, "--threads",
        str(args.threads),
        str(listing)
    ]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["embedded"] == len(pictures), report
    return len(pictures) / report["seconds"], report["waited"]


class Files:
    """The work of a DataLoader's processes: open, reduce (draft) or not, transform."""

    def __init__(self, pictures, transform, draft):
        self.pictures, self.transform, self.draft = pictures, transform, draft

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        picture = Image.open(self.pictures[i])
        if self.draft:
            picture.draft("RGB", (self.draft, self.draft))
        return self.transform(picture)


def openclip(model, transform, pictures, draft):
    """Pictures/s of the script, and its embeddings."""
    import torch
    dtype = next(model.parameters()).dtype
    loader = torch.utils.data.DataLoader(Files(pictures, transform, draft), batch_size=BATCH, num_workers=LOADERS)
    out = []
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in loader:
            out.append(model.encode_image(batch.to(dtype), normalize=True))
    vectors = torch.cat(out).float().numpy()
    return len(pictures) / (time.perf_counter() - start), vectors


def encoder_alone(args, precision):
    """Milliseconds a picture, on all threads."""
    command = [
        args.clip, "bench", "--json", "--precision", precision, "--model", args.model, "--threads",
        str(args.threads)
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["image_batch32_ms"]


def entropy_decoding(pictures):
    """Milliseconds a picture, on one thread, of entropy decoding, which no JPEG decoder can leave
    out. Timed as decoding to grey at an eighth, which reads all of the code and computes one
    number of each block."""
    files, times = [io.BytesIO(Path(p).read_bytes()) for p in pictures], []
    for f in files:
        start = time.perf_counter()
        picture = Image.open(f)
        picture.draft("L", (WIDTH // 8, HEIGHT // 8))
        picture.load()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.mean(times)


def embeddings(args):
    """The embeddings of the last index, by the names of the pictures."""
    out = Path(args.work) / "out"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([args.clip, "index", "--index",
                    str(Path(args.work) / "index"), "--export",
                    str(out)], check=True, capture_output=True)
    rows = np.load(next(out.glob("img_emb/*.npy"))).astype(np.float32)
    names = [Path(json.loads(line)["image_path"]).name for line in next(out.glob("metadata/*.jsonl")).open()]
    return dict(zip(names, rows))


def cosines(a, b):
    return np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip")
    parser.add_argument("--model")
    parser.add_argument("--work", required=True)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--make-only", action="store_true")
    args = parser.parse_args()
    pictures = make_pictures(Path(args.work) / "photos", args.pictures)
    if args.make_only:
        return
    import open_clip
    import torch
    torch.set_num_threads(args.threads)
    model, _, transform = open_clip.create_model_and_transforms("local-dir:" + args.model)
    model.eval()
    side = 2 * json.loads(
        (Path(args.model) / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]["image_size"]
    sides = {
        "clip index": lambda: ours(args, pictures),
        "OpenCLIP, draft": lambda: openclip(model, transform, pictures, side),
        "clip index --full-decode": lambda: ours(args, pictures, "--full-decode"),
        "OpenCLIP": lambda: openclip(model, transform, pictures, None),
    }
    bf16 = "with bf16" in subprocess.run([args.clip, "--version"], check=True, capture_output=True, text=True).stdout
    if bf16:
        narrow = copy.deepcopy(model).to(torch.bfloat16)
        sides["clip index --precision bf16"] = lambda: ours(args, pictures, "--precision", "bf16")
        sides["OpenCLIP, draft, bf16"] = lambda: openclip(narrow, transform, pictures, side)
        sides["OpenCLIP, bf16"] = lambda: openclip(narrow, transform, pictures, None)
    speed, result = {name: [] for name in sides}, {}
    for _ in range(args.rounds):
        for name, run in sides.items():
            rate, extra = run()
            speed[name].append(rate)
            result[name] = embeddings(args) if name.startswith("clip") else extra
            if name.startswith("clip"):
                print(f"{name}: {rate:.1f} pictures/s, the encoder waited {extra:.1f} s", file=sys.stderr)
    pace = {name: statistics.median(speed[name]) for name in sides}
    mine = [name for name in ("clip index", "clip index --precision bf16") if name in sides]
    print("| | pictures/s | " + " | ".join(f"{name}: times as fast"
                                           for name in mine) + " |\n|---|---|" + "---|" * len(mine))
    for name in sides:
        print(f"| {name} | {pace[name]:.1f} | " + " | ".join(f"{pace[m] / pace[name]:.2f}" for m in mine) + " |")
    entropy = entropy_decoding(pictures)
    for name in mine:
        encoder = encoder_alone(args, "bf16" if "bf16" in name else "f32")
        least = encoder + entropy / args.threads
        print(
            f"{name}: {1e3 / pace[name]:.1f} ms a picture; the encoder alone {encoder:.1f}, entropy decoding "
            f"{entropy:.1f} on one core: "
            f"{least:.1f} on {args.threads}, {1e3 / least:.1f} pictures/s")
    vectors = {
        name: np.stack([v[Path(p).name] for p in pictures]) if isinstance(v, dict) else v
        for name, v in result.items()
    }
    pairs = [("clip index", "clip index --full-decode"), ("OpenCLIP, draft", "OpenCLIP"),
             ("clip index --full-decode", "OpenCLIP")]
    pairs += [("clip index --precision bf16", "clip index"),
              ("OpenCLIP, draft, bf16", "OpenCLIP, draft")] if bf16 else []
    for a, b in pairs:
        c = cosines(vectors[a], vectors[b])
        print(f"cosine of {a} and {b}: least {c.min():.5f}, median {np.median(c):.5f}")


if __name__ == "__main__":
    main()
