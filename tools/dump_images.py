#!/usr/bin/env python3
"""Make tests/image/golden, and the seeds in tests/fuzz/corpus/image_*. For developers.

    dump_images.py ROOT            ROOT is the repository

The golden files are small pictures of every kind, and tables of the results of decoding, resizing
and preprocessing:

decode.tsv       file  width  height  FNV of RGB  FNV of RGB on background 40C0FF
                 (from Pillow, or from the picture that was encoded)
resize.tsv       seed  extremes  W  H  w  h  filter  FNV
preprocess.tsv   seed  S  mode  filter  flavour  fill  statistics  W  H  FNV of the floats
X.ppm            beside X.avif, X.heic: the expected picture, approximately

Needs: Pillow, numpy, torch, torchvision, open_clip, transformers, libheif with x265 for the HEIC,
pillow-jxl-plugin and cjxl.
"""
import ctypes
import gzip
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

import pillow_jxl  # registers itself

from parity_images import FILTERS, peers
import write_heif
from write_images import bmp, bmp_rows, gif, heic, png, rle, tiff

warnings.simplefilter("ignore")
BACKGROUND = (0x40, 0xC0, 0xFF)


def fnv(a):
    """FNV-1a, 64 bits, by a C function that is compiled on the spot."""
    data = np.ascontiguousarray(a).tobytes()
    return f"{FNV(data, len(data)):016x}"


def compile_fnv():
    with tempfile.TemporaryDirectory() as folder:
        code, library = os.path.join(folder, "fnv.c"), os.path.join(folder, "fnv.so")
        with open(code, "w") as f:
            f.write(
                "unsigned long long fnv(const unsigned char *p, unsigned long n) "
                "{ unsigned long long h = 14695981039346656037u;"
                "while (n--) h = (h ^ *p++) * 1099511628211u; return h; }")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, code], check=True)
        f = ctypes.CDLL(library).fnv
    f.restype, f.argtypes = ctypes.c_ulonglong, [ctypes.c_char_p, ctypes.c_ulong]
    return f


FNV = compile_fnv()


def noise(width, height, seed, extremes):
    """noise_picture() of tests/image/pictures.h."""
    i = np.arange(width * height * 3, dtype=np.uint64)
    m = np.uint64(0xFFFFFFFF)
    x = (i * 2654435761 + seed) & m
    x = ((x ^ x >> 15) * 0x2C1B3C6D) & m
    x = ((x ^ x >> 12) * 0x297A2D39) & m
    x ^= x >> 15
    b = np.where(x & 1, 255, 0) if extremes else x >> 24
    return b.astype(np.uint8).reshape(height, width, 3)


def source(w, h, seed=1):
    """Gradients with some noise: edges, dark, light and all colours, and still compressible."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([x * 255 / max(1, w - 1), y * 255 / max(1, h - 1), 255 - (x + y) * 255 / max(1, w + h - 2)], 2)
    a[h // 4:h // 2, w // 4:w // 2] = (250, 240, 10)
    return np.clip(a + rng.normal(0, 6, a.shape), 0, 255).astype(np.uint8)


def lay(rgb, alpha):
    """RGB on BACKGROUND, rounded like Pillow's paste()."""
    out = Image.new("RGB", (rgb.shape[1], rgb.shape[0]), BACKGROUND)
    out.paste(Image.fromarray(rgb), mask=Image.fromarray(alpha))
    return np.asarray(out)


class Golden:
    def __init__(self, folder):
        self.folder, self.rows = folder, []
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def expect(self, name, rgb, alpha=None):
        """The expected pixels of a file, known from the picture that was encoded."""
        rgb = np.ascontiguousarray(rgb)
        flat = rgb if alpha is None else lay(rgb, alpha)
        self.rows.append((name, rgb.shape[1], rgb.shape[0], fnv(rgb), fnv(flat)))

    def ask_pillow(self, name):
        """The expected pixels of a file, from Pillow."""
        im = ImageOps.exif_transpose(Image.open(io.BytesIO(open(self.path(name), "rb").read())))
        rgba = im.convert("RGBA") if im.has_transparency_data else None
        self.expect(name, np.asarray(im.convert("RGB")), None if rgba is None else np.asarray(rgba.getchannel("A")))

    def save(self, name, im, **options):
        im.save(self.path(name), **options)
        self.ask_pillow(name)

    def table(self, name, rows):
        with open(self.path(name), "w") as f:
            for row in rows:
                f.write("\t".join(map(str, row)) + "\n")


def exif(orientation, little=False):
    e = Image.Exif()
    e.endian = "<" if little else ">"
    e[271] = "a camera"
    e[274] = orientation
    return e.tobytes()


# EXIF of 2023-05-17 14:03:21, two hours east of UTC
DATED = (struct.pack("<4sIHHHIIIH", b"II*\0", 8, 1, 34665, 4, 1, 26, 0, 2) +
         struct.pack("<HHIIHHIII", 36867, 2, 20, 56, 36881, 2, 7, 76, 0) + b"2023:05:17 14:03:21\0+02:00\0")


def exif_number(kind, payload, big=False, count=1):
    """EXIF with an orientation of any type."""
    e = ">" if big else "<"
    value = payload.ljust(4, b"\0") if len(payload) <= 4 else struct.pack(e + "I", 26)
    return struct.pack(e + "2sHIHHHI", b"MM" if big else b"II", 42, 8, 1, 274, kind, count) + value + struct.pack(
        e + "I", 0) + payload


# ---- JPEG

def jpegs(g):
    rgb = Image.fromarray(source(37, 29))
    g.save("rgb444.jpg", rgb, quality=90, subsampling=0)
    g.save("rgb422.jpg", rgb, quality=80, subsampling=1)
    g.save("rgb420.jpg", rgb, quality=70, subsampling=2)
    g.save("progressive.jpg", rgb, quality=85, progressive=True)
    g.save("restart.jpg", rgb, quality=60, restart_marker_blocks=1)
    g.save("grey.jpg", rgb.convert("L"), quality=75)
    g.save("grey_progressive.jpg", rgb.convert("L"), quality=75, progressive=True)
    g.save("cmyk.jpg", Image.fromarray(np.dstack([source(19, 23), source(19, 23, 2)[:, :, :1]]), "CMYK"), quality=90)
    data = bytearray(open(g.path("cmyk.jpg"), "rb").read())
    data[data.index(b"Adobe") + 11] = 2  # the same numbers as YCCK
    g.write("ycck.jpg", data)
    g.ask_pillow("ycck.jpg")
    g.save("one.jpg", Image.fromarray(source(1, 1)))
    small = Image.fromarray(source(11, 6))
    for o in range(1, 9):
        g.save(f"turned{o}.jpg", small, quality=95, exif=exif(o, o % 2 == 1))
    g.save("turned_tall.jpg", Image.fromarray(source(5, 70)), exif=exif(6))  # more than one band
    g.save("turned_cmyk.jpg", Image.fromarray(np.dstack([source(9, 40), source(9, 40, 2)[:, :, :1]]), "CMYK"),
           exif=exif(8))
    g.save("turned_xmp.jpg", small, xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>')
    g.save("turned_wrong.jpg", small, exif=exif(9))
    # the types of number that a writer may choose; 9 counts as no turn, and hides the orientation of XMP
    for name, kind, form in (("short", 3, "H"), ("long", 4, "I"), ("rational", 5, "II"), ("sbyte", 6, "b"),
                             ("sshort", 8, "h"), ("slong", 9, "i"), ("srational", 10, "ii"), ("float", 11, "f"),
                             ("double", 12, "d"), ("ifd", 13, "I")):
        for big in (False, True):
            payload = struct.pack((">" if big else "<") + form, *([6] if len(form) == 1 else [12, 2]))
            g.save(f"turned_{name}{'_big' if big else ''}.jpg", small, quality=50,
                   exif=b"Exif\0\0" + exif_number(kind, payload, big))
    g.save("turned_two_values.jpg", small, quality=50,
           exif=b"Exif\0\0" + exif_number(3, struct.pack("<HH", 6, 3), count=2))
    g.save("turned_wrong_xmp.jpg", small, quality=50, exif=exif(9), xmp=b'<a tiff:Orientation="8"/>')
    g.save("turned_no_value_xmp.jpg", small, quality=50, exif=b"Exif\0\0" + exif_number(14, b"\6"),
           xmp=b'<a tiff:Orientation="8"/>')


# ---- PNG


def pngs(g):
    w, h = 13, 11
    eight = source(w, h)
    wide = (eight.astype(np.uint16) << 8 | source(w, h, 3)).astype(np.uint16)
    alpha = noise(w, h, 5, 0)[:, :, :1]
    for inter in (False, True):
        tail = "_interlaced.png" if inter else ".png"
        for depth in (1, 2, 4, 8):
            v = eight[:, :, :1] >> (8 - depth)
            g.write(f"grey{depth}{tail}", png(v, depth, 0, inter))
            g.ask_pillow(f"grey{depth}{tail}")
            palette = np.random.default_rng(depth).integers(0, 256, (1 << depth, 3), dtype=np.uint8)
            g.write(f"palette{depth}{tail}", png(v, depth, 3, inter, [(b"PLTE", palette.tobytes())]))
            g.ask_pillow(f"palette{depth}{tail}")
        g.write(f"grey16{tail}", png(wide[:, :, :1], 16, 0, inter))
        g.expect(f"grey16{tail}", np.repeat(eight[:, :, :1], 3, 2))  # the high byte
        for name, kind, extra in (("rgb", 2, None), ("greyalpha", 4, alpha), ("rgba", 6, alpha)):
            for depth, pixels in ((8, eight), (16, wide)):
                v = pixels[:, :, :1] if kind == 4 else pixels
                if extra is not None:
                    a = extra if depth == 8 else extra.astype(np.uint16) * 257
                    v = np.concatenate([v, a.astype(v.dtype)], 2)
                g.write(f"{name}{depth}{tail}", png(v, depth, kind, inter))
                g.ask_pillow(f"{name}{depth}{tail}")
    palette = np.random.default_rng(9).integers(0, 256, (16, 3), dtype=np.uint8).tobytes()
    g.write("palette_trns.png",
            png(eight[:, :, :1] >> 4, 4, 3, False, [(b"PLTE", palette), (b"tRNS", bytes(range(0, 256, 28)))]))
    g.write("palette_short.png", png(eight[:, :, :1] >> 4, 4, 3, False,
                                     [(b"PLTE", palette[:15])]))  # indices beyond the palette
    g.write("grey_trns.png", png(eight[:, :, :1] >> 4, 4, 0, False, [(b"tRNS", struct.pack(">H", 7))]))
    g.write("rgb_trns.png", png(eight >> 5, 8, 2, True, [(b"tRNS", struct.pack(">HHH", *(eight >> 5)[5, 5]))]))
    for name in ("palette_trns", "palette_short", "rgb_trns"):
        g.ask_pillow(name + ".png")
    v = eight[:, :, 0] >> 4  # Pillow compares tRNS, 4 bits, with samples that are scaled to 8
    g.expect("grey_trns.png", np.repeat((v * 17)[:, :, None], 3, 2), np.where(v == 7, 0, 255).astype(np.uint8))
    tiff = exif(6)[6:]
    g.write("turned_exif.png", png(eight, 8, 2, False, [(b"eXIf", tiff)]))
    g.write("turned_exif_last.png", png(eight, 8, 2, False, (), [(b"eXIf", tiff)]))
    hexed = tiff.hex().encode()
    lines = b"\n".join(hexed[i:i + 72] for i in range(0, len(hexed), 72))
    g.write(
        "turned_raw_profile.png",
        png(eight, 8, 2, False,
            [(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n" % len(tiff) + lines + b"\n"))]))
    g.write("turned_xmp.png",
            png(eight, 8, 2, False, [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<a tiff:Orientation=\"3\"/>")]))
    profile = b"\nexif\n%8d\n" % len(tiff) + lines + b"\n"
    texts = {"text": (b"tEXt", b"Raw profile type exif\0" + profile),
             "itxt": (b"iTXt", b"Raw profile type exif\0\0\0en\0word\0" + profile),
             "itxt_packed": (b"iTXt", b"Raw profile type exif\0\1\0\0\0" + zlib.compress(profile)),
             "xmp_packed": (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b'<a tiff:Orientation="3"/>')),
             "xmp_text": (b"tEXt", b'XML:com.adobe.xmp\0<a tiff:Orientation="7"/>')}
    for name, text in texts.items():
        g.write(f"turned_{name}.png", png(eight, 8, 2, False, [text]))
    many = [(b"tEXt", b"word\0" + b"%d" % i) for i in range(200)]
    g.write("turned_many_texts.png", png(eight, 8, 2, False, many, [texts["text"]]))
    g.write("turned_exif_first.png",
            png(eight, 8, 2, False, [texts["text"], (b"eXIf", exif(3)[6:]), texts["xmp_packed"]]))
    for name in ("exif", "exif_last", "raw_profile", "xmp", *texts, "many_texts", "exif_first"):
        g.ask_pillow(f"turned_{name}.png")


# ---- WebP, GIF

def webps(g):
    rgb, alpha = Image.fromarray(source(33, 26)), Image.fromarray(noise(33, 26, 4, 0)[:, :, 0])
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    g.save("lossy.webp", rgb, quality=70)
    g.save("lossless.webp", rgb, lossless=True)
    g.save("lossy_alpha.webp", rgba, quality=60, exact=True)
    g.save("lossless_alpha.webp", rgba, lossless=True, exact=True)
    g.save("turned.webp", Image.fromarray(source(11, 6)), lossless=True, exif=exif(7))
    g.save("turned_xmp.webp", Image.fromarray(source(11, 6)), lossless=True, xmp=b'<a tiff:Orientation="5"/>')
    g.save("animated.webp", rgba, save_all=True, append_images=[Image.fromarray(source(33, 26, 2))], duration=100,
           lossless=True, exact=True)
    data = bytearray(open(g.path("animated.webp"), "rb").read())
    data[24:27], data[27:30] = (40 - 1).to_bytes(3, "little"), (31 - 1).to_bytes(3, "little")  # a larger canvas
    at = data.index(b"ANMF") + 8
    data[at:at + 3], data[at + 3:at + 6] = (2).to_bytes(3, "little"), (1).to_bytes(3,
                                                                                   "little")  # and the frame at (4, 2)
    g.write("animated_offset.webp", data)
    g.ask_pillow("animated_offset.webp")


def gifs(g):
    a = Image.fromarray(source(29, 21))
    p = a.quantize(60)
    g.save("palette.gif", p)
    g.save("interlaced.gif", p, interlace=1)
    g.save("plain.gif", p, interlace=0)
    g.save("grey.gif", a.convert("L"))
    g.save("two.gif", a.convert("1"))
    g.save("transparent.gif", p, transparency=5)
    g.save("animated.gif", p, save_all=True, append_images=[Image.fromarray(source(29, 21, 2)).quantize(30)],
           duration=50)
    for name, base in (("offset.gif", "plain.gif"), ("offset_transparent.gif", "transparent.gif"), ("beyond.gif",
                                                                                                    "plain.gif")):
        data = bytearray(open(g.path(base), "rb").read())
        at = 13 + (3 << (data[10] & 7) + 1)
        while data[at] == 0x21:  # extensions
            at += 2
            while data[at]:
                at += data[at] + 1
            at += 1
        struct.pack_into("<HH", data, at + 1, 3, 5)
        if name != "beyond.gif":
            struct.pack_into("<HH", data, 6, 40, 30)
        g.write(name, data)
        g.ask_pillow(name)
    palette = np.random.default_rng(3).integers(0, 256, 768, dtype=np.uint8).tobytes()
    for bits in (8, 9, 10, 11, 12):  # 8 with more codes than fit at once
        w, h = (120, 60) if bits == 8 else (29, 21)
        g.write(f"codes{bits}.gif", gif(source(w, h)[:, :, 1], palette, bits))
        g.ask_pillow(f"codes{bits}.gif")


# ---- BMP


def bmps(g):
    w, h = 13, 9
    a = source(w, h)
    v = a[:, :, 0]
    rng = np.random.default_rng(7)

    def add(name, data, want=None, alpha=None):
        g.write(name, data)
        g.ask_pillow(name) if want is None else g.expect(name, want, alpha)

    for bits in (1, 4, 8):
        palette = rng.integers(0, 256, (1 << bits, 4), dtype=np.uint8)
        index = v >> (8 - bits)
        add(f"indexed{bits}.bmp", bmp(bmp_rows(index, bits, False), w, h, bits, palette=palette.tobytes()))
        add(f"os2_{bits}.bmp", bmp(bmp_rows(index, bits, False), w, h, bits, header=12,
                                   palette=palette[:, :3].tobytes()))
    add("indexed8_top.bmp", bmp(bmp_rows(v >> 5, 8, True), w, -h, 8, palette=palette[:8].tobytes(), colours=8))
    add("forgetful.bmp", bmp(bmp_rows(v >> 5, 8, False), w, h, 8, palette=palette[:8].tobytes(), colours=8, offset=54))
    code24 = (a[:, :, 0].astype(np.uint32) << 16) | (a[:, :, 1].astype(np.uint32) << 8) | a[:, :, 2]
    add("rgb24.bmp", bmp(bmp_rows(code24, 24, False), w, h, 24))
    add("rgb24_top.bmp", bmp(bmp_rows(code24, 24, True), w, -h, 24))
    add("os2_24.bmp", bmp(bmp_rows(code24, 24, False), w, h, 24, header=12))
    add("rgb32.bmp", bmp(bmp_rows(code24 | np.uint32(0x55000000), 32, False), w, h, 32))
    code555 = (a[:, :, 0].astype(np.uint32) >> 3 << 10) | (a[:, :, 1].astype(np.uint32) >> 3 << 5) | (a[:, :, 2] >> 3)
    code565 = (a[:, :, 0].astype(np.uint32) >> 3 << 11) | (a[:, :, 1].astype(np.uint32) >> 2 << 5) | (a[:, :, 2] >> 3)
    add("rgb555.bmp", bmp(bmp_rows(code555, 16, False), w, h, 16))
    add("rgb565.bmp", bmp(bmp_rows(code565, 16, False), w, h, 16, 3, masks=(0xF800, 0x7E0, 0x1F)))
    alpha = noise(w, h, 8, 0)[:, :, 0]
    rgba = code24 | alpha.astype(np.uint32) << 24
    add("rgba_v4.bmp", bmp(bmp_rows(rgba, 32, False), w, h, 32, 3, 108, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    add("rgba_v5.bmp", bmp(bmp_rows(rgba, 32, True), w, -h, 32, 3, 124, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    swapped = (a[:, :, 2].astype(np.uint32) << 16) | (
        a[:, :, 1].astype(np.uint32) << 8) | a[:, :, 0] | alpha.astype(np.uint32) << 24
    add("rgba_swapped.bmp",
        bmp(bmp_rows(swapped, 32, False), w, h, 32, 3, 56, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
    add(
        "masks10.bmp",
        bmp(
            bmp_rows((a[:, :, 0].astype(np.uint32) << 22) | (a[:, :, 1].astype(np.uint32) << 12)
                     | a[:, :, 2] << np.uint32(2), 32, False), w, h, 32, 3, masks=(0x3FF00000, 0xFFC00, 0x3FF)),
        (a.astype(np.uint32) * 4 * 255 // 1023).astype(np.uint8))
    for bits, code in ((8, 1), (4, 2)):
        index = np.where(v > 128, 1 << bits - 1, v >> (8 - bits)).astype(np.uint8)
        palette = rng.integers(0, 256, (1 << bits, 4), dtype=np.uint8)
        shown = index.copy()
        shown[h - 1 - 2] = 0  # the row that the delta skips
        add(f"rle{bits}.bmp", bmp(rle(index, bits == 4), w, h, bits, code, palette=palette.tobytes()),
            palette[shown][:, :, 2::-1])


# ---- PNM

def pnms(g):
    w, h = 11, 7
    a = source(w, h)
    v = a[:, :, 0]
    bits = (v > 100).astype(np.uint8)
    text = lambda x: " ".join(str(int(i)) for i in x.reshape(-1)).encode()
    scaled = lambda x, most: np.rint(x.astype(float) / most * 255).astype(np.uint8)
    grey = lambda x: np.repeat(x[:, :, None], 3, 2)
    wide = (source(w, h, 3).astype(np.uint16) << 8 | a).astype(np.uint16)
    files = {
        "ascii.pbm": (b"P1 # ink\n%d %d\n" % (w, h) + b"\n".join("".join(map(str, r)).encode()
                                                                 for r in bits), grey((1 - bits) * 255)),
        "ascii.pgm": (b"P2\n%d %d # comment\n255\n" % (w, h) + text(v), grey(v)),
        "ascii.ppm": (b"P3\n# comment\n%d %d 100 " % (w, h) + text(a % 101), scaled(a % 101, 100)),
        "raw.pbm": (b"P4 %d %d\n" % (w, h) + np.packbits(bits, axis=1).tobytes(), grey((1 - bits) * 255)),
        "raw.pgm": (b"P5 %d %d 255\n" % (w, h) + v.tobytes(), grey(v)),
        "raw15.pgm": (b"P5 %d %d 15\n" % (w, h) + (v >> 4).tobytes(), grey(scaled(v >> 4, 15))),
        "raw16.pgm": (b"P5 %d %d 65535\n" % (w, h) + wide[:, :, 0].astype(">u2").tobytes(),
                      grey(scaled(wide[:, :, 0], 65535))),
        "raw.ppm": (b"P6\n%d %d\n255\n" % (w, h) + a.tobytes(), a),
        "raw10.ppm": (b"P6 %d %d 1023\n" % (w, h) + (wide >> 6).astype(">u2").tobytes(), scaled(wide >> 6, 1023)),
        "raw16.ppm": (b"P6 %d %d 65535\n" % (w, h) + wide.astype(">u2").tobytes(), scaled(wide, 65535)),
    }
    for name, (data, want) in files.items():
        g.write(name, data)
        g.expect(name, want)
        if name not in ("raw16.pgm",):  # where Pillow clips
            im = Image.open(io.BytesIO(data)).convert("RGB")
            assert np.array_equal(np.asarray(im), want), name
    alpha = noise(w, h, 6, 0)[:, :, :1]
    header = "P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n"
    for name, kind, pixels, want in (("grey.pam", "GRAYSCALE", v[:, :, None], grey(v)), ("rgb.pam", "RGB", a, a),
                                     ("rgba.pam", "RGB_ALPHA", np.concatenate(
                                         [a, alpha], 2), a), ("greyalpha.pam", "GRAYSCALE_ALPHA",
                                                              np.concatenate([v[:, :, None], alpha], 2), grey(v))):
        g.write(name, (header % (w, h, pixels.shape[2], kind)).encode() + pixels.tobytes())
        g.expect(name, want, alpha[:, :, 0] if "ALPHA" in kind else None)


# ---- TIFF


def tiffs(g):
    w, h = 21, 18
    a = source(w, h)
    rgb = Image.fromarray(a)
    alpha = noise(w, h, 12, 0)[:, :, :1]
    wide = (a.astype(np.uint16) << 8 | source(w, h, 3)).astype(np.uint16)
    for c in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
        g.save(f"rgb_{c}.tif", rgb, compression=c)
    g.save("lzw_predictor.tif", rgb, compression="tiff_lzw", tiffinfo={317: 2})
    g.save("fax.tif", rgb.convert("1"), compression="group4")
    g.save("palette.tif", rgb.quantize(50), compression="tiff_lzw")
    g.save("cmyk.tif", rgb.convert("CMYK"), compression="tiff_lzw")

    def add(name, data, want=None, alpha=None):
        g.write(name, data)
        g.ask_pillow(name) if want is None else g.expect(name, want, alpha)

    grey = lambda x: np.repeat(x[:, :, :1], 3, 2)
    for bits in (1, 2, 4, 8):
        v = a[:, :, :1] >> (8 - bits)
        add(f"grey{bits}.tif", tiff(v, bits, 1, strip=5))
        add(f"white{bits}.tif", tiff(v, bits, 0, big=True))
    for bits in (1, 2, 4, 8):
        colours = [int(x) for x in np.random.default_rng(bits).integers(0, 65536, 3 << bits)]
        add(f"palette{bits}.tif", tiff(a[:, :, :1] >> (8 - bits), bits, 3, tags=[(320, 3, colours)]))
    add("grey16.tif", tiff(wide[:, :, :1], 16, 1), grey(a))
    add("white16_big.tif", tiff(wide[:, :, :1], 16, 0, big=True), grey(255 - a))
    add("rgb16.tif", tiff(wide, 16, 2, strip=4))
    add("rgb16_big.tif", tiff(wide, 16, 2, big=True))
    add("planar.tif", tiff(a, 8, 2, planar=2, strip=7), a)
    add("planar16.tif", tiff(wide, 16, 2, planar=2), a)
    add("tiles.tif", tiff(a, 8, 2, tile=(16, 16)), a)
    add("tiles_planar.tif", tiff(a, 8, 2, planar=2, tile=(16, 16), big=True), a)
    rgba = np.concatenate([a, alpha], 2)
    add("rgba.tif", tiff(rgba, 8, 2, extra=(2,)))
    add("rgba_premultiplied.tif", tiff(rgba, 8, 2, extra=(1,)))
    add("rgbx.tif", tiff(rgba, 8, 2, extra=(0,)))
    add("rgba16.tif", tiff(np.concatenate([wide, alpha.astype(np.uint16) * 257], 2), 16, 2, extra=(2,)))
    add("greyalpha.tif", tiff(rgba[:, :, [0, 3]], 8, 1, extra=(2,)))
    add("cmyk_raw.tif", tiff(np.concatenate([a, alpha], 2), 8, 5))
    for o in (3, 6):
        add(f"turned{o}.tif", tiff(a, 8, 2, orientation=o, strip=6))
    add("turned_slong.tif", tiff(a, 8, 2, orientation=None, tags=[(274, 9, [8])]))
    add("turned_xmp.tif", tiff(a, 8, 2, orientation=None, tags=[(700, 1, list(b'<a tiff:Orientation="5"/>'))]))
    add("turned_tag_and_xmp.tif", tiff(a, 8, 2, orientation=1, tags=[(700, 1, list(b'<a tiff:Orientation="5"/>'))]))

    # any number of bits; above 8 only the high ones count
    for bits in (3, 6, 7):
        v = a[:, :, :1] >> (8 - bits)
        add(f"grey{bits}.tif", tiff(v, bits, 1), grey(np.rint(v * (255 / ((1 << bits) - 1))).astype(np.uint8)))
    for bits in (9, 10, 12, 14):
        add(f"grey{bits}.tif", tiff(wide[:, :, :1] >> (16 - bits), bits, 1, strip=5, big=bits == 12), grey(a))
    add("rgb12.tif", tiff(wide >> 4, 12, 2, strip=4), a)
    add("rgb4.tif", tiff(a >> 4, 4, 2, tile=(16, 16)), (a >> 4) * 17)
    add("rgb10_planar.tif", tiff(wide >> 6, 10, 2, planar=2), a)
    add("rgba12.tif", tiff(np.concatenate([wide >> 4, alpha.astype(np.uint16) * 16], 2), 12, 2, extra=(2, )), a,
        alpha[:, :, 0])
    add("planar_extra.tif", tiff(rgba, 8, 2, planar=2, extra=(0,)), a)
    add("planar_alpha.tif", tiff(rgba, 8, 2, planar=2, extra=(2,)), a, alpha[:, :, 0])
    add(
        "palette_alpha.tif",
        tiff(rgba[:, :, [0, 3]], 8, 3, extra=(2, ),
             tags=[(320, 3, [int(x) for x in np.random.default_rng(8).integers(0, 65536, 3 << 8)])]))
    add("cmyk_extra.tif", tiff(np.concatenate([a, alpha, alpha], 2), 8, 5, extra=(0,)))

    # White is not defined. Numbers that fit in a byte are as in Pillow; others are scaled by the
    # least of 511, 1023, .. that is not exceeded.
    small = a[:, :, :1].astype(np.float64)
    for name, bits, form, big in (("int16", 16, 2, False), ("int32", 32, 2, True), ("uint32", 32, 1, False),
                                  ("float32", 32, 3, True)):
        add(f"{name}_byte.tif",
            tiff(small - 9.5, bits, 1, form=form, big=big) if form > 1 else tiff(small, bits, 1, big=big, strip=5))
    add("int16_wide.tif", tiff(small * 128 - 300, 16, 1, form=2),
        grey(np.clip((small * 128 - 300) * 256 // 32768, 0, 255).astype(np.uint8)))
    add("uint32_wide.tif", tiff(small * 2 ** 24, 32, 1, big=True), grey(a))
    for big in (False, True):
        add(f"uint24{'_big' if big else ''}.tif", tiff(small * 2 ** 16, 24, 1, big=big), grey(a))
    add("float64_wide.tif", tiff(small * 4, 64, 1, form=3, tile=(16, 16)), grey(a))
    unit = np.rint(a / 255 * 1024) / 1024  # numbers that a float of 16 bits holds exactly
    for bits in (16, 32, 64):
        add(f"float{bits}_unit.tif", tiff(unit, bits, 2, form=3, big=bits == 32, planar=2 if bits == 64 else 1),
            (unit * 255 + 0.5).astype(np.uint8))
    add("float32_bright.tif", tiff(unit * 3, 32, 2, form=3), np.minimum(unit * 3 * 255 + 0.5, 255).astype(np.uint8))
    add("float32_alpha.tif", tiff(np.concatenate([unit[:, :, :1] * 4095, alpha / 255], 2), 32, 1, form=3, extra=(2,)),
        grey((unit[:, :, :1] * 4095 * 256 / 4096).astype(np.uint8)), alpha[:, :, 0])
    odd = np.where(small > 200, np.nan, np.where(small < 50, np.inf, small / 255))
    add("float32_odd.tif", tiff(odd, 32, 1, form=3),
        grey(np.where(small > 200, 0, np.where(small < 50, 255, small / 255 * 255 + 0.5)).astype(np.uint8)))
    add("float32_silent.tif", tiff(unit[:, :, :1], 32, None, form=3), grey(
        (unit[:, :, :1] * 255 + 0.5).astype(np.uint8)))


# ---- AVIF, HEIC

def heifs(g):
    a = source(48, 36)
    Image.fromarray(a).save(g.path("rgb.avif"), quality=80)
    Image.fromarray(a).save(g.path("rgb.avif.ppm"))
    small = np.concatenate([source(32, 24), np.full((24, 32, 1), 128, np.uint8)], 2)
    Image.fromarray(small).save(g.path("rgba.avif"), quality=90)
    Image.fromarray(small).convert("RGB").save(g.path("rgba.avif.ppm"))
    heic(g.path("rgb.heic"), a)
    Image.fromarray(a).save(g.path("rgb.heic.ppm"))
    for name, data in write_heif.cases(DATED):
        g.write(name, data)


# ---- JPEG 2000, JPEG XL

def box(kind, data):
    return struct.pack(">I", 8 + len(data)) + kind + data


def jp2s(g):
    a = source(30, 22)
    rgb, alpha = Image.fromarray(a), Image.fromarray(noise(30, 22, 13, 0)[:, :, 0])
    rgba, grey_alpha = rgb.convert("RGBA"), rgb.convert("LA")
    rgba.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    g.save("rgb.jp2", rgb)
    g.save("tiles.jp2", rgb, tile_size=(16, 16))
    g.save("codestream.j2k", rgb)
    g.save("grey.jp2", rgb.convert("L"))
    g.save("rgba.jp2", rgba)
    g.save("greyalpha.jp2", grey_alpha)
    g.save("cmyk.jp2", rgb.convert("CMYK"))
    wide = a[:, :, 0].astype(np.uint16) * 257
    Image.fromarray(wide).save(g.path("grey16.jp2"))
    g.expect("grey16.jp2", np.repeat(a[:, :, :1], 3, 2))
    with open(g.path("rgb.jp2"), "rb") as f:
        data = f.read()
    g.write("exif_last.jp2", data + box(b"uuid", b"JpgTiffExif->JP2" + exif(6)[6:]))
    g.expect("exif_last.jp2", np.rot90(a, -1))


def jxls(g):
    a = source(30, 22)
    rgb, alpha = Image.fromarray(a), Image.fromarray(noise(30, 22, 14, 0)[:, :, 0])
    rgba, grey_alpha = rgb.convert("RGBA"), rgb.convert("LA")
    rgba.putalpha(alpha)
    grey_alpha.putalpha(alpha)
    for name, im in (("rgb", rgb), ("grey", rgb.convert("L")), ("rgba", rgba), ("greyalpha", grey_alpha)):
        g.save(name + ".jxl", im, lossless=True)
    turned = g.path("turned6.jxl")
    with tempfile.TemporaryDirectory() as folder:  # cjxl moves the orientation of a JPEG into the codestream
        path = os.path.join(folder, "a.jpg")
        rgb.save(path, exif=exif(6), quality=95, subsampling=0)
        subprocess.run(["cjxl", "-q", "100", "--quiet", path, turned], check=True)
    Image.fromarray(np.ascontiguousarray(np.rot90(a, -1))).save(g.path("turned6.jxl.ppm"))


# ---- SVG: squares whose edges lie on pixels at any whole scale

def svgs(g):
    a = np.zeros((8, 8, 4), np.uint8)
    squares = ((1, 2, 4, 3, "c81e28"), (4, 0, 3, 8, "1e28c8"), (0, 7, 8, 1, "28c81e"))
    body = ""
    for x, y, w, h, color in squares:
        a[y:y + h, x:x + w] = (*bytes.fromhex(color), 255)
        body += f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="#{color}"/>'
    space = 'xmlns="http://www.w3.org/2000/svg"'
    drawings = {
        "size.svg": (f'<svg {space} width="8" height="8">{body}</svg>', 64),
        "box.svg": (
            f'<?xml version="1.0"?>\n<!-- <not/> --><!DOCTYPE svg [<!ELEMENT svg ANY>]>\n'
            f'<svg {space} viewBox="0 0 8 8">'
            f'{body}</svg>', 64),
        "prefix.svg": ("\ufeff" +
                       f'<s:svg {space.replace("xmlns", "xmlns:s")} width="1024" height="1024" viewBox="0 0 8 8">'
                       f'{body.replace("<rect", "<s:rect")}</s:svg>', 128),
        "outside.svg": (
            f'<svg {space} xmlns:xlink="http://www.w3.org/1999/xlink" width="8" height="8"><image width="8" height="8" '
            f'xlink:href="rgb8.png"/>{body}</svg>', 64),
    }
    for name, (text, scale) in drawings.items():
        big = np.kron(a, np.ones((scale, scale, 1), np.uint8))
        g.write(name, text.encode())
        g.expect(name, big[:, :, :3], big[:, :, 3])
    big = np.kron(a, np.ones((64, 64, 1), np.uint8))
    g.write("packed.svgz", gzip.compress(drawings["size.svg"][0].encode(), mtime=0))
    g.expect("packed.svgz", big[:, :, :3], big[:, :, 3])


# ---- RAW: containers like those of cameras, with pictures that are drawn

def jpeg(w, h, color, **options):
    a = np.full((h, w, 3), color, np.uint8)
    a[h // 8:h // 3, w // 8:w // 2] = (250, 240, 10)
    out = io.BytesIO()
    Image.fromarray(a).save(out, "jpeg", quality=60, **options)
    return out.getvalue()


class Raw:
    """A TIFF: directories of (tag, type, values), each with its data behind it, last one first."""

    def __init__(self, mark=b"II*\0", head=b""):
        self.data = bytearray(mark + bytes(4) + head)

    def add(self, data):
        self.data += bytes(len(self.data) % 2)
        at = len(self.data)
        self.data += data
        return at

    def directory(self, entries, following=0):
        packed = b""
        for tag, kind, values in entries:
            raw = struct.pack("<" + {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 10: "i"}[kind] * len(values), *values)
            packed += struct.pack("<HHI", tag, kind,
                                  len(values) // (2 if kind in (5, 10) else 1)) + (raw.ljust(
                                      4, b"\0") if len(raw) <= 4 else struct.pack("<I", self.add(raw)))
        return self.add(struct.pack("<H", len(entries)) + packed + struct.pack("<I", following))

    def file(self, first):
        self.data[4:8] = struct.pack("<I", first)
        return bytes(self.data)


def strip(raw, data, **more):
    tags = {259: 6, 273: raw.add(data), 279: len(data), **{int(k[1:]): v for k, v in more.items()}}
    return [(t, 4, v if isinstance(v, list) else [v]) for t, v in sorted(tags.items())]


def raws(g):
    red, blue = jpeg(340, 300, (200, 30, 40)), jpeg(160, 120, (30, 40, 200))

    def add(name, data, picture, turn=0):
        want = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(picture))).convert("RGB"))
        g.write(name, data)
        g.expect(name, np.rot90(want, -turn))

    r = Raw(head=b"CR\2\0" + bytes(4))  # Canon: the picture comes first
    add("preview.cr2", r.file(r.directory([*strip(r, red, t256=340, t257=300, t274=6)])), red, 1)
    r = Raw()  # Nikon: a thumbnail; below it the picture and the sensor
    below = [r.directory(strip(r, red, t254=1)), r.directory(strip(r, b"sensor", t259=34713, t262=32803))]
    add("preview.nef", r.file(r.directory(strip(r, blue, t254=1, t274=8, t330=below))), red, 3)
    r = Raw()  # Adobe, lossy: the sensor's tiles are larger than the picture; a version tag says so
    tiles = [r.add(jpeg(340, 301, (1, 2, 3))), r.add(jpeg(340, 310, (4, 5, 6)))]
    below = [r.directory([(259, 4, [34892]), (262, 4, [34892]), (324, 4, tiles)]), r.directory(strip(r, red))]
    add("tiles.dng", r.file(r.directory([(50706, 1, [1, 4, 0, 0]), *strip(r, blue, t330=below)])), red)
    r = Raw(b"IIRO")  # Olympus
    r.add(red)
    add("preview.orf", r.file(r.directory([(274, 3, [3])])), red, 2)
    r = Raw(b"IIU\0")  # Panasonic: the JPEG has more metadata
    own = jpeg(340, 300, (20, 130, 40), exif=exif(6))
    add("preview.rw2", r.file(r.directory([(46, 1, own), (274, 3, [8])])), own)
    add("preview.raf", b"FUJIFILMCCD-RAW 0201" + bytes(80) + blue + own, own)
    r = Raw()  # a sensor of red, green and blue in turn, and a thumbnail
    a = np.repeat(np.repeat(source(32, 24), 2, 0), 2, 1).astype(np.float64)
    a = (65535 * (a / 255) ** 2.2).astype("<u2")
    sensor = a[:, :, 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = a[::2, ::2, 0], a[1::2, 1::2, 2]
    to_srgb = [3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572]
    tags = [(254, 4, [0]), (256, 4, [64]), (257, 4, [48]), (258, 3, [16]), (259, 3, [1]), (262, 3, [32803]),
            (273, 4, [r.add(sensor.tobytes())]), (274, 3, [6]), (277, 3, [1]), (278, 4, [48]),
            (279, 4, [sensor.nbytes]), (330, 4, [r.directory(strip(r, blue))]), (33421, 3, [2, 2]),
            (33422, 1, [0, 1, 1, 2]), (50706, 1, [1, 4, 0, 0]), (50708, 2, b"A camera\0"), (50717, 4, [65535]),
            (50721, 10, [v for c in to_srgb for v in (round(c * 10000), 10000)]), (50728, 10, [1, 1] * 3),
            (50778, 3, [21])]
    g.write("sensor.dng", r.file(r.directory(tags)))
    Image.fromarray(np.rot90(source(32, 24), -1).copy()).save(g.path("sensor.dng.ppm"))
    r = Raw()
    tiff = r.file(r.directory([(274, 3, [6])]))
    add(
        "preview.cr3",
        box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid",
                                                                 bytes(16) + box(b"CMT1", tiff))) + box(b"mdat", red),
        red, 1)


# ---- tables

def resize_table():
    rng = random.Random(3)
    sizes = [(1, 1, 1, 1), (1, 1, 50, 40), (300, 200, 1, 1), (640, 480, 224, 168), (480, 640, 168, 224),
             (64, 64, 224, 224), (224, 224, 224, 224), (500, 300, 500, 77), (500, 300, 77, 300), (3, 2, 2, 3),
             (4, 900, 200, 30), (100, 1000, 10, 820), (100, 1000, 10, 819), (1000, 700, 330, 231), (4, 4, 9, 9),
             (5, 5, 4, 4), (2000, 3, 30, 40), (3000, 20, 2999, 21)]
    while len(sizes) < 90:
        sizes.append(tuple(max(1, round(900 ** rng.random())) for _ in range(4)))
    for i, (W, H, w, h) in enumerate(sizes):
        for f, pil in FILTERS.items():
            a = noise(W, H, 1000 + i, i % 3 == 0)
            yield 1000 + i, int(i % 3 == 0), W, H, w, h, f, fnv(np.asarray(Image.fromarray(a).resize((w, h), pil)))


STATISTICS = [((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
              ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]


def preprocess_table():
    rng = random.Random(4)
    for i in range(72):
        S, mode, filter_, fill, stats = rng.choice([8, 32, 65, 224]), i % 3, rng.randrange(2), rng.choice(
            [0, 255, 127]), i % len(STATISTICS)
        W, H = max(1, round(500 ** rng.random())) + 3, max(1, round(500 ** rng.random())) + 3
        if mode == 1 and max(W, H) > S * min(W, H):
            H = W  # too long for the peers: a side would be 0
        a = noise(W, H, 2000 + i, i % 5 == 0)
        for flavour, transform in peers(S, mode, filter_, fill, *STATISTICS[stats]):
            yield 2000 + i, int(i % 5 == 0), S, mode, filter_, flavour, fill, stats, W, H, fnv(
                np.asarray(transform(Image.fromarray(a)), np.float32))


KINDS = {
    "jpeg": ("jpg", ), "png": ("png", ), "webp": ("webp", ), "gif": ("gif", ), "bmp": ("bmp", ), "tiff": ("tif", ),
    "heif": ("avif", "heic"), "pnm": ("pbm", "pgm", "ppm", "pam"), "jp2": ("jp2", "j2k"), "jxl": ("jxl", ),
    "svg": ("svg", "svgz"), "raw": ("cr2", "cr3", "nef", "dng", "orf", "rw2", "raf")
}


def seeds(root, golden):
    for kind, extensions in KINDS.items():
        folder = os.path.join(root, "tests/fuzz/corpus", "image_" + kind)  # findings of the fuzzers stay there
        os.makedirs(folder, exist_ok=True)
        for name in sorted(os.listdir(golden)):
            if name.split(".")[-1] in extensions and name.count(".") == 1 and "interlaced.png" not in name:
                shutil.copy(os.path.join(golden, name), folder)


def main():
    root = sys.argv[1]
    golden = os.path.join(root, "tests/image/golden")
    g = Golden(golden)
    for make in (jpegs, pngs, webps, gifs, bmps, pnms, tiffs, heifs, jp2s, jxls, svgs, raws):
        make(g)
    g.table("decode.tsv", g.rows)
    g.table("resize.tsv", resize_table())
    g.table("preprocess.tsv", preprocess_table())
    seeds(root, golden)


if __name__ == "__main__":
    main()
