#!/usr/bin/env python3
"""Compare `clip embed` with PyTorch in f32 on the same pictures and texts.

    parity.py --clip build/cli/clip --work DIRECTORY [--pairs FILE.tar] [--precision bf16] [NAME...]

Makes each named checkpoint of make_checkpoints.py in the work directory, one at a time, and removes
it again. The beginning of a name is enough; default: all but the two largest. Prints a table. Exit
1 if a cosine is below 0.99999 or a difference above 2e-5; in bf16, if a cosine is below 0.999.
Needs: the packages of make_checkpoints.py, and Pillow.
"""
import argparse
import gc
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np

import make_checkpoints
import references

LIMITS = {"f32": (0.99999, 2e-5), "bf16": (0.999, 1)}  # smallest cosine, largest difference
LEFT_OUT = ("RN50x16", "RN50x64")  # by name only: they add size, not shapes
PICTURES = 32
SAMPLES = Path(__file__).resolve().parent.parent / "models/samples"

TEXTS = [
    "a photo of a cat",
    "two dogs running along a beach at sunset",
    "A Red DOUBLE-DECKER bus, London (1987)",
    "it's the dog's bone, and they'll say we've won: I'd bet you're sure I'm wrong",
    "12345 years, 3.14159, 1,000,000 and 7th",
    "!",
    "a",
    "   leading,   inner\tand trailing blanks   ",
    "line one\nline two\r\nline three",
    "fish &amp; chips &lt;salt&gt; &quot;vinegar&quot; &#8364;5",
    "caf\u00e9, na\u00efve, \u00c5ngstr\u00f6m, stra\u00dfe, \u0130stanbul",
    "cafe\u0301 and a\u030angstro\u0308m, written with combining marks",
    "\u043a\u043e\u0448\u043a\u0430 \u043d\u0430 \u043e\u043a\u043d\u0435",
    "\u03b3\u03ac\u03c4\u03b1 \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u732b\u304c\u7a93\u8fba\u306b\u3044\u308b",
    "\ucc3d\uac00\uc5d0 \uc788\ub294 \uace0\uc591\uc774",
    "\u0642\u0637\u0629 \u0639\u0644\u0649 \u0627\u0644\u0646\u0627\u0641\u0630\u0629",
    "\u0916\u093f\u0921\u093c\u0915\u0940 \u092a\u0930 \u092c\u093f\u0932\u094d\u0932\u0940",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family \U0001f1eb\U0001f1f7 flag "
    "\U0001f44d\U0001f3fd thumb \u2764\ufe0f heart",
    "$ 5 + 7 = 12; a_b-c/d\\e|f ~ `g` ^ {h} [i] <j>",
    "pneumonoultramicroscopicsilicovolcanoconiosis " * 3,
    "x" * 400,
    "the quick brown fox jumps over the lazy dog and " * 12,
    "one more word than fits: " + "word " * 80,
]


def pictures(work, pairs):
    """Files on disk: the repository's samples, otherwise members of the tar."""
    found = sorted(p for p in SAMPLES.glob("*") if p.suffix in (".png", ".jpg", ".jpeg", ".webp"))
    if not pairs:
        if not found:
            raise SystemExit("no pictures: models/samples is empty and --pairs is not given")
        return found[:PICTURES]
    folder = work / "pictures"
    folder.mkdir(exist_ok=True)
    with tarfile.open(pairs) as tar:
        for member in tar:
            if member.name.endswith((".png", ".jpg", ".webp")) and len(found) < PICTURES:
                path = folder / Path(member.name).name
                path.write_bytes(tar.extractfile(member).read())
                found.append(path)
    return found


def reference(directory, files):
    """Embeddings by PyTorch; None where the model has no tokenizer here."""
    ref = references.load(directory)
    if not hasattr(ref, "ids"):
        return None
    rows = []
    for i in range(0, len(files), 4):  # a few at a time: 336 x 336 through 24 layers needs much memory
        images = [references.on_white(f) for f in files[i : i + 4]]
        rows.append(ref.encode_image(ref.pixels(images)))
    ids = ref.ids(TEXTS)
    texts = [ref.encode_text(ids[i : i + 8]) for i in range(0, len(ids), 8)]
    return np.concatenate(rows), np.concatenate(texts)


def engine(clip, directory, precision, work, files):
    command = [clip, "embed", "--model", directory, "--precision", precision, "--background", "white"]
    run = lambda out, *args: subprocess.run([*command, "-o", out, *args], check=True, stdout=subprocess.DEVNULL)
    run(work / "image.npy", *files)
    run(work / "text.npy", *(f"--text={t}" for t in TEXTS))
    return np.load(work / "image.npy"), np.load(work / "text.npy")


def compare(name, kind, should, got, labels, limits):
    """(smallest cosine, largest difference, passed)"""
    if got.shape != should.shape:
        print(f"{name}: {kind}: shape {got.shape}, not {should.shape}", file=sys.stderr)
        return 0.0, float("inf"), False
    a, b = should.astype(np.float64), got.astype(np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    most = np.abs(a - b).max(axis=1)
    bad = np.flatnonzero(~((cosine >= limits[0]) & (most <= limits[1])))
    for i in bad[:5]:
        print(f"{name}: {kind} {str(labels[i])[:60]!r}: cosine {cosine[i]:.7f}, largest difference {most[i]:.2g}",
              file=sys.stderr)
    return cosine.min(), most.max(), len(bad) == 0


def check(name, a, files):
    directory = make_checkpoints.make(a.work, name)
    try:
        embeddings = reference(directory, files)
        gc.collect()
        if not embeddings:
            print(f"| {name} | {' | '.join('-' * 4)} | no tokenizer here |", flush=True)
            return True
        image, text = embeddings
        got_image, got_text = engine(a.clip, directory, a.precision, a.work, files)
    except subprocess.CalledProcessError as e:
        print(f"| {name} | {' | '.join('-' * 4)} | FAIL: exit {e.returncode} |", flush=True)
        return False
    finally:
        if not a.keep:
            shutil.rmtree(directory)
    limits = LIMITS[a.precision]
    ci, di, oi = compare(name, "picture", image, got_image, files, limits)
    ct, dt, ot = compare(name, "text", text, got_text, TEXTS, limits)
    print(f"| {name} | {ci:.8f} | {di:.1e} | {ct:.8f} | {dt:.1e} | {'pass' if oi and ot else 'FAIL'} |", flush=True)
    return oi and ot


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--clip", required=True, help="the command to test")
    p.add_argument("--work", type=Path, required=True, help="a folder for checkpoints (up to 2 GB at a time)")
    p.add_argument("--pairs", help="a WebDataset tar whose pictures are used beside models/samples")
    p.add_argument("--precision", choices=LIMITS, default="f32", help="of the command under test")
    p.add_argument("--keep", action="store_true", help="leave the checkpoints there")
    p.add_argument("name", nargs="*")
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    names = make_checkpoints.expand(a.name) or [n for n in make_checkpoints.CHECKPOINTS if n not in LEFT_OUT]
    files = pictures(a.work, a.pairs)
    print(
        f"{len(files)} pictures, {len(TEXTS)} texts; unit embeddings against PyTorch "
        f"{references.torch.__version__.split('+')[0]} in f32"
    )
    print("\n| model | pictures: least cosine | largest difference | texts: least cosine | largest difference | |")
    print("|---|---|---|---|---|---|", flush=True)
    results = [check(name, a, files) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
