/* tests/unit/attestation/test_parse.c - which bytes are an attestation document. Each rule is broken once, in
 * a document that is good otherwise; its signature is made anew, though nobody checks it here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "attestation/attestation_internal.h"
#include "attestation/document.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "instrumented.h"

enum { DOCUMENT_MAX = 256 * 1024 };

static struct party root, leaf;

static int start(void **state)
{
    (void)state;
    party_make(&(struct certificate){ .name = "root", ROOT_CA }, &root);
    party_make(&(struct certificate){ .name = "leaf", .issuer = &root, LEAF }, &leaf);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    party_release(&root);
    party_release(&leaf);
    return 0;
}

static void init(struct document *d)
{
    const struct party *bundle[] = { &root };

    document_init(d, &leaf, bundle, 1, 1234567890123, BYTES_LIT("a key"));
}

/* In memory of exactly its length, so that the address sanitizer sees each byte read past it. */
static bool parses(struct bytes document)
{
    struct attestation_signed s;
    CLEANUP(freep) uint8_t   *exact = malloc(document.len > 0 ? document.len : 1);

    assert_non_null(exact);
    memcpy(exact, document.ptr, document.len);
    return attestation_parse(bytes_of(exact, document.len), &s);
}

static bool document_parses(const struct document *d)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(DOCUMENT_MAX);

    document_write(d, &leaf, &out);
    return parses(buf_bytes(&out));
}

static void expect(const struct document *d, bool good, const char *what)
{
    if (document_parses(d) != good)
        fail_msg("%s: %s", what, good ? "refused" : "accepted");
}

/* --- what a document says --------------------------------------------------------------------- */

static void test_views(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);
    CLEANUP(buf_release) struct buf           der = BUF_INIT(4096);
    struct attestation_signed                 s;
    uint8_t                                   pcr[48] = { 0 };

    (void)state;
    init(&d);
    document_write(&d, &leaf, &out);
    assert_true(attestation_parse(buf_bytes(&out), &s));
    assert_true(bytes_eq_str(s.content.module_id, "i-0123456789abcdef0-enc0123456789abcdef"));
    assert_int_equal(s.content.timestamp, 1234567890123);
    assert_true(bytes_eq_str(s.content.public_key, "a key"));
    for (size_t i = 0; i < ATTESTATION_PCRS; i++) {
        for (uint8_t j = 0; j < sizeof pcr; j++)
            pcr[j] = i == 0 ? j : 0;
        assert_true(bytes_eq(s.content.pcr[i], bytes_of(pcr, i < 16 ? sizeof pcr : 0)));
    }
    party_der(&leaf, &der);
    assert_true(bytes_eq(s.certificate, buf_bytes(&der)));
    buf_reset(&der);
    party_der(&root, &der);
    assert_int_equal(s.n_bundle, 1);
    assert_true(bytes_eq(s.bundle[0], buf_bytes(&der)));
    assert_int_equal(s.signature.len, 96);
    assert_true(s.signature.ptr + 96 == out.ptr + out.len);
}

/* A Sig_structure written down by hand (RFC 9052 4.4). */
static void test_signed_bytes(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(256);
    CLEANUP(buf_release) struct buf want = BUF_INIT(256);
    struct attestation_signed       s = { .protected_header = BYTES_LIT("\xa1\x01\x38\x22"),
                                          .payload = BYTES_LIT("payload of 24 characters") };

    (void)state;
    attestation_signed_bytes(&s, &out);
    add_hex(&want, "846a5369676e61747572653144a1013822405818");
    buf_add_str(&want, "payload of 24 characters");
    assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&want)));
}

/* --- the envelope ----------------------------------------------------------------------------- */

static void test_envelope(void **state)
{
    static const struct {
        const char *what, *before, *protected_header, *unprotected_header, *after;
        bool        good;
    } cases[] = {
        { "untagged", "84", "44a1013822", "a0", "", true },
        { "tagged", "d284", "44a1013822", "a0", "", true },
        { "tag in two bytes", "d81284", "44a1013822", "a0", "", false },
        { "another tag", "d384", "44a1013822", "a0", "", false },
        { "two tags", "d2d284", "44a1013822", "a0", "", false },
        { "array of 3", "83", "44a1013822", "a0", "", false },
        { "array of 5", "85", "44a1013822", "a0", "f6", false },
        { "length of the array in two bytes", "9804", "44a1013822", "a0", "", false },
        { "indefinite array", "9f", "44a1013822", "a0", "ff", false },
        { "array of 2^64-1", "9bffffffffffffffff", "44a1013822", "a0", "", false },
        { "a byte at the end", "84", "44a1013822", "a0", "00", false },
        { "another document at the end", "84", "44a1013822", "a0", "8444a1013822a04000", false },
        { "a byte at the start", "0084", "44a1013822", "a0", "", false },
        { "ES256", "84", "43a10126", "a0", "", false },
        { "ES512", "84", "44a1013823", "a0", "", false },
        { "algorithm in three bytes", "84", "45a101390022", "a0", "", false },
        { "no algorithm", "84", "41a0", "a0", "", false },
        { "no protected header", "84", "40", "a0", "", false },
        { "more in the protected header", "84", "46a20138220300", "a0", "", false },
        { "indefinite protected header", "84", "45bf013822ff", "a0", "", false },
        { "protected header in chunks", "84", "5f44a1013822ff", "a0", "", false },
        { "protected header as text", "84", "64a1013822", "a0", "", false },
        { "algorithm unprotected", "84", "41a0", "a1013822", "", false },
        { "algorithm in both", "84", "44a1013822", "a1013822", "", false },
        { "indefinite unprotected header", "84", "44a1013822", "bfff", "", false },
        { "no unprotected header", "84", "44a1013822", "f6", "", false },
        { "an array for it", "84", "44a1013822", "80", "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(document_release) struct document d;
        init(&d);
        d.before = cases[i].before;
        d.protected_header = cases[i].protected_header;
        d.unprotected_header = cases[i].unprotected_header;
        d.after = cases[i].after;
        expect(&d, cases[i].good, cases[i].what);
    }
}

/* --- members ---------------------------------------------------------------------------------- */

/* Sizes: the longest value that is accepted has `max` bytes, the shortest `min`. */
static void test_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t      min, max;
    } cases[] = {
        { "certificate", 1, 1024 },
        { "public_key", 1, 1024 },
        { "user_data", 0, 512 },
        { "nonce", 0, 512 },
    };
    uint8_t fill[1025] = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t lens[] = { 0, 1, cases[i].max, cases[i].max + 1 };
        for (size_t j = 0; j < ARRAY_LEN(lens); j++) {
            CLEANUP(document_release) struct document d;
            init(&d);
            struct buf *value = document_member(&d, cases[i].name);
            buf_reset(value);
            cbor_bytes(value, bytes_of(fill, lens[j]));
            expect(&d, lens[j] >= cases[i].min && lens[j] <= cases[i].max, cases[i].name);
        }
    }
}

static void test_values(void **state)
{
    static const struct {
        const char *name, *hex; /* NULL: the member is not there */
        bool        good;
    } cases[] = {
        { "module_id", "6161", true },
        { "module_id", "60", false },
        { "module_id", NULL, false },
        { "module_id", "4161", false },     /* bytes */
        { "module_id", "f6", false },       /* null */
        { "module_id", "7f6161ff", false }, /* in chunks */
        { "module_id", "780161", false },   /* its length in two bytes */
        { "module_id", "610a", false },     /* control character */
        { "module_id", "61ff", false },     /* not UTF-8 */
        { "module_id", "7bffffffffffffffff61", false },
        { "digest", "655348413338", false },
        { "digest", "66534841323536", false }, /* SHA256 */
        { "digest", "66736861333834", false }, /* sha384 */
        { "digest", "46534841333834", false }, /* bytes */
        { "digest", NULL, false },
        { "timestamp", "01", true },
        { "timestamp", "1b7fffffffffffffff", true },
        { "timestamp", "1b8000000000000000", false },
        { "timestamp", "00", false },
        { "timestamp", "20", false },   /* -1 */
        { "timestamp", "1801", false }, /* 1 in two bytes */
        { "timestamp", "fb41d26580b4800000", false },
        { "timestamp", "c11a65000000", false }, /* a date */
        { "timestamp", NULL, false },
        { "pcrs", "a0", false },
        { "pcrs", "80", false },
        { "pcrs", "f6", false },
        { "pcrs", NULL, false },
        { "pcrs", "bfff", false },
        { "pcrs", "bbffffffffffffffff", false },
        { "certificate", "f6", false },
        { "certificate", NULL, false },
        { "cabundle", "80", false },
        { "cabundle", "814100", true },
        { "cabundle", "8140", false },
        { "cabundle", "816161", false },
        { "cabundle", "81f6", false },
        { "cabundle", "9f4100ff", false },
        { "cabundle",
          "884100410041004100410041004100"
          "4100",
          true },
        { "cabundle", "89410041004100410041004100410041004100", false },
        { "cabundle", "9bffffffffffffffff4100", false },
        { "cabundle", "f6", false },
        { "cabundle", NULL, false },
        { "public_key", "f6", true },
        { "public_key", NULL, true },
        { "public_key", "f7", false }, /* undefined */
        { "public_key", "f4", false }, /* false */
        { "public_key", "6161", false },
        { "public_key", "5f4161ff", false },
        { "public_key", "580161", false },
        { "user_data", NULL, true },
        { "user_data", "6161", false },
        { "nonce", NULL, true },
        { "nonce", "a0", false },
        { "nonce", "c24101", false }, /* tagged */
        { "nonce", "5f40ff", false },
        { "nonce", "ff", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(document_release) struct document d;
        init(&d);
        if (cases[i].hex == NULL)
            document_drop(&d, cases[i].name);
        else
            document_set(&d, cases[i].name, cases[i].hex);
        char what[96];
        (void)snprintf(what, sizeof what, "%s %s", cases[i].name,
                       cases[i].hex != NULL ? cases[i].hex : "missing");
        expect(&d, cases[i].good, what);
    }
}

/* A member more, in place of an optional one, so that their number is right. */
static void test_names(void **state)
{
    static const struct {
        const char *name, *hex;
        bool        good;
    } cases[] = {
        { "user_data", "f6", true },
        { "nitrotpm_pcrs", "f6", false },
        { "", "f6", false },
        { "User_data", "f6", false },
        { "user_dat", "f6", false },
        { "user_data_", "f6", false },
        { "nonce again", "f6", false },
        { "public_key again", "4161", false },
        { "module_id again", "6161", false },
        { "timestamp again", "01", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(document_release) struct document d;
        init(&d);
        document_drop(&d, "user_data");
        document_set(&d, cases[i].name, cases[i].hex);
        expect(&d, cases[i].good, cases[i].name);
    }
}

/* A name that is bytes, not text. */
static void test_name_of_bytes(void **state)
{
    CLEANUP(document_release) struct document d;

    (void)state;
    init(&d);
    document_drop(&d, "nonce");
    add_hex(&d.payload_head, "a9456e6f6e6365f6"); /* nonce: null, and the eight others follow */
    expect(&d, false, "a name of bytes");
    buf_reset(&d.payload_head);
    add_hex(&d.payload_head, "a9656e6f6e6365f6");
    expect(&d, true, "the same as text");
}

/* A map of one register, `index` (hex), of `len` bytes. */
static bool pcr_parses(const char *index, size_t len)
{
    CLEANUP(document_release) struct document d;
    uint8_t                                   zeros[80] = { 0 };

    init(&d);
    document_set(&d, "pcrs", "a1");
    add_hex(document_member(&d, "pcrs"), index);
    cbor_bytes(document_member(&d, "pcrs"), bytes_of(zeros, len));
    return document_parses(&d);
}

static void test_pcrs(void **state)
{
    CLEANUP(document_release) struct document d;
    uint8_t                                   zeros[48] = { 0 };

    (void)state;
    for (size_t len = 0; len <= 80; len++)
        assert_int_equal(pcr_parses("00", len), len == 32 || len == 48 || len == 64);
    assert_true(pcr_parses("17", 48));
    assert_true(pcr_parses("181f", 48));
    assert_false(pcr_parses("1820", 48));
    assert_false(pcr_parses("1bffffffffffffffff", 48));
    assert_false(pcr_parses("20", 48));
    assert_false(pcr_parses("1800", 48));
    assert_false(pcr_parses("6130", 48));

    init(&d);
    for (unsigned n = 31; n <= 33; n++) { /* 33: index 0 is there twice, and it is one too many */
        struct buf *pcrs = document_member(&d, "pcrs");
        buf_reset(pcrs);
        cbor_head(pcrs, 5, n);
        for (unsigned i = 0; i < n; i++) {
            cbor_head(pcrs, 0, i % 32);
            cbor_bytes(pcrs, bytes_of(zeros, sizeof zeros));
        }
        expect(&d, n <= 32, "many registers");
    }
    document_set(&d, "pcrs", "a2");
    for (unsigned i = 0; i < 2; i++) {
        cbor_head(document_member(&d, "pcrs"), 0, 7);
        cbor_bytes(document_member(&d, "pcrs"), bytes_of(zeros, sizeof zeros));
    }
    expect(&d, false, "one register twice");
}

static void test_payload_map(void **state)
{
    static const struct {
        const char *what, *head;
        bool        good;
    } cases[] = {
        { "as it is", "a9", true },
        { "one pair less than there are", "a8", false },
        { "one pair more than there are", "aa", false },
        { "no pair", "a0", false },
        { "length in two bytes", "b809", false },
        { "indefinite", "bf", false },
        { "an array", "89", false },
        { "2^64-1 pairs", "bbffffffffffffffff", false },
        { "something before it", "00a9", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(document_release) struct document d;
        init(&d);
        add_hex(&d.payload_head, cases[i].head);
        expect(&d, cases[i].good, cases[i].what);
    }
}

/* --- hostile bytes ---------------------------------------------------------------------------- */

static void test_cut_anywhere(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);

    (void)state;
    init(&d);
    document_write(&d, &leaf, &out);
    assert_true(parses(buf_bytes(&out)));
    for (size_t len = 0; len < out.len; len++)
        assert_false(parses(bytes_of(out.ptr, len)));
}

/* The largest document, and one byte more; the time is that of the longest input. */
static void test_largest(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);

    (void)state;
    init(&d);
    document_write(&d, &leaf, &out);
    size_t      rest = LIMIT_ATTESTATION_BYTES - out.len;
    struct buf *name = document_member(&d, "module_id");
    for (size_t more = 0; more < 2; more++) {
        /* its own head is 4 bytes longer than that of the short one, that of the payload 2 */
        size_t len = strlen("i-0123456789abcdef0-enc0123456789abcdef") + rest - 5 + more;
        buf_reset(name);
        cbor_head(name, 3, len);
        for (size_t i = 0; i < len; i++)
            buf_add_byte(name, 'x');
        buf_reset(&out);
        document_write(&d, &leaf, &out);
        assert_int_equal(out.len, LIMIT_ATTESTATION_BYTES + more);
        assert_int_equal(parses(buf_bytes(&out)), more == 0);
    }
}

/* Of this process: other work on the machine does not count. */
static int64_t cpu_ms(void)
{
    return (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

/* Nesting as deep as the limit allows, in every place where an item may stand: refused at once. The time
 * allowed is a thousand times what it takes, so that a busy machine does not matter. */
static void test_nesting(void **state)
{
    static const uint8_t openers[] = { 0x81, 0xa1, 0x9f, 0xbf, 0xd2, 0x5f, 0xc0, 0xdb, 0x9b, 0x84 };
    static uint8_t       deep[LIMIT_ATTESTATION_BYTES];

    (void)state;
    int64_t began = cpu_ms();
    for (size_t i = 0; i < ARRAY_LEN(openers); i++) {
        memset(deep, openers[i], sizeof deep);
        assert_false(parses(bytes_of(deep, sizeof deep)));

        CLEANUP(document_release) struct document d;
        init(&d);
        for (size_t m = 0; m < d.n; m++) {
            CLEANUP(document_release) struct document one;
            init(&one);
            buf_reset(&one.member[m].value);
            buf_add(&one.member[m].value, bytes_of(deep, 60000));
            expect(&one, false, one.member[m].name);
        }
    }
    assert_cost(cpu_ms() - began, 5000);
}

/* Every head that CBOR has, in place of each item of the envelope. */
static void test_every_first_byte(void **state)
{
    CLEANUP(document_release) struct document d;
    CLEANUP(buf_release) struct buf           out = BUF_INIT(DOCUMENT_MAX);

    (void)state;
    init(&d);
    document_write(&d, &leaf, &out);
    for (unsigned byte = 0; byte < 256; byte++) {
        static const size_t places[] = { 0, 1, 2, 6, 7 };
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            uint8_t kept = out.ptr[places[i]];
            out.ptr[places[i]] = (uint8_t)byte;
            assert_int_equal(parses(buf_bytes(&out)), byte == kept);
            out.ptr[places[i]] = kept;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_signed_bytes),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_of_bytes),
        cmocka_unit_test(test_pcrs),
        cmocka_unit_test(test_payload_map),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_every_first_byte),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
