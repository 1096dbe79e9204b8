/* orientation.c: turns a picture upright.
 *
 * EXIF has eight orientations, named by where row 0 and column 0 of the file belong in the upright
 * picture:
 *
 *     1        2       3      4         5            6           7          8
 *     888888  888888      88  88      8888888888  88                  88  8888888888
 *     88          88      88  88      88  88      88  88          88  88      88  88
 *     8888      8888    8888  8888    88          8888888888  8888888888          88
 *     88          88      88  88
 *     88          88  888888  888888 */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "image/decode.h"

int clipimg_xmp_orientation(const char *xmp, size_t size)
{
    static const char key[] = "tiff:Orientation";
    const char *end = xmp + size;
    while (size > 0) {
        const char *p = memmem(xmp, size, key, sizeof key - 1);
        if (!p)
            return 0;
        p += sizeof key - 1;
        xmp = p;
        size = (size_t)(end - p);
        size_t skip = size > 2 && memcmp(p, "=\"", 2) == 0 ? 2 : size > 1 && *p == '>' ? 1 : 0;
        if (skip && p[skip] >= '0' && p[skip] <= '9')
            return p[skip] >= '1' && p[skip] <= '8' ? p[skip] - '0' : 0;
    }
    return 0;
}

/* ---- turning ---- */

/* Every orientation is a walk over the file's pixels from one corner: `dx` bytes for a step along
 * the upright row, `dy` down the upright column. The walk goes in tiles, so that walking along
 * columns still finds its lines in the cache. */
enum { TILE = 32 };

typedef struct walk {
    ptrdiff_t start, dx, dy;
} walk;

static walk walk_of(int orientation, ptrdiff_t stride, int width, int height)
{
    ptrdiff_t right = 3 * ((ptrdiff_t)width - 1), bottom = stride * (height - 1);
    switch (orientation) {
    case 2: return (walk){right, -3, stride};
    case 3: return (walk){bottom + right, -3, -stride};
    case 4: return (walk){bottom, 3, -stride};
    case 5: return (walk){0, stride, 3};
    case 6: return (walk){bottom, -stride, 3};
    case 7: return (walk){bottom + right, -stride, -3};
    case 8: return (walk){right, stride, -3};
    default: return (walk){0, 3, stride};
    }
}

static void turn_tile(const uint8_t *from, ptrdiff_t dx, ptrdiff_t dy, uint8_t *to, size_t stride, int w, int h)
{
    for (int y = 0; y < h; y++, from += dy, to += stride) {
        const uint8_t *p = from;
        for (int x = 0; x < w; x++, p += dx)
            memcpy(to + 3 * x, p, 3);
    }
}


void clipimg_turn_rows(const clip_image *rows, int y, int height, int orientation, const clip_image *to)
{
    walk w = walk_of(orientation, (ptrdiff_t)rows->stride, rows->width, height);
    bool swapped = orientation >= 5,
         from_end = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    int first = from_end ? height - y - rows->height : y; /* the first upright row, or column */
    int x0 = swapped ? first : 0, y0 = swapped ? 0 : first;
    int x1 = swapped ? first + rows->height : to->width, y1 = swapped ? to->height : first + rows->height;
    w.start -= (ptrdiff_t)rows->stride * y;
    for (int v = y0; v < y1; v += TILE)
        for (int u = x0; u < x1; u += TILE)
            turn_tile(rows->rgb + (w.start + u * w.dx + v * w.dy), w.dx, w.dy,
                      clipimg_row(to, (size_t)v) + 3 * (size_t)u, to->stride, clipb_min(x1 - u, TILE),
                      clipb_min(y1 - v, TILE));
}

clip_status clipimg_turn(clip_image *img, int orientation)
{
    if (orientation < 2 || orientation > 8)
        return CLIP_OK;
    bool swapped = orientation >= 5;
    clip_image to = {.width = swapped ? img->height : img->width, .height = swapped ? img->width : img->height};
    to.stride = 3 * (size_t)to.width;
    to.rgb = clipimg_pixels(to.stride * (size_t)to.height);
    if (!to.rgb)
        return CLIP_ENOMEM;
    clipimg_turn_rows(img, 0, img->height, orientation, &to);
    clipimg_free(img);
    *img = to;
    return CLIP_OK;
}
