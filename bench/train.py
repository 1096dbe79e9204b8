#!/usr/bin/env python3
"""Training steps of this engine beside PyTorch's (OpenCLIP), in one sitting.

Prints a markdown table for docs/performance.md.

    bench/train.py --clip build/cli/clip --pairs REFERENCE --work DIRECTORY [--rounds N]
                   [--steps N] [ROW...]

Rows: B-32 (ViT-B-32, batches of 32, 224 px, captions of 12 tokens), small (the reference's model
and recipe: 64 px, batches of 256). REFERENCE has pairs/train-*.tar and emoji-clip/.

A step is forward, backward, clipping of the gradient and AdamW, with the same number of threads, in
f32 and in amp_bf16: weights and sums in f32, products in bf16. Each side is a process that takes
STEPS steps after a first one that is not counted. Processes alternate, ROUNDS times. The table
shows the median of all steps and the fastest, and the largest resident memory of the processes,
each also over that of ours. A precision that `clip train` refuses is named with its reason.

Ours is `clip train`, including reading, decoding, augmentation and tokenizing. PyTorch is a plain
loop with OpenCLIP's model and loss, the fused AdamW, and all inputs ready in memory, tokenized and
decoded. Its amp_bf16 is autocast around model and loss. In `small` it augments as the reference
did, whole batches at once with grid_sample, as part of its step.
Needs: the packages of tools/make_checkpoints.py, and Pillow.
"""
import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

CAPTION = "a photo of two small brown dogs on green grass"  # 12 tokens
AUGMENTATION = {"affine": {"zoom": [0.6, 1.05], "aspect": 0.1, "shift": 0.15}, "contrast": 0.2, "channel_shift": 0.05}
PRECISIONS = ["f32", "amp_bf16"]
USAGE = 2  # the exit status of a command that does not know an option or its value
LACKS = "on this processor does not have"  # in the command's message
BATCH = {"B-32": 32, "small": 256}
NAMES = {"B-32": "ViT-B-32, batch 32", "small": "the reference's model, batch 256, augmentation"}

# ---- Data ----------------------------------------------------------------------------------------


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def pairs_b32(path, n):
    import make_checkpoints
    import torch
    from PIL import Image
    x = make_checkpoints.smooth_pictures(n, 224, torch.Generator().manual_seed(1))
    bytes_ = (x * 40 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    with tarfile.open(path, "w") as tar:
        for i, picture in enumerate(bytes_):
            jpeg = io.BytesIO()
            Image.fromarray(picture).save(jpeg, "JPEG", quality=90)
            add(tar, f"{i:06d}.jpg", jpeg.getvalue())
            add(tar, f"{i:06d}.txt", CAPTION.encode())


def pairs_small(path, n, reference):
    found = 0
    with tarfile.open(path, "w") as out:
        for shard in sorted((reference / "pairs").glob("train-*.tar")):
            with tarfile.open(shard) as tar:
                for member in tar:
                    found += member.name.endswith(".png")
                    if found > n:
                        return
                    add(out, member.name, tar.extractfile(member).read())
    if found < n:
        raise SystemExit(f"{reference}: {found} pairs are too few for {n // BATCH['small']} batches")


def prepare(row, a):
    """The tar of a row, with as many batches as steps, and the checkpoint with its tokenizer."""
    tar, n = a.work / f"{row}.tar", (1 + a.steps) * BATCH[row]
    if row == "small":
        pairs_small(tar, n, a.pairs)
        return tar, a.pairs / "emoji-clip"
    pairs_b32(tar, n)
    directory = a.work / "ViT-B-32"
    if not directory.exists():
        import make_checkpoints
        make_checkpoints.make(a.work, "ViT-B-32")
    return tar, directory


# ---- PyTorch -------------------------------------------------------------------------------------


def read_pairs(tar_path, context_length, tokenizer):
    """uint8 pictures [N, 3, S, S] and padded ids of every caption [N][captions, L]."""
    import numpy as np
    import torch
    from PIL import Image
    pictures, ids = [], []
    with tarfile.open(tar_path) as tar:
        for member in tar:
            data = tar.extractfile(member).read()
            kind = member.name.rpartition(".")[2]
            if kind in ("png", "jpg"):
                pictures.append(
                    torch.from_numpy(np.array(Image.open(io.BytesIO(data)).convert("RGB"))).permute(2, 0, 1))
            elif kind == "txt":
                ids.append(tokenizer([data.decode().strip()], context_length))
            elif kind == "json":
                ids[-1] = tokenizer(json.loads(data)["captions"], context_length)
    return torch.stack(pictures), ids


def augment(x):
    """The reference's augmentation: a random affine view whose edge pixels repeat, contrast, and a
    shift of each channel."""
    import torch
    n = len(x)
    uniform = lambda lo, hi, *shape: torch.rand(*shape) * (hi - lo) + lo
    zoom, aspect = uniform(0.6, 1.05, n), uniform(-0.1, 0.1, n).exp()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * aspect.sqrt(), zoom / aspect.sqrt()
    theta[:, :, 2] = uniform(-0.3, 0.3, n, 2)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return x * uniform(0.8, 1.2, n, 1, 1, 1) + uniform(-0.1, 0.1, n, 3, 1, 1)


def peer(row, precision, tar, directory, threads, steps):
    import logging

    import torch
    from open_clip.loss import ClipLoss

    import references
    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    import open_clip
    config = json.loads((directory / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CLIP(**config)
    pictures, ids = read_pairs(tar, model.context_length, references.simple_tokenizer(directory, model.context_length))
    decays = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decays, "weight_decay": 0.2}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-5, betas=(0.9, 0.98), eps=1e-6, fused=True)
    loss_of, times, batch = ClipLoss(), [], BATCH[row]
    model.train()
    for step in range(1 + steps):
        chosen = slice(step * batch, (step + 1) * batch)
        text = torch.stack([rows[torch.randint(len(rows), ()).item()] for rows in ids[chosen]])
        start = time.perf_counter()
        image = pictures[chosen].float() / 127.5 - 1
        if row == "small":
            image = augment(image)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "amp_bf16"):
            loss = loss_of(*model(image, text))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        times.append(time.perf_counter() - start)
    print(json.dumps(times[1:]))


# ---- Both as processes ---------------------------------------------------------------------------

# A process's memory counts from its fork, so a small process forks it, not this one.
LAUNCHER = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ,
                       file_actions=[(os.POSIX_SPAWN_OPEN, 1, sys.argv[1],
                                      os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Refused(Exception):
    """This side, or this processor, does not know the precision."""


def process(command, output):
    """Largest resident MB."""
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(output), *map(str, command)]
    run = subprocess.run(launch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode == USAGE or LACKS in run.stderr:
        raise Refused(run.stderr.strip().splitlines()[0])
    if run.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{run.stderr}")
    return float(run.stdout)


def run_peer(precision, row, tar, directory, a):
    memory = process([sys.executable, __file__, "--peer", row, precision, tar, directory, a.threads, a.steps],
                     a.work / "peer.json")
    return json.loads((a.work / "peer.json").read_text()), memory


def run_ours(precision, row, tar, directory, a):
    out = a.work / "run"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        shutil.which(a.clip), "train", "--output", out, "--train-data", tar, "--model",
        directory / "open_clip_config.json", "--tokenizer", directory, "--batch-size", BATCH[row], "--epochs", 1,
        "--lr", "1e-5", "--warmup", 1, "--grad-clip-norm", 1, "--threads", a.threads
    ]
    if precision != "f32":
        command += ["--precision", precision]
    if row == "small":
        command += ["--aug-cfg", json.dumps(AUGMENTATION)]
    memory = process(command, os.devnull)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["train/batch_time"] for line in lines if "train/batch_time" in line][1:], memory


OURS = {f"clip.c-{p}": (run_ours, p) for p in PRECISIONS}
SIDES = {f"pytorch-{p}": (run_peer, p) for p in PRECISIONS} | OURS


def line(*cells):
    print("|", " | ".join(cells), "|", flush=True)


def over_ours(side, found):
    """The side's figure over each of ours."""
    return [f"{found[side] / found[o]:.2f}" if o in found and o != side else "" for o in OURS]


def race(row, a):
    tar, directory = prepare(row, a)
    sides = dict(SIDES)
    times, memory = {s: [] for s in sides}, {s: 0 for s in sides}
    for _ in range(a.rounds):
        for side, (run, precision) in list(sides.items()):
            try:
                found, mb = run(precision, row, tar, directory, a)
            except Refused as e:
                line(NAMES[row], side, f"not available: {e}", "", *[""] * 2 * len(OURS), "")
                del sides[side], memory[side]
                continue
            times[side] += found
            memory[side] = max(memory[side], mb)
    median = {side: statistics.median(times[side]) for side in sides}
    for side in sides:
        line(NAMES[row], side, f"{median[side] * 1e3:.0f} ({min(times[side]) * 1e3:.0f})",
             f"{BATCH[row] / median[side]:.1f}", *over_ours(side, median), f"{memory[side]:.0f}",
             *over_ours(side, memory))


def main():
    if sys.argv[1:2] == ["--peer"]:
        row, precision, tar, directory, threads, steps = sys.argv[2:]
        return peer(row, precision, Path(tar), Path(directory), int(threads), int(steps))
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--clip", required=True, help="the command")
    p.add_argument("--pairs", type=Path, required=True, help="the reference's folder")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints (2 GB)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=4, help="counted, of a process")
    p.add_argument("row", nargs="*", default=list(BATCH))
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"{cpu}, {a.threads} threads; medians of {a.rounds * a.steps} steps.\n")
    line("what", "side", "ms a step: median (fastest)", "pairs/s", *(f"times ours, {p}" for p in PRECISIONS),
         "peak MB", *(f"times ours, {p}" for p in PRECISIONS))
    line(*["---"] * (5 + 2 * len(PRECISIONS)))
    for row in a.row:
        race(row, a)


if __name__ == "__main__":
    main()
