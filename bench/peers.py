#!/usr/bin/env python3
"""This engine beside PyTorch, ONNX Runtime and OpenVINO, in one sitting.

Prints a markdown table for docs/performance.md.

    bench/peers.py --lib build/src/api/libclip.so --clip build/cli/clip --work DIRECTORY
                   [--rounds N] [ROW...]

Rows (the beginning of a name is enough; default: all): B-32-image-1, B-32-image-32, RN50-image-1,
RN50-image-32, text-1, text-32, start, gemm.

All sides run in this process, with the same weights, in f32, with the same number of threads, on
the same input. Their outputs are compared before anything is timed. Turns alternate (A B C A B C
...), with a pause between them in which the threads of the last side go to sleep. The table shows
the median of all calls and, in brackets, the fastest.

Each peer runs in the way that was fastest on 2 cores:
    PyTorch       eager with channels_last: half as fast again for RN50, equal for ViT. Tracing and
                  freezing take another tenth off RN50, still slower than ONNX Runtime: not timed.
    ONNX Runtime  TorchScript's export, all optimisations. The other exporter's graph is as fast.
    OpenVINO      converted from PyTorch for exactly this batch; one stream for one picture, and
                  for 32 also two streams of 16.
Texts are a caption of 12 tokens. PyTorch (OpenCLIP) and its exports always compute the whole
context of 77. transformers can take the 12 alone, so it is a side as well.
Needs: the packages of tools/make_checkpoints.py, onnx, onnxruntime, openvino.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import numpy as np
import onnxruntime
import openvino
import torch

import libclip
import make_checkpoints
import references

ROWS = ["B-32-image-1", "B-32-image-32", "RN50-image-1", "RN50-image-32", "text-1", "text-32", "start", "gemm"]
MODELS = {"B-32": "ViT-B-32", "RN50": "RN50"}
PAUSE = 0.05          # seconds between two sides
TURN = 0.3            # least seconds of a turn
CAPTION = "a photo of two small brown dogs on grass"
FAR = 1e-3            # largest difference of unit embeddings between equal models

# ---- The sides -----------------------------------------------------------------------------------
# Each side is a function without arguments that returns the embeddings, of any length.


def pytorch(module, x):
    if x.ndim == 4:
        module, x = module.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return module(x).numpy()
    return run


def transformers_short(directory, ids):
    model = references.load(directory).model
    x = torch.tensor(ids)

    def run():
        with torch.inference_mode():
            return model.get_text_features(x).pooler_output.numpy()
    return run


def onnx(module, x, work, threads):
    path = work / "peer.onnx"
    with torch.no_grad():
        torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], output_names=["y"], opset_version=17)
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads = threads, 1
    o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    o.add_session_config_entry("session.force_spinning_stop", "1")  # while the others have their turns
    session = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    path.unlink()
    a = x.numpy()
    return lambda: session.run(None, {"x": a})[0]


def openvino_compiled(module, x, threads, streams):
    model = openvino.convert_model(module, example_input=x, input=[list(x.shape)])
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT" if streams > 1 else "LATENCY", "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams
    }
    return openvino.Core().compile_model(model, "CPU", settings)


def openvino_whole(module, x, threads):
    request = openvino_compiled(module, x, threads, 1).create_infer_request()
    a = x.numpy()
    return lambda: request.infer({0: a}, share_inputs=True)[0]


def openvino_streams(module, x, threads):
    """A stream for each core: each takes its part of the batch."""
    parts = x.chunk(threads)
    compiled = openvino_compiled(module, parts[0], threads, threads)
    requests = [compiled.create_infer_request() for _ in parts]
    parts = [np.ascontiguousarray(part.numpy()) for part in parts]

    def run():
        for request, part in zip(requests, parts):
            request.start_async({0: part}, share_inputs=True)
        for request in requests:
            request.wait()
        return np.concatenate([r.get_output_tensor(0).data for r in requests])
    return run


class Text(torch.nn.Module):
    """For the exporters: encode_text as forward."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model.encode_text(ids)


def peers(module, x, a):
    sides = {"PyTorch": pytorch(module, x)}
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator cannot be exported
    sides["ONNX Runtime"] = onnx(module, x, a.work, a.threads)
    sides["OpenVINO"] = openvino_whole(module, x, a.threads)
    if len(x) > 1 and len(x) % a.threads == 0 and a.threads > 1:
        sides[f"OpenVINO, {a.threads} streams"] = openvino_streams(module, x, a.threads)
    torch.backends.mha.set_fastpath_enabled(True)
    return sides


# ---- Timing --------------------------------------------------------------------------------------


def turn(run):
    """Times of calls, for at least TURN seconds. The first call of a turn finds cold caches, so it
    is not counted if calls are short."""
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < TURN:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times[1:] if len(times) > 2 else times


def unit(y):
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def race(name, sides, batch, rounds):
    """Time the sides in turns and print a row for each."""
    first = unit(next(iter(sides.values()))())
    for side, run in sides.items():
        far = np.abs(unit(run()) - first).max()
        if not far < FAR:
            raise SystemExit(f"{name}: {side} computes something else: largest difference {far:.2g}")
    times = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            time.sleep(PAUSE)
            times[side] += turn(run)
    median = {side: statistics.median(t) / batch * 1e3 for side, t in times.items()}
    ours = median["clip.c"]
    for side, t in times.items():
        ratio = "" if side == "clip.c" else f"{median[side] / ours:.2f}"
        print(f"| {name} | {side} | {median[side]:.2f} ({min(t) / batch * 1e3:.2f}) | {ratio} |", flush=True)


# ---- Rows ----------------------------------------------------------------------------------------


def checkpoint(a, name):
    directory = a.work / name
    return directory if directory.exists() else make_checkpoints.make(a.work, name)


def image_row(a, lib, row):
    model, batch = row.split("-image-")
    directory, batch = checkpoint(a, MODELS[model]), int(batch)
    ref = references.load(directory)
    x = make_checkpoints.smooth_pictures(batch, ref.image_size, torch.Generator().manual_seed(1))
    sides = peers(ref.model.visual, x, a)
    context, pixels = lib.model(directory, libclip.IMAGE).context(a.threads), x.numpy()
    sides["clip.c"] = lambda: context.encode_pixels(pixels)
    race(f"{MODELS[model]}, picture, batch {batch}", sides, batch, a.rounds)


def text_row(a, lib, row):
    directory, batch = checkpoint(a, "ViT-B-32"), int(row.rpartition("-")[2])
    ref = references.load(directory)
    ids = ref.ids([CAPTION])[0]
    ids = (ids[:-1] + ids[1:-1])[:11] + ids[-1:]  # 12 with start and end
    rows = [ids] * batch
    sides = peers(Text(ref.model), references.padded(rows, ref.context_length), a)
    context = lib.model(directory, libclip.TEXT).context(a.threads)
    sides["clip.c"] = lambda: context.encode_tokens(rows)
    race(f"ViT-B-32, text of {len(ids)} tokens, batch {batch}", sides, batch, a.rounds)
    directory = checkpoint(a, "hf-B-32")  # the same towers with other weights
    context_hf = lib.model(directory, libclip.TEXT).context(a.threads)
    sides = {
        "transformers, 12 tokens": transformers_short(directory, rows), "clip.c": lambda: context_hf.encode_tokens(rows)
    }
    race(f"the same in Hugging Face's checkpoint, batch {batch}", sides, batch, a.rounds)


# A process's memory counts from its fork, so a small process forks it, not this large one.
LAUNCHER = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                       file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def process(command):
    """(seconds, resident MB at most) of a process."""
    out = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)], check=True,
                         capture_output=True, text=True).stdout
    return tuple(map(float, out.split()))


OPENCLIP_PROCESS = """
import sys, torch, open_clip
torch.set_num_threads(int(sys.argv[2]))
model = open_clip.create_model("local-dir:" + sys.argv[1])
with torch.inference_mode():
    print(model.eval().encode_text(open_clip.get_tokenizer("local-dir:" + sys.argv[1])([sys.argv[3]]), normalize=True))
"""


def start_row(a, lib, row):
    directory = checkpoint(a, "ViT-B-32")
    sides = {
        "PyTorch": ([sys.executable, "-c", OPENCLIP_PROCESS, directory,
                     str(a.threads), CAPTION], 3), "clip.c": ([
                         shutil.which(a.clip), "embed", "--model", directory, "--threads",
                         str(a.threads), "--text", CAPTION
                     ], 11)
    }
    found = {}
    for side, (command, times) in sides.items():
        process(command)  # files into the cache
        runs = [process(command) for _ in range(times)]
        found[side] = statistics.median(r[0] for r in runs), min(r[0] for r in runs), statistics.median(
            r[1] for r in runs)
    for side, (seconds, fastest, memory) in found.items():
        ratio = "" if side == "clip.c" else f"{seconds / found['clip.c'][0]:.1f}"
        print(
            f"| a process that embeds one text, ViT-B-32 | {side} | {seconds * 1e3:.0f} ({fastest * 1e3:.0f}), "
            f"{memory:.0f} MB | {ratio} |",
            flush=True)


def gemm_row(a, lib, row):
    command = [a.clip, "bench", "--json", "--threads", str(a.threads), "--model", checkpoint(a, "ViT-B-32")]
    b = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    share = b["gemm_gflops"] / b["fma_gflops"]
    reached = f"{b['gemm_gflops']:.0f} of {b['fma_gflops']:.0f} GFLOP/s, {share:.1%} of the peak"
    print(f"| largest product of ViT-B-32 at batch 32 | clip.c | {reached} | |", flush=True)


def versions(a, lib):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(
        f"{cpu}, {a.threads} threads, f32. PyTorch {torch.__version__.split('+')[0]}, open_clip "
        f"{references.open_clip.__version__}, transformers "
        f"{references.transformers.__version__}, ONNX Runtime {onnxruntime.__version__}, OpenVINO "
        f"{openvino.__version__.split('-')[0]}, "
        f"clip.c {lib.clip_version().decode()} ({lib.clip_build_info().decode()}).\n")
    print("| what | side | ms each: median (fastest) | times ours |\n|---|---|---|---|", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--lib", required=True, help="libclip.so")
    p.add_argument("--clip", required=True, help="the command")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints and exports (2 GB)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("row", nargs="*", default=ROWS)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    lib = libclip.load(a.lib)
    versions(a, lib)
    for row in [r for r in ROWS if any(r.startswith(w) for w in a.row)]:
        kind = image_row if "image" in row else text_row if "text" in row else start_row if row == "start" else gemm_row
        kind(a, lib, row)


if __name__ == "__main__":
    main()
