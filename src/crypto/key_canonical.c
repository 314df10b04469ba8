/* crypto/key_canonical.c - is RSA material in its one form, by its bytes alone?
 *
 * Our own material is opened with each import and with each miss of the cache. To encode a key anew only to
 * compare takes OpenSSL longer than to read it; DER that has one encoding for each number says as much.
 */
#include "crypto/key_internal.h"

enum {
    INTEGER = 0x02,
    OCTET_STRING = 0x04,
    SEQUENCE = 0x30,
    LEN_ONE_BYTE = 0x81,
    LEN_TWO_BYTES = 0x82,
    SIGN = 0x80,
    NUMBERS = 8, /* n e d p q dp dq qinv */
};

/* The length of what comes next, if it has DER's only form and less than 64 KiB. */
static bool take_length(struct bytes *in, size_t *ret)
{
    struct bytes b;

    if (!bytes_take(in, 1, &b))
        return false;
    uint8_t first = b.ptr[0];
    *ret = first;
    if (first < LEN_ONE_BYTE - 1)
        return true;
    if (!(first == LEN_ONE_BYTE || first == LEN_TWO_BYTES) ||
        !bytes_take(in, first == LEN_ONE_BYTE ? 1 : 2, &b))
        return false;
    *ret = first == LEN_ONE_BYTE ? b.ptr[0] : (size_t)b.ptr[0] << 8 | b.ptr[1];
    return *ret >= (first == LEN_ONE_BYTE ? 0x80 : 0x100);
}

static bool take_element(struct bytes *in, uint8_t tag, struct bytes *ret)
{
    struct bytes head;
    size_t       len;

    return bytes_take(in, 1, &head) && head.ptr[0] == tag && take_length(in, &len) &&
           bytes_take(in, len, ret);
}

/* A number above zero, without its sign. */
static bool take_number(struct bytes *in, struct bytes *ret)
{
    if (!take_element(in, INTEGER, ret) || ret->len == 0 || (ret->ptr[0] & SIGN) != 0)
        return false;
    if (ret->ptr[0] != 0)
        return true;
    *ret = bytes_of(ret->ptr + 1, ret->len - 1);
    return ret->len > 0 && (ret->ptr[0] & SIGN) != 0; /* the zero was needed */
}

static bool take_version(struct bytes *in)
{
    struct bytes version;

    return take_element(in, INTEGER, &version) && bytes_eq(version, bytes_of("\0", 1));
}

static bool take_algorithm(struct bytes *in)
{
    struct bytes algorithm;

    return take_element(in, SEQUENCE, &algorithm) &&
           bytes_eq(algorithm, BYTES_LIT("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"));
}

bool key_canonical_rsa(enum key_spec spec, struct bytes material)
{
    struct bytes all, inside, numbers, number, modulus = { 0 };

    if (!take_element(&material, SEQUENCE, &all) || material.len != 0 || !take_version(&all) ||
        !take_algorithm(&all) || !take_element(&all, OCTET_STRING, &inside) || all.len != 0 ||
        !take_element(&inside, SEQUENCE, &numbers) || inside.len != 0 || !take_version(&numbers))
        return false;
    for (int i = 0; i < NUMBERS; i++) {
        if (!take_number(&numbers, &number))
            return false;
        if (i == 0)
            modulus = number;
    }
    return numbers.len == 0 && modulus.len == spec_info(spec)->bits / 8 &&
           (modulus.ptr[0] & SIGN) != 0;
}
