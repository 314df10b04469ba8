/* Bodies of requests, as texts in a test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "operation/handlers.h"

struct body {
    struct json_doc *doc;
    uint8_t         *text; /* of the last parse; exactly as long as the text and its padding */
    struct json      root;
};

void body_init(struct body *b);
void body_release(struct body *b);
/* The text must be JSON. */
struct json body_parse(struct body *b, struct bytes text);
struct json body_str(struct body *b, const char *text);

/* n times the character, NUL-terminated; free() releases it. */
char *repeated(char c, size_t n);
/* printf into memory that free() releases. */
__attribute__((format(printf, 1, 2))) char *textf(const char *fmt, ...);

/* The row of an operation, which must be there. */
const struct operation *row_of(const char *name);
