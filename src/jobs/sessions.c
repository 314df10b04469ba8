/* jobs/sessions.c - the access keys of sessions that have ended: they end in droves, and share one change. */
#include <stdio.h>

#include "commit/event.h"
#include "jobs/internal.h"

/* One event for all: that a session has ended was said when it was made. */
static enum kms_status add_rows(struct jobs *j, const struct due *list, size_t n,
                                struct change *change, struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++) {
        const struct access_key_record *k = book_access_key(j->parts.identities,
                                                            bytes_str(list[i].key_id));
        if (k == NULL || k->session.kind == SESSION_NONE)
            continue;
        struct row *gone = change_add(change, ROW_ACCESS_KEY_DELETE);
        gone->access_key = access_key_record_clone(k);
        gone->expected_version = k->version;
        if (gone->access_key == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a session");
    }
    return KMS_OK;
}

enum kms_status sessions_plan(struct jobs *j, struct task *t, const struct due *list, size_t n,
                              struct kms_error *reterr)
{
    enum { EVENT_BYTES = 4096 };
    struct change *change = &t->job.change;
    char           extra[48];

    t->work = WORK_SESSIONS;
    t->job.takes_away = true;
    buf_init(&change->event, EVENT_BYTES);
    epoch_enter(j->parts.epoch, j->reader);
    enum kms_status status = add_rows(j, list, n, change, reterr);
    epoch_leave(j->parts.epoch, j->reader);
    TRY(status);
    t->things = change->n_rows;
    if (t->things == 0)
        return KMS_OK;
    if (!clock_certain(j->parts.clock))
        return KMS_FAIL(reterr, KMS_E_TIMEOUT, "the time is in doubt");
    int len = snprintf(extra, sizeof extra, "{\"sessions\":%zu}", t->things);
    service_event_text(&change->event, clock_now(j->parts.clock), "TrentSessionsRemoved",
                       (struct bytes){ NULL, 0 }, bytes_of(extra, (size_t)len));
    return KMS_OK;
}
