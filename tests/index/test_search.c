/* The search against the plain one: scores of all rows by the same function, sorted. What the codes leave out must not matter, whatever the data. */
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
        const float score = x->k.set->dot_f16(unit, clipidx_array_row(&x->array[CLIPIDX_VECTORS], row), D);
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
    OK(clip_index_search(x, query, Q, k, f, hit, found, &err));
    OK(clipidx_filter(x, f, &rows, &err));
    for (int q = 0; q < Q; q++) {
        const int there = plain_search(x, query + q * x->dim, &rows, f && f->min_score ? f->min_score : -INFINITY, all), n = there < k ? there : k;
        if (found[q] != n)
            fail_msg("%s, %s, D %d: %d hits of %d", what, x->k.set->name, x->dim, found[q], n);
        for (int i = 0; i < n; i++)
            if (hit[q * k + i].row != all[i].row || hit[q * k + i].score != all[i].score)
                fail_msg("%s, %s, D %d, query %d: hit %d is row %d, not %d", what, x->k.set->name, x->dim, q, i, (int)hit[q * k + i].row, (int)all[i].row);
    }
    free(rows.word), free(hit), free(all), free(found);
}

/* Random; in a few tight clusters; full of ties; with one number that is a hundred times the others; tiny and huge. */
enum { RANDOM, CLUSTERS, TIES, OUTLIER, SCALES, SHAPES };

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
    OK(clip_index_close(x, &err));
    OK(open_index(false, 0, &x));
    assert_true(x->coded);
    for (int i = -1; i < 0 || clipk_set_usable(i); i++) {
        x->k.set = i < 0 ? clipk_set_find("ref") : clipk_set_usable(i);
        compare(x, query, 1, 10, NULL, "one");
        compare(x, query, 70, 3, NULL, "many");
        compare(x, query + D, 2, N + 5, NULL, "all of them");
        compare(x, v, 5, 10, &(clip_index_filter){.min_score = 0.3f}, "a least score");
        compare(x, query, 4, 10, &(clip_index_filter){.patterns = (const char *const[]){"p*7", "p1?"}, .n_patterns = 2}, "patterns");
    }
    x->coded = false;
    compare(x, query, 3, 10, NULL, "without codes");
    OK(clip_index_close(x, &err));
    free(v), free(query);
}

static void test_exact(void **state)
{
    static const int dims[] = {1, 2, 3, 7, 16, 31, 33, 64, 100, 255, 257, 512, 1030};
    (void)state;
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        search_shape((int)i % SHAPES, 300 + (int)i, dims[i]);
    for (int shape = 0; shape < SHAPES; shape++)
        search_shape(shape, 1500, 64);
}

/* The bound of a code is what the exactness rests on: true scores in double lie within it. */
static void test_bounds(void **state)
{
    (void)state;
    for (int D = 1; D <= 1030; D = D * 3 + 1) {
        clipidx_coder c;
        const clipk_set *set = clipk_set_find(NULL);
        const int padded = clipk_scan_padded(D);
        float *v = vectors_of(OUTLIER, 40, D), *unit = malloc(sizeof(float) * (size_t)D), *work = malloc(sizeof(float) * (size_t)D);
        float *query = random_vectors(5, 1, D), bound[2];
        uint16_t *half = malloc(2 * (size_t)D);
        int8_t *code = malloc((size_t)D);
        int16_t *query_code = malloc(2 * (size_t)padded);
        clipidx_query q;
        OK(clipidx_coder_init(&c, set, D));
        clipidx_unit(query, query, D);
        clipidx_code_query(&c, query, query_code, &q, work);
        for (int i = 0; i < 40; i++) {
            double score = 0, dot = 0;
            clipidx_unit(unit, v + i * D, D);
            set->to_f16(half, unit, (size_t)D);
            clipidx_code(&c, half, code, bound, work);
            assert_true(clipidx_code_holds(&c, half, code, bound, work));
            set->to_f32(unit, half, CLIPK_F16, (size_t)D);
            for (int d = 0; d < D; d++) {
                score += (double)unit[d] * query[d];
                dot += (double)code[d] * query_code[d];
            }
            const double off = fabs(score - dot * q.scale * bound[0]), allowed = q.slack * bound[1] + q.rest;
            if (!(off <= allowed))
                fail_msg("D %d, row %d: off by %g, bound %g", D, i, off, allowed);
            if (D > 100 && allowed > 0.02) /* and a bound that says nothing would be true, too */
                fail_msg("D %d, row %d: a bound of %g", D, i, allowed);
        }
        clipidx_coder_free(&c);
        free(v), free(unit), free(work), free(query), free(half), free(code), free(query_code);
    }
}

static void test_filters(void **state)
{
    (void)state;
    clip_index *x;
    clip_hit hit[8];
    int found;
    float *v = random_vectors(3, 6, 8);
    const clip_item item[] = {{.kind = 1, .path = "2021/a.jpg", .taken = 1000}, {.kind = 1, .path = "b.JPG", .mtime = INT64_C(2000000000000)},
                              {.kind = 2, .path = "b.JPG", .text = "a bee"},    {.kind = 2, .text = "alone"},
                              {.kind = 1, .path = "c\xff.png", .taken = 3000},  {.kind = 2, .path = "b.JPG", .text = "another"}};
    const struct {
        clip_index_filter f;
        int rows; /* bits */
    } cases[] = {{{0}, 63}, {{.kinds = 1}, 19}, {{.kinds = 2}, 44}, {{.kinds = 3}, 63},
                 {{.patterns = (const char *const[]){"*.jpg"}, .n_patterns = 1}, 1}, {{.patterns = (const char *const[]){"*.jpg", "?.JPG"}, .n_patterns = 2}, 39},
                 {{.patterns = (const char *const[]){"c*"}, .n_patterns = 1}, 16}, {{.kinds = 1, .after = 2000}, 18}, {{.kinds = 1, .before = 2000}, 1},
                 {{.kinds = 1, .after = 1001, .before = 3000}, 2}, {{.before = 2000}, 1} /* what has no date is not from before */};
    empty_dir();
    OK(open_index(true, 8, &x));
    OK(clip_index_add(x, item, v, 6, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rows = 0;
        OK(clip_index_search(x, v, 1, 8, &cases[i].f, hit, &found, &err));
        for (int h = 0; h < found; h++)
            rows |= 1 << hit[h].row;
        if (rows != cases[i].rows)
            fail_msg("filter %d: rows %x, not %x", (int)i, rows, cases[i].rows);
    }
    assert_int_equal(clip_index_search(x, v, 1, 8, &(clip_index_filter){.kinds = 4}, hit, &found, &err), CLIP_EINVAL);
    assert_int_equal(clip_index_search(x, v, 1, 0, NULL, hit, &found, &err), CLIP_EINVAL);
    memset(v, 0, 8 * sizeof *v);
    assert_int_equal(clip_index_search(x, v, 1, 8, NULL, hit, &found, &err), CLIP_EINVAL);
    OK(clip_index_close(x, &err));
    free(v);
}

static void test_duplicates(void **state)
{
    (void)state;
    clip_index *x;
    int64_t *row, *group, n;
    const int N = 700, D = 48;
    float *v = random_vectors(11, N, D);
    for (int i = 1; i < N; i++)
        for (int d = 0; d < D && i % 100 < 3; d++) /* 0 1 2, 100 101 102, .. are near each other */
            v[i * D + d] = v[i / 100 * 100 * D + d] + 0.02f * v[i * D + d];
    empty_dir();
    OK(open_index(true, D, &x));
    OK(add_pictures(x, v, 0, N));
    clip_item copy[] = {{.kind = 1, .path = "copy", .hash = {1}}, {.kind = 2, .path = "p1", .text = "no picture"}, {.kind = 1, .path = "copy2", .hash = {1}}};
    float *w = random_vectors(12, 3, D);
    memcpy(w + D, v, sizeof(float) * (size_t)D);
    OK(clip_index_add(x, copy, w, 3, &err));
    OK(clip_index_duplicates(x, 0.97f, NULL, &row, &group, &n, &err));
    assert_int_equal(n, 8);
    for (int g = 0; g < 7; g++) {
        assert_int_equal(group[g + 1] - group[g], 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(row[group[g] + i], 100 * g + i);
    }
    assert_int_equal(row[group[7]], N);
    assert_int_equal(row[group[7] + 1], N + 2);
    assert_int_equal(group[8] - group[7], 2);
    free(row), free(group);
    OK(clip_index_duplicates(x, 0.97f, &(clip_index_filter){.patterns = (const char *const[]){"p?"}, .n_patterns = 1}, &row, &group, &n, &err));
    assert_int_equal(n, 1);
    free(row), free(group);
    OK(clip_index_close(x, &err));
    FILE *f = fopen(file("vectors.npy"), "r+b"); /* a damaged vector is near nothing, and hides nothing */
    assert_non_null(f);
    fseek(f, CLIPIDX_ARRAY_HEADER + 5 * 2 * D, SEEK_SET);
    for (int d = 0; d < D; d++)
        fwrite("\0", 1, 2, f);
    fclose(f);
    OK(open_index(false, 0, &x));
    OK(clip_index_duplicates(x, 0.97f, NULL, &row, &group, &n, &err));
    assert_int_equal(n, 8);
    free(row), free(group);
    OK(clip_index_close(x, &err));
    free(v), free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_bounds), cmocka_unit_test(test_filters),
                                       cmocka_unit_test(test_duplicates)};
    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
