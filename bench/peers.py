#!/usr/bin/env python3
"""This engine beside PyTorch, ONNX Runtime and OpenVINO, in one sitting, in f32, bf16 and int8.

Prints a markdown table for docs/performance.md.

    bench/peers.py --lib build/src/api/libclip.so --clip build/cli/clip --work DIRECTORY
                   [--model NAME,...] [--peers SIDE,...] [--rounds N] [--threads N] [--quick] [ROW...]

Models: ViT-B-32 (default), ViT-L-14, RN50, SigLIP2-B-16, Chinese-CLIP-B-16, hf-B-32 (the text
encoder of ViT-B-32 in transformers' layout). They have the real configurations, vocabularies
included, and random weights in f32.
Rows: image-1, image-32, text-1, text-32, and for OpenCLIP's ViTs start (a process that embeds one
text) and gemm (the largest product, beside the machine's peak). Sides: pytorch-f32, pytorch-bf16,
onnxruntime-f32, onnxruntime-int8, openvino-f32, openvino-bf16, openvino-int8; clip.c always takes
part, in each precision it has. The beginning of a side or row is enough; default: all.

Each side is a process of its own, with the same weights, inputs and number of threads, and ends
with its row. Before anything is timed, each has run twice, and its embeddings have been compared
with PyTorch's in f32. Turns alternate (A B C A B C ...), with a pause between them in which the
threads of the last side go to sleep. The table shows the median of all calls and, in brackets, the
fastest; "times ours": the side's time over ours, the median of the rounds; the smallest cosine. A
side that cannot take part is named with its reason, and WORK/SIDE.log tells the rest.

Each peer runs in the way that was fastest on 2 cores:
    PyTorch       eager with channels_last: half as fast again for RN50, equal for ViT. Tracing and
                  freezing take another tenth off RN50, still slower than ONNX Runtime: not timed.
                  bf16: the whole model. Under autocast it was slower than f32.
    ONNX Runtime  TorchScript's export, all optimisations. The other exporter's graph is as fast.
                  int8: dynamic, one scale for each channel, products only.
    OpenVINO      converted from PyTorch for exactly this batch; one stream for one input, and a
                  stream for each thread for more. int8: NNCF's post-training quantisation for
                  transformers, calibrated with inputs of the same kind; the rest in bf16 if the
                  processor has it.
Texts are random ids. Peers get what their packages make of them: OpenCLIP's CLIP always computes
its whole context of 77, SigLIP reads 64 with the padding, transformers takes the tokens alone.
Needs: the packages of tools/make_checkpoints.py and tools/parity_families.py, onnx, onnxruntime,
openvino, nncf.
"""
import argparse
import gc
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Callable, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import numpy as np

import libclip

# The packages of the peers are imported in the processes that use them.

ROWS = ["image-1", "image-32", "text-1", "text-32", "start", "gemm"]
PRECISIONS = ["f32", "bf16", "int8"]
LEAST = {"f32": 0.9999, "bf16": 0.9, "int8": 0.8}  # below these cosines a side computes something else
PAUSE = 0.05          # seconds between two sides
CAPTION = "a photo of two small brown dogs on grass"
SPAWN = multiprocessing.get_context("spawn")

# ---- Models --------------------------------------------------------------------------------------


def make_openclip(out):
    import make_checkpoints
    make_checkpoints.openclip(out, make_checkpoints.builtin(out.name), 20, tokenizer="bpe")


def make_siglip2(out):
    import parity_families
    parity_families.openclip("full:ViT-B-16-SigLIP2", out)


def make_chinese_clip(out):
    import parity_families
    from transformers import ChineseCLIPConfig, ChineseCLIPModel
    config = ChineseCLIPConfig(text_config={"vocab_size": 21128}, vision_config={"patch_size": 16})
    parity_families.enliven(ChineseCLIPModel(config).eval(), 7).save_pretrained(out)


def make_huggingface(out):
    import make_checkpoints
    make_checkpoints.huggingface(out, make_checkpoints.HF_B32, 30)


class Model(NamedTuple):
    make: Callable
    texts: dict                 # tokens of a text: how many ids peers are given, the rest being padding
    ends: tuple = (49406, 49407)  # start and end of a text
    pictures: bool = True
    convolutions: bool = False
    transformers: bool = False  # the package of the reference: otherwise OpenCLIP


MODELS = {
    "ViT-B-32": Model(make_openclip, {12: 77}),
    "ViT-L-14": Model(make_openclip, {12: 77}),
    "RN50": Model(make_openclip, {}, convolutions=True),
    "SigLIP2-B-16": Model(make_siglip2, {12: 64}, (2, 1)),
    "Chinese-CLIP-B-16": Model(make_chinese_clip, {12: 12, 52: 52}, (101, 102), transformers=True),
    "hf-B-32": Model(make_huggingface, {12: 12}, pictures=False, transformers=True),
}


class Task(NamedTuple):
    """What is raced, and all that a side's process needs to know."""
    model: str
    tokens: int  # of a text; 0: pictures
    batch: int
    threads: int
    work: Path
    lib: str
    calibration: int  # inputs to quantise with, at least

    def name(self):
        what = f"text of {self.tokens} tokens" if self.tokens else "picture"
        return f"{self.model}, {what}, batch {self.batch}"


def checkpoint(work, name):
    """The directory of a model, made when it is first wanted."""
    directory, new = work / name, work / "new" / name
    if not directory.exists():
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        MODELS[name].make(new)
        new.rename(directory)
    return directory


def inputs(task, n, seed):
    """Pictures [n, 3, S, S] f32, or ids [n, tokens]."""
    if task.tokens:
        ids = np.random.default_rng(seed).integers(1000, 20000, (n, task.tokens))
        ids[:, 0], ids[:, -1] = MODELS[task.model].ends
        return ids
    import make_checkpoints
    import torch
    return make_checkpoints.smooth_pictures(n, 224, torch.Generator().manual_seed(seed)).numpy()


def padded(task, x):
    """As peers get it. No pooling looks for 0, and where padding is read, as SigLIP does, it is 0."""
    return np.pad(x, ((0, 0), (0, MODELS[task.model].texts[task.tokens] - task.tokens))) if task.tokens else x


# ---- The sides -----------------------------------------------------------------------------------
# Each is made in its own process, as a function without arguments that returns the embeddings, of
# any length.


class Unavailable(Exception):
    pass


def encoder(task):
    """One encoder of the reference as a module. The other is dropped."""
    import torch
    directory = task.work / task.model
    if MODELS[task.model].transformers:
        import transformers
        model = transformers.AutoModel.from_pretrained(directory, dtype=torch.float32)
        names, of = ("get_image_features", "get_text_features"), lambda y: y.pooler_output
    else:
        import open_clip
        model = open_clip.create_model(f"local-dir:{directory}", precision="fp32")
        names, of = ("encode_image", "encode_text"), lambda y: y
    for part in ("visual", "vision_model") if task.tokens else ("text", "text_model", "transformer", "token_embedding"):
        if hasattr(model, part):
            setattr(model, part, None)

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model, self.encode = model, getattr(model, names[task.tokens > 0])

        def forward(self, x):
            return of(self.encode(x))

    torch.set_num_threads(task.threads)
    return Encoder().eval()


def exported(task):
    """The same for the exporters, which cannot take the fused operator of nn.MultiheadAttention."""
    import torch
    torch.backends.mha.set_fastpath_enabled(False)
    return encoder(task)


def pytorch(task, precision, x):
    import torch
    module, a = encoder(task), torch.from_numpy(padded(task, x))
    if not task.tokens:
        module, a = module.to(memory_format=torch.channels_last), a.to(memory_format=torch.channels_last)
    if precision == "bf16":
        module, a = module.bfloat16(), a if task.tokens else a.bfloat16()

    def run():
        with torch.inference_mode():
            return module(a).float().numpy()
    return run


def onnx(task, precision, x):
    import onnxruntime
    import torch
    from onnxruntime.quantization import quantize_dynamic
    a = padded(task, x)
    with tempfile.TemporaryDirectory(dir=task.work) as folder:
        path = Path(folder) / "f32.onnx"
        with torch.no_grad():
            torch.onnx.export(exported(task), (torch.from_numpy(a),), path, dynamo=False, input_names=["x"],
                              output_names=["y"], opset_version=17)
        gc.collect()
        if precision == "int8":
            path = Path(folder) / "int8.onnx"
            # Without VNNI, sums of two products of 8 bits overflow 16.
            quantize_dynamic(Path(folder) / "f32.onnx", path, op_types_to_quantize=["MatMul", "Gemm"],
                             per_channel=True, reduce_range="vnni" not in Path("/proc/cpuinfo").read_text())
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads, o.inter_op_num_threads = task.threads, 1
        o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        o.add_session_config_entry("session.force_spinning_stop", "1")  # while the others have their turns
        session = onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": a})[0]


def quantised(task, model, batch):
    import nncf
    n = -(-task.calibration // batch)
    calibration = [padded(task, inputs(task, batch, 100 + i)) for i in range(n)]
    kind = None if MODELS[task.model].convolutions else nncf.ModelType.TRANSFORMER
    return nncf.quantize(model, nncf.Dataset(calibration), subset_size=n, model_type=kind,
                         advanced_parameters=nncf.AdvancedQuantizationParameters(batchwise_statistics=batch > 1))


def openvino(task, precision, x):
    import openvino
    import torch
    core = openvino.Core()
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not has_bf16:
        raise Unavailable("the processor has no bf16")
    streams = task.threads if task.batch % task.threads == 0 else 1
    parts = np.split(padded(task, x), streams)
    model = openvino.convert_model(exported(task), example_input=torch.from_numpy(parts[0]),
                                   input=[list(parts[0].shape)])
    if precision == "int8":
        model = quantised(task, model, len(parts[0]))
    compiled = core.compile_model(model, "CPU", {
        "PERFORMANCE_HINT": "THROUGHPUT" if streams > 1 else "LATENCY", "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision != "f32" and has_bf16 else "f32", "NUM_STREAMS": streams
    })
    requests = [compiled.create_infer_request() for _ in parts]

    def run():
        for request, part in zip(requests, parts):
            request.start_async({0: part}, share_inputs=True)
        for request in requests:
            request.wait()
        return np.concatenate([request.get_output_tensor(0).data for request in requests])
    return run


def ours(task, precision, x):
    lib = libclip.load(task.lib)
    if precision not in lib.precisions():
        raise Unavailable("this build does not know it")
    tower = libclip.TEXT if task.tokens else libclip.IMAGE
    try:
        model = lib.model(task.work / task.model, tower, precision=precision, threads=task.threads)
    except RuntimeError as e:
        raise Unavailable(str(e)) from e
    context = model.context(task.threads)
    return lambda: context.encode_tokens(list(x)) if task.tokens else context.encode_pixels(x)


PEERS = {
    "pytorch-f32": (pytorch, "f32"),  # the others are compared with it
    "pytorch-bf16": (pytorch, "bf16"),
    "onnxruntime-f32": (onnx, "f32"),
    "onnxruntime-int8": (onnx, "int8"),
    "openvino-f32": (openvino, "f32"),
    "openvino-bf16": (openvino, "bf16"),
    "openvino-int8": (openvino, "int8"),
}
OURS = {f"clip.c-{p}": (ours, p) for p in PRECISIONS}
SIDES = PEERS | OURS
REFERENCE = "pytorch-f32"

# ---- Processes -----------------------------------------------------------------------------------


def turn(run, seconds):
    """Times of calls, for at least so many seconds. The first call of a turn finds cold caches, so
    it is not counted if calls are short."""
    times, begin = [], time.perf_counter()
    while not times or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times[1:] if len(times) > 2 else times


def serve(pipe, side, task, x):
    """A side's process: its embeddings, or the reason why there are none, and then times of turns."""
    log = os.open(task.work / f"{side}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    make, precision = SIDES[side]
    try:
        run = make(task, precision, x)
        gc.collect()
        run()
        pipe.send(run())
    except Unavailable as e:
        return pipe.send(f"not available: {e}")
    except Exception as e:
        traceback.print_exc()
        return pipe.send(f"failed: {type(e).__name__}: {str(e).strip()[:100]}".splitlines()[0])
    while True:
        pipe.send(turn(run, pipe.recv()))


class Side:
    """A side's process, seen from here."""

    def __init__(self, name, task, x):
        self.name, self.rounds, self.cosine = name, [], 0
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(theirs, name, task, x), daemon=True)
        self.process.start()
        theirs.close()

    def receive(self):
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            return f"failed: its process ended with {self.process.exitcode}"

    def take_turn(self, seconds):
        self.pipe.send(seconds)
        times = self.receive()
        if isinstance(times, str):
            raise SystemExit(f"{self.name} {times}")
        self.rounds.append(times)

    def end(self):
        self.process.kill()
        self.process.join()


def apart(function, *arguments):
    """The result of a function that leaves this process small."""
    with SPAWN.Pool(1) as pool:
        return pool.apply(function, arguments)


# ---- The race ------------------------------------------------------------------------------------


def unit(y):
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def line(*cells):
    print("|", " | ".join(cells), "|", flush=True)


def compared(task, sides):
    """The processes of the sides that compute the same as PyTorch in f32. Others get a line that
    says why they do not take part."""
    x, reference, running = apart(inputs, task, task.batch, 1), None, []
    for name in [REFERENCE] + [s for s in sides if s != REFERENCE]:
        side = Side(name, task, x)
        y = side.receive()
        if name == REFERENCE and isinstance(y, str):
            raise SystemExit(f"{task.name()}: {name} {y}")
        if name == REFERENCE:
            reference = unit(y)
        if not isinstance(y, str):
            side.cosine = (unit(y) * reference).sum(axis=1).min()
            if not side.cosine >= LEAST[SIDES[name][1]]:
                y = f"computes something else: cosine {side.cosine:.5f}"
        if isinstance(y, str):
            line(task.name(), name, y, "", "", "", "")
        if isinstance(y, str) or name not in sides:
            side.end()
        else:
            running.append(side)
    return running


def ratio(side, other):
    """Of times: the median of the rounds."""
    if side is None or other is None or side is other:
        return ""
    pairs = zip(side.rounds, other.rounds)
    return f"{statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs):.2f}"


def race(task, sides, rounds, seconds):
    """Time the sides in turns and print a line for each."""
    running = compared(task, sides)
    for _ in range(rounds):
        for side in running:
            time.sleep(PAUSE)
            side.take_turn(seconds)
    own = {side.name: side for side in running if side.name in OURS}
    for side in running:
        calls = [t / task.batch * 1e3 for times in side.rounds for t in times]
        line(task.name(), side.name, f"{statistics.median(calls):.2f} ({min(calls):.2f})",
             *(ratio(side, own.get(o)) for o in OURS), f"{side.cosine:.6f}")
        side.end()


# ---- Rows of the command -------------------------------------------------------------------------


def process(command):
    """(seconds, resident MB at most) of a process. Its memory counts from its fork, so this process
    has to be small."""
    command, start = [str(word) for word in command], time.perf_counter()
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=null)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_maxrss / 1024


OPENCLIP_PROCESS = """
import sys, torch, open_clip
torch.set_num_threads(int(sys.argv[2]))
model = open_clip.create_model("local-dir:" + sys.argv[1])
with torch.inference_mode():
    print(model.eval().encode_text(open_clip.get_tokenizer("local-dir:" + sys.argv[1])([sys.argv[3]]), normalize=True))
"""


def start_row(a, model):
    directory = a.work / model
    commands = {
        "pytorch-f32": ([sys.executable, "-c", OPENCLIP_PROCESS, directory, a.threads, CAPTION], 3),
        "clip.c-f32": ([a.clip, "embed", "--model", directory, "--threads", a.threads, "--text", CAPTION], 11)
    }
    found = {}
    for side, (command, times) in commands.items():
        process(command)  # files into the cache
        found[side] = [process(command) for _ in range(1 if a.quick else times)]
    seconds = {side: statistics.median(s for s, _ in runs) for side, runs in found.items()}
    for side, runs in found.items():
        memory = statistics.median(mb for _, mb in runs)
        line(f"{model}, a process that embeds one text", side,
             f"{seconds[side] * 1e3:.0f} ({min(runs)[0] * 1e3:.0f}), {memory:.0f} MB",
             "" if side in OURS else f"{seconds[side] / seconds['clip.c-f32']:.1f}", "", "", "")


def gemm_row(a, model):
    for precision in PRECISIONS:
        command = [a.clip, "bench", "--json", "--threads", str(a.threads), "--model", a.work / model, "--precision",
                   precision]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            reached = f"not available: {run.stderr.strip().splitlines()[0]}"
        else:
            b = json.loads(run.stdout)
            share = b["gemm_gflops"] / b["fma_gflops"]
            reached = f"{b['gemm_gflops']:.0f} of {b['fma_gflops']:.0f} GFLOP/s, {share:.1%} of the peak"
        line(f"{model}, largest product at batch 32", f"clip.c-{precision}", reached, "", "", "", "")


COMMANDS = {"start": start_row, "gemm": gemm_row}  # for models with a tokenizer

# ---- The sitting ---------------------------------------------------------------------------------


def head(a):
    cpu = next((s.split(":")[1].strip() for s in open("/proc/cpuinfo") if s.startswith("model name")), "?")
    packages = {"PyTorch": "torch", "open_clip": "open_clip_torch", "transformers": "transformers",
                "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "NNCF": "nncf"}
    versions = [f"{name} {importlib.metadata.version(package)}" for name, package in packages.items()]
    lib = libclip.load(a.lib)
    print(f"{cpu}, {a.threads} threads, {a.rounds} rounds. {', '.join(versions)}, "
          f"clip.c {lib.clip_version().decode()} ({lib.clip_build_info().decode()}).\n")
    line("what", "side", "ms each: median (fastest)", *(f"times ours, {p}" for p in PRECISIONS), "cosine to f32")
    line(*["---"] * 7)


def rows(a, model):
    """The rows of a model, in the order of ROWS."""
    spec = MODELS[model]
    for row in a.row:
        if row in COMMANDS:
            if spec.make is make_openclip and spec.texts:
                COMMANDS[row](a, model)
            continue
        kind, batch = row.split("-")
        batch = min(int(batch), 4) if a.quick else int(batch)
        lengths = spec.texts if kind == "text" else [0] if spec.pictures else []
        for tokens in lengths:
            task = Task(model, tokens, batch, a.threads, a.work, a.lib, 4 if a.quick else 64)
            race(task, a.peers + list(OURS), a.rounds, 0 if a.quick else 0.3)


def chosen(words, known):
    """Those of the known that begin with one of the words."""
    for word in words:
        if not any(k.startswith(word) for k in known):
            raise SystemExit(f"'{word}' begins none of: {', '.join(known)}")
    return [k for k in known if any(k.startswith(word) for word in words)]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--lib", required=True, help="libclip.so")
    p.add_argument("--clip", required=True, help="the command")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints and exports (8 GB)")
    p.add_argument("--model", default="ViT-B-32", help=f"some of {','.join(MODELS)}")
    p.add_argument("--peers", default=",".join(PEERS), help="beginnings of %(default)s")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--quick", action="store_true", help="a try-out: one round, batches of 4, nothing exact")
    p.add_argument("row", nargs="*", default=ROWS)
    a = p.parse_args()
    a.clip = shutil.which(a.clip) or p.error(f"{a.clip}: not a program")
    a.row, a.peers = chosen(a.row, ROWS), chosen(a.peers.split(","), PEERS)
    models = a.model.split(",")
    if unknown := set(models) - set(MODELS):
        raise SystemExit(f"no model is called {', '.join(unknown)}; there are: {', '.join(MODELS)}")
    a.rounds = 1 if a.quick else a.rounds
    a.work.mkdir(parents=True, exist_ok=True)
    head(a)
    for model in models:
        apart(checkpoint, a.work, model)
        rows(a, model)


if __name__ == "__main__":
    main()
