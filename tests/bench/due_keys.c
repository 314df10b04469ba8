/* tests/bench/due_keys.c - fills the data directory of a stopped server with keys that fall due (tests/bench/due).
 *
 *   due_keys DATA ACCOUNT REGION NUMBER FIRST_MS LAST_MS
 *
 * Half of them imported material that expires (even numbers), half generated keys whose automatic rotation
 * is due, spread evenly from FIRST_MS to LAST_MS (since the epoch). Through the committer like all changes, but
 * without syncs and audit events: this is only about getting there. The id of key number N is
 * 00000000-0000-4000-8000- and N in twelve hexadecimal digits.
 */
#include <errno.h>
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

enum { AT_ONCE = 128, PERIOD_DAYS = 365, DAY_MS = 24 * 60 * 60 * 1000 };

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

struct site {
    struct instance_paths paths;
    struct clock         *clock;
    struct epoch         *epoch;
    struct directory     *directory;
    struct identity_book *book;
    struct vault         *vault;
    struct store         *store;
    struct audit         *audit;
    struct committer     *committer;
    struct bytes          account, region;
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

    if (vault_domain_version(s->vault, s->account, s->region) != 0)
        return KMS_OK;
    TRY(vault_new_domain(s->vault, s->account, s->region, 1, &wrapped, reterr));
    change_add(&change, ROW_DOMAIN_INSERT)->domain = domain_key_new(s->account, s->region, 1,
                                                                    buf_bytes(&wrapped));
    return commit_wait(s->committer, &change, false, NULL, reterr);
}

static enum kms_status new_key(struct site *s, unsigned number, int64_t due,
                               struct key_record **ret, struct kms_error *reterr)
{
    struct key_record  *k = key_record_new();
    struct key_material m = { .role = MATERIAL_CURRENT };
    uint8_t             bytes[32];
    char                id[KEY_ID_MAX + 1];

    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    *ret = k;
    (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012x", number);
    key_record_set_name(k, s->account, s->region, bytes_str(id));
    k->spec = SPEC_SYMMETRIC_DEFAULT;
    k->usage = USAGE_ENCRYPT_DECRYPT;
    k->created = m.created = clock_now(s->clock);
    k->version = 1;
    k->policy = arena_copy(k->arena, bytes_str(s->policy));
    if (number % 2 == 0) {
        k->origin = ORIGIN_EXTERNAL;
        m.expiration = EXPIRES;
        m.valid_to = due / 1000 * 1000;
        crypto_random(bytes, sizeof bytes);
        TRY(vault_place_material(s->vault, k, bytes_of(bytes, sizeof bytes), k->arena, &m, reterr));
    } else {
        k->origin = ORIGIN_AWS_KMS;
        TRY(vault_generate_material(s->vault, k, k->arena, &m, reterr));
        k->rotation_enabled = true;
        k->rotation_period_days = PERIOD_DAYS;
        k->next_rotation = due;
    }
    *key_record_add_material(k) = m;
    key_created(k);
    return KMS_OK;
}

/* Keys `from` to `to` - 1 in one transaction. */
static enum kms_status add_keys(struct site *s, unsigned from, unsigned to, int64_t first,
                                int64_t step_us, struct kms_error *reterr)
{
    CLEANUP(freep) struct commit_job *jobs = calloc(AT_ONCE, sizeof *jobs);
    struct commit_job                *list[AT_ONCE] = { NULL };
    enum kms_status                   status = KMS_OK;
    size_t                            n = to - from;

    if (jobs == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    for (size_t i = 0; i < n; i++) {
        unsigned           number = from + (unsigned)i;
        struct key_record *key = NULL;
        TRY(new_key(s, number, first + step_us * number / 1000, &key, reterr));
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

static enum kms_status fill(struct site *s, char **argv, struct kms_error *reterr)
{
    unsigned number = (unsigned)strtoul(argv[4], NULL, 10);
    int64_t  first = strtoll(argv[5], NULL, 10);
    int64_t  last = strtoll(argv[6], NULL, 10);

    if (number == 0 || last < first)
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "nothing to do");
    TRY(add_domain(s, reterr));
    for (unsigned from = 0; from < number; from += AT_ONCE) {
        unsigned to = number - from < AT_ONCE ? number : from + AT_ONCE;
        TRY(add_keys(s, from, to, first, (last - first) * 1000 / number, reterr));
    }
    return KMS_OK;
}

int main(int argc, char **argv)
{
    struct site      s = { 0 };
    struct kms_error err;

    if (argc != 7) {
        (void)fprintf(stderr, "usage: due_keys DATA ACCOUNT REGION NUMBER FIRST_MS LAST_MS\n");
        return 64;
    }
    s.account = bytes_str(argv[2]);
    s.region = bytes_str(argv[3]);
    (void)snprintf(s.policy, sizeof s.policy,
                   "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":"
                   "{\"AWS\":\"arn:aws:iam::%s:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
                   argv[2]);
    enum kms_status status = secret_memory_init(false, &err);
    if (status == KMS_OK)
        status = crypto_init(&err);
    if (status == KMS_OK)
        status = open_site(&s, argv[1], &err);
    if (status == KMS_OK)
        status = fill(&s, argv, &err);
    if (status != KMS_OK) {
        (void)fprintf(stderr, "due_keys: %s\n", err.detail);
        return 1;
    }
    close_site(&s);
    return 0;
}
