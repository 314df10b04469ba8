/* commit/syncs.c - the syncs that come before a commit.
 *
 * Intents have to be on the disk before the commit that they are about, not before its statements: those take
 * about as long as a sync does. So a second thread syncs them, and the store asks for it with all rows in the
 * transaction. Where there are only slots, as with imports, the processors are busy with the next ones, and a
 * second thread would wait for one longer than the sync takes.
 */
#include "base/crash_point.h"
#include "commit/internal.h"

static enum kms_status sync_all(struct committer *c, struct kms_error *reterr)
{
    if (c->syncs.intents)
        TRY(audit_sync(c->parts.audit, reterr));
    return vault_sync(c->parts.vault, reterr);
}

static void sync_now(struct committer *c)
{
    c->syncs.status = sync_all(c, &c->syncs.error);
}

static void *syncs_main(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "intents");
    sync_now(arg);
    return NULL;
}

void commit_syncs_begin(struct committer *c)
{
    struct commit_syncs *s = &c->syncs;

    s->begun = true;
    s->status = KMS_OK;
    s->running = s->intents && pthread_create(&s->thread, NULL, syncs_main, c) == 0;
    if (!s->running)
        sync_now(c);
}

static void join(struct commit_syncs *s)
{
    if (s->running)
        (void)pthread_join(s->thread, NULL);
    s->running = false;
}

enum kms_status commit_syncs_end(void *committer, struct kms_error *reterr)
{
    struct committer    *c = committer;
    struct commit_syncs *s = &c->syncs;

    if (!s->begun)
        return KMS_OK; /* a transaction of the committer's own */
    join(s);
    if (s->status != KMS_OK) {
        *reterr = s->error;
        return s->status;
    }
    CRASH_POINT("commit-intent-written");
    return KMS_OK;
}

void commit_syncs_over(struct committer *c)
{
    join(&c->syncs);
    c->syncs.begun = c->syncs.intents = false;
}
