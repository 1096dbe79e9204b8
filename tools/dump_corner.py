#!/usr/bin/env python3
"""Golden pixels of OWLv2's preparation of pictures, for tests/image/test_corner.c.

    dump_corner.py > tests/image/golden_corner.h

The pictures are made by a formula that the test has as well.
Needs: transformers, scipy, pillow.
"""
import numpy as np
from PIL import Image
from transformers import Owlv2ImageProcessorPil

SIZE = 6
PICTURES = ((23, 14), (5, 19), (4, 3), (6, 6), (7, 6))


def picture(width, height):
    n = np.arange(width * height * 3, dtype=np.uint64)
    return ((n * 2654435761 % 2**32) >> 24).astype(np.uint8).reshape(height, width, 3)


def main():
    processor = Owlv2ImageProcessorPil(size={"height": SIZE, "width": SIZE}, image_mean=[0.5, 0.4, 0.3],
                                       image_std=[0.2, 0.3, 0.4])
    print("/* Made by tools/dump_corner.py. */")
    print(f"#define CORNER_SIZE {SIZE}")
    print("static const int corner_picture[][2] = {" + ", ".join("{%d, %d}" % p for p in PICTURES) + "};")
    print("static const float corner_golden[][3 * CORNER_SIZE * CORNER_SIZE] = {")
    for width, height in PICTURES:
        values = processor(Image.fromarray(picture(width, height)), return_tensors="np").pixel_values[0].flatten()
        print("    {")
        for i in range(0, len(values), SIZE):
            row = (f"{v:.8g}" for v in values[i : i + SIZE])
            print("        " + ", ".join((v if "." in v or "e" in v else v + ".0") + "f" for v in row) + ",")
        print("    },")
    print("};")


if __name__ == "__main__":
    main()
