#!/usr/bin/env python3
"""Builds a training set in four languages: emoji with their names in Chinese, Japanese, German and English.

    data/make_languages.py DIRECTORY [--pieces 8000] [--size 64] [--packages DIRECTORY]

needs: Pillow, sentencepiece, npm (it fetches five packages, 110 MB), rsvg-convert (Debian: librsvg2-bin)

| source | pictures | licence |
|---|---|---|
| emoji-datasource-google, openmoji, fluentui-emoji (npm) | as in make_pairs.py: to train on | Apache-2.0 / OFL, CC BY-SA 4.0, MIT |
| @iconify-json/emojione (npm) | EmojiOne 2: validation only | CC BY 4.0 |

Captions are labels and tags of emojibase-data (MIT). Each training picture has 24 a language, made as with
make_pairs.py --vary words; clip train draws one in each epoch.

What it writes in DIRECTORY:

| pairs/train-NNN.tar | the training pairs, without a tenth of the concepts (that of make_pairs.py) |
| tokenizer/ | a SentencePiece unigram vocabulary, learned from the training captions, and its settings |
| known/HEXCODE.png, unseen/HEXCODE.png | EmojiOne's pictures: 500 concepts that are trained on, and those that are not |
| known-LANGUAGE.tsv, unseen-LANGUAGE.tsv | for each of these pictures its label: HEXCODE, label |
"""
import argparse
import concurrent.futures
import json
import os
import random
import re
import string
import sys
from pathlib import Path

import sentencepiece

import make_pairs

LANGUAGES = ["zh", "ja", "de", "en"]
PACKAGES = {**{name: version for name, version in make_pairs.PACKAGES.items() if name != "emoji-datasource-twitter"},
            "@iconify-json/emojione": "1.2.3"}
WANTED = (rf"(emojibase-data/({'|'.join(LANGUAGES)})/data\.json|emoji-datasource-google/img/google/64/.*\.png"
          r"|openmoji/color/svg/.*\.svg|fluentui-emoji/icons/modern/.*\.svg|@iconify-json/emojione/icons\.json)$")
KNOWN = 500  # pictures that a query has to choose from


# ---- Words ------------------------------------------------------------------------------------------------


def read_words(files):
    """{language: {hexcode: [label] or [label, "label, tag, ..."]}}"""
    words = {}
    for language in LANGUAGES:
        concepts = json.loads(files[f"emojibase-data/{language}/data.json"])
        words[language] = {e["hexcode"]: make_pairs.captions_of(e) for e in concepts}
    return words


def plain(text):
    """What SiglipTokenizer splits: small letters without punctuation."""
    return text.lower().translate(str.maketrans("", "", string.punctuation))


def learn_vocabulary(captions, pieces, directory):
    """A unigram vocabulary for SiglipTokenizer."""
    directory.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=map(plain, captions), model_prefix=str(directory / "spiece"), vocab_size=pieces, character_coverage=1.0,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2)
    (directory / "spiece.vocab").unlink()
    settings = {"tokenizer_class": "SiglipTokenizer", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def print_lengths(words, directory):
    """Tokens of a label, with the end token."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(directory / "spiece.model"))
    for language, of_code in words.items():
        lengths = [len(pieces.encode(plain(captions[0]))) + 1 for captions in of_code.values()]
        print(f"{language}: {sum(lengths) / len(lengths):.1f} tokens a label, at most {max(lengths)}", flush=True)


# ---- Pictures ---------------------------------------------------------------------------------------------


def emojione(files):
    """{name in English, with hyphens: SVG} of EmojiOne 2."""
    icons = json.loads(files["@iconify-json/emojione/icons.json"])
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 64 64">'
    return {name: f"{head}{icon['body']}</svg>".encode() for name, icon in icons["icons"].items()}


def write_training(out, rows, files, size):
    """rows: (source, captions)"""
    (out / "pairs").mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(rows), make_pairs.SHARD):
            shard = [(i + n, source, captions) for n, (source, captions) in enumerate(rows[i : i + make_pairs.SHARD])]
            pictures = pool.map(lambda row: make_pairs.picture(row[1], files, size), shard)
            make_pairs.write_tar(out / "pairs" / f"train-{i // make_pairs.SHARD:03d}.tar", shard, pictures)


def write_validation(out, name, codes, words, pictures, size):
    """pictures: {hexcode: SVG}"""
    (out / name).mkdir(parents=True, exist_ok=True)
    for code in codes:
        make_pairs.prepare(make_pairs.draw_svg(pictures[code], size), size).save(out / name / f"{code}.png")
    for language in LANGUAGES:
        lines = [f"{code}\t{words[language][code][0]}\n" for code in codes]
        (out / f"{name}-{language}.tsv").write_text("".join(lines), encoding="utf-8")
    print(f"{name}: {len(codes)} pictures", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--pieces", type=int, default=8000, help="size of the vocabulary")
    p.add_argument("--size", type=int, default=64, help="side of the pictures")
    p.add_argument("--packages", type=Path, help="where the packages are kept (default: DIRECTORY/packages)")
    a = p.parse_args()
    files = make_pairs.fetch(a.packages or a.directory / "packages", PACKAGES, WANTED)
    words = read_words(files)
    concepts = json.loads(files["emojibase-data/en/data.json"])
    held_out = make_pairs.held_out_concepts(concepts)

    rows, captions = [], []
    for e in concepts:
        code = e["hexcode"]
        if code in held_out:
            continue
        draw = random.Random(code)
        varied = [c for language in LANGUAGES for c in make_pairs.vary_words("", words[language][code], False, draw)]
        captions += varied
        rows += [(source, varied) for source, _ in make_pairs.emoji_sources(e, files)]
    learn_vocabulary(captions, a.pieces, a.directory / "tokenizer")
    print_lengths(words, a.directory / "tokenizer")
    write_training(a.directory, rows, files, a.size)
    print(f"train: {len(rows)} pictures", flush=True)

    of_name = emojione(files)
    slugs = {e["hexcode"]: re.sub("[\u2019:.]", "", e["label"].lower()).replace(" ", "-") for e in concepts}
    pictures = {code: of_name[slug] for code, slug in slugs.items() if slug in of_name}
    known = sorted(pictures.keys() - held_out)
    random.Random(0).shuffle(known)
    write_validation(a.directory, "known", sorted(known[:KNOWN]), words, pictures, a.size)
    write_validation(a.directory, "unseen", sorted(pictures.keys() & held_out), words, pictures, a.size)


if __name__ == "__main__":
    sys.exit(main())
