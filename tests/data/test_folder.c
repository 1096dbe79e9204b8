/* test_folder.c: folders of pictures, as a list and as pairs. */
#include "fixture.h"

#include <stdbool.h>

#include "failing_alloc.h"

static const char *listed(const char *path)
{
    char **list;
    size_t n;
    clip_error err;
    *told = 0;
    clip_status s = clipdat_list_pictures(path, hear, NULL, NULL, NULL, &list, &n, &err);
    if (s < 0) {
        assert_null(list);
        tell(clipb_status_name(s));
        tell(" ");
        tell(err.message);
        return told;
    }
    for (size_t i = 0; i < n; i++) {
        tell(list[i]);
        tell("\n");
    }
    clipdat_list_free(list, n);
    return told;
}

static void pictures_are_found_by_extension_and_sorted(void **state)
{
    (void)state;
    put_text("b/2.PNG", "x");
    put_text("b/10.jpg", "x");
    put_text("b.jpeg", "x");
    put_text("a/deep/er/z.webp", "x");
    put_text("a/Zebra.gif", "x");
    put_text("a/apple.heic", "x");
    put_text("notes.txt", "x");
    put_text("jpg", "x");
    put_text("no.jpg.part", "x");
    put_text(".hidden.jpg", "x");
    put_text(".cache/thumbnail.png", "x");
    put_text("caf\xe9.jpg", "no UTF-8");
    assert_string_equal(listed(dir),
                        "a/Zebra.gif\na/apple.heic\na/deep/er/z.webp\nb.jpeg\nb/10.jpg\nb/2.PNG\ncaf\xe9.jpg\n");
    assert_string_equal(listed(in_dir("a/deep")), "a/deep/er/z.webp\n");
    assert_string_equal(listed(in_dir("a/deep/")), "a/deep/er/z.webp\n");
    assert_string_equal(listed(in_dir(".cache")), ".cache/thumbnail.png\n"); /* named, it is no secret */
    assert_string_equal(listed(in_dir("notes.txt")), "notes.txt\n");         /* a file is taken at its word */
}

static bool excluded(const char *const *patterns, int n, const char *path)
{
    bool yes;
    assert_int_equal(clipdat_excluded(patterns, n, path, &yes), CLIP_OK);
    return yes;
}

static void patterns_exclude_names_and_paths(void **state)
{
    (void)state;
    const char *const names[] = {"*.png", "drafts"}, *const ways[] = {"2019/tests", "a/*.jpg"};
    assert_true(excluded(names, 2, "a/b.png"));
    assert_true(excluded(names, 2, "a/drafts/b.jpg"));
    assert_true(excluded(names, 2, "drafts"));
    assert_false(excluded(names, 2, "a/drafts2/b.jpg"));
    assert_true(excluded(ways, 2, "2019/tests/x.gif"));
    assert_false(excluded(ways, 2, "old/2019/tests/x.gif"));
    assert_true(excluded(ways, 2, "a/b/c.jpg"));
    assert_false(excluded(NULL, 0, "a"));
    char far[6000];
    memset(far, 'x', sizeof far);
    for (size_t i = 99; i < sizeof far; i += 100)
        far[i] = '/';
    strcpy(far + sizeof far - 7, "/a.png");
    assert_true(excluded(names, 2, far));
    assert_false(excluded(ways, 2, far));
    put_text("a/1.jpg", "x");
    put_text("a/2.png", "x");
    put_text("drafts/3.jpg", "x");
    const clipdat_list_options o = {.exclude = names, .n_exclude = 2};
    char **list;
    size_t n;
    assert_int_equal(clipdat_list(in_dir("."), &o, &list, &n, NULL), CLIP_OK);
    assert_int_equal(n, 1);
    assert_non_null(strstr(list[0], "a/1.jpg"));
    clipdat_list_free(list, n);
}

static void missing_and_empty_folders_are_reported(void **state)
{
    (void)state;
    assert_string_equal(listed(in_dir("gone")), "CLIP_EIO gone: No such file or directory");
    mkdir(in_dir("empty"), 0755);
    assert_string_equal(listed(in_dir("empty")), "");
    assert_string_equal(all_of(in_dir("empty"), NULL), "EIO empty: no picture in it\n");
}

static void links_are_followed_once(void **state)
{
    (void)state;
    put_text("root/z/1.png", "x");
    put_text("root/z/2.png", "x");
    put_text("other/3.png", "x");
    put_text("other/sub/4.png", "x");
    assert_int_equal(symlink("z", in_dir("root/a")), 0);          /* z is there under its own name */
    assert_int_equal(symlink("../other", in_dir("root/b")), 0);   /* outside: found through the link */
    assert_int_equal(symlink("../other", in_dir("root/c")), 0);   /* once */
    assert_int_equal(symlink("..", in_dir("root/z/up")), 0);      /* a loop */
    assert_int_equal(symlink("../../root", in_dir("other/sub/back")), 0);
    assert_int_equal(symlink("self", in_dir("root/self")), 0);
    assert_int_equal(symlink("nowhere.png", in_dir("root/broken.png")), 0);
    assert_int_equal(symlink("z/1.png", in_dir("root/file.png")), 0);
    assert_int_equal(mkfifo(in_dir("root/pipe.png"), 0600), 0);
    mkdir(in_dir("root/directory.png"), 0755);
    const char *faults = "fault: root/self: Too many levels of symbolic links\n";
    const char *found = strstr(listed(in_dir("root")), "root/b/"); /* broken.png is as good as a broken picture */
    assert_memory_equal(told, faults, strlen(faults));
    assert_string_equal(found, "root/b/3.png\nroot/b/sub/4.png\nroot/broken.png\nroot/file.png\n"
                               "root/z/1.png\nroot/z/2.png\n");
    assert_int_equal(symlink("root", in_dir("way")), 0);
    assert_non_null(strstr(listed(in_dir("way")), "way/z/1.png\n"));
}

static void unreadable_folders_are_reported(void **state)
{
    (void)state;
    put_text("shut/1.png", "x");
    put_text("open.png", "x");
    chmod(in_dir("shut"), 0);
    chmod(dir, 0755);
    const uid_t me = geteuid();
    if (me == 0) /* root reads everything */
        assert_int_equal(seteuid(65534), 0);
    char *all = strdup(listed(dir)), *shut = strdup(listed(in_dir("shut")));
    assert_int_equal(seteuid(me), 0);
    assert_string_equal(all, "fault: shut: Permission denied\nopen.png\n");
    assert_string_equal(shut, "CLIP_EIO shut: Permission denied");
    free(all);
    free(shut);
}

static void captions_are_beside_or_in_the_folders_name(void **state)
{
    (void)state;
    put_text("pets/cat/1.jpg", "C1");
    put_text("pets/cat/2.jpg", "C2");
    put_text("pets/cat/2.txt", "\xef\xbb\xbf a cat that sleeps\r\n\r\na cat\n");
    put_text("pets/a dog/x.y.png", "D");
    put_text("pets/a dog/x.y.txt", "x.y");
    put_text("pets/a dog/x.png", "E");
    put_text("pets/bird.png", "B");
    put_text("pets/fish.png", "F");
    put_text("pets/fish.txt", "\n");
    put("pets/void.png", "", 0);
    const char *expected = "pets/a dog/x.png=E: a dog\n"
                           "pets/a dog/x.y.png=D: x.y\n"
                           "pets/bird.png=B: pets\n"
                           "pets/cat/1.jpg=C1: cat\n"
                           "pets/cat/2.jpg=C2: a cat that sleeps|a cat\n"
                           "EFORMAT pets/fish.png: has no caption\n"
                           "EFORMAT pets/void.png: the picture is empty\n";
    assert_string_equal(all_of(in_dir("pets"), NULL), expected);
    put_text("odd/IMG_1", "\xff\xd8\xff");
    put_text("odd/IMG_1.txt", "a gull");
    put_text("odd/IMG_2.txt", "\xff\xd8\xff");
    assert_string_equal(all_of(in_dir("odd"), NULL),
                        "odd/IMG_1=\xff\xd8\xff: a gull\nodd/IMG_2.txt=\xff\xd8\xff: odd\n");
    mkdir(in_dir("pets/cat/2.txt.d"), 0755);
    assert_int_equal(unlink(in_dir("pets/cat/2.txt")), 0);
    assert_int_equal(mkfifo(in_dir("pets/cat/2.txt"), 0600), 0);
    assert_non_null(strstr(all_of(in_dir("pets"), NULL), "EIO pets/cat/2.txt: is not a regular file\n"));
}

static void a_folder_keeps_its_name_on_any_path(void **state)
{
    (void)state;
    put_text("owl/1.jpg", "O");
    static const char *const ways[] = {"owl/", "owl//", "owl/.", "owl/../owl", "owl/./."};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strstr(all_of(in_dir(ways[i]), NULL), "=O: owl\n"))
            fail_msg("%s: %s", ways[i], told);
    char here[512];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(in_dir("owl")), 0);
    assert_string_equal(all_of(".", NULL), "./1.jpg=O: owl\n");
    assert_int_equal(chdir(here), 0);
}

static void files_that_vanish_are_reported(void **state)
{
    (void)state;
    put_text("f/1.png", "1");
    put_text("f/2.png", "2");
    put_text("f/3.png", "3");
    clip_pairs *p;
    clip_pair pair;
    clip_error err;
    assert_int_equal(clipdat_pairs_open(in_dir("f"), NULL, &p, &err), CLIP_OK);
    assert_int_equal(clipdat_pairs_next(p, &pair, &err), CLIP_OK);
    unlink(in_dir("f/2.png"));
    assert_int_equal(clipdat_pairs_next(p, &pair, &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "f/2.png: No such file"));
    assert_int_equal(clipdat_pairs_next(p, &pair, NULL), CLIP_OK);
    assert_string_equal(pair.captions[0], "f");
    clipdat_pairs_close(p);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    put_text("f/1.png", "1");
    put_text("f/1.txt", "one\ntwo\n");
    put_text("f/sub/2.png", "2");
    put_text("f/notes", "words");
    put_text("g/3.png", "3");
    assert_int_equal(symlink("../g", in_dir("f/link")), 0);
    assert_int_equal(symlink("nowhere", in_dir("f/lost")), 0);
    for (long n = 1;; n++) {
        clip_pairs *p;
        clip_pair pair;
        clip_error err;
        int without = 0;
        fail_alloc_at(n);
        without += clipdat_pairs_open(in_dir("f"), NULL, &p, &err) == CLIP_ENOMEM;
        for (int i = 0; p && i < 10; i++)
            without += clipdat_pairs_next(p, &pair, &err) < 0 && strstr(err.message, "out of memory");
        clipdat_pairs_close(p);
        if (!fail_alloc_stop())
            break;
        if (without != 1)
            fail_msg("allocation %ld fails: out of memory %d times", n, without);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, fresh_dir)
    const struct CMUnitTest tests[] = {
        T(pictures_are_found_by_extension_and_sorted),
        T(patterns_exclude_names_and_paths),
        T(missing_and_empty_folders_are_reported),
        T(links_are_followed_once),
        T(unreadable_folders_are_reported),
        T(captions_are_beside_or_in_the_folders_name),
        T(a_folder_keeps_its_name_on_any_path),
        T(files_that_vanish_are_reported),
        T(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
