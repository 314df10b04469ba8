/* tests/unit/store/fixture.h - a database of its own for each test, random records to put in, and
 * what comes out again. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "store/sqlite/internal.h"

struct fixture {
    char             dir[64]; /* made by mkdtemp, removed at the end */
    char             path[96];
    struct store    *store; /* NULL while closed */
    uint64_t         random;
    struct kms_error error; /* of what was refused last */
};

extern const uint8_t fixture_instance[16];

/* HMAC-SHA-256 under a fixed key. */
void fixture_mac(void *ctx, struct bytes row, uint8_t ret[32]);

/* For cmocka_unit_test_setup_teardown: *state is the fixture with a new, open store. */
int fixture_setup(void **state);
/* Likewise, without the database. */
int fixture_setup_closed(void **state);
int fixture_teardown(void **state);

void fixture_open(struct fixture *f); /* asserts that it opens */
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f);
/* Opening must fail; returns the detail. */
const char *fixture_refused(struct fixture *f);
/* Opens the closed file as any SQLite program would and runs SQL; asserts. */
void fixture_sql(const struct fixture *f, const char *sql);
/* Asserts that it succeeds and finds the database clean. */
void fixture_scrub(struct fixture *f);
/* How often `what` is in the database file and its WAL together. */
size_t fixture_occurrences(const struct fixture *f, struct bytes what);
/* Whole file content; free() it. */
uint8_t *fixture_file(const char *path, size_t *ret_len);
void fixture_write(const char *path, const void *content, size_t len);

#define assert_ok(f, expr)                                                                         \
    do {                                                                                           \
        if ((expr) != KMS_OK)                                                                      \
            fail_msg("%s: %s", #expr, (f)->error.detail);                                          \
    } while (0)
#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL)                                                        \
            fail_msg("'%s' is not in '%s'", (part), (text));                                       \
    } while (0)

/* --- random records; free() or *_free() unless a change takes them ---------------------------- */

uint64_t random_next(struct fixture *f);
uint64_t random_below(struct fixture *f, uint64_t n);
void random_fill(struct fixture *f, void *to, size_t len);

struct key_record *random_key(struct fixture *f);
struct alias_record *random_alias(struct fixture *f, const struct key_record *target);
struct import_key_record *random_import_key(struct fixture *f, const struct key_record *key);
struct grant_record *random_grant(struct fixture *f, const struct key_record *key);
struct tombstone *random_tombstone(struct fixture *f);
struct domain_key_record *random_domain(struct fixture *f);
struct account_record *random_account(struct fixture *f);
struct identity_record *random_identity(struct fixture *f, const struct account_record *account);
struct access_key_record *random_access_key(struct fixture              *f,
                                            const struct account_record *account);
void random_identity_edit(struct fixture *f, struct identity_record *r);
/* New random values in everything that an update may change, version + 1. */
void random_edit(struct fixture *f, struct key_record *k);

struct alias_record *alias_clone(const struct alias_record *a);

void assert_keys_equal(const struct key_record *a, const struct key_record *b);
void assert_aliases_equal(const struct alias_record *a, const struct alias_record *b);
void assert_import_keys_equal(const struct import_key_record *a, const struct import_key_record *b);
void assert_grants_equal(const struct grant_record *a, const struct grant_record *b);
void assert_tombstones_equal(const struct tombstone *a, const struct tombstone *b);
void assert_domains_equal(const struct domain_key_record *a, const struct domain_key_record *b);
void assert_accounts_equal(const struct account_record *a, const struct account_record *b);
void assert_identities_equal(const struct identity_record *a, const struct identity_record *b);
void assert_access_keys_equal(const struct access_key_record *a, const struct access_key_record *b);

/* --- in and out ------------------------------------------------------------------------------- */

/* Adds an event that the webhook is to be told, named by a letter. */
void fixture_add_caused(struct change *c, char name);
/* Applies one change; asserts that the batch succeeds and returns the change's result. */
enum kms_status fixture_apply(struct fixture *f, struct change *c);
/* A change of one row that owns `key` (a clone for DELETE), applied and released. */
enum kms_status put_key(struct fixture *f, enum row_kind kind, const struct key_record *key);
enum kms_status put_alias(struct fixture *f, enum row_kind kind, const struct alias_record *alias);
/* Inserts; writes the serial that it got into the record. */
void add_key(struct fixture *f, struct key_record *key);
void add_alias(struct fixture *f, struct alias_record *alias);

struct list {
    void **at;
    size_t n;
};
struct loaded_usage {
    struct key_usage_record record;
    char                    arn[KEY_ARN_MAX + 1]; /* of the key that it came with */
};
struct loaded {
    struct list keys, usages, aliases, import_keys, domains, accounts, identities, access_keys;
    struct list access_key_uses, grants, tombstones, events;
    uint64_t    last_event;
};
/* Loads everything; asserts. */
void loaded_from(struct fixture *f, struct loaded *ret);
void loaded_release(struct loaded *l);
/* The loaded key of this name; NULL if there is none. */
const struct key_record *loaded_key(const struct loaded *l, const struct key_record *like);
/* Loads and forgets. */
enum kms_status fixture_load(struct fixture *f);
/* Loading must fail; returns the detail. */
const char *fixture_load_refused(struct fixture *f);
