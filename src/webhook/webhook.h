/* webhook/webhook.h - tells somebody else's server what happened to keys (docs/events.md).
 *
 * What is to be told lies in the store from the change that caused it on, and leaves it when the
 * receiver has answered 2xx: nothing is lost over restarts, and some of it may be told twice, under the
 * same id. One thread sends one event at a time, in the order in which things happened. What the
 * receiver does not take is sent again for ever, later and later:
 *
 *   the receiver does not answer, or answers that it cannot now     everything waits
 *   it refuses one event (most of 4xx)                              the events of this key wait
 *
 * So the events of a key arrive in order, and one that cannot be digested does not stop the others.
 */
#pragma once

#include "commit/commit.h"

struct webhook;

struct webhook_config {
    const char *url;
    const char *secret_file;
    const char *ca_file; /* NULL: the certificate authorities of the system */
    bool        dev;     /* plain http to any host */
};

/* Checks everything and reads the secret. `config` is copied, its strings must outlive the webhook.
 * KMS_E_VALIDATION with the setting that is wrong. */
KMS_MUST_CHECK enum kms_status webhook_new(const struct webhook_config *config,
                                           struct webhook **ret, struct kms_error *reterr);
/* `waiting` events were in the store when it was opened. The committer must be running, and outlive the
 * thread; by the clock the age of what waits is told. */
KMS_MUST_CHECK enum kms_status webhook_start(struct webhook *w, struct committer *committer,
                                             struct clock *clock, size_t waiting,
                                             struct kms_error *reterr);
/* There are so many more: for struct committer_parts. */
void webhook_added(void *webhook, size_t n);
/* A reset has taken all of them away: none of them is sent any more, but for one that is being sent. For
 * struct committer_parts. */
void webhook_cleared(void *webhook);
/* Reads the secret again, and tries at once what waits. On failure the old secret stays. */
KMS_MUST_CHECK enum kms_status webhook_reload(struct webhook *w, struct kms_error *reterr);
/* Ends the thread within a second or two; what was told by then is noted. NULL is fine. */
void webhook_stop(struct webhook *w);
void webhook_free(struct webhook *w);

struct webhook_counts {
    uint64_t waiting, delivered, failed; /* failed: attempts */
    int64_t  oldest_ms;                  /* age of the oldest that waits; 0: nothing does */
    int64_t retry_ms; /* until everything is tried again; 0: the receiver is not known to be down */
};
void webhook_counts(struct webhook *w, struct webhook_counts *ret);
