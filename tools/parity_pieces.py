#!/usr/bin/env python3
"""Compare our token ids with transformers' and OpenCLIP's tokenizers of other kinds than CLIP's, line by line.

    python3 tools/parity_pieces.py build/tests/text/encode_lines DIR [DIR ...] [--lines 20000] [--seed 0] [--context 64]

Each DIR has the files of one tokenizer, as transformers saves them: SigLIP, T5, XLM-R, NLLB, Gemma, BERT.
tools/make_vocabularies.py makes such directories. Every DIR is read as transformers reads it, and, but for the first
SigLIP, as open_clip.HFTokenizer does, with each kind of cleaning. The lines are those of
parity_tokens.py, and some with
special tokens. Prints how many are equal, and the first that are not. Needs open_clip, transformers and sentencepiece.
"""

import argparse
import json
import random
import sys

from open_clip.tokenizer import HFTokenizer, get_clean_fn
import transformers
from transformers import AutoTokenizer

import parity_tokens

SPECIAL = [
    "</s>",
    "<s>",
    "<unk>",
    "<pad>",
    "<mask>",
    " <mask> ",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[unk]",
    "<eos>",
    "<bos>",
    "<start_of_turn>",
    "<h1>",
    "<0x41>",
    "\u2581",
    "\u2581\u2581",
    "eng_Latn",
    "zho_Hans",
    "<extra_id_0>",
    "</S>",
    "##a",
    "a_b",
    "\n\n",
    "  ",
    "\t\t",
]
parity_tokens.SPECIALISTS.append(lambda r: r.choice(SPECIAL))


def corpus_line(r, corpus):
    words = r.choice(corpus)
    return words if r.random() < 0.7 else " ".join((words, parity_tokens.piece(r), r.choice(corpus)))


def compare(name, program, directory, rules, context, lines, want, show):
    return parity_tokens.report(
        f"{directory}, {name}", parity_tokens.ours(program, directory, rules, context, lines), want, lines, show
    )


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("program")
    args.add_argument("directory", nargs="+")
    args.add_argument("--lines", type=int, default=20000)
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--show", type=int, default=5)
    args.add_argument("--context", type=int, default=64)
    args.add_argument("--corpus", help="a text file of many languages, some of whose lines are compared as well")
    args.add_argument("--only", help="the rules to compare, separated by commas")
    args = args.parse_args()
    transformers.logging.set_verbosity_error()
    r = random.Random(args.seed)
    lines = [parity_tokens.line(r) for _ in range(args.lines)]
    if args.corpus:
        corpus = open(args.corpus, encoding="utf-8").read().split("\n")
        lines[::2] = [corpus_line(r, corpus).encode("utf-8", errors="replace") for _ in lines[::2]]
    texts = [t.decode("utf-8", errors="replace") for t in lines]
    cleaned = {}
    equal = True
    for directory in args.directory:
        with open(f"{directory}/tokenizer_config.json") as f:
            kind = json.load(f)["tokenizer_class"].removesuffix("Fast")
        own = getattr(transformers, kind, None) if kind != "PreTrainedTokenizerFast" else None
        tokenizer = (own or transformers.AutoTokenizer).from_pretrained(directory)
        runs = (
            {"siglip": None}
            if kind == "SiglipTokenizer"
            else (
                {"siglip2": None}
                if kind == "Siglip2Tokenizer"
                else {"huggingface": None, "hftokenizer": "whitespace", "canonicalize": "canonicalize"}
            )
        )
        if kind == "BertTokenizer":
            runs["clipa"] = "whitespace"
        for rules, clean in runs.items():
            if args.only and rules not in args.only.split(","):
                continue
            if clean and clean not in cleaned:
                cleaned[clean] = [get_clean_fn(clean)(t) for t in texts]
            want = tokenizer(cleaned[clean] if clean else texts, truncation=True, max_length=args.context)["input_ids"]
            if rules == "clipa":
                want = [[0 if i == tokenizer.sep_token_id else i for i in ids] for ids in want]
            equal &= compare(rules, args.program, directory, rules, args.context, lines, want, args.show)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
