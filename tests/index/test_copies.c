/* Copies: groups of them against the plain rule, by all pairs; and searches that hide them. */
#include "fixture.h"
#include "kernels/set.h"

static float cosine(const clip_index *x, int64_t a, int64_t b)
{
    float v[64];
    assert_true(x->dim <= 64);
    x->set->to_f32(v, clipidx_array_row(&x->array[CLIPIDX_VECTORS], a), CLIPK_F16, (size_t)x->dim);
    assert_true(clipidx_unit(v, v, x->dim));
    return x->set->dot_f16(v, clipidx_array_row(&x->array[CLIPIDX_VECTORS], b), x->dim);
}

static bool same_bytes(const clip_index *x, int64_t a, int64_t b)
{
    static const uint8_t unknown[16] = {0};
    clip_item p, q;
    OK(clipidx_item_at(x, a, &p, &err));
    OK(clipidx_item_at(x, b, &q, &err));
    return memcmp(p.hash, q.hash, 16) == 0 && p.size == q.size && memcmp(p.hash, unknown, 16) != 0;
}

/* first[row]: the first of the group that the row is in, itself where it is in none; -1: left out.
 * `order` [N]: rows by grade, then number. */
static void plain_groups(const clip_index *x, const clip_duplicates_options *o, const int64_t *order, int N,
                         int64_t *first)
{
    for (int i = 0; i < N; i++)
        first[i] = -1;
    for (int i = 0; i < N && order[i] >= 0; i++) {
        const int64_t a = order[i];
        if (first[a] >= 0 && o->grouping == CLIP_GROUP_FIRST)
            continue;
        if (first[a] < 0)
            first[a] = a;
        for (int j = i + 1; j < N && order[j] >= 0; j++) {
            const int64_t b = order[j];
            if (!same_bytes(x, a, b) && (o->grouping == CLIP_GROUP_BYTES || !(cosine(x, a, b) >= o->score)))
                continue;
            if (first[b] < 0)
                first[b] = first[a];
            else if (o->grouping == CLIP_GROUP_LINKED) { /* two groups become one: that of the one that is before */
                int64_t from = first[b], to = first[a];
                for (int k = 0; k < N && order[k] != to; k++)
                    if (order[k] == from) {
                        from = to;
                        to = first[b];
                        break;
                    }
                for (int k = 0; k < N; k++)
                    if (first[k] == from)
                        first[k] = to;
            }
        }
    }
}

static void compare(const clip_index *x, const clip_duplicates_options *o, int N)
{
    int64_t *order = malloc(sizeof *order * (size_t)N), *first = malloc(sizeof *first * (size_t)N), *row, *group, n;
    int at = 0, members = 0;
    for (int grade = 0; grade < 2; grade++)
        for (int i = 0; i < N; i++)
            if ((o->grade ? o->grade[i] : 0) == grade)
                order[at++] = i;
    for (; at < N; at++)
        order[at] = -1;
    plain_groups(x, o, order, N, first);
    OK(clipidx_duplicates(x, o, &row, &group, &n, &err));
    for (int64_t g = 0; g < n; g++) {
        const int64_t head = row[group[g]];
        assert_true(group[g + 1] - group[g] >= 2);
        for (int64_t i = group[g]; i < group[g + 1]; i++, members++) {
            if (first[row[i]] != head)
                fail_msg("grouping %d: row %d is in the group of %d, not of %d", (int)o->grouping, (int)row[i],
                         (int)head, (int)first[row[i]]);
            if (o->grade)
                assert_true(o->grade[row[i]] >= 0 && o->grade[row[i]] >= o->grade[head]);
        }
    }
    for (int i = 0; i < N; i++) /* those that are alone */
        for (int j = 0, alone = 1; j < N; j++) {
            alone &= j == i || first[j] != first[i];
            members += j == N - 1 && (first[i] < 0 || alone);
        }
    assert_int_equal(members, N);
    free(order), free(first), free(row), free(group);
}

/* Points along arcs: each near the next, the ends far apart; some with equal bytes. */
static void groups_are_those_of_their_definition(void **state)
{
    enum { N = 400, D = 24 };
    static const clip_grouping groupings[] = {CLIP_GROUP_FIRST, CLIP_GROUP_LINKED, CLIP_GROUP_BYTES};
    static char name[N][8];
    static clip_item item[N];
    int8_t grade[N];
    (void)state;
    clip_index *x;
    float *v = random_vectors(21, N, D);
    clipb_rng r = clipb_rng_at(5, 0, 0, 0);
    for (int i = 0; i < N; i++) {
        const int arc = i % 16, from = arc * D;
        for (int d = 0; i >= 32 && d < D; d++)
            v[i * D + d] = v[from + d] * (float)cos(0.02 * i / 4) + v[from + 16 * D + d] * (float)sin(0.02 * i / 4);
        snprintf(name[i], sizeof name[i], "p%d", i);
        item[i] = (clip_item){
            .kind = CLIP_ITEM_PICTURE, .path = name[i], .size = 7 + i % 3, .hash = {(uint8_t)(i % 5 ? 0 : i % 97)}};
        grade[i] = (int8_t)(clipb_rng_normal(&r) > 1 ? -1 : clipb_rng_normal(&r) > 0);
    }
    empty_dir();
    OK(open_index(true, D, &x));
    OK(clipidx_add(x, item, v, N, &err));
    OK(clipidx_close(x, &err));
    OK(open_index(false, 0, &x));
    for (int i = 0; i < 3; i++)
        for (int graded = 0; graded < 2; graded++)
            for (int bound = 0; bound < 3; bound++)
                compare(x,
                        &(clip_duplicates_options){.grouping = groupings[i],
                                                   .score = bound == 0   ? 0.97f
                                                            : bound == 1 ? 0.8f
                                                                         : 0.999f,
                                                   .grade = graded ? grade : NULL},
                        N);
    assert_int_equal(clipidx_duplicates(x, &(clip_duplicates_options){.grouping = (clip_grouping)3}, &(int64_t *){0},
                                        &(int64_t *){0}, &(int64_t){0}, &err),
                     CLIP_EINVAL);
    OK(clipidx_close(x, &err));
    free(v);
}

static void duplicates_are_found_exactly(void **state)
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
    clip_item copy[] = {{.kind = 1, .path = "copy", .hash = {1}},
                        {.kind = 2, .path = "p1", .text = "no picture"},
                        {.kind = 1, .path = "copy2", .hash = {1}},
                        {.kind = 1, .path = "collision", .hash = {1}, .size = 1}};
    float *w = random_vectors(12, 4, D);
    memcpy(w + D, v, sizeof(float) * (size_t)D);
    OK(clipidx_add(x, copy, w, 4, &err));
    for (clip_grouping how = CLIP_GROUP_FIRST; how <= CLIP_GROUP_LINKED; how++) {
        OK(clipidx_duplicates(x, &(clip_duplicates_options){.grouping = how, .score = 0.97f}, &row, &group, &n,
                              &err));
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
    }
    const clip_index_filter some = {.patterns = (const char *const[]){"p?"}, .n_patterns = 1};
    OK(clipidx_duplicates(x, &(clip_duplicates_options){.score = 0.97f, .filter = &some}, &row, &group, &n, &err));
    assert_int_equal(n, 1);
    free(row), free(group);
    OK(clipidx_close(x, &err));
    FILE *f = fopen(file("vectors.npy"), "r+b"); /* a damaged vector is near nothing, and hides nothing */
    assert_non_null(f);
    fseek(f, CLIPIDX_ARRAY_HEADER + 5 * 2 * D, SEEK_SET);
    for (int d = 0; d < D; d++)
        fwrite("\0", 1, 2, f);
    fclose(f);
    OK(open_index(false, 0, &x));
    OK(clipidx_duplicates(x, &(clip_duplicates_options){.score = 0.97f}, &row, &group, &n, &err));
    assert_int_equal(n, 8);
    free(row), free(group);
    OK(clipidx_close(x, &err));
    free(v), free(w);
}

/* Hits without copies are what is left of all hits when each copy of a better one leaves. */
static void copies_of_better_hits_leave(void **state)
{
    enum { N = 600, D = 32, Q = 3 };
    static const float bounds[] = {0.97f, 0.5f, 2};
    static char name[N][8];
    static clip_item item[N];
    static clip_hit all[N], hit[Q * N];
    (void)state;
    clip_index *x;
    float *v = random_vectors(31, N, D);
    for (int i = 0; i < N; i++) {
        for (int d = 0; i >= 20 && d < D; d++)
            v[i * D + d] = v[i % 20 * D + d] + (i % 3 ? 0.02f : 0.5f) * v[i * D + d];
        snprintf(name[i], sizeof name[i], "p%d", i % 7 ? i : i / 2);
        item[i] = (clip_item){.kind = i % 7 ? CLIP_ITEM_PICTURE : CLIP_ITEM_TEXT,
                              .path = name[i],
                              .text = i % 7 ? NULL : name[i],
                              .hash = {(uint8_t)(i % 2 ? 0 : i % 31)}};
    }
    empty_dir();
    OK(open_index(true, D, &x));
    OK(clipidx_add(x, item, v, N, &err));
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++)
        for (int k = 1; k <= N; k = k * 3 + 1) {
            int found[Q];
            OK(clipidx_search(x, v, Q, k, &(clip_index_filter){.unique = bounds[b]}, hit, found, &err));
            for (int q = 0; q < Q; q++) {
                int there, n = 0;
                OK(clipidx_search(x, v + q * D, 1, N, NULL, all, &there, &err));
                for (int i = 0; i < there && n < k; i++) {
                    bool copy = false;
                    for (int j = 0; j < n && !copy; j++)
                        copy =
                            clipidx_bit(&x->state.text, all[i].row) == clipidx_bit(&x->state.text, all[j].row) &&
                            (same_bytes(x, all[i].row, all[j].row) || cosine(x, all[i].row, all[j].row) >= bounds[b]);
                    if (copy)
                        continue;
                    all[n++] = all[i];
                    assert_true(n <= found[q]);
                    assert_int_equal(hit[q * k + n - 1].row, all[n - 1].row);
                }
                assert_int_equal(found[q], n);
            }
        }
    OK(clipidx_close(x, &err));
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_those_of_their_definition),
        cmocka_unit_test(duplicates_are_found_exactly),
        cmocka_unit_test(copies_of_better_hits_leave),
    };
    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
