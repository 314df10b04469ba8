/* tests/unit/crypto/test_spec.c - the table of key specs, and docs/key-specs.md made from it.
 *
 * TRENT_WRITE_KEY_SPECS=docs/key-specs.md build/test/tests/unit/crypto-test_spec writes the page anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "crypto/spec.h"

enum { PAGE_MAX = 64 * 1024 };

static const char head[] =
    "# Key specs\n\n"
    "Made from the table in `src/crypto/spec.c` by `tests/unit/crypto/test_spec.c`, which fails "
    "when\n"
    "the two differ; `tests/api/test_key_specs.py` asks a server about each row.\n\n"
    "Lane: where the private operation, then the public one, runs. `loop` takes less than about\n"
    "0.2 ms on a loop thread, `pool` is the bounded pool of threads.\n\n"
    "| KeySpec | KeyUsage | algorithms | lane | data key pairs | Regions |\n"
    "| --- | --- | --- | --- | --- | --- |\n";

static const char import_head[] =
    "\n## Imports\n\n"
    "Which wrapping algorithm takes which wrapping keys, and what may be inside. PKCS#8 is DER, "
    "and BER\n"
    "where it says so; the key is identified by its public half, not by its encoding.\n\n"
    "| KeySpec | RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256 | RSA_AES_KEY_WRAP_SHA_1, "
    "RSA_AES_KEY_WRAP_SHA_256 | "
    "material |\n"
    "| --- | --- | --- | --- |\n";

static const char *lane(bool fast)
{
    return fast ? "loop" : "pool";
}

static void add_row(struct buf *out, enum key_spec spec, enum key_usage usage)
{
    const struct key_spec_info *info = spec_info(spec);

    buf_addf(out, "| %s | %s | ", key_spec_names[spec], key_usage_names[usage]);
    for (unsigned i = 0; i < info->usages[usage].count; i++)
        buf_addf(out, "%s%s", i == 0 ? "" : ", ", algorithm_names[info->usages[usage].list[i]]);
    buf_addf(out, " | %s, %s | %s | %s |\n", lane(info->fast_private), lane(info->fast_public),
             info->data_key_pair ? "yes" : "no",
             info->only_china  ? "aws-cn only"
             : info->not_china ? "not aws-cn"
                               : "all");
}

static void add_wrapping_keys(struct buf *out, uint8_t keys)
{
    static const char *const names[] = { "RSA_2048", "RSA_3072", "RSA_4096" };
    const char              *between = "";

    if (keys == 0)
        buf_add_str(out, "none");
    for (unsigned i = 0; i < 3; i++) {
        if ((keys & 1u << i) == 0)
            continue;
        buf_addf(out, "%s%s", between, names[i]);
        between = ", ";
    }
    buf_add_str(out, " | ");
}

static void add_import(struct buf *out, enum key_spec spec)
{
    const struct key_spec_info *info = spec_info(spec);

    if (!spec_importable(spec))
        return;
    /* the two hashes of an algorithm never differ */
    assert_int_equal(info->wrappings[WRAP_RSAES_OAEP_SHA_1],
                     info->wrappings[WRAP_RSAES_OAEP_SHA_256]);
    assert_int_equal(info->wrappings[WRAP_RSA_AES_KEY_WRAP_SHA_1],
                     info->wrappings[WRAP_RSA_AES_KEY_WRAP_SHA_256]);
    buf_addf(out, "| %s | ", key_spec_names[spec]);
    add_wrapping_keys(out, info->wrappings[WRAP_RSAES_OAEP_SHA_256]);
    add_wrapping_keys(out, info->wrappings[WRAP_RSA_AES_KEY_WRAP_SHA_256]);
    if (spec_is_asymmetric(spec))
        buf_addf(out, "PKCS#8, DER%s |\n", info->ber ? " or BER" : "");
    else if (info->material_min == info->material_max)
        buf_addf(out, "%u bytes |\n", info->material_min);
    else
        buf_addf(out, "%u to %u bytes |\n", info->material_min, info->material_max);
}

static void make_page(struct buf *out)
{
    buf_add_str(out, head);
    for (unsigned spec = 0; spec < SPEC_COUNT; spec++) {
        for (unsigned usage = 0; usage < USAGE_COUNT; usage++) {
            if (spec_has_usage((enum key_spec)spec, (enum key_usage)usage))
                add_row(out, (enum key_spec)spec, (enum key_usage)usage);
        }
    }
    buf_add_str(out, import_head);
    for (unsigned spec = 0; spec < SPEC_COUNT; spec++)
        add_import(out, (enum key_spec)spec);
    assert_true(buf_ok(out));
}

static void test_page_is_current(void **state)
{
    CLEANUP(buf_release) struct buf page = BUF_INIT(PAGE_MAX);
    const char                     *path = getenv("TRENT_WRITE_KEY_SPECS");
    static char                     found[PAGE_MAX];

    (void)state;
    make_page(&page);
    FILE *f = fopen(path != NULL ? path : TRENT_SOURCE "/docs/key-specs.md",
                    path != NULL ? "w" : "r");
    assert_non_null(f);
    if (path != NULL) {
        assert_int_equal(fwrite(page.ptr, 1, page.len, f), page.len);
    } else {
        size_t len = fread(found, 1, sizeof found, f);
        assert_int_equal(len, page.len);
        assert_memory_equal(found, page.ptr, len);
    }
    assert_int_equal(fclose(f), 0);
}

/* Every algorithm stands in the lists of specs of its own usage only, and in at least one. */
static void test_algorithms_fit_their_usage(void **state)
{
    (void)state;
    for (unsigned a = 0; a < ALGORITHM_COUNT; a++) {
        unsigned seen = 0;

        for (unsigned spec = 0; spec < SPEC_COUNT; spec++) {
            for (unsigned usage = 0; usage < USAGE_COUNT; usage++) {
                if (!spec_has_algorithm((enum key_spec)spec, (enum key_usage)usage,
                                        (enum algorithm)a))
                    continue;
                assert_int_equal(algorithm_info((enum algorithm)a)->usage, usage);
                seen++;
            }
        }
        assert_true(seen > 0);
        assert_non_null(algorithm_names[a]);
    }
    assert_null(algorithm_names[ALGORITHM_COUNT]);
}

/* kms-behaviour 6.2: the limits that were recorded. */
static void test_plaintext_limits(void **state)
{
    (void)state;
    assert_int_equal(spec_plaintext_max(SPEC_RSA_2048, ALGORITHM_RSAES_OAEP_SHA_1), 214);
    assert_int_equal(spec_plaintext_max(SPEC_RSA_2048, ALGORITHM_RSAES_OAEP_SHA_256), 190);
    assert_int_equal(spec_plaintext_max(SPEC_RSA_3072, ALGORITHM_RSAES_OAEP_SHA_1), 342);
    assert_int_equal(spec_plaintext_max(SPEC_RSA_3072, ALGORITHM_RSAES_OAEP_SHA_256), 318);
    assert_int_equal(spec_plaintext_max(SPEC_RSA_4096, ALGORITHM_RSAES_OAEP_SHA_1), 470);
    assert_int_equal(spec_plaintext_max(SPEC_RSA_4096, ALGORITHM_RSAES_OAEP_SHA_256), 446);
    assert_int_equal(spec_plaintext_max(SPEC_SM2, ALGORITHM_SM2PKE), 1024);
    assert_int_equal(spec_plaintext_max(SPEC_SYMMETRIC_DEFAULT, ALGORITHM_SYMMETRIC_DEFAULT), 4096);
    assert_int_equal(spec_plaintext_max(SPEC_ECC_NIST_P256, ALGORITHM_ECDH), 0);
}

/* R3, as far as it was recorded. */
static void test_recorded_wrappings(void **state)
{
    (void)state;
    assert_true(spec_takes_wrapping(SPEC_SYMMETRIC_DEFAULT, WRAP_RSAES_OAEP_SHA_1, SPEC_RSA_3072));
    assert_false(
        spec_takes_wrapping(SPEC_SYMMETRIC_DEFAULT, WRAP_RSA_AES_KEY_WRAP_SHA_256, SPEC_RSA_2048));
    assert_false(spec_takes_wrapping(SPEC_RSA_2048, WRAP_RSAES_OAEP_SHA_256, SPEC_RSA_2048));
    assert_true(spec_takes_wrapping(SPEC_RSA_2048, WRAP_RSA_AES_KEY_WRAP_SHA_256, SPEC_RSA_2048));
    assert_false(spec_takes_wrapping(SPEC_ECC_NIST_P521, WRAP_RSAES_OAEP_SHA_256, SPEC_RSA_2048));
    assert_true(spec_takes_wrapping(SPEC_ECC_NIST_P384, WRAP_RSAES_OAEP_SHA_256, SPEC_RSA_2048));
    assert_false(
        spec_takes_wrapping(SPEC_ECC_NIST_EDWARDS25519, WRAP_RSAES_OAEP_SHA_256, SPEC_RSA_2048));
    assert_true(
        spec_takes_wrapping(SPEC_ECC_NIST_EDWARDS25519, WRAP_RSAES_OAEP_SHA_256, SPEC_RSA_3072));
    assert_false(spec_takes_wrapping(SPEC_HMAC_256, WRAP_RSAES_OAEP_SHA_256, SPEC_HMAC_256));
    assert_false(spec_importable(SPEC_ML_DSA_44));
    assert_false(spec_importable(SPEC_ML_KEM_1024));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_is_current),
        cmocka_unit_test(test_algorithms_fit_their_usage),
        cmocka_unit_test(test_plaintext_limits),
        cmocka_unit_test(test_recorded_wrappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
