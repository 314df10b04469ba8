/* instance/instance.c - see instance.h. */
#include "instance/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "json/write.h"
#include "store/sqlite/sqlite.h"
#include "vault/vault.h"

enum { SECRET_KEY_CHARS = 40, ACCESS_KEY_RANDOM = 16 };

enum kms_status instance_paths(const char *data_dir, const char *root_key_file,
                               struct instance_paths *ret, struct kms_error *reterr)
{
    struct instance_paths p;
    int                   n = snprintf(p.data, sizeof p.data, "%s", data_dir);
    bool                  fits = n > 0 && n < (int)sizeof p.data &&
                file_join(p.instance, data_dir, "instance.sealed") &&
                file_join(p.database, data_dir, "trent.db") &&
                file_join(p.audit, data_dir, "audit") && file_join(p.clock, data_dir, "clock") &&
                file_join(p.lock, data_dir, "lock") && file_join(p.socket, data_dir, "trent.sock");

    if (root_key_file != NULL) {
        n = snprintf(p.root_key, sizeof p.root_key, "%s", root_key_file);
        fits = fits && n > 0 && n < (int)sizeof p.root_key;
    } else {
        fits = fits && file_join(p.root_key, data_dir, "root.key");
    }
    if (!fits)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the path '%.80s' is empty or too long", data_dir);
    *ret = p;
    return KMS_OK;
}

void instance_result_wipe(struct instance_result *r)
{
    explicit_bzero(r, sizeof *r);
}

/* --- the first account ------------------------------------------------------------------------ */

/* `n` characters of the alphabet, which has a power of two of them at most 64. */
static void random_text(char *out, size_t n, const char *alphabet)
{
    size_t  size = strlen(alphabet);
    uint8_t bytes[64];

    crypto_random(bytes, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet[bytes[i] % size];
    out[n] = '\0';
    explicit_bzero(bytes, sizeof bytes);
}

void instance_new_account_id(char ret[ACCOUNT_LEN + 1])
{
    uint64_t n = 0;

    crypto_random((uint8_t *)&n, sizeof n);
    (void)snprintf(ret, ACCOUNT_LEN + 1, "%012llu",
                   (unsigned long long)(UINT64_C(100000000000) + n % UINT64_C(900000000000)));
}

void instance_new_access_key(struct instance_result *ret)
{
    char text[SECRET_KEY_CHARS + 1];

    *ret = (struct instance_result){ 0 };
    random_text(text, ACCESS_KEY_RANDOM, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    (void)snprintf(ret->access_key_id, sizeof ret->access_key_id, "AKIA%s", text);
    random_text(text, SECRET_KEY_CHARS,
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    (void)snprintf(ret->secret_access_key, sizeof ret->secret_access_key, "%s", text);
    explicit_bzero(text, sizeof text);
}

static void choose_access_key(const struct instance_config *config, struct instance_result *ret)
{
    instance_new_access_key(ret);
    if (config->access_key_id != NULL)
        (void)snprintf(ret->access_key_id, sizeof ret->access_key_id, "%s", config->access_key_id);
    if (config->secret_access_key != NULL)
        (void)snprintf(ret->secret_access_key, sizeof ret->secret_access_key, "%s",
                       config->secret_access_key);
}

enum kms_status instance_add_root_key(struct vault *v, struct change *change, const char *account,
                                      int64_t now, const struct instance_result *key,
                                      struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf                            wrapped = BUF_INIT(1024);
    CLEANUP(access_key_record_freep) struct access_key_record *k = access_key_record_new();

    if (k == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    TRY(vault_wrap_secret_key(v, bytes_str(key->access_key_id), bytes_str(key->secret_access_key),
                              &wrapped, reterr));
    k->id = arena_copy(k->arena, bytes_str(key->access_key_id));
    k->account = arena_copy(k->arena, bytes_str(account));
    k->principal_id = k->account;
    k->wrapped_secret = arena_copy(k->arena, buf_bytes(&wrapped));
    k->root = true;
    k->active = true;
    k->created = now;
    k->version = 1;
    change_add(change, ROW_ACCESS_KEY_INSERT)->access_key = TAKE(k);
    return KMS_OK;
}

enum kms_status instance_add_account(struct vault *v, struct change *change,
                                     const struct account_record  *account,
                                     const struct instance_result *key, struct kms_error *reterr)
{
    struct account_record *a = malloc(sizeof *a);

    if (a == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    *a = *account;
    change_add(change, ROW_ACCOUNT_INSERT)->account = a;
    return instance_add_root_key(v, change, account->id, account->created, key, reterr);
}

static enum kms_status fill_database(const char *path, struct vault *v, const char *account,
                                     const struct instance_result *key, struct kms_error *reterr)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    struct change                        *list[1] = { &change };
    enum kms_status                       result = KMS_OK;
    struct store_batch                    batch = { .changes = list, .results = &result, .n = 1 };
    struct store                         *store = NULL;
    struct account_record                 first = { .created = clock_wall_ms(), .version = 1 };

    (void)snprintf(first.id, sizeof first.id, "%s", account);
    TRY(instance_add_account(v, &change, &first, key, reterr));
    TRY(store_sqlite_create(path, vault_instance_id(v), reterr));
    TRY(store_sqlite_open(path, vault_instance_id(v), vault_row_mac, v, &store, reterr));
    enum kms_status status = store->ops->apply(store, &batch, reterr);
    store_close(store);
    if (status == KMS_OK && result != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot store the first account");
    return status;
}

/* --- making a directory ----------------------------------------------------------------------- */

static bool account_valid(const char *account)
{
    return strlen(account) == 12 && strspn(account, "0123456789") == 12;
}

static enum kms_status refuse_existing(const struct instance_paths *p, struct kms_error *reterr)
{
    const char *const files[] = { p->instance, p->database, p->audit };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (file_exists(files[i]))
            return KMS_FAIL(
                reterr, KMS_E_INTERNAL,
                "'%s' exists already: choose an empty data directory, nothing was overwritten",
                files[i]);
    }
    if (file_exists(p->root_key))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "the root key '%s' exists already: a new data directory makes a new one, "
                        "name another file for it; nothing was overwritten",
                        p->root_key);
    return KMS_OK;
}

/* Asked before anything is made, so that a second try finds nothing in its way. */
static enum kms_status check_root_key_folder(const struct instance_paths *p,
                                             struct kms_error            *reterr)
{
    const char *slash = strrchr(p->root_key, '/');
    char        folder[FILE_PATH_MAX];

    if (slash == NULL || slash == p->root_key)
        return KMS_OK;
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - p->root_key), p->root_key);
    if (file_exists(folder))
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "there is no folder '%s' for the root key: make it first", folder);
}

enum kms_status instance_make_directory(const struct instance_paths *p, struct kms_error *reterr)
{
    if (mkdir(p->data, 0700) == 0 || errno == EEXIST) {
        struct stat st;
        if (stat(p->data, &st) != 0 || !S_ISDIR(st.st_mode))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s' is not a folder", p->data);
        /* who may write there may put other files in the place of ours */
        if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0)
            return KMS_FAIL(
                reterr, KMS_E_INTERNAL,
                "the data directory '%s' can be written by others (owner %u, mode %04o): make it "
                "the server's own and chmod 0700 it",
                p->data, st.st_uid, st.st_mode & 07777);
        return KMS_OK;
    }
    return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot make the data directory '%s': %s", p->data,
                    strerror(errno));
}

/* The first record: from here on everything is in the audit, the first access key included. */
static enum kms_status first_record(struct audit *audit, const struct instance_config *config,
                                    const struct instance_result *key, int64_t now,
                                    struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf details = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf text = BUF_INIT(16 * 1024);
    struct json_writer              w;
    struct audit_event              e = { .time = now,
                                          .event_type = "AwsServiceEvent",
                                          .event_name = "TrentInstanceCreated",
                                          .account = bytes_str(config->account) };
    uint8_t                         uuid[16];

    crypto_random(uuid, sizeof uuid);
    uuid_make_v4(uuid);
    uuid_write(e.event_id, uuid);
    json_writer_init(&w, &details);
    json_open_object(&w, NULL);
    json_put_str(&w, "accessKeyId", key->access_key_id);
    json_put_bool(&w, "development", config->development);
    json_close_object(&w);
    e.additional = buf_bytes(&details);
    audit_event_write(&text, &e);
    if (!buf_ok(&details) || !buf_ok(&text))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    struct bytes event = buf_bytes(&text);
    return audit_append(audit, &event, 1, true, false, reterr);
}

static enum kms_status make_audit(const struct instance_config *config,
                                  const struct instance_paths *p, struct vault *v,
                                  struct clock *clock, const struct instance_result *key,
                                  struct kms_error *reterr)
{
    struct audit_config a = {
        .dir = p->audit,
        .node = vault_instance_id(v),
        .reserve_bytes = config->audit_reserve_bytes,
        .clock = clock,
        .sign = vault_audit_sign,
        .sign_ctx = v,
    };
    struct audit     *audit = NULL;
    struct audit_head head;

    vault_audit_public_key(v, a.public_key);
    TRY(audit_create(&a, reterr));
    TRY(audit_open(&a, &audit, &head, reterr));
    enum kms_status status = first_record(audit, config, key, clock_now(clock), reterr);
    audit_close(audit);
    return status;
}

/* The database comes last, and under its name only when it is complete: a directory without one is
 * not a data directory yet. */
static enum kms_status make_database(const struct instance_config *config,
                                     const struct instance_paths *p, struct vault *v,
                                     const struct instance_result *key, struct kms_error *reterr)
{
    char path[FILE_PATH_MAX];

    if (!file_join(path, p->data, "trent.db.new"))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "the path '%.80s' is too long", p->data);
    TRY(fill_database(path, v, config->account, key, reterr));
    if (rename(path, p->database) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot rename '%s': %s", path, strerror(errno));
    return file_sync_dir(p->data, reterr);
}

static enum kms_status make_files(const struct instance_config *config,
                                  const struct instance_paths *p, struct clock *clock,
                                  struct epoch *epoch, const struct instance_result *key,
                                  struct kms_error *reterr)
{
    const struct vault_config vc = {
        .data_dir = p->data,
        .root_key_file = p->root_key,
        .allow_grade_c = true, /* the server decides whether it serves here */
        .development = config->development,
        .cache_idle_s = 60,
        .clock = clock,
        .epoch = epoch,
    };
    const uint64_t none[2] = { 0, 0 };
    struct vault  *v = NULL;

    TRY(vault_create(&vc, reterr));
    TRY(vault_open(&vc, none, &v, reterr));
    enum kms_status status = make_audit(config, p, v, clock, key, reterr);
    if (status == KMS_OK)
        status = make_database(config, p, v, key, reterr);
    vault_close(v);
    return status;
}

enum kms_status instance_create(const struct instance_config *config, struct instance_result *ret,
                                struct kms_error *reterr)
{
    struct instance_paths  p;
    struct instance_result key;

    if (!account_valid(config->account))
        return KMS_FAIL(reterr, KMS_E_VALIDATION, "'%.20s' is not an account id: 12 digits",
                        config->account);
    TRY(instance_paths(config->data_dir, config->root_key_file, &p, reterr));
    TRY(instance_make_directory(&p, reterr));
    TRY(refuse_existing(&p, reterr));
    TRY(check_root_key_folder(&p, reterr));
    choose_access_key(config, &key);

    struct clock   *clock = clock_new(0);
    struct epoch   *epoch = epoch_new();
    enum kms_status status = clock == NULL || epoch == NULL
                                 ? KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory")
                                 : make_files(config, &p, clock, epoch, &key, reterr);
    epoch_free(epoch);
    clock_free(clock);
    if (status == KMS_OK)
        *ret = key;
    instance_result_wipe(&key);
    return status;
}

/* --- holding it ------------------------------------------------------------------------------- */

enum kms_status instance_lock(const struct instance_paths *paths, int *ret_fd,
                              struct kms_error *reterr)
{
    char                pid[32] = { 0 };
    CLEANUP(closep) int fd = open(paths->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open '%s': %s", paths->lock,
                        strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (read(fd, pid, sizeof pid - 1) < 0)
            pid[0] = '\0';
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "the data directory '%s' is in use by process %ld: stop it first, or use another "
            "directory",
            paths->data, strtol(pid, NULL, 10));
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot write '%s': %s", paths->lock,
                        strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return KMS_OK;
}
