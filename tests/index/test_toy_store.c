/* A second kind of store, in memory: a sorted array, written as one file with one table. The
 * index on it does what the index on SQLite does. */
#include <fcntl.h>

#include "base/file.h"
#include "fixture.h"

/* ---- The store ------------------------------------------------------------------------------- */

enum { MOST_ITEMS = 256, MOST_META = 16 };

typedef struct toy_item {
    clip_item item; /* its strings are this item's own */
    uint64_t sum;
} toy_item;

/* What one state of an index holds. */
typedef struct toy_data {
    toy_item item[MOST_ITEMS]; /* by row */
    int n;
    struct { char key[32], value[512]; } meta[MOST_META];
    struct { char name[8]; uint64_t word[MOST_ITEMS / 64]; int64_t rows; } bits[2];
    int64_t version;
} toy_data;

static toy_data committed; /* what a database would keep: there is one toy index in a process */

typedef struct toy_store {
    clipidx_store store;
    toy_data data; /* what is read; a writer's, with what is not committed yet */
} toy_store;

static char *copy_string(const char *text) { return text ? strdup(text) : NULL; }

static void copy_data(toy_data *to, const toy_data *from)
{
    *to = *from;
    for (int i = 0; i < to->n; i++) {
        to->item[i].item.path = copy_string(from->item[i].item.path);
        to->item[i].item.text = copy_string(from->item[i].item.text);
    }
}

static void free_item(clip_item *item)
{
    free((char *)(uintptr_t)item->path);
    free((char *)(uintptr_t)item->text);
}

static void free_data(toy_data *d)
{
    for (int i = 0; i < d->n; i++)
        free_item(&d->item[i].item);
    *d = (toy_data){0};
}

static toy_data *data_of(clipidx_store *s) { return &((toy_store *)s)->data; }

extern const clipidx_store_kind toy_kind;

static clip_status toy_open(const char *where, bool write, bool create, clipidx_store **out, bool *fresh,
                            clip_error *e)
{
    toy_store *t = calloc(1, sizeof *t);
    (void)write;
    *out = NULL;
    assert_non_null(t);
    t->store = (clipidx_store){.kind = &toy_kind, .path = clipb_path_join(where, "toy")};
    if (!create && access(t->store.path, F_OK) != 0) {
        free(t->store.path);
        free(t);
        return clipb_fail(e, CLIP_EIO, where, "there is no such index");
    }
    close(open(t->store.path, O_CREAT | O_RDWR, 0666));
    *fresh = committed.version == 0;
    copy_data(&t->data, &committed);
    *out = &t->store;
    return CLIP_OK;
}

static void toy_close(clipidx_store *s)
{
    free_data(data_of(s));
    free(s->path);
    free(s);
}

static clip_status toy_newer(clipidx_store *s, const char *where, clipidx_store **out, clip_error *e)
{
    bool fresh;
    *out = NULL;
    return data_of(s)->version == committed.version ? CLIP_OK : toy_open(where, false, false, out, &fresh, e);
}

static clip_status toy_begin(clipidx_store *s, clip_error *e)
{
    (void)e;
    s->changing = true;
    return CLIP_OK;
}

static clip_status toy_commit(clipidx_store *s, clip_error *e)
{
    (void)e;
    data_of(s)->version++;
    free_data(&committed);
    copy_data(&committed, data_of(s));
    s->changing = false;
    return CLIP_OK;
}

static void toy_rollback(clipidx_store *s)
{
    free_data(data_of(s));
    copy_data(data_of(s), &committed);
    s->changing = false;
}

static clip_status toy_get(clipidx_store *s, const char *key, char *out, size_t size, clip_error *e)
{
    (void)e;
    out[0] = 0;
    for (int i = 0; i < MOST_META; i++)
        if (strcmp(data_of(s)->meta[i].key, key) == 0)
            snprintf(out, size, "%s", data_of(s)->meta[i].value);
    return CLIP_OK;
}

static clip_status toy_set(clipidx_store *s, const char *key, const char *value, clip_error *e)
{
    int i = 0;
    (void)e;
    while (data_of(s)->meta[i].key[0] && strcmp(data_of(s)->meta[i].key, key) != 0)
        assert_true(++i < MOST_META);
    snprintf(data_of(s)->meta[i].key, sizeof data_of(s)->meta[i].key, "%s", key);
    snprintf(data_of(s)->meta[i].value, sizeof data_of(s)->meta[i].value, "%s", value);
    return CLIP_OK;
}

static clip_status toy_get_bits(clipidx_store *s, const char *name, clipidx_bits *b, int64_t rows, clip_error *e)
{
    const int i = strcmp(name, "text") == 0;
    if (data_of(s)->bits[i].rows != rows)
        return clipidx_store_damaged(s, e, "a bitmap has not as many bits as there are rows");
    TRY(clipidx_bits_reserve(b, rows));
    if (rows > 0)
        memcpy(b->word, data_of(s)->bits[i].word, (size_t)(rows + 63) / 64 * 8);
    return CLIP_OK;
}

static clip_status toy_set_bits(clipidx_store *s, const char *name, const clipidx_bits *b, int64_t rows, clip_error *e)
{
    const int i = strcmp(name, "text") == 0;
    (void)e;
    assert_true(rows <= MOST_ITEMS);
    if (rows > 0)
        memcpy(data_of(s)->bits[i].word, b->word, (size_t)(rows + 63) / 64 * 8);
    data_of(s)->bits[i].rows = rows;
    return CLIP_OK;
}

static clip_status toy_make(clipidx_store *s, int dim, clip_error *e)
{
    char number[16];
    snprintf(number, sizeof number, "%d", dim);
    TRY(toy_set(s, "dim", number, e));
    for (const char *const *key = (const char *const[]){"rows", "pictures", "texts", "generation", NULL}; *key; key++)
        TRY(toy_set(s, *key, "0", e));
    return toy_commit(s, e);
}

static bool same(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

static bool is_wanted(const clip_item *item, clipidx_which which, const clipidx_key *key)
{
    switch (which) {
    case CLIPIDX_AT: return item->row == key->row;
    case CLIPIDX_NEXT: return item->row >= key->row;
    case CLIPIDX_PICTURE: return item->kind == CLIP_ITEM_PICTURE && same(item->path, key->path);
    case CLIPIDX_SAME: return item->kind == key->kind && same(item->path, key->path) && same(item->text, key->text);
    case CLIPIDX_COPY:
        return item->row >= key->row && item->kind == CLIP_ITEM_PICTURE && memcmp(item->hash, key->hash, 16) == 0;
    case CLIPIDX_TEXT: return item->row >= key->row && item->kind == CLIP_ITEM_TEXT && same(item->path, key->path);
    case CLIPIDX_ALL:
    case CLIPIDX_BYTES: return true;
    }
    return false;
}

static int by_bytes(const void *a, const void *b)
{
    const clip_item *p = &((const toy_item *)a)->item, *q = &((const toy_item *)b)->item;
    const int order = memcmp(p->hash, q->hash, 16);
    if (order || p->size == q->size)
        return order ? order : (p->row > q->row) - (p->row < q->row);
    return p->size < q->size ? -1 : 1;
}

static int by_row(const void *a, const void *b)
{
    const clip_item *p = &((const toy_item *)a)->item, *q = &((const toy_item *)b)->item;
    return (p->row > q->row) - (p->row < q->row);
}

static clip_status toy_find(clipidx_store *s, clipidx_which which, const clipidx_key *key, clipidx_take_fn take,
                            void *user, clip_error *e)
{
    static toy_item sorted[MOST_ITEMS];
    const int n = data_of(s)->n;
    memcpy(sorted, data_of(s)->item, sizeof sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, which == CLIPIDX_BYTES ? by_bytes : by_row);
    for (int i = 0; i < n; i++) {
        if (!is_wanted(&sorted[i].item, which, key))
            continue;
        TRY(take(user, &sorted[i].item, sorted[i].sum, e));
        if (which < CLIPIDX_ALL)
            break;
    }
    return CLIP_OK;
}

static toy_item *item_of(clipidx_store *s, int64_t row)
{
    toy_data *d = data_of(s);
    for (int i = 0; i < d->n; i++)
        if (d->item[i].item.row == row)
            return &d->item[i];
    return NULL;
}

static clip_status toy_insert(clipidx_store *s, const clip_item *item, uint64_t sum, clip_error *e)
{
    toy_data *d = data_of(s);
    (void)e;
    assert_true(d->n < MOST_ITEMS && s->changing && !item_of(s, item->row));
    d->item[d->n] = (toy_item){*item, sum};
    d->item[d->n].item.path = copy_string(item->path);
    d->item[d->n++].item.text = copy_string(item->text);
    return CLIP_OK;
}

static clip_status toy_remove(clipidx_store *s, int64_t row, clip_error *e)
{
    toy_item *gone = item_of(s, row);
    (void)e;
    if (!gone)
        return CLIP_OK;
    free_item(&gone->item);
    *gone = data_of(s)->item[--data_of(s)->n];
    return CLIP_OK;
}

static clip_status toy_move(clipidx_store *s, int64_t row, int64_t to, clip_error *e)
{
    (void)e;
    assert_true(item_of(s, row) && !item_of(s, to));
    item_of(s, row)->item.row = to;
    return CLIP_OK;
}

static clip_status toy_rename(clipidx_store *s, int64_t row, const char *path, int64_t size, int64_t mtime,
                              clip_error *e)
{
    clip_item *item = &item_of(s, row)->item;
    char *copy = copy_string(path); /* it may be the string that it replaces */
    (void)e;
    free((char *)(uintptr_t)item->path);
    item->path = copy;
    item->size = size;
    item->mtime = mtime;
    return CLIP_OK;
}

static clip_status toy_check(clipidx_store *s, void (*tell)(void *user, const char *fault), void *user, clip_error *e)
{
    (void)s;
    (void)tell;
    (void)user;
    (void)e;
    return CLIP_OK;
}

static const char *const toy_files[] = {"toy", NULL};

const clipidx_store_kind toy_kind = {
    toy_files, toy_open, toy_make, toy_close, toy_newer, toy_begin, toy_commit, toy_rollback, toy_get, toy_set,
    toy_get_bits, toy_set_bits, toy_find, toy_insert, toy_remove, toy_move, toy_rename, toy_check,
};

/* ---- The index on it ------------------------------------------------------------------------- */

enum { D = 12, N = 100 };

static clip_status open_toy(bool write, clip_index **x)
{
    const clip_index_options o = {.write = write, .create = write, .model_name = "none", .threads = 2};
    bool fresh;
    return clipidx_open(dir, &toy_kind, &o, NULL, D, x, &fresh, &err);
}

static void check_hit(const clip_index *x, const float *query, const char *path)
{
    clip_hit hit;
    clip_item item;
    int found;
    OK(clipidx_search(x, query, 1, 1, NULL, &hit, &found, &err));
    assert_true(found == 1 && hit.score > 0.999f);
    OK(clipidx_item_at(x, hit.row, &item, &err));
    assert_string_equal(item.path, path);
}

/* How many items there are, listed; all must be sound. */
static int count_items(clip_index *x)
{
    clip_item item;
    int64_t cursor = 0, faults;
    int n = 0;
    for (;; n++) {
        OK(clipidx_next(x, &cursor, &item, &err));
        if (!item.kind)
            break;
    }
    OK(clipidx_verify(x, NULL, NULL, &faults, &err));
    assert_int_equal(faults, 0);
    return n;
}

static void an_index_works_on_any_store(void **state)
{
    (void)state;
    clip_index *w, *r;
    clip_item item;
    bool changed;
    int64_t row[60], n, *group, *member;
    float *v = random_vectors(9, N + 2, D);
    clip_item more[2] = {{.kind = CLIP_ITEM_TEXT, .path = "p7", .text = "a seven"},
                         {.kind = CLIP_ITEM_PICTURE, .path = "copy", .size = 7, .hash = "p7"}};
    OK(open_toy(true, &w));
    OK(add_pictures(w, v, 0, N));
    OK(clipidx_add(w, more, v + N * D, 2, &err));
    OK(clipidx_commit(w, &err));
    assert_int_equal(count_items(w), N + 2);
    OK(open_toy(false, &r));
    check_hit(r, v + 42 * D, "p42");
    check_hit(r, v + N * D, "p7"); /* its text */
    OK(clipidx_duplicates(r, &(clip_duplicates_options){.grouping = CLIP_GROUP_BYTES}, &member, &group, &n, &err));
    assert_true(n == 1 && member[0] == 7 && member[1] == N + 1);
    free(member);
    free(group);

    OK(clipidx_rename(w, 7, "seven", 1, 2, &err));
    for (int i = 0; i < 60; i++)
        row[i] = 20 + i;
    OK(clipidx_remove(w, row, 60, &err));
    OK(clipidx_close(w, &err)); /* rows get other numbers */
    check_hit(r, v + 42 * D, "p42");
    OK(clipidx_refresh(r, &changed, &err));
    assert_true(changed);
    OK(clipidx_find(r, "p42", &item, &err));
    assert_int_equal(item.kind, 0);
    OK(clipidx_refresh(r, &changed, &err));
    assert_false(changed);
    check_hit(r, v + 90 * D, "p90");
    check_hit(r, v + N * D, "seven"); /* the text went along */
    assert_int_equal(count_items(r), N + 2 - 60);
    OK(clipidx_close(r, &err));

    OK(open_toy(true, &w)); /* what is not committed can be taken back */
    OK(add_pictures(w, v, 20, 1));
    assert_int_equal(clipidx_add(w, &(clip_item){.kind = CLIP_ITEM_PICTURE}, v, 1, &err), CLIP_EINVAL);
    assert_int_equal(count_items(w), N + 2 - 60 + 1);
    OK(clipidx_close(w, &err));
    free(v);
    free_data(&committed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_works_on_any_store),
    };
    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
