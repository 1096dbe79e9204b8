#!/usr/bin/env python3
"""Is `clip probe` as good as scikit-learn's LogisticRegression on the same features, and faster?

usage: parity_probe.py CLIP MODEL TRAIN.tsv TEST.tsv LABEL_COLUMN

The tables have the columns filepath and LABEL_COLUMN. Both sides fit the same training features
with the same l2: the value that clip's sweep finds, and 1. Then scikit-learn does its own sweep:
seven steps of two decades, halved around the best down to 8 a decade, on every fifth training
picture, and a last fit on all. Times are of the fits alone, without embedding.
Needs: numpy, scikit-learn.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression

clip, model, train, test, column = sys.argv[1:]
warnings.filterwarnings("ignore")


def read(table):
    rows = list(csv.DictReader(open(table), delimiter="\t"))
    with tempfile.TemporaryDirectory() as d:
        open(f"{d}/list", "w").write("".join(os.path.join(os.path.dirname(table), r["filepath"]) + "\n" for r in rows))
        subprocess.check_call([clip, "embed", "--model", model, "--files-from", f"{d}/list", "-o", f"{d}/x.npy"])
        return np.load(f"{d}/x.npy"), np.array([r[column] for r in rows])


def probe(*options):
    return json.loads(
        subprocess.check_output(
            [clip, "probe", "--model", model, train, "--test-data", test, "--caption-key", column, "--json", *options]))


def fit(x, y, l2):
    return LogisticRegression(C=1 / l2, max_iter=1000, tol=1e-4).fit(x, y)


(x, y), (xt, yt) = read(train), read(test)
ours = probe()
print(f"{len(y)} training pictures, {len(yt)} test pictures, {len(set(y))} classes, {x.shape[1]} numbers each")
for l2 in (ours["l2"], 1.0):
    o = probe("--l2", repr(l2))
    start = time.time()
    score = fit(x, y, l2).score(xt, yt)
    print(
        f"l2 {l2:<8.3g} clip {100 * o['top1']:6.2f} % in {o['seconds']:6.2f} s   scikit-learn {100 * score:6.2f} "
        f"% in {time.time() - start:6.2f} s"
    )

start, seen, held = time.time(), {}, np.arange(len(y)) % 5 == 3
a = lambda at: seen.setdefault(at, fit(x[~held], y[~held], 10 ** (at / 8)).score(x[held], y[held]))
best = max(range(48, -49, -16), key=a)
for step in (8, 4, 2, 1):
    best = max((best, best + step, best - step), key=a)
score = fit(x, y, 10 ** (best / 8)).score(xt, yt)
print(f"swept       clip {100 * ours['top1']:6.2f} % in {ours['seconds']:6.2f} s (l2 {ours['l2']:.3g})   "
      f"scikit-learn {100 * score:6.2f} % in {time.time() - start:6.2f} s (l2 {10 ** (best / 8):.3g})")
