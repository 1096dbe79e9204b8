#!/usr/bin/env python3
"""Texts a second of three tokenizers, in one sitting on the same texts.

They are ours, Hugging Face's (Rust) and OpenCLIP's (Python).

    python3 tools/bench_tokens.py build/tests/text/encode_lines [--threads 2] [--captions FILE.tsv]

The vocabulary comes from the open_clip package. Captions have 12 words each, or come from
FILE.tsv's column of captions. Rounds of the three alternate. The table shows the median of each and
the ratio to Hugging Face's.
"""
import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "true"  # open_clip would disable it


def texts_from(args):
    if args.captions:
        with open(args.captions, encoding="utf-8") as f:
            head = f.readline().rstrip("\n").split("\t")
            column = next(i for i, name in enumerate(head) if "caption" in name or "title" in name)
            return [row.rstrip("\n").split("\t")[column] for row in f][:20000]
    from parity_tokens import WORDS
    r = random.Random(0)
    common = [w for w in WORDS if w.isalpha()]
    return [" ".join(r.choice(common) for _ in range(12)) for _ in range(10000)]


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("program")
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--captions")
    args = args.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    from open_clip.tokenizer import SimpleTokenizer, default_bpe
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    from transformers import CLIPTokenizer

    texts = texts_from(args)
    data = b"".join(b"%d\n%s" % (len(t.encode()), t.encode()) for t in texts)
    simple = SimpleTokenizer()
    with tempfile.TemporaryDirectory() as scratch:
        names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
        with open(f"{scratch}/vocab.json", "w") as f:
            json.dump({names.get(k, k): v for k, v in simple.encoder.items()}, f)
        with gzip.open(default_bpe()) as g, open(f"{scratch}/merges.txt", "wb") as f:
            f.write(b"#version: 0.2\n" + b"\n".join(g.read().split(b"\n")[1:48895]) + b"\n")
        rust = CLIPTokenizer.from_pretrained(scratch).backend_tokenizer
        rust.enable_truncation(77)
        rates = {
            name: []
            for name in ("ours, OpenCLIP's rules", "ours, Hugging Face's rules", "Hugging Face tokenizers",
                         "OpenCLIP SimpleTokenizer, 1 thread")
        }
        rust.encode_batch_fast(texts)
        simple(texts[:500])
        for _ in range(args.rounds):
            for rules, name in (("openclip", "ours, OpenCLIP's rules"), ("huggingface", "ours, Hugging Face's rules")):
                out = subprocess.run([args.program, scratch, rules, "77", str(args.threads), "0.5"], input=data,
                                     stdout=subprocess.PIPE, check=True).stdout
                rates[name].append(json.loads(out)["texts_per_second"])
            start = time.perf_counter()
            rust.encode_batch_fast(texts)
            rates["Hugging Face tokenizers"].append(len(texts) / (time.perf_counter() - start))
            start = time.perf_counter()
            for t in texts[:2000]:
                simple.encode(t)
            rates["OpenCLIP SimpleTokenizer, 1 thread"].append(2000 / (time.perf_counter() - start))
    hf = statistics.median(rates["Hugging Face tokenizers"])
    print(f"{len(texts)} texts, {args.threads} threads, e.g. {texts[0]!r}")
    for name, all_rates in rates.items():
        rate = statistics.median(all_rates)
        print(f"{name:36} {rate:12,.0f} texts/s   {rate / hf:7.2f}")


if __name__ == "__main__":
    main()
