/* tests/unit/store/fixture.c - see fixture.h. */
#include "fixture.h"
#include "folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include "crypto/crypto.h"

const uint8_t fixture_instance[16] = { 0xc1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

void fixture_mac(void *ctx, struct bytes row, uint8_t ret[32])
{
    (void)ctx;
    crypto_hmac_sha256(BYTES_LIT("a key that only this test knows."), row, ret);
}

int fixture_setup_closed(void **state)
{
    static bool     ready; /* crypto is set up once per test program */
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    if (!ready && crypto_init(&f->error) != KMS_OK)
        fail_msg("%s", f->error.detail);
    ready = true;
    f->random = 0x9e3779b97f4a7c15;
    /* in memory if there is such a place: these tests sync some thousand times */
    (void)snprintf(f->dir, sizeof f->dir, "%s/trent-store-XXXXXX",
                   access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/trent.db", f->dir);
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    assert_int_equal(fixture_setup_closed(state), 0);
    struct fixture *f = *state;

    assert_ok(f, store_sqlite_create(f->path, fixture_instance, &f->error));
    fixture_open(f);
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    (void)folder_remove(f->dir);
    free(f);
    return 0;
}

void fixture_open(struct fixture *f)
{
    assert_null(f->store);
    assert_ok(
        f, store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL, &f->store, &f->error));
}

void fixture_close(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

const char *fixture_refused(struct fixture *f)
{
    struct store *store = NULL;

    assert_int_equal(
        store_sqlite_open(f->path, fixture_instance, fixture_mac, NULL, &store, &f->error),
        KMS_E_INTERNAL);
    assert_null(store);
    assert_true(strchr(f->error.detail, '\n') == NULL);
    return f->error.detail;
}

void fixture_sql(const struct fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char    *why = NULL;

    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

uint8_t *fixture_file(const char *path, size_t *ret_len)
{
    FILE       *in = fopen(path, "rb");
    struct stat st;
    uint8_t    *content = NULL;

    *ret_len = 0;
    if (in == NULL)
        return NULL;
    assert_int_equal(fstat(fileno(in), &st), 0);
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        content = malloc((size_t)st.st_size);
        assert_non_null(content);
        *ret_len = fread(content, 1, (size_t)st.st_size, in);
    }
    assert_int_equal(fclose(in), 0);
    return content;
}

void fixture_write(const char *path, const void *content, size_t len)
{
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(content, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

void fixture_scrub(struct fixture *f)
{
    bool clean = false;

    assert_ok(f, f->store->ops->scrub(f->store, &clean, &f->error));
    assert_true(clean);
}

size_t fixture_occurrences(const struct fixture *f, struct bytes what)
{
    static const char *const suffixes[] = { "", "-wal" };
    size_t                   found = 0;

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char   path[128];
        size_t len;
        (void)snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
        uint8_t       *content = fixture_file(path, &len);
        const uint8_t *at = content;
        while (content != NULL &&
               (at = memmem(at, len - (size_t)(at - content), what.ptr, what.len)) != NULL) {
            found++;
            at++;
        }
        free(content);
    }
    return found;
}

/* --- in and out ------------------------------------------------------------------------------- */

void fixture_add_caused(struct change *c, char name)
{
    struct caused_event *e = change_add_caused(c, 1000);

    e->tell = true;
    e->at = 1000 + name;
    memset(e->id, name, UUID_TEXT);
    (void)snprintf(e->key_arn, sizeof e->key_arn, "arn:%c", name);
    buf_addf(&e->event, "{\"caused\":\"%c\"", name);
    buf_addf(&e->body, "{\"body\":\"%c\"}", name);
}

enum kms_status fixture_apply(struct fixture *f, struct change *c)
{
    enum kms_status    result = KMS_OK;
    struct store_batch batch = { .changes = &c, .results = &result, .n = 1 };

    assert_ok(f, f->store->ops->apply(f->store, &batch, &f->error));
    return result;
}

enum kms_status put_key(struct fixture *f, enum row_kind kind, const struct key_record *key)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, kind);

    row->key = key_record_clone(key);
    row->expected_version = key->version;
    return fixture_apply(f, &c);
}

enum kms_status put_alias(struct fixture *f, enum row_kind kind, const struct alias_record *alias)
{
    CLEANUP(change_release) struct change c = { 0 };
    struct row                           *row = change_add(&c, kind);

    row->alias = alias_clone(alias);
    row->expected_version = alias->version;
    return fixture_apply(f, &c);
}

void add_key(struct fixture *f, struct key_record *key)
{
    CLEANUP(change_release) struct change c = { 0 };

    change_add(&c, ROW_KEY_INSERT)->key = key;
    enum kms_status status = fixture_apply(f, &c);
    c.rows[0].key = NULL;
    assert_int_equal(status, KMS_OK);
}

void add_alias(struct fixture *f, struct alias_record *alias)
{
    CLEANUP(change_release) struct change c = { 0 };

    change_add(&c, ROW_ALIAS_INSERT)->alias = alias;
    enum kms_status status = fixture_apply(f, &c);
    c.rows[0].alias = NULL;
    assert_int_equal(status, KMS_OK);
}

static enum kms_status keep(struct list *list, void *record)
{
    list->at = realloc(list->at, (list->n + 1) * sizeof *list->at);
    assert_non_null(list->at);
    list->at[list->n++] = record;
    return KMS_OK;
}

static enum kms_status keep_key(void *ctx, struct key_record *k, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->keys, k);
}

static enum kms_status keep_usage(void *ctx, const struct key_name *name,
                                  const struct key_usage_record *u, struct kms_error *reterr)
{
    struct loaded_usage *copy = calloc(1, sizeof *copy);
    struct buf           arn = { .cap = KEY_ARN_MAX, .limit = KEY_ARN_MAX };

    (void)reterr;
    assert_non_null(copy);
    copy->record = *u;
    arn.ptr = (uint8_t *)copy->arn;
    key_arn_add(&arn, name->account, name->region, name->id);
    return keep(&((struct loaded *)ctx)->usages, copy);
}

static enum kms_status keep_alias(void *ctx, struct alias_record *a, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->aliases, a);
}

static enum kms_status keep_import_key(void *ctx, struct import_key_record *k,
                                       struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->import_keys, k);
}

static enum kms_status keep_grant(void *ctx, struct grant_record *g, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->grants, g);
}

static enum kms_status keep_domain(void *ctx, struct domain_key_record *d, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->domains, d);
}

static enum kms_status keep_account(void *ctx, struct account_record *a, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->accounts, a);
}

static enum kms_status keep_identity(void *ctx, struct identity_record *r, struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->identities, r);
}

static enum kms_status keep_access_key(void *ctx, struct access_key_record *k,
                                       struct kms_error *reterr)
{
    (void)reterr;
    return keep(&((struct loaded *)ctx)->access_keys, k);
}

static enum kms_status keep_access_key_use(void *ctx, struct bytes id,
                                           const struct access_key_use *use,
                                           struct kms_error            *reterr)
{
    struct access_key_use *copy = malloc(sizeof *copy);

    (void)reterr;
    assert_true(copy != NULL && id.len > 0);
    *copy = *use;
    return keep(&((struct loaded *)ctx)->access_key_uses, copy);
}

static enum kms_status keep_tombstone(void *ctx, const struct tombstone *t,
                                      struct kms_error *reterr)
{
    struct tombstone *copy = malloc(sizeof *copy);

    (void)reterr;
    assert_non_null(copy);
    *copy = *t;
    return keep(&((struct loaded *)ctx)->tombstones, copy);
}

static enum kms_status keep_event(void *ctx, uint64_t serial, struct bytes event,
                                  struct kms_error *reterr)
{
    struct loaded *l = ctx;

    (void)reterr;
    assert_true(serial > l->last_event);
    l->last_event = serial;
    return keep(&l->events, strndup((const char *)event.ptr, event.len));
}

/* test_deliveries.c looks at them. */
static enum kms_status keep_delivery(void *ctx, const struct delivery *d, struct kms_error *reterr)
{
    (void)ctx;
    (void)reterr;
    assert_true(d->serial > 0);
    return KMS_OK;
}

static const struct store_visitor keep_all = {
    .key = keep_key,
    .usage = keep_usage,
    .alias = keep_alias,
    .import_key = keep_import_key,
    .grant = keep_grant,
    .domain = keep_domain,
    .account = keep_account,
    .identity = keep_identity,
    .access_key = keep_access_key,
    .access_key_use = keep_access_key_use,
    .tombstone = keep_tombstone,
    .outbox = keep_event,
    .delivery = keep_delivery,
};

void loaded_from(struct fixture *f, struct loaded *ret)
{
    struct store_visitor v = keep_all;

    *ret = (struct loaded){ 0 };
    v.ctx = ret;
    assert_ok(f, f->store->ops->load(f->store, &v, &f->error));
}

static void release_list(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->at[i]);
    free(list->at);
}

void loaded_release(struct loaded *l)
{
    for (size_t i = 0; i < l->keys.n; i++)
        key_record_free(l->keys.at[i]);
    free(l->keys.at);
    for (size_t i = 0; i < l->import_keys.n; i++)
        import_key_record_free(l->import_keys.at[i]);
    free(l->import_keys.at);
    for (size_t i = 0; i < l->grants.n; i++)
        grant_record_free(l->grants.at[i]);
    free(l->grants.at);
    release_list(&l->usages);
    release_list(&l->access_key_uses);
    release_list(&l->aliases);
    release_list(&l->domains);
    release_list(&l->accounts);
    for (size_t i = 0; i < l->identities.n; i++)
        identity_record_free(l->identities.at[i]);
    free(l->identities.at);
    for (size_t i = 0; i < l->access_keys.n; i++)
        access_key_record_free(l->access_keys.at[i]);
    free(l->access_keys.at);
    release_list(&l->tombstones);
    release_list(&l->events);
}

const struct key_record *loaded_key(const struct loaded *l, const struct key_record *like)
{
    for (size_t i = 0; i < l->keys.n; i++) {
        const struct key_record *k = l->keys.at[i];
        if (bytes_eq(k->name.arn, like->name.arn))
            return k;
    }
    return NULL;
}

enum kms_status fixture_load(struct fixture *f)
{
    CLEANUP(loaded_release) struct loaded l = { 0 };
    struct store_visitor                  v = keep_all;

    v.ctx = &l;
    return f->store->ops->load(f->store, &v, &f->error);
}

const char *fixture_load_refused(struct fixture *f)
{
    assert_int_equal(fixture_load(f), KMS_E_INTERNAL);
    assert_true(strchr(f->error.detail, '\n') == NULL);
    return f->error.detail;
}
