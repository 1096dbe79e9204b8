/* Files and directories that are whole at any moment. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "failing_alloc.h"
#include "own_dir.h"

static bool no_exchange; /* as on a file system that cannot */

int __real_renameat2(int, const char *, int, const char *, unsigned);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    if (!no_exchange)
        return __real_renameat2(a, from, b, to, flags);
    errno = EINVAL;
    return -1;
}

static int setup(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    return make_dir(state);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void assert_holds(const char *path, const char *text)
{
    unsigned char *data;
    size_t size;
    clip_error err;
    assert_int_equal(clipb_read_file(path, 1000, &data, &size, &err), CLIP_OK);
    assert_string_equal((char *)data, text);
    free(data);
}

static clip_status put(const char *path, const char *text, clip_error *err)
{
    clipb_output o;
    TRY(clipb_output_open(&o, path, err));
    return clipb_output_close(&o, clipb_output_write(&o, text, strlen(text), err), err);
}

static void a_file_appears_when_it_is_whole(void **state)
{
    (void)state;
    clipb_output o;
    clip_error err;
    const char *path = in_dir("f");
    assert_int_equal(clipb_output_open(&o, path, &err), CLIP_OK);
    assert_int_equal(clipb_output_write(&o, "hello", 5, &err), CLIP_OK);
    assert_false(exists(path));
    assert_int_equal(clipb_output_close(&o, CLIP_OK, &err), CLIP_OK);
    assert_holds(path, "hello");
    assert_int_equal(clipb_output_open(&o, path, &err), CLIP_OK);
    assert_int_equal(clipb_output_write(&o, "other", 5, &err), CLIP_OK);
    assert_int_equal(clipb_output_close(&o, CLIP_EFORMAT, &err), CLIP_EFORMAT); /* what the writer found */
    assert_holds(path, "hello");
    assert_false(exists(in_dir("f.tmp")));
    assert_int_equal(clipb_output_open(&o, in_dir("none/f"), &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "none/f: No such file"));
}

static void a_full_disk_leaves_what_was(void **state)
{
    (void)state;
    static const char much[100000];
    struct rlimit old, tight;
    clipb_output o;
    clip_error err = {0};
    assert_int_equal(put(in_dir("g"), "old", &err), CLIP_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){50000, old.rlim_max};
    for (int way = 0; way < 2; way++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        assert_int_equal(clipb_output_open(&o, in_dir("g"), &err), CLIP_OK);
        clip_status s = CLIP_OK;
        if (way == 0)
            s = clipb_output_write(&o, much, sizeof much, &err);
        else
            fprintf(o.f, "%100000d", 0);
        assert_int_equal(s, way == 0 ? CLIP_EIO : CLIP_OK);
        s = clipb_output_close(&o, s, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(s, CLIP_EIO);
        assert_non_null(strstr(err.message, "/g: cannot be written: "));
        assert_holds(in_dir("g"), "old");
        assert_false(exists(in_dir("g.tmp")));
    }
}

/* A person's link is followed; what has a temporary name is not ours to replace; at a name of ours
 * no link is followed. */
static void links_and_names(void **state)
{
    (void)state;
    clip_error err = {0};
    clipb_output o;
    char *tmp, target[16];
    assert_int_equal(put(in_dir("name-behind"), "old", &err), CLIP_OK);
    assert_int_equal(symlink("name-behind", in_dir("name-link")), 0);
    assert_int_equal(put(in_dir("name-link"), "new", &err), CLIP_OK);
    assert_holds(in_dir("name-behind"), "new");
    struct stat st;
    assert_true(lstat(in_dir("name-link"), &st) == 0 && S_ISLNK(st.st_mode));
    assert_int_equal(symlink("nowhere", in_dir("name-dangling")), 0);
    assert_int_equal(clipb_output_open(&o, in_dir("name-dangling"), &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "leads nowhere"));
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(clipb_output_open(&o, in_dir("pipe"), &err), CLIP_EIO);
    assert_int_equal(put(in_dir("h.tmp"), "somebody's", &err), CLIP_OK);
    assert_int_equal(put(in_dir("h"), "ours", &err), CLIP_OK);
    assert_holds(in_dir("h.tmp"), "somebody's");
    assert_holds(in_dir("h"), "ours");

    const int fd = clipb_create(in_dir("name-link"));
    assert_true(fd >= 0 && write(fd, "made", 4) == 4);
    close(fd);
    assert_holds(in_dir("name-behind"), "new");
    assert_holds(in_dir("name-link"), "made");
    assert_int_equal(clipb_create(dir), -1);

    assert_int_equal(mkdir(in_dir("precious"), 0777), 0); /* a link in the place of what an interrupted run has left */
    assert_int_equal(put(in_dir("precious/file"), "kept", &err), CLIP_OK);
    for (int old = 0; old < 2; old++) {
        snprintf(target, sizeof target, ".taken.%s", old ? "old" : "tmp");
        assert_int_equal(symlink("precious", in_dir(target)), 0);
        assert_int_equal(clipb_dir_new(in_dir("taken"), &tmp, &err), CLIP_OK);
        no_exchange = old;
        assert_int_equal(clipb_dir_replace(tmp, in_dir("taken"), CLIP_OK, &err), CLIP_OK);
        assert_int_equal(clipb_dir_settle(in_dir("taken"), &err), CLIP_OK);
        no_exchange = false;
        free(tmp);
        assert_holds(in_dir("precious/file"), "kept");
    }
}

/* A path that stands in a file may name a pipe or a device; one that a person has given may
 * well. */
static void pipes(void **state)
{
    (void)state;
    clip_error err = {0};
    unsigned char *data;
    size_t size;
    int ends[2];
    char path[32];
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_int_equal(clipb_read_file(in_dir("fifo"), 100, &data, &size, &err), CLIP_EIO);
    assert_int_equal(clipb_read_file("/dev/zero", 100, &data, &size, &err), CLIP_EIO);
    assert_int_equal(clipb_read_file("-", 100, &data, &size, &err), CLIP_EIO);
    assert_int_equal(clipb_read_named("/dev/zero", 100, &data, &size, &err), CLIP_ELIMIT);
    assert_int_equal(clipb_read_named(dir, 100, &data, &size, &err), CLIP_EIO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "through", 7), 7);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(clipb_read_named(path, 100, &data, &size, &err), CLIP_OK);
    assert_true(size == 7 && strcmp((char *)data, "through") == 0);
    free(data);
    close(ends[0]);
}

static clip_status put_dir(const char *path, const char *text, clip_error *err)
{
    char *tmp;
    TRY(clipb_dir_new(path, &tmp, err));
    char *file = clipb_path_join(tmp, "file");
    clip_status s = file ? put(file, text, err) : CLIP_ENOMEM;
    free(file);
    s = clipb_dir_replace(tmp, path, s, err);
    free(tmp);
    return s;
}

static void a_directory_is_replaced(void **state)
{
    (void)state;
    clip_error err = {0};
    const char *path = in_dir("d");
    assert_int_equal(put_dir(path, "first", &err), CLIP_OK);
    assert_holds(in_dir("d/file"), "first");
    assert_int_equal(put_dir(in_dir("d/"), "second", &err), CLIP_OK);
    assert_holds(in_dir("d/file"), "second");
    assert_int_equal(symlink("d", in_dir("link")), 0);
    assert_int_equal(put_dir(in_dir("link"), "third", &err), CLIP_OK);
    assert_holds(in_dir("d/file"), "third");
    no_exchange = true;
    assert_int_equal(put_dir(path, "fourth", &err), CLIP_OK);
    assert_holds(in_dir("link/file"), "fourth");
    no_exchange = false;
    assert_int_equal(mkdir(in_dir(".d.tmp"), 0777), 0); /* an interrupted run's */
    assert_int_equal(put(in_dir(".d.tmp/more"), "x", &err), CLIP_OK);
    assert_int_equal(put_dir(path, "fifth", &err), CLIP_OK);
    assert_false(exists(in_dir("d/more")));
    assert_false(exists(in_dir(".d.tmp")) || exists(in_dir(".d.old")));
    assert_int_equal(put(in_dir("plain"), "x", &err), CLIP_OK);
    assert_int_equal(put_dir(in_dir("plain"), "y", &err), CLIP_EIO);
    assert_holds(in_dir("plain"), "x");
    assert_false(exists(in_dir(".plain.tmp")));
}

static void an_interrupted_replacement_is_settled(void **state)
{
    (void)state;
    clip_error err = {0};
    assert_int_equal(put_dir(in_dir("s"), "whole", &err), CLIP_OK);
    assert_int_equal(rename(in_dir("s"), in_dir(".s.old")), 0);
    assert_int_equal(clipb_dir_settle(in_dir("s"), &err), CLIP_OK);
    assert_holds(in_dir("s/file"), "whole");
    assert_int_equal(clipb_dir_settle(in_dir("s"), &err), CLIP_OK);
    assert_int_equal(clipb_dir_settle(in_dir("never"), &err), CLIP_OK);
    assert_int_equal(mkdir(in_dir(".s.old"), 0777), 0); /* killed before it was removed */
    assert_int_equal(clipb_dir_settle(in_dir("s"), &err), CLIP_OK);
    assert_holds(in_dir("s/file"), "whole");
    no_exchange = true;
    assert_int_equal(put_dir(in_dir("s"), "next", &err), CLIP_OK);
    no_exchange = false;
    assert_holds(in_dir("s/file"), "next");
}

/* A writer that is killed anywhere leaves one of its directories, never a mixture or nothing. */
static void a_kill_leaves_a_whole_directory(void **state)
{
    (void)state;
    clip_error err = {0};
    assert_int_equal(put_dir(in_dir("k"), "aaaa", &err), CLIP_OK);
    for (int round = 0; round < 40; round++) {
        no_exchange = round % 2;
        pid_t child = fork();
        if (child == 0)
            for (int i = 0;; i++)
                if (put_dir(in_dir("k"), i % 2 ? "aaaa" : "bbbb", NULL) < 0)
                    _exit(1);
        assert_true(child > 0);
        usleep((useconds_t)(500 + 317 * round));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        unsigned char *data;
        size_t size;
        assert_int_equal(clipb_dir_settle(in_dir("k"), &err), CLIP_OK);
        assert_int_equal(clipb_read_file(in_dir("k/file"), 10, &data, &size, &err), CLIP_OK);
        assert_true(strcmp((char *)data, "aaaa") == 0 || strcmp((char *)data, "bbbb") == 0);
        free(data);
    }
    no_exchange = false;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    clip_error err = {0};
    assert_int_equal(put_dir(in_dir("a"), "old", &err), CLIP_OK);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status s = put_dir(in_dir("a"), "new", &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(s, CLIP_OK);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
        assert_holds(in_dir("a/file"), "old");
        assert_false(exists(in_dir(".a.tmp")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_appears_when_it_is_whole),
        cmocka_unit_test(a_full_disk_leaves_what_was),
        cmocka_unit_test(a_directory_is_replaced),
        cmocka_unit_test(an_interrupted_replacement_is_settled),
        cmocka_unit_test(a_kill_leaves_a_whole_directory),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(links_and_names),
        cmocka_unit_test(pipes),
    };
    return cmocka_run_group_tests(tests, setup, remove_dir);
}
