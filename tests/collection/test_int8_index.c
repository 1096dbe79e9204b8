/* An index that was made in 8 bits finds what one of f32 finds, whichever asks. The pictures are
 * the samples, the queries their labels and the pictures themselves.
 * usage: test_int8_index MODEL SAMPLES      models/emoji-clip models/samples */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clip.h"
#include "own_dir.h"

enum { K = 10, MOST = 128, MOST_D = 512 };

static const char *model_path, *samples;

typedef struct side {
    clip_model *model;
    clip_context *ctx;
    clip_index *index;
    int D, Q;
    float query[MOST * MOST_D];
} side;

static void check(clip_status s, const clip_error *err)
{
    if (s < 0)
        fail_msg("%s", err->message);
}

static void embed_queries(side *s, char **pictures, size_t n)
{
    static char labels[MOST][128];
    const char *texts[MOST];
    char name[1024];
    clip_error err;
    int T = 0;
    snprintf(name, sizeof name, "%s/labels.txt", samples);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    while (T < MOST && fgets(labels[T], sizeof labels[T], f)) {
        labels[T][strcspn(labels[T], "\n")] = 0;
        texts[T] = labels[T];
        T++;
    }
    fclose(f);
    assert_in_range(T + (int)n, 50, MOST);
    assert_int_equal(clip_encode_text(s->ctx, texts, T, s->query), CLIP_OK);
    for (size_t i = 0; i < n; i++) {
        clip_image image;
        check(clip_image_read(pictures[i], NULL, &image, &err), &err);
        assert_int_equal(clip_encode_image(s->ctx, &image, 1, s->query + (size_t)s->D * ((size_t)T + i)), CLIP_OK);
        clip_image_free(&image);
    }
    s->Q = T + (int)n;
}

static void open_side(side *s, const char *precision)
{
    clip_load_options load = clip_load_options_default();
    clip_index_options o = clip_index_options_default();
    clip_model_info info;
    clip_error err;
    load.precision = precision;
    check(clip_model_load(model_path, &load, &s->model, &err), &err);
    clip_model_get_info(s->model, &info);
    s->D = info.embed_dim;
    assert_in_range(s->D, 1, MOST_D);
    assert_int_equal(clip_context_new(s->model, 0, &s->ctx), CLIP_OK);
    o.write = o.create = true;
    o.model = s->model;
    check(clip_index_open(in_dir(precision), &o, &s->index, &err), &err);
    check(clip_index_update(s->index, s->ctx, &samples, 1, NULL, NULL, &err), &err);
}

static void close_side(side *s)
{
    clip_error err;
    check(clip_index_close(s->index, &err), &err);
    clip_context_free(s->ctx);
    clip_model_free(s->model);
}

/* The share of the best K of `exact` asked by itself that `other` finds when `asking` asks. */
static double recall(const side *exact, const side *other, const side *asking)
{
    static clip_hit want[MOST * K], is[MOST * K];
    int found[MOST], common = 0;
    clip_error err;
    check(clip_index_search(exact->index, exact->query, exact->Q, K, NULL, want, found, &err), &err);
    check(clip_index_search(other->index, asking->query, asking->Q, K, NULL, is, found, &err), &err);
    for (int q = 0; q < exact->Q; q++)
        for (int i = 0; i < K; i++)
            for (int j = 0; j < K; j++)
                common += want[q * K + i].row == is[q * K + j].row;
    return (double)common / (exact->Q * K);
}

static void the_same_pictures_are_found(void **state)
{
    static side f32, int8;
    clip_error err;
    char **pictures;
    size_t n;
    (void)state;
    check(clip_list_pictures(samples, NULL, NULL, NULL, NULL, &pictures, &n, &err), &err);
    open_side(&f32, "f32");
    open_side(&int8, "int8"); /* the same rows, since paths are sorted */
    embed_queries(&f32, pictures, n);
    embed_queries(&int8, pictures, n);
    assert_true(memcmp(f32.query, int8.query, sizeof f32.query) != 0);
    const double alone = recall(&f32, &int8, &int8), asked = recall(&f32, &int8, &f32),
                 asking = recall(&f32, &f32, &int8);
    if (!(alone >= 0.98 && asked >= 0.98 && asking >= 0.98))
        fail_msg("recall@10: in int8 %.4f, its index asked in f32 %.4f, asking one of f32 %.4f", alone, asked, asking);
    clip_list_free(pictures, n);
    close_side(&f32);
    close_side(&int8);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_pictures_are_found)};
    if (argc != 3)
        return 2;
    model_path = argv[1];
    samples = argv[2];
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
