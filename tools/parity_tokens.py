#!/usr/bin/env python3
"""Compare our token ids with OpenCLIP's and transformers' tokenizers, line by line.

    python3 tools/parity_tokens.py build/tests/text/encode_lines [--vocab DIR] [--lines 20000]
                                   [--seed 0]

The tokenizers are OpenCLIP's SimpleTokenizer and HFTokenizer and transformers' CLIPTokenizer. The
vocabulary comes from the open_clip package (49,408 entries), or from DIR's vocab.json and
merges.txt. The lines are made from a seed: every script, emoji with joiners, combining marks, HTML,
controls, mojibake, invalid UTF-8, long words, long texts, empty ones. Prints how many lines are
equal, and the first ones that differ.
Needs: open_clip, transformers.
"""
import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from open_clip.tokenizer import SimpleTokenizer, default_bpe, get_clean_fn
from transformers import CLIPTokenizer

WORDS = """a an the of on in with photo picture painting drawing sketch red green blue yellow small large dog cat bird
horse car bicycle house tree mountain river street people man woman child holding wearing riding standing sitting
eating looking sunset beach snow forest kitchen table chair laptop phone pizza coffee vintage poster logo icon
illustration vector watercolor photograph closeup aerial view night city skyline McDonald's rock'n'roll it's don't
we're they've I'll he'd o'clock 's 't 're
""".split()
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xFF), (0x100, 0x24F), (0x250, 0x2AF), (0x370, 0x3FF), (0x400, 0x4FF),
           (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF),
           (0xA00, 0xA7F), (0xB80, 0xBFF), (0xC00, 0xC7F), (0xD00, 0xD7F), (0xE00, 0xE7F),
           (0xE80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F),
           (0x13A0, 0x13FF), (0x1780, 0x17FF), (0x1800, 0x18AF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F),
           (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x218F), (0x2190, 0x22FF), (0x2460, 0x24FF), (0x2500, 0x25FF),
           (0x2C00, 0x2DFF), (0x3000, 0x30FF), (0x3100, 0x33FF), (0x4E00, 0x9FFF), (0xA640, 0xA69F), (0xA720, 0xA7FF),
           (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFB4F), (0xFE20, 0xFE6F), (0xFF00, 0xFFEF), (0x10000, 0x100FF),
           (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1E900, 0x1E95F), (0x20000, 0x2A6DF)]
MARKS = [chr(c) for c in range(0x300, 0x370)
         ] + [chr(c) for c in (0x483, 0x5B0, 0x64B, 0x654, 0x93C, 0x94D, 0x3099, 0x309A, 0x20D0, 0x20E3)]
EMOJI = [
    "\U0001F600", "\u2764\uFE0F", "\U0001F44D\U0001F3FD", "\U0001F468\u200D\U0001F469\u200D\U0001F467",
    "\U0001F1E9\U0001F1EA", "1\uFE0F\u20E3", "\U0001F3F4\U000E0067\U000E0062\U000E0077\U000E006C\U000E0073\U000E007F",
    "\U0001F3F3\uFE0F\u200D\U0001F308", "\u263A", "\u2603\uFE0F",
    "\U0001F9D1\U0001F3FF\u200D\U0001F91D\u200D\U0001F9D1\U0001F3FB", "\u00A9\uFE0F", "\U0001FAE0"
]
HTML = [
    "&amp;", "&lt;b&gt;", "<b>bold</b>", "&eacute;", "&EACUTE;", "&#233;", "&#xE9;", "&#x1F600;", "&amp;amp;",
    "&amp;lt;", "&nbsp;", "&hellip;", "&notit;", "&copy", "&AMP", "&#0;", "&#128;", "&#xD800;", "&#x110000;", "&#1;",
    "&#39;s", "&quot;x&quot;", "&frac12;", "&szlig;", "&SZLIG;", "R&D", "AT&T", "a&b;", "&;", "&#;", "&#x;",
    "&NotEqualTilde;", "&fjlig;", "&ampersand;", "&rsquo;s", "&#8217;s", "<br/>", "&Tab;", "&NewLine;"
]
CONTROLS = [chr(c) for c in range(0x20)] + [
    "\x7f", "\x80", "\x85", "\x91", "\x9f", "\xa0", "\xad", "\u200b", "\u200c", "\u200d", "\u200e", "\u2028", "\u2029",
    "\u202e", "\u2060", "\u206a", "\ufeff", "\ufff9", "\ufffc", "\ufffd", "\ufffe", "\u3000", "\x1b[31m", "\x1b[0;1m",
    "\x1b[\u0663m", "\r\n", "\v", "\f", "\u1680", "\u2003", "\u202f", "\u205f"
]
QUOTES = [
    "\u2018", "\u2019", "\u201c", "\u201d", "\u2019s", "\u2019re", "'S", "'\u017f", "''s", "'ll", "\u02bc", "\u201a",
    "\u201e", "\u00ab", "\u00bb", "\uff07"
]
SPECIAL = [
    "<|startoftext|>", "<|endoftext|>", "<start_of_text>", "<end_of_text>", "<|ENDOFTEXT|>", "<|StartOfText|>!!",
    "<START_OF_TEXT>x", "<\u017ftart_of_text>", "!<end_of_text>", "<|endoftext|", "</w>", "<end_of_text><end_of_text>",
    "<|endoftext|>s", "<|endoftext|>\u0338"
]
SINGLE = [
    "\u0130", "\u0131", "\u03a3", "\u039f\u0394\u039f\u03a3", "\u03a3\u0391\u03a3", "\u03a3.", "A\u03a3\u0301",
    "\u1e9e", "\u00df", "\u212a", "\u212b", "\u2126", "\ufb01", "\ufb06", "\u0149", "\u01c4", "\u0132", "\u0345",
    "\u03b1\u0345", "\u1fb3", "\u1f88", "\u2160", "\u24b6", "\u00bd", "\u00b2", "\u2074", "\u0663", "\u0967", "\u4e09",
    "\u3007", "\u2188", "\U0001D7D9", "\u0958", "\u0f73", "\u1161\u11a8", "\u1100\u1161\u11a8", "\u11935\u11930",
    "\u2adc", "\u2000", "\u2001", "\u00c5", "A\u030a", "o\u0308\u0323", "o\u0323\u0308"
]
CODINGS = [
    "latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253",
    "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"
]


def word(r):
    w = r.choice(WORDS)
    return r.choice([w, w, w, w.upper(), w.capitalize()])


def script(r, count=None):
    lo, hi = r.choice(SCRIPTS)
    return "".join(chr(r.randint(lo, hi)) for _ in range(count or r.randint(1, 8)))


def any_point(r):
    while True:
        c = r.randrange(0x110000)
        if not 0xD800 <= c < 0xE000 and (unicodedata.category(chr(c)) != "Cn" or r.random() < 0.05):
            return chr(c)


def marks(r):
    return script(r, 1) + "".join(r.choice(MARKS) for _ in range(r.randint(1, 6)))


def mojibake(r):
    text = r.choice([
        "sch\u00f6n", "na\u00efve caf\u00e9", "\u201cquoted\u201d \u2013 text\u2026", "l\u2019\u00e9t\u00e9 \u00e0 la",
        script(r),
        script(r),
        r.choice(EMOJI),
        r.choice(HTML)
    ])
    for _ in range(r.choice([1, 1, 1, 2])):
        text = text.encode("utf-8").decode(r.choice(CODINGS), errors="replace")
    return text


def digits(r):
    return r.choice([
        str(r.randint(0, 10**r.randint(1, 9))), f"{r.random():.3f}", f"{r.randint(1, 31)}/{r.randint(1, 12)}/2024",
        "1,000,000", "3D", "4k", "x264", "90s", "\u00bd", "10\u00b2"
    ])


def punctuation(r):
    return "".join(
        r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u2026\u2014\u00bf\u00a1\u3001\u3002\u00b7\u20ac\u00a3")
        for _ in range(r.randint(1, 5)))


def long_word(r):
    n = r.choice([20, 63, 64, 65, 100, 300, 1023, 1024, 1025, 3000])
    unit = r.choice(["a", "ab", "abc", word(r), script(r, 1), "!", "?!", "xy"])
    return (unit * n)[:n]


SPECIALISTS = [script, any_point, marks, mojibake, digits, punctuation, long_word] + \
              [lambda r, of=of: r.choice(of) for of in (EMOJI, HTML, CONTROLS, QUOTES, SPECIAL, SINGLE)]


def piece(r):
    return r.choice([word] * 12 + [script] * 3 + SPECIALISTS)(r)


def line(r):
    kind = r.random()
    if kind < 0.02:
        return r.choice([b"", b" ", b"\n", b"\t \n", b"\x00", b"\xff", b"\xe2\x82", b"\xef\xbb\xbf"])
    if kind < 0.25:  # captions as they are
        return " ".join(word(r) for _ in range(r.randint(1, 16))).encode()
    if kind < 0.30:  # longer than any context
        return " ".join(piece(r) for _ in range(r.randint(60, 200))).encode()
    only = r.random()
    if only < 0.25:  # one category throughout
        make = r.choice(SPECIALISTS)
    else:
        make = piece
    joint = r.choice([" ", " ", " ", "", "\n", "  ", "\t", ", ", "-"])
    text = joint.join(make(r) for _ in range(r.randint(1, 12)))
    if r.random() < 0.1:
        text = "".join(r.choice((c.upper(), c.lower())) for c in text)
    data = text.encode("utf-8")
    if r.random() < 0.06:  # break it
        data = bytearray(data)
        for _ in range(r.randint(1, 4)):
            data.insert(r.randint(0, len(data)), r.choice([0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0xF8, 0xFF]))
        data = bytes(data[: r.randint(1, len(data))])
    return data


def ours(program, directory, rules, context, lines):
    stdin = b"".join(b"%d\n%s" % (len(t), t) for t in lines)
    out = subprocess.run([program, directory, rules, str(context)], input=stdin, stdout=subprocess.PIPE,
                         check=True).stdout
    return [[int(i) for i in row.split()] for row in out.decode().splitlines()]


def report(name, got, want, lines, verbose):
    different = [i for i in range(len(lines)) if got[i] != want[i]]
    print(f"{name}: {len(lines) - len(different)} of {len(lines)} lines equal")
    for i in different[:verbose]:
        at = next((k for k, (a, b) in enumerate(zip(got[i], want[i])) if a != b), min(len(got[i]), len(want[i])))
        print(f"  line {i}, from id {at} on: {lines[i][:300]!r}")
        print(f"    ours   {got[i][max(0, at - 4):at + 8]}\n    theirs {want[i][max(0, at - 4):at + 8]}")
    return not different


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("program")
    args.add_argument("--vocab")
    args.add_argument("--lines", type=int, default=20000)
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--show", type=int, default=5)
    args.add_argument("--context", type=int, default=77)
    args = args.parse_args()
    r = random.Random(args.seed)
    lines = [line(r) for _ in range(args.lines)]
    texts = [t.decode("utf-8", errors="replace") for t in lines]
    equal = True
    with tempfile.TemporaryDirectory() as scratch:
        simple = os.path.join(scratch, "bpe_simple_vocab_16e6.txt.gz")
        if args.vocab:
            with open(f"{args.vocab}/merges.txt", "rb") as f, gzip.open(simple, "wb") as g:
                g.write(f.read().rstrip(b"\n"))
            files = args.vocab
        else:
            with open(default_bpe(), "rb") as f, open(simple, "wb") as g:
                g.write(f.read())
            files = os.path.join(scratch, "hf")
            os.mkdir(files)
            encoder = SimpleTokenizer(simple).encoder
            names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
            with open(f"{files}/vocab.json", "w") as f:
                json.dump({names.get(k, k): v for k, v in encoder.items()}, f)
            with gzip.open(simple) as g, open(f"{files}/merges.txt", "wb") as f:
                f.write(b"#version: 0.2\n" + b"\n".join(g.read().split(b"\n")[1:48895]) + b"\n")
        openclip = SimpleTokenizer(simple, context_length=args.context)
        want = []
        for t in texts:
            ids = [openclip.sot_token_id] + openclip.encode(t) + [openclip.eot_token_id]
            want.append(ids if len(ids) <= args.context else ids[: args.context - 1] + [openclip.eot_token_id])
        for where in (scratch, files):
            equal &= report(f"OpenCLIP, {sorted(n for n in os.listdir(where) if os.path.isfile(f'{where}/{n}'))}",
                            ours(args.program, where, "openclip", args.context, lines), want, lines, args.show)
        hf = CLIPTokenizer.from_pretrained(files)
        want = hf(texts, truncation=True, max_length=args.context)["input_ids"]
        saved = os.path.join(scratch, "saved")
        hf.save_pretrained(saved)
        for where in (files, saved):
            equal &= report(f"transformers, {sorted(os.listdir(where))}",
                            ours(args.program, where, "huggingface", args.context, lines), want, lines, args.show)
        clean = get_clean_fn("whitespace")
        want = hf([clean(t) for t in texts], truncation=True, max_length=args.context)["input_ids"]
        equal &= report("OpenCLIP's HFTokenizer", ours(args.program, files, "hftokenizer", args.context, lines), want,
                        lines, args.show)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
