/* test_peers.c: ranks that train together get what a process alone gets from the whole batch, with
 * broken samples in the data. The ranks are children of this process, joined by sockets. */
#include "../data/fixture.h"

#include <math.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/file.h"
#include "engine/engine.h"
#include "model/store.h"

enum { PICTURES = 50, MOST_RANKS = 4, MOST_STEPS = 32 };

/* The sum over a batch has another order, so floats agree and bits do not. AdamW with its usual eps
 * turns roundings of gradients near 0 into whole steps. With this one it does not. */
#define EPS "1e-3"
#define LOSS_ERROR 2e-6
#define NORM_ERROR 1e-4
#define WEIGHTS_ERROR 1e-6

/* ---- Data: pictures in many colours, every seventh broken ---- */

static bool is_broken(int i) { return i % 7 == 3; }

static void make_pictures(void)
{
    static const char *const colours[] = {"red", "green", "blue", "white", "black"};
    char name[64], text[128], data[16 + 3 * 16 * 16];
    for (int i = 0; i < PICTURES; i++) {
        size_t n = (size_t)sprintf(data, "P6\n16 16\n255\n");
        for (int p = 0; p < 3 * 16 * 16; p++)
            data[n++] = (char)(i * 37 + p * (i % 5 + 1) + p / 48 * i);
        sprintf(name, "pictures/%02d.ppm", i);
        put(name, data, is_broken(i) ? 20 : n);
        sprintf(name, "pictures/%02d.txt", i);
        sprintf(text, "a %s picture, number %d", colours[i % 5], i);
        put_text(name, text);
    }
}

static const char vit[] =
    "{\"model_cfg\": {\"embed_dim\": 32,"
    " \"vision_cfg\": {\"image_size\": 32, \"layers\": 2, \"width\": 64, \"patch_size\": 8, \"head_width\": 32},"
    " \"text_cfg\": {\"context_length\": 16, \"vocab_size\": 560, \"width\": 64, \"heads\": 2, \"layers\": 2}}}";
static const char resnet[] =
    "{\"model_cfg\": {\"embed_dim\": 32,"
    " \"vision_cfg\": {\"image_size\": 64, \"layers\": [1, 1, 1, 1], \"width\": 8},"
    " \"text_cfg\": {\"context_length\": 16, \"vocab_size\": 560, \"width\": 64, \"heads\": 2, \"layers\": 2}}}";

static int make_data(void **state)
{
    if (make_dir(state))
        return -1;
    make_pictures();
    put_text("vit.json", vit);
    put_text("resnet.json", resnet);
    return 0;
}

/* ---- Ranks that are joined by sockets, with rank 0 in the middle ---- */

typedef struct links {
    int fd[MOST_RANKS]; /* of rank 0: to each of the others; of another: fd[0] */
} links;

static bool send_all(int fd, const void *p, size_t n)
{
    for (const char *at = p; n > 0;) {
        const ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

static bool receive_all(int fd, void *p, size_t n)
{
    for (char *at = p; n > 0;) {
        const ssize_t done = recv(fd, at, n, 0);
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

static clip_status gone(int rank, clip_error *err)
{
    return clipb_fail(err, CLIP_EIO, NULL, "rank %d is gone", rank);
}

static clip_status gather(const clipb_peers *p, void *all, size_t bytes, clip_error *err)
{
    const links *l = p->user;
    char *parts = all;
    if (p->rank > 0)
        return send_all(l->fd[0], parts + (size_t)p->rank * bytes, bytes) &&
                       receive_all(l->fd[0], parts, (size_t)p->size * bytes)
                   ? CLIP_OK
                   : gone(0, err);
    for (int r = 1; r < p->size; r++)
        if (!receive_all(l->fd[r], parts + (size_t)r * bytes, bytes))
            return gone(r, err);
    for (int r = 1; r < p->size; r++)
        if (!send_all(l->fd[r], parts, (size_t)p->size * bytes))
            return gone(r, err);
    return CLIP_OK;
}

static clip_status sum(const clipb_peers *p, float *x, size_t n, clip_error *err)
{
    float *all = malloc((size_t)p->size * n * sizeof *all);
    if (!all)
        return clipb_nomem(err, NULL);
    memcpy(all + (size_t)p->rank * n, x, n * sizeof *x);
    const clip_status s = gather(p, all, n * sizeof *x, err);
    for (size_t i = 0; i < n && s == CLIP_OK; i++) {
        x[i] = all[i];
        for (int r = 1; r < p->size; r++)
            x[i] += all[(size_t)r * n + i];
    }
    free(all);
    return s;
}

/* ---- A run ---- */

typedef struct run {
    int size;
    const char *settings; /* more of them, as JSON */
    const char *model;
    const char *resume;   /* a checkpoint to go on from; NULL: none */
    const char *out;      /* where the checkpoint goes */
    int stop_after;       /* steps; 0: go to the end */
    int dies;             /* the rank that ends after its second step; 0: none */
} run;

typedef struct result {
    int steps;
    double loss[MOST_STEPS], norm[MOST_STEPS];
    int64_t broken;
    clip_status status;
    char message[200];
} result;

static clip_status open_trainer(const run *r, const clipb_peers *peers, clip_trainer **t, clip_error *err)
{
    if (r->resume)
        return clipeng_trainer_resume(in_dir(r->resume), NULL, peers, NULL, NULL, t, err);
    clip_train_options *o;
    char text[1024], file[32];
    TRY(clipeng_train_options_new(&o));
    snprintf(text, sizeof text,
             "{\"train-data\": \"%s\", \"model\": \"%s\", \"tokenizer-vocab\": 520, \"batch-size\": 12, \"epochs\": 4,"
             " \"lr\": 1e-3, \"warmup\": 2, \"eps\": " EPS ", \"threads\": 1, \"workers\": %d%s}",
             in_dir("pictures"), in_dir(r->model), peers ? peers->rank + 1 : 2, r->settings);
    snprintf(file, sizeof file, "settings-%d-%d.json", r->size, clipb_peers_rank(peers));
    put_text(file, text);
    clip_status s = clipeng_train_options_read(o, in_dir(file), err);
    if (s == CLIP_OK)
        s = clipeng_trainer_new(o, peers, NULL, NULL, t, err);
    clipeng_train_options_free(o);
    return s;
}

static clip_status take_steps(const run *r, const clipb_peers *peers, clip_trainer *t, result *out, clip_error *err)
{
    clip_train_info info;
    clipeng_trainer_get_info(t, &info);
    for (int64_t i = info.step; i < info.steps; i++) {
        clip_train_step step;
        if (r->dies > 0 && r->dies == clipb_peers_rank(peers) && i == 2)
            _exit(0);
        TRY(clipeng_trainer_step(t, &step, err));
        out->loss[out->steps] = step.loss;
        out->norm[out->steps++] = step.grad_norm;
        out->broken = step.broken;
        if (out->steps == r->stop_after)
            break;
    }
    return clipeng_trainer_save(t, in_dir(r->out), err);
}

/* A rank, in a process of its own. It writes its result to `fd`. */
static void be_a_rank(const run *r, const clipb_peers *peers, int fd)
{
    result out = {0};
    clip_error err = {0};
    clip_trainer *t = NULL;
    out.status = open_trainer(r, peers, &t, &err);
    if (out.status == CLIP_OK)
        out.status = take_steps(r, peers, t, &out, &err);
    snprintf(out.message, sizeof out.message, "%.199s", err.message);
    clipeng_trainer_free(t);
    _exit(write(fd, &out, sizeof out) == sizeof out ? 0 : 1);
}

static void make_links(links *l, int size)
{
    for (int r = 1; r < size; r++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        l[0].fd[r] = pair[0];
        l[r].fd[0] = pair[1];
    }
}

/* All descriptors but those of `rank`; -1: of none. */
static void close_links(const links *l, int size, int rank)
{
    for (int r = 1; r < size; r++) {
        if (rank != 0)
            close(l[0].fd[r]);
        if (rank != r)
            close(l[r].fd[0]);
    }
}

/* Run the ranks, and return what rank 0 found. The others must have found the same. A rank that
 * dies leaves the status of rank 0. */
static result run_ranks(const run *r)
{
    links l[MOST_RANKS];
    result of[MOST_RANKS];
    int result_of[MOST_RANKS];
    make_links(l, r->size);
    for (int rank = 0; rank < r->size; rank++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        if (fork() == 0) {
            const clipb_peers peers = {rank, r->size, &l[rank], gather, sum};
            close_links(l, r->size, rank);
            close(pipes[0]);
            be_a_rank(r, r->size > 1 ? &peers : NULL, pipes[1]);
        }
        close(pipes[1]);
        result_of[rank] = pipes[0];
    }
    close_links(l, r->size, -1);
    for (int rank = 0; rank < r->size; rank++) {
        if (rank != r->dies || rank == 0)
            assert_int_equal(read(result_of[rank], &of[rank], sizeof of[rank]), sizeof of[rank]);
        close(result_of[rank]);
    }
    while (wait(NULL) > 0) {
    }
    for (int rank = 1; rank < r->size && !r->dies; rank++) {
        assert_int_equal(of[rank].status, of[0].status);
        assert_int_equal(of[rank].steps, of[0].steps);
        assert_int_equal(of[rank].broken, of[0].broken);
        assert_memory_equal(of[rank].loss, of[0].loss, (size_t)of[0].steps * sizeof(double));
        assert_memory_equal(of[rank].norm, of[0].norm, (size_t)of[0].steps * sizeof(double));
    }
    return of[0];
}

static result run_well(const run *r)
{
    const result of = run_ranks(r);
    if (of.status < 0)
        fail_msg("%d ranks: %s", r->size, of.message);
    return of;
}

/* ---- Comparing ---- */

static double distance_of_weights(const char *a, const char *b)
{
    char path[600];
    clipmdl_store x, y;
    clip_error err;
    double distance = 0, size = 0;
    snprintf(path, sizeof path, "%s/open_clip_model.safetensors", in_dir(a));
    assert_int_equal(clipmdl_store_open(path, &x, &err), CLIP_OK);
    snprintf(path, sizeof path, "%s/open_clip_model.safetensors", in_dir(b));
    assert_int_equal(clipmdl_store_open(path, &y, &err), CLIP_OK);
    for (size_t i = 0; i < x.n; i++) {
        const clipmdl_tensor *t = &x.tensor[i], *u = clipmdl_store_find(&y, t->name);
        assert_non_null(u);
        assert_int_equal(t->bytes, u->bytes);
        for (size_t j = 0; j < t->bytes / sizeof(float); j++) {
            float p, q;
            memcpy(&p, (const char *)t->data + j * sizeof p, sizeof p);
            memcpy(&q, (const char *)u->data + j * sizeof q, sizeof q);
            distance += ((double)p - q) * ((double)p - q);
            size += (double)p * p;
        }
    }
    clipmdl_store_close(&x);
    clipmdl_store_close(&y);
    return sqrt(distance / size);
}

static void agrees(const result *is, const result *should, const char *what)
{
    double loss = 0, norm = 0;
    assert_int_equal(is->steps, should->steps);
    assert_int_equal(is->broken, should->broken);
    for (int i = 0; i < is->steps; i++) {
        loss = fmax(loss, fabs(is->loss[i] - should->loss[i]) / fmax(1, should->loss[i]));
        norm = fmax(norm, fabs(is->norm[i] / should->norm[i] - 1));
    }
    const double weights = distance_of_weights("ranks", "alone");
    print_message("%s: losses within %.1e, norms %.1e, weights %.1e\n", what, loss, norm, weights);
    assert_true(loss < LOSS_ERROR);
    assert_true(norm < NORM_ERROR);
    assert_true(weights < WEIGHTS_ERROR);
}

/* ---- Tests ---- */

static void compare(const char *settings, const char *model, int ranks)
{
    char what[300];
    snprintf(what, sizeof what, "%d ranks, %s%s", ranks, model, settings);
    const result alone = run_well(&(run){.size = 1, .settings = settings, .model = model, .out = "alone"});
    const result of = run_well(&(run){.size = ranks, .settings = settings, .model = model, .out = "ranks"});
    assert_true(alone.steps >= 16 && alone.broken == 7);
    agrees(&of, &alone, what);
}

static void ranks_equal_one_process(void **state)
{
    (void)state;
    compare("", "vit.json", 2);
    compare("", "vit.json", 3);
    compare("", "vit.json", 4);
    compare(", \"batch-size\": 2, \"epochs\": 1", "vit.json", 2); /* some of a rank's parts are empty */
}

static void every_loss_and_every_way_of_training(void **state)
{
    (void)state;
    compare(", \"loss\": \"siglip\"", "vit.json", 2);
    compare(", \"force-patch-dropout\": 0.5", "vit.json", 2);
    compare(", \"chunk\": 2", "vit.json", 2);
    compare(", \"grad-clip-norm\": 1", "vit.json", 2);
    compare(", \"lock-image\": true, \"lock-image-unlocked-groups\": 1", "vit.json", 2);
    compare(", \"lock-image-freeze-bn-stats\": true", "resnet.json", 2);
}

static void another_number_of_ranks_goes_on(void **state)
{
    (void)state;
    const result alone = run_well(&(run){.size = 1, .settings = "", .model = "vit.json", .out = "alone"});
    const result first =
        run_well(&(run){.size = 3, .settings = "", .model = "vit.json", .out = "ranks", .stop_after = 7});
    const result rest = run_well(&(run){.size = 2, .settings = "", .resume = "ranks", .out = "ranks"});
    result both = first;
    for (int i = 0; i < rest.steps; i++) {
        both.loss[both.steps] = rest.loss[i];
        both.norm[both.steps++] = rest.norm[i];
    }
    both.broken = alone.broken; /* each process counts what it has met */
    agrees(&both, &alone, "3 ranks, then 2");
}

static void a_rank_that_dies_ends_the_run(void **state)
{
    (void)state;
    const result of = run_ranks(&(run){.size = 2, .settings = "", .model = "vit.json", .out = "dead", .dies = 1});
    assert_int_equal(of.status, CLIP_EIO);
    assert_string_equal(of.message, "rank 1 is gone");
    assert_int_equal(of.steps, 2);
    assert_false(clipb_is_dir(in_dir("dead")));
}

static void what_would_differ_is_refused(void **state)
{
    (void)state;
    const result of = run_ranks(&(run){.size = 2, .settings = "", .model = "resnet.json", .out = "norms"});
    assert_int_equal(of.status, CLIP_EUNSUPPORTED);
    assert_string_equal(of.message,
                        "with peers, batch norms would see other statistics than in the whole batch: freeze them");
    const result few =
        run_ranks(&(run){.size = 4, .settings = ", \"batch-size\": 3", .model = "vit.json", .out = "few"});
    assert_int_equal(few.status, CLIP_EINVAL);
    assert_string_equal(few.message, "a batch of 3 pairs for 4 ranks: each needs one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_equal_one_process),
        cmocka_unit_test(every_loss_and_every_way_of_training),
        cmocka_unit_test(another_number_of_ranks_goes_on),
        cmocka_unit_test(a_rank_that_dies_ends_the_run),
        cmocka_unit_test(what_would_differ_is_refused),
    };
    return cmocka_run_group_tests_name("peers", tests, make_data, remove_dir);
}
