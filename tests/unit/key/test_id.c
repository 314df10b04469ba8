/* tests/unit/key/test_id.c - what a KeyId names, decided on its text (kms-behaviour 3.2, 4.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "key/id.h"

#define UUID  "12345678-90ab-cdef-1234-567890abcdef"
#define UPPER "12345678-90AB-CDEF-1234-567890ABCDEF"
#define MRK   "mrk-1234567890abcdef1234567890abcdef"
#define EAST  "arn:aws:kms:us-east-1:111122223333:"

static const struct {
    const char       *text;
    enum key_ref_kind kind;
    const char       *id;
    bool              id_ok;
} refs[] = {
    { UUID, REF_KEY_ID, UUID, true },
    { UPPER, REF_KEY_ID, UPPER, true }, /* well-formed, the case is kept */
    { MRK, REF_KEY_ID, MRK, true },
    { "mrk-1234567890ABCDEF1234567890abcdef", REF_MALFORMED, "", false },
    { "mrk-fake-key-id", REF_MALFORMED, "", false },
    { "1234567890abcdef1234567890abcdef", REF_MALFORMED, "", false }, /* UUID without hyphens */
    { "12345678-90ab-cdef-1234-567890abcdeg", REF_MALFORMED, "", false },
    { "12345678-90ab-cdef-1234-567890abcde", REF_MALFORMED, "", false },
    { "12345678-90ab-cdef-1234-567890abcdef0", REF_MALFORMED, "", false },
    { "", REF_MALFORMED, "", false },
    { "foo", REF_MALFORMED, "", false },
    { "key/" UUID, REF_MALFORMED, "", false },

    { EAST "key/" UUID, REF_KEY_ARN, UUID, true },
    { EAST "key/" MRK, REF_KEY_ARN, MRK, true },
    { EAST "key/foo", REF_KEY_ARN, "foo", false },
    { EAST "key/", REF_KEY_ARN, "", false },
    { EAST "key/a/b:c", REF_KEY_ARN, "a/b:c", false },
    { "arn:aws:kms:nowhere:111122223333:key/foo", REF_KEY_ARN, "foo", false },
    { "arn:aws-cn:kms:cn-north-1:111122223333:key/" UUID, REF_KEY_ARN, UUID, true },
    { "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/" UUID, REF_KEY_ARN, UUID, true },
    { "arn:aws-cn:kms:us-east-1:111122223333:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:kms:cn-north-1:111122223333:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:s3:us-east-1:111122223333:key/" UUID, REF_MALFORMED, "", false },
    { "ARN:aws:kms:us-east-1:111122223333:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:kms:us-east-1:11112222333:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:kms:us-east-1:11112222333a:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:kms::111122223333:key/" UUID, REF_MALFORMED, "", false },
    { "arn:aws:kms:US-EAST-1:111122223333:key/" UUID, REF_MALFORMED, "", false },
    { EAST "grant/x", REF_MALFORMED, "", false },
    { EAST "key", REF_MALFORMED, "", false },
    { EAST UUID, REF_MALFORMED, "", false },

    { "alias/app", REF_ALIAS, "alias/app", false },
    { "alias/", REF_ALIAS, "alias/", false },
    { "alias/a:b", REF_ALIAS, "alias/a:b", false },
    { "alias", REF_MALFORMED, "", false },
    { "Alias/app", REF_MALFORMED, "", false },
    { EAST "alias/app", REF_ALIAS_ARN, "alias/app", false },
    { EAST "alias/aws/s3", REF_ALIAS_ARN, "alias/aws/s3", false },
};

static void test_what_a_key_id_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        struct key_ref ref = key_ref_parse(bytes_str(refs[i].text));
        if (ref.kind != refs[i].kind || ref.id_ok != refs[i].id_ok ||
            !bytes_eq_str(ref.id, refs[i].id) || !bytes_eq_str(ref.text, refs[i].text))
            fail_msg("'%s' is taken for kind %d", refs[i].text, ref.kind);
    }
}

static void test_parts_of_an_arn(void **state)
{
    struct key_ref ref = key_ref_parse(BYTES_LIT(EAST "key/" UUID));

    (void)state;
    assert_true(bytes_eq_str(ref.partition, "aws"));
    assert_true(bytes_eq_str(ref.region, "us-east-1"));
    assert_true(bytes_eq_str(ref.account, "111122223333"));
    ref = key_ref_parse(BYTES_LIT(UUID));
    assert_int_equal(ref.region.len + ref.account.len + ref.partition.len, 0);
}

static void test_printing_gives_back_the_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        CLEANUP(buf_release) struct buf out = BUF_INIT(400);
        struct key_ref                  ref = key_ref_parse(bytes_str(refs[i].text));
        if (ref.kind == REF_KEY_ARN)
            key_arn_add(&out, ref.account, ref.region, ref.id);
        else if (ref.kind == REF_ALIAS_ARN)
            alias_arn_add(&out, ref.account, ref.region, ref.id);
        else
            continue;
        assert_true(bytes_eq_str(buf_bytes(&out), refs[i].text));
    }
}

static void test_longest_names_fit_their_limits(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(ALIAS_ARN_MAX);
    char                            region[REGION_MAX + 1] = "us-gov-";
    char                            alias[ALIAS_MAX + 1] = "alias/";

    (void)state;
    memset(region + 7, 'a', REGION_MAX - 9);
    memcpy(region + REGION_MAX - 2, "-1", 2);
    assert_true(region_valid(bytes_str(region)));
    key_arn_add(&out, BYTES_LIT("111122223333"), bytes_str(region), BYTES_LIT(UUID));
    assert_true(buf_ok(&out));
    assert_true(out.len <= KEY_ARN_MAX);
    buf_reset(&out);
    memset(alias + 6, 'x', ALIAS_MAX - 6);
    alias_arn_add(&out, BYTES_LIT("111122223333"), bytes_str(region), bytes_str(alias));
    assert_true(buf_ok(&out));
}

static const struct {
    const char *region;
    bool        valid;
    const char *partition;
} regions[] = {
    { "us-east-1", true, "aws" },
    { "ap-southeast-12", true, "aws" },
    { "us-gov-west-1", true, "aws-us-gov" },
    { "cn-northwest-1", true, "aws-cn" },
    { "us-iso-east-1", true, "aws-iso" },
    { "us-isob-east-1", true, "aws-iso-b" },
    { "eu-isoe-west-1", true, "aws-iso-e" },
    { "us-isof-south-1", true, "aws-iso-f" },
    { "eusc-de-east-1", true, "aws-eusc" },
    { "cnn-north-1", true, "aws" },
    { "", false, "aws" },
    { "us-1", false, "aws" },
    { "us-east-", false, "aws" },
    { "us-east-1-", false, "aws" },
    { "us-east-1a", false, "aws" },
    { "us-east-x", false, "aws" },
    { "-us-east-1", false, "aws" },
    { "us--east-1", false, "aws" },
    { "a-b-c-d-1", false, "aws" },
    { "US-east-1", false, "aws" },
    { "us_east-1", false, "aws" },
    { "us-east-1:", false, "aws" },
    { "us-abcdefghijklmnopqrstuvwxyzab-1", false, "aws" }, /* 33 characters */
};

static void test_regions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(regions); i++) {
        struct bytes r = bytes_str(regions[i].region);
        if (region_valid(r) != regions[i].valid)
            fail_msg("Region '%s'", regions[i].region);
        assert_string_equal(region_partition(r), regions[i].partition);
    }
    assert_false(region_valid(BYTES_LIT("us-east-1\0")));
}

/* By whole names, all of them well-formed, in every partition; the API tests compare the list with that
 * of an AWS client. */
static void test_known_regions(void **state)
{
    static const char *const known[] = { "us-east-1",      "ap-southeast-7",  "cn-northwest-1",
                                         "us-gov-east-1",  "us-iso-west-1",   "us-isob-east-1",
                                         "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1" };
    static const char *const unknown[] = { "",          "us-east-",     "us-east-11",
                                           "us-east-3", "us-invalid-1", "US-EAST-1",
                                           "aws-global" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_true(region_known(bytes_str(known[i])));
        assert_true(region_valid(bytes_str(known[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_false(region_known(bytes_str(unknown[i])));
}

/* Every text that differs from a good id in one byte is good only if that byte is a hex digit
 * too. */
static void test_every_byte_of_an_id_is_looked_at(void **state)
{
    static const char *const ids[] = { UUID, MRK };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        for (size_t at = 0; at < KEY_ID_MAX; at++) {
            for (unsigned c = 0; c < 256; c++) {
                uint8_t id[KEY_ID_MAX];
                memcpy(id, ids[i], sizeof id);
                bool lower = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                bool upper = c >= 'A' && c <= 'F' && i == 0;
                bool fixed = i == 0 ? id[at] == '-' : at < 4;
                bool want = id[at] == c || (!fixed && (lower || upper));
                id[at] = (uint8_t)c;
                assert_int_equal(key_id_well_formed(bytes_of(id, sizeof id)), want);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_key_id_names),
        cmocka_unit_test(test_parts_of_an_arn),
        cmocka_unit_test(test_printing_gives_back_the_text),
        cmocka_unit_test(test_longest_names_fit_their_limits),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_known_regions),
        cmocka_unit_test(test_every_byte_of_an_id_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
