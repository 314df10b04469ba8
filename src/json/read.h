/* json/read.h - strict JSON reading (yyjson inside; nobody else sees it).
 *
 * Parses in place: strings are views into the text, which is modified, so a plaintext exists once and
 * is wiped with its buffer. Refused besides what JSON itself refuses: duplicate member names, invalid
 * UTF-8, NUL in strings, depth over LIMIT_JSON_DEPTH, more than LIMIT_JSON_VALUES values.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct json_doc;

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* A value inside a document; valid as long as the document and the text. */
struct json {
    void *node; /* NULL: no such value */
};

/* A reusable parser: keeps its memory between documents, so that parsing does not allocate. */
struct json_doc *json_doc_new(void);
void json_doc_free(struct json_doc *doc);
void json_doc_freep(struct json_doc **doc);

/* Parses `text`, whose buffer must have 4 writable bytes after `len` (yyjson's padding; what was in
 * them is put back). The text is modified. KMS_E_SERIALIZATION without message for anything that is
 * not strict JSON. Values of an earlier parse with the same doc become invalid. */
KMS_MUST_CHECK enum kms_status json_parse(struct json_doc *doc, uint8_t *text, size_t len,
                                          struct json *ret_root, struct kms_error *reterr);
enum { JSON_PADDING = 4 };
/* Where in the text the last json_parse that refused something found it: bytes from its beginning. */
size_t json_error_at(const struct json_doc *doc);
/* The first string in a value, itself or a member name perhaps, which lies in the text: for messages
 * that say where. NULL if there is none in it. */
const uint8_t *json_near(struct json v);

enum json_type json_type(struct json v);
/* Member of an object by name; node NULL if absent or v is not an object. */
struct json json_member(struct json v, const char *name);
size_t json_count(struct json v); /* elements of an array, members of an object */

/* Iterating arrays and objects: names are set for objects only, {NULL, 0} for arrays; ret_name may be
 * NULL. Other values have nothing to iterate. */
struct json_iter {
    void  *at;
    size_t left;
    bool   object;
};
struct json_iter json_iterate(struct json v);
bool json_next(struct json_iter *it, struct bytes *ret_name, struct json *ret_value);

struct bytes json_string(struct json v); /* JSON_STRING only */
bool json_bool(struct json v);           /* JSON_BOOL only   */
/* JSON_INT: exact value if it fits int64; false otherwise. (Integers beyond 64 bits are JSON_REAL.) */
KMS_MUST_CHECK bool json_int(struct json v, int64_t *ret);
double json_number(struct json v); /* JSON_INT or JSON_REAL */
