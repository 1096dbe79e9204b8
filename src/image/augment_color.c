/* augment_color.c: changes of color in 8 bits, bit for bit as in Pillow's ImageEnhance and
 * torchvision's adjust_hue.
 *
 * The first three blend with a degenerate picture d: d + factor (v - d), cut downwards to 0..255.
 *     brightness  d = black
 *     contrast    d = the mean grey
 *     saturation  d = the pixel's grey */
#include <string.h>

#include "image/augment.h"

/* BT.601 */
static uint8_t grey(const uint8_t *p) { return (uint8_t)((p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16); }

static uint8_t blend(int d, int v, float factor)
{
    float mix = (float)d + factor * (float)(v - d);
    return mix <= 0.0f ? 0 : mix >= 255.0f ? 255 : (uint8_t)mix;
}

static void blend_all(uint8_t *rgb, size_t n, int d, float factor)
{
    uint8_t to[256];
    for (int v = 0; v < 256; v++)
        to[v] = blend(d, v, factor);
    for (size_t i = 0; i < 3 * n; i++)
        rgb[i] = to[rgb[i]];
}

void clipimg_brightness(uint8_t *rgb, size_t n, float factor) { blend_all(rgb, n, 0, factor); }

void clipimg_contrast(uint8_t *rgb, size_t n, float factor)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += grey(rgb + 3 * i);
    blend_all(rgb, n, (int)((double)sum / (double)n + 0.5), factor);
}

void clipimg_saturation(uint8_t *rgb, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = rgb + 3 * i;
        const int d = grey(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(d, p[c], factor);
    }
}

/* ---- Hue, through 8-bit HSV ---- */

static int clip8(int v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

static void to_hsv(const uint8_t *p, uint8_t *hsv)
{
    const int r = p[0], g = p[1], b = p[2];
    const int most = r > g ? (r > b ? r : b) : g > b ? g : b, least = r < g ? (r < b ? r : b) : g < b ? g : b;
    hsv[0] = hsv[1] = 0;
    hsv[2] = (uint8_t)most;
    if (most == least)
        return;
    const float range = (float)(most - least), s = range / (float)most;
    const float rc = (float)(most - r) / range, gc = (float)(most - g) / range, bc = (float)(most - b) / range;
    float h = r == most ? bc - gc : (float)(g == most ? 2.0 + rc - bc : 4.0 + gc - rc);
    const double turns = h / 6.0 + 1.0; /* 5/6 .. 11/6 */
    h = (float)(turns < 1 ? turns : turns - 1);
    hsv[0] = (uint8_t)clip8((int)(h * 255.0));
    hsv[1] = (uint8_t)clip8((int)(s * 255.0));
}

static void to_rgb(const uint8_t *hsv, uint8_t *p)
{
    const uint8_t v = hsv[2];
    const int sector = (int)((float)hsv[0] * 6.0 / 255.0);
    const float f = (float)((float)hsv[0] * 6.0 / 255.0 - (float)sector), s = (float)((float)hsv[1] / 255.0);
    const uint8_t low = (uint8_t)clip8((int)((float)v * (1.0 - s) + 0.5));
    const uint8_t down = (uint8_t)clip8((int)((float)v * (1.0 - s * f) + 0.5));
    const uint8_t up = (uint8_t)clip8((int)((float)v * (1.0 - s * (1.0 - f)) + 0.5));
    const uint8_t of[6][3] = {{v, up, low}, {down, v, low}, {low, v, up}, {low, down, v}, {up, low, v}, {v, low, down}};
    memcpy(p, of[sector % 6], 3);
}

void clipimg_hue(uint8_t *rgb, size_t n, float turn)
{
    const uint8_t by = (uint8_t)(int)((double)turn * 255.0);
    for (size_t i = 0; i < n; i++) {
        uint8_t hsv[3];
        to_hsv(rgb + 3 * i, hsv);
        hsv[0] = (uint8_t)(hsv[0] + by);
        to_rgb(hsv, rgb + 3 * i);
    }
}
