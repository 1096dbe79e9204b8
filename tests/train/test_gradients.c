/* A batch whose losses and gradients PyTorch (OpenCLIP) computed in f64: tools/dump_gradients.py.
 * Each test runs in f32, and with products in bf16 by the oracle and, where the processor can, by
 * the best set.
 * usage: test_gradients DIRECTORY      one directory of tests/train/golden */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "step.h"

#define LARGEST_ERROR 1e-4 /* norm of the difference / norm, of each parameter */
#define CHUNKS_ERROR 1e-5
/* Some gradients are 0 except for rounding. A norm counts as at least this share of the whole. */
#define FLOOR 5e-4
/* Products in bf16. Rounding to 8 bits is off by up to 2^-9 of a number. A product rounds two
 * operands, and the errors of the few dozen products on the way to a gradient add up as random
 * numbers do. Where a number of a ReLU changes its sign, its gradient is wholly wrong, which makes
 * an error of about the square root of 2^-9 in each of a ResNet's. (PyTorch's autocast is off by
 * 0.021 of the whole gradient for `vit`, by 0.23 for `resnet`.) */
typedef struct limits {
    double loss, each, all;
} limits;
static const limits exact = {1e-5, LARGEST_ERROR, LARGEST_ERROR}, smooth = {0x1p-9, 0x1p-4, 0x1p-6 * 1.5},
                    relu = {0x1p-7, 1, 0.3};

static const char *golden;
static const clipk_set *set;       /* of the test under way; NULL: the best */
static const clipk_format *format; /* of its products */
static bool rounds(void) { return format != CLIPK_FORMAT_F32; }

static const char *const losses[] = {[CLIPTRN_INFONCE] = "clip.safetensors", [CLIPTRN_SIGLIP] = "siglip.safetensors"};

static const char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", golden, name);
    return path;
}

static bool has(cliptrn_loss_kind loss) { return clipb_is_file(path_of(losses[loss])); }

static void open_step(step *s, const cliptrn_net_options *opt, int threads)
{
    clip_error err = {.message = "out of memory"};
    cliptrn_net_options o = *opt;
    o.set = set;
    o.format = format;
    if (step_open(s, golden, path_of("batch.safetensors"), &o, threads, &err) < 0)
        fail_msg("%s", err.message);
}

static double gradient(step *s)
{
    cliptrn_loss loss;
    assert_int_equal(cliptrn_net_gradient(&s->net, &s->batch, 0, &loss, NULL), CLIP_OK);
    return loss.loss;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static double norm(const float *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * a[i];
    return sqrt(sum);
}

static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

static double norm_of_all(const cliptrn_net *n, const float *g)
{
    double sum = 0;
    for (size_t i = 0; i < n->params.n; i++)
        if (n->trains[i])
            sum += pow(norm(g + n->params.param[i].at, n->params.param[i].count), 2);
    return sqrt(sum);
}

/* The largest error among the trained parameters, or among the running statistics. */
typedef struct worst {
    double error;
    const char *name;
} worst;

static bool is_buffer(const clipmdl_param *p) { return p->flags & CLIPMDL_BUFFER_PARAM; }

static worst compare(const cliptrn_net *n, const float *is, const float *should, bool buffers)
{
    worst w = {0, "none"};
    const double whole = norm_of_all(n, should);
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *p = &n->params.param[i];
        if (buffers ? !is_buffer(p) : !n->trains[i])
            continue;
        double least = buffers ? 0 : FLOOR * whole, size = norm(should + p->at, p->count);
        double error = distance(is + p->at, should + p->at, p->count) / fmax(size, least);
        if (!(error <= w.error))
            w = (worst){error, p->name};
    }
    return w;
}

static double error_of_all(const cliptrn_net *n, const float *is, const float *should)
{
    double sum = 0;
    for (size_t i = 0; i < n->params.n; i++) {
        const clipmdl_param *p = &n->params.param[i];
        if (n->trains[i])
            sum += pow(distance(is + p->at, should + p->at, p->count), 2);
    }
    return sqrt(sum) / norm_of_all(n, should);
}

static void close_to(const cliptrn_net *n, const float *is, const float *should, bool buffers, double limit,
                     const char *what)
{
    worst w = compare(n, is, should, buffers);
    if (!(w.error <= limit))
        fail_msg("%s: %s is off by %.3g of its norm", what, w.name, w.error);
}

/* The golden numbers, laid out like the parameters; free() them. Both sides must have the same
 * parameters. */
static float *should_be(const step *s, cliptrn_loss_kind loss, float *value)
{
    const cliptrn_net *n = &s->net;
    clipmdl_store store;
    clip_error err;
    if (clipmdl_store_open(path_of(losses[loss]), &store, &err) < 0)
        fail_msg("%s", err.message);
    float *g = calloc(n->params.count, sizeof *g);
    if (clipmdl_params_read(&n->params, &store, s->family, "", g, &err) < 0)
        fail_msg("%s", err.message);
    const clipmdl_tensor *t = clipmdl_store_find(&store, "loss");
    assert_non_null(t);
    memcpy(value, t->data, sizeof *value);
    size_t expected = 1;
    for (size_t i = 0; i < n->params.n; i++) {
        const int64_t rows = n->params.param[i].ndim ? n->params.param[i].dim[0] : 1;
        clipmdl_part part[CLIPMDL_MAX_PARTS];
        expected += (size_t)clipmdl_parts(s->family, "", n->params.param[i].name, 0, rows, rows, part);
    }
    assert_int_equal(store.n, expected);
    clipmdl_store_close(&store);
    return g;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void gradients_equal_pytorch(void **state)
{
    (void)state;
    int tried = 0;
    for (int loss = CLIPTRN_INFONCE; loss <= CLIPTRN_SIGLIP; loss++) {
        if (!has(loss))
            continue;
        step s;
        float value;
        open_step(&s, &(cliptrn_net_options){.loss = loss}, 2);
        float *should = should_be(&s, loss, &value);
        double is = gradient(&s);
        const limits limit = !rounds() ? exact : s.net.image->kind->batchnorm ? relu : smooth;
        if (!(fabs(is - (double)value) <= limit.loss * (double)value))
            fail_msg("%s: the loss is %.9g, not %.9g", losses[loss], is, (double)value);
        close_to(&s.net, s.net.g, should, false, limit.each, losses[loss]);
        const double all = error_of_all(&s.net, s.net.g, should);
        print_message("%s: %.2g of a parameter at most, %.2g of all\n", losses[loss],
                      compare(&s.net, s.net.g, should, false).error, all);
        if (!(all <= limit.all))
            fail_msg("%s: the gradient is off by %.3g of its norm", losses[loss], all);
        if (rounds() && all < LARGEST_ERROR)
            fail_msg("%s: nothing was rounded to bf16", losses[loss]);
        cliptrn_net_settle(&s.net);
        close_to(&s.net, s.net.w, should, true, rounds() ? limit.loss : CHUNKS_ERROR, "running statistics");
        free(should);
        step_close(&s);
        tried++;
    }
    assert_true(tried > 0);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    step one;
    open_step(&one, &(cliptrn_net_options){0}, 1);
    double loss = gradient(&one);
    for (int threads = 2; threads <= 3; threads++) {
        step s;
        open_step(&s, &(cliptrn_net_options){0}, threads);
        double again = gradient(&s);
        assert_memory_equal(&loss, &again, sizeof loss);
        for (size_t i = 0; i < s.net.params.n; i++) {
            const clipmdl_param *p = &s.net.params.param[i];
            assert_memory_equal(one.net.g + p->at, s.net.g + p->at, p->count * sizeof(float));
        }
        assert_memory_equal(one.net.w, s.net.w, s.net.params.count * sizeof(float));
        step_close(&s);
    }
    step_close(&one);
}

static void chunks_equal_the_whole(void **state)
{
    (void)state;
    step whole;
    open_step(&whole, &(cliptrn_net_options){.freeze_bn = true}, 2);
    double loss = gradient(&whole);
    for (int chunk = 1; chunk <= 5; chunk++) { /* of a batch of 6: the last chunk may be smaller */
        step s;
        open_step(&s, &(cliptrn_net_options){.freeze_bn = true, .chunk = chunk}, 2);
        assert_true(fabs(gradient(&s) - loss) <= 1e-6 * loss);
        close_to(&s.net, s.net.g, whole.net.g, false, CHUNKS_ERROR, "in chunks");
        step_close(&s);
    }
    step_close(&whole);
}

/* Parameters that are not locked have the same gradient with and without locks. */
static void locks_change_no_gradient(void **state)
{
    (void)state;
    step whole;
    open_step(&whole, &(cliptrn_net_options){0}, 1);
    gradient(&whole);
    const bool vit = whole.net.config.vision.tower == &clipmdl_vit;
    for (int which = 0; which < 2; which++) {
        for (int unlocked = 0; unlocked <= (which == 0 && !vit ? 0 : 2); unlocked++) {
            step s;
            open_step(&s,
                      &(cliptrn_net_options){.lock_image = which == 0,
                                             .lock_text = which == 1,
                                             .image_unlocked = unlocked,
                                             .text_unlocked = unlocked},
                      1);
            gradient(&s);
            if (vit || which == 1) /* a locked ResNet is in eval() mode, another function */
                close_to(&s.net, s.net.g, whole.net.g, false, CHUNKS_ERROR, "unlocked");
            step_close(&s);
        }
    }
    step_close(&whole);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_pytorch),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(chunks_equal_the_whole),
        cmocka_unit_test(locks_change_no_gradient),
    };
    if (argc != 2)
        return 2;
    golden = argv[1];
    const clipk_set *best = clipk_set_find(NULL);
    const clipk_format *bf16 = clipk_format_find("bf16", best);
    format = CLIPK_FORMAT_F32;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    format = bf16;
    if (clipk_set_has(best, bf16))
        failed += cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
    else
        print_message("bf16 by the oracle alone: this processor has no %s\n", bf16->needs);
    set = clipk_set_find("ref");
    return failed + cmocka_run_group_tests_name("bf16, the oracle", tests, NULL, NULL);
}
