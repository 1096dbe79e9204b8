#!/usr/bin/env python3
"""Write the table of docs/models.md: which models load, and agree with the packages they come from.

    parity_families.py --lib build/src/api/libclip.so --work DIRECTORY --results RESULTS
    make_models_table.py RESULTS docs/models.md [--immich FILE]

RESULTS: the lines that parity_families.py has appended. A row for each architecture of
open_clip.list_pretrained(), and for each model type of transformers. What stands between the markers
of the page is replaced. FILE: the names of Immich's models for search, one a line; how many of them
agree is printed as well.
Needs: the packages of parity_families.py.
"""
import argparse
import re
from collections import Counter
from pathlib import Path

import open_clip

from parity_families import MODELS

BEGIN, END = "<!-- tools/make_models_table.py: begin -->\n", "<!-- tools/make_models_table.py: end -->\n"
# Types of transformers that put pictures and texts into one space by two encoders.
TYPES = ("align", "altclip", "chinese_clip", "clip", "clipseg", "flava", "groupvit", "metaclip_2", "owlv2", "owlvit",
         "siglip", "siglip2", "vision-text-dual-encoder")
FIGURES = re.compile(r"pictures (\S+) \((\S+)\) texts (\S+) \((\S+)\)")
# Multilingual-CLIP's names, which Immich has beside OpenCLIP's: XLM-R's and LaBSE's.
MCLIP = {"xlm-roberta-large-vit-b-32": "own:M-CLIP", "xlm-roberta-large-vit-b-16plus": "own:M-CLIP",
         "xlm-roberta-large-vit-l-14": "own:M-CLIP", "labse-vit-l-14": "own:M-CLIP-LaBSE"}


def read(path):
    """name: (agrees, cosine of pictures, cosine of texts, largest difference); the last line of a name counts."""
    results = {}
    for line in path.read_text().splitlines():
        name, verdict = line.split()[:2]
        found = FIGURES.search(line)
        results[name] = (verdict == "yes", *figures(found)) if found else (False, "", "", "")
    return results


def figures(found):
    image, image_error, text, text_error = found.groups()
    alone = float(image_error) == 0  # a text encoder
    return "" if alone else image, text, f"{max(float(image_error), float(text_error)):.0e}"


def tokens(architecture):
    """Only OpenCLIP's own vocabulary is in a package."""
    text = open_clip.get_model_config(architecture)["text_cfg"]
    own = "hf_tokenizer_name" not in text and text.get("vocab_size", 49408) == 49408
    return "equal" if own else "not tested"


def row(first, result, *last):
    if result is None:
        cells = ("not run", "", "", "")
    else:
        cells = ("yes" if result[0] else "**no**", *result[1:])
    return "| " + " | ".join((*first, *cells, *last)) + " |"


def fold(name):
    return name.replace("_", "-").lower()


def immich(path, results, pairs):
    """How many of the names in the file are of models that agree, and the others."""
    known = {fold(f"{a}__{t}"): a for a, t in pairs}
    good, bad = 0, []
    for name in path.read_text().split():
        key = known.get(fold(name)) or MCLIP.get(fold(name))
        if results.get(key, (False,))[0]:
            good += 1
        else:
            bad.append(name)
    return good, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--immich", type=Path)
    args = parser.parse_args()
    results, pairs = read(args.results), open_clip.list_pretrained()
    tags = Counter(a for a, _ in pairs)
    good = sum(n for a, n in tags.items() if results.get(a, (False,))[0])
    missing = sum(n for a, n in tags.items() if a not in results)
    counts = f"{len(pairs)} pairs in {len(tags)} architectures: {good} agree, {len(pairs) - good - missing} do not, " \
             f"{missing} have not been run"
    print(counts)
    lines = [counts + ".", "",
             "| OpenCLIP's architecture | tags | agrees | pictures | texts | difference | token ids |",
             "|---|---|---|---|---|---|---|"]
    architectures = set(tags) | (set(results) & set(open_clip.list_models()))  # some have no tag
    lines += [row((a, str(tags[a])), results.get(a), tokens(a)) for a in sorted(architectures, key=str.lower)]
    lines += ["", "| type of transformers, or authors' own names | agrees | pictures | texts | difference |",
              "|---|---|---|---|---|"]
    types = sorted({f"hf:{t}" for t in TYPES} | set(MODELS))
    lines += [row((t.removeprefix("hf:"),), results.get(t)) for t in types]
    if args.immich:
        fit, unfit = immich(args.immich, results, pairs)
        print(f"Immich: {fit} of {fit + len(unfit)}; not {', '.join(unfit) or 'one'}")
    page = args.page.read_text()
    before, rest = page.split(BEGIN)
    args.page.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
