/* instance/restore.c - a data directory from a backup, which has everything but erasable.slots. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "commit/event.h"
#include "instance/instance.h"
#include "store/sqlite/sqlite.h"
#include "vault/vault.h"

/* The lost file has gone on after the backup, nobody knows how far: so many generations are left out,
 * each of which is an erasure. */
enum { GENERATIONS_LEFT_OUT = 1 << 20 };

static enum kms_status refuse_missing(const char *path, struct kms_error *reterr)
{
    if (file_exists(path))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "'%s' is missing: put everything back that the backup has, then try again",
                    path);
}

enum kms_status instance_restore_check(const struct instance_paths *paths, uint64_t *ret_generation,
                                       struct kms_error *reterr)
{
    char              erasable[FILE_PATH_MAX];
    char              durable[FILE_PATH_MAX];
    struct store_meta meta;
    struct audit_head head;

    if (!file_join(erasable, paths->data, "erasable.slots") ||
        !file_join(durable, paths->data, "durable.slots"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the path '%.80s' is too long", paths->data);
    TRY(refuse_missing(paths->instance, reterr));
    TRY(refuse_missing(paths->database, reterr));
    TRY(refuse_missing(durable, reterr));
    TRY(refuse_missing(paths->audit, reterr));
    if (file_exists(erasable))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "'%s' is there: nothing is lost, and nothing was changed", erasable);
    TRY(store_sqlite_peek(paths->database, &meta, reterr));
    TRY(audit_peek(paths->audit, &head, reterr));
    uint64_t seen = meta.slot_generation[SLOT_ERASABLE];
    if (head.slot_generation[SLOT_ERASABLE] > seen)
        seen = head.slot_generation[SLOT_ERASABLE];
    *ret_generation = seen + GENERATIONS_LEFT_OUT;
    return KMS_OK;
}

static enum kms_status append_record(struct audit *audit, int64_t now, uint64_t generation,
                                     struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(16 * 1024);
    char                            details[64];

    int n = snprintf(details, sizeof details, "{\"slotFileGeneration\":%llu}",
                     (unsigned long long)generation);
    service_event_text(&text, now, "TrentRestoreAccepted", (struct bytes){ NULL, 0 },
                       bytes_of(details, (size_t)n));
    if (!buf_ok(&text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    struct bytes event = buf_bytes(&text);
    return audit_append(audit, &event, 1, true, true, reterr);
}

/* The record needs the vault, which signs, and the vault needs the file: so it comes second. If it
 * does not come, the next start records that material is lost all the same. */
static enum kms_status record(const struct instance_paths *paths, struct vault *v,
                              struct clock *clock, uint64_t generation, struct kms_error *reterr)
{
    struct audit_config config = {
        .dir = paths->audit,
        .node = vault_instance_id(v),
        .clock = clock,
        .sign = vault_audit_sign,
        .sign_ctx = v,
    };
    struct audit     *audit = NULL;
    struct audit_head head;

    vault_audit_public_key(v, config.public_key);
    TRY(audit_open(&config, &audit, &head, reterr));
    clock_raise_floor(clock, head.time);
    enum kms_status status = append_record(audit, clock_now(clock), generation, reterr);
    audit_close(audit);
    return status;
}

static enum kms_status accept(const struct instance_paths *paths, uint64_t generation,
                              struct clock *clock, struct epoch *epoch, struct kms_error *reterr)
{
    const struct vault_config config = {
        .data_dir = paths->data,
        .root_key_file = paths->root_key,
        .allow_grade_c = true, /* the server decides whether it serves here */
        .cache_idle_s = 60,
        .clock = clock,
        .epoch = epoch,
    };
    const uint64_t any[2] = { 0, 0 };
    struct vault  *v = NULL;

    TRY(vault_replace_erasable(&config, generation, reterr));
    TRY(vault_open(&config, any, &v, reterr));
    enum kms_status status = record(paths, v, clock, generation, reterr);
    vault_close(v);
    return status;
}

enum kms_status instance_restore_accept(const struct instance_paths *paths, uint64_t generation,
                                        struct kms_error *reterr)
{
    struct store_meta meta;

    TRY(store_sqlite_peek(paths->database, &meta, reterr));
    struct clock   *clock = clock_new(meta.clock_floor);
    struct epoch   *epoch = epoch_new();
    enum kms_status status = clock == NULL || epoch == NULL
                                 ? KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory")
                                 : accept(paths, generation, clock, epoch, reterr);
    epoch_free(epoch);
    clock_free(clock);
    return status;
}
