/* tests/unit/crypto/vectors.h - reads Wycheproof files (JSON: groups of tests) for our wrappers. */
#pragma once

#include <yyjson.h>

#include "base/bytes.h"

enum { VECTOR_MAX = 8192 };

/* A value written in hex. */
struct vector_value {
    uint8_t b[VECTOR_MAX];
    size_t  len;
};

/* The member of that name, decoded; fails the test if there is none. */
struct bytes vector_hex(yyjson_val *object, const char *name, struct vector_value *room);
uint64_t vector_number(yyjson_val *object, const char *name);
bool vector_is(yyjson_val *object, const char *name, const char *want);

/* Calls fn for every test of a file; skips the test when the vectors are not on this machine. */
void vectors_each(const char *file, void (*fn)(yyjson_val *group, yyjson_val *test, void *ctx),
                  void       *ctx);

/* A file of what was recorded of the real service; the caller frees it. Skips the test like vectors_each. */
yyjson_doc *vectors_reference(const char *file);
