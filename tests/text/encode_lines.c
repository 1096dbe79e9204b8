/* encode_lines: texts in, ids out, for tools/parity_tokens.py and for measuring.
 *
 *     encode_lines DIR RULES CAPACITY < texts > ids
 *     encode_lines DIR RULES CAPACITY THREADS SECONDS < texts  (texts a second)
 *
 * RULES: openclip, huggingface, hftokenizer, canonicalize, clipa, siglip or siglip2.
 *
 * A text is a line with its length in bytes and then so many bytes; ids are a line a text. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "text/tokenizer.h"

typedef struct texts {
    char **text;
    size_t *size;
    size_t n, capacity;
} texts;

typedef struct job {
    const cliptok *t;
    const texts *in;
    int capacity;
    double seconds, rate;
} job;

static void die(const char *what)
{
    fprintf(stderr, "encode_lines: %s\n", what);
    exit(1);
}

static void read_texts(texts *in)
{
    size_t size;
    while (scanf("%zu", &size) == 1) {
        if (getchar() != '\n')
            die("no newline after a length");
        if (in->n == in->capacity) {
            in->capacity = in->capacity ? 2 * in->capacity : 1024;
            in->text = realloc(in->text, in->capacity * sizeof *in->text);
            in->size = realloc(in->size, in->capacity * sizeof *in->size);
        }
        char *text = malloc(size + 1);
        if (!text || fread(text, 1, size, stdin) != size)
            die("a text is cut off");
        in->text[in->n] = text;
        in->size[in->n++] = size;
    }
}

/* Encode them over and over for `seconds`. */
static void *measure(void *arg)
{
    job *j = arg;
    int32_t *ids = malloc((size_t)j->capacity * sizeof *ids);
    double start = clipb_now(), end = start;
    size_t done = 0;
    for (int n; end - start < j->seconds; end = clipb_now())
        for (size_t i = 0; i < j->in->n; i++, done++)
            if (cliptok_encode(j->t, j->in->text[i], j->in->size[i], ids, j->capacity, &n) != CLIP_OK)
                die("cannot encode");
    free(ids);
    j->rate = (double)done / (end - start);
    return NULL;
}

static void print_ids(const cliptok *t, const texts *in, int capacity)
{
    int32_t *ids = malloc((size_t)capacity * sizeof *ids);
    for (size_t i = 0; i < in->n; i++) {
        int n;
        if (cliptok_encode(t, in->text[i], in->size[i], ids, capacity, &n) != CLIP_OK)
            die("cannot encode");
        for (int k = 0; k < n; k++)
            printf("%s%d", k > 0 ? " " : "", ids[k]);
        putchar('\n');
    }
    free(ids);
}

static const cliptok_rules *rules_named(const char *name)
{
    static const struct {
        const char *name;
        const cliptok_rules *rules;
    } all[] = {{"openclip", &cliptok_openclip},       {"huggingface", &cliptok_huggingface},
               {"hftokenizer", &cliptok_openclip_hf}, {"canonicalize", &cliptok_openclip_canonical},
               {"clipa", &cliptok_openclip_clipa},    {"siglip", &cliptok_siglip},
               {"siglip2", &cliptok_siglip2}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0)
            return all[i].rules;
    die("no rules of that name");
    return NULL;
}

int main(int argc, char **argv)
{
    texts in = {0};
    clip_error err;
    cliptok *t;
    if (argc != 4 && argc != 6)
        die("DIR RULES CAPACITY [THREADS SECONDS] < texts");
    const cliptok_rules *rules = rules_named(argv[2]);
    double start = clipb_now();
    if (cliptok_load(argv[1], rules, &t, &err) < 0)
        die(err.message);
    if (!t)
        die("no tokenizer there");
    double loading = clipb_now() - start;
    read_texts(&in);
    if (argc == 4)
        print_ids(t, &in, atoi(argv[3]));
    else {
        int threads = atoi(argv[4]) < 1 ? 1 : atoi(argv[4]) > 64 ? 64 : atoi(argv[4]);
        pthread_t thread[64];
        job j[64];
        double rate = 0;
        for (int i = 0; i < threads; i++) {
            j[i] = (job){t, &in, atoi(argv[3]), atof(argv[5]), 0};
            if (pthread_create(&thread[i], NULL, measure, &j[i]) != 0)
                die("no thread");
        }
        for (int i = 0; i < threads; i++) {
            pthread_join(thread[i], NULL);
            rate += j[i].rate;
        }
        printf("{\"source\": \"%s\", \"load_ms\": %.2f, \"texts\": %zu, \"threads\": %d, \"texts_per_second\": %.0f}\n",
               cliptok_source(t), loading * 1e3, in.n, threads, rate);
    }
    for (size_t i = 0; i < in.n; i++)
        free(in.text[i]);
    free(in.text);
    free(in.size);
    cliptok_free(t);
    return 0;
}
