/* augment_affine.c: a picture seen through a window that is moved, zoomed, stretched and turned.
 *
 *     picture --mode--> canvas --resize--> patch --sample--> S x S
 *
 * The canvas is what the encoder would see of the picture: its middle square, the picture padded to
 * a square, or squashed to one. A point (u, v) of the view, -1/2 .. 1/2, lies on the canvas,
 * 0 .. 1, at centre + u * across + v * down. The patch is the part of the canvas that the view can
 * see. A canvas finer than the view is shrunk by Pillow's filters, which average. The rest is one
 * sampling with the checkpoint's kernel. */
#include "image/augment_affine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "image/resize.h"

/* The canvas is shrunk if a step of one pixel in the view is longer than this on the canvas. Below,
 * two filters in a row would blur more than the little aliasing harms. */
#define LONGEST_STEP 1.4
enum { PAD = 3 }; /* pixels repeated around a patch, for the kernel at its edge */

typedef float texel __attribute__((vector_size(16))); /* R, G, B, 0 */
typedef int lanes __attribute__((vector_size(16)));

typedef struct view {
    double x, y; /* centre */
    double across_x, across_y, down_x, down_y;
} view;

static view draw_view(const clipimg_affine *a, clipb_rng *rng)
{
    const double zoom = clipb_rng_between(rng, a->zoom[0], a->zoom[1]), widest = log1p(a->aspect);
    const double stretch = exp((clipb_rng_between(rng, -1, 1)) * widest / 2), w = zoom * stretch, h = zoom / stretch;
    const double x = 0.5 + clipb_rng_between(rng, -a->shift, a->shift),
                 y = 0.5 + clipb_rng_between(rng, -a->shift, a->shift);
    const double angle = clipb_rng_between(rng, -a->rotate, a->rotate) * (M_PI / 180), c = cos(angle), s = sin(angle);
    return (view){x, y, c * w, s * w, -s * h, c * h};
}

/* ---- The canvas, one axis at a time ---- */

typedef struct axis {
    int from, n;     /* the pixels of the picture that are used */
    int64_t side;    /* of the canvas */
    int64_t at, len; /* where the picture lies on it */
    int64_t lo;      /* the first pixel of the canvas that the view can see */
    int count;       /* how many pixels it can see; at least 1 */
} axis;

/* n, other  pixels of the picture along this axis and the other one
 * middle    centre of the view
 * reach     how far the view goes to either side
 * step      length of one pixel of the view */
static axis make_axis(clipimg_mode mode, int n, int other, double middle, double reach, double step)
{
    axis a = {.n = n, .side = n};
    if (mode == CLIPIMG_SHORTEST && n > other) {
        a.from = (n - other) / 2;
        a.n = other;
        a.side = other;
    } else if (mode == CLIPIMG_LONGEST && n < other) {
        a.side = other;
    }
    const double finer = step * (double)a.side;
    a.len = a.n;
    if (finer > LONGEST_STEP) {
        const int64_t side = (int64_t)rint((double)a.side / finer), shrunk = side < 1 ? 1 : side;
        a.len = (int64_t)rint((double)a.n * (double)shrunk / (double)a.side);
        a.len = a.len < 1 ? 1 : a.len;
        a.side = shrunk;
    }
    a.at = (a.side - a.len) / 2;
    const double side = (double)a.side, last = side - 1;
    const double lo = fmin(fmax(floor((middle - reach) * side) - 2, 0), last),
                 hi = fmin(fmax(ceil((middle + reach) * side) + 2, 0), last);
    a.lo = (int64_t)lo;
    a.count = (int)(hi - lo) + 1;
    return a;
}

/* The part of an axis that belongs to the picture and to the patch. */
static int64_t overlap(const axis *a, int64_t *from)
{
    const int64_t end = a->at + a->len, to = a->lo + a->count < end ? a->lo + a->count : end;
    *from = a->lo > a->at ? a->lo : a->at;
    return to - *from;
}

/* Renders the visible part of the canvas, in bytes. */
static clip_status make_patch(const clipimg_recipe *r, const clip_image *img, const axis *x, const axis *y,
                              const clip_image *patch)
{
    clip_image used = {.width = x->n, .height = y->n, .stride = img->stride};
    used.rgb = img->rgb + (size_t)y->from * img->stride + 3 * (size_t)x->from;
    int64_t left, top, w = overlap(x, &left), h = overlap(y, &top);
    if (w < patch->width || h < patch->height)
        for (size_t i = 0; i < (size_t)patch->width * (size_t)patch->height; i++)
            memcpy(patch->rgb + 3 * i, r->fill_color, 3);
    if (w < 1 || h < 1)
        return CLIP_OK;
    clip_image to = {.width = (int)w, .height = (int)h, .stride = patch->stride};
    to.rgb = patch->rgb + (size_t)(top - y->lo) * patch->stride + 3 * (size_t)(left - x->lo);
    return clipimg_resize_window(clipimg_best_passes(), &used, x->len, y->len, r->filter, left - x->at, top - y->at,
                                 &to);
}

/* ---- Sampling ---- */

/* A patch in floats, with its edge pixels repeated PAD times around it. */
typedef struct texture {
    int width, height;
    size_t stride;
    texel *at; /* pixel 0, 0 */
} texture;

static int between(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

static void fill_texture(const clip_image *patch, const texture *t)
{
    for (int y = -PAD; y < t->height + PAD; y++) {
        const uint8_t *row = patch->rgb + (size_t)between(y, 0, t->height - 1) * patch->stride;
        texel *to = t->at + (ptrdiff_t)t->stride * y;
        for (int x = 0; x < t->width; x++)
            to[x] = (texel){row[3 * x], row[3 * x + 1], row[3 * x + 2], 0};
        for (int i = 1; i <= PAD; i++) {
            to[-i] = to[0];
            to[t->width - 1 + i] = to[t->width - 1];
        }
    }
}

/* A kernel: the weights of the four pixels around a point that lies t behind the second of them. */
typedef struct kernel {
    texel t3, t2, t1, t0; /* coefficients of polynomials in t */
} kernel;

static const kernel bilinear = {.t1 = {0, -1, 1, 0}, .t0 = {0, 1, 0, 0}};
/* a = -1/2 */
static const kernel bicubic = {{-0.5f, 1.5f, -1.5f, 0.5f}, {1, -2.5f, 2, -0.5f}, {-0.5f, 0, 0.5f, 0}, {0, 1, 0, 0}};

static inline texel kernel_weights(const kernel *k, float t) { return ((k->t3 * t + k->t2) * t + k->t1) * t + k->t0; }

/* Splits a coordinate into the pixel at or before it and the rest. Beyond the edge the edge
 * counts. */
static inline int split_coordinate(float p, int n, float *t)
{
    p = p < -1 ? -1 : p > (float)n ? (float)n : p;
    const int i = (int)(p + 1) - 1;
    *t = p - (float)i;
    return i;
}

static inline texel mix_texels(const texel *p, size_t stride, texel w)
{
    return (p[0] * w[0] + p[stride] * w[1]) + (p[2 * stride] * w[2] + p[3 * stride] * w[3]);
}

static inline void store_texel(texel v, uint8_t *out)
{
    const texel half = v + 0.5f, white = {255, 255, 255, 255};
    const lanes below = half < white, kept = below & (half > 0); /* -1 in lanes where it is true */
    const lanes i = __builtin_convertvector((texel)(((lanes)half & kept) | ((lanes)white & ~below)), lanes);
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)i[c];
}

/* A view that is not turned: each row is first mixed from four rows over the whole width, then
 * sampled along it. */
static void sample_upright(const texture *t, const kernel *k, const view *v, const axis *ax, const axis *ay, texel *row,
                           const clip_image *out)
{
    const double W = (double)ax->side, H = (double)ay->side;
    for (int i = 0; i < out->height; i++) {
        const double y = (v->y + ((i + 0.5) / out->height - 0.5) * v->down_y) * H - (double)ay->lo - 0.5;
        float by;
        const texel *from = t->at + (ptrdiff_t)t->stride * (split_coordinate((float)y, t->height, &by) - 1) - PAD,
                    w = kernel_weights(k, by);
        for (size_t x = 0; x < t->stride; x++)
            row[x] = mix_texels(from + x, t->stride, w);
        uint8_t *to = out->rgb + (size_t)i * out->stride;
        const double x0 = (v->x + (0.5 / out->width - 0.5) * v->across_x) * W - (double)ax->lo - 0.5,
                     dx = v->across_x / out->width * W;
        for (int x = 0; x < out->width; x++) {
            float bx;
            const int at = split_coordinate((float)(x0 + x * dx), t->width, &bx);
            store_texel(mix_texels(row + PAD + at - 1, 1, kernel_weights(k, bx)), to + 3 * x);
        }
    }
}

static void sample_turned(const texture *t, const kernel *k, const view *v, const axis *ax, const axis *ay,
                          const clip_image *out)
{
    const double W = (double)ax->side, H = (double)ay->side, first = 0.5 / out->width - 0.5;
    const double dx = v->across_x / out->width * W, dy = v->across_y / out->width * H;
    for (int i = 0; i < out->height; i++) {
        const double down = (i + 0.5) / out->height - 0.5;
        const double x0 = (v->x + first * v->across_x + down * v->down_x) * W - (double)ax->lo - 0.5;
        const double y0 = (v->y + first * v->across_y + down * v->down_y) * H - (double)ay->lo - 0.5;
        uint8_t *to = out->rgb + (size_t)i * out->stride;
        for (int x = 0; x < out->width; x++) {
            float bx, by;
            const int at_x = split_coordinate((float)(x0 + x * dx), t->width, &bx),
                      at_y = split_coordinate((float)(y0 + x * dy), t->height, &by);
            const texel *from = t->at + (ptrdiff_t)t->stride * (at_y - 1) + at_x - 1, w = kernel_weights(k, bx);
            const texel rows[4] = {mix_texels(from, 1, w), mix_texels(from + t->stride, 1, w),
                                   mix_texels(from + 2 * t->stride, 1, w), mix_texels(from + 3 * t->stride, 1, w)};
            store_texel(mix_texels(rows, 1, kernel_weights(k, by)), to + 3 * x);
        }
    }
}

clip_status clipimg_affine_view(const clipimg_affine *a, clipb_rng *rng, const clipimg_recipe *r, const clip_image *img,
                                const clip_image *out)
{
    const view v = draw_view(a, rng);
    const double S = out->width;
    const axis x = make_axis(r->mode, img->width, img->height, v.x, (fabs(v.across_x) + fabs(v.down_x)) / 2,
                             hypot(v.across_x, v.down_x) / S);
    const axis y = make_axis(r->mode, img->height, img->width, v.y, (fabs(v.across_y) + fabs(v.down_y)) / 2,
                             hypot(v.across_y, v.down_y) / S);
    const size_t w = (size_t)x.count, h = (size_t)y.count, stride = w + 2 * PAD, texels = stride * (h + 2 * PAD + 1);
    clip_image patch = {.width = x.count, .height = y.count, .stride = 3 * w, .rgb = malloc(3 * w * h)};
    texel *row = aligned_alloc(CLIPB_ALIGN, (texels * sizeof(texel) + CLIPB_ALIGN - 1) / CLIPB_ALIGN * CLIPB_ALIGN);
    clip_status s = patch.rgb && row ? make_patch(r, img, &x, &y, &patch) : CLIP_ENOMEM;
    if (s == CLIP_OK) {
        const texture t = {.width = x.count, .height = y.count, .stride = stride, .at = row + (PAD + 1) * stride + PAD};
        const kernel *k = r->filter == CLIPIMG_BILINEAR ? &bilinear : &bicubic;
        fill_texture(&patch, &t);
        if (a->rotate > 0)
            sample_turned(&t, k, &v, &x, &y, out);
        else
            sample_upright(&t, k, &v, &x, &y, row, out);
    }
    free(patch.rgb);
    free(row);
    return s;
}
