/* crypto/key_pem.c - private keys in PEM, as other programs keep them, to material of ours. */
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "base/cleanup.h"
#include "crypto/key_internal.h"

static void bio_freep(BIO **p)
{
    BIO_free(*p);
}

static int no_passphrase(char *to, int room, int writes, void *unused)
{
    (void)to, (void)room, (void)writes, (void)unused;
    return -1;
}

/* Is there one private key, and not a second one that nobody would read? */
static bool one_key(struct bytes pem)
{
    static const char mark[] = "PRIVATE KEY-----";
    size_t            n = 0;

    while (pem.len > 0) {
        const uint8_t *hit = memmem(pem.ptr, pem.len, mark, sizeof mark - 1);
        if (hit == NULL)
            break;
        n++;
        hit += sizeof mark - 1;
        pem = bytes_of(hit, pem.len - (size_t)(hit - pem.ptr));
    }
    return n == 2; /* BEGIN and END */
}

static enum key_spec spec_of(EVP_PKEY *key)
{
    char   group[32] = "";
    size_t len = 0;
    bool   rsa = EVP_PKEY_is_a(key, "RSA") == 1;

    if (!rsa && EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1)
        return SPEC_COUNT;
    int nid = OBJ_sn2nid(group);

    for (enum key_spec s = 0; s < SPEC_COUNT; s++) {
        const struct key_spec_info *info = spec_info(s);
        if (rsa && info->family == FAMILY_RSA && (int)info->bits == EVP_PKEY_get_bits(key))
            return s;
        if (!rsa && info->family == FAMILY_EC && EVP_PKEY_is_a(key, info->openssl) == 1 &&
            (OBJ_sn2nid(info->group) == nid || EC_curve_nist2nid(info->group) == nid))
            return s;
    }
    return SPEC_COUNT;
}

enum kms_status crypto_pem_to_pkcs8(struct bytes pem, enum key_spec *ret_spec,
                                    struct secret **ret_material, struct kms_error *reterr)
{
    enum { PEM_MAX = 64 * 1024 };
    CLEANUP(bio_freep) BIO           *in = NULL;
    CLEANUP(key_pkey_freep) EVP_PKEY *key = NULL;

    if (pem.len <= PEM_MAX && one_key(pem)) {
        in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        if (in != NULL)
            key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
    }
    enum key_spec spec = key != NULL ? spec_of(key) : SPEC_COUNT;

    if (spec == SPEC_COUNT || !key_ops(spec)->check(spec, &key)) {
        if (crypto_was_short_of_memory())
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read a private key");
        return KMS_FAIL(reterr, KMS_E_CIPHERTEXT, "this PEM is no private key that is taken");
    }
    TRY(key_ops(spec)->encode(spec, key, ret_material, reterr));
    *ret_spec = spec;
    return KMS_OK;
}
