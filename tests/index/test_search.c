/* The search against the plain one: scores of all rows by the same function, sorted. What the
 * codes leave out must not matter, whatever the data. */
#include <fcntl.h>

#include "fixture.h"
#include "kernels/set.h"

static int order(const void *a, const void *b)
{
    const clip_hit *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->row > y->row) - (x->row < y->row);
}

static int plain_search(const clip_index *x, const float *query, const clipidx_bits *rows, float least, clip_hit *all)
{
    const int D = x->dim;
    float *unit = malloc(sizeof(float) * (size_t)D);
    int n = 0;
    assert_true(clipidx_unit(unit, query, D));
    for (int64_t row = 0; row < x->state.rows; row++) {
        const float score =
            clipk_cosine(x->set->dot_f16(unit, clipidx_array_row(&x->array[CLIPIDX_VECTORS], row), D));
        assert_true(score >= -1 && score <= 1);
        if (clipidx_bit(rows, row) && score >= least)
            all[n++] = (clip_hit){row, score};
    }
    qsort(all, (size_t)n, sizeof *all, order);
    free(unit);
    return n;
}

static void compare(clip_index *x, const float *query, int Q, int k, const clip_index_filter *f, const char *what)
{
    clip_hit *hit = malloc(sizeof *hit * (size_t)(Q * k)), *all = malloc(sizeof *all * (size_t)(x->state.rows + 1));
    int *found = malloc(sizeof *found * (size_t)Q);
    clipidx_bits rows;
    assert_true(hit && all && found);
    OK(clipidx_search(x, query, Q, k, f, hit, found, &err));
    OK(clipidx_filter(x, f, &rows, &err));
    for (int q = 0; q < Q; q++) {
        const int there = plain_search(x, query + q * x->dim, &rows, f && f->min_score ? f->min_score : -INFINITY, all),
                  n = there < k ? there : k;
        if (found[q] != n)
            fail_msg("%s, %s, D %d: %d hits of %d", what, x->set->name, x->dim, found[q], n);
        for (int i = 0; i < n; i++)
            if (hit[q * k + i].row != all[i].row || hit[q * k + i].score != all[i].score)
                fail_msg("%s, %s, D %d, query %d: hit %d is row %d, not %d", what, x->set->name, x->dim, q, i,
                         (int)hit[q * k + i].row, (int)all[i].row);
    }
    free(rows.word), free(hit), free(all), free(found);
}

/* Random; in a few tight clusters; full of ties; with one number that is a hundred times the
 * others; tiny and huge; near a space of five dimensions. */
enum { RANDOM, CLUSTERS, TIES, OUTLIER, SCALES, FLAT, SHAPES };

static float *vectors_of(int shape, int N, int D)
{
    float *v = random_vectors((uint64_t)shape, N, D), *centre = random_vectors(99, 5, D);
    for (int i = 0; i < N; i++)
        for (int d = 0; d < D; d++) {
            float *p = v + i * D + d;
            if (shape == CLUSTERS)
                *p = centre[i % 5 * D + d] + 0.01f * *p;
            else if (shape == TIES)
                *p = i % 7 ? v[i % 3 * D + d] : *p;
            else if (shape == OUTLIER && d == D / 2)
                *p = 100 + *p;
            else if (shape == SCALES)
                *p *= i % 2 ? 1e-20f : 1e15f;
            else if (shape == FLAT) {
                *p *= 0.01f;
                for (int c = 0; c < 5; c++)
                    *p += (float)((i * (c + 7) >> c) % 11 - 5) * centre[c * D + d];
            }
        }
    free(centre);
    return v;
}

static void search_shape(int shape, int N, int D)
{
    clip_index *x;
    empty_dir();
    float *v = vectors_of(shape, N, D), *query = vectors_of(shape, 70, D);
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, N));
    OK(clipidx_close(x, &err));
    OK(open_index(false, 0, &x));
    assert_true(x->coded);
    for (int i = -1; i < 0 || clipk_set_usable(i); i++) {
        x->set = i < 0 ? clipk_set_find("ref") : clipk_set_usable(i);
        compare(x, query, 1, 10, NULL, "one");
        compare(x, query, 70, 3, NULL, "many");
        compare(x, query + D, 2, N + 5, NULL, "all of them");
        compare(x, v, 5, 10, &(clip_index_filter){.min_score = 0.3f}, "a least score");
        compare(x, query, 4, 10, &(clip_index_filter){.patterns = (const char *const[]){"p*7", "p1?"}, .n_patterns = 2},
                "patterns");
    }
    x->coded = false;
    compare(x, query, 3, 10, NULL, "without codes");
    OK(clipidx_close(x, &err));
    free(v), free(query);
}

static void answers_are_exact(void **state)
{
    static const int dims[] = {2, 3, 7, 16, 31, 33, 64, 100, 255, 257, 512, 1030};
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        search_shape((int)i % SHAPES, 300 + (int)i, dims[i]);
    for (int shape = 0; shape < SHAPES; shape++)
        search_shape(shape, 1500, 64);
}

/* Enough rows to learn axes from, twice: the same answers, from other codes. */
static void learned_axes_change_no_answer(void **state)
{
    enum { D = 128, FEW = 16500, N = 4 * FEW + 7 };
    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        const int rows = shape == FLAT ? N : FEW;
        float *v = vectors_of(shape, rows, D), *query = random_vectors(5, 8, D);
        clip_index *x;
        clip_hit hit[2][8 * 10];
        int found[2][8];
        memcpy(query + D, v + D, 4 * D * sizeof *v);
        empty_dir();
        for (int n = 0; n < rows; n += FEW) {
            OK(open_index(true, D, &x));
            OK(add_pictures(x, v + n * D, n, rows - n < FEW ? rows - n : FEW));
            OK(clipidx_close(x, &err));
        }
        OK(open_index(false, 0, &x));
        assert_true(x->coded);
        assert_int_equal(x->coder.axes, 32);
        assert_int_equal(x->state.generation, shape == FLAT ? 2 : 1);
        for (int plain = 0; plain < 2; plain++) {
            x->coded = !plain;
            OK(clipidx_search(x, query, 8, 10, NULL, hit[plain], found[plain], &err));
        }
        for (int i = 0; i < 8 * 10; i++)
            if (hit[0][i].row != hit[1][i].row || hit[0][i].score != hit[1][i].score)
                fail_msg("shape %d, query %d, hit %d: row %d, not %d", shape, i / 10, i % 10, (int)hit[0][i].row,
                         (int)hit[1][i].row);
        OK(clipidx_close(x, &err));
        free(v), free(query);
    }
}

/* The bounds of a code are what the exactness rests on: true scores in double lie within them,
 * on any axes. In few dimensions many queries come near to the worst. */
static void check_bounds(int D, int axes, int shape)
{
    const int Q = D < 20 ? 500 : 2;
    clipidx_coder c;
    const clipk_set *set = clipk_set_find(NULL);
    float *v = vectors_of(shape, 40, D), *unit = malloc(sizeof(float) * (size_t)D), *query = random_vectors(5, Q, D),
          *reflector = vectors_of(shape, axes + 1, D);
    double *work = malloc(2 * sizeof(double) * (size_t)D);
    uint16_t *half = malloc(2 * (size_t)D);
    int8_t *head = malloc((size_t)D);
    uint8_t *tail = malloc((size_t)D);
    OK(clipidx_coder_init(&c, set, D, reflector, axes));
    const int H = c.H, padded = clipk_scan_padded(c.bytes);
    int16_t *query_head = malloc(2 * (size_t)clipk_scan_padded(H)), *query_tail = malloc(2 * 2 * (size_t)padded);
    for (int at = 0; at < 40 * Q; at++) {
        float *u = query + at / 40 * D;
        double score = 0, dot = 0, tail_dot = 0;
        float bound[2], tail_bound;
        clipidx_query q;
        clipidx_unit(u, u, D);
        clipidx_code_query(&c, u, query_head, query_tail, &q, work);
        clipidx_unit(unit, v + at % 40 * D, D);
        set->to_f16(half, unit, (size_t)D);
        clipidx_code(&c, half, &(clipidx_coded){head, tail, bound, &tail_bound}, work);
        assert_true(clipidx_code_holds(&c, half, head, bound, tail, &tail_bound, work));
        set->to_f32(unit, half, CLIPK_F16, (size_t)D);
        for (int d = 0; d < D; d++)
            score += (double)unit[d] * u[d];
        for (int i = 0; i < H; i++)
            dot += head[i] * query_head[i];
        for (int i = 0; i < c.bytes; i++)
            tail_dot += (tail[i] & 15) * query_tail[i] + (tail[i] >> 4) * query_tail[padded + i];
        const double by_head = dot * q.scale * bound[0],
                     by_both = by_head + (tail_dot * q.tail_scale - q.tail_offset) * bound[1];
        const double head_allowed = q.step * bound[0] + q.length * bound[1] + q.head_rest,
                     allowed = q.step * bound[0] + q.length * tail_bound + q.rest;
        if (!(fabs(score - by_head) <= head_allowed))
            fail_msg("D %d, %d axes, shape %d, %d: the head is off by %g, bound %g", D, axes, shape, at,
                     fabs(score - by_head), head_allowed);
        if (!(fabs(score - by_both) <= allowed))
            fail_msg("D %d, %d axes, shape %d, %d: off by %g, bound %g", D, axes, shape, at, fabs(score - by_both),
                     allowed);
        if (D > 100 && allowed > 0.2) /* and a bound that says nothing would be true, too */
            fail_msg("D %d, %d axes, shape %d, %d: a bound of %g", D, axes, shape, at, allowed);
    }
    clipidx_coder_free(&c);
    free(v), free(unit), free(work), free(query), free(half), free(head), free(tail), free(query_head),
        free(query_tail), free(reflector);
}

static void bounds_hold(void **state)
{
    (void)state;
    static const int dims[] = {2, 5, 8, 16, 67, 202, 607};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int D = dims[i], shape = 0; shape < SHAPES; shape++) {
            check_bounds(D, 0, shape);
            check_bounds(D, clipidx_head(D), shape);
            check_bounds(D, clipidx_most_axes(D), shape);
        }
    clipidx_coder c;
    float reflector[16] = {0};
    for (int i = 0; i < 3; i++) { /* what is no direction is none */
        reflector[5] = i == 0 ? 0 : i == 1 ? NAN : INFINITY;
        assert_int_equal(clipidx_coder_init(&c, clipk_set_find(NULL), 16, reflector, 1), CLIP_EFORMAT);
        clipidx_coder_free(&c);
    }
}

/* Reflectors that have gone, or are not what they were: codes are made anew, and searches stay
 * right. */
static void lost_reflectors_are_made_anew(void **state)
{
    enum { D = 256, N = 17000, ROW = 4 * D, FAULTS = 6 };
    char name[32] = "reflectors.1.npy";
    static const int64_t size[FAULTS] = {[1] = 60,
                                         [2] = CLIPIDX_ARRAY_HEADER,
                                         [3] = CLIPIDX_ARRAY_HEADER + 31 * ROW,
                                         [4] = CLIPIDX_ARRAY_HEADER + 100 * ROW};
    (void)state;
    clip_index *x;
    float *v = vectors_of(FLAT, N, D);
    empty_dir();
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, N));
    OK(clipidx_close(x, &err));
    for (int fault = 0; fault < FAULTS; fault++) {
        if (fault == 0)
            unlink(file(name));
        else if (size[fault])
            assert_int_equal(truncate(file(name), size[fault]), 0);
        else { /* a bit */
            const int fd = open(file(name), O_RDWR);
            unsigned char c;
            assert_int_equal(pread(fd, &c, 1, CLIPIDX_ARRAY_HEADER + 5 * ROW + 3), 1);
            c ^= 0x80;
            assert_int_equal(pwrite(fd, &c, 1, CLIPIDX_ARRAY_HEADER + 5 * ROW + 3), 1);
            close(fd);
        }
        OK(open_index(false, 0, &x));
        assert_false(x->coded);
        compare(x, v, 2, 5, NULL, "reflectors are missing");
        OK(clipidx_close(x, &err));
        OK(open_index(true, 0, &x));
        assert_int_equal(x->coder.axes, 0);
        compare(x, v, 2, 5, NULL, "coded anew");
        OK(clipidx_close(x, &err)); /* learns again */
        OK(open_index(false, 0, &x));
        assert_true(x->coded);
        assert_int_equal(x->coder.axes, 32);
        assert_int_equal(x->state.generation, 2 + fault);
        compare(x, v, 2, 5, NULL, "learned anew");
        OK(clipidx_close(x, &err));
        snprintf(name, sizeof name, "reflectors.%d.npy", 2 + fault);
    }
    free(v);
}

static void filters_choose_items(void **state)
{
    (void)state;
    clip_index *x;
    clip_hit hit[8];
    int found;
    float *v = random_vectors(3, 6, 8);
    const clip_item item[] = {
        {.kind = 1, .path = "2021/a.jpg", .taken = 1000}, {.kind = 1, .path = "b.JPG", .mtime = INT64_C(2000000000000)},
        {.kind = 2, .path = "b.JPG", .text = "a bee"},    {.kind = 2, .text = "alone"},
        {.kind = 1, .path = "c\xff.png", .taken = 3000},  {.kind = 2, .path = "b.JPG", .text = "another"}};
    const struct {
        clip_index_filter f;
        int rows; /* bits */
    } cases[] = {{{0}, 63},
                 {{.kinds = 1}, 19},
                 {{.kinds = 2}, 44},
                 {{.kinds = 3}, 63},
                 {{.patterns = (const char *const[]){"*.jpg"}, .n_patterns = 1}, 1},
                 {{.patterns = (const char *const[]){"*.jpg", "?.JPG"}, .n_patterns = 2}, 39},
                 {{.patterns = (const char *const[]){"c*"}, .n_patterns = 1}, 16},
                 {{.kinds = 1, .after = 2000}, 18},
                 {{.kinds = 1, .before = 2000}, 1},
                 {{.kinds = 1, .after = 1001, .before = 3000}, 2},
                 {{.before = 2000}, 1}, /* what has no date is not from before */
                 {{.below = (const char *const[]){"2021"}, .n_below = 1}, 1},
                 {{.below = (const char *const[]){"202"}, .n_below = 1}, 0},
                 {{.below = (const char *const[]){"2021/"}, .n_below = 1}, 1},
                 {{.below = (const char *const[]){"b.JPG", "2021"}, .n_below = 2}, 39},
                 {{.below = (const char *const[]){"2021/?.jpg"}, .n_below = 1}, 0},
                 {{.below = (const char *const[]){""}, .n_below = 1}, 0},
                 {{.below = (const char *const[]){"b.JPG"}, .n_below = 1, .kinds = 1}, 2}};
    empty_dir();
    OK(open_index(true, 8, &x));
    OK(clipidx_add(x, item, v, 6, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rows = 0;
        OK(clipidx_search(x, v, 1, 8, &cases[i].f, hit, &found, &err));
        for (int h = 0; h < found; h++)
            rows |= 1 << hit[h].row;
        if (rows != cases[i].rows)
            fail_msg("filter %d: rows %x, not %x", (int)i, rows, cases[i].rows);
    }
    assert_int_equal(clipidx_search(x, v, 1, 8, &(clip_index_filter){.kinds = 4}, hit, &found, &err), CLIP_EINVAL);
    assert_int_equal(clipidx_search(x, v, 1, 0, NULL, hit, &found, &err), CLIP_EINVAL);
    memset(v, 0, 8 * sizeof *v);
    assert_int_equal(clipidx_search(x, v, 1, 8, NULL, hit, &found, &err), CLIP_EINVAL);
    OK(clipidx_close(x, &err));
    free(v);
}

/* "/no/.." is "/" to the file system. */
static void folders_as_written_ask_no_file_system(void **state)
{
    (void)state;
    clip_index *x;
    clip_hit hit;
    int found;
    float *v = random_vectors(3, 1, 8);
    clip_index_filter f = {.below = (const char *const[]){"/no/../2021"}, .n_below = 1};
    empty_dir();
    OK(open_index(true, 8, &x));
    OK(clipidx_add(x, &(clip_item){.kind = 1, .path = "/2021/a.jpg"}, v, 1, &err));
    OK(clipidx_search(x, v, 1, 1, &f, &hit, &found, &err));
    assert_int_equal(found, 1);
    f.below_as_written = true;
    OK(clipidx_search(x, v, 1, 1, &f, &hit, &found, &err));
    assert_int_equal(found, 0);
    f.below = (const char *const[]){"/2021"};
    OK(clipidx_search(x, v, 1, 1, &f, &hit, &found, &err));
    assert_int_equal(found, 1);
    OK(clipidx_close(x, &err));
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_exact),
        cmocka_unit_test(learned_axes_change_no_answer),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(lost_reflectors_are_made_anew),
        cmocka_unit_test(filters_choose_items),
        cmocka_unit_test(folders_as_written_ask_no_file_system),
    };
    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
