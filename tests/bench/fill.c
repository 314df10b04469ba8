/* tests/bench/fill.c - fills the data directory of a stopped server with many keys, quickly.
 *
 *   fill [--keys N] [--from N] [--account ID] [--region NAME] [--due FIRST_MS-LAST_MS] DATA
 *
 * The keys are symmetric ones with generated material and the default policy. With --due (milliseconds
 * since the epoch) half of them, those of even numbers, have imported material that expires, and half have
 * an automatic rotation that is due, spread evenly over that time (tests/bench/due).
 *
 * Through the committer like all changes, but without syncs and audit events: this is only about getting
 * there. The id of key number N is 00000000-0000-4000-8000- and N in twelve hexadecimal digits; --from is
 * the first number. The server has to have been started on the directory once.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "commit/commit.h"
#include "crypto/crypto.h"
#include "instance/instance.h"
#include "key/state.h"
#include "store/sqlite/sqlite.h"

enum { AT_ONCE = 512, PERIOD_DAYS = 365 };

/* The libraries that call these find ours first. */
int fsync(int fd);
int fdatasync(int fd);

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

struct wanted {
    unsigned     keys, from;
    struct bytes account, region;
    bool         due;
    int64_t      first, last; /* due times */
    const char  *data;
};

struct site {
    struct wanted         want;
    struct instance_paths paths;
    struct clock         *clock;
    struct epoch         *epoch;
    struct directory     *directory;
    struct identity_book *book;
    struct vault         *vault;
    struct store         *store;
    struct audit         *audit;
    struct committer     *committer;
    char                  policy[512];
};

static enum kms_status open_files(struct site *s, const char *data, struct audit_head *head,
                                  struct kms_error *reterr)
{
    struct store_meta meta;

    TRY(instance_paths(data, NULL, &s->paths, reterr));
    struct vault_config vc = { .data_dir = data,
                               .root_key_file = s->paths.root_key,
                               .allow_grade_c = true,
                               .clock = s->clock,
                               .epoch = s->epoch };
    TRY(store_sqlite_peek(s->paths.database, &meta, reterr));
    TRY(vault_open(&vc, meta.slot_generation, &s->vault, reterr));
    TRY(store_sqlite_open(s->paths.database, meta.instance_id, vault_row_mac, s->vault, &s->store,
                          reterr));
    struct audit_config ac = { .dir = s->paths.audit,
                               .node = vault_instance_id(s->vault),
                               .clock = s->clock,
                               .sign = vault_audit_sign,
                               .sign_ctx = s->vault };
    vault_audit_public_key(s->vault, ac.public_key);
    return audit_open(&ac, &s->audit, head, reterr);
}

static enum kms_status open_site(struct site *s, const char *data, struct kms_error *reterr)
{
    const struct identity_compilers with = { authz_identity_compiler, authz_trust_compiler };
    struct audit_head               head;
    struct commit_recovery          found;

    s->clock = clock_new(0);
    s->epoch = epoch_new();
    s->directory = directory_new(s->epoch, 1);
    s->book = identity_book_new(s->epoch, 1, &with);
    TRY(open_files(s, data, &head, reterr));
    struct committer_parts cp = { .store = s->store,
                                  .audit = s->audit,
                                  .vault = s->vault,
                                  .directory = s->directory,
                                  .identities = s->book,
                                  .epoch = s->epoch,
                                  .clock = s->clock };
    s->committer = committer_new(&cp);
    if (s->committer == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    TRY(commit_recover(s->committer, &head, &found, reterr));
    return committer_start(s->committer, reterr);
}

static void close_site(struct site *s)
{
    committer_stop(s->committer);
    audit_close(s->audit);
    store_close(s->store);
    committer_free(s->committer);
    vault_close(s->vault);
    directory_free(s->directory);
    identity_book_free(s->book);
    epoch_free(s->epoch);
    clock_free(s->clock);
}

static enum kms_status add_domain(struct site *s, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    CLEANUP(buf_release) struct buf       wrapped = BUF_INIT(1024);

    if (vault_domain_version(s->vault, s->want.account, s->want.region) != 0)
        return KMS_OK;
    TRY(vault_new_domain(s->vault, s->want.account, s->want.region, 1, &wrapped, reterr));
    change_add(&change, ROW_DOMAIN_INSERT)->domain = domain_key_new(s->want.account, s->want.region,
                                                                    1, buf_bytes(&wrapped));
    return commit_wait(s->committer, &change, false, NULL, reterr);
}

/* Imported material that expires at `due`. */
static enum kms_status expiring_material(struct site *s, struct key_record *k, int64_t due,
                                         struct key_material *m, struct kms_error *reterr)
{
    uint8_t bytes[32];

    k->origin = ORIGIN_EXTERNAL;
    m->expiration = EXPIRES;
    m->valid_to = due / 1000 * 1000;
    crypto_random(bytes, sizeof bytes);
    return vault_place_material(s->vault, k, bytes_of(bytes, sizeof bytes), k->arena, m, reterr);
}

static enum kms_status new_key(struct site *s, unsigned number, struct key_record **ret,
                               struct kms_error *reterr)
{
    const struct wanted *w = &s->want;
    struct key_record   *k = key_record_new();
    struct key_material  m = { .role = MATERIAL_CURRENT };
    char                 id[KEY_ID_MAX + 1];
    int64_t due = w->first + (w->last - w->first) * (int64_t)(number - w->from) / w->keys;

    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    *ret = k;
    (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012x", number);
    key_record_set_name(k, w->account, w->region, bytes_str(id));
    k->spec = SPEC_SYMMETRIC_DEFAULT;
    k->usage = USAGE_ENCRYPT_DECRYPT;
    k->created = m.created = clock_now(s->clock);
    k->version = 1;
    k->policy = arena_copy(k->arena, bytes_str(s->policy));
    k->origin = ORIGIN_AWS_KMS;
    if (w->due && number % 2 == 0) {
        TRY(expiring_material(s, k, due, &m, reterr));
    } else {
        TRY(vault_generate_material(s->vault, k, k->arena, &m, reterr));
        k->rotation_enabled = w->due;
        k->rotation_period_days = w->due ? PERIOD_DAYS : 0;
        k->next_rotation = w->due ? due : 0;
    }
    *key_record_add_material(k) = m;
    key_created(k);
    return KMS_OK;
}

/* Keys `from` to `to` - 1 in one transaction. */
static enum kms_status add_keys(struct site *s, unsigned from, unsigned to,
                                struct kms_error *reterr)
{
    CLEANUP(freep) struct commit_job *jobs = calloc(AT_ONCE, sizeof *jobs);
    struct commit_job                *list[AT_ONCE] = { NULL };
    enum kms_status                   status = KMS_OK;
    size_t                            n = to - from;

    if (jobs == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct key_record *key = NULL;
        TRY(new_key(s, from + (unsigned)i, &key, reterr));
        change_add(&jobs[i].change, ROW_KEY_INSERT)->key = key;
        list[i] = &jobs[i];
    }
    commit_wait_all(s->committer, list, n);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].status != KMS_OK) {
            status = jobs[i].status;
            *reterr = jobs[i].error;
        }
        change_release(&jobs[i].change);
    }
    return status;
}

static enum kms_status fill(struct site *s, struct kms_error *reterr)
{
    unsigned end = s->want.from + s->want.keys;

    TRY(add_domain(s, reterr));
    for (unsigned from = s->want.from; from < end; from += AT_ONCE)
        TRY(add_keys(s, from, end - from < AT_ONCE ? end : from + AT_ONCE, reterr));
    return KMS_OK;
}

static bool read_due(const char *text, struct wanted *w)
{
    char *end;

    w->due = true;
    w->first = strtoll(text, &end, 10);
    if (*end != '-')
        return false;
    w->last = strtoll(end + 1, &end, 10);
    return *end == '\0' && w->last >= w->first;
}

static bool read_arguments(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {
        { "keys", required_argument, NULL, 'k' },    { "from", required_argument, NULL, 'f' },
        { "account", required_argument, NULL, 'a' }, { "region", required_argument, NULL, 'r' },
        { "due", required_argument, NULL, 'd' },     { NULL, 0, NULL, 0 }
    };
    int c;

    *w = (struct wanted){ .keys = 1000,
                          .account = BYTES_LIT("000000000000"),
                          .region = BYTES_LIT("us-east-1") };
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'k')
            w->keys = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'f')
            w->from = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'a')
            w->account = bytes_str(optarg);
        else if (c == 'r')
            w->region = bytes_str(optarg);
        else if (c != 'd' || !read_due(optarg, w))
            return false;
    }
    w->data = argv[optind];
    return optind + 1 == argc && w->keys > 0 && w->from < UINT32_MAX - w->keys;
}

int main(int argc, char **argv)
{
    struct site      s = { 0 };
    struct kms_error err;

    if (!read_arguments(argc, argv, &s.want)) {
        (void)fprintf(stderr, "usage: fill [--keys N] [--from N] [--account ID] [--region NAME] "
                              "[--due FIRST_MS-LAST_MS] DATA\n");
        return 64;
    }
    (void)snprintf(
        s.policy, sizeof s.policy,
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":"
        "{\"AWS\":\"arn:aws:iam::%.*s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
        BYTES_FMT(s.want.account));
    enum kms_status status = secret_memory_init(false, &err);
    if (status == KMS_OK)
        status = crypto_init(&err);
    if (status == KMS_OK)
        status = open_site(&s, s.want.data, &err);
    if (status == KMS_OK)
        status = fill(&s, &err);
    if (status != KMS_OK) {
        (void)fprintf(stderr, "fill: %s\n", err.detail);
        return 1;
    }
    close_site(&s);
    return 0;
}
