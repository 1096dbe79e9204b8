/* checkpoints.h: the golden checkpoints, and what loading one warns of. */
#ifndef CHECKPOINTS_H
#define CHECKPOINTS_H

#include <stdio.h>
#include <string.h>

static const char *golden; /* the directory, from the command line */
static char said[8192];    /* the warnings, a line each */

static inline const char *in_golden(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", golden, name);
    return path;
}

/* A clip_warn_fn. */
static inline void hear(void *user, const char *message)
{
    (void)user;
    const size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", message);
}

#endif
