"""Write HEIC files of any structure, sound or broken, from pictures that pillow-heif has encoded.

For dump_images.py.
"""
import io
import struct

import numpy as np
import pillow_heif
from PIL import Image


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def boxes(data, at=0, end=None):
    """(type, contents) of the boxes in a row."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        yield kind, data[at + 8:at + n]
        at += n


def ispe(width, height):
    return b"ispe", struct.pack(">III", 0, width, height)


def irot(quarters):
    return b"irot", bytes([quarters])


class Item:
    """An item of a file. made_of: its tiles. refers: (type, id) of another item."""

    def __init__(self, kind, data, properties=(), made_of=(), refers=None, hidden=False):
        self.kind, self.data, self.properties = kind, data, list(properties)
        self.made_of, self.refers, self.hidden = list(made_of), refers, hidden


def coded(a, **how):
    """A picture as HEVC."""
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(a)).save(out, quality=80)
    data = out.getvalue()
    meta = next(body for kind, body in boxes(data) if kind == b"meta")
    found = {kind: body for kind, body in boxes(meta, 4)}
    properties = [
        p for p in boxes(dict(boxes(found[b"iprp"]))[b"ipco"]) if p[0] in (b"hvcC", b"colr", b"ispe", b"pixi")
    ]
    _, sizes, _, _, _, base, _, offset, n = struct.unpack(">IHHHHIHII", found[b"iloc"])
    assert sizes == 0x4440
    at = base + offset
    return Item(b"hvc1", data[at:at + n], properties, **how)


def grid(width, height, columns, rows, tiles, properties=(), **how):
    return Item(b"grid", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height),
                [ispe(width, height), *properties], made_of=tiles, **how)


def exif(data, of):
    return Item(b"Exif", struct.pack(">I", 0) + data, refers=(b"cdsc", of))


def heic(items, primary=1, brand=b"heic", beyond=()):
    """items: by id, from 1. beyond: ids whose data are declared to lie behind the file's end."""
    properties, associations = [], b""
    for id_, item in items.items():
        indices = []
        for p in item.properties:
            if p not in properties:
                properties.append(p)
            indices.append(properties.index(p) + 1 | (0x80 if p[0] in (b"hvcC", b"irot", b"clap") else 0))
        if indices:
            associations += struct.pack(">HB", id_, len(indices)) + bytes(indices)
    infos = b"".join(
        box(b"infe", struct.pack(">IHH4s", 2 << 24 | i.hidden, n, 0, i.kind), b"\0") for n, i in items.items())
    references = b"".join(
        box(b"dimg", struct.pack(f">HH{len(i.made_of)}H", n, len(i.made_of), *i.made_of)) for n, i in items.items()
        if i.made_of)
    references += b"".join(
        box(i.refers[0], struct.pack(">HHH", n, 1, i.refers[1])) for n, i in items.items() if i.refers)

    def meta(offset):
        places = b""
        for n, item in items.items():
            at = 1 << 30 if n in beyond else offset
            places += struct.pack(">HHHII", n, 0, 1, at, len(item.data))
            offset += len(item.data)
        return box(
            b"meta", struct.pack(">I", 0), box(b"hdlr", struct.pack(">II4s12xx", 0, 0, b"pict")),
            box(b"pitm", struct.pack(">IH", 0, primary)),
            box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(items)), places),
            box(b"iinf", struct.pack(">IH", 0, len(items)), infos),
            box(b"iprp", box(b"ipco", *(box(*p) for p in properties)),
                box(b"ipma", struct.pack(">II", 0, sum(bool(i.properties) for i in items.values())), associations)),
            box(b"iref", struct.pack(">I", 0), references) if references else b"")

    head = box(b"ftyp", brand, struct.pack(">I", 0), b"mif1", brand)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(i.data for i in items.values()))


def cases(date):
    """(name, file) of HEIC files, most of them faulty. test_heif.c knows the result of each. date:
    EXIF with a date. They show 192 x 128 pixels, red growing to the right and green to the
    bottom. Tiles are 64 x 64: 1 is the picture, 2..7 its tiles, 8 a thumbnail of 96 x 64, 9 the
    EXIF."""
    s = 64
    y, x = np.mgrid[0:2 * s, 0:3 * s]
    a = np.stack([x * 255 / (3 * s - 1), y * 255 / (2 * s - 1), np.full_like(x, 128)], 2).astype(np.uint8)
    other = np.ascontiguousarray(a[:, ::-1])
    small = lambda x: np.asarray(Image.fromarray(x).resize((3 * s // 2, s), Image.Resampling.BOX))
    tiles = {
        i + 2: coded(np.ascontiguousarray(a[i // 3 * s:i // 3 * s + s, i % 3 * s:i % 3 * s + s]), hidden=True)
        for i in range(6)
    }

    def tiled(thumbnail, properties=(), **how):
        thumbnail.refers = (b"thmb", 1)
        return heic({1: grid(3 * s, 2 * s, 3, 2, range(2, 8), properties), **tiles, 8: thumbnail, 9: exif(date, 1)},
                    **how)

    def single(*before, after=()):
        whole = coded(a)
        whole.properties = [*before, *whole.properties, *after]
        return whole

    yield "tiled.heic", tiled(coded(small(a)))
    yield "thumbnail_other.heic", tiled(coded(small(other)))
    lying = coded(small(a))
    lying.properties = [p if p[0] != b"ispe" else ispe(3 * s // 2 + 3, s + 2) for p in lying.properties]
    yield "thumbnail_lying.heic", tiled(lying)
    broken = coded(small(a))
    broken.data = broken.data[:9]
    yield "thumbnail_broken.heic", tiled(broken)
    bare = coded(small(a))
    bare.properties = [p for p in bare.properties if p[0] != b"hvcC"]
    yield "thumbnail_bare.heic", tiled(bare)
    yield "thumbnail_beyond.heic", tiled(coded(small(a)), beyond=(8,))
    yield "thumbnail_upright.heic", tiled(coded(small(a)), [irot(2)])  # the picture is rotated, the thumbnail is not
    turned = coded(small(a))
    turned.properties.append(irot(3))
    yield "thumbnail_turned.heic", tiled(turned, [irot(3)])
    yield "exif_beyond.heic", tiled(coded(small(a)), beyond=(9,))
    alone = coded(small(other))
    alone.refers = (b"thmb", 1)
    yield "thumbnail_untiled.heic", heic({1: coded(a), 2: alone})
    yield "irot_first.heic", heic({1: single(irot(1))})
    yield "irot_last.heic", heic({1: single(after=[irot(1)])})
    yield "clap_first.heic", heic({1: single((b"clap", struct.pack(">8I", 40, 1, 30, 1, 2, 1, 0, 1)))})
    yield "second_beyond.heic", heic({1: coded(a), 2: coded(other)}, beyond=(2,))
    yield "huge.heic", heic({1: grid(65535, 65535, 1, 1, [2]), 2: tiles[2]})
    lying = grid(32000, 32000, 1, 1, [2])
    lying.properties[0] = ispe(s, s)
    yield "huge_grid.heic", heic({1: lying, 2: tiles[2]})
    yield "cycle.heic", heic({1: Item(b"iden", b"", [ispe(s, s)], [2]), 2: Item(b"iden", b"", [ispe(s, s)], [1])})
    yield "cycle_grid.heic", heic({1: grid(s, s, 2, 1, [2, 1]), 2: tiles[2]})
    deep = {
        1: grid(s, s, 16, 16, [2] * 256), 2: grid(s, s, 16, 16, [3] * 256), 3: grid(s, s, 16, 16, [4] * 256),
        4: tiles[2]
    }
    yield "bomb.heic", heic(deep)
    large = coded(np.full((1536, 1536, 3), 90, np.uint8))
    large.properties = [p if p[0] != b"ispe" else ispe(s, s) for p in large.properties]
    yield "stream_large.heic", heic({1: large})
    out = io.BytesIO()
    Image.new("RGB", (1536, 1536), (90, 90, 90)).save(out, "AVIF")
    yield "stream_large.avif", out.getvalue().replace(struct.pack(">II", 1536, 1536), struct.pack(">II", s, s))
