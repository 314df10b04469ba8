/* webhook/internal.h - shared by the files of this folder, and their tests. */
#pragma once

#include "base/encode.h"
#include "base/secret.h"
#include "webhook/webhook.h"

enum {
    RETRY_FIRST_MS = 1000,
    RETRY_LONGEST_MS = 5 * 60 * 1000,
    HOLDS_MAX = 256, /* keys whose events wait alone; if more were, everything waits */
    SECRET_MIN = 24,
    SECRET_MAX = 256,
};

/* --- backoff.c -------------------------------------------------------------------------------- */

/* How long to wait after so many failures in a row (at least 1): twice as long each time, up to
 * RETRY_LONGEST_MS, less up to a half by chance, so that many servers do not come back as one. */
int64_t retry_after_ms(unsigned failures, uint64_t chance);

/* A key whose next event was refused. Times are monotonic. */
struct hold {
    char     key_arn[KEY_ARN_MAX + 1];
    int64_t  at; /* of the event, as in struct delivery */
    int64_t  next_try;
    unsigned failures;
    bool     seen; /* since the cursor was set back */
};
struct holds {
    struct hold list[HOLDS_MAX];
    size_t      n;
};
/* NULL if it is not held. */
struct hold *hold_of(struct holds *h, struct bytes key_arn);
/* Notes one more refusal; NULL when there are too many keys. */
struct hold *hold_key(struct holds *h, const struct delivery *d, int64_t now, uint64_t chance);
void hold_end(struct holds *h, struct bytes key_arn); /* if it is held */
/* The earliest next_try; INT64_MAX for none. */
int64_t holds_next(const struct holds *h);
/* All are due now. */
void holds_hurry(struct holds *h, int64_t now);

/* Those whose events somebody else has taken out of the store would be due for ever. */
void holds_unsee(struct holds *h);
void holds_drop_unseen(struct holds *h);

enum verdict { VERDICT_TAKEN, VERDICT_REFUSED /* this event */, VERDICT_DOWN /* all */ };
enum verdict verdict_of(long status);

/* --- sign.c: as standardwebhooks.com has it --------------------------------------------------- */

/* The text of a secret file: a line, of which "whsec_" says that base64 follows. SECRET_MIN to SECRET_MAX
 * bytes. KMS_E_VALIDATION with the reason. */
KMS_MUST_CHECK enum kms_status webhook_secret_parse(struct bytes text, struct secret **ret,
                                                    struct kms_error *reterr);
KMS_MUST_CHECK enum kms_status webhook_secret_read(const char *path, struct secret **ret,
                                                   struct kms_error *reterr);

/* The headers of a post. */
struct webhook_headers {
    char        id[64], timestamp[64], signature[128];
    const char *list[5]; /* with the content type, NULL at the end */
};
/* `wall_s`: the machine's time, which the receiver compares with its own. */
void webhook_sign(struct secret *secret, const struct delivery *d, int64_t wall_s,
                  struct webhook_headers *ret);
