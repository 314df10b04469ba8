/* requestParameters of the audit record: names as CloudTrail writes them, nothing that must not be
 * there, whatever the body holds (trust-model 5.2). */
#include "body.h"

static struct body body;

static int setup(void **state)
{
    (void)state;
    body_init(&body);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    body_release(&body);
    return 0;
}

/* Views into `out`, which the caller releases. */
static const char *parameters(const struct operation *op, const char *text, struct buf *out)
{
    buf_init(out, 1024 * 1024);
    operation_audit_parameters(op, body_str(&body, text), out);
    buf_add_byte(out, 0);
    assert_true(buf_ok(out));
    return (const char *)out->ptr;
}

static void gives(const struct operation *op, const char *text, const char *want)
{
    struct buf out;

    assert_string_equal(parameters(op, text, &out), want);
    buf_release(&out);
}

static void test_names(void **state)
{
    (void)state;
    gives(row_of("DescribeKey"), "{\"KeyId\":\"alias/a\"}", "{\"keyId\":\"alias/a\"}");
    gives(row_of("ListKeys"), "{}", "{}");
    gives(row_of("ListKeys"), "{\"Marker\":\"m\",\"Limit\":5}", "{\"limit\":5,\"marker\":\"m\"}");
    gives(
        row_of("CreateKey"),
        "{\"Description\":\"d\\\"\",\"MultiRegion\":true,\"KeySpec\":\"SYMMETRIC_DEFAULT\","
        "\"Tags\":"
        "[{\"TagKey\":\"K\",\"TagValue\":\"V\"}]}",
        "{\"description\":\"d\\\"\",\"keySpec\":\"SYMMETRIC_DEFAULT\",\"tags\":[{\"tagKey\":\"K\","
        "\"tagValue\":\"V\"}],\"multiRegion\":true}");
    gives(row_of("UntagResource"), "{\"KeyId\":\"x\",\"TagKeys\":[\"A\",\"B\"]}",
          "{\"keyId\":\"x\",\"tagKeys\":[\"A\",\"B\"]}");
}

/* In clear, as CloudTrail does, and with their own letter case. */
static void test_context(void **state)
{
    static const struct shape_member members[] = {
        SHAPE_CONTEXT("EncryptionContext", encryption_context),
        SHAPE_END,
    };
    static const struct operation op = { .name = "Context", .shape = members };

    (void)state;
    gives(&op, "{\"EncryptionContext\":{\"Purpose\":\"Test\",\"\":\"\"}}",
          "{\"encryptionContext\":{\"Purpose\":\"Test\",\"\":\"\"}}");
}

static void test_time(void **state)
{
    static const struct shape_member members[] = {
        { .name = "ValidTo", .type = SHAPE_TIME, SHAPE_AT(valid_to) },
        SHAPE_END,
    };
    static const struct operation op = { .name = "Time", .shape = members };

    (void)state;
    gives(&op, "{\"ValidTo\":1568289600}", "{\"validTo\":1568289600.0}");
    gives(&op, "{\"ValidTo\":1e300}", "{}");
    gives(&op, "{\"ValidTo\":\"now\"}", "{}");
}

/* What the shape check will refuse is left out; the record stays valid JSON. */
static void test_wrong_types(void **state)
{
    (void)state;
    gives(row_of("CreateKey"),
          "{\"Description\":5,\"MultiRegion\":\"x\",\"KeySpec\":{},\"Tags\":{},\"KeyUsage\":null}",
          "{}");
    gives(row_of("CreateKey"), "{\"Tags\":[1,{\"TagKey\":5,\"TagValue\":\"v\"},null]}",
          "{\"tags\":[{\"tagValue\":\"v\"}]}");
    gives(row_of("ListKeys"), "[]", "{}");
    gives(row_of("ListKeys"), "\"x\"", "{}");
    gives(row_of("ListKeys"), "{\"Limit\":1.5}", "{}");
    gives(row_of("CreateCustomKeyStore"), "{\"CustomKeyStoreName\":\"x\"}", "{}"); /* not built */
}

/* Never: plaintexts, blobs, tokens, policies, attestation documents. */
static void test_never(void **state)
{
    static const char *const secret[] = { "Plaintext", "CiphertextBlob", "EncryptedKeyMaterial",
                                          "ImportToken", "Policy" };
    size_t                   n = 0;
    const struct operation  *rows = operation_rows(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct buf text = BUF_INIT(4096);
        struct buf out;

        buf_add_str(&text, "{\"GrantTokens\":[\"SECRET\"],\"Recipient\":{\"AttestationDocument\":"
                           "\"SECRET\"}");
        for (size_t k = 0; k < sizeof secret / sizeof secret[0]; k++)
            buf_addf(&text, ",\"%s\":\"SECRET\"", secret[k]);
        buf_add_str(&text, ",\"Unknown\":\"SECRET\"}");
        buf_add_byte(&text, 0);
        assert_string_equal(parameters(&rows[i], (const char *)text.ptr, &out), "{}");
        buf_release(&text);
        buf_release(&out);
    }
}

static void test_long_text(void **state)
{
    char *name = repeated('d', 40000);
    char *text = textf("{\"KeyId\":\"x\",\"Description\":\"%s\"}", name);
    char *want = textf("{\"keyId\":\"x\",\"description\":\"%.32768s...\"}", name);

    (void)state;
    gives(row_of("UpdateKeyDescription"), text, want);
    free(name);
    free(text);
    free(want);
    /* never in the middle of a character */
    name = repeated('d', 32767);
    text = textf("{\"KeyId\":\"x\",\"Description\":\"%s\xe2\x82\xac\"}", name);
    want = textf("{\"keyId\":\"x\",\"description\":\"%s...\"}", name);
    gives(row_of("UpdateKeyDescription"), text, want);
    free(name);
    free(text);
    free(want);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_names),       CASE(test_context), CASE(test_time),
        CASE(test_wrong_types), CASE(test_never),   CASE(test_long_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
