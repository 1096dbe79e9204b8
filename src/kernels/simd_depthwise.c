/* simd_depthwise.c: the depthwise convolution: every channel has one filter. One row of the output.
 *
 * A vector holds neighbouring channels of one pixel. Where whole filters fit into the picture,
 * OUTPUTS pixels share the load of a tap. A pixel's sum has the order of the taps, with those
 * outside of the picture left out, wherever it is computed. */
#include "kernels/vecmath.h"

#define OUTPUTS 4

/* `count` outputs from output o on, n channels from channel c on; taps v0 .. v1 and u0 .. u1. */
static inline __attribute__((always_inline)) void outputs(const clipk_depthwise_piece *p, int o, int count, int c,
                                                          int n, int v0, int v1, int u0, int u1)
{
    const int pad = p->K / 2, h = p->h * p->stride - pad, w = o * p->stride - pad;
    vf sum[OUTPUTS];
    for (int i = 0; i < count; i++)
        sum[i] = vload_some(p->bias + c, n);
    for (int v = v0; v < v1; v++)
        for (int u = u0; u < u1; u++) {
            const vf tap = vload_some(p->w + ((int64_t)v * p->K + u) * p->C + c, n);
            const float *x = p->x + ((int64_t)(h + v) * p->W + w + u) * p->C + c;
            for (int i = 0; i < count; i++)
                sum[i] = vfma(tap, vload_some(x + (int64_t)i * p->stride * p->C, n), sum[i]);
        }
    for (int i = 0; i < count; i++) {
        float *y = p->y + (int64_t)(o + i) * p->C + c;
        const vf z = vact(sum[i], p->act);
        if (n < CLIPK_VL)
            vstore_n(y, z, n);
        else
            vstore(y, z);
    }
}

static inline __attribute__((always_inline)) void channels(const clipk_depthwise_piece *p, int c, int n)
{
    const int pad = p->K / 2, h = p->h * p->stride - pad;
    const int v0 = clipb_max(0, -h), v1 = clipb_min(p->K, p->H - h);
    for (int o = 0; o < p->Wo;) {
        const int w = o * p->stride - pad;
        if (w >= 0 && o + OUTPUTS <= p->Wo && w + (OUTPUTS - 1) * p->stride + p->K <= p->W) {
            outputs(p, o, OUTPUTS, c, n, v0, v1, 0, p->K);
            o += OUTPUTS;
        } else {
            outputs(p, o, 1, c, n, v0, v1, clipb_max(0, -w), clipb_min(p->K, p->W - w));
            o++;
        }
    }
}

void NAME(depthwise)(const clipk_depthwise_piece *p)
{
    int c = 0;
    for (; c + CLIPK_VL <= p->C; c += CLIPK_VL)
        channels(p, c, CLIPK_VL);
    if (c < p->C)
        channels(p, c, p->C - c);
}
