/* hub_test.h: a temporary folder, and a cache of the hub in it, for the tests of this room. */
#ifndef HUB_TEST_H
#define HUB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/clip-hub-XXXXXX", cache[64];

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char line[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    assert_int_equal(system(line), 0);
}

static inline bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static void says(const char *message, const char *part)
{
    if (!strstr(message, part))
        fail_msg("'%s' does not say '%s'", message, part);
}

/* An empty cache. */
static void new_cache(void)
{
    shell("rm -rf %s/cache", dir);
    snprintf(cache, sizeof cache, "%s/cache", dir);
    setenv("HF_HUB_CACHE", cache, 1);
}

static int make_dir(void **state)
{
    (void)state;
    static const char *const variables[] = {"HF_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE",
                                            "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "http_proxy", "all_proxy"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    if (!mkdtemp(dir))
        return -1;
    setenv("HF_TOKEN_PATH", "/dev/null", 1);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    shell("rm -rf %s", dir);
    return 0;
}

#endif
