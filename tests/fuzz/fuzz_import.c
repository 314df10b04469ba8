/* tests/fuzz/fuzz_import.c - import tokens and wrapped materials, with the keys in the fuzzer's hand.
 *
 * The first byte of an input chooses:
 *   0  the rest is a token as a client would send it
 *   1  the rest is a list of patches (two bytes: place, what) to a token that we made
 *   2  the rest is sealed as the content of a token
 *   3  the rest is a wrapped material as a client would send it
 *   4  the rest is wrapped with RSAES-OAEP: only 32 bytes are a material
 *   5  the rest is the AES part of RSA_AES_KEY_WRAP under a key we know
 */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto_start.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/limits.h"
#include "crypto/self_test_data.h"
#include "vault/vault_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ACCOUNT "111122223333"
#define KEY_ID  "1234abcd-12ab-34cd-56ef-1234567890ab"
#define ARN     "arn:aws:kms:us-east-1:" ACCOUNT ":key/" KEY_ID

enum { MODULUS = 256, NOW = 1000, CONTENT = 1 + 16 + 4 + 12 + 4 + sizeof ARN - 1 + 12 + 32 + 16 };

static struct {
    char                           dir[64], root[96];
    struct clock                  *clock;
    struct epoch                  *epoch;
    struct vault                  *v;
    struct secret                 *pkcs8;
    EVP_PKEY                      *rsa;
    struct buf                     spki;
    struct key_record             *key;
    struct vault_import_parameters oaep, twice;
} s;

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* --- the scene, made once ------------------------------------------------------------------------------ */

static void remove_files(void)
{
    static const char *const names[] = { "root.key", "instance.sealed", "erasable.slots",
                                         "durable.slots" };
    char                     path[FILE_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (file_join(path, s.dir, names[i]))
            (void)unlink(path);
    }
    (void)rmdir(s.dir);
}

static void open_vault(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    struct buf  domain = BUF_INIT(256);

    (void)snprintf(s.dir, sizeof s.dir, "%s/fuzz-import-XXXXXX", base);
    must(mkdtemp(s.dir) != NULL && atexit(remove_files) == 0);
    (void)snprintf(s.root, sizeof s.root, "%s/root.key", s.dir);
    s.clock = clock_new(0);
    s.epoch = epoch_new();
    struct vault_config config = { .data_dir = s.dir,
                                   .root_key_file = s.root,
                                   .allow_grade_c = true,
                                   .cache_idle_s = 60,
                                   .clock = s.clock,
                                   .epoch = s.epoch };
    must(vault_create(&config, NULL) == KMS_OK && vault_open(&config, NULL, &s.v, NULL) == KMS_OK);
    must(vault_new_domain(s.v, BYTES_LIT(ACCOUNT), BYTES_LIT("us-east-1"), 1, &domain, NULL) ==
         KMS_OK);
    buf_release(&domain); /* usable before it is stored; nothing is stored here */
}

static void load_rsa(void)
{
    size_t len = strlen(SELF_TEST_RSA_PKCS8) / 2;

    s.pkcs8 = secret_new(len);
    must(s.pkcs8 != NULL && hex_read(bytes_str(SELF_TEST_RSA_PKCS8), secret_data(s.pkcs8), len));
    const uint8_t       *at = secret_data(s.pkcs8);
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
    s.rsa = EVP_PKCS82PKEY(p8);
    PKCS8_PRIV_KEY_INFO_free(p8);
    buf_init(&s.spki, 1024);
    int n = i2d_PUBKEY(s.rsa, NULL);
    must(n > 0 && buf_reserve(&s.spki, (size_t)n));
    uint8_t *to = s.spki.ptr;
    s.spki.len = (size_t)i2d_PUBKEY(s.rsa, &to);
}

static void parameters(enum wrapping_algorithm algorithm, struct vault_import_parameters *ret)
{
    struct ready_key *k = calloc(1, sizeof *k);

    must(k != NULL);
    k->pkcs8 = secret_copy(secret_view(s.pkcs8));
    buf_init(&k->spki, 1024);
    buf_add(&k->spki, buf_bytes(&s.spki));
    s.v->ready[0].keys = k;
    s.v->ready[0].count = 1;
    must(vault_import_parameters(s.v, s.key, algorithm, SPEC_RSA_2048, clock_now(s.clock), ret,
                                 NULL) == KMS_OK);
}

static void start(void)
{
    if (s.v != NULL)
        return;
    must(start_crypto() == KMS_OK);
    open_vault();
    load_rsa();
    s.key = key_record_new();
    must(s.key != NULL);
    s.key->name = (struct key_name){ BYTES_LIT(ACCOUNT), BYTES_LIT("us-east-1"), BYTES_LIT(KEY_ID),
                                     BYTES_LIT(ARN) };
    s.key->origin = ORIGIN_EXTERNAL;
    parameters(WRAP_RSAES_OAEP_SHA_256, &s.oaep);
    parameters(WRAP_RSA_AES_KEY_WRAP_SHA_256, &s.twice);
}

/* --- tokens -------------------------------------------------------------------------------------------- */

static enum kms_status open_token(struct bytes token, uint8_t ret_id[16])
{
    enum kms_status status = vault_token_open(s.v, s.key, token, NOW, ret_id, NULL);

    must(status == KMS_OK || status == KMS_E_IMPORT_TOKEN || status == KMS_E_EXPIRED_TOKEN);
    return status;
}

static void patched_token(struct bytes patches)
{
    uint8_t      token[1024], id[16];
    struct bytes whole = buf_bytes(&s.oaep.token);

    memcpy(token, whole.ptr, whole.len);
    for (size_t i = 0; i + 2 <= patches.len; i += 2)
        token[patches.ptr[i] % whole.len] ^= patches.ptr[i + 1];
    bool same = bytes_eq(bytes_of(token, whole.len), whole);
    must((open_token(bytes_of(token, whole.len), id) == KMS_OK) == same);
    if (same)
        must(bytes_eq(bytes_of(id, 16), bytes_of(s.oaep.record->id, 16)));
}

/* Sealed by us, so only the reader of the content decides. */
static void sealed_content(struct bytes content)
{
    struct buf aad = BUF_INIT(256), token = BUF_INIT(LIMIT_CIPHERTEXT);
    uint8_t    id[16];

    buf_add_field(&aad, BYTES_LIT("import-token"));
    buf_add_field(&aad, bytes_of(vault_instance_id(s.v), 16));
    must(envelope_seal(s.v->in.purpose[PURPOSE_TOKEN], "import-token", buf_bytes(&aad), content,
                       &token, NULL) == KMS_OK);
    if (open_token(buf_bytes(&token), id) == KMS_OK) {
        must(content.len == CONTENT && content.ptr[0] == 1);
        must(bytes_eq(bytes_of(content.ptr + 1, 16), bytes_of(id, 16)));
        must(bytes_eq(bytes_of(content.ptr + 21, 12), BYTES_LIT(ACCOUNT)));
        must(bytes_eq(bytes_of(content.ptr + 37, sizeof ARN - 1), BYTES_LIT(ARN)));
    }
    buf_release(&aad);
    buf_release(&token);
}

/* --- materials ----------------------------------------------------------------------------------------- */

/* Imports; true if it was taken, with its id. */
static bool import(const struct vault_import_parameters *p, struct bytes wrapped,
                   struct material_id *ret)
{
    struct vault_import *in = NULL;
    struct kms_error     err;
    enum kms_status      status = vault_import_open(s.v, s.key, p->record, wrapped, &in, ret, &err);

    must(status == KMS_OK || (status == KMS_E_CIPHERTEXT && err.message_len == 0) ||
         status == KMS_E_VALIDATION);
    must((in != NULL) == (status == KMS_OK));
    vault_import_close(in);
    return status == KMS_OK;
}

static void must_be(struct bytes material, const struct material_id *id)
{
    struct material_id want;
    uint8_t            check[32];

    must(material_identify(s.v, s.key, material, &want, check, NULL) == KMS_OK);
    must(bytes_eq(bytes_of(want.b, 32), bytes_of(id->b, 32)));
}

static void oaep(struct bytes plain, uint8_t ret[MODULUS])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(s.rsa, NULL);
    size_t        len = MODULUS;

    must(EVP_PKEY_encrypt_init(ctx) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
         EVP_PKEY_encrypt(ctx, ret, &len, plain.ptr, plain.len) == 1 && len == MODULUS);
    EVP_PKEY_CTX_free(ctx);
}

static void wrapped_once(struct bytes plain)
{
    uint8_t            wrapped[MODULUS];
    struct material_id id;

    if (plain.len > MODULUS - 66) /* RFC 8017 7.1.1: two hashes and two bytes */
        return;
    oaep(plain, wrapped);
    bool taken = import(&s.oaep, bytes_of(wrapped, MODULUS), &id);
    must(taken == (plain.len == 32));
    if (taken)
        must_be(plain, &id);
}

static void wrapped_twice(struct bytes second)
{
    static uint8_t     wrapped[MODULUS + LIMIT_CIPHERTEXT];
    uint8_t            kek[32] = "a key that the fuzzer has chosen";
    uint8_t            plain[LIMIT_CIPHERTEXT];
    size_t             len = 0;
    struct material_id id;

    if (second.len > LIMIT_CIPHERTEXT)
        return;
    oaep(bytes_of(kek, 32), wrapped);
    if (second.len > 0)
        memcpy(wrapped + MODULUS, second.ptr, second.len);
    bool good = crypto_kwp_unwrap(bytes_of(kek, 32), second, plain, &len, NULL) == KMS_OK &&
                len == 32;
    bool taken = import(&s.twice, bytes_of(wrapped, MODULUS + second.len), &id);
    must(taken == (good && MODULUS + second.len <= LIMIT_CIPHERTEXT));
    if (taken)
        must_be(bytes_of(plain, 32), &id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t            id[16];
    struct material_id material;

    start();
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:  must(open_token(rest, id) == KMS_E_IMPORT_TOKEN); break;
    case 1:  patched_token(rest); break;
    case 2:  sealed_content(rest); break;
    case 3:  must(!import(data[0] / 6 % 2 == 0 ? &s.oaep : &s.twice, rest, &material)); break;
    case 4:  wrapped_once(rest); break;
    default: wrapped_twice(rest); break;
    }
    return 0;
}
