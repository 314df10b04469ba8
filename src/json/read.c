/* json/read.c - see read.h. The only user of yyjson.
 *
 * yyjson keeps the values of a document as one array in the order of the text, a container before
 * its contents and a name before its value; the checks that yyjson does not make are one walk along
 * that array, without recursion.
 *
 * Invariants:
 *   R1  All memory of a document is one block, which stays with the doc for the next text.
 *   R2  The bytes behind the text that yyjson needs as padding are put back: in a connection's
 *       buffer they are the beginning of the next request.
 */
#include "json/read.h"

#include <stdlib.h>
#include <yyjson.h>

#include "base/cleanup.h"
#include "base/limits.h"

enum {
    BLOCK_KEPT = 64 * 1024, /* larger blocks are given back: one big text must not cost for ever */
    PAIRWISE = 8,           /* objects up to this size are compared pair by pair, others sorted   */
};

struct json_doc {
    uint8_t *block;
    size_t   cap;
    bool     taken;
    size_t   error_at;
};

_Static_assert((int)JSON_PADDING == YYJSON_PADDING_SIZE, "read.h promises yyjson's padding");

static void block_release(struct json_doc *doc)
{
    if (doc->block != NULL)
        explicit_bzero(doc->block, doc->cap);
    free(doc->block);
    doc->block = NULL;
    doc->cap = 0;
}

static void *doc_malloc(void *ctx, size_t size)
{
    struct json_doc *doc = ctx;

    if (doc->taken)
        return NULL; /* R1: in-situ reading asks for one block */
    if (size > doc->cap) {
        block_release(doc);
        doc->block = malloc(size);
        if (doc->block == NULL)
            return NULL;
        doc->cap = size;
    }
    doc->taken = true;
    return doc->block;
}

static void *doc_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    struct json_doc *doc = ctx;

    (void)ptr;
    if (size <= doc->cap)
        return doc->block;
    uint8_t *grown = malloc(size);
    if (grown == NULL)
        return NULL;
    memcpy(grown, doc->block, old_size);
    block_release(doc);
    doc->block = grown;
    doc->cap = size;
    return grown;
}

static void doc_free(void *ctx, void *ptr)
{
    struct json_doc *doc = ctx;

    (void)ptr;
    doc->taken = false;
}

struct json_doc *json_doc_new(void)
{
    return calloc(1, sizeof(struct json_doc));
}

void json_doc_free(struct json_doc *doc)
{
    if (doc == NULL)
        return;
    block_release(doc);
    free(doc);
}

void json_doc_freep(struct json_doc **doc)
{
    json_doc_free(*doc);
    *doc = NULL;
}

static yyjson_val *node(struct json v)
{
    return v.node;
}

static struct bytes text_of(yyjson_val *v)
{
    return bytes_of(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v));
}

static int name_order(const void *a, const void *b)
{
    const struct bytes *x = a;
    const struct bytes *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->len == 0 ? 0 : memcmp(x->ptr, y->ptr, x->len);
}

/* The values of an object's members may be containers: the next name is found by skipping. */
static yyjson_val *next_name(yyjson_val *name)
{
    return unsafe_yyjson_get_next(name + 1);
}

static enum kms_status duplicate(struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "json: the same member name twice");
}

static enum kms_status unique_small(yyjson_val *object, const uint8_t **ret_wrong,
                                    struct kms_error *reterr)
{
    UNINITIALIZED struct bytes names[PAIRWISE];
    size_t                     n = unsafe_yyjson_get_len(object);
    yyjson_val                *name = object + 1;

    for (size_t i = 0; i < n; i++, name = next_name(name)) {
        names[i] = text_of(name);
        for (size_t k = 0; k < i; k++) {
            if (!bytes_eq(names[k], names[i]))
                continue;
            *ret_wrong = names[i].ptr;
            return duplicate(reterr);
        }
    }
    return KMS_OK;
}

/* Sorting keeps the cost of a hostile object with thousands of members near linear. */
static enum kms_status unique_large(yyjson_val *object, const uint8_t **ret_wrong,
                                    struct kms_error *reterr)
{
    size_t        n = unsafe_yyjson_get_len(object);
    struct bytes *names = malloc(n * sizeof *names);
    yyjson_val   *name = object + 1;
    bool          twice = false;

    if (names == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "json: no memory for %zu names", n);
    for (size_t i = 0; i < n; i++, name = next_name(name))
        names[i] = text_of(name);
    qsort(names, n, sizeof *names, name_order);
    for (size_t i = 1; i < n && !twice; i++) {
        twice = bytes_eq(names[i - 1], names[i]);
        if (twice) /* the later one */
            *ret_wrong = names[i - 1].ptr > names[i].ptr ? names[i - 1].ptr : names[i].ptr;
    }
    free(names);
    return twice ? duplicate(reterr) : KMS_OK;
}

static enum kms_status unique_names(yyjson_val *object, const uint8_t **ret_wrong,
                                    struct kms_error *reterr)
{
    return unsafe_yyjson_get_len(object) <= PAIRWISE ? unique_small(object, ret_wrong, reterr)
                                                     : unique_large(object, ret_wrong, reterr);
}

static bool has_nul(yyjson_val *v)
{
    struct bytes text = text_of(v);

    return text.len > 0 && memchr(text.ptr, 0, text.len) != NULL;
}

/* What strict JSON in our sense asks beyond what yyjson refused: depth, unique names and, where the
 * text had escapes at all, no NUL. */
static enum kms_status check_values(yyjson_val *values, size_t n, bool escapes,
                                    const uint8_t **ret_wrong, struct kms_error *reterr)
{
    UNINITIALIZED size_t left[LIMIT_JSON_DEPTH]; /* values still to come in each open container */
    unsigned             depth = 0;

    for (size_t i = 0; i < n; i++) {
        yyjson_val *v = values + i;
        if (unsafe_yyjson_is_str(v))
            *ret_wrong = text_of(v).ptr; /* nothing is wrong yet; if something is, it is here */
        if (escapes && unsafe_yyjson_is_str(v) && has_nul(v))
            return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "json: NUL in a string");
        if (depth > 0)
            left[depth - 1]--;
        if (unsafe_yyjson_is_ctn(v)) {
            if (depth == LIMIT_JSON_DEPTH)
                return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "json: nested too deep");
            bool object = unsafe_yyjson_is_obj(v);
            if (object)
                TRY(unique_names(v, ret_wrong, reterr));
            left[depth++] = unsafe_yyjson_get_len(v) * (object ? 2 : 1);
        }
        while (depth > 0 && left[depth - 1] == 0)
            depth--;
    }
    return KMS_OK;
}

enum kms_status json_parse(struct json_doc *doc, uint8_t *text, size_t len, struct json *ret_root,
                           struct kms_error *reterr)
{
    const yyjson_alc alc = { doc_malloc, doc_realloc, doc_free, doc };
    yyjson_read_err  err = { 0 };
    uint8_t          behind[JSON_PADDING];

    doc->taken = false;
    doc->error_at = 0;
    if (doc->cap > BLOCK_KEPT)
        block_release(doc);
    if (len == 0)
        return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "json: no text");

    bool escapes = memchr(text, '\\', len) != NULL;
    memcpy(behind, text + len, sizeof behind);
    yyjson_doc *read = yyjson_read_opts((char *)text, len, YYJSON_READ_INSITU, &alc, &err);
    memcpy(text + len, behind, sizeof behind); /* R2 */
    if (read == NULL) {
        doc->error_at = err.pos;
        bool memory = err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
        return KMS_FAIL(reterr, memory ? KMS_E_INTERNAL : KMS_E_SERIALIZATION,
                        "json: %s at byte %zu", err.msg, err.pos);
    }

    size_t n = yyjson_doc_get_val_count(read);
    if (n > LIMIT_JSON_VALUES)
        return KMS_FAIL(reterr, KMS_E_SERIALIZATION, "json: %zu values", n);
    yyjson_val     *root = yyjson_doc_get_root(read);
    const uint8_t  *wrong = text;
    enum kms_status status = check_values(root, n, escapes, &wrong, reterr);
    doc->error_at = (size_t)(wrong - text);
    TRY(status);
    ret_root->node = root;
    return KMS_OK;
}

size_t json_error_at(const struct json_doc *doc)
{
    return doc->error_at;
}

const uint8_t *json_near(struct json v)
{
    yyjson_val *at = node(v);

    if (at == NULL)
        return NULL;
    for (const yyjson_val *end = unsafe_yyjson_get_next(at); at < end; at++) {
        if (unsafe_yyjson_is_str(at))
            return text_of(at).ptr;
    }
    return NULL;
}

enum json_type json_type(struct json v)
{
    switch (yyjson_get_type(node(v))) {
    case YYJSON_TYPE_BOOL: return JSON_BOOL;
    case YYJSON_TYPE_NUM:  return yyjson_is_real(node(v)) ? JSON_REAL : JSON_INT;
    case YYJSON_TYPE_STR:  return JSON_STRING;
    case YYJSON_TYPE_ARR:  return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:  return JSON_OBJECT;
    default:               return JSON_NULL;
    }
}

/* Asked for every member that a request may have, most of which it has not: the first letter says so
 * before anything is counted. yyjson ends strings with a NUL, so that an empty one has a first letter. */
struct json json_member(struct json v, const char *name)
{
    if (!yyjson_is_obj(node(v)))
        return (struct json){ NULL };
    yyjson_val *at = node(v) + 1;
    for (size_t left = unsafe_yyjson_get_len(node(v)); left > 0; left--, at = next_name(at)) {
        struct bytes text = text_of(at);
        if (text.ptr[0] == (uint8_t)name[0] && bytes_eq_str(text, name))
            return (struct json){ at + 1 };
    }
    return (struct json){ NULL };
}

size_t json_count(struct json v)
{
    return yyjson_is_ctn(node(v)) ? unsafe_yyjson_get_len(node(v)) : 0;
}

struct json_iter json_iterate(struct json v)
{
    size_t n = json_count(v);

    return (struct json_iter){ n == 0 ? NULL : node(v) + 1, n, yyjson_is_obj(node(v)) };
}

bool json_next(struct json_iter *it, struct bytes *ret_name, struct json *ret_value)
{
    yyjson_val *at = it->at;

    if (it->left == 0)
        return false;
    if (ret_name != NULL)
        *ret_name = it->object ? text_of(at) : (struct bytes){ NULL, 0 };
    if (it->object)
        at++;
    ret_value->node = at;
    it->at = unsafe_yyjson_get_next(at);
    it->left--;
    return true;
}

struct bytes json_string(struct json v)
{
    return yyjson_is_str(node(v)) ? text_of(node(v)) : (struct bytes){ NULL, 0 };
}

bool json_bool(struct json v)
{
    return yyjson_get_bool(node(v));
}

bool json_int(struct json v, int64_t *ret)
{
    if (yyjson_is_sint(node(v))) {
        *ret = unsafe_yyjson_get_sint(node(v));
        return true;
    }
    if (!yyjson_is_uint(node(v)) || unsafe_yyjson_get_uint(node(v)) > INT64_MAX)
        return false;
    *ret = (int64_t)unsafe_yyjson_get_uint(node(v));
    return true;
}

double json_number(struct json v)
{
    return yyjson_get_num(node(v));
}
