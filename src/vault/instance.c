/* vault/instance.c - the root key file and the instance file: from a file of 32 bytes to the purpose
 * keys (trust-model 2.2). Bytes: docs/storage-format.md.
 *
 * The root key is read, used once and wiped; the instance key is needed for the length of an opening
 * only, to derive the purpose keys. Neither stays in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "vault/vault_internal.h"

static const char instance_file[] = "instance.sealed";

enum {
    FORMAT = 1,
    WRAPPED = ENVELOPE_OVERHEAD + KEY_LEN,
    AT_ID = 12,
    AT_PUBLIC = AT_ID + INSTANCE_ID_LEN,
    AT_KEY = AT_PUBLIC + ED25519_PUB_LEN,
    AT_DIGEST = AT_KEY + WRAPPED,
    AT_SEED = AT_DIGEST + WRAPPED,
    FILE_LEN = AT_SEED + WRAPPED,
};

static const uint8_t file_magic[12] = { 'T', 'R', 'E', 'N', 'T', 'I', 'N', 'S', 0, 0, 0, FORMAT };

void instance_close(struct instance *in)
{
    for (int p = 0; p < PURPOSE_COUNT; p++)
        secret_freep(&in->purpose[p]);
    secret_freep(&in->digest);
    secret_freep(&in->audit_seed);
}

struct slot_keys instance_slot_keys(struct instance *in)
{
    struct slot_keys keys = { .wrap = in->purpose[PURPOSE_SLOT],
                              .mac = in->purpose[PURPOSE_SLOT_MAC] };

    memcpy(keys.instance, in->id, sizeof keys.instance);
    return keys;
}

static enum kms_status derive_purposes(struct instance *in, struct secret *key,
                                       struct kms_error *reterr)
{
    static const char *const labels[PURPOSE_COUNT] = {
        [PURPOSE_DOMAIN] = "domain",       [PURPOSE_SLOT] = "slot",
        [PURPOSE_SLOT_MAC] = "slot-mac",   [PURPOSE_DIGEST] = "digest",
        [PURPOSE_TOKEN] = "token",         [PURPOSE_ROWMAC] = "rowmac",
        [PURPOSE_PRINCIPAL] = "principal", [PURPOSE_AUDIT] = "audit",
        [PURPOSE_MARKER] = "marker",
    };

    for (int p = 0; p < PURPOSE_COUNT; p++) {
        in->purpose[p] = secret_new(KEY_LEN);
        if (in->purpose[p] == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for the instance's keys");
        crypto_kdf(secret_view(key), bytes_str(labels[p]), bytes_of(in->id, sizeof in->id),
                   secret_data(in->purpose[p]), KEY_LEN);
    }
    return KMS_OK;
}

static struct secret *random_secret(size_t len)
{
    struct secret *s = secret_new(len);

    if (s != NULL)
        crypto_random(secret_data(s), len);
    return s;
}

enum kms_status instance_new(struct instance *ret, struct secret **ret_root,
                             struct secret **ret_key, struct kms_error *reterr)
{
    CLEANUP(instance_close) struct instance in = { 0 };
    CLEANUP(secret_freep) struct secret    *root = random_secret(KEY_LEN);
    CLEANUP(secret_freep) struct secret    *key = random_secret(KEY_LEN);

    in.digest = random_secret(KEY_LEN);
    if (root == NULL || key == NULL || in.digest == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for the instance's keys");
    crypto_random(in.id, sizeof in.id);
    TRY(crypto_ed25519_generate(&in.audit_seed, in.audit_public, reterr));
    TRY(derive_purposes(&in, key, reterr));
    *ret_root = TAKE(root);
    *ret_key = TAKE(key);
    *ret = in;
    in = (struct instance){ 0 };
    return KMS_OK;
}

/* The instance key is sealed last, and binds every other byte of the file. */
static enum kms_status encode(struct instance *in, struct secret *root, struct secret *key,
                              struct buf *file, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf rest = BUF_INIT(FILE_LEN);
    CLEANUP(buf_release) struct buf aad = BUF_INIT(FILE_LEN);

    buf_add(file, bytes_of(file_magic, sizeof file_magic));
    buf_add(file, bytes_of(in->id, sizeof in->id));
    buf_add(file, bytes_of(in->audit_public, sizeof in->audit_public));
    struct bytes head = bytes_of(file->ptr, AT_PUBLIC);
    TRY(envelope_seal(in->purpose[PURPOSE_DIGEST], "digest-key", head, secret_view(in->digest),
                      &rest, reterr));
    TRY(envelope_seal(in->purpose[PURPOSE_AUDIT], "audit-key", head, secret_view(in->audit_seed),
                      &rest, reterr));
    buf_add(&aad, buf_bytes(file));
    buf_add(&aad, buf_bytes(&rest));
    TRY(envelope_seal(root, "instance-key", buf_bytes(&aad), secret_view(key), file, reterr));
    buf_add(file, buf_bytes(&rest));
    if (!buf_ok(file) || !buf_ok(&aad) || file->len != FILE_LEN)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot lay out the instance file");
    return KMS_OK;
}

enum kms_status instance_write(const struct vault_config *config, struct instance *in,
                               struct secret *root, struct secret *key, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf file = BUF_INIT(FILE_LEN);
    char                            path[FILE_PATH_MAX];

    if (!file_join(path, config->data_dir, instance_file))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", config->data_dir);
    TRY(encode(in, root, key, &file, reterr));
    TRY(file_write(config->root_key_file, secret_view(root), 0400, false, reterr));
    return file_write(path, buf_bytes(&file), 0600, false, reterr);
}

/* --- opening ------------------------------------------------------------------------------------------- */

static enum kms_status root_acceptable(int fd, const char *path, struct stat *ret,
                                       struct kms_error *reterr)
{
    if (fstat(fd, ret) != 0 || !S_ISREG(ret->st_mode))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "root key file '%s' is not a regular file", path);
    if (ret->st_uid != geteuid())
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "root key file '%s' belongs to user %u, not to the "
                        "server's user %u: chown it",
                        path, ret->st_uid, geteuid());
    if ((ret->st_mode & 077) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "root key file '%s' can be read by others (mode %04o): "
                        "chmod 0400 it",
                        path, ret->st_mode & 07777);
    if (ret->st_size != KEY_LEN)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "root key file '%s' has %lld bytes instead of %d",
                        path, (long long)ret->st_size, KEY_LEN);
    return KMS_OK;
}

static enum kms_status read_root(const char *path, struct secret **ret, struct stat *ret_stat,
                                 struct kms_error *reterr)
{
    CLEANUP(closep) int                  fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP(secret_freep) struct secret *root = secret_new(KEY_LEN);

    if (fd < 0 && errno == ENOENT)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "root key file '%s' is missing: put it back, or name its place with "
                        "root-key-file",
                        path);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open root key file '%s': %s", path,
                        errno == ELOOP ? "it is a symbolic link" : strerror(errno));
    if (root == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for the root key");
    TRY(root_acceptable(fd, path, ret_stat, reterr));
    TRY(file_pread_all(fd, secret_data(root), KEY_LEN, 0, reterr));
    *ret = TAKE(root);
    return KMS_OK;
}

static enum kms_status open_keys(struct bytes file, const char *path, struct secret *root,
                                 struct instance *in, struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *key = secret_new(KEY_LEN);
    CLEANUP(buf_release) struct buf      aad = BUF_INIT(FILE_LEN);
    struct bytes                         head = bytes_of(file.ptr, AT_PUBLIC);

    in->digest = secret_new(KEY_LEN);
    in->audit_seed = secret_new(KEY_LEN);
    buf_add(&aad, bytes_of(file.ptr, AT_KEY));
    buf_add(&aad, bytes_of(file.ptr + AT_DIGEST, FILE_LEN - AT_DIGEST));
    if (key == NULL || in->digest == NULL || in->audit_seed == NULL || !buf_ok(&aad))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for the instance's keys");
    if (envelope_open(root, "instance-key", buf_bytes(&aad), bytes_of(file.ptr + AT_KEY, WRAPPED),
                      secret_data(key), NULL) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "instance file '%s' is damaged or was sealed by another "
                        "root key",
                        path);
    TRY(derive_purposes(in, key, reterr));
    if (envelope_open(in->purpose[PURPOSE_DIGEST], "digest-key", head,
                      bytes_of(file.ptr + AT_DIGEST, WRAPPED), secret_data(in->digest),
                      NULL) != KMS_OK ||
        envelope_open(in->purpose[PURPOSE_AUDIT], "audit-key", head,
                      bytes_of(file.ptr + AT_SEED, WRAPPED), secret_data(in->audit_seed),
                      NULL) != KMS_OK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "instance file '%s' is damaged", path);
    return KMS_OK;
}

enum kms_status instance_parse(struct bytes file, const char *path, struct secret *root,
                               struct instance *ret, struct kms_error *reterr)
{
    CLEANUP(instance_close) struct instance in = { 0 };

    if (file.len != FILE_LEN || !bytes_starts(file, bytes_of(file_magic, sizeof file_magic)))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "'%s' is not an instance file of this version",
                        path);
    memcpy(in.id, file.ptr + AT_ID, sizeof in.id);
    memcpy(in.audit_public, file.ptr + AT_PUBLIC, sizeof in.audit_public);
    TRY(open_keys(file, path, root, &in, reterr));
    *ret = in;
    in = (struct instance){ 0 };
    return KMS_OK;
}

enum kms_status instance_open(const struct vault_config *config, struct instance *ret,
                              struct kms_error *reterr)
{
    CLEANUP(secret_freep) struct secret *root = NULL;
    CLEANUP(buf_release) struct buf      file = BUF_INIT(FILE_LEN + 1);
    char                                 path[FILE_PATH_MAX];
    struct stat                          root_stat;
    struct stat                          data_stat;

    TRY(read_root(config->root_key_file, &root, &root_stat, reterr));
    if (!file_join(path, config->data_dir, instance_file))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", config->data_dir);
    if (!file_exists(path))
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        "instance file '%s' is missing: put it back, or run "
                        "'trent init' for a new instance",
                        path);
    TRY(file_read(path, &file, reterr));
    TRY(instance_parse(buf_bytes(&file), path, root, ret, reterr));
    ret->root_on_data_filesystem = stat(config->data_dir, &data_stat) == 0 &&
                                   data_stat.st_dev == root_stat.st_dev;
    return KMS_OK;
}
