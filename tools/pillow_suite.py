#!/usr/bin/env python3
"""Decode other projects' test pictures here and with Pillow, and explain each difference.

    pillow_suite.py BUILD FOLDER... [--list]

BUILD is a Meson build folder with tests/image/image_probe; one process of it reads all pictures.
FOLDER: pictures, at any depth, such as the source packages of Pillow (Tests/images) and pillow-heif
(tests/images). The reference is ImageOps.exif_transpose(Image.open(FILE)).convert("RGB"), the first
frame.

Differences are counted by cause. A cause is a function that takes Pillow's knowledge of the file
and makes the picture that this decoder should have made. Differences without a cause are printed by
name, and the exit code is then 1.
Needs: numpy, pillow, pillow-heif; for some files defusedxml and olefile.
"""
import argparse
import collections
import io
import os
import re
import struct
import sys
import time
import warnings

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from parity_images import Probe

warnings.simplefilter("ignore")
pillow_heif.register_heif_opener()
ROUNDING = 2


def luma(a):
    return a.astype(float) @ (0.299, 0.587, 0.114)


def distance(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max()) if a.shape == b.shape else 256


def grey(a):
    return np.repeat(a.astype(np.uint8)[:, :, None], 3, 2)


def raw(im):
    return np.asarray(ImageOps.exif_transpose(im))


class File:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.data = f.read()
        self.im = self.want = self.fault = None
        try:
            self.im = Image.open(io.BytesIO(self.data))
            self.format, self.mode = self.im.format, self.im.mode
            self.want = np.asarray(ImageOps.exif_transpose(self.im).convert("RGB"))
        except Exception as e:  # any exception of a plugin is a refusal
            self.fault = f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
            self.fault = re.sub(r"<_io.*>", "the file", self.fault)


# ---- causes of different pixels: (name, is it this one?)


def clipped_grey(f, got):
    """Pillow clips grey of 16 bits at 255; here it keeps its high byte, in every mode."""
    if f.mode not in ("I;16", "I;16B", "I"):
        return False
    a = raw(f.im).astype(np.int64)
    wide = [a >> shift for shift in (8, 4)]  # 16 bits; 12 bits
    if f.format == "TIFF":
        wide.append(np.clip(a, 0, None) >> max(0, int(a.max()).bit_length() - 8))
        wide.append(255 - (a >> 8))  # WhiteIsZero
    if f.format == "JPEG2000":
        wide.append(np.rint(a / 257))
    if f.format == "PPM":
        wide.append(np.rint(a / 65535 * 255))
    tolerance = ROUNDING if f.format == "HEIF" else 0
    return any(distance(got, grey(np.clip(w, 0, 255))) <= tolerance for w in wide)


def lab(f, got):
    """Pillow converts L*a*b* by a table of LittleCMS; this decoder uses the formula."""
    return f.mode == "LAB" and distance(got, f.want) <= 16 and np.abs(got.astype(int) - f.want).mean() < 1


def chroma(f, got):
    """libavif smooths colours of half the resolution, libheif repeats them; brightness is equal."""
    if f.format != "AVIF" or got.shape != f.want.shape:
        return False
    inside = ((got > 8) & (got < 247) & (f.want > 8) & (f.want < 247)).all(2)
    return float(np.abs(luma(got) - luma(f.want))[inside].max(initial=0)) <= 3


def deep(f, got):
    """12 bits become 8 before colours are converted; in pillow-heif's libheif afterwards."""
    return f.format == "HEIF" and distance(got, f.want) <= 3


def range_twice(f, got):
    """pillow-heif widens the range of a tiled picture twice; of a single tile it agrees with this."""
    if f.format != "HEIF" or got.shape != f.want.shape:
        return False
    widened = np.clip((got.astype(float) - 16) * 255 / 219, 0, 255)
    return "tiling" in f.im.info and float(np.percentile(np.abs(widened - f.want), 99.9)) <= 6


def other_item(f, got):
    """pillow-heif shows another item than the primary one, which calls itself a thumbnail."""
    if f.format != "HEIF" or got.shape == f.want.shape:
        return False
    at = f.data.find(b"thmb")
    primary = struct.unpack(">H", f.data[f.data.index(b"pitm") + 8:][:2])
    return at > 0 and struct.unpack(">H", f.data[at + 4:at + 6]) == primary


def overrun(f, got):
    """Damaged run-length code: pixels beyond their row are dropped; Pillow puts them into the next."""
    if f.format != "BMP" or f.data[30] != 1:
        return False
    at, x, width = struct.unpack("<I", f.data[10:14])[0], 0, f.im.width
    while at + 1 < len(f.data):
        n, code = f.data[at], f.data[at + 1]
        at += 2
        if n:
            x += n
        elif code == 0:
            x = 0
        elif code == 1:
            break
        elif code == 2:
            x += f.data[at] if at < len(f.data) else 0
            at += 2
        else:
            x += code
            at += (code + 1) // 2 * 2
        if x > width:
            return True
    return False


CAUSES = (clipped_grey, lab, chroma, deep, range_twice, other_item, overrun)

# ---- causes of refusals


def unread_format(f, got):
    """A format that is not read here"""
    return f.format if re.search("not a picture of a known format|this is .*; this build reads|PNM: ",
                                 got) and f.format not in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF",
                                                           "AVIF") else None


def ours_alone(f, got):
    """Read here, refused by Pillow"""
    reasons = (("MAX_TEXT_CHUNK", "texts of a PNG are not unpacked beyond a limit, and are no fault of it"),
               ("decoder error", "Pillow's libtiff lacks the compression, or is stricter"),
               ("broken data stream", "JPEG 2000 that OpenJPEG decodes without a fault"),
               ("Truncated File Read", "a fault behind the last pixel"), ("APNG contains frame sequence errors",
                                                                          "of an APNG the default picture is read"),
               ("Unsupported BMP bitfields",
                "BMP of any masks"), ("invalid palette size", "BMP with a palette of more colours than can be used"),
               ("cannot identify image file", "Pillow demands more of the header"))
    return next((why for key, why in reasons if key in f.fault), None)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("folders", nargs="+")
    p.add_argument("--list", action="store_true", help="print every file that is not identical")
    a = p.parse_args()
    probe, counts, causes, unexplained, slowest = Probe(
        a.build), collections.Counter(), collections.defaultdict(list), [], (0, "")
    paths = sorted(os.path.join(root, n) for folder in a.folders for root, _, names in os.walk(folder) for n in names)
    for path in paths:
        f = File(path)
        start = time.perf_counter()
        got = probe.decode(path)
        slowest = max(slowest, (time.perf_counter() - start, path))
        refused = isinstance(got, str)
        if refused:
            got = got.replace(path, "")
        if f.fault or refused:
            kind = ("refused by both" if f.fault and refused else
                    "read here, refused by Pillow" if f.fault else "refused here, read by Pillow")
            why = "" if f.fault and refused else ours_alone(f, got) if f.fault else unread_format(f, got)
        else:
            d = distance(got, f.want)
            kind = "identical" if d == 0 else f"within {ROUNDING}" if d <= ROUNDING else "different"
            why = "" if d <= ROUNDING else next((c.__doc__ for c in CAUSES if c(f, got)), None)
        counts[kind] += 1
        if why is None:
            unexplained.append(
                (kind, path, got if refused else f.fault or f"{f.format} {f.mode} by {distance(got, f.want)}"))
        elif why:
            causes[kind, why].append(path)
        if a.list and kind != "identical":
            print(f"{kind}: {path}: {got if refused else ''} {f.fault or ''}")
    print(f"{len(paths)} files, slowest {slowest[0]:.1f} s ({os.path.basename(slowest[1])})")
    for kind, n in counts.most_common():
        print(f"{n:6} {kind}")
        for (k, why), of in sorted(causes.items(), key=lambda c: -len(c[1])):
            if k == kind:
                print(f"       {len(of):6} {why}")
    for kind, path, what in unexplained:
        print(f"UNEXPLAINED {kind}: {path}: {what}")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
