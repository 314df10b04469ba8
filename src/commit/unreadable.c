/* commit/unreadable.c - what the store could not read: said once, health is red, and it is tried again.
 *
 * A row that is not as we wrote it concerns its key alone: what asks for it is refused, and other keys go on.
 * Each is told of once, remembered, and read again with every look through the store. When it reads well, or is
 * gone, that is said too, and it is forgotten. A thousand of them are one trouble: of those beyond a few the log
 * says only that there are more.
 *
 * No memory is no damage: whoever asked asks again.
 */
#include "base/log.h"
#include "commit/internal.h"

enum { SAY_AGAIN_MS = 60 * 1000 };

static void count(struct committer *c)
{
    atomic_store(&c->counts.unreadable, c->unreadable.n + c->unreadable.due_fails);
}

/* At most once a minute. */
static bool may_say(int64_t *said_at)
{
    int64_t now = clock_monotonic_ms();

    if (*said_at != 0 && now - *said_at < SAY_AGAIN_MS)
        return false;
    *said_at = now;
    return true;
}

static bool is_noted(const struct unreadable *u, const struct key_want *want)
{
    for (size_t i = 0; i < u->n; i++) {
        if (key_want_same(&u->list[i], want))
            return true;
    }
    return false;
}

void commit_note_unreadable(struct committer *c, const struct key_want *want, uint64_t row,
                            const struct kms_error *why)
{
    const struct key_want by_row = { .kind = WANT_SERIAL, .serial = row };
    struct unreadable    *u = &c->unreadable;

    c->counts.load_failures++;
    if (why->status == KMS_E_MEMORY) {
        if (may_say(&u->shortage_said))
            log_error("commit: %s: what asks for it is refused or tried again", why->detail);
        return;
    }
    want = row != 0 ? &by_row : want;
    if (is_noted(u, want))
        return;
    if (u->n == UNREADABLE_MAX) {
        if (may_say(&u->more_said))
            log_error("commit: more keys cannot be loaded, %d were named: %s", UNREADABLE_MAX,
                      why->detail);
        return;
    }
    u->list[u->n++] = *want;
    count(c);
    log_error("commit: a key cannot be loaded, what asks for it is refused: %s", why->detail);
}

static void see_listed(void *ctx, const struct listed_key *key)
{
    (void)ctx;
    (void)key;
}

static void see_next(void *ctx, uint64_t serial)
{
    (void)ctx;
    (void)serial;
}

static enum kms_status try_again(struct store *store, const struct key_want *want)
{
    struct stored_key got = { .key = NULL };
    struct kms_error  err;

    if (want->kind == WANT_PAGE)
        return store->ops->list_keys(store, want, KEY_PAGE, see_listed, NULL, &err);
    if (want->kind == WANT_CHECK)
        return store->ops->next_keys(store, want->serial, COMMIT_LOOK, see_next, NULL, &err);
    enum kms_status status = store->ops->find_key(store, want, &got, &err);
    key_record_free(got.key);
    return status;
}

void commit_read_again(struct committer *c)
{
    struct unreadable *u = &c->unreadable;
    size_t             left = 0;

    for (size_t i = 0; i < u->n; i++) {
        if (try_again(c->parts.store, &u->list[i]) != KMS_OK)
            u->list[left++] = u->list[i];
    }
    if (left == u->n)
        return;
    log_info("commit: %zu keys that could not be loaded can be now, or are gone; %zu still cannot",
             u->n - left, left);
    u->n = left;
    count(c);
}

void commit_note_due(struct committer *c, enum kms_status status, const struct kms_error *why)
{
    struct unreadable *u = &c->unreadable;
    bool               fails = status != KMS_OK && status != KMS_E_MEMORY;

    if (status != KMS_OK && (fails != u->due_fails || may_say(&u->due_said)))
        log_error("commit: what falls due cannot be read, this is tried again: %s", why->detail);
    u->due_fails = fails;
    count(c);
}
