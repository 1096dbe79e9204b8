/* pickle.c: the machine of pickle.h. Every operation makes at most one value and moves those on the
 * stack, so what a pickle costs is linear in its length, whatever its values share. */
#include "model/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum {
    MOST_PROTOCOL = 5,
    MOST_VALUES = 1 << 20, /* a training checkpoint of a billion parameters has fewer than 1 << 17 */
    MOST_CELLS = 1 << 21,
    MOST_STACK = 1 << 20,
    MOST_MARKS = 1 << 10, /* containers within containers */
    MOST_MEMO = 1 << 20,
};

/* Values that every pickle has: their places. */
enum { NONE, FALSE_VALUE, TRUE_VALUE, NO_ITEMS, FIRST_FREE };

#define NOWHERE UINT32_MAX /* in the memo */

typedef struct machine {
    const unsigned char *at, *begin, *end;
    const char *file;
    clip_error *err;
    clipmdl_pickle *out;
    uint32_t *stack, *mark, *memo;
    size_t depth, marks, memos, stack_capacity, mark_capacity, memo_capacity;
    bool stopped;
} machine;

/* What stands behind an operation's code. */
typedef enum form {
    NOTHING,
    NUMBER_1, NUMBER_2, NUMBER_4, SIGNED_4, NUMBER_8,
    TEXT_1, TEXT_4, TEXT_8, /* a length of so many bytes, then the text */
    LINES,                  /* two lines */
} form;

typedef struct argument {
    uint64_t number;
    const char *text, *second;
    size_t length, second_length;
} argument;

typedef clip_status action(machine *m, const argument *a, int extra);

static clip_status fault(machine *m, const char *what)
{
    return clipb_fail(m->err, CLIP_EFORMAT, m->file, "byte %zu of the pickle: %s", (size_t)(m->at - m->begin), what);
}

static clip_status too_much(machine *m, const char *what, int most)
{
    return clipb_fail(m->err, CLIP_ELIMIT, m->file, "the pickle has more than %d %s", most, what);
}

static clip_status no_memory(machine *m) { return clipb_nomem(m->err, m->file); }

/* ---- Values, the stack, marks ---------------------------------------------------------------- */

static clip_status push(machine *m, uint32_t value)
{
    if (m->depth == MOST_STACK)
        return too_much(m, "values on its stack", MOST_STACK);
    if (clipb_grow((void **)&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack) < 0)
        return no_memory(m);
    m->stack[m->depth++] = value;
    return CLIP_OK;
}

static clip_status push_new(machine *m, clipmdl_value v)
{
    clipmdl_pickle *p = m->out;
    if (p->n == MOST_VALUES)
        return too_much(m, "values", MOST_VALUES);
    if (clipb_grow((void **)&p->value, &p->capacity, p->n + 1, sizeof *p->value) < 0)
        return no_memory(m);
    p->value[p->n] = v;
    return push(m, (uint32_t)p->n++);
}

/* Values above the last mark belong to it, and those below it are not to be taken. */
static size_t above_mark(const machine *m) { return m->depth - (m->marks ? m->mark[m->marks - 1] : 0); }

static clip_status need(machine *m, size_t n)
{
    return above_mark(m) >= n ? CLIP_OK : fault(m, "the stack has too few values");
}

static clip_status take_mark(machine *m, size_t *from)
{
    if (m->marks == 0)
        return fault(m, "there is no mark on the stack");
    *from = m->mark[--m->marks];
    return CLIP_OK;
}

/* The items on the stack from `from` on go to the end of a value's. */
static clip_status give_items(machine *m, uint32_t to, size_t from)
{
    clipmdl_pickle *p = m->out;
    for (size_t i = from; i < m->depth; i++) {
        if (p->cells == MOST_CELLS)
            return too_much(m, "items", MOST_CELLS);
        if (clipb_grow((void **)&p->cell, &p->cell_capacity, p->cells + 1, sizeof *p->cell) < 0)
            return no_memory(m);
        const uint32_t cell = (uint32_t)p->cells++;
        p->cell[cell] = (clipmdl_cell){.value = m->stack[i]};
        if (p->value[to].first)
            p->cell[p->value[to].last].next = cell;
        else
            p->value[to].first = cell;
        p->value[to].last = cell;
    }
    m->depth = from;
    return CLIP_OK;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static clip_status protocol(machine *m, const argument *a, int extra)
{
    (void)extra;
    return a->number <= MOST_PROTOCOL ? CLIP_OK : fault(m, "a protocol that is not known");
}

static clip_status nothing(machine *m, const argument *a, int extra)
{
    (void)m, (void)a, (void)extra;
    return CLIP_OK;
}

static clip_status stop(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    TRY(need(m, 1));
    m->out->root = m->stack[m->depth - 1];
    m->stopped = true;
    return CLIP_OK;
}

static clip_status push_known(machine *m, const argument *a, int which)
{
    (void)a;
    return push(m, (uint32_t)which);
}

static clip_status push_number(machine *m, const argument *a, int kind)
{
    return push_new(m, (clipmdl_value){.kind = (clipmdl_kind)kind, .number = (int64_t)a->number});
}

static clip_status push_text(machine *m, const argument *a, int kind)
{
    return push_new(m, (clipmdl_value){.kind = (clipmdl_kind)kind, .text = {a->text, a->length}});
}

/* A whole number in the fewest bytes, with its sign. */
static clip_status push_long(machine *m, const argument *a, int extra)
{
    uint64_t number = 0;
    (void)extra;
    if (a->length > sizeof number)
        return push_text(m, a, CLIPMDL_LONG);
    const unsigned char *byte = (const unsigned char *)a->text;
    if (a->length > 0 && byte[a->length - 1] & 0x80)
        number = UINT64_MAX;
    for (size_t i = a->length; i-- > 0;)
        number = number << 8 | byte[i];
    return push_new(m, (clipmdl_value){.kind = CLIPMDL_INT, .number = (int64_t)number});
}

static clip_status push_empty(machine *m, const argument *a, int kind)
{
    (void)a;
    return push_new(m, (clipmdl_value){.kind = (clipmdl_kind)kind});
}

static clip_status mark(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    if (m->marks == MOST_MARKS)
        return too_much(m, "marks on its stack", MOST_MARKS);
    if (clipb_grow((void **)&m->mark, &m->mark_capacity, m->marks + 1, sizeof *m->mark) < 0)
        return no_memory(m);
    m->mark[m->marks++] = (uint32_t)m->depth;
    return CLIP_OK;
}

static clip_status pop(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    if (m->marks && above_mark(m) == 0) {
        m->marks--;
        return CLIP_OK;
    }
    TRY(need(m, 1));
    m->depth--;
    return CLIP_OK;
}

static clip_status pop_mark(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    return take_mark(m, &m->depth);
}

static clip_status duplicate(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    TRY(need(m, 1));
    return push(m, m->stack[m->depth - 1]);
}

/* A container of the values from `from` on, which takes their place. */
static clip_status collect_from(machine *m, size_t from, clipmdl_kind kind)
{
    const uint32_t made = (uint32_t)m->out->n;
    if (kind == CLIPMDL_DICT && (m->depth - from) % 2 != 0)
        return fault(m, "a key without a value");
    TRY(push_new(m, (clipmdl_value){.kind = kind}));
    m->depth--; /* items first */
    TRY(give_items(m, made, from));
    return push(m, made);
}

static clip_status collect(machine *m, const argument *a, int kind)
{
    size_t from = 0;
    (void)a;
    TRY(take_mark(m, &from));
    return collect_from(m, from, (clipmdl_kind)kind);
}

static clip_status tuple(machine *m, const argument *a, int n)
{
    (void)a;
    TRY(need(m, (size_t)n));
    return collect_from(m, m->depth - (size_t)n, CLIPMDL_TUPLE);
}

/* Items from `from` on into the list or set below them. What is appended to an object of an unknown
 * class is left out: nobody asks for it. */
static clip_status append_from(machine *m, size_t from)
{
    const uint32_t to = m->stack[from - 1];
    const clipmdl_kind kind = m->out->value[to].kind;
    if (kind == CLIPMDL_CALL) {
        m->depth = from;
        return CLIP_OK;
    }
    return kind == CLIPMDL_LIST || kind == CLIPMDL_SET ? give_items(m, to, from)
                                                       : fault(m, "items for what is neither a list nor a set");
}

static clip_status set_from(machine *m, size_t from)
{
    const uint32_t to = m->stack[from - 1];
    const clipmdl_kind kind = m->out->value[to].kind;
    if ((m->depth - from) % 2 != 0)
        return fault(m, "a key without a value");
    return kind == CLIPMDL_DICT || kind == CLIPMDL_CALL ? give_items(m, to, from)
                                                        : fault(m, "keys for what is not a dict");
}

/* extra: how many; 0: all above the mark */
static clip_status items_begin(machine *m, int extra, size_t *from)
{
    if (extra == 0) {
        TRY(take_mark(m, from));
        const size_t below = m->marks ? m->mark[m->marks - 1] : 0;
        return *from > below ? CLIP_OK : fault(m, "the stack has too few values");
    }
    TRY(need(m, (size_t)extra + 1));
    *from = m->depth - (size_t)extra;
    return CLIP_OK;
}

static clip_status append(machine *m, const argument *a, int extra)
{
    size_t from = 0;
    (void)a;
    TRY(items_begin(m, extra, &from));
    return append_from(m, from);
}

static clip_status set_items(machine *m, const argument *a, int extra)
{
    size_t from = 0;
    (void)a;
    TRY(items_begin(m, extra, &from));
    return set_from(m, from);
}

static bool is_text_at(const machine *m, size_t at) { return m->out->value[m->stack[at]].kind == CLIPMDL_TEXT; }

static clip_status stack_global(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    TRY(need(m, 2));
    if (!is_text_at(m, m->depth - 1) || !is_text_at(m, m->depth - 2))
        return fault(m, "the name of a global is not a text");
    const uint32_t module = m->stack[m->depth - 2], name = m->stack[m->depth - 1];
    m->depth -= 2;
    return push_new(m, (clipmdl_value){.kind = CLIPMDL_GLOBAL, .global = {module, name}});
}

static clip_status line_global(machine *m, const argument *a, int extra)
{
    TRY(push_text(m, a, CLIPMDL_TEXT));
    TRY(push_text(m, &(argument){.text = a->second, .length = a->second_length}, CLIPMDL_TEXT));
    return stack_global(m, a, extra);
}

/* What would be called stands below its arguments. extra: values above the arguments. */
static clip_status call(machine *m, const argument *a, int extra)
{
    (void)a;
    TRY(need(m, 2 + (size_t)extra));
    m->depth -= 2 + (size_t)extra;
    const uint32_t made_by = m->stack[m->depth], with = m->stack[m->depth + 1];
    return push_new(m, (clipmdl_value){.kind = CLIPMDL_CALL, .call = {made_by, with, NONE}});
}

static clip_status build(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    TRY(need(m, 2));
    const uint32_t state = m->stack[--m->depth], to = m->stack[m->depth - 1];
    if (m->out->value[to].kind != CLIPMDL_CALL)
        return fault(m, "a state for what is not an object");
    m->out->value[to].call.state = state;
    return CLIP_OK;
}

static clip_status persistent(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    TRY(need(m, 1));
    const uint32_t id = m->stack[--m->depth];
    return push_new(m, (clipmdl_value){.kind = CLIPMDL_PERSISTENT, .id = id});
}

static clip_status get(machine *m, const argument *a, int extra)
{
    (void)extra;
    if (a->number >= m->memos || m->memo[a->number] == NOWHERE)
        return fault(m, "a value that the memo does not have");
    return push(m, m->memo[a->number]);
}

static clip_status put_at(machine *m, uint64_t place)
{
    TRY(need(m, 1));
    if (place >= MOST_MEMO)
        return too_much(m, "values in its memo", MOST_MEMO);
    /* writers count; a gap costs no more than the pickle is long */
    if (place > (uint64_t)(m->end - m->begin))
        return fault(m, "a place in the memo beyond all that can be");
    if (clipb_grow((void **)&m->memo, &m->memo_capacity, (size_t)place + 1, sizeof *m->memo) < 0)
        return no_memory(m);
    while (m->memos <= place)
        m->memo[m->memos++] = NOWHERE;
    m->memo[place] = m->stack[m->depth - 1];
    return CLIP_OK;
}

static clip_status put(machine *m, const argument *a, int extra)
{
    (void)extra;
    return put_at(m, a->number);
}

static clip_status memoize(machine *m, const argument *a, int extra)
{
    (void)a, (void)extra;
    return put_at(m, m->memos);
}

/* ---- The table ------------------------------------------------------------------------------- */

static const struct operation {
    action *act; /* NULL: not known */
    form form;
    int extra;
} operations[256] = {
    [0x80] = {protocol, NUMBER_1, 0},
    [0x95] = {nothing, NUMBER_8, 0}, /* a frame: for programs that read in pieces */
    ['.'] = {stop, NOTHING, 0},
    ['N'] = {push_known, NOTHING, NONE},
    [0x88] = {push_known, NOTHING, TRUE_VALUE},
    [0x89] = {push_known, NOTHING, FALSE_VALUE},
    [')'] = {push_known, NOTHING, NO_ITEMS},
    ['J'] = {push_number, SIGNED_4, CLIPMDL_INT},
    ['K'] = {push_number, NUMBER_1, CLIPMDL_INT},
    ['M'] = {push_number, NUMBER_2, CLIPMDL_INT},
    ['G'] = {push_number, NUMBER_8, CLIPMDL_FLOAT},
    [0x8a] = {push_long, TEXT_1, 0},
    [0x8b] = {push_long, TEXT_4, 0},
    ['X'] = {push_text, TEXT_4, CLIPMDL_TEXT},
    [0x8c] = {push_text, TEXT_1, CLIPMDL_TEXT},
    [0x8d] = {push_text, TEXT_8, CLIPMDL_TEXT},
    ['T'] = {push_text, TEXT_4, CLIPMDL_TEXT}, /* strings of Python 2 */
    ['U'] = {push_text, TEXT_1, CLIPMDL_TEXT},
    ['B'] = {push_text, TEXT_4, CLIPMDL_BYTES},
    ['C'] = {push_text, TEXT_1, CLIPMDL_BYTES},
    [0x8e] = {push_text, TEXT_8, CLIPMDL_BYTES},
    [0x96] = {push_text, TEXT_8, CLIPMDL_BYTES},
    [']'] = {push_empty, NOTHING, CLIPMDL_LIST},
    ['}'] = {push_empty, NOTHING, CLIPMDL_DICT},
    [0x8f] = {push_empty, NOTHING, CLIPMDL_SET},
    ['('] = {mark, NOTHING, 0},
    ['0'] = {pop, NOTHING, 0},
    ['1'] = {pop_mark, NOTHING, 0},
    ['2'] = {duplicate, NOTHING, 0},
    ['t'] = {collect, NOTHING, CLIPMDL_TUPLE},
    ['l'] = {collect, NOTHING, CLIPMDL_LIST},
    ['d'] = {collect, NOTHING, CLIPMDL_DICT},
    [0x91] = {collect, NOTHING, CLIPMDL_SET},
    [0x85] = {tuple, NOTHING, 1},
    [0x86] = {tuple, NOTHING, 2},
    [0x87] = {tuple, NOTHING, 3},
    ['a'] = {append, NOTHING, 1},
    ['e'] = {append, NOTHING, 0},
    [0x90] = {append, NOTHING, 0},
    ['s'] = {set_items, NOTHING, 2},
    ['u'] = {set_items, NOTHING, 0},
    ['c'] = {line_global, LINES, 0},
    [0x93] = {stack_global, NOTHING, 0},
    ['R'] = {call, NOTHING, 0},
    [0x81] = {call, NOTHING, 0},
    [0x92] = {call, NOTHING, 1},
    ['b'] = {build, NOTHING, 0},
    ['Q'] = {persistent, NOTHING, 0},
    ['h'] = {get, NUMBER_1, 0},
    ['j'] = {get, NUMBER_4, 0},
    ['q'] = {put, NUMBER_1, 0},
    ['r'] = {put, NUMBER_4, 0},
    [0x94] = {memoize, NOTHING, 0},
};

static clip_status read_number(machine *m, size_t bytes, uint64_t *out)
{
    *out = 0;
    if ((size_t)(m->end - m->at) < bytes)
        return fault(m, "it ends here: the file is cut short");
    for (size_t i = 0; i < bytes; i++)
        *out |= (uint64_t)m->at[i] << 8 * i;
    m->at += bytes;
    return CLIP_OK;
}

static clip_status read_text(machine *m, size_t bytes, argument *a)
{
    uint64_t length;
    TRY(read_number(m, bytes, &length));
    if (length > (uint64_t)(m->end - m->at))
        return fault(m, "a text that ends beyond the pickle: the file is cut short");
    a->text = (const char *)m->at;
    a->length = (size_t)length;
    m->at += length;
    return CLIP_OK;
}

static clip_status read_line(machine *m, const char **text, size_t *length)
{
    const unsigned char *end = m->at < m->end ? memchr(m->at, '\n', (size_t)(m->end - m->at)) : NULL;
    if (!end)
        return fault(m, "a line without an end: the file is cut short");
    *text = (const char *)m->at;
    *length = (size_t)(end - m->at);
    m->at = end + 1;
    return CLIP_OK;
}

static clip_status read_argument(machine *m, form f, argument *a)
{
    static const size_t bytes[] = {[NUMBER_1] = 1, [NUMBER_2] = 2, [NUMBER_4] = 4, [SIGNED_4] = 4, [NUMBER_8] = 8,
                                   [TEXT_1] = 1,   [TEXT_4] = 4,   [TEXT_8] = 8};
    *a = (argument){0};
    if (f == NOTHING)
        return CLIP_OK;
    if (f == LINES) {
        TRY(read_line(m, &a->text, &a->length));
        return read_line(m, &a->second, &a->second_length);
    }
    if (f >= TEXT_1)
        return read_text(m, bytes[f], a);
    TRY(read_number(m, bytes[f], &a->number));
    if (f == SIGNED_4)
        a->number = (uint64_t)(int64_t)(int32_t)a->number;
    return CLIP_OK;
}

static clip_status run(machine *m)
{
    static const clipmdl_value known[FIRST_FREE] = {
        {.kind = CLIPMDL_NONE}, {.kind = CLIPMDL_BOOL}, {.kind = CLIPMDL_BOOL, .number = 1}, {.kind = CLIPMDL_TUPLE}};
    for (int i = 0; i < FIRST_FREE; i++)
        TRY(push_new(m, known[i]));
    m->depth = 0;
    if (clipb_grow((void **)&m->out->cell, &m->out->cell_capacity, 1, sizeof *m->out->cell) < 0)
        return no_memory(m);
    m->out->cells = 1; /* cell 0 stands for none */
    while (!m->stopped) {
        argument a;
        if (m->at == m->end)
            return fault(m, "it ends here: the file is cut short");
        const struct operation *o = &operations[*m->at];
        if (!o->act)
            return clipb_fail(m->err, CLIP_EFORMAT, m->file, "byte %zu of the pickle: the operation 0x%02x is not "
                              "one of protocols 2 to 5", (size_t)(m->at - m->begin), *m->at);
        m->at++;
        TRY(read_argument(m, o->form, &a));
        TRY(o->act(m, &a, o->extra));
    }
    return CLIP_OK;
}

clip_status clipmdl_pickle_read(const unsigned char *data, size_t size, const char *file, clipmdl_pickle *out,
                                clip_error *err)
{
    *out = (clipmdl_pickle){0};
    machine m = {.at = data, .begin = data, .end = data + size, .file = file, .err = err, .out = out};
    const clip_status s = run(&m);
    out->bytes = (size_t)(m.at - m.begin);
    free(m.stack);
    free(m.mark);
    free(m.memo);
    if (s < 0)
        clipmdl_pickle_free(out);
    return s;
}

void clipmdl_pickle_free(clipmdl_pickle *p)
{
    free(p->value);
    free(p->cell);
    *p = (clipmdl_pickle){0};
}

/* ---- Looking at values ----------------------------------------------------------------------- */

bool clipmdl_is_text(const clipmdl_value *v, const char *text)
{
    const size_t n = strlen(text);
    return v->kind == CLIPMDL_TEXT && v->text.length == n && memcmp(v->text.p, text, n) == 0;
}

bool clipmdl_is_global(const clipmdl_pickle *p, const clipmdl_value *v, const char *module, const char *name)
{
    return v->kind == CLIPMDL_GLOBAL && clipmdl_is_text(&p->value[v->global.module], module) &&
           clipmdl_is_text(&p->value[v->global.name], name);
}

int clipmdl_items(const clipmdl_pickle *p, const clipmdl_value *v, int most, uint32_t *item)
{
    int n = 0;
    for (uint32_t c = v->first; c; c = p->cell[c].next) {
        if (n == most)
            return most + 1;
        item[n++] = p->cell[c].value;
    }
    return n;
}
