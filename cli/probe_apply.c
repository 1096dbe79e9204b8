/* clip probe --apply: classify pictures with a stored probe. */
#include <stdlib.h>
#include <unistd.h>

#include "probe.h"

typedef struct apply_job {
    cli_session *s;
    clip_probe *probe;
    clip_probe_info info;
    float *p; /* [classes] */
    int k;
    bool json;
} apply_job;

/* The best class that has not been taken. Its probability is set negative, which marks it as
 * taken. */
static int take_best(float *p, int C, float *probability)
{
    int best = 0;
    for (int c = 1; c < C; c++)
        if (p[c] > p[best])
            best = c;
    *probability = p[best];
    p[best] = -1;
    return best;
}

static int picture(void *user, cli_picture *p, const float *embedding)
{
    apply_job *j = user;
    cli_json o = {.f = stdout};
    if (!embedding)
        return CLI_DONE;
    DO(cli_status(clip_probe_predict(j->s->ctx, j->probe, embedding, 1, j->p), p->path));
    if (j->json) {
        cli_json_open(&o, NULL, '{');
        cli_json_path(&o, "path", p->path);
        cli_json_open(&o, "labels", '[');
    } else {
        cli_print_plain(stdout, p->path);
        putchar('\n');
    }
    for (int i = 0; i < j->k && i < j->info.classes; i++) {
        float probability;
        const char *name = j->info.names[take_best(j->p, j->info.classes, &probability)];
        if (j->json) {
            cli_json_open(&o, NULL, '{');
            cli_json_string(&o, "label", name);
            cli_json_number(&o, "probability", (double)probability);
            cli_json_close(&o, '}');
        } else {
            printf("  %5.1f %%  ", 100 * (double)probability);
            cli_print_plain(stdout, name);
            putchar('\n');
        }
    }
    if (j->json) {
        cli_json_close(&o, ']');
        cli_json_close(&o, '}');
        cli_json_line(&o);
    }
    return CLI_DONE;
}

int probe_apply(cli_args *a, cli_session *s, const char *dir, int k)
{
    apply_job j = {.s = s, .k = k, .json = a->json};
    cli_source source = {0};
    clip_error err;
    int code = clip_probe_load(s->model, dir, &j.probe, &err) < 0 ? cli_fail("%s", err.message)
                                                                  : cli_source_open(a, NULL, '\n', &source);
    if (code == CLI_DONE) {
        clip_probe_get_info(j.probe, &j.info);
        j.p = malloc((size_t)j.info.classes * sizeof *j.p);
        code = j.p ? CLI_DONE : cli_no_memory();
    }
    if (code == CLI_DONE)
        code = cli_each_picture(s, &source, 0, isatty(STDOUT_FILENO), picture, &j);
    if (code == CLI_DONE && source.failed > 0)
        code = CLI_FAILED;
    free(j.p);
    cli_source_close(&source);
    clip_probe_free(j.probe);
    return code;
}
