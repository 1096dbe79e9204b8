#!/usr/bin/env python3
"""Write golden token ids for tests/text, from OpenCLIP's and transformers' tokenizers.

    python3 tools/dump_tokens.py tests/text/golden

Reads vocab.json and merges.txt there. Writes lines.txt and added.json. lines.txt has three rows for
each line: the text with its control characters and invalid bytes as \\xHH, and the ids by either
set of rules, cut to 77. added.json has transformers' ids for checkpoints whose other files add
tokens of their own.
Needs: open_clip, transformers.
"""
import gzip
import json
import os
import random
import shutil
import sys
import tempfile

from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTokenizer

import parity_tokens

CONTEXT = 77
LINES = """
a photo of a cat
A PHOTO OF A CAT
  many   spaces\\tand\\ttabs  
line\\none\\r\\nline two\\rline three
it's we're they've I'll he'd I'm don't 'tis rock'n'roll o'clock
IT'S WE'RE THEY'VE I'LL HE'D I'M DON'T
it\u2019s we\u2019re \u2018quoted\u2019 \u201cdouble\u201d \u02bctwas
''s '''ll !'s 's's 's'
'\u017f x'\u017f '\u017fs
1 12 123 3.14 1,000,000 24/12/2024 3D 4k x264 90s 007
\u00bd \u2167 10\u00b2 H\u2082O \u0663\u0664 \u0967\u0968 \u4e09\u5341 \u3007 \U0001D7D9
hello, world! (really?) [yes] {no} <maybe> "quotes" #tag @user 50% $5 a+b=c a_b a-b a/b a\\\\b ^ ~ `
!!! ... --- *** ?!?! ,,, ;;; :::
Grinning face \U0001F600, thumbs up \U0001F44D\U0001F3FD, family \U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466
\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7 \U0001F3F4\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F \U0001F3F3\uFE0F\u200D\U0001F308 1\uFE0F\u20E3 \u2764\uFE0F\u200D\U0001F525 \u00A9\uFE0F
\u263A \u2603 \u2764 \u2192 \u221e \u20ac \u00a3 \u2122 \u00ae
caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m A\u030angstro\u0308m o\u0323\u0308 o\u0308\u0323
fa\u00e7ade cr\u00e8me br\u00fbl\u00e9e \u0141\u00f3d\u017a \u010cesk\u00e9 \u0159e\u0159icha \u0130stanbul \u0131\u015f\u0131k \u00d8re \u00e6 \u00de\u00f3r \u00df \u1e9e STRASSE stra\u00dfe
\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3 \u03a3 A\u03a3. A\u03a3\u0301b A.\u03a3 \u03a3\u03a3\u03a3 \u1f88 \u1fb3 \u03b1\u0345 \u0345
\u041a\u043e\u0448\u043a\u0430 \u043d\u0430 \u043e\u043a\u043d\u0435 \u0401\u0436 \u0439 \u0438\u0306 \u0490
\u05d7\u05ea\u05d5\u05dc \u05e2\u05dc \u05d4\u05d7\u05dc\u05d5\u05df \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd
\u0642\u0637\u0629 \u0639\u0644\u0649 \u0627\u0644\u0646\u0627\u0641\u0630\u0629 \u0627\u0654 \u0623 \u064b
\u092c\u093f\u0932\u094d\u0932\u0940 \u0958 \u0915\u093c \u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0e41\u0e21\u0e27 \u0e19\u0e49\u0e33 \u1780\u17c6 \u1019\u103c\u1014\u103a\u1019\u102c
\u7a93\u306e\u732b \u30cd\u30b3 \uff88\uff7a \u30ac \u30ab\u3099 \uff76\uff9e \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \u1112\u1161\u11a7 \u4e2d\u6587 \U00020000
\uff21\uff22\uff23 \uff11\uff12\uff13 \uff01 \u3000full\u3000width \uffe5 \uffe3 \uff07s
\u10d0\u10d1 \u1c90\u1c91 \u0531\u0561 \u13a0\uab70 \U00010400\U00010428 \u1200 \u1400 \u16a0 \U0001E900 \ua640
\ufb01ne \ufb02ow o\ufb03ce \ufb05 \ufb06 \u0149 \u0132 \u01c4 \u01c5 \u01c6 \u01ca \u01f1
\u212a \u212b \u2126 \u2460 \u24b6 \u24d0 \u2160 \u2170 \u2c60 \ua7cb \ua7dc \u1c89 \U00010d50
&amp; &lt;b&gt; &eacute;t&eacute; &EACUTE; &#233; &#xE9; &#x1F600; &amp;amp; &amp;lt; &amp;amp;eacute;
&copy 2024 &copy; &notit; &AMP &AMP; &nbsp; x&nbsp;y &hellip; &mdash; &rsquo;s &#8217;s &#39;s &quot;q&quot; &apos;s
&#0; &#128; &#x80; &#145; &#xD800; &#x110000; &#99999999999; &#1; &#11; &#xFFFE; &#xFDD0; &#13; &#x0; &# &#x &#; &#x; &; & &a &zz;
&frac12; &szlig; &SZLIG; &FFLIG; &NAPOS; &NotEqualTilde; &fjlig; &Tab; &NewLine; &semi; &lbrace; &alpha; &Alpha; &ALPHA; &nTILDE; &ampersand;
R&D AT&T a&b; Q&A; black&white &amp
<p>Tom &amp; Jerry</p> &lt;i&gt; &EACUTE;
no bracket &EACUTE;\\nthen <b>\\n&EACUTE; &amp;
\\x00null\\x00 \\x01\\x02 \\x07bell \\x0bvt\\x0c ff \\x1b[31mred\\x1b[0m \\x1b[1;4mx \\x1b] \\x7fdel \u200bzero \u200cnj \u200dj \u2060wj \u00ad-
\u0080 \u0085 \u0091quoted\u0092 \u0099 \u009f \u00a0nbsp\u00a0 \u2028 \u2029 \u202e \u206a \ufeffbom \ufff9 \ufffc \ufffd \ufffe \uffff
\u1680 \u2000 \u2003 \u2009 \u202f \u205f \u3000 a\u2003b
\\xff \\xc3 \\xc3( \\xe2\\x82 \\xe2\\x82a \\xf0\\x9f\\x98 \\xed\\xa0\\x80 \\xc0\\x80 \\xf4\\x90\\x80\\x80 \\xf8\\x88\\x80\\x80\\x80 abc\\x80def
sch\u00c3\u00b6n caf\u00c3\u00a9 \u00e2\u20ac\u0153quoted\u00e2\u20ac\u009d l\u00e2\u20ac\u2122\u00c3\u00a9t\u00c3\u00a9 \u00e2\u20ac\u201c
\u00c3\u0192\u00c2\u00b6 \u00c3\u00a0 la voil\u00c3 le \u00f0\u0178\u02dc\u20ac \u00e6\u2014\u00a5\u00e6\u0153\u00ac
\u0420\u0457\u0421\u0402\u0420\u0451\u0420\u0406\u0420\u00b5\u0421\u201a \u00d0\u00bf\u00d1\u20ac\u00d0\u00b8\u00d0\u00b2\u00d0\u00b5\u00d1\u201a \u00ce\u00b3\u00ce\u00ac\u00cf\u201e\u00ce\u00b1
\u221a\u00b6 \u201a\u00c4\u00fa \u0102\u00b6 \u00e2\u20ac\ufffd x \u00c3? \u00ef\u00bf\u00bd \u00e0\u00b2\u00b9
\u00c2\u00a3 5 \u00c2\u00b0C \u00c2 x \u00c3 y \u00b0 \u00bf \u00a1Hola! \u00abquoi\u00bb \u00a7 \u00b6 \u00ac
\u0153uvre \u0152UVRE c\u0153ur \u0153\u00e9 \u00d7\u00b2 \u0432\u0402\u201c \u03b2\u20ac\u2122
<|startoftext|> <|endoftext|> <start_of_text> <end_of_text>
a<|endoftext|>b <|ENDOFTEXT|> <|StartOfText|>!! !<|endoftext|> <|endoftext|>\u0338 <|endoftext
a<end_of_text>b <START_OF_TEXT> !<end_of_text> <end_of_text>> <<end_of_text> <\u017ftart_of_text> <end_of_text
</w> a</w> </w</w> \u0120a \u0100
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
ananananananananananananananananananananananananananananananananananananananananananananananananananananananananan
the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog
\u10efd \u1ace\u0301a a\U00010efd\u0316 a\u1abf\u0316 \u0f73 \u0f71\u0f72 \u2adc \u0344 \U0001d15e \U00011935\U00011930 \u09c7\u09be \u1025\u102e
\u0558 \u088f \U00013460 \U0002ebf0 \U000323b0 \U00016d70 \U00012550 \U0003d000
""".strip("\n").split("\n")


def token(content, **more):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, **more}


START, END = "<|startoftext|>", "<|endoftext|>"
ADDED_TEXT = "!A <cat-toy> <CAT-TOY>! sks<|EndOfText|>x <|startoftext|>\u0338 <|endoftext|>!! <|pad|> a photo of\u00a0SKS <1><2>"
ADDED = [
    {},
    {"special_tokens_map.json": {"pad_token": "!"}},
    {
        "special_tokens_map.json": {
            "bos_token": token(START, normalized=True), "eos_token": token(END, normalized=True), "pad_token": END,
            "unk_token": token(END, normalized=True)
        }
    },
    {"tokenizer_config.json": {"pad_token": token("!", normalized=False, __type="AddedToken"), "do_lower_case": True}},
    {"tokenizer_config.json": {"pad_token": "<|pad|>", "extra_special_tokens": ["<1>", "<2>"]}},
    {"tokenizer_config.json": {"additional_special_tokens": ["<2>", "<cat-toy>"], "pad_token": None}},
    {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "4097": token("<CAT-TOY>", normalized=True, special=False), "0": token(
                    "!", normalized=False, special=True), "4094": token(START, normalized=True, special=True),
                "4096": token("sks", normalized=False, special=False)
            }
        }, "special_tokens_map.json": {"pad_token": "<1>"}
    },
    {
        "added_tokens.json": {"<cat-toy>": 4097, "sks": 4096, "<1>": 4098},
        "special_tokens_map.json": {"cls_token": "<1>"}
    },
    {
        "tokenizer.json": [
            token(START, id=4094, normalized=True, special=True),
            token(END, id=4095, normalized=False, special=True)
        ]
    },
    {
        "tokenizer.json": [
            token("<cat-toy>", id=4096, normalized=True, special=False),
            token("<cat", id=4097, normalized=False, special=False)
        ], "tokenizer_config.json": {"bos_token": "<1>", "eos_token": "<2>", "unk_token": "<2>"}
    },
]


def added_tokens(where, scratch):
    """Ids with each of these sets of files beside the vocabulary."""
    with open(f"{where}/vocab.json") as f, open(f"{where}/merges.txt") as g:
        vocab, merges = json.load(f), g.read().rstrip("\n").split("\n")[1:]
    model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocab, "merges": merges}
    cases = []
    for i, files in enumerate(ADDED):
        path = os.path.join(scratch, str(i))
        os.mkdir(path)
        for name in ("vocab.json", "merges.txt"):
            shutil.copy(f"{where}/{name}", path)
        for name, content in files.items():
            if name == "tokenizer.json":
                content = {
                    "version": "1.0", "truncation": None, "padding": None, "added_tokens": content, "normalizer": None,
                    "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model
                }
            with open(f"{path}/{name}", "w") as f:
                json.dump(content, f)
        hf = CLIPTokenizer.from_pretrained(path)
        ids = hf(ADDED_TEXT)["input_ids"]
        cases.append({"files": files, "vocab_size": max(hf.get_vocab().values()) + 1, "ids": ids})
    with open(f"{where}/added.json", "w") as f:
        f.write('{"text": ' + json.dumps(ADDED_TEXT) + ', "cases": [\n' + ",\n".join(json.dumps(c)
                                                                                     for c in cases) + "\n]}\n")


def plain(text):
    """The bytes of an escaped text."""
    return text.encode("utf-8").replace(b"\\\\", b"\0BACKSLASH\0").replace(b"\\n", b"\n").replace(b"\\r", b"\r").replace(b"\\t", b"\t")


def unescape(text):
    out, data, i = bytearray(), plain(text), 0
    while i < len(data):
        if data[i:i + 2] == b"\\x":
            out.append(int(data[i + 2:i + 4], 16))
            i += 4
        else:
            out.append(data[i])
            i += 1
    return bytes(out).replace(b"\0BACKSLASH\0", b"\\")


def escape(data):
    """One printable line of UTF-8."""
    out = ""
    for c in data.decode("utf-8", errors="surrogateescape"):
        if 0xDC80 <= ord(c) <= 0xDCFF:
            out += f"\\x{ord(c) - 0xDC00:02x}"
        elif c == "\\" or not (c.isprintable() or c == "\u200d"):
            out += "".join(f"\\x{b:02x}" for b in c.encode("utf-8"))
        else:
            out += c
    return out


def main():
    where = sys.argv[1]
    r = random.Random(2026)
    lines = [b"", b" ", b"\n", b"\x00"] + [unescape(t) for t in LINES]
    lines += [part for t in LINES for part in unescape(t).split(b" ") if 0 < len(part) < 40]
    while len(lines) < 900:
        line = parity_tokens.line(r)
        if len(line) < 160:
            lines.append(line)
    seen = set()
    lines = [t for t in lines if not (t in seen or seen.add(t))]
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "bpe.txt.gz")
        with open(f"{where}/merges.txt", "rb") as f, gzip.open(path, "wb") as g:
            g.write(f.read().rstrip(b"\n"))  # SimpleTokenizer would take an empty last line for a token
        openclip = SimpleTokenizer(path, context_length=CONTEXT)
        hf = CLIPTokenizer.from_pretrained(where)
        with open(f"{where}/lines.txt", "w", encoding="utf-8") as f:
            for data in lines:
                text = data.decode("utf-8", errors="replace")
                ids = [openclip.sot_token_id] + openclip.encode(text) + [openclip.eot_token_id]
                if len(ids) > CONTEXT:
                    ids = ids[: CONTEXT - 1] + [openclip.eot_token_id]
                theirs = hf(text, truncation=True, max_length=CONTEXT)["input_ids"]
                f.write(f"{escape(data)}\n{' '.join(map(str, ids))}\n{' '.join(map(str, theirs))}\n")
        added_tokens(where, scratch)
    print(f"{len(lines)} lines, {len(ADDED)} sets of added tokens")


if __name__ == "__main__":
    main()
