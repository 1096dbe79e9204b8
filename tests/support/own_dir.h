/* own_dir.h: a directory of the test's own, which goes away with it. Include cmocka.h first.
 *
 *     cmocka_run_group_tests(tests, make_dir, remove_dir) */
#ifndef OWN_DIR_H
#define OWN_DIR_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static inline int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/clip-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

/* A command of the shell, which must succeed. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static inline void shell(const char *fmt, ...)
{
    char command[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

static inline int remove_dir(void **state)
{
    (void)state;
    shell("chmod -R u+rwx %s; rm -rf %s", dir, dir);
    return 0;
}

/* The path of `name` in the directory, in one of 16 buffers in turn. */
static inline const char *in_dir(const char *name)
{
    static char path[16][512];
    static int turn;
    char *p = path[turn++ % 16];
    snprintf(p, sizeof *path, "%s/%s", dir, name);
    return p;
}

#endif
