/* tests/unit/vault/fixture.c - see fixture.h. */
#include "fixture.h"

#include <assert.h>
#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "vault/vault_internal.h"

static const char        account[] = "111122223333";
static const char *const regions[] = { "us-east-1", "us-west-2" };

/* The wrapped domain keys of the instance under test, as the store would keep them. */
static struct buf stored_domains[ARRAY_LEN(regions)];

/* One RSA key for all imports of a test program: making one takes a while. */
static struct secret *rsa_private;
static struct buf     rsa_public; /* initialised when the key is made */

static void check(enum kms_status status, const struct kms_error *err)
{
    if (status == KMS_OK)
        return;
    fprintf(stderr, "fixture: %s at %s\n", err->detail, err->site);
    abort();
}

int fixture_start(void **state)
{
    struct kms_error err;

    (void)state;
    check(crypto_init(&err), &err);
    return 0;
}

int fixture_stop(void **state)
{
    (void)state;
    secret_freep(&rsa_private);
    buf_release(&rsa_public);
    crypto_cleanup();
    return 0;
}

size_t fixture_own_secrets(void)
{
    return rsa_private == NULL ? 2 : 3; /* two of crypto's in this thread */
}

static void load_domains(struct fixture *f)
{
    struct kms_error err;

    for (size_t i = 0; i < ARRAY_LEN(regions); i++) {
        if (stored_domains[i].len == 0) {
            stored_domains[i] = BUF_INIT(256);
            check(vault_new_domain(f->v, bytes_str(account), bytes_str(regions[i]), 1,
                                   &stored_domains[i], &err),
                  &err);
        }
        struct domain_key_record r = { bytes_str(account), bytes_str(regions[i]), 1,
                                       buf_bytes(&stored_domains[i]) };
        check(vault_add_domain(f->v, &r, &err), &err);
    }
}

void fixture_open(struct fixture *f)
{
    struct kms_error err;
    const char      *base = getenv("TMPDIR");

    *f = (struct fixture){ .reader = -1 };
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/vault-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(f->dir) == NULL)
        abort();
    (void)snprintf(f->root_key, sizeof f->root_key, "%s/root.key", f->dir);
    f->clock = clock_new(0);
    f->epoch = epoch_new();
    f->reader = epoch_register(f->epoch);
    f->config = (struct vault_config){
        .data_dir = f->dir,
        .root_key_file = f->root_key,
        .allow_grade_c = true,
        .development = true,
        .cache_idle_s = 60,
        .clock = f->clock,
        .epoch = f->epoch,
    };
    for (size_t i = 0; i < ARRAY_LEN(regions); i++)
        buf_release(&stored_domains[i]);
    check(vault_create(&f->config, &err), &err);
    check(vault_open(&f->config, NULL, &f->v, &err), &err);
    load_domains(f);
}

void fixture_reopen(struct fixture *f)
{
    struct kms_error err;

    vault_close(f->v);
    check(vault_open(&f->config, NULL, &f->v, &err), &err);
    load_domains(f);
}

const char *fixture_path(const struct fixture *f, const char *name, char room[128])
{
    (void)snprintf(room, 128, "%s/%.32s", f->dir, name);
    return room;
}

void fixture_close(struct fixture *f)
{
    DIR *d = opendir(f->dir);

    vault_close(f->v);
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL; e = readdir(d)) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, e->d_name);
        (void)unlink(path);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(f->dir);
    for (size_t i = 0; i < ARRAY_LEN(regions); i++)
        buf_release(&stored_domains[i]);
    clock_free(f->clock);
    epoch_free(f->epoch);
}

struct key_record *fixture_key(const char *region, unsigned serial, enum key_origin origin)
{
    struct key_record              *k = key_record_new();
    char                            id[KEY_ID_MAX + 1];
    CLEANUP(buf_release) struct buf arn = BUF_INIT(KEY_ARN_MAX);

    assert(k != NULL);
    (void)snprintf(id, sizeof id, "1234abcd-12ab-34cd-56ef-%012u", serial);
    key_arn_add(&arn, bytes_str(account), bytes_str(region), bytes_str(id));
    k->name = (struct key_name){
        .account = arena_copy(k->arena, bytes_str(account)),
        .region = arena_copy(k->arena, bytes_str(region)),
        .id = arena_copy(k->arena, bytes_str(id)),
        .arn = arena_copy(k->arena, buf_bytes(&arn)),
    };
    k->spec = SPEC_SYMMETRIC_DEFAULT;
    k->usage = USAGE_ENCRYPT_DECRYPT;
    k->origin = origin;
    k->state = KEY_ENABLED;
    return k;
}

struct key_material *fixture_generate(struct fixture *f, struct key_record *key)
{
    struct key_material fresh = { .role = MATERIAL_CURRENT, .expiration = DOES_NOT_EXPIRE };
    struct kms_error    err;

    check(vault_generate_material(f->v, key, key->arena, &fresh, &err), &err);
    struct key_material *m = key_record_add_material(key);
    *m = fresh;
    return m;
}

struct vault_material fixture_current(const struct key_record *key)
{
    return (struct vault_material){ key, key_record_with_role(key, MATERIAL_CURRENT) };
}

/* --- imports --------------------------------------------------------------------------------------------- */

void fixture_parameters(struct fixture *f, const struct key_record *key,
                        enum wrapping_algorithm algorithm, int64_t now,
                        struct vault_import_parameters *ret)
{
    struct kms_error  err;
    struct ready_key *ready = calloc(1, sizeof *ready);

    if (rsa_private == NULL) {
        buf_init(&rsa_public, 1024);
        check(crypto_rsa_generate(SPEC_RSA_2048, NULL, &rsa_private, &rsa_public, &err), &err);
    }
    assert(ready != NULL);
    ready->pkcs8 = secret_copy(secret_view(rsa_private));
    buf_init(&ready->spki, 1024);
    buf_add(&ready->spki, buf_bytes(&rsa_public));
    ready->next = f->v->ready[0].keys;
    f->v->ready[0].keys = ready;
    f->v->ready[0].count++;
    check(vault_import_parameters(f->v, key, algorithm, SPEC_RSA_2048, now, ret, &err), &err);
}

static void oaep(struct bytes spki, bool sha1, struct bytes plain, struct buf *out)
{
    const uint8_t *at = spki.ptr;
    EVP_PKEY      *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    EVP_PKEY_CTX  *ctx = EVP_PKEY_CTX_new(key, NULL);
    const EVP_MD  *md = sha1 ? EVP_sha1() : EVP_sha256();
    size_t         len = (size_t)EVP_PKEY_get_size(key);

    if (EVP_PKEY_encrypt_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1 ||
        !buf_reserve(out, len) ||
        EVP_PKEY_encrypt(ctx, out->ptr + out->len, &len, plain.ptr, plain.len) != 1)
        abort();
    out->len += len;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

void fixture_wrap(struct bytes spki, enum wrapping_algorithm algorithm, struct bytes material,
                  struct buf *out)
{
    bool    sha1 = algorithm == WRAP_RSAES_OAEP_SHA_1 || algorithm == WRAP_RSA_AES_KEY_WRAP_SHA_1;
    uint8_t kek[32];
    uint8_t wrapped[4096];
    size_t  len = 0;
    struct kms_error err;

    if (algorithm == WRAP_RSAES_OAEP_SHA_1 || algorithm == WRAP_RSAES_OAEP_SHA_256) {
        oaep(spki, sha1, material, out);
        return;
    }
    crypto_random(kek, sizeof kek);
    oaep(spki, sha1, bytes_of(kek, sizeof kek), out);
    check(crypto_kwp_wrap(bytes_of(kek, sizeof kek), material, wrapped, &len, &err), &err);
    buf_add(out, bytes_of(wrapped, len));
}

struct key_material *fixture_import_until(struct fixture *f, struct key_record *key,
                                          struct bytes material, int64_t valid_to)
{
    CLEANUP(vault_import_parameters_release) struct vault_import_parameters p = { 0 };
    CLEANUP(vault_import_closep) struct vault_import                       *in = NULL;
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(8192);
    struct key_material             fresh = { .role = MATERIAL_CURRENT,
                                              .present = true,
                                              .valid_to = valid_to,
                                              .expiration = valid_to == 0 ? DOES_NOT_EXPIRE : EXPIRES };
    struct kms_error                err;

    fixture_parameters(f, key, WRAP_RSAES_OAEP_SHA_256, clock_now(f->clock), &p);
    fixture_wrap(buf_bytes(&p.spki), WRAP_RSAES_OAEP_SHA_256, material, &wrapped);
    check(vault_import_open(f->v, key, p.record, buf_bytes(&wrapped), &in, &fresh.id, &err), &err);
    check(vault_import_seal(f->v, in, key, key->arena, &fresh, &err), &err);
    vault_release(f->v, &p.record->sealed);
    struct key_material *m = key_record_add_material(key);
    *m = fresh;
    return m;
}

struct key_material *fixture_import(struct fixture *f, struct key_record *key,
                                    struct bytes material)
{
    return fixture_import_until(f, key, material, 0);
}

/* --- use ------------------------------------------------------------------------------------------------- */

void fixture_delete(struct fixture *f, struct key_material *m, struct erase_proof *ret_proof)
{
    struct kms_error err;

    epoch_barrier(f->epoch);
    vault_forget(f->v, &m->id);
    epoch_barrier(f->epoch);
    vault_reclaim(f->v);
    check(vault_erase(f->v, &m->sealed, 1, ret_proof, &err), &err);
}

enum kms_status fixture_encrypt(struct fixture *f, struct vault_material m, struct bytes context,
                                struct bytes plain, struct buf *out)
{
    epoch_enter(f->epoch, f->reader);
    enum kms_status status = vault_encrypt(f->v, m, BLOB_ENCRYPT, context, plain, out, NULL);
    epoch_leave(f->epoch, f->reader);
    return status;
}

enum kms_status fixture_decrypt(struct fixture *f, struct vault_material m, struct bytes context,
                                struct bytes blob, struct buf *out)
{
    epoch_enter(f->epoch, f->reader);
    enum kms_status status = vault_decrypt(f->v, m, context, blob, out, NULL);
    epoch_leave(f->epoch, f->reader);
    return status;
}

enum kms_status fixture_reencrypt(struct vault *v, const struct fixture_reencryption *r,
                                  struct buf *out)
{
    const struct vault_command command = {
        .kind = VAULT_REENCRYPT,
        .from = r->from,
        .to = r->to,
        .algorithm = ALGORITHM_SYMMETRIC_DEFAULT,
        .to_algorithm = ALGORITHM_SYMMETRIC_DEFAULT,
        .context = r->from_context,
        .to_context = r->to_context,
        .input = r->blob,
    };
    struct vault_result result;

    vault_result_init(&result);
    enum kms_status status = vault_run(v, &command, &result, NULL);
    if (status == KMS_OK)
        buf_add(out, buf_bytes(&result.blob));
    vault_result_release(&result);
    return status;
}
