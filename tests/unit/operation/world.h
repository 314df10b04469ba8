/* A server without a network: vault, store and directory as they are, and what request.c and the
 * committer do around an operation in a few lines, so that what an operation changes is seen by the
 * next one. */
#pragma once

#include "authz/authz.h"
#include "body.h"
#include "identity/book.h"

#define ACCOUNT "111122223333"
#define REGION  "us-east-1"

struct world {
    char                  dir[64];
    struct clock         *clock;
    struct epoch         *epoch;
    int                   reader;
    struct vault         *vault;
    struct store         *store;
    struct directory     *directory;
    struct identity_book *identities;
    struct op_env         env;
    const char           *account; /* of the callers from now on */
    const char           *region;
    /* of the last world_call */
    struct buf       answer;
    struct kms_error err;
};

/* For cmocka's group setup: OpenSSL. */
int world_start(void **state);
int world_stop(void **state);
/* For cmocka's test setup; *state is the world. */
int world_open(void **state);
int world_close(void **state);
/* Reads store and directory anew, as a restart does. */
void world_reopen(struct world *w);
/* Moves the clock of the key life cycle. */
void world_wait(struct world *w, int64_t ms);

/* One request as far as finish. Calls that are started one after the other and committed later are
 * requests at the same time. */
struct run {
    struct op_call     call;
    struct body        body;
    struct buf         scratch;
    struct buf         answer;
    struct json_writer writer;
    struct change      change;
    struct kms_error   err;
};
enum kms_status run_start(struct world *w, struct run *r, const char *operation, const char *body);
/* KMS_E_CHANGED when another one was faster. */
enum kms_status run_commit(struct world *w, struct run *r);
void run_release(struct run *r);

/* The whole request, again for as long as others are faster. */
enum kms_status world_call(struct world *w, const char *operation, const char *body);
__attribute__((format(printf, 3, 4))) enum kms_status world_callf(struct world *w,
                                                                  const char   *operation,
                                                                  const char   *fmt, ...);
/* It must succeed; the answer, NUL-terminated. */
__attribute__((format(printf, 3, 4))) const char *world_ok(struct world *w, const char *operation,
                                                           const char *fmt, ...);
/* It must be refused so; `message` "" for none. */
void world_refused(struct world *w, const char *operation, const char *body, enum kms_status status,
                   const char *message);

/* The text of the first "name":"..." of the last answer; valid until the next call of this. */
const char *world_text(struct world *w, const char *name);
/* A new key's id: CreateKey with these members ("" for none), in memory of the caller. */
void world_key(struct world *w, const char *members, char ret_id[KEY_ID_MAX + 1]);
/* The record, as the directory has it now. */
const struct key_record *world_record(struct world *w, const char *id);
