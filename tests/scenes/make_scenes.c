/* make_scenes: draws pictures about which everything is known, to train on and to ask about.
 *
 *     make_scenes FOLDER PICTURES SEED train|val|test
 *
 * writes 64x64 pictures and three tables with tabs between the columns:
 *     captions.tsv   filepath, title                  ten a picture, for `clip train`
 *     questions.tsv  filepath, question, answer       for `clip vqa`
 *     objects.tsv    filepath, title, x, y, radius    each thing's place, for `clip explain`
 *
 * A scene has one or two groups of up to five equal things: "three small red circles and one large
 * blue square". Groups of one stand left and right. A name stands for many colours, a thing shows
 * two of them, and the ground is of any colour from which they stand out. Things of the hues
 * between the named ones are told without a colour: "three small circles".
 *
 * Of the 64 pairs of a hue and a shape, 8 are only in `val` and another 8 only in `test`, one of
 * each hue and of each shape. Each scene there has such a pair and is asked about it; no picture,
 * caption or question of `train` has one. Black, white, gray and what has no name come in all
 * shapes. */
#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"

#define S 64       /* a picture's side */
#define MOST 5     /* things in it */
#define SAMPLES 4  /* a pixel's side is cut into so many */

enum { HUES = 8, COLORS = 11, KINDS = 16, SHAPES = 8 }; /* those from COLORS on have no name */
static const char *const color_name[COLORS] = {"red",  "orange", "yellow", "green", "blue", "purple",
                                               "pink", "brown",  "black",  "white", "gray"};

/* From, to: hue in degrees, saturation, value. */
static const float color_range[KINDS][3][2] = {
    {{-8, 8}, {0.75f, 1}, {0.6f, 1}},        {{22, 36}, {0.8f, 1}, {0.85f, 1}},
    {{48, 64}, {0.6f, 1}, {0.85f, 1}},       {{90, 155}, {0.5f, 1}, {0.35f, 0.85f}},
    {{200, 240}, {0.6f, 1}, {0.5f, 1}},      {{268, 295}, {0.5f, 1}, {0.4f, 0.8f}},
    {{320, 350}, {0.25f, 0.55f}, {0.9f, 1}}, {{14, 32}, {0.55f, 0.85f}, {0.25f, 0.5f}},
    {{0, 360}, {0, 0.3f}, {0, 0.15f}},       {{0, 360}, {0, 0.05f}, {0.93f, 1}},
    {{0, 360}, {0, 0.08f}, {0.35f, 0.7f}},   {{38, 46}, {0.5f, 1}, {0.7f, 1}},
    {{66, 88}, {0.4f, 1}, {0.4f, 1}},        {{158, 196}, {0.4f, 1}, {0.4f, 1}},
    {{243, 265}, {0.4f, 1}, {0.4f, 1}},      {{298, 316}, {0.4f, 1}, {0.4f, 1}}};
static const char *const shape_name[SHAPES] = {"circle", "square", "triangle", "cross",
                                               "star",   "ring",   "diamond",  "heart"};
static const char *const number_name[MOST + 1] = {"no", "one", "two", "three", "four", "five"};
static const char *const size_name[2] = {"small", "large"};

/* How a thing shows the two shades of its colour. */
enum { PLAIN, RIM, STRIPES, SHADED, STYLES };

typedef struct group {
    int n, size, color, shape, style;
    float shade[2][3], stripes; /* RGB; their direction */
} group;

typedef struct thing {
    float x, y, r, turn;
    int group;
} thing;

typedef struct scene {
    int groups, things;
    group g[2];
    thing t[MOST];
    bool sides; /* two groups of one, the first on the left */
    float ground[2][3], slope; /* from one colour to the other, in this direction */
} scene;

static bool named(const group *g) { return g->color < COLORS; }

/* Which scenes a pair is for. */
typedef enum split { TRAIN, VAL, TEST, PARTS } split;
static const char *const split_name[PARTS] = {"train", "val", "test"};

static split split_of(int color, int shape)
{
    const int diagonal = (color + 3 * shape) % HUES;
    return color >= HUES || diagonal > 1 ? TRAIN : diagonal == 1 ? TEST : VAL;
}

static int below(clipb_rng *r, int n) { return (int)clipb_rng_below(r, (uint32_t)n); }

/* ---- Scenes ---------------------------------------------------------------------------------- */

static void draw_color(clipb_rng *r, const float range[3][2], float rgb[3])
{
    const float hue = clipb_rng_between(r, range[0][0], range[0][1]) / 60 + 6,
                saturation = clipb_rng_between(r, range[1][0], range[1][1]),
                value = clipb_rng_between(r, range[2][0], range[2][1]);
    /* Red's part falls from 60 degrees on, is 0 from 120 to 240, and rises to 300. Green's lies 120
     * degrees further, and so on. */
    for (int c = 0; c < 3; c++) {
        const float away = fabsf(fmodf(hue - 2 * (float)c + 3, 6) - 3);
        rgb[c] = 255 * value * (1 - saturation * fminf(fmaxf(away - 1, 0), 1));
    }
}

static void draw_group(clipb_rng *r, group *g, split of)
{
    do {
        g->color = below(r, KINDS);
        g->shape = below(r, SHAPES);
    } while (split_of(g->color, g->shape) != of);
    g->size = below(r, 2);
    g->style = below(r, STYLES);
    g->stripes = clipb_rng_between(r, 0, 6.2831853f);
    for (int i = 0; i < 2; i++)
        draw_color(r, color_range[g->color], g->shade[i]);
}

/* A ground on which everything can be seen. */
static void draw_ground(clipb_rng *r, scene *s)
{
    static const float any[3][2] = {{0, 360}, {0, 0.5f}, {0.1f, 1}};
    for (bool seen = false; !seen;) {
        seen = true;
        s->slope = clipb_rng_between(r, 0, 6.2831853f);
        for (int i = 0; i < 2; i++)
            draw_color(r, any, s->ground[i]);
        for (int i = 0; i < 3 * 2 * s->groups; i++) { /* either end and the middle, beside either shade */
            const float *shade = s->g[i / 6].shade[i / 3 % 2], part = (float)(i % 3) / 2;
            float squares = 0;
            for (int c = 0; c < 3; c++) {
                const float d = s->ground[0][c] + part * (s->ground[1][c] - s->ground[0][c]) - shade[c];
                squares += d * d;
            }
            seen = seen && squares > 90 * 90;
        }
    }
}

/* Places for all things, none too near to another. */
static bool place(clipb_rng *r, scene *s)
{
    for (int i = 0; i < s->things; i++) {
        thing *t = &s->t[i];
        t->r = clipb_rng_between(r, 0, 1) + (s->g[t->group].size ? 10 : 6.5f);
        t->turn = clipb_rng_between(r, -0.25f, 0.25f);
        bool free = false;
        for (int attempt = 0; attempt < 50 && !free; attempt++) {
            t->x = clipb_rng_between(r, t->r + 1, S - 1 - t->r);
            t->y = clipb_rng_between(r, t->r + 1, S - 1 - t->r);
            free = true;
            for (int j = 0; j < i; j++)
                free &= hypotf(t->x - s->t[j].x, t->y - s->t[j].y) > t->r + s->t[j].r + 1;
        }
        if (!free)
            return false;
    }
    return !s->sides || s->t[1].x - s->t[0].x > S / 4.0f;
}

static void draw_scene(clipb_rng *r, scene *s, split of)
{
    const int kind = below(r, 5); /* two of five: groups of one on either side; two: one group; one: two groups */
    do {
        *s = (scene){.groups = kind < 2 || kind == 4 ? 2 : 1, .sides = kind < 2};
        draw_group(r, &s->g[0], of);
        s->g[0].n = s->sides ? 1 : 1 + below(r, s->groups == 2 ? MOST - 1 : MOST);
        if (s->groups == 2) {
            do
                draw_group(r, &s->g[1], below(r, 2) ? of : TRAIN);
            while (s->g[1].color == s->g[0].color || s->g[1].shape == s->g[0].shape ||
                   !(named(&s->g[0]) || named(&s->g[1])));
            s->g[1].n = s->sides ? 1 : 1 + below(r, MOST - s->g[0].n);
        }
        if (below(r, 2) && s->groups == 2) { /* which of them is asked about must not tell its side */
            const group g = s->g[0];
            s->g[0] = s->g[1];
            s->g[1] = g;
        }
        for (int g = 0; g < s->groups; g++)
            for (int i = 0; i < s->g[g].n; i++)
                s->t[s->things++].group = g;
    } while (!place(r, s));
    draw_ground(r, s);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static bool inside(int shape, float x, float y)
{
    const float d = hypotf(x, y);
    switch (shape) {
    case 0: return d < 0.95f;
    case 1: return fabsf(x) < 0.8f && fabsf(y) < 0.8f;
    case 2: return y < 0.75f && y > -0.95f && fabsf(x) < 0.58f * (y + 0.95f);
    case 3: return fminf(fabsf(x), fabsf(y)) < 0.3f && fmaxf(fabsf(x), fabsf(y)) < 0.95f;
    case 4: { /* five points: the distance of the edge swings between 1 and 0.45 */
        const float turn = (atan2f(x, -y) + 6.2831853f) * 5 / 6.2831853f, from_point = fabsf(turn - roundf(turn));
        return d < 1.05f - 1.2f * from_point;
    }
    case 5: return d < 0.95f && d > 0.5f;
    case 6: return fabsf(x) / 0.7f + fabsf(y) < 1;
    default: { /* (x^2 + y^2 - 1)^3 < x^2 y^3 */
        const float u = 1.25f * x, v = -1.25f * y + 0.1f, e = u * u + v * v - 1;
        return e * e * e < u * u * v * v * v;
    }
    }
}

/* How much of a thing's colour at (x, y) is its second shade. */
static float second_shade(const group *g, float x, float y)
{
    const float along = cosf(g->stripes) * x + sinf(g->stripes) * y;
    switch (g->style) {
    case PLAIN: return 0;
    case RIM: return inside(g->shape, 1.5f * x, 1.5f * y);
    case STRIPES: return sinf(9 * along) > 0;
    default: return fminf(fmaxf(0.5f + 0.6f * along, 0), 1);
    }
}

/* Lays a thing on pixel (x, y), as far as it covers it. */
static void lay(const thing *t, const group *g, int x, int y, float rgb[3])
{
    const float c = cosf(t->turn) / t->r, s = sinf(t->turn) / t->r;
    float covered = 0, second = 0;
    for (int v = 0; v < SAMPLES; v++)
        for (int u = 0; u < SAMPLES; u++) {
            const float dx = (float)x + ((float)u + 0.5f) / SAMPLES - t->x,
                        dy = (float)y + ((float)v + 0.5f) / SAMPLES - t->y;
            if (!inside(g->shape, c * dx + s * dy, c * dy - s * dx))
                continue;
            covered += 1.0f / (SAMPLES * SAMPLES);
            second += second_shade(g, c * dx + s * dy, c * dy - s * dx) / (SAMPLES * SAMPLES);
        }
    for (int i = 0; i < 3; i++)
        rgb[i] += (covered - second) * g->shade[0][i] + second * g->shade[1][i] - covered * rgb[i];
}

static bool write_picture(clipb_rng *r, const scene *s, const char *path)
{
    static uint8_t picture[S][S][3];
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++) {
            const float part =
                0.5f + (cosf(s->slope) * ((float)x - S / 2) + sinf(s->slope) * ((float)y - S / 2)) / (1.42f * S);
            float rgb[3];
            for (int c = 0; c < 3; c++)
                rgb[c] = s->ground[0][c] + part * (s->ground[1][c] - s->ground[0][c]);
            for (int i = 0; i < s->things; i++)
                if (hypotf((float)x - s->t[i].x, (float)y - s->t[i].y) < 1.2f * s->t[i].r + 2)
                    lay(&s->t[i], &s->g[s->t[i].group], x, y, rgb);
            for (int c = 0; c < 3; c++)
                picture[y][x][c] = (uint8_t)fminf(fmaxf(rgb[c] - 6 + (float)below(r, 13), 0), 255);
        }
    png_image png = {.version = PNG_IMAGE_VERSION, .width = S, .height = S, .format = PNG_FORMAT_RGB};
    return png_image_write_to_file(&png, path, 0, picture, 0, NULL);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static const char *plural(int shape, int n)
{
    static const char *const many[SHAPES] = {"circles", "squares", "triangles", "crosses",
                                             "stars",   "rings",   "diamonds",  "hearts"};
    return n == 1 ? shape_name[shape] : many[shape];
}

static const char *article(const char *word) { return *word == 'o' ? "an" : "a"; }

/* Which words a caption has: "a large red circle", "a red circle", "a large circle", "a circle", "a
 * red thing" */
static const struct {
    bool size, color, shape;
} wording[] = {
    {true, true, true}, {false, true, true}, {true, false, true}, {false, false, true}, {false, true, false}};
enum { COLOR_SHAPE = 1, WORDINGS = sizeof wording / sizeof *wording };

static void name_group(char out[64], const group *g, int w)
{
    const char *size = wording[w].size ? size_name[g->size] : "",
               *color = wording[w].color && named(g) ? color_name[g->color] : "";
    const char *things = wording[w].shape ? plural(g->shape, g->n)
                         : g->n == 1      ? "thing"
                                          : "things",
               *first = *size    ? size
                        : *color ? color
                                 : things;
    snprintf(out, 64, "%s%s%s%s%s %s", g->n == 1 ? article(first) : number_name[g->n], *size ? " " : "", size,
             *color ? " " : "", color, things);
}

static void write_captions(FILE *f, const char *file, const scene *s)
{
    char a[64], b[64];
    for (int i = 0; i < 2 * WORDINGS; i++) {
        const int first = i % 2 < s->groups ? i % 2 : 0;
        name_group(a, &s->g[first], i / 2);
        if (s->groups == 1) {
            fprintf(f, "%s\t%s\n", file, a);
            continue;
        }
        name_group(b, &s->g[1 - first], i / 2);
        fprintf(f, "%s\t%s %s %s\n", file, a, !s->sides ? "and" : first == 0 ? "left of" : "right of", b);
    }
}

/* "is there a red circle?": half of the time there is. Else one word of a group is wrong, or it has
 * the other group's colour. */
static void ask_whether(clipb_rng *r, FILE *f, const char *file, const scene *s, const group *g, split of)
{
    const bool yes = below(r, 2);
    int color = g->color, shape = g->shape;
    const group *other = &s->g[g == &s->g[0]];
    if (s->sides && below(r, 3) == 0) {
        const bool left = (g == &s->g[0]) == yes;
        fprintf(f, "%s\tis the %s %s of the %s?\t%s\n", file, shape_name[shape], left ? "left" : "right",
                shape_name[other->shape], yes ? "yes" : "no");
        return;
    }
    for (bool there = true; !yes && there;) {
        const int what = named(g) ? below(r, 3) : 2;
        color = what == 0 ? below(r, COLORS) : what == 1 && s->groups == 2 && named(other) ? other->color : g->color;
        shape = what == 2 ? below(r, SHAPES) : g->shape;
        there = split_of(color, shape) != TRAIN && split_of(color, shape) != of;
        for (int i = 0; i < s->groups; i++)
            there |= s->g[i].color == color && s->g[i].shape == shape;
    }
    const char *words = named(g) ? color_name[color] : shape_name[shape];
    fprintf(f, "%s\tis there %s %s%s%s?\t%s\n", file, article(words), words, named(g) ? " " : "",
            named(g) ? shape_name[shape] : "", yes ? "yes" : "no");
}

static void write_questions(clipb_rng *r, FILE *f, const char *file, const scene *s, split of)
{
    int which = below(r, s->groups);
    if (split_of(s->g[which].color, s->g[which].shape) != of || !named(&s->g[which]))
        which = s->groups - 1 - which;
    const group *g = &s->g[which];
    const char *color = named(g) ? color_name[g->color] : "", *shape = shape_name[g->shape],
               *things = plural(g->shape, g->n);
    /* A single group need not be named. */
    const char *verb = g->n == 1 ? "is" : "are", *it = g->n == 1 ? "it" : "they";
    if (s->groups == 1)
        fprintf(f, "%s\twhat shape %s %s?\t%s\n", file, verb, it, shape);
    else
        fprintf(f, "%s\twhat shape %s the %s thing%s?\t%s\n", file, verb, color, g->n == 1 ? "" : "s", shape);
    if (named(g) && s->groups == 1)
        fprintf(f, "%s\twhat color %s %s?\t%s\n", file, verb, it, color);
    else if (named(g))
        fprintf(f, "%s\twhat color %s the %s?\t%s\n", file, verb, things, color);
    fprintf(f, "%s\twhat size %s the %s?\t%s\n", file, verb, things, size_name[g->size]);
    for (int i = 0; i < 2; i++)
        ask_whether(r, f, file, s, g, of);
    if (s->sides)
        fprintf(f, "%s\twhere is the %s?\t%s\n", file, shape, which == 0 ? "left" : "right");
    else if (!named(g) || below(r, 2))
        fprintf(f, "%s\thow many %s are there?\t%d\n", file, plural(g->shape, 2), g->n);
    else
        fprintf(f, "%s\thow many %s things are there?\t%d\n", file, color, g->n);
}

/* ---- The program ----------------------------------------------------------------------------- */

static FILE *open_table(const char *folder, const char *name, const char *columns)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (!f)
        fprintf(stderr, "make_scenes: %s: %s\n", path, strerror(errno));
    else
        fprintf(f, "%s\n", columns);
    return f;
}

static bool finish(FILE *f) { return f && fclose(f) == 0; }

int main(int argc, char **argv)
{
    int of = 0;
    while (of < PARTS && argc == 5 && strcmp(argv[4], split_name[of]) != 0)
        of++;
    if (argc != 5 || of == PARTS) {
        fprintf(stderr, "usage: make_scenes FOLDER PICTURES SEED train|val|test\n");
        return 2;
    }
    const uint64_t seed = strtoull(argv[3], NULL, 10);
    mkdir(argv[1], 0777);
    FILE *captions = open_table(argv[1], "captions.tsv", "filepath\ttitle"),
         *questions = open_table(argv[1], "questions.tsv", "filepath\tquestion\tanswer"),
         *objects = open_table(argv[1], "objects.tsv", "filepath\ttitle\tx\ty\tradius");
    bool good = captions && questions && objects;
    for (int i = 0; good && i < atoi(argv[2]); i++) {
        clipb_rng r = clipb_rng_at(seed, CLIPB_RNG_INIT, (uint64_t)of, (uint64_t)i);
        scene s;
        char file[32], path[4096];
        snprintf(file, sizeof file, "%06d.png", i);
        snprintf(path, sizeof path, "%s/%s", argv[1], file);
        draw_scene(&r, &s, (split)of);
        good = write_picture(&r, &s, path);
        write_captions(captions, file, &s);
        write_questions(&r, questions, file, &s, (split)of);
        for (int t = 0; t < s.things; t++) {
            const thing *o = &s.t[t];
            char title[64];
            s.g[o->group].n = 1;
            name_group(title, &s.g[o->group], COLOR_SHAPE);
            fprintf(objects, "%s\t%s\t%.1f\t%.1f\t%.1f\n", file, title, (double)o->x, (double)o->y, (double)o->r);
        }
    }
    /* All three are closed, whatever happens. */
    const bool written[] = {finish(captions), finish(questions), finish(objects)};
    good = good && written[0] && written[1] && written[2];
    if (!good)
        fprintf(stderr, "make_scenes: %s: not everything could be written\n", argv[1]);
    return good ? 0 : 1;
}
