/* tests/unit/identity/fixture.h - a book of identities, and records to put into it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "identity/book.h"

#define ACCOUNT BYTES_LIT("111122223333")
#define OTHER   BYTES_LIT("444455556666")

struct world {
    struct epoch         *epoch;
    struct identity_book *b;
    uint64_t              serial;
};

/* For cmocka_unit_test_setup_teardown: *state is a world with these two accounts. */
int world_begin(void **state);
int world_end(void **state);
/* As the committer does after a batch. */
void settle(struct world *w);

/* A record that nobody owns yet, with the next serial. `path` "/", "/team/". */
struct identity_record *make_identity(struct world *w, enum identity_kind kind,
                                      struct bytes account, const char *path, const char *name,
                                      const char *unique_id);
/* The same, put into the book. */
void put_identity(struct world *w, enum identity_kind kind, struct bytes account, const char *path,
                  const char *name, const char *unique_id);
struct access_key_record *make_access_key(struct world *w, const char *id, struct bytes account,
                                          const char *principal_id);
/* One document in the record, where there was none. */
void set_document(struct identity_record *r, const char *name, const char *text);
