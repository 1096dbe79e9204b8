/* test_stream.c: batches as a function of data and seed: every pair once an epoch, the same for any
 * number of workers, the same after being taken up anywhere; and broken data of all kinds. */
#include "../data/fixture.h"

#include <stdbool.h>
#include <stdint.h>

#include "failing_alloc.h"
#include "train/stream.h"

enum { PAIRS = 37, S = 4, N = 5, STEPS = 17 }; /* into the third epoch of seven batches */
static cliptok *tokenizer;
static const clipimg_recipe recipe = {.size = S, .filter = CLIPIMG_BICUBIC, .std = {1, 1, 1}};
static clipimg_augment augment;

/* ---- Data: a picture and two captions that tell their number ---- */

static size_t picture(int i, char *out)
{
    size_t n = (size_t)sprintf(out, "P6\n4 4\n255\n");
    for (int p = 0; p < 48; p++)
        out[n++] = (char)(i + p);
    return n;
}

static void put_folder(const char *folder, int from, int to)
{
    char name[64], data[100];
    for (int i = from; i < to; i++) {
        sprintf(name, "%s/%02d.ppm", folder, i);
        put(name, data, picture(i, data));
        sprintf(name, "%s/%02d.txt", folder, i);
        sprintf(data, "number %d\ncalled %d\n", i, i);
        put_text(name, data);
    }
}

static tar_file tar;

static void put_tar(const char *file, int from, int to)
{
    char name[64], data[100];
    tar.n = 0;
    for (int i = from; i < to; i++) {
        sprintf(name, "%02d.ppm", i);
        tar_add(&tar, name, '0', data, picture(i, data));
        sprintf(name, "%02d.json", i);
        sprintf(data, "{\"captions\": [\"number %d\", \"called %d\"]}", i, i);
        tar_text(&tar, name, data);
    }
    tar_end(&tar);
    put(file, tar.bytes, tar.n);
}

static void put_table(const char *file, const char *folder, int from, int to)
{
    static char text[1 << 14];
    put_folder(folder, from, to);
    size_t n = (size_t)sprintf(text, "title\tfilepath\n");
    for (int i = from; i < to; i++)
        n += (size_t)sprintf(text + n, "number %d\t%s/%02d.ppm\ncalled %d\t%s/%02d.ppm\n", i, folder, i, i, folder, i);
    put_text(file, text);
}

/* Everything the stream may come from, each with all the pairs. */
typedef struct source {
    const char *spec;
    size_t memory; /* small: tars are read anew each epoch, with few samples in the buffer */
    bool permuted; /* as a whole */
} source;

static const source sources[] = {
    {"%1$s/folder", 0, true},
    {"%1$s/table.tsv", 0, true},
    {"%1$s/all.tar", 0, true},
    {"%1$s/{0..2}.tar", 3000, false},
    {"%1$s/half.tsv::%1$s/1.tar::%1$s/2.tar", 1, false},
};
enum { SOURCES = sizeof sources / sizeof *sources };

static int make_data(void **state)
{
    if (fresh_dir(state))
        return -1;
    put_folder("folder", 0, PAIRS);
    put_table("table.tsv", "pictures", 0, PAIRS);
    put_table("half.tsv", "half", 0, 11);
    put_tar("all.tar", 0, PAIRS);
    put_tar("0.tar", 0, 11);
    put_tar("1.tar", 11, 30);
    put_tar("2.tar", 30, PAIRS);
    return 0;
}

/* ---- Streams ---- */

static char warned[1 << 14];

static void warn(void *user, const char *message)
{
    assert_ptr_equal(user, warned);
    strcat(strcat(warned, message), "\n");
}

static char spec[512];

static cliptrn_stream_options options(const char *name, size_t memory, int workers)
{
    snprintf(spec, sizeof spec, name, dir);
    *warned = 0;
    return (cliptrn_stream_options){.spec = spec,
                                    .recipe = &recipe,
                                    .augment = &augment,
                                    .tokenizer = tokenizer,
                                    .context_length = 8,
                                    .batch = N,
                                    .workers = workers,
                                    .seed = 5,
                                    .memory = memory,
                                    .warn = warn,
                                    .warn_user = warned};
}

static cliptrn_stream *open_stream(const cliptrn_stream_options *o)
{
    cliptrn_stream *s;
    clip_error err;
    if (cliptrn_stream_open(o, &s, &err) < 0)
        fail_msg("%s", err.message);
    return s;
}

static cliptrn_batch next(cliptrn_stream *s)
{
    cliptrn_batch b;
    clip_error err;
    if (cliptrn_stream_next(s, &b, &err) < 0)
        fail_msg("%s", err.message);
    return b;
}

/* A batch that can be compared and outlives the stream. */
typedef struct record {
    int64_t index[N];
    float pixels[N * 3 * S * S];
    int32_t ids[8 * N], off[N + 1];
    char key[N][128], caption[N][32];
    int64_t epoch;
    cliptrn_position next;
} record;

static void keep(const cliptrn_batch *b, record *r)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(b->N, N);
    memcpy(r->index, b->index, sizeof r->index);
    memcpy(r->pixels, b->pixels, sizeof r->pixels);
    memcpy(r->off, b->off, sizeof r->off);
    memcpy(r->ids, b->ids, (size_t)b->off[N] * sizeof *b->ids);
    for (int i = 0; i < N; i++) {
        snprintf(r->key[i], sizeof r->key[i], "%s", b->key[i]);
        snprintf(r->caption[i], sizeof r->caption[i], "%s", b->caption[i]);
    }
    r->epoch = b->epoch;
    r->next = b->next;
}

static void records(const cliptrn_stream_options *o, record *r, int n)
{
    cliptrn_stream *s = open_stream(o);
    for (int i = 0; i < n; i++) {
        const cliptrn_batch b = next(s);
        keep(&b, &r[i]);
    }
    cliptrn_stream_close(s);
}

static record plain[STEPS], other[STEPS];

/* ---- Tests ---- */

static void what_is_delivered_belongs_together(void **state)
{
    (void)state;
    augment = clipimg_augment_default();
    augment.scale[0] = augment.ratio[0] = augment.ratio[1] = 1;
    for (int k = 0; k < SOURCES; k++) {
        const cliptrn_stream_options o = options(sources[k].spec, sources[k].memory, 2);
        cliptrn_stream *s = open_stream(&o);
        int called = 0;
        assert_int_equal(cliptrn_stream_count(s), PAIRS);
        for (int step = 0; step < 35; step++) {
            const cliptrn_batch b = next(s);
            assert_int_equal(b.epoch, step / 7);
            assert_int_equal(b.off[0], 0);
            for (int i = 0; i < N; i++) {
                char data[100], caption[32];
                const int number = atoi(strrchr(b.key[i], '/') + 1);
                int32_t ids[8];
                int n;
                assert_int_equal(b.index[i], number); /* the order of the sources is that of the numbers */
                const size_t bytes = picture(number, data);
                clip_image img;
                float pixels[3 * S * S];
                assert_int_equal(clipimg_decode(data, bytes, "", NULL, NULL, &img, NULL), CLIP_OK);
                assert_int_equal(clipimg_preprocess(&recipe, &img, pixels), CLIP_OK);
                clipimg_free(&img);
                assert_memory_equal(pixels, b.pixels + i * 3 * S * S, sizeof pixels);
                called += *b.caption[i] == 'c';
                sprintf(caption, *b.caption[i] == 'c' ? "called %d" : "number %d", number);
                assert_string_equal(b.caption[i], caption);
                assert_int_equal(cliptok_encode(tokenizer, caption, strlen(caption), ids, 8, &n), CLIP_OK);
                assert_int_equal(n, b.off[i + 1] - b.off[i]);
                assert_memory_equal(ids, b.ids + b.off[i], (size_t)n * sizeof *ids);
            }
        }
        assert_true(called > 52 && called < 123); /* of 175, five deviations around the half */
        const cliptrn_stream_stats stats = cliptrn_stream_get_stats(s);
        assert_true(stats.seen == 175 && stats.broken == 0 && stats.waited >= 0);
        cliptrn_stream_close(s);
        assert_string_equal(warned, "");
    }
}

static void every_pair_once_an_epoch(void **state)
{
    (void)state;
    for (int k = 0; k < SOURCES; k++)
        for (int batch = 1; batch <= PAIRS; batch += 12) {
            cliptrn_stream_options o = options(sources[k].spec, sources[k].memory, 2);
            o.batch = batch;
            cliptrn_stream *s = open_stream(&o);
            const int steps = PAIRS / batch;
            int64_t first[PAIRS], same = 0;
            for (int epoch = 0; epoch < 4; epoch++) {
                int seen[PAIRS] = {0};
                for (int step = 0; step < steps; step++) {
                    const cliptrn_batch b = next(s);
                    assert_int_equal(b.epoch, epoch);
                    assert_int_equal(b.next.sample, (step + 1) * batch);
                    for (int i = 0; i < batch; i++) {
                        assert_int_equal(seen[b.index[i]]++, 0);
                        if (epoch == 0)
                            first[step * batch + i] = b.index[i];
                        else
                            same += first[step * batch + i] == b.index[i];
                    }
                }
            }
            assert_true(same < 40); /* of about 111 places, where chance, with a small buffer, leaves some alone */
            cliptrn_stream_close(s);
        }
}

/* The first place of an epoch: any pair may stand there, of the tars those that come first into the
 * buffer. */
static void shuffles_are_even(void **state)
{
    (void)state;
    for (int k = 0; k < SOURCES; k++) {
        int at_first[PAIRS] = {0}, met = 0;
        cliptrn_stream_options o = options(sources[k].spec, sources[k].memory, 1);
        o.batch = PAIRS;
        cliptrn_stream *s = open_stream(&o);
        for (int epoch = 0; epoch < 500; epoch++)
            at_first[next(s).index[0]]++;
        for (int i = 0; i < PAIRS; i++) {
            met += at_first[i] > 0;
            if (sources[k].permuted)
                assert_true(at_first[i] < 37); /* 13.5 and 6 deviations */
        }
        assert_true(sources[k].permuted ? met == PAIRS : met >= 3);
        cliptrn_stream_close(s);
    }
}

static void batches_do_not_depend_on_workers(void **state)
{
    (void)state;
    augment = clipimg_augment_default();
    augment.scale[0] = 0.3f;
    for (int k = 0; k < SOURCES; k++) {
        const cliptrn_stream_options one = options(sources[k].spec, sources[k].memory, 1);
        records(&one, plain, STEPS);
        for (int workers = 2; workers <= 8; workers += 3) {
            const cliptrn_stream_options more = options(sources[k].spec, sources[k].memory, workers);
            records(&more, other, STEPS);
            assert_memory_equal(plain, other, sizeof plain);
        }
        cliptrn_stream_options seed = one;
        seed.seed++;
        records(&seed, other, STEPS);
        assert_memory_not_equal(plain[0].index, other[0].index, sizeof plain[0].index);
    }
}

static void assert_goes_on(cliptrn_stream_options o)
{
    records(&o, plain, STEPS);
    for (int i = 0; i < STEPS - 1; i++) {
        o.start = plain[i].next;
        records(&o, other + i + 1, STEPS - 1 - i);
        assert_memory_equal(plain + i + 1, other + i + 1, (size_t)(STEPS - 1 - i) * sizeof *plain);
    }
}

static void it_goes_on_from_anywhere(void **state)
{
    (void)state;
    for (int k = 0; k < SOURCES; k++)
        assert_goes_on(options(sources[k].spec, sources[k].memory, 3));
}

static void a_place_beyond_the_data_is_none(void **state)
{
    (void)state;
    static const cliptrn_position nowhere[] = {{0, PAIRS + 1}, {0, -1}, {-1, 0}, {1, INT64_MAX}};
    for (int k = 0; k < SOURCES; k++)
        for (int i = 0; i < 4; i++) {
            cliptrn_stream_options o = options(sources[k].spec, sources[k].memory, 1);
            cliptrn_stream *s;
            clip_error err;
            o.start = nowhere[i];
            assert_int_equal(cliptrn_stream_open(&o, &s, &err), CLIP_EMISMATCH);
            assert_null(s);
            o.start = (cliptrn_position){3, PAIRS}; /* an epoch's end is a place */
            s = open_stream(&o);
            assert_int_equal(next(s).epoch, 4);
            cliptrn_stream_close(s);
        }
}

/* ---- Broken data ---- */

/* Of the samples 0 .. 36: 3 without a caption, 7 no picture, 20 empty, 36 cut. */
static void put_broken(void)
{
    tar_file *t = &tar;
    char name[64], data[100];
    for (int part = 0; part < 3; part++) {
        static const int from[] = {0, 11, 30, PAIRS};
        t->n = 0;
        for (int i = from[part]; i < from[part + 1]; i++) {
            size_t n = i == 20 ? 0 : i == 36 ? 40 : picture(i, data);
            sprintf(name, "%02d.ppm", i);
            tar_add(t, name, '0', i == 7 ? "no picture" : data, i == 7 ? 10 : n);
            sprintf(data, i == 3 ? " " : "number %d", i);
            sprintf(name, "%02d.txt", i);
            tar_text(t, name, data);
        }
        tar_end(t);
        sprintf(name, "b%d.tar", part);
        put(name, t->bytes, t->n);
    }
    put_folder("broken", 0, PAIRS);
    put_text("broken/03.txt", " \n");
    put_text("broken/07.ppm", "no picture");
    put_text("broken/20.ppm", "");
    put("broken/36.ppm", "P6\n4 4\n255\nabc", 14);
}

static void broken_samples_are_skipped_counted_and_named(void **state)
{
    (void)state;
    static const source broken[] = {
        {"%1$s/broken", 0, true}, {"%1$s/b{0..2}.tar", 0, true}, {"%1$s/b{0..2}.tar", 1000, false}};
    put_broken();
    for (int k = 0; k < 3; k++) {
        cliptrn_stream_options o = options(broken[k].spec, broken[k].memory, 3);
        cliptrn_stream *s = open_stream(&o);
        /* The empty picture is read at once only where tars are held. */
        assert_int_equal(cliptrn_stream_count(s), k == 1 ? 35 : 36);
        for (int epoch = 0; epoch < 3; epoch++) {
            int seen[PAIRS] = {0}, distinct = 0;
            for (int step = 0; step < 33 / N; step++) {
                const cliptrn_batch b = next(s);
                assert_int_equal(b.epoch, epoch);
                for (int i = 0; i < N; i++)
                    distinct += seen[b.index[i]]++ == 0;
            }
            assert_int_equal(distinct, 30);
            assert_false(seen[3] || seen[7] || seen[20] || seen[36]);
        }
        next(s); /* the third epoch is behind */
        assert_int_equal(cliptrn_stream_get_stats(s).broken, 4);
        cliptrn_stream_close(s);
        int lines = 0;
        for (const char *p = warned; (p = strchr(p, '\n')); p++)
            lines++;
        assert_int_equal(lines, 4);
        static const char *const names[] = {"/03", "/07", "/20", "/36"};
        for (int i = 0; i < 4; i++)
            assert_non_null(strstr(warned, names[i]));
        assert_goes_on(o);
        records(&o, plain, STEPS);
        o.workers = 1;
        records(&o, other, STEPS);
        assert_memory_equal(plain, other, sizeof plain);
    }
}

/* Only the first are named. */
static void many_broken_samples_are_not_all_named(void **state)
{
    (void)state;
    put_folder("many", 0, PAIRS);
    for (int i = 0; i < 20; i++) {
        char name[32];
        sprintf(name, "many/%02d.ppm", i);
        put_text(name, "no picture");
    }
    const cliptrn_stream_options o = options("%1$s/many", 0, 2);
    cliptrn_stream *s = open_stream(&o);
    for (int i = 0; i < 4; i++) /* of three an epoch */
        next(s);
    assert_int_equal(cliptrn_stream_get_stats(s).broken, 20);
    int lines = 0;
    for (const char *p = warned; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 10);
    cliptrn_stream_close(s);
}

static const char *open_fails(const cliptrn_stream_options *o, clip_status expected)
{
    static clip_error err;
    cliptrn_stream *s;
    assert_int_equal(cliptrn_stream_open(o, &s, &err), expected);
    assert_null(s);
    assert_int_equal(err.code, expected);
    return strncmp(err.message, dir, strlen(dir)) == 0 ? err.message + strlen(dir) + 1 : err.message;
}

static void too_little_is_an_error(void **state)
{
    (void)state;
    clip_error err;
    cliptrn_batch b;
    cliptrn_stream_options o = options("%1$s/all.tar", 0, 2);
    o.batch = PAIRS + 1;
    assert_string_equal(open_fails(&o, CLIP_EFORMAT), "all.tar: has 37 pairs, fewer than a batch of 38");
    put_folder("bad", 0, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        char name[32];
        sprintf(name, "bad/%02d.ppm", i);
        put_text(name, i < 5 ? "P6\n1 1\n255\nabc" : "no picture");
    }
    o = options("%1$s/bad", 0, 2);
    o.batch = 6;
    cliptrn_stream *s = open_stream(&o);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(cliptrn_stream_next(s, &b, &err), CLIP_EFORMAT);
        assert_string_equal(err.message, "epoch 1: its 5 sound samples are fewer than a batch of 6");
        assert_null(b.pixels);
    }
    cliptrn_stream_close(s);
    for (int i = 0; i < 5; i++) {
        char name[32];
        sprintf(name, "bad/%02d.ppm", i);
        put_text(name, "no picture");
    }
    s = open_stream(&o);
    assert_int_equal(cliptrn_stream_next(s, &b, &err), CLIP_EFORMAT);
    assert_string_equal(err.message, "epoch 1: there is no sound sample");
    cliptrn_stream_close(s);
    put_text("none.tsv", "title\tfilepath\n");
    o = options("%1$s/none.tsv", 0, 2);
    assert_string_equal(open_fails(&o, CLIP_EFORMAT), "none.tsv: has no pair");
}

static void a_damaged_source_is_an_error(void **state)
{
    (void)state;
    put_text("garbage.tar", "hello");
    put_tar("cut.tar", 0, PAIRS);
    assert_int_equal(truncate(in_dir("cut.tar"), (off_t)tar.n / 1024 * 512), 0);
    for (size_t memory = 1; memory < 1000000; memory *= 1000) {
        cliptrn_stream_options o = options("%1$s/folder::%1$s/garbage.tar", memory, 1);
        assert_string_equal(open_fails(&o, CLIP_EFORMAT),
                            "garbage.tar: cannot be read as a tar: Unrecognized archive format");
        o = options("%1$s/cut.tar", memory, 1);
        assert_non_null(strstr(open_fails(&o, CLIP_EFORMAT), "cut.tar: "));
    }
    cliptrn_stream_options o = options("%1$s/nowhere", 0, 1);
    assert_string_equal(open_fails(&o, CLIP_EIO), "nowhere: No such file or directory");
    o = options("%1$s/0.txt", 0, 1);
    put_text("0.txt", "");
    open_fails(&o, CLIP_EUNSUPPORTED);
}

/* A tar that is cut, or gone, while it is trained on: all batches before, then the error, again and
 * again. */
static void a_tar_that_goes_bad_is_an_error_later(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        put_tar("x.tar", 0, PAIRS);
        cliptrn_stream_options o = options("%1$s/x.tar", 1, 2);
        cliptrn_stream *s = open_stream(&o);
        cliptrn_batch b;
        clip_error err;
        if (how == 0)
            assert_int_equal(unlink(in_dir("x.tar")), 0);
        else if (how == 1)
            put_tar("y.tar", 0, 20), assert_int_equal(rename(in_dir("y.tar"), in_dir("x.tar")), 0);
        else
            put_text("y.tar", "hello"), assert_int_equal(rename(in_dir("y.tar"), in_dir("x.tar")), 0);
        clip_status status = CLIP_OK;
        for (int step = 0; status == CLIP_OK; step++) {
            assert_true(step < 40); /* the epochs that were read already; the file that is open goes on to its end */
            status = cliptrn_stream_next(s, &b, &err);
        }
        assert_int_equal(status, how == 0 ? CLIP_EIO : CLIP_EFORMAT);
        assert_int_equal(err.code, status);
        assert_non_null(strstr(err.message, "x.tar"));
        assert_int_equal(cliptrn_stream_next(s, &b, &err), status);
        assert_non_null(strstr(err.message, "x.tar"));
        cliptrn_stream_close(s);
    }
}

/* ---- The rest ---- */

static void it_closes_at_any_moment(void **state)
{
    (void)state;
    for (int k = 0; k < SOURCES; k++)
        for (int n = 0; n < 40; n++) {
            const cliptrn_stream_options o = options(sources[k].spec, sources[k].memory, 1 + n % 5);
            cliptrn_stream *s = open_stream(&o);
            for (int i = 0; i < n % 9; i++)
                next(s);
            cliptrn_stream_close(s);
        }
    cliptrn_stream_close(NULL);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    cliptrn_stream_options o[8];
    for (int i = 0; i < 8; i++)
        o[i] = options("%1$s/folder", 0, 1);
    o[0].spec = NULL;
    o[1].recipe = NULL;
    o[2].tokenizer = NULL;
    o[3].batch = 0;
    o[4].workers = 0;
    o[5].workers = 1 << 20;
    o[6].context_length = 1;
    o[7].shuffle_buffer = -1;
    for (int i = 0; i < 8; i++)
        open_fails(&o[i], CLIP_EINVAL);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    put_folder("few", 0, 3);
    put_tar("few.tar", 3, 6);
    for (size_t memory = 0; memory < 2; memory++)
        for (long n = 1;; n++) {
            cliptrn_stream_options o = options("%1$s/few::%1$s/few.tar", memory, 1);
            o.batch = 4;
            cliptrn_stream *s;
            cliptrn_batch b;
            clip_error err = {0};
            fail_alloc_at(n);
            clip_status status = cliptrn_stream_open(&o, &s, &err);
            for (int i = 0; i < 3 && status == CLIP_OK; i++)
                status = cliptrn_stream_next(s, &b, &err);
            cliptrn_stream_close(s);
            const bool failed = fail_alloc_stop();
            if (status < 0) {
                if (status != CLIP_ENOMEM || !strstr(err.message, "out of memory") || !failed)
                    fail_msg("allocation %ld: %s", n, err.message);
            }
            /* The worker goes on ahead until it is stopped. Its last samples may or may not
             * come. */
            if (!failed || n > 400)
                break;
        }
}

static const char *tokenizer_dir;

static int start(void **state)
{
    clip_error err;
    if (cliptok_load(tokenizer_dir, &cliptok_openclip, &tokenizer, &err) < 0 || !tokenizer) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    return make_dir(state);
}

static int stop(void **state)
{
    cliptok_free(tokenizer);
    return remove_dir(state);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup(f, make_data)
    const struct CMUnitTest tests[] = {
        T(what_is_delivered_belongs_together),
        T(every_pair_once_an_epoch),
        T(shuffles_are_even),
        T(batches_do_not_depend_on_workers),
        T(it_goes_on_from_anywhere),
        T(a_place_beyond_the_data_is_none),
        T(broken_samples_are_skipped_counted_and_named),
        T(many_broken_samples_are_not_all_named),
        T(too_little_is_an_error),
        T(a_damaged_source_is_an_error),
        T(a_tar_that_goes_bad_is_an_error_later),
        T(it_closes_at_any_moment),
        T(arguments_are_checked),
        T(every_failing_allocation_is_survived),
    };
    tokenizer_dir = argc > 1 ? argv[1] : "models/emoji-clip";
    return cmocka_run_group_tests(tests, start, stop);
}
