#!/usr/bin/env python3
"""Makes models/samples: the pictures that `make demo` shows, and the labels it lets the model choose from.

usage: data/make_samples.py [models/samples]
needs: Pillow, and the Debian packages openclipart-png and openclipart-svg (the latter for the names of the authors)

Every picture comes from the Open Clip Art Library, whose authors gave their work to the public domain. None is among
those models/emoji-clip was trained on, though some have relatives there: other flags, other signs of a series. They and
the labels were picked by hand before that model was trained; it names about half of them right.
"""
import html
import os
import re
import sys

from PIL import Image, ImageChops

PNG, SVG = "/usr/share/openclipart/png", "/usr/share/openclipart/svg"
SIDE = 160

# file name, its label, where it is in the package
SAMPLES = [
    ("bee", "bee", "animals/bugs/abeille_tanguy_jacq_01"),
    ("books", "book", "education/books/books-aj.svg_aj_ashton_01"),
    ("brown-hat", "brown hat", "people/clothing/hats/aussie_hat_01"),
    ("butterfly", "butterfly", "animals/bugs/farfalla_contorno_archit_01"),
    ("castle", "castle", "buildings/ch_teau-fort_01"),
    ("christmas-tree", "Christmas tree", "plants/trees/christmas_tree_mo_01"),
    ("classical-building", "classical building", "computer/icons/flat-theme/applications/apollon"),
    ("cloud", "cloud", "computer/network_could_nicolas_cl_"),
    ("cloud-with-snow", "cloud with snow", "signs_and_symbols/weather/snowstorm"),
    ("cyclist", "bicycle", "transportation/vehicles/bicicletta_cycle_archite_01"),
    ("elephant", "elephant", "unsorted/elefante_in_corsa"),
    ("flag-of-australia", "flag of Australia", "signs_and_symbols/flags/oceania/australia/australia"),
    ("flag-of-honduras", "flag of Honduras", "signs_and_symbols/flags/america/honduras"),
    ("flag-of-iceland", "flag of Iceland", "signs_and_symbols/flags/europe/iceland"),
    ("flag-of-lebanon", "flag of Lebanon", "signs_and_symbols/flags/asia/lebanon"),
    ("flag-of-mozambique", "flag of Mozambique", "signs_and_symbols/flags/africa/mozambique"),
    ("golden-envelope", "envelope", "computer/icons/70a004"),
    ("golden-key", "key", "computer/icons/70a021"),
    ("green-balloon", "balloon", "recreation/party/baloon1_05"),
    ("guitar", "guitar", "recreation/music/guitar_profile_philippe__01"),
    ("hot-surface-warning-sign", "warning sign", "signs_and_symbols/hot_surface_danger_luca_r"),
    ("ice-cream-bar", "ice cream", "food/desserts/glace_01_jean-victor_bal_01"),
    ("lime-slice", "lime", "food/fruit/lime_half_slice_ganson"),
    ("lizard", "lizard", "animals/lizard_guillaume_boitel_"),
    ("magnifying-glass", "magnifying glass", "tools/mag1"),
    ("money", "money", "computer/icons/70a029"),
    ("musical-note", "musical note", "computer/icons/flat-theme/action/music_halfnote"),
    ("penguins", "penguin", "unsorted/Pinguino3"),
    ("pumpkin", "pumpkin", "food/zucca_architetto_frances_01"),
    ("rubiks-cube", "Rubik's cube", "recreation/toys/rubik_s_cube_simple_petr_01"),
    ("sailboat", "sailboat", "transportation/boating/boat_jarno_vasamaa_"),
    ("smiling-face-with-sunglasses", "smiling face with sunglasses", "people/smilies/smiley110"),
    ("spaghetti", "spaghetti", "food/spaghetti_ganson"),
    ("sun-behind-cloud", "sun behind cloud", "signs_and_symbols/weather/cloudy02"),
    ("swan", "swan", "animals/birds/cigno_di_spalle_architet_01"),
    ("thought-bubble", "thought bubble", "signs_and_symbols/thought_cloud_jon_philli_01"),
]

# Labels of nothing in the pictures.
OTHERS = ("apple|bus|car|chair|computer|dog|drum|fish|flag of Japan|hammer|heart|horse|pizza|rainbow|rocket|rose|shoe|snake|"
          "snowman|star|strawberry|telephone|train|umbrella").split("|")


def small(path):
    """The picture without the margins that are white on white, reduced: on white in RGB, and its alpha."""
    picture = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    flat = white.convert("RGB")
    far = ImageChops.difference(flat, Image.new("RGB", picture.size, "white")).convert("L")
    shown = far.point(lambda v: 255 if v > 8 else 0).getbbox() or (0, 0, *picture.size)
    parts = [flat.crop(shown), picture.getchannel("A").crop(shown)]
    for part in parts:
        part.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return parts


def on_white(color, alpha):
    """Pillow's paste() with a mask."""
    t = color * alpha + 255 * (255 - alpha) + 128
    return (t + (t >> 8)) >> 8


# [alpha][what is seen on white]: the color that gives it
COLOR = [{on_white(c, a): c for c in range(255, -1, -1)} for a in range(256)]


def transparent(flat, alpha):
    """RGBA that on white is `flat` to the bit: alpha rises where no color would give what is seen."""
    out = []
    for (r, g, b), a in zip(flat.getdata(), alpha.getdata()):
        while not (r in COLOR[a] and g in COLOR[a] and b in COLOR[a]):
            a += 1
        out.append((COLOR[a][r], COLOR[a][g], COLOR[a][b], a))
    picture = Image.new("RGBA", flat.size)
    picture.putdata(out)
    return picture


def author(source):
    """dc:creator of the drawing the picture was made from."""
    path = os.path.join(SVG, source + ".svg")
    if not os.path.exists(path):
        return "unknown"
    with open(path, encoding="utf-8", errors="replace") as f:
        found = re.search(r"<dc:creator>.*?<dc:title[^>]*>([^<]*)</dc:title>", f.read(), re.S)
    name = " ".join(html.unescape(html.unescape(found.group(1))).split()) if found else ""  # some are escaped twice
    return name or "unknown"


LICENSE = """The pictures in this folder are in the public domain.

They come from the Open Clip Art Library (openclipart.org), release 0.18, as the Debian package
openclipart-png (1:0.18+dfsg-19) carries it. Their authors dedicated them to the public domain (Creative
Commons Public Domain Dedication; the library's later releases say the same with CC0 1.0,
https://creativecommons.org/publicdomain/zero/1.0/). data/make_samples.py cut them to what they show and
reduced them; what that adds is dedicated to the public domain under CC0 1.0 too.

file, place in the package, author as its drawing names him or her:

"""


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "models/samples"
    os.makedirs(out, exist_ok=True)
    rows, credits = [], []
    for name, label, source in sorted(SAMPLES):
        flat, alpha = small(os.path.join(PNG, source + ".png"))
        picture = flat if alpha.getextrema() == (255, 255) else transparent(flat, alpha)
        picture.save(os.path.join(out, name + ".png"), optimize=True)
        rows.append(f"{name}.png\t{label}\n")
        credits.append(f"{name}.png  {source}.png  {author(source)}\n")
    with open(os.path.join(out, "samples.tsv"), "w", encoding="utf-8") as f:
        f.writelines(["filepath\ttitle\n"] + rows)
    with open(os.path.join(out, "labels.txt"), "w", encoding="utf-8") as f:
        f.writelines(label + "\n" for label in sorted({s[1] for s in SAMPLES} | set(OTHERS), key=str.lower))
    with open(os.path.join(out, "LICENSE"), "w", encoding="utf-8") as f:
        f.write(LICENSE + "".join(credits))


main()
