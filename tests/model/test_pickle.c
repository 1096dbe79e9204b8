/* Files of torch.save() and torch.jit.save(): the same tensors as in safetensors, and files that
 * are broken or hostile.
 * usage: test_pickle GOLDEN PICKLES      made by tools/dump_golden.py and tools/make_pickles.py */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "altered.h"
#include "failing_alloc.h"
#include "../fuzz/memory_file.h"
#include "model/pickle.h"
#include "model/store.h"
#include "zip_file.h"

static const char *pickles;

static const char *kept(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", pickles, name);
    return path;
}

static unsigned char *read_file(const char *path, size_t *size)
{
    unsigned char *data;
    clip_error err;
    assert_int_equal(clipb_read_file(path, 1 << 20, &data, size, &err), CLIP_OK);
    return data;
}

/* ---- Sound files ----------------------------------------------------------------------------- */

static const struct {
    const char *file, *prefix;
    size_t more; /* tensors that the twin does not have */
} sound[] = {
    {"zip.pt", "", 0},        {"protocol-4.pt", "", 0}, {"protocol-5.pt", "", 0},     {"legacy.pt", "", 0},
    {"legacy-5.pt", "", 0},   {"parameters.pt", "", 0}, {"training.pt", "module.", 0}, {"script.pt", "inner.0.", 1},
};
#define COUNT(list) (sizeof(list) / sizeof *(list))

static void tensors_are_those_of_safetensors(void **state)
{
    (void)state;
    clipmdl_store twin, s;
    clip_error err;
    assert_int_equal(clipmdl_store_open(kept("twin.safetensors"), &twin, &err), CLIP_OK);
    for (size_t i = 0; i < COUNT(sound); i++) {
        if (clipmdl_store_open(kept(sound[i].file), &s, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(s.n, twin.n + sound[i].more);
        for (size_t k = 0; k < twin.n; k++) {
            const clipmdl_tensor *should = &twin.tensor[k];
            char name[256];
            snprintf(name, sizeof name, "%s%s", sound[i].prefix, should->name);
            const clipmdl_tensor *is = clipmdl_store_find(&s, name);
            if (!is)
                fail_msg("%s: '%s' is missing", sound[i].file, name);
            assert_string_equal(is->dtype, should->dtype);
            assert_int_equal(is->ndim, should->ndim);
            assert_memory_equal(is->dim, should->dim, sizeof is->dim);
            assert_int_equal(is->bytes, should->bytes);
            assert_memory_equal(is->data, should->data, is->bytes);
        }
        clipmdl_store_close(&s);
    }
    clipmdl_store_close(&twin);
}

static void only_strided_tensors_are_copied(void **state)
{
    (void)state;
    static const char *const mapped[] = {"weight", "tied", "row", "part", "f16", "empty", "i64"},
                            *const copied[] = {"turned", "swapped", "columns"};
    clipmdl_store s;
    clip_error err;
    assert_int_equal(clipmdl_store_open(kept("zip.pt"), &s, &err), CLIP_OK);
    for (size_t i = 0; i < COUNT(mapped); i++)
        assert_ptr_equal(clipmdl_store_find(&s, mapped[i])->map, s.map);
    for (size_t i = 0; i < COUNT(copied); i++)
        assert_null(clipmdl_store_find(&s, copied[i])->map);
    assert_ptr_equal(clipmdl_store_find(&s, "tied")->data, clipmdl_store_find(&s, "weight")->data);
    clipmdl_store_close(&s);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sound); i++)
        for (long n = 1;; n++) {
            clipmdl_store s;
            clip_error err;
            fail_alloc_at(n);
            const clip_status status = clipmdl_store_open(kept(sound[i].file), &s, &err);
            if (!fail_alloc_stop()) {
                assert_int_equal(status, CLIP_OK);
                clipmdl_store_close(&s);
                break;
            }
            assert_int_equal(status, CLIP_ENOMEM);
        }
}

/* ---- Damaged files --------------------------------------------------------------------------- */

static volatile unsigned char read_all; /* the compiler must not drop the reads */

/* Opens bytes as a file, and reads all its tensors. */
static clip_status open_bytes(const void *data, size_t size, clip_error *err)
{
    clipmdl_store s;
    const char *path = memory_file(data, size);
    *err = (clip_error){0};
    const clip_status status = clipmdl_store_open(path, &s, err);
    if (status < 0) {
        assert_memory_equal(err->message, path, strlen(path));
        return status;
    }
    unsigned char sum = 0;
    for (size_t i = 0; i < s.n; i++)
        for (size_t b = 0; b < s.tensor[i].bytes; b++)
            sum ^= s.tensor[i].data[b];
    read_all = sum;
    clipmdl_store_close(&s);
    return status;
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    static const char *const files[] = {"zip.pt", "legacy.pt"};
    for (size_t f = 0; f < COUNT(files); f++) {
        size_t size;
        clip_error err;
        unsigned char *data = read_file(kept(files[f]), &size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(open_bytes(data, i, &err), CLIP_EFORMAT);
        free(data);
    }
}

static void no_flipped_bit_reads_beyond(void **state)
{
    (void)state;
    static const char *const files[] = {"zip.pt", "legacy-5.pt", "script.pt"};
    for (size_t f = 0; f < COUNT(files); f++) {
        size_t size;
        clip_error err;
        unsigned char *data = read_file(kept(files[f]), &size);
        for (size_t bit = 0; bit < size * 8; bit++) {
            data[bit / 8] ^= (unsigned char)(1 << bit % 8);
            open_bytes(data, size, &err);
            data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        free(data);
    }
}

/* ---- Hostile files --------------------------------------------------------------------------- */

static const float numbers[6] = {0, 1, 2, 3, 4, 5};
static unsigned char bytes[4 << 20];

/* A zip archive with this pickle, and a storage "0" of 6 floats. */
static size_t archive_of(const void *pickle, size_t size)
{
    return zip_of(bytes, (const entry[]){{.name = "a/data.pkl", .data = pickle, .size = size},
                                         {.name = "a/data/0", .data = numbers, .size = sizeof numbers}}, 2, false);
}

#define PICKLE(text) text, sizeof(text) - 1
#define STORAGE_OF(type, key, n) "(" "U\7storage" "c" type "\n" "U\1" key "U\3cpu" n "tQ"
#define STORAGE STORAGE_OF("torch\nFloatStorage", "0", "K\6")
#define MAKE "ctorch._utils\n_rebuild_tensor_v2\n"
#define TENSOR_OF(storage, offset, shape, strides) MAKE "(" storage offset shape strides "\x89" "N" "tR"
#define TENSOR_WITH(more) MAKE "(" STORAGE "K\0" "K\2" "\x85" "K\1" "\x85" "\x89" "N" more "tR"
#define TENSOR TENSOR_OF(STORAGE, "K\0", "K\2" "K\3" "\x86", "K\3" "K\1" "\x86")
#define DICT(value) "\x80\2" "}" "U\1x" value "s."
#define NINE "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"
#define MINUS_1 "J\xff\xff\xff\xff"
#define HUGE_8 "\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f" /* 2^63 - 1 */

static const struct hostile {
    const char *pickle;
    size_t size;
    const char *says; /* NULL: it opens */
} hostile[] = {
    {PICKLE(DICT(TENSOR)), NULL},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\2", "K\2" "K\2" "\x86", "K\1" "K\2" "\x86"))), NULL},
    /* properties */
    {PICKLE(DICT(TENSOR_WITH("}"))), NULL},
    {PICKLE(DICT(TENSOR_WITH("}" "U\3neg" "\x88" "s"))), "'x' has bits that change its numbers"},
    {PICKLE(DICT(TENSOR_WITH("ctorch\nfloat32\n" "}" "U\4conj" "\x88" "s"))), "'x' has bits that change its numbers"},
    /* calls */
    {PICKLE(DICT("cos\nsystem\n" "U\4true" "\x85R")), "'x' among the weights is not a tensor: it is made by os.system"},
    {PICKLE("\x80\2" "cos\nsystem\n" "U\4true" "\x85R."), "they are made by os.system"},
    {PICKLE(DICT("cos\nsystem\n")), "made by os.system"},
    {PICKLE(DICT("c__builtin__\neval\n" "U\1x" "\x85R" "U\1x" "\x85R")), "it is an object"},
    {PICKLE("\x80\2" "cos\nsystem\n" "U\4true" "\x85R" "}" "U\1x" TENSOR "sb."), "they are made by os.system"},
    /* shapes */
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", MINUS_1 "\x85", "K\1" "\x85"))), "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "K\2" "\x85", MINUS_1 "\x85"))), "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, MINUS_1, "K\2" "\x85", "K\1" "\x85"))), "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "K\2" "\x85", "K\1" "K\1" "\x86"))), "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", NINE, NINE))),
     "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", HUGE_8 "K\4" "\x86", "K\4K\1" "\x86"))), "'x' has an impossible shape"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "U\1x" "\x85", "K\1" "\x85"))), "'x' has an impossible shape"},
    /* places */
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\1", "K\2K\3" "\x86", "K\3K\1" "\x86"))), "'x' is not inside of its storage"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, HUGE_8, "K\2" "\x85", "K\1" "\x85"))), "'x' is not inside of its storage"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "K\2" "\x85", HUGE_8 "\x85"))), "'x' is not inside of its storage"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "K\3K\3" "\x86", HUGE_8 HUGE_8 "\x86"))),
     "'x' is not inside of its storage"},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "K\1K\2" "\x86", HUGE_8 "K\1" "\x86"))), NULL},
    {PICKLE(DICT(TENSOR_OF(STORAGE, "K\0", "M\xff\xff" "\x85", "K\0" "\x85"))), "'x' repeats numbers of its storage"},
    {PICKLE(DICT(TENSOR_OF(STORAGE_OF("torch\nFloatStorage", "1", "K\6"), "K\0", "K\2" "\x85", "K\1" "\x85"))),
     "the storage '1', which is not in the file"},
    {PICKLE(DICT(TENSOR_OF(STORAGE_OF("torch\nFloatStorage", "0", "K\7"), "K\0", "K\2" "\x85", "K\1" "\x85"))),
     "a storage of 24 bytes where 28 are said"},
    {PICKLE(DICT(TENSOR_OF(STORAGE_OF("torch\nFloatStorage", "0", HUGE_8), "K\0", "K\2" "\x85", "K\1" "\x85"))),
     "a storage of an impossible size"},
    {PICKLE(DICT(TENSOR_OF(STORAGE_OF("torch\nOddStorage", "0", "K\6"), "K\0", "K\2" "\x85", "K\1" "\x85"))),
     "a storage of an unknown type"},
    {PICKLE(DICT(TENSOR_OF("N", "K\0", "K\2" "\x85", "K\1" "\x85"))), "'x' has no storage"},
    {PICKLE(DICT(TENSOR_OF("U\1xQ", "K\0", "K\2" "\x85", "K\1" "\x85"))), "'x' has no storage"},
    {PICKLE(DICT(MAKE ")R")), "'x' is not made as PyTorch makes tensors"},
    {PICKLE(DICT(MAKE "NR")), "'x' is not made as PyTorch makes tensors"},
    /* what is saved */
    {PICKLE("\x80\2" "}."), "holds no tensors"},
    {PICKLE("\x80\2" "N."), "they are None"},
    {PICKLE("\x80\2" "]."), "they are a list"},
    {PICKLE("\x80\2" "}" "K\1" TENSOR "s."), "a key that is not a text"},
    {PICKLE("\x80\2" "}" "U\3a\0b" TENSOR "s."), "an impossible name"},
    {PICKLE("\x80\2" "}" "(" "U\1x" TENSOR "U\1x" TENSOR "u."), "tensor 'x' is there twice"},
    {PICKLE(DICT("}" "U\1y" TENSOR "s")), "'x' among the weights is not a tensor: it is a dict"},
    {PICKLE("\x80\2" "}q\0" "U\12state_dict" "h\0" "s."), "it is a dict"}, /* itself */
    /* the machine */
    {PICKLE(""), "it ends here"},
    {PICKLE("\x80\2" "N"), "it ends here"},
    {PICKLE("\x80\6" "N."), "a protocol that is not known"},
    {PICKLE("\x80\2" "I1\n."), "the operation 0x49"},
    {PICKLE("\x80\2" "."), "too few values"},
    {PICKLE("\x80\2" "NR."), "too few values"},
    {PICKLE("\x80\2" "N(R."), "too few values"},
    {PICKLE("\x80\2" "NN(b."), "too few values"},
    {PICKLE("\x80\2" "0."), "too few values"},
    {PICKLE("\x80\2" "N\x86."), "too few values"},
    {PICKLE("\x80\2" "(u."), "too few values"},
    {PICKLE("\x80\2" "}((u."), "too few values"},
    {PICKLE("\x80\2" "t."), "no mark"},
    {PICKLE("\x80\2" "}Nu."), "no mark"},
    {PICKLE("\x80\2" "}(Nu."), "a key without a value"},
    {PICKLE("\x80\2" "(Nd."), "a key without a value"},
    {PICKLE("\x80\2" "]NNs."), "keys for what is not a dict"},
    {PICKLE("\x80\2" "}Na."), "neither a list nor a set"},
    {PICKLE("\x80\2" "NNb."), "a state for what is not an object"},
    {PICKLE("\x80\2" "NN\x93."), "the name of a global is not a text"},
    {PICKLE("\x80\2" "h\0."), "the memo does not have"},
    {PICKLE("\x80\2" "Nq\2" "h\1."), "the memo does not have"},
    {PICKLE("\x80\2" "Nr\xff\xff\xff\x7f."), "values in its memo"},
    {PICKLE("\x80\2" "Nr\xff\xff\0\0."), "beyond all that can be"},
    {PICKLE("\x80\2" "X\xff\xff\xff\xff" "a."), "ends beyond the pickle"},
    {PICKLE("\x80\2" "\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a."), "ends beyond the pickle"},
    {PICKLE("\x80\2" "cos\nsystem"), "a line without an end"},
    {PICKLE("\x80\2" "J\1"), "it ends here"},
};

static void hostile_pickles_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        clip_error err;
        const clip_status s = open_bytes(bytes, archive_of(hostile[i].pickle, hostile[i].size), &err);
        if (!hostile[i].says != (s == CLIP_OK))
            fail_msg("case %zu: \"%s\"", i, err.message);
        if (hostile[i].says && !strstr(err.message, hostile[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, hostile[i].says);
    }
    clip_error err;
    clipmdl_store s;
    assert_int_equal(clipmdl_store_open(kept("hostile.pt"), &s, &err), CLIP_EUNSUPPORTED);
    says(err.message, "'visual.proj' among the weights is not a tensor: it is made by posix.system");
    assert_int_equal(access("/tmp/opened-by-a-pickle", F_OK), -1);
    assert_int_equal(clipmdl_store_open(kept("model.pt"), &s, &err), CLIP_EUNSUPPORTED);
    says(err.message, "they are made by __main__.Outer, which is not called here");
}

/* What a few bytes say many times: `piece` n times between a beginning and an end. */
static size_t repeated(unsigned char *out, const char *begin, const char *piece, size_t n, const char *end)
{
    unsigned char *p = put_bytes(out, begin, strlen(begin));
    for (size_t i = 0; i < n; i++)
        p = put_bytes(p, piece, strlen(piece));
    return (size_t)(put_bytes(p, end, strlen(end)) - out);
}

static void what_multiplies_costs_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *piece;
        size_t n;
        const char *end, *says;
    } cases[] = {
        {"\x80\2", "(", 2000, ".", "marks on its stack"},
        {"\x80\2", "N", 1100000, ".", "values on its stack"},
        {"\x80\2", "]0", 1100000, ".", "than 1048576 values"},
        {"\x80\2" "]", "(NNNNNNNNe", 300000, ".", "than 2097152 items"},
        {"\x80\2" "N", "2\x86", 100000, ".", "they are a tuple"},        /* 2^100000 items */
        {"\x80\2" "N", "]" "\x86", 100000, ".", "they are a tuple"},      /* in one another */
        {"\x80\2" "]q\1", "h\1" "a", 100000, ".", "they are a list"},     /* in itself */
        /* two attributes of each module are the next one */
        {"\x80\2" "c__torch__\nM\n" "q\1" ")\x81" "}b", "q\2" "0h\1" ")\x81" "}(U\1a" "h\2" "U\1b" "h\2" "ub", 30, ".",
         "modules within modules without end"},
        {"\x80\2" "c__torch__\nM\n" ")\x81" "q\1" "}U\1a" "h\1" "sb", "", 0, ".", "modules within modules without end"},
    };
    unsigned char *pickle = malloc(sizeof bytes);
    alarm(60);
    for (size_t i = 0; i < COUNT(cases); i++) {
        clip_error err;
        const size_t n = repeated(pickle, cases[i].begin, cases[i].piece, cases[i].n, cases[i].end);
        assert_true(open_bytes(bytes, archive_of(pickle, n), &err) < 0);
        if (!strstr(err.message, cases[i].says))
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].says);
    }
    alarm(0);
    free(pickle);
}

static void whole_numbers_have_their_sign(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t size;
        int64_t number;
    } cases[] = {
        {PICKLE("K\xff."), 255},          {PICKLE("M\1\2."), 513},       {PICKLE("J\xfe\xff\xff\xff."), -2},
        {PICKLE("\x8a\0."), 0},           {PICKLE("\x8a\1\x80."), -128}, {PICKLE("\x8a\2\x80\0."), 128},
        {PICKLE("\x8b\1\0\0\0\xff."), -1}, {PICKLE("\x8a\x8\0\0\0\0\0\0\0\x80."), INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        clipmdl_pickle p;
        clip_error err;
        assert_int_equal(clipmdl_pickle_read((const unsigned char *)cases[i].pickle, cases[i].size, "x", &p, &err),
                         CLIP_OK);
        assert_int_equal(p.value[p.root].kind, CLIPMDL_INT);
        assert_int_equal(p.value[p.root].number, cases[i].number);
        assert_int_equal(p.bytes, cases[i].size);
        clipmdl_pickle_free(&p);
    }
}

static void archives_are_checked(void **state)
{
    (void)state;
    static const char pickle[] = DICT(TENSOR);
    const entry p = {.name = "a/data.pkl", .data = pickle, .size = sizeof pickle - 1},
                d = {.name = "a/data/0", .data = numbers, .size = sizeof numbers};
    const entry big = {.name = "a/byteorder", .data = "big", .size = 3},
                little = {.name = "a/byteorder", .data = "little", .size = 6};
    entry packed = d, secret = p, short_data = d, long_data = d, other = p, deep = p;
    packed.method = 8;
    secret.flags = 1;
    short_data.size = 20;
    long_data.size_said = 100000;
    other.name = "b/data.pkl";
    deep.name = "a/b/data.pkl";
    const struct {
        entry e[3];
        int n;
        const char *says; /* NULL: it opens */
    } cases[] = {
        {{p, d}, 2, NULL},
        {{p, d, little}, 3, NULL},
        {{p, packed}, 2, "'x' is compressed or encrypted"},
        {{secret, d}, 2, "its data.pkl is compressed or encrypted"},
        {{p, short_data}, 2, "a storage of 20 bytes where 24 are said"},
        {{p, long_data}, 2, "member 1 of the zip archive is damaged"},
        {{p, d, big}, 3, "not little-endian"},
        {{p, d, other}, 3, "several data.pkl"},
        {{p, d, d}, 3, "holds 'a/data/0' twice"},
        {{deep, d}, 2, "without NAME/data.pkl"},
        {{p}, 1, "the storage '0', which is not in the file"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int large = 0; large < 2; large++) {
            clip_error err;
            const clip_status s = open_bytes(bytes, zip_of(bytes, cases[i].e, cases[i].n, large), &err);
            if (!cases[i].says != (s == CLIP_OK) || (cases[i].says && !strstr(err.message, cases[i].says)))
                fail_msg("case %zu: \"%s\", not \"%s\"", i, err.message, cases[i].says ? cases[i].says : "");
        }
}

/* Pickles of the legacy format before the value, and the keys behind it. */
#define MAGIC "\x80\2\x8a\xa\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define VERSION "\x80\2M\xe9\3."
#define LITTLE "\x80\2}U\15little_endian\x88s."
#define SEVEN "\7\0\0\0\0\0\0\0" "0123" "0123" "0123" "0123" "0123" "0123" /* said, of 6 */
#define SIX "\6\0\0\0\0\0\0\0" "0123" "0123" "0123" "0123" "0123" "0123"

static void legacy_files_are_checked(void **state)
{
    (void)state;
    static const struct hostile cases[] = {
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]U\1" "0" "a." SIX), NULL},
        {PICKLE("\x80\2}q\1."), "a pickle that torch.save() has not written"},
        {PICKLE("\x80\2N."), "a pickle that torch.save() has not written"},
        {PICKLE(MAGIC), "it ends here"},
        {PICKLE(MAGIC VERSION "\x80\2}U\15little_endian\x89s." DICT(TENSOR)), "not little-endian"},
        {PICKLE(MAGIC VERSION "\x80\2N." DICT(TENSOR)), "not little-endian"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2N." SIX), "lists no storages"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]." SIX), "the storage '0', which is not in the file"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]U\1" "1" "a." SIX), "a storage that no tensor has"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]Na." SIX), "a storage that no tensor has"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]U\1" "0" "aU\1" "0" "a." SIX SIX), "or one twice"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]U\1" "0" "a." "\6\0\0\0\0\0\0\0" "0123"), "cut short"},
        {PICKLE(MAGIC VERSION LITTLE DICT(TENSOR) "\x80\2]U\1" "0" "a." SEVEN),
         "is said to have 7 elements in 24 bytes"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        clip_error err;
        const clip_status s = open_bytes(cases[i].pickle, cases[i].size, &err);
        if (!cases[i].says != (s == CLIP_OK) || (cases[i].says && !strstr(err.message, cases[i].says)))
            fail_msg("case %zu: \"%s\", not \"%s\"", i, err.message, cases[i].says ? cases[i].says : "");
    }
}

/* ---- A whole model --------------------------------------------------------------------------- */

/* Embeddings of two texts and of a picture, [3, D]. */
static void embed(const char *path, float *out, int D)
{
    static uint8_t rgb[32 * 32 * 3];
    clip_context *ctx;
    clip_model_info info;
    clip_model *m = loads(path);
    clip_model_get_info(m, &info);
    assert_int_equal(info.embed_dim, D);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7);
    const clip_image image = {32, 32, 96, rgb};
    assert_int_equal(clip_context_new(m, 1, &ctx), CLIP_OK);
    assert_int_equal(clip_encode_image(ctx, &image, 1, out), CLIP_OK);
    assert_int_equal(clip_encode_text(ctx, (const char *const[]){"a cat", "two dogs"}, 2, out + D), CLIP_OK);
    clip_context_free(ctx);
    clip_model_free(m);
}

static void a_model_is_the_same_from_its_pickle(void **state)
{
    (void)state;
    clip_model_info info;
    take("tiny-vit-eos");
    clip_model *m = loads(dir);
    clip_model_get_info(m, &info);
    const int D = info.embed_dim;
    clip_model_free(m);
    float *should = malloc(6 * (size_t)D * sizeof *should), *is = should + 3 * D;
    embed(dir, should, D);
    shell("cp %s/epoch_1.pt %s; cp %s/hostile.pt %s/pytorch_model.bin", pickles, dir, pickles, dir);
    embed(dir, is, D); /* safetensors come first */
    shell("cd %s && rm *.safetensors pytorch_model.bin", dir);
    embed(dir, is, D); /* the only pickle */
    assert_memory_equal(is, should, 3 * (size_t)D * sizeof *is);
    memset(is, 0, 3 * (size_t)D * sizeof *is);
    embed(in_dir("epoch_1.pt"), is, D);
    assert_memory_equal(is, should, 3 * (size_t)D * sizeof *is);
    shell("cd %s && cp epoch_1.pt epoch_2.pt", dir);
    refused(dir, CLIP_EINVAL, "name one of them: epoch_1.pt, epoch_2.pt");
    shell("cd %s && mv epoch_2.pt pytorch_model.bin", dir); /* a usual name */
    embed(dir, is, D);
    assert_memory_equal(is, should, 3 * (size_t)D * sizeof *is);
    free(should);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    golden = argv[1];
    pickles = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_those_of_safetensors),
        cmocka_unit_test(only_strided_tensors_are_copied),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(no_flipped_bit_reads_beyond),
        cmocka_unit_test(hostile_pickles_are_refused),
        cmocka_unit_test(what_multiplies_costs_nothing),
        cmocka_unit_test(whole_numbers_have_their_sign),
        cmocka_unit_test(archives_are_checked),
        cmocka_unit_test(legacy_files_are_checked),
        cmocka_unit_test(a_model_is_the_same_from_its_pickle),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
