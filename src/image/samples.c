/* samples.c: samples of any width and form, by one function that reads a number. Frequent forms
 * have their own loops. */
#include "image/samples.h"

#include <math.h>
#include <string.h>

bool clipimg_samples_known(const clipimg_samples *s)
{
    if (s->form == CLIPIMG_FLOAT)
        return s->bits == 16 || s->bits == 32 || s->bits == 64;
    return ((s->bits >= 1 && s->bits <= 32) || s->bits == 64) && (!s->index || s->bits <= 8);
}

bool clipimg_samples_measured(const clipimg_samples *s)
{
    return s->form == CLIPIMG_FLOAT || s->bits > 16 || (s->form == CLIPIMG_SIGNED && s->bits > 8);
}

/* Bits [at, at + n) of p, high bits first. */
static uint64_t packed(const uint8_t *p, size_t at, unsigned n)
{
    uint64_t v = 0;
    for (; n > 0; n--, at++)
        v = v << 1 | (p[at / 8] >> (7 - at % 8) & 1);
    return v;
}

static uint64_t raw_sample(const clipimg_samples *s, const uint8_t *p, size_t i)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (s->bits) {
    case 8: return p[i];
    case 16: memcpy(&v16, p + 2 * i, 2); return v16;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    case 24: return p[3 * i] | (uint32_t)p[3 * i + 1] << 8 | (uint32_t)p[3 * i + 2] << 16;
#endif
    case 32: memcpy(&v32, p + 4 * i, 4); return v32;
    case 64: memcpy(&v64, p + 8 * i, 8); return v64;
    default: return packed(p, i * s->bits, s->bits);
    }
}

static double half_to_double(uint64_t v)
{
    const int exponent = v >> 10 & 31, mantissa = v & 1023;
    const double size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                       : ldexp(mantissa, -24);
    return v >> 15 ? -size : size;
}

static double sample_number(const clipimg_samples *s, const uint8_t *p, size_t i)
{
    const uint64_t v = raw_sample(s, p, i);
    const uint32_t low = (uint32_t)v;
    float f;
    double d;
    if (s->form == CLIPIMG_FLOAT && s->bits == 16)
        return half_to_double(v);
    if (s->form == CLIPIMG_FLOAT && s->bits == 32)
        return memcpy(&f, &low, sizeof f), f;
    if (s->form == CLIPIMG_FLOAT)
        return memcpy(&d, &v, sizeof d), d;
    if (s->form == CLIPIMG_SIGNED)
        return (double)((int64_t)(v << (64 - s->bits)) >> (64 - s->bits));
    return (double)v;
}

void clipimg_samples_measure(clipimg_samples *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = sample_number(s, p, i);
        if (v > s->most && isfinite(v) && i % s->per_pixel != s->alpha)
            s->most = v;
    }
}

void clipimg_samples_set_white(clipimg_samples *s)
{
    s->white = 255;
    if (s->form == CLIPIMG_FLOAT && s->most <= (s->colour ? 16 : 1))
        s->white = 1;
    else
        while (s->white < s->most)
            s->white = 2 * s->white + 1;
}

/* Truncates, as Pillow does. Samples scaled from 0..1 are rounded. */
static uint8_t to_byte(double v, double white)
{
    const double scaled = white == 1 ? v * 255 + 0.5 : v * 256 / (white + 1);
    return scaled >= 255 ? 255 : scaled > 0 ? (uint8_t)scaled : 0;
}

static void unpack_measured(const clipimg_samples *s, const uint8_t *p, size_t n, uint8_t *to, size_t step)
{
    const double opaque = s->form == CLIPIMG_FLOAT ? 1 : ldexp(1, (int)s->bits - (s->form == CLIPIMG_SIGNED)) - 1;
    for (size_t i = 0; i < n; i++)
        to[i * step] = to_byte(sample_number(s, p, i), i % s->per_pixel == s->alpha ? opaque : s->white);
}

void clipimg_samples_unpack(const clipimg_samples *s, const uint8_t *p, size_t n, uint8_t *to, size_t step)
{
    const unsigned most = s->bits < 8 ? (1u << s->bits) - 1 : 255, shift = s->bits > 8 ? s->bits - 8 : 0;
    if (clipimg_samples_measured(s))
        unpack_measured(s, p, n, to, step);
    else if (s->bits == 8)
        for (size_t i = 0; i < n; i++)
            to[i * step] = p[i];
    else if (s->bits > 8)
        for (size_t i = 0; i < n; i++)
            to[i * step] = (uint8_t)(raw_sample(s, p, i) >> shift);
    else
        for (size_t i = 0; i < n; i++) {
            const unsigned v = (unsigned)packed(p, i * s->bits, s->bits);
            to[i * step] = (uint8_t)(s->index ? v : (v * 255 + most / 2) / most);
        }
}

static double from_lab(double f) { return f > 6.0 / 29 ? f * f * f : (f - 4.0 / 29) * 108 / 841; }

static uint8_t to_srgb(double v)
{
    const double s = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
    return s <= 0 ? 0 : s >= 1 ? 255 : (uint8_t)(s * 255 + 0.5);
}

/* By way of XYZ at D50, which the matrix adapts to sRGB's D65 (Bradford). */
void clipimg_lab_pixel(uint8_t lightness, int a, int b, uint8_t *rgb)
{
    static const double matrix[3][3] = {
        {3.1338561, -1.6168667, -0.4906146}, {-0.9787684, 1.9161415, 0.0334540}, {0.0719453, -0.2289914, 1.4052427}};
    const double y = (lightness / 2.55 + 16) / 116;
    const double xyz[3] = {0.96422 * from_lab(y + a / 500.0), from_lab(y), 0.82521 * from_lab(y - b / 200.0)};
    for (int c = 0; c < 3; c++)
        rgb[c] = to_srgb(matrix[c][0] * xyz[0] + matrix[c][1] * xyz[1] + matrix[c][2] * xyz[2]);
}
