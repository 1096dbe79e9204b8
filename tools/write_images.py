"""Encoders for pictures that Pillow cannot write.

Every kind of PNG, BMP and TIFF, uncompressed or nearly so, and HEIC by libheif. For dump_images.py;
made to be read, not to be fast.
"""
import ctypes
import ctypes.util
import struct
import sys
import zlib

import numpy as np

# ---- PNG

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_rows(samples, depth):
    """[h, w, channels] to rows of packed bits, filter 0 (and 1 in odd rows, to have one)."""
    out = b""
    for y, row in enumerate(samples):
        flat = row.reshape(-1)
        if depth == 16:
            b = flat.astype(">u2").tobytes()
        elif depth == 8:
            b = flat.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(flat.astype(np.uint8)[:, None], axis=1)[:, 8 - depth:]
            b = np.packbits(bits.reshape(-1)).tobytes()
        if y % 2 and depth >= 8:
            bpp = row.shape[-1] * depth // 8
            b = bytes((b[i] - (b[i - bpp] if i >= bpp else 0)) & 255 for i in range(len(b)))
            out += b"\1" + b
        else:
            out += b"\0" + b
    return out


def png(samples, depth, kind, interlaced=False, chunks=(), after=()):
    h, w = samples.shape[:2]
    raw = b""
    if interlaced:
        for x0, y0, dx, dy in ADAM7:
            part = samples[y0::dy, x0::dx]
            if part.shape[0] and part.shape[1]:
                raw += png_rows(part, depth)
    else:
        raw = png_rows(samples, depth)
    out = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, int(interlaced)))
    for c in chunks:
        out += png_chunk(*c)
    out += png_chunk(b"IDAT", zlib.compress(raw, 9))
    for c in after:
        out += png_chunk(*c)
    return out + png_chunk(b"IEND", b"")


# ---- BMP

def bmp_rows(samples, bits, top_down):
    h, w = samples.shape[:2]
    rows = []
    for row in samples:
        if bits <= 8:
            b = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits:].reshape(-1)).tobytes()
        else:
            b = b"".join(int(v).to_bytes(bits // 8, "little") for v in row)
        rows.append(b + b"\0" * (-len(b) % 4))
    return b"".join(rows if top_down else rows[::-1])


def bmp(pixels, w, h, bits, compression=0, header=40, palette=b"", masks=(), colours=0, offset=None):
    if header == 12:
        info = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, w, h, 1, bits, compression, len(pixels), 2835, 2835, colours, 0)
        packed = struct.pack(f"<{len(masks)}I", *masks)
        info = info + packed if header == 40 else (info + packed + bytes(header))[:header]
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0,
                               start if offset is None else offset) + info + palette + pixels


def rle(indices, four):
    """Runs, absolute runs, an end of line each, one row skipped by a delta."""
    out = b""
    for y, row in enumerate(indices[::-1]):
        if y == 2:
            out += b"\0\2\0\1"  # right 0, up 1
            continue
        x = 0
        while x < len(row):
            n = 1
            while x + n < len(row) and n < 255 and row[x + n] == row[x]:
                n += 1
            if n >= 3:
                out += bytes([n, row[x] * 17 if four else row[x]])
            else:
                n = min(len(row) - x, 5)
                part = row[x:x + n]
                if n < 3:
                    out += b"".join(bytes([1, int(v) * (16 if four else 1)]) for v in part)
                else:
                    b = bytes(part) if not four else bytes(
                        int(part[i]) << 4 | (int(part[i + 1]) if i + 1 < n else 0) for i in range(0, n, 2))
                    out += bytes([0, n]) + b + b"\0" * (len(b) % 2)
            x += n
        out += b"\0\0"
    return out + b"\0\1"


# ---- GIF


def lzw(indices, bits):
    """Codes that start with bits + 1 bits, cleared at 4096 codes, as bytes in blocks."""
    clear, out, n = 1 << bits, 0, 0
    codes, size, nxt, word = {}, bits + 1, clear + 2, ()

    def put(code):
        nonlocal out, n
        out |= code << n
        n += size

    def code_of(w):
        return w[0] if len(w) == 1 else codes[w]

    put(clear)
    for v in indices:
        if not word or word + (v,) in codes:
            word += (v,)
            continue
        put(code_of(word))
        if nxt < 4096:
            codes[word + (v,)] = nxt
            if nxt == (1 << size) and size < 12:
                size += 1
            nxt += 1
        else:
            put(clear)
            codes, size, nxt = {}, bits + 1, clear + 2
        word = (v,)
    put(code_of(word))
    put(clear + 1)
    data = out.to_bytes((n + 7) // 8, "little")
    return bytes([bits]) + b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255]
                                    for i in range(0, len(data), 255)) + b"\0"


def gif(indices, palette, bits):
    """indices [h, w]; palette: 256 colours."""
    h, w = indices.shape
    return (b"GIF89a" + struct.pack("<HHBBB", w, h, 0xF7, 0, 0) + palette + b"," +
            struct.pack("<HHHHB", 0, 0, w, h, 0) + lzw(indices.reshape(-1).tolist(), bits) + b";")


# ---- TIFF


def tiff(samples, bits, photometric, extra=(), planar=1, tile=None, big=False, tags=(), orientation=1, strip=None,
         form=1):
    """An uncompressed TIFF. samples [h, w, n]; tile (w, h) or strips of `strip` rows; form 1 unsigned, 2
    signed, 3 float. photometric and orientation None: the file does not say."""
    h, w, n = samples.shape
    e = ">" if big else "<"

    def pack(part):  # [h, w, n] or [h, w]
        if bits in (8, 16, 32, 64):
            return part.astype(f"{e}{' uif'[form]}{bits // 8}").tobytes()
        if bits == 24:
            four = part.astype(e + "u4").reshape(-1, 1).view(np.uint8)
            return (four[:, 1:] if big else four[:, :3]).tobytes()
        rows = [
            np.packbits(
                np.unpackbits(r.reshape(-1, 1).astype(">u2").view(np.uint8),
                              axis=1)[:, 16 - bits:].reshape(-1)).tobytes() for r in part
        ]
        return b"".join(rows)

    blocks = []
    planes = [samples[:, :, i] for i in range(n)] if planar == 2 else [samples]
    for p in planes:
        if tile:
            tw, th = tile
            for y in range(0, h, th):
                for x in range(0, w, tw):
                    part = p[y:y + th, x:x + tw]
                    pad = [(0, th - part.shape[0]), (0, tw - part.shape[1])] + [(0, 0)] * (part.ndim - 2)
                    blocks.append(pack(np.pad(part, pad, constant_values=99 if bits >= 8 else 0)))
        else:
            for y in range(0, h, strip or h):
                blocks.append(pack(p[y:y + (strip or h)]))
    entries = [(256, 3, [w]), (257, 3, [h]), (258, 3, [bits] * n), (259, 3, [1]), (277, 3, [n]),
               (284, 3, [planar])] + list(tags)
    entries += [(tag, 3, [v]) for tag, v in ((262, photometric), (274, orientation)) if v is not None]
    if form != 1:
        entries.append((339, 3, [form] * n))
    if extra:
        entries.append((338, 3, list(extra)))
    offsets, counts = (324, 325) if tile else (273, 279)
    if tile:
        entries += [(322, 3, [tile[0]]), (323, 3, [tile[1]])]
    else:
        entries.append((278, 3, [strip or h]))
    entries += [(offsets, 4, None), (counts, 4, [len(b) for b in blocks])]
    entries.sort()
    ifd_size, values, at = 2 + 12 * len(entries) + 4, b"", 8
    data_at = at + ifd_size
    out = b""

    def layout(offset_list):
        nonlocal values
        values, rows = b"", b""
        for tag, kind, v in entries:
            v = offset_list if v is None else v
            b = struct.pack(e + str(len(v)) + {1: "B", 3: "H", 4: "I", 9: "i"}[kind], *v)
            if len(b) > 4:
                rows += struct.pack(e + "HHII", tag, kind, len(v), data_at + len(values))
                values += b
            else:
                rows += struct.pack(e + "HHI", tag, kind, len(v)) + b.ljust(4, b"\0")
        return rows

    layout([0] * len(blocks))
    start, places = data_at + len(values), []
    for b in blocks:
        places.append(start)
        start += len(b)
    rows = layout(places)
    out = (b"MM\0*" if big else b"II*\0") + struct.pack(e + "I", 8) + struct.pack(
        e + "H", len(entries)) + rows + struct.pack(e + "I", 0)
    return out + values + b"".join(blocks)


# ---- HEIC


def heic(path, a):
    """libheif's C interface: encode an interleaved RGB picture with x265."""
    lib = ctypes.CDLL(ctypes.util.find_library("heif"))

    class Error(ctypes.Structure):
        _fields_ = [("code", ctypes.c_int), ("subcode", ctypes.c_int), ("message", ctypes.c_char_p)]

    def call(name, *args):
        f = getattr(lib, name)
        f.restype = Error
        e = f(*args)
        if e.code:
            sys.exit(f"{name}: {e.message}")

    lib.heif_context_alloc.restype = ctypes.c_void_p
    lib.heif_image_get_plane.restype = ctypes.c_void_p
    c, encoder, img = ctypes.c_void_p(lib.heif_context_alloc()), ctypes.c_void_p(), ctypes.c_void_p()
    call("heif_context_get_encoder_for_format", c, 1, ctypes.byref(encoder))
    call("heif_encoder_set_lossy_quality", encoder, 85)
    h, w = a.shape[:2]
    call("heif_image_create", w, h, 1, 10, ctypes.byref(img))  # RGB, interleaved RGB
    call("heif_image_add_plane", img, 10, w, h, 8)
    stride = ctypes.c_int()
    p = lib.heif_image_get_plane(img, 10, ctypes.byref(stride))
    for y in range(h):
        ctypes.memmove(p + y * stride.value, a[y].tobytes(), 3 * w)
    call("heif_context_encode_image", c, img, encoder, None, None)
    call("heif_context_write_to_file", c, path.encode())
