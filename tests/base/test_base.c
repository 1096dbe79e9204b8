/* Arena, files and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "failing_alloc.h"

typedef struct layout {
    float *a, *b, *c;
} layout;

static void place(clipb_arena *a, layout *l)
{
    l->a = CLIPB_NEW(a, float, 3);
    size_t mark = clipb_arena_mark(a);
    l->b = CLIPB_NEW(a, float, 1000);
    clipb_arena_reset(a, mark);
    l->c = CLIPB_NEW(a, float, 17);
}

static void arena_runs_the_same_layout_twice(void **state)
{
    (void)state;
    clipb_arena a = {0};
    clipb_block block = {0};
    layout l;
    place(&a, &l);
    assert_null(l.a);
    assert_int_equal(a.peak, 64 + 4032);
    assert_int_equal(clipb_block_reserve(&block, a.peak), CLIP_OK);
    a = clipb_arena_on(&block);
    place(&a, &l);
    assert_ptr_equal(l.b, l.c); /* they live at different times */
    assert_int_equal((uintptr_t)l.a % CLIPB_ALIGN, 0);
    assert_true((unsigned char *)(l.b + 1000) <= block.base + block.capacity);
    unsigned char *before = block.base;
    assert_int_equal(clipb_block_reserve(&block, 100), CLIP_OK); /* smaller: kept */
    assert_ptr_equal(before, block.base);
    for (int large = 0; large < 2; large++) {
        assert_int_equal(clipb_block_reserve(&block, large ? (size_t)5 << 20 : 100), CLIP_OK);
        memset(block.base, 1, block.capacity);
        clipb_block_zero(&block);
        for (size_t i = 0; i < block.capacity; i++)
            assert_int_equal(block.base[i], 0);
    }
    clipb_block_free(&block);
}

static void arena_measures_what_no_machine_has(void **state)
{
    (void)state;
    clipb_arena a = {0};
    clipb_block block = {0};
    assert_null(clipb_arena_alloc(&a, SIZE_MAX / 2, 8));
    assert_int_equal(clipb_block_reserve(&block, a.peak), CLIP_ENOMEM);
    assert_null(clipb_arena_alloc(&a, 1, 1)); /* still no overflow */
    clipb_block_free(&block);
}

/* A file of our own, gone with the test. */
static char path[64];

static void write_file(const char *data, size_t size)
{
    strcpy(path, "/tmp/clip-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

static void files_are_read_whole(void **state)
{
    (void)state;
    clip_error err;
    clipb_map map;
    unsigned char *data;
    size_t size;
    write_file("hello", 5);
    assert_int_equal(clipb_map_open(path, &map, &err), CLIP_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "hello", 5);
    clipb_map_close(&map);
    assert_int_equal(clipb_read_file(path, 5, &data, &size, &err), CLIP_OK);
    assert_int_equal(size, 5);
    assert_string_equal((char *)data, "hello");
    free(data);
    assert_int_equal(clipb_read_file(path, 4, &data, &size, &err), CLIP_ELIMIT);
    assert_non_null(strstr(err.message, path));
    unlink(path);
    assert_int_equal(clipb_map_open(path, &map, &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(clipb_map_open("/tmp", &map, &err), CLIP_EIO);
    assert_non_null(strstr(err.message, "directory"));
    write_file("", 0);
    assert_int_equal(clipb_map_open(path, &map, &err), CLIP_OK);
    assert_int_equal(map.size, 0);
    clipb_map_close(&map);
    unlink(path);
}

static void paths_join(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a//", "b", "a/b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *p = clipb_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(p, cases[i][2]);
        free(p);
    }
}

static void paths_are_below_folders(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"/a/b", "/a", "b"}, {"/a/b", "/a/", "b"}, {"/a", "/a", ""},
                                           {"/ab", "/a", NULL}, {"/a", "/", "a"},     {"a", "", NULL},
                                           {"", "", NULL},      {"/a", "/a/b", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *rest = clipb_path_below(cases[i][0], cases[i][1]);
        if (cases[i][2])
            assert_string_equal(rest, cases[i][2]);
        else
            assert_null(rest);
    }
}

static void paths_are_written_out(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/a//b/./c/", "/a/b/c"}, {"/a/../../b", "/b"}, {"/..", "/"},
                                           {"/", "/"},              {"/...", "/..."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *p = clipb_path_written(cases[i][0]);
        assert_string_equal(p, cases[i][1]);
        free(p);
    }
    char *here = realpath(".", NULL), *p = clipb_path_written("./x/..");
    assert_string_equal(p, here);
    free(p);
    free(here);
}

static clip_status parse(const char *text, cJSON **out, clip_error *err)
{
    return clipb_json_parse(text, strlen(text), "t.json", out, err);
}

static void json_getters_say_file_and_key(void **state)
{
    (void)state;
    cJSON *o;
    clip_error err;
    int i = 7;
    float f = 2;
    bool b = true;
    const char *s = "default";
    assert_int_equal(parse("{\"i\": 3, \"f\": 0.5, \"b\": false, \"s\": \"x\", \"n\": null, \"half\": 1.5}", &o, &err),
                     CLIP_OK);
    assert_int_equal(clipb_json_int(o, "absent", 0, 9, &i, "t.json", &err), CLIP_OK);
    assert_int_equal(clipb_json_int(o, "n", 0, 9, &i, "t.json", &err), CLIP_OK);
    assert_int_equal(i, 7);
    assert_int_equal(clipb_json_int(o, "i", 0, 9, &i, "t.json", &err), CLIP_OK);
    assert_int_equal(i, 3);
    assert_int_equal(clipb_json_int(o, "i", 4, 9, &i, "t.json", &err), CLIP_EFORMAT);
    assert_int_equal(clipb_json_int(o, "half", 0, 9, &i, "t.json", &err), CLIP_EFORMAT);
    assert_string_equal(err.message, "t.json: \"half\" must be a whole number from 0 to 9");
    assert_int_equal(clipb_json_int(o, "s", 0, 9, &i, "t.json", &err), CLIP_EFORMAT);
    assert_int_equal(clipb_json_float(o, "f", &f, "t.json", &err), CLIP_OK);
    assert_true(f == 0.5f);
    assert_int_equal(clipb_json_float(o, "s", &f, "t.json", &err), CLIP_EFORMAT);
    assert_int_equal(clipb_json_bool(o, "b", &b, "t.json", &err), CLIP_OK);
    assert_false(b);
    assert_int_equal(clipb_json_bool(o, "i", &b, "t.json", &err), CLIP_EFORMAT);
    assert_int_equal(clipb_json_string(o, "s", &s, "t.json", &err), CLIP_OK);
    assert_string_equal(s, "x");
    assert_int_equal(clipb_json_string(o, "i", &s, "t.json", &err), CLIP_EFORMAT);
    cJSON_Delete(o);
    assert_int_equal(parse("{\n\"a\": tru", &o, &err), CLIP_EFORMAT);
    assert_null(o);
    assert_non_null(strstr(err.message, "line 2"));
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    clip_error err;
    unsigned char *data;
    size_t size;
    write_file("hello", 5);
    for (long n = 1;; n++) {
        fail_alloc_at(n);
        clip_status s = clipb_read_file(path, 100, &data, &size, &err);
        if (!fail_alloc_stop()) {
            assert_int_equal(s, CLIP_OK);
            free(data);
            break;
        }
        assert_int_equal(s, CLIP_ENOMEM);
    }
    unlink(path);
}

static void statuses_have_names(void **state)
{
    (void)state;
    assert_string_equal(clipb_status_name(CLIP_EIO), "CLIP_EIO");
    assert_string_equal(clipb_status_message(CLIP_OK), "done");
    assert_non_null(clipb_status_message((clip_status)-99));
    char far[5000]; /* its end, and what is wrong, are told of a name that is too long for a message */
    clip_error err;
    memset(far, 'x', sizeof far);
    strcpy(far + sizeof far - 6, "/last");
    clipb_fail(&err, CLIP_EIO, far, "is %s", "wrong");
    assert_memory_equal(err.message, "...xx", 5);
    assert_non_null(strstr(err.message, "xx/last: is wrong"));
}

/* ---- Text from outside ---- */

static void characters_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
        int32_t code;
        bool shown;
    } c[] = {
        {"", 0, 0, false},
        {"a", 1, 'a', true},
        {" ", 1, ' ', true},
        {"\n", 1, '\n', false},
        {"\t", 1, '\t', false},
        {"\x1b[", 1, 0x1b, false},
        {"\x7f", 1, 0x7f, false},
        {"\u00a0", 2, 0xa0, true},
        {"\xc2\x9b", 2, 0x9b, false},
        {"\xc2\x80", 2, 0x80, false},
        {"\u00e9", 2, 0xe9, true},
        {"\x9b", 1, CLIP_TEXT_INVALID, false},
        {"\xe9", 1, CLIP_TEXT_INVALID, false},
        {"\xc0\x9b", 1, CLIP_TEXT_INVALID, false},
        {"\xe0\x82\x9b", 1, CLIP_TEXT_INVALID, false},
        {"\xed\xa0\x80", 1, CLIP_TEXT_INVALID, false},
        {"\xf4\x90\x80\x80", 1, CLIP_TEXT_INVALID, false},
        {"\xe2\x80", 1, CLIP_TEXT_INVALID, false},
        {"\xf0\x9f\x98", 1, CLIP_TEXT_INVALID, false},
        {"\xff", 1, CLIP_TEXT_INVALID, false},
        {"\u061c", 2, 0x61c, false},
        {"\u200d", 3, 0x200d, true},
        {"\u200e", 3, 0x200e, false},
        {"\u200f", 3, 0x200f, false},
        {"\u2028", 3, 0x2028, false},
        {"\u2029", 3, 0x2029, false},
        {"\u202a", 3, 0x202a, false},
        {"\u202e", 3, 0x202e, false},
        {"\u2066", 3, 0x2066, false},
        {"\u2069", 3, 0x2069, false},
        {"\u05d0", 2, 0x5d0, true},
        {"\u4e2d", 3, 0x4e2d, true},
        {"\U0001f600", 4, 0x1f600, true},
        {"\U0010ffff", 4, 0x10ffff, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        int32_t code;
        assert_int_equal(clipb_text_next(c[i].text, &code), c[i].bytes);
        assert_int_equal(code, c[i].code);
        assert_int_equal(clipb_text_shown(code), c[i].shown);
    }
}

static void a_message_is_one_line(void **state)
{
    (void)state;
    clip_error err;
    clipb_fail(&err, CLIP_EIO, "a\n\x1b[31m\u202e.png", "key '%s' \x9b", "b\xc2\x85\u00e9");
    assert_string_equal(err.message, "a??[31m?.png: key 'b?\u00e9' ?");
    char name[5000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    strcpy(name + sizeof name - 9, "/end.png");
    clipb_fail(&err, CLIP_EIO, name, "is gone");
    assert_non_null(strstr(err.message, "x/end.png: is gone"));
    assert_memory_equal(err.message, "...x", 4);
    clipb_fail(&err, CLIP_EIO, "short", "%s", name);
    assert_memory_equal(err.message, "short: xx", 9);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_told_apart),
        cmocka_unit_test(a_message_is_one_line),
        cmocka_unit_test(arena_runs_the_same_layout_twice), cmocka_unit_test(arena_measures_what_no_machine_has),
        cmocka_unit_test(files_are_read_whole),             cmocka_unit_test(paths_join),
        cmocka_unit_test(paths_are_below_folders),
        cmocka_unit_test(paths_are_written_out),
        cmocka_unit_test(json_getters_say_file_and_key),    cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
