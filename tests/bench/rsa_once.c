/* tests/bench/rsa_once.c - what an RSA decryption costs with a key that is read for it and used once, as the
 * wrapping key of an import is (tests/bench/durable_rows.py).
 *
 *   rsa_once BITS SECONDS
 *
 * Reading PKCS#8, OAEP with SHA-256, and freeing. `openssl speed` uses one key again and again: its blinding, for
 * which a number is inverted, is made once, and nothing is read. Prints one JSON object: operations, and
 * microseconds of CPU for one.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CIPHER_MAX = 1024, MESSAGE = 32 };

static double cpu_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int ok)
{
    if (ok > 0)
        return;
    ERR_print_errors_fp(stderr);
    exit(1);
}

static EVP_PKEY_CTX *oaep(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

    check(ctx != NULL);
    check(init(ctx));
    check(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING));
    check(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()));
    return ctx;
}

static size_t encrypt(EVP_PKEY *key, uint8_t cipher[CIPHER_MAX])
{
    uint8_t       message[MESSAGE] = "thirty-two bytes of key material";
    size_t        len = CIPHER_MAX;
    EVP_PKEY_CTX *ctx = oaep(key, EVP_PKEY_encrypt_init);

    check(EVP_PKEY_encrypt(ctx, cipher, &len, message, sizeof message));
    EVP_PKEY_CTX_free(ctx);
    return len;
}

static size_t encode(EVP_PKEY *key, uint8_t **der)
{
    PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
    int                  len = i2d_PKCS8_PRIV_KEY_INFO(p8, der);

    check(len);
    PKCS8_PRIV_KEY_INFO_free(p8);
    return (size_t)len;
}

static void decrypt_once(const uint8_t *der, size_t der_len, const uint8_t *cipher, size_t len)
{
    uint8_t              plain[CIPHER_MAX];
    size_t               plain_len = sizeof plain;
    PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)der_len);
    EVP_PKEY            *key = EVP_PKCS82PKEY(p8);

    check(key != NULL);
    EVP_PKEY_CTX *ctx = oaep(key, EVP_PKEY_decrypt_init);
    check(EVP_PKEY_decrypt(ctx, plain, &plain_len, cipher, len));
    check(plain_len == MESSAGE);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    PKCS8_PRIV_KEY_INFO_free(p8);
}

int main(int argc, char **argv)
{
    uint8_t  cipher[CIPHER_MAX];
    uint8_t *der = NULL;
    unsigned n = 0;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: rsa_once BITS SECONDS\n");
        return 64;
    }
    EVP_PKEY *key = EVP_RSA_gen((unsigned)atoi(argv[1]));
    check(key != NULL);
    size_t der_len = encode(key, &der);
    size_t len = encrypt(key, cipher);
    double start = cpu_seconds();
    double took = 0;
    for (double seconds = atof(argv[2]); took < seconds; took = cpu_seconds() - start) {
        decrypt_once(der, der_len, cipher, len);
        n++;
    }
    (void)printf("{\"operations\":%u,\"cpu_us\":%.1f}\n", n, took / n * 1e6);
    EVP_PKEY_free(key);
    OPENSSL_free(der);
    return 0;
}
