#!/usr/bin/env python3
"""Compare src/image with Pillow, OpenCLIP and transformers on random pictures, and time it.

    parity_images.py BUILD [--resize N] [--preprocess N] [--decode N] [--time] [--pictures DIR]

BUILD is a Meson build folder that holds tests/image/image_probe. Prints differences; the exit code
is 1 if there was one. For developers: the tests themselves need no Python.
Needs: numpy and Pillow; for JPEG XL pillow-jxl-plugin; for --preprocess torch, torchvision,
open_clip and transformers.
"""
import argparse
import io
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from PIL import Image, ImageOps

try:
    import pillow_jxl  # registers itself
except ImportError:
    pass

warnings.simplefilter("ignore")
FILTERS = {0: Image.Resampling.BILINEAR, 1: Image.Resampling.BICUBIC}
MODES = {0: "shortest", 1: "longest", 2: "squash"}


class Probe:
    def __init__(self, build):
        self.p = subprocess.Popen([os.path.join(build, "tests/image/image_probe")], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def ask(self, line, data=b""):
        self.p.stdin.write(line.encode() + b"\n" + data)
        self.p.stdin.flush()

    def bytes(self, n):
        got = self.p.stdout.read(n)
        if len(got) != n:
            sys.exit("the probe ended early")
        return got

    def resize(self, set_, filter_, a, w, h):
        self.ask(f"resize {set_} {filter_} {a.shape[1]} {a.shape[0]} {w} {h}", a.tobytes())
        return np.frombuffer(self.bytes(3 * w * h), np.uint8).reshape(h, w, 3)

    def preprocess(self, size, mode, filter_, flavour, fill, a, mean, std):
        numbers = " ".join(repr(float(v)) for v in (*mean, *std))
        self.ask(f"preprocess {size} {mode} {filter_} {flavour} {fill} {a.shape[1]} {a.shape[0]} {numbers}",
                 a.tobytes())
        return np.frombuffer(self.bytes(12 * size * size), np.float32).reshape(3, size, size)

    def decode(self, path, background=-1, most=178956970):
        """The picture, or the message of the error."""
        self.ask(f"decode {background} {most} {path}")
        line = self.p.stdout.readline().decode().rstrip("\n")
        if line.startswith("-"):
            return line
        w, h = map(int, line.split())
        return np.frombuffer(self.bytes(3 * w * h), np.uint8).reshape(h, w, 3)

    def time(self, what):
        self.ask("time " + what)
        return float(self.p.stdout.readline())


def random_size(rng, most):
    return max(1, min(most, int(round(most ** rng.random())) + rng.randrange(0, 4)))


def random_picture(np_rng, rng, w, h):
    kind = rng.randrange(3)
    if kind == 0:
        return np_rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    if kind == 1:
        return (np_rng.integers(0, 2, (h, w, 3), dtype=np.uint8) * 255).astype(np.uint8)
    y, x = np.mgrid[0:h, 0:w]
    return np.stack([x * 255 // max(1, w - 1), y * 255 // max(1, h - 1), (x + y) % 256], 2).astype(np.uint8)


def check_resize(probe, n, rng, np_rng):
    bad = 0
    for i in range(n):
        w, h, W, H = (random_size(rng, 3000) for _ in range(4))
        if rng.random() < 0.1:
            W = w
        if rng.random() < 0.1:
            H = h
        while w * h > 3e6 or W * H > 3e6:
            w, h, W, H = w // 2 + 1, h // 2 + 1, W // 2 + 1, H // 2 + 1
        a = random_picture(np_rng, rng, w, h)
        for f, pil in FILTERS.items():
            want = np.asarray(Image.fromarray(a).resize((W, H), pil))
            for set_ in ("best", "generic"):
                got = probe.resize(set_, f, a, W, H)
                if not np.array_equal(got, want):
                    bad += 1
                    print(f"resize {set_} {pil.name} {w}x{h} to {W}x{H}: {np.count_nonzero(got != want)} bytes differ")
    print(f"resize: {n} random pictures, 2 filters, 2 sets: {bad} differ")
    return bad


def peers(size, mode, filter_, fill, mean, std):
    """The transforms of OpenCLIP and of Hugging Face (None if it lacks this mode), each from PIL
    picture to [3, S, S]."""
    import open_clip
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    t = open_clip.transform.image_transform(size, False, mean=mean, std=std, resize_mode=MODES[mode], fill_color=fill,
                                            interpolation="bilinear" if filter_ == 0 else "bicubic")
    yield 0, lambda im: t(im).numpy()
    if mode != 1:
        p = CLIPImageProcessorPil(size={"shortest_edge": size} if mode == 0 else {"height": size, "width": size},
                                  crop_size={"height": size,
                                             "width": size}, resample=FILTERS[filter_], image_mean=mean, image_std=std)
        yield 1, lambda im: np.asarray(p(im, return_tensors="np")["pixel_values"][0])


def check_preprocess(probe, n, rng, np_rng):
    stats = [((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
             ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    bad = total = 0
    for i in range(n):
        size, mode, filter_ = rng.choice([7, 64, 65, 224, 225, 336]), rng.randrange(3), rng.randrange(2)
        w, h = random_size(rng, 1500), random_size(rng, 1500)
        while w * h > 2e6 or max(w, h) > 200 * min(w, h) or (mode == 1 and max(w, h) > size * min(w, h)):
            w, h = random_size(rng, 1500), random_size(rng, 1500)
        mean, std = rng.choice(stats)
        fill = rng.choice([0, 255, 127])
        a = random_picture(np_rng, rng, w, h)
        for flavour, transform in peers(size, mode, filter_, fill, mean, std):
            want = transform(Image.fromarray(a))
            got = probe.preprocess(size, mode, filter_, flavour, fill, a, mean, std)
            total += 1
            if want.shape != got.shape or not np.array_equal(got, want):
                bad += 1
                d = np.abs(got - want).max() if want.shape == got.shape else "shape"
                print(
                    f"preprocess {('OpenCLIP', 'Hugging Face')[flavour]} {MODES[mode]} {FILTERS[filter_].name} "
                    f"{w}x{h} to {size}: largest difference {d}"
                )
    print(f"preprocess: {total} random pictures and recipes: {bad} differ in any bit")
    return bad


def encodings(rng):
    """(name, extension, PIL mode, how to save) of what Pillow can write and this reads, with random options."""
    yield "jpeg", "jpg", "RGB", dict(quality=rng.randrange(1, 101), subsampling=rng.randrange(3),
                                     progressive=rng.random() < .5)
    yield "jpeg grey", "jpg", "L", dict(quality=rng.randrange(1, 101))
    yield "jpeg cmyk", "jpg", "CMYK", dict(quality=rng.randrange(1, 101), progressive=rng.random() < .5)
    for mode in ("RGB", "L", "1", "P", "RGBA", "LA"):
        yield f"png {mode}", "png", mode, {}
    yield "webp", "webp", "RGB", dict(quality=rng.randrange(1, 101))
    yield "webp alpha", "webp", "RGBA", dict(quality=rng.randrange(1, 101))
    yield "webp lossless", "webp", "RGBA", dict(lossless=True, exact=True)
    yield "gif", "gif", "P", dict(interlace=rng.randrange(2))
    yield "gif grey", "gif", "L", {}
    for mode in ("RGB", "L", "1", "P", "RGBA"):
        yield f"bmp {mode}", "bmp", mode, {}
    for mode in ("RGB", "L", "1"):
        yield f"pnm {mode}", "ppm", mode, {}
    for mode in ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK"):
        for c in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"):
            yield f"tiff {mode} {c}", "tif", mode, dict(compression=c)
    yield "tiff jpeg", "tif", "RGB", dict(compression="jpeg", quality=rng.randrange(1, 101))
    yield "tiff YCbCr", "tif", "YCbCr", {}
    for mode in ("RGB", "L", "RGBA", "LA"):
        for ext in ("jp2", "j2k"):
            yield f"jpeg2000 {mode}", ext, mode, dict(num_resolutions=1)
        if "JXL" in Image.registered_extensions().values():
            yield f"jpeg xl {mode}", "jxl", mode, dict(lossless=True)


def pillow(path, background):
    im = Image.open(io.BytesIO(open(path,
                                    "rb").read()))  # by path, Pillow maps uncompressed TIFFs and forgets to turn them
    im = ImageOps.exif_transpose(im)
    if background < 0:
        return np.asarray(im.convert("RGB"))
    rgba = im.convert("RGBA") if im.has_transparency_data else None
    if rgba is None:
        return np.asarray(im.convert("RGB"))
    out = Image.new("RGB", im.size, (background >> 16, background >> 8 & 255, background & 255))
    out.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(out)


def compare(probe, path, name, background=-1):
    """0: the same."""
    try:
        want = pillow(path, background)
    except Exception as e:
        want = f"{type(e).__name__}: {e}"
    got = probe.decode(path, background)
    if isinstance(want, str) and isinstance(got, str):
        return 0
    if isinstance(want, str) or isinstance(got, str) or want.shape != got.shape:
        say = lambda v: v if isinstance(v, str) else "x".join(map(str, v.shape))
        print(f"decode {name}: ours {say(got)}, Pillow {say(want)}")
        return 1
    if np.array_equal(got, want):
        return 0
    d = np.abs(got.astype(int) - want)
    print(
        f"decode {name} background {background}: {np.count_nonzero(d)} of {d.size} bytes differ, by {d.max()} at "
        f"most, {d.mean():.4f} in the mean"
    )
    return 1


def check_decode(probe, n, rng, np_rng, folder):
    bad = total = 0
    for i in range(n):
        w, h = random_size(rng, 400), random_size(rng, 400)
        a = Image.fromarray(random_picture(np_rng, rng, w, h))
        alpha = Image.fromarray(np_rng.integers(0, 256, (h, w), dtype=np.uint8))
        for name, ext, mode, save in encodings(rng):
            im = a.convert(mode)
            if mode in ("RGBA", "LA"):
                im.putalpha(alpha)
            path = os.path.join(folder, "a." + ext)
            exif = Image.Exif()
            exif[274] = rng.randrange(1, 9)
            if ext in ("jpg", "png", "webp", "tif"):
                save["exif"] = exif.tobytes() if ext != "tif" else exif
            try:
                im.save(path, **save)
            except (OSError, ValueError, KeyError) as e:
                print(f"Pillow can't write {name}: {e}")
                continue
            for background in (-1, 0x40C0FF):
                total += 1
                bad += compare(probe, path, f"{name} {w}x{h} {save}", background)
    print(f"decode: {total} random files: {bad} differ")
    return bad


def check_files(probe, folder):
    bad = total = 0
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(root, name)
            for background in (-1, 0x40C0FF):
                total += 1
                bad += compare(probe, path, path, background)
    print(f"files: {total}: {bad} differ")
    return bad


def median_ms(f, n):
    f()
    t = []
    for _ in range(n):
        a = time.perf_counter()
        f()
        t.append(1e3 * (time.perf_counter() - a))
    return statistics.median(t)


def photo(w, h, np_rng):
    """A picture with the statistics of a photograph: noise at every scale."""
    a = np.zeros((h, w, 3), np.float32)
    for s in (4, 16, 64, 256, 1024):
        small = np_rng.normal(0, 1, (max(2, h // s + 1), max(2, w // s + 1), 3)).astype(np.float32)
        for c in range(3):
            a[:, :, c] += np.asarray(Image.fromarray(small[:, :, c]).resize((w, h), Image.Resampling.BICUBIC)) * s**0.5
    return Image.fromarray(np.clip(128 + a * 4, 0, 255).astype(np.uint8))


def timings(probe, np_rng, folder):
    print("milliseconds (median)                 ours  generic   Pillow   ratio")
    for w, h, W, H, f in ((4000, 3000, 298, 224, 1), (4000, 3000, 298, 224, 0), (640, 480, 298, 224, 1),
                          (4000, 3000, 2000, 1500, 1), (64, 64, 224, 224, 1)):
        n = 15 if w > 1000 else 100
        im = Image.fromarray(np_rng.integers(0, 256, (h, w, 3), dtype=np.uint8))
        ours = probe.time(f"resize best {f} {w} {h} {W} {H} {n}")
        generic = probe.time(f"resize generic {f} {w} {h} {W} {H} {n}")
        pil = median_ms(lambda: im.resize((W, H), FILTERS[f]), n)
        print(
            f"{FILTERS[f].name.lower():8} {w:4}x{h:<4} to {W:4}x{H:<4}     {ours:8.3f} {generic:8.3f} {pil:8.3f} "
            f"{pil / ours:7.1f}"
        )
    im = photo(4000, 3000, np_rng)
    for name, ext, save in (("jpeg 4:2:0", "jpg",
                             dict(quality=90)), ("jpeg progressive", "jpg", dict(
                                 quality=90, progressive=True)), ("jpeg turned", "jpg", dict(
                                     quality=90, exif=turned(6))), ("png", "png", {}),
                            ("webp", "webp", dict(quality=80)), ("bmp", "bmp", {}), ("pnm", "ppm", {}),
                            ("tiff lzw", "tif", dict(compression="tiff_lzw")), ("avif", "avif", {})):
        path = os.path.join(folder, "t." + ext)
        im.save(path, **save)
        data = open(path, "rb").read()
        ours = probe.time(f"decode 5 {path}")
        pil = median_ms(lambda: ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), 5)
        print(f"decode {name:16} 4000x3000         {ours:8.1f}          {pil:8.1f} {pil / ours:7.1f}")
    print(f"preprocess 4000x3000 to 224              {probe.time('preprocess 224 0 1 4000 3000 15'):8.3f}")


def turned(o):
    exif = Image.Exif()
    exif[274] = o
    return exif.tobytes()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--resize", type=int, default=0)
    p.add_argument("--preprocess", type=int, default=0)
    p.add_argument("--decode", type=int, default=0)
    p.add_argument("--pictures")
    p.add_argument("--time", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng, np_rng, probe, bad = random.Random(a.seed), np.random.default_rng(a.seed), Probe(a.build), 0
    with tempfile.TemporaryDirectory() as folder:
        if a.resize:
            bad += check_resize(probe, a.resize, rng, np_rng)
        if a.preprocess:
            bad += check_preprocess(probe, a.preprocess, rng, np_rng)
        if a.decode:
            bad += check_decode(probe, a.decode, rng, np_rng, folder)
        if a.pictures:
            bad += check_files(probe, a.pictures)
        if a.time:
            timings(probe, np_rng, folder)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
