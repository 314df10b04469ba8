/* tests/unit/audit/fixture.h - an audit folder of its own for each test, with a key whose seed is
 * known (RFC 8032 test 1), and ways to look at what is in the files. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "audit/audit.h"
#include "audit/files.h"
#include "audit/format.h"
#include "audit/verify.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "crypto/crypto.h"

struct fixture {
    char                home[64]; /* made by mkdtemp, removed at the end */
    char                dir[128]; /* home/audit */
    struct clock       *clock;
    struct audit_config config;
    struct audit       *audit; /* NULL while closed */
    struct audit_head   head;
    unsigned            events; /* made so far */
};

extern const uint8_t fixture_node[16];
extern const uint8_t fixture_public_key[32];
extern const uint8_t fixture_seed[32];

/* Signs with the seed that `ctx` points to (32 bytes). */
enum kms_status fixture_sign(void *ctx, struct bytes message, uint8_t ret[64],
                             struct kms_error *reterr);

/* For cmocka_unit_test_setup_teardown: *state is the fixture; the folder exists, nothing is open. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_open(struct fixture *f); /* asserts that it opens */
void fixture_close(struct fixture *f);
/* Opening must fail; returns the detail (valid until the next call). */
const char *fixture_refused(struct fixture *f);

/* An event text of typical size; the n-th of the fixture. */
void fixture_event(struct fixture *f, struct buf *out);
/* Appends n events, one by one; asserts. */
void fixture_append(struct fixture *f, unsigned n, bool sync);

/* Verifies with the defaults: everything, no witness, no tail allowed. */
struct audit_report fixture_verify(const struct fixture *f);
#define assert_verdict(report, want)                                                               \
    do {                                                                                           \
        struct audit_report got_ = (report);                                                       \
        if (got_.verdict != (want))                                                                \
            fail_msg("verdict %s: %s", audit_verdict_name(got_.verdict), got_.why);                \
    } while (0)

/* Name of the i-th file; its content; replacing it. */
void fixture_file(const struct fixture *f, size_t i, char path[FILE_PATH_MAX]);
size_t fixture_files(const struct fixture *f);
void fixture_read(const char *path, struct buf *ret);
void fixture_write(const char *path, struct bytes content);
