#!/usr/bin/env python3
"""Builds the training set: public pictures with names, as WebDataset tars, and pairs.tsv, which lists them by their sources.

    data/make_pairs.py DIRECTORY [--vary tags|words] [--size 64] [--packages DIRECTORY] [--check DIRECTORY]

needs: Pillow, npm (it fetches five packages, 170 MB), rsvg-convert (Debian: librsvg2-bin), openclipart-png and openclipart-svg

| source | pictures | captions | licence |
|---|---|---|---|
| emoji-datasource-google (npm) | Noto emoji | label; label + tags, from emojibase-data (MIT) | Apache-2.0 / OFL |
| openmoji (npm) | OpenMoji | same | CC BY-SA 4.0 |
| fluentui-emoji (npm) | Fluent | same | MIT |
| emoji-datasource-twitter (npm) | Twemoji, validation only | same | CC BY 4.0 |
| openclipart-png (Debian) | clip art | title; title + keywords, from openclipart-svg | public domain |

Splits: train; style_val, known concepts in a style that is not in train; concept_val, a tenth of the concepts, in train in no
style; clipart_val, every twentieth clip art. Only train may be trained on.

A picture is flattened on white, padded to a square and reduced with Pillow's bicubic. In a tar, NNNNNN is the row of pairs.tsv:
NNNNNN.png, NNNNNN.txt (the first caption), NNNNNN.json ({"captions": all of them, "source": ...}).

--vary is for the model that ships: a training picture gets more captions, made of the same words, and clip train draws one of them in each
epoch. tags: of a picture with tags, the label twice, label + tags, and twice the label and half of its tags. words: 24 captions; also tags
alone, "tag: title", and of a clip art whose title is that of a whole series the words of its file's name.

--check compares keys, captions, splits and pixels with another such directory (pairs.tsv and pairs/*.tar).
"""
import argparse
import collections
import concurrent.futures
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from PIL import Image, ImageChops

PACKAGES = {"emojibase-data": "17.0.0", "emoji-datasource-google": "16.0.0", "openmoji": "17.0.0", "fluentui-emoji": "1.3.0",
            "emoji-datasource-twitter": "16.0.0"}
WANTED = (r"(emojibase-data/en/data\.json|emoji-datasource-\w+/img/\w+/64/.*\.png|openmoji/color/svg/.*\.svg"
          r"|fluentui-emoji/icons/modern/.*\.svg)$")
CLIPART = Path("/usr/share/openclipart")
SERIES = 6            # clip art of one title: it names the series, not the picture
SHARD = 4000          # pairs a tar of the training split
TIME = 1700000000     # of every member, so that the same pictures make the same tar
Image.MAX_IMAGE_PIXELS = None  # the clip art's largest picture has 231 million

# ---- Packages ---------------------------------------------------------------------------------------------


def fetch(directory, packages, wanted):
    """{source path: bytes} of the packages' files whose source path matches `wanted`."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = re.compile(wanted)
    files = {}
    for name, version in packages.items():
        archive = directory / f"{name.strip('@').replace('/', '-')}-{version}.tgz"  # as npm names it
        if not archive.exists():
            subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(archive) as tar:
            for member in tar:
                source = name + "/" + member.name.partition("/")[2]
                if member.isfile() and wanted.match(source):
                    files[source] = tar.extractfile(member).read()
    return files


# ---- Emoji ------------------------------------------------------------------------------------------------


def emoji_sources(emoji, files):
    """The pictures of one concept: (source, its style is for validation only)."""
    code = emoji["hexcode"]
    datasource = [code.lower(), "-".join(f"{ord(c):04x}" for c in emoji["emoji"])]  # with or without the signs that ask for colours
    slug = re.sub("[\u2019:]", "", emoji["label"].lower()).replace(" ", "-")
    candidates = [
        ([f"emoji-datasource-google/img/google/64/{n}.png" for n in datasource], False),
        ([f"openmoji/color/svg/{code}.svg"], False),
        ([f"fluentui-emoji/icons/modern/{slug}.svg"], False),
        ([f"emoji-datasource-twitter/img/twitter/64/{n}.png" for n in datasource], True),
    ]
    for names, validation in candidates:
        found = [n for n in names if n in files]
        if found:
            yield found[0], validation


def held_out_concepts(concepts):
    """The hexcodes of a tenth of them."""
    codes = sorted(e["hexcode"] for e in concepts)
    random.Random(0).shuffle(codes)
    return set(codes[: len(codes) // 10])


def captions_of(emoji):
    """[label], or [label, "label, tag, ..."]"""
    label, tags = emoji["label"], emoji.get("tags")
    return [label, ", ".join([label, *tags])] if tags else [label]


def emoji_rows(files):
    concepts = json.loads(files["emojibase-data/en/data.json"])
    held_out = held_out_concepts(concepts)
    for e in concepts:
        captions = captions_of(e)
        for source, validation in emoji_sources(e, files):
            yield source, captions, "concept_val" if e["hexcode"] in held_out else "style_val" if validation else "train"


# ---- Clip art ---------------------------------------------------------------------------------------------

SAYS_NOTHING = {"", "computer", "icon", "icons", "theme", "lemon theme icon"}  # keywords of whole series


def clipart_captions(svg):
    text = svg.read_text(encoding="utf-8", errors="replace")
    clean = lambda s: " ".join(s.replace("_", " ").split())
    title = re.search(r"<dc:title[^>]*>([^<]*)</dc:title>", text)
    title = clean(title.group(1)) if title else ""
    if re.search("theme|collection", title, re.I):  # the series' title
        title = ""
    keywords = dict.fromkeys(map(clean, re.findall(r"<rdf:li[^>]*>([^<]*)</rdf:li>", text)))
    keywords = [k for k in keywords if k not in SAYS_NOTHING]
    both = ", ".join(filter(None, [title, *keywords]))
    return [title, both] if title and keywords else [both] if both else []


def clipart_rows():
    root, n = CLIPART / "png", 0
    paths = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    if not paths or not (CLIPART / "svg").is_dir():
        raise SystemExit(f"{CLIPART} has no pictures: the Debian packages openclipart-png and openclipart-svg are needed")
    for path in paths:
        if path.startswith(("shapes/stars/", "special/")) or ".svg" in path:
            continue
        captions = clipart_captions(CLIPART / "svg" / (path[:-4] + ".svg"))
        if captions:
            n += 1
            yield f"openclipart-png:{root / path}", captions, "train" if n % 20 else "clipart_val"


# ---- Pictures ---------------------------------------------------------------------------------------------


def prepare(data, size):
    """PNG bytes as they came -> [size, size] RGB: on white, in the middle of a square."""
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    most = max(picture.size)
    if most > 2000:  # twenty pictures: a cubic kernel over so many pixels takes seconds
        picture = picture.resize([n * max(1000, 4 * size) // most for n in picture.size], Image.Resampling.BOX)
    side = max(picture.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)


def draw_svg(svg, size):
    """SVG -> the bytes of a PNG"""
    command = ["rsvg-convert", "--width", str(size), "--height", str(size), "--keep-aspect-ratio"]
    return subprocess.run(command, input=svg, check=True, capture_output=True).stdout


def picture(source, files, size):
    if source.startswith("openclipart"):
        return prepare(Path(source.partition(":")[2]).read_bytes(), size)
    data = files[source]
    return prepare(draw_svg(data, size) if source.endswith(".svg") else data, size)


# ---- Files ------------------------------------------------------------------------------------------------


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(data), TIME
    tar.addfile(member, io.BytesIO(data))


def write_tar(path, rows, pictures):
    """rows: (key, source, captions)"""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for (key, source, captions), image in zip(rows, pictures):
            png = io.BytesIO()
            image.save(png, "PNG")
            add(tar, f"{key:06d}.png", png.getvalue())
            add(tar, f"{key:06d}.txt", (captions[0] + "\n").encode())
            add(tar, f"{key:06d}.json", json.dumps({"captions": captions, "source": source}, ensure_ascii=False).encode())


def file_words(source):
    """animals/birds/white_duck_01.png: white duck"""
    return " ".join(re.findall(r"[^\W\d_]{2,}", Path(source).stem))


def vary_tags(captions, draw):
    label, full = captions[0], captions[-1]
    if full == label:
        return captions
    tags = full[len(label) + 2 :].split(", ")
    return [label, label, full, *(", ".join([label, *draw.sample(tags, max(1, len(tags) // 2))]) for _ in range(2))]


def vary_words(source, captions, shared, draw):
    """shared: its title is that of a whole series."""
    own, full = captions[0], captions[-1]
    tags = full[len(own) + 2 :].split(", ") if full != own else []

    def some(words):
        return draw.sample(words, draw.randint(1, len(words)))

    if shared:
        words = file_words(source) or full
        kinds = full.split(", ")
        return 8 * [full] + 6 * [f"{full}, {words}"] + 4 * [words] + [f"{draw.choice(kinds)}: {words}" for _ in range(6)]
    if not tags:
        return [own]
    with_some = [", ".join([own, *some(tags)]) for _ in range(5)]
    if source.startswith("openclipart"):
        return 6 * [own] + 9 * [full] + with_some + [f"{draw.choice(tags)}: {own}" for _ in range(4)]
    return 10 * [own] + 4 * [full] + with_some + [", ".join(some(tags)) for _ in range(5)]


def write(out, rows, files, size, vary):
    (out / "pairs").mkdir(parents=True, exist_ok=True)
    with open(out / "pairs.tsv", "w", encoding="utf-8") as f:
        f.write("path\tcaptions\tsplit\n")
        f.writelines(f"{source}\t{'|'.join(c.replace('|', '/') for c in captions)}\t{split}\n" for source, captions, split in rows)
    of_split = {}
    uses = collections.Counter(captions[0] for source, captions, split in rows if split == "train" and source.startswith("openclipart"))
    for key, (source, captions, split) in enumerate(rows):
        if split == "train" and vary == "tags":
            captions = vary_tags(captions, random.Random(key))
        elif split == "train" and vary == "words":
            captions = vary_words(source, captions, uses[captions[0]] >= SERIES and source.startswith("openclipart"), random.Random(key))
        of_split.setdefault(split, []).append((key, source, captions))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for split, members in sorted(of_split.items()):
            shards = [members[i : i + SHARD] for i in range(0, len(members), SHARD)]
            for i, shard in enumerate(shards):
                name = f"{split}-{i:03d}.tar" if split == "train" else f"{split}.tar"
                write_tar(out / "pairs" / name, shard, pool.map(lambda row: picture(row[1], files, size), shard))
            print(f"{split}: {len(members)} pairs", flush=True)


# ---- Comparison -------------------------------------------------------------------------------------------


def read_pairs(directory):
    """{tar: {key: (picture, caption, json)}}"""
    for path in sorted((directory / "pairs").glob("*.tar")):
        found = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                found.setdefault(key, {})[kind] = tar.extractfile(member).read()
        yield path.name, found


def check(ours, theirs):
    """Report what differs; True if nothing does."""
    a, b = ((d / "pairs.tsv").read_text(encoding="utf-8").split("\n") for d in (ours, theirs))
    other_rows = [(x, y) for x, y in zip(a, b) if x != y]
    print(f"pairs.tsv: {len(a) - 1} and {len(b) - 1} lines, {len(other_rows)} differ", *other_rows[:5], sep="\n  ")
    good = a == b
    for (name, x), (other, y) in zip(read_pairs(ours), read_pairs(theirs), strict=True):
        texts = sum(x[k].get(s) != y.get(k, {}).get(s) for k in x for s in ("txt", "json"))
        far = []
        for key in x.keys() & y.keys():
            p, q = (Image.open(io.BytesIO(d[key]["png"])).convert("RGB") for d in (x, y))
            most = max(high for _, high in ImageChops.difference(p, q).getextrema()) if p.size == q.size else 256
            if most:
                far.append((most, key, json.loads(x[key]["json"])["source"]))
        same = name == other and list(x) == list(y) and not texts and not far
        print(f"{name}: {len(x)} pairs, keys {'equal' if list(x) == list(y) else 'differ'}, {texts} captions differ, {len(far)} pictures differ",
              *(f"by {m} of 255: {s}" for m, _, s in sorted(far, reverse=True)[:5]), sep="\n  ")
        good = good and same
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("directory", type=Path)
    p.add_argument("--vary", choices=["tags", "words"], help="more captions to train on")
    p.add_argument("--size", type=int, default=64, help="side of the pictures")
    p.add_argument("--packages", type=Path, help="where the packages are kept (default: DIRECTORY/packages)")
    p.add_argument("--check", type=Path, metavar="DIRECTORY", help="compare with this one")
    a = p.parse_args()
    files = fetch(a.packages or a.directory / "packages", PACKAGES, WANTED)
    rows = [*emoji_rows(files), *clipart_rows()]
    write(a.directory, rows, files, a.size, a.vary)
    return 0 if not a.check or check(a.directory, a.check) else 1


if __name__ == "__main__":
    sys.exit(main())
