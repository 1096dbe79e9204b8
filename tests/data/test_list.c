/* test_list.c: what a listing finds by content, passes over and counts, and cannot look at. */
#include "fixture.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>

/* ---- Listings that break off ---- */

static int names_left = -1; /* readdir() fails after so many names; -1: never */

struct dirent64 *readdir64(DIR *d)
{
    static struct dirent64 *(*real)(DIR *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "readdir64");
    if (names_left == 0) {
        errno = EIO;
        return NULL;
    }
    names_left -= names_left > 0;
    return real(d);
}

/* ---- A listing as text ---- */

/* A listing's faults, its pictures, the files passed over, and the number of faults. */
static const char *listed(const char *path, int64_t *faults)
{
    static const char *const why[] = {"not", "format", "hidden", "excluded", "special"};
    char **list, line[80];
    size_t n;
    clip_error err;
    clip_passed p = {0};
    *told = 0;
    if (clipdat_list_pictures(path, hear, NULL, &p, faults, &list, &n, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++) {
        tell(list[i]);
        tell("\n");
    }
    int64_t all = 0;
    for (int i = 0; i < p.kinds; i++) {
        snprintf(line, sizeof line, "%s[%s] %lld\n", why[p.kind[i].why], p.kind[i].name, (long long)p.kind[i].n);
        tell(line);
        all += p.kind[i].n;
    }
    assert_int_equal(all, p.n);
    clipdat_list_free(list, n);
    return told;
}

#define JPEG "\xff\xd8\xff\xe0 and so on"

static void pictures_are_found_by_content(void **state)
{
    (void)state;
    int64_t faults;
    static const char *const names[] = {"IMG_1", "a.hif", "b.JPE", "c.jpg_large", "d.1",
                                        "e.mpo", "f.dat", "g.txt", "h..",         "sub/i.THM"};
    char expected[400] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        put(names[i], JPEG, sizeof JPEG - 1);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s\n", names[i]);
    }
    put("empty", "", 0);
    put("empty.jpg", "", 0);                    /* named like a picture: broken, not passed over */
    put_text("page.jpg", "<html>not found</html>"); /* the same */
    put_text("BMW.txt", "BMW, P1 and other letters");
    put_text("layers.psd", "8BPS\0\1");
    put_text("paper.ai", "%PDF-1.7");
    put_text("notes.TXT", "x");
    put_text("notes.xmp", "x");
    put_text("notes", "x");
    put_text("odd.name with blanks", "x");
    put_text(".hidden", "x");
    put(".hidden.d/x.jpg", JPEG, sizeof JPEG - 1);
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);
    assert_int_equal(mkfifo(in_dir("pipe.png"), 0600), 0);
    listed(dir, &faults);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strstr(told, names[i]))
            fail_msg("%s is not found: %s", names[i], told);
    assert_non_null(strstr(told, "\nempty.jpg\n"));
    assert_non_null(strstr(told, "\npage.jpg\n"));
    const char *rest = strstr(told, "not[");
    assert_string_equal(rest, "not[] 3\nnot[.txt] 2\nnot[.xmp] 1\nformat[PDF] 1\nformat[Photoshop] 1\n"
                              "hidden[] 2\nspecial[] 2\n");
    assert_int_equal(faults, 0);
}

static void many_extensions_are_counted_together(void **state)
{
    (void)state;
    int64_t faults;
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "x.%03d", i);
        put_text(name, "x");
    }
    put_text("x.psd", "8BPS");
    listed(dir, &faults);
    assert_non_null(strstr(told, "not[] "));
    assert_non_null(strstr(told, "format[Photoshop] 1\n"));
}

static void names_that_cannot_be_looked_at_are_reported(void **state)
{
    (void)state;
    int64_t faults;
    put_text("1.png", "x");
    put_text("shut/2.png", "x");
    put_text("secret", "x");
    assert_int_equal(symlink("nowhere", in_dir("lost")), 0);
    assert_int_equal(symlink("nowhere.png", in_dir("lost.png")), 0);
    assert_int_equal(symlink("loop", in_dir("loop")), 0);
    chmod(in_dir("shut"), 0);
    chmod(in_dir("secret"), 0);
    chmod(dir, 0755);
    const uid_t me = geteuid();
    if (me == 0)
        assert_int_equal(seteuid(65534), 0);
    listed(dir, &faults);
    assert_int_equal(seteuid(me), 0);
    assert_int_equal(faults, 4);
    assert_non_null(strstr(told, "fault: shut: Permission denied\n"));
    assert_non_null(strstr(told, "fault: secret: Permission denied\n"));
    assert_non_null(strstr(told, "fault: lost: is a link that leads nowhere\n"));
    assert_non_null(strstr(told, "fault: loop: Too many levels of symbolic links\n"));
    assert_non_null(strstr(told, "\n1.png\nlost.png\n")); /* the reader of lost.png will report it */
}

static void a_listing_that_breaks_off_is_reported(void **state)
{
    (void)state;
    int64_t faults;
    put_text("a/1.png", "1");
    put_text("a/2.png", "2");
    for (names_left = 0; names_left < 6; names_left++) {
        const int n = names_left;
        listed(dir, &faults);
        names_left = n;
        assert_in_range(faults, 1, 2); /* of `a` as well, where that has been seen */
        assert_non_null(strstr(told, n < 4 ? "fault: /tmp/" : "fault: a: Input/output error"));
    }
    names_left = 4;
    assert_non_null(strstr(all_of(dir, NULL), "Input/output error"));
    names_left = -1;
    listed(dir, &faults);
    assert_int_equal(faults, 0);
}

/* Deeper than a path can be long: made from below. */
static void paths_that_are_too_long_are_reported(void **state)
{
    (void)state;
    int64_t faults;
    char name[201], start[512];
    memset(name, 'd', 200);
    name[200] = 0;
    assert_non_null(getcwd(start, sizeof start));
    put_text("1.png", "x");
    assert_int_equal(chdir(dir), 0);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(mkdir(name, 0755), 0);
        assert_int_equal(chdir(name), 0);
    }
    const int fd = open("deep.png", O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chdir(start), 0);
    listed(dir, &faults);
    assert_int_equal(faults, 1);
    assert_memory_equal(told, "fault: ...", 10);
    assert_non_null(strstr(told, ": File name too long\n1.png\n"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh_dir)
    const struct CMUnitTest tests[] = {
        T(pictures_are_found_by_content),
        T(many_extensions_are_counted_together),
        T(names_that_cannot_be_looked_at_are_reported),
        T(a_listing_that_breaks_off_is_reported),
        T(paths_that_are_too_long_are_reported),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
