/* cutting_clip.c: the command, while another program truncates a file just after it has been
 * mapped: the file whose path ends in $CUT. Linked with all of cli/ and --wrap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

static void cut(int fd)
{
    char link[64], path[4096];
    const char *end = getenv("CUT");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = fd >= 0 && end ? readlink(link, path, sizeof path - 1) : -1;
    if (n < (ssize_t)(end ? strlen(end) : 0))
        return;
    path[n] = 0;
    if (strcmp(path + n - strlen(end), end) == 0 && truncate(path, 100) < 0)
        perror(path);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *p = __real_mmap(at, bytes, protection, flags, fd, offset);
    cut(fd);
    return p;
}

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *p = __real_mmap64(at, bytes, protection, flags, fd, offset);
    cut(fd);
    return p;
}
