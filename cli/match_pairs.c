/* What the files of `clip match` share: pairs, embedded, and how a score is printed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"

int match_read(match_job *j, const char *spec, match_pairs *p)
{
    const size_t D = (size_t)j->session.D;
    *p = (match_pairs){0};
    DO(eval_read(&j->session, spec, &j->eval, &p->data));
    const size_t n = p->data.captions.n;
    p->n = (int)n;
    p->image = malloc(n * D * sizeof *p->image);
    p->text = malloc(n * D * sizeof *p->text);
    p->picture = malloc(n * sizeof *p->picture);
    if (!p->image || !p->text || !p->picture)
        return cli_no_memory();
    for (size_t i = 0; i < p->data.n; i++)
        for (int32_t c = p->data.first[i]; c < p->data.first[i + 1]; c++) {
            memcpy(p->image + (size_t)c * D, p->data.image + i * D, D * sizeof *p->image);
            p->picture[c] = (int32_t)i;
        }
    return cli_encode_texts(&j->session, p->data.captions.item, n, p->text);
}

void match_pairs_free(match_pairs *p)
{
    free(p->image);
    free(p->text);
    free(p->picture);
    eval_free(&p->data);
    *p = (match_pairs){0};
}

void match_score(const match_job *j, cli_json *o, float cosine)
{
    const bool sigmoid = strcmp(j->session.info.score, "sigmoid") == 0;
    const double scaled = (double)cosine * (double)j->session.info.logit_scale,
                 logit = scaled + (double)j->session.info.logit_bias;
    const double p = j->fitted ? clip_match_probability(&j->match, scaled)
                     : sigmoid ? 1 / (1 + exp(-logit))
                               : (double)NAN;
    if (j->json) {
        cli_json_number(o, "cosine", (double)cosine);
        cli_json_number(o, "logit", logit);
        cli_json_number(o, "probability", p);
        return;
    }
    if (j->fitted || sigmoid)
        printf("%6.1f %%", 100 * p);
    else
        printf("%8s", "-");
    printf("%9.3f%9.2f", (double)cosine, logit);
}
