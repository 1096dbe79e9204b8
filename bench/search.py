#!/usr/bin/env python3
"""Exact search of 1,000,000 vectors of 512 numbers, beside FAISS and usearch, in one sitting on one
machine.

usage: search.py BUILD DIR EMBEDDINGS.npy [--texts TEXTS.npy] [--rows 1000000] [--threads 2]
  BUILD       a build directory, with bench/search in it
  DIR         room for the index and its input: 5 GB for a million rows; files there are used again
  EMBEDDINGS  [n, d] real embeddings (clip embed -o); several files are put side by side, each row
              of unit length, until there are 512 numbers
Needs: numpy, faiss-cpu, usearch.

Few people have a million pictures. The rows are the real ones, and mixtures a x + (1 - a) y of two
of them, a uniform, with Gaussian noise half as long as the median distance of a real row to its
nearest neighbour. Queries are 1,000 more such mixtures.

How much of an index a search reads depends on the query. With --texts (embeddings of words by the
same models, as many files) clip is also timed on those, and on random directions, for which codes
do not help. Peers always read everything. The right answers are numpy's f32 product over the
vectors as the index keeps them.
"""
import argparse, glob, json, os, subprocess, sys, time
import numpy as np

D, K, TOGETHER = 512, 10, 64

def unit(a):
    return a / np.linalg.norm(a, axis=1, keepdims=True)

def side_by_side(paths):
    parts = [unit(np.load(p).astype(np.float32)) for p in paths]
    n = min(map(len, parts))
    a = np.concatenate([p[:n] for p in parts], 1)
    if a.shape[1] != D:
        sys.exit(f"these files make {a.shape[1]} numbers a row, not {D}")
    return unit(a)

def widen(real, n, rng):
    some = real[rng.choice(len(real), min(500, len(real)), replace=False)]
    near = np.sqrt(np.maximum(0, 2 - 2 * np.partition(some @ real.T, -2, 1)[:, -2]))
    noise = 0.5 * np.median(near) / np.sqrt(D)
    out = np.empty((n, D), np.float32)
    for at in range(0, n, 10000):
        m = min(10000, n - at)
        x, y = rng.integers(len(real), size=(2, m))
        a = rng.random((m, 1), dtype=np.float32)
        out[at:at + m] = unit(a * real[x] + (1 - a) * real[y] + noise * rng.standard_normal((m, D), dtype=np.float32))
    out[:min(n, len(real))] = real[:n]
    return out

def best(f, times):
    t = []
    for _ in range(times):
        start = time.perf_counter()
        f()
        t.append(time.perf_counter() - start)
    return 1e3 * float(np.median(t))

def peers(base, query, threads):
    """Each index holds all vectors at a time, so they are timed one after the other. Medians of a
    query alone and of 64 in one call, in milliseconds."""
    import faiss
    import usearch.index as usearch
    faiss.omp_set_num_threads(threads)
    result = {}
    for name, kind in [("FAISS flat", "Flat"), ("FAISS fp16", "SQfp16"), ("FAISS SQ8", "SQ8")]:
        x = faiss.index_factory(D, kind, faiss.METRIC_INNER_PRODUCT)
        if kind != "Flat":
            x.train(base[:100000])
        x.add(base)
        x.search(query[:1], K)
        result[name] = best(lambda: x.search(query[:1], K), 9), best(lambda: x.search(query[:TOGETHER], K), 3)
        del x
    for name, a, q in [("usearch f32", base, query),
                       ("usearch f16", base.astype(np.float16), query.astype(np.float16))]:
        run = lambda n: usearch.search(a, q[:n], K, usearch.MetricKind.IP, exact=True, threads=threads)
        run(1)
        result[name] = best(lambda: run(1), 5), best(lambda: run(TOGETHER), 1)
    return result

def recall(base, query, found):
    """Recall of our 10 against the f32 product over the same f16 vectors. Rows that score as much
    as the tenth also count as right."""
    hits = 0
    score = np.full((len(query), K), -np.inf, np.float32)
    mine = np.einsum("qd,qkd->qk", query, base[found].astype(np.float32))
    for at in range(0, len(base), 50000):
        s = query @ base[at:at + 50000].astype(np.float32).T
        score = -np.partition(-np.concatenate([score, s], 1), K - 1, 1)[:, :K]
    hits = (mine >= score.min(1, keepdims=True) - 1e-6).sum()
    return hits / found.size

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build"), p.add_argument("dir"), p.add_argument("embeddings", nargs="+")
    p.add_argument("--texts", nargs="+", default=[]), p.add_argument("--rows", type=int,
                                                                     default=1000000), p.add_argument(
                                                                         "--threads", type=int, default=2)
    a = p.parse_args()
    program = os.path.join(a.build, "bench", "search")
    os.makedirs(a.dir, exist_ok=True)
    index, base, query, out = (os.path.join(a.dir, n) for n in ("index", "base.npy", "query.npy", "found.i32"))
    if not os.path.exists(query):
        rng = np.random.default_rng(1)
        real = side_by_side(a.embeddings)
        print(f"{len(real)} real embeddings, made {a.rows}", file=sys.stderr)
        both = widen(real, a.rows + 1000, rng)
        np.save(base, both[:-1000]), np.save(query, both[-1000:])
        print(subprocess.check_output([program, "--fill", index, base, str(D)], text=True), end="", file=sys.stderr)
    run = lambda q: json.loads(subprocess.check_output([program, index, q, out, str(a.threads)]))
    for name, make in [("words", lambda: side_by_side(a.texts)),
                       ("random directions",
                        lambda: unit(np.random.default_rng(2).standard_normal((64, D), dtype=np.float32)))]:
        if name != "words" or a.texts:
            np.save(os.path.join(a.dir, "other.npy"), make())
            ours = run(os.path.join(a.dir, "other.npy"))
            print(
                f"clip, queries are {name}: one {ours['one_ms']:.1f} ms, 64 in one call {ours['sixtyfour_ms']:.0f} ms")
    ours = run(query)
    query = np.load(query)
    print(
        f"clip: opening {ours['open_ms']:.1f} ms, first query {ours['first_ms']:.1f}; one {ours['one_ms']:.1f} "
        f"ms, 64 in one call {ours['sixtyfour_ms']:.0f} ms"
    )
    for name, (one, many) in peers(np.load(base), query, a.threads).items():
        print(
            f"{name}: one {one:.1f} ms ({one / ours['one_ms']:.1f}x), 64 in one call {many:.0f} ms "
            f"({many / ours['sixtyfour_ms']:.1f}x)",
            flush=True)
    found = np.fromfile(out, np.int32).reshape(-1, K)
    print(
        f"recall@10 over {len(found)} queries: "
        f"{recall(np.load(glob.glob(os.path.join(index, 'vectors*.npy'))[0], mmap_mode='r'), query, found):.5f}"
    )

main()
