/* make_scenes: draws pictures about which everything is known, to train on and to ask about.
 *
 *     make_scenes FOLDER PICTURES SEED train|test
 *
 * writes 64x64 pictures and three tables with tabs between the columns:
 *     captions.tsv   filepath, title                  eight a picture, for `clip train`
 *     questions.tsv  filepath, question, answer       for `clip vqa`
 *     objects.tsv    filepath, title, x, y, radius    where each thing lies, in pixels, for `clip explain`
 *
 * A scene has one or two groups of up to five equal things: "three small red circles and one large blue square". Groups of one stand left and right.
 * Of the 80 pairs of colour and shape, 8 are kept for the tests: each scene of `test` has one of them and is asked about it, while no picture, caption
 * or question of `train` has one. */
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

enum { COLORS = 10, SHAPES = 8 };
static const char *const color_name[COLORS] = {"red", "green", "blue", "yellow", "purple", "orange", "black", "white", "pink",
    "brown"};
static const int color_rgb[COLORS][3] = {{210, 30, 30}, {30, 150, 50}, {40, 70, 210}, {240, 220, 40}, {130, 40, 160}, {245, 130, 20}, {15, 15, 15}, {250, 250, 250},
    {250, 150, 190}, {110, 65, 25}};
static const char *const shape_name[SHAPES] = {"circle", "square", "triangle", "cross", "star", "ring", "diamond", "heart"};
static const char *const number_name[MOST + 1] = {"no", "one", "two", "three", "four", "five"};
static const char *const size_name[2] = {"small", "large"};

typedef struct group {
    int n, size, color, shape;
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
} scene;

static bool kept_for_tests(int color, int shape) { return (color + 3 * shape) % 10 == 1; }
static int below(clipb_rng *r, int n) { return (int)clipb_rng_below(r, (uint32_t)n); }

/* ---- Scenes --------------------------------------------------------------------------------------------------- */

static void draw_group(clipb_rng *r, group *g, bool test)
{
    do {
        g->color = below(r, COLORS);
        g->shape = below(r, SHAPES);
    } while (kept_for_tests(g->color, g->shape) != test);
    g->size = below(r, 2);
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

static void draw_scene(clipb_rng *r, scene *s, bool test)
{
    const int kind = below(r, 5); /* two of five: groups of one on either side; two: one group; one: two groups */
    do {
        *s = (scene){.groups = kind < 2 || kind == 4 ? 2 : 1, .sides = kind < 2};
        draw_group(r, &s->g[0], test);
        s->g[0].n = s->sides ? 1 : 1 + below(r, s->groups == 2 ? MOST - 1 : MOST);
        if (s->groups == 2) {
            do
                draw_group(r, &s->g[1], test && below(r, 2));
            while (s->g[1].color == s->g[0].color || s->g[1].shape == s->g[0].shape);
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
}

/* ---- Pictures ------------------------------------------------------------------------------------------------- */

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

/* The share of pixel (x, y) that a thing covers. */
static float cover(const thing *t, int shape, int x, int y)
{
    const float c = cosf(t->turn), s = sinf(t->turn);
    int n = 0;
    for (int v = 0; v < SAMPLES; v++)
        for (int u = 0; u < SAMPLES; u++) {
            const float dx = ((float)x + ((float)u + 0.5f) / SAMPLES - t->x) / t->r, dy = ((float)y + ((float)v + 0.5f) / SAMPLES - t->y) / t->r;
            n += inside(shape, c * dx + s * dy, c * dy - s * dx);
        }
    return (float)n / (SAMPLES * SAMPLES);
}

static bool write_picture(clipb_rng *r, const scene *s, const char *path)
{
    static uint8_t rgb[S][S][3];
    const int ground = 90 + below(r, 90);
    int tint[3], color[2][3];
    for (int c = 0; c < 3; c++) {
        tint[c] = ground - 12 + below(r, 25);
        for (int g = 0; g < 2; g++)
            color[g][c] = color_rgb[s->g[g].color][c] - 15 + below(r, 31);
    }
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++)
            for (int c = 0; c < 3; c++) {
                float value = (float)(tint[c] - 6 + below(r, 13));
                for (int i = 0; i < s->things; i++) {
                    const int g = s->t[i].group;
                    const float a = hypotf((float)x - s->t[i].x, (float)y - s->t[i].y) < 1.2f * s->t[i].r + 2 ? cover(&s->t[i], s->g[g].shape, x, y) : 0;
                    value += a * ((float)color[g][c] - value);
                }
                rgb[y][x][c] = (uint8_t)fminf(fmaxf(value, 0), 255);
            }
    png_image png = {.version = PNG_IMAGE_VERSION, .width = S, .height = S, .format = PNG_FORMAT_RGB};
    return png_image_write_to_file(&png, path, 0, rgb, 0, NULL);
}

/* ---- Words ---------------------------------------------------------------------------------------------------- */

static const char *plural(int shape, int n)
{
    static const char *const many[SHAPES] = {"circles", "squares", "triangles", "crosses", "stars", "rings", "diamonds", "hearts"};
    return n == 1 ? shape_name[shape] : many[shape];
}

static const char *article(const char *word) { return *word == 'o' ? "an" : "a"; }

enum { ALL, NO_SIZE, NO_COLOR, NO_SHAPE, WORDINGS };

/* "a large red circle", "three red circles", "a large circle", "three red things" */
static void name_group(char out[64], const group *g, int wording)
{
    const char *size = wording == NO_SIZE || wording == NO_SHAPE ? "" : size_name[g->size], *color = wording == NO_COLOR ? "" : color_name[g->color];
    const char *things = wording == NO_SHAPE ? (g->n == 1 ? "thing" : "things") : plural(g->shape, g->n);
    snprintf(out, 64, "%s%s%s%s%s %s", g->n == 1 ? article(*size ? size : color) : number_name[g->n], *size ? " " : "", size, *color ? " " : "", color, things);
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

/* "is there a red circle?": half of the time there is. Else one word of a group is wrong, or it has the other group's colour. */
static void ask_whether(clipb_rng *r, FILE *f, const char *file, const scene *s, const group *g, bool test)
{
    const bool yes = below(r, 2);
    int color = g->color, shape = g->shape;
    const group *other = &s->g[g == &s->g[0]];
    if (s->sides && below(r, 3) == 0) {
        const bool left = (g == &s->g[0]) == yes;
        fprintf(f, "%s\tis the %s %s of the %s?\t%s\n", file, shape_name[shape], left ? "left" : "right", shape_name[other->shape], yes ? "yes" : "no");
        return;
    }
    for (bool there = true; !yes && there;) {
        const int what = below(r, 3);
        color = what == 0 ? below(r, COLORS) : what == 1 && s->groups == 2 ? other->color : g->color;
        shape = what == 2 ? below(r, SHAPES) : g->shape;
        there = (!test && kept_for_tests(color, shape));
        for (int i = 0; i < s->groups; i++)
            there |= s->g[i].color == color && s->g[i].shape == shape;
    }
    fprintf(f, "%s\tis there %s %s %s?\t%s\n", file, article(color_name[color]), color_name[color], shape_name[shape], yes ? "yes" : "no");
}

static void write_questions(clipb_rng *r, FILE *f, const char *file, const scene *s, bool test)
{
    int which = below(r, s->groups);
    if (test && !kept_for_tests(s->g[which].color, s->g[which].shape))
        which = s->groups - 1 - which;
    const group *g = &s->g[which];
    const char *color = color_name[g->color], *shape = shape_name[g->shape], *things = plural(g->shape, g->n), *verb = g->n == 1 ? "is" : "are";
    const char *it = g->n == 1 ? "it" : "they"; /* where there is but one group, it need not be named */
    if (s->groups == 1) {
        fprintf(f, "%s\twhat color %s %s?\t%s\n%s\twhat shape %s %s?\t%s\n", file, verb, it, color, file, verb, it, shape);
    } else {
        fprintf(f, "%s\twhat color %s the %s?\t%s\n", file, verb, things, color);
        fprintf(f, "%s\twhat shape %s the %s thing%s?\t%s\n", file, verb, color, g->n == 1 ? "" : "s", shape);
    }
    fprintf(f, "%s\twhat size %s the %s?\t%s\n", file, verb, things, size_name[g->size]);
    ask_whether(r, f, file, s, g, test);
    if (s->sides)
        fprintf(f, "%s\twhere is the %s?\t%s\n", file, shape, which == 0 ? "left" : "right");
    else if (below(r, 2))
        fprintf(f, "%s\thow many %s are there?\t%d\n", file, plural(g->shape, 2), g->n);
    else
        fprintf(f, "%s\thow many %s things are there?\t%d\n", file, color, g->n);
}

/* ---- The program ---------------------------------------------------------------------------------------------- */

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
    if (argc != 5 || (strcmp(argv[4], "train") != 0 && strcmp(argv[4], "test") != 0)) {
        fprintf(stderr, "usage: make_scenes FOLDER PICTURES SEED train|test\n");
        return 2;
    }
    const bool test = strcmp(argv[4], "test") == 0;
    const uint64_t seed = strtoull(argv[3], NULL, 10);
    mkdir(argv[1], 0777);
    FILE *captions = open_table(argv[1], "captions.tsv", "filepath\ttitle"), *questions = open_table(argv[1], "questions.tsv", "filepath\tquestion\tanswer"),
         *objects = open_table(argv[1], "objects.tsv", "filepath\ttitle\tx\ty\tradius");
    bool good = captions && questions && objects;
    for (int i = 0; good && i < atoi(argv[2]); i++) {
        clipb_rng r = clipb_rng_at(seed, CLIPB_RNG_INIT, test, (uint64_t)i);
        scene s;
        char file[32], path[4096];
        snprintf(file, sizeof file, "%06d.png", i);
        snprintf(path, sizeof path, "%s/%s", argv[1], file);
        draw_scene(&r, &s, test);
        good = write_picture(&r, &s, path);
        write_captions(captions, file, &s);
        write_questions(&r, questions, file, &s, test);
        for (int t = 0; t < s.things; t++) {
            const thing *o = &s.t[t];
            const char *color = color_name[s.g[o->group].color];
            fprintf(objects, "%s\t%s %s %s\t%.1f\t%.1f\t%.1f\n", file, article(color), color, shape_name[s.g[o->group].shape], (double)o->x, (double)o->y,
                    (double)o->r);
        }
    }
    const bool written[] = {finish(captions), finish(questions), finish(objects)}; /* all three are closed, whatever happens */
    good = good && written[0] && written[1] && written[2];
    if (!good)
        fprintf(stderr, "make_scenes: %s: not everything could be written\n", argv[1]);
    return good ? 0 : 1;
}
