/* The shape checker: the texts of kms-behaviour 1.6 case by case, and the framing of 1.5. */
#include "body.h"

#define ONE "1 validation error detected: "

/* Members of operations whose handlers need not be built for these texts. */
static const struct shape_member bytes_members[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_BYTES("Plaintext", plaintext, SHAPE_REQUIRED | SHAPE_SENSITIVE, 4096),
    SHAPE_BYTES("CiphertextBlob", ciphertext_blob, SHAPE_REQUIRED, 6144),
    SHAPE_END,
};
static const struct shape_member all_members[] = {
    SHAPE_KEY("KeyId", key_id, 0),
    SHAPE_KEY("DestinationKeyId", destination_key_id, 0),
    SHAPE_KEY("TargetKeyId", target_key_id, 0),
    SHAPE_FLAG("DryRun", dry_run),
    SHAPE_GRANT_TOKENS,
    SHAPE_CONTEXT("EncryptionContext", encryption_context),
    SHAPE_ALGORITHM("EncryptionAlgorithm", encryption_algorithm, 0, encryption),
    { .name = "NumberOfBytes",
      .type = SHAPE_INT,
      .min = 1,
      .max = 1024,
      SHAPE_AT(number_of_bytes) },
    { .name = "RotationPeriodInDays",
      .type = SHAPE_INT,
      .min = 90,
      .max = 2560,
      SHAPE_AT(rotation_period_days) },
    { .name = "KeySpec",
      .type = SHAPE_ENUM,
      .values = shape_data_key_specs,
      .enum_text = shape_data_key_spec_text,
      SHAPE_AT(data_key_spec) },
    { .name = "ValidTo", .type = SHAPE_TIME, SHAPE_AT(valid_to) },
    { .name = "KeyMaterialId",
      .type = SHAPE_STRING,
      .min = 64,
      .max = 64,
      .pattern = "^[a-f0-9]+$",
      .matches = shape_is_hex,
      SHAPE_AT(key_material_id) },
    { .name = "DryRunModifiers",
      .type = SHAPE_STRINGS,
      .values = shape_dry_run_modifiers,
      SHAPE_AT(dry_run_modifiers) },
    SHAPE_RECIPIENT,
    SHAPE_TAG_LIST(0),
    SHAPE_END,
};

static const struct operation bytes_op = { .name = "Bytes", .shape = bytes_members };
static const struct operation any_op = { .name = "Any", .shape = all_members };

struct fixture {
    struct body      body;
    struct op_input  in;
    struct kms_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    body_init(&f->body);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    body_release(&f->body);
    free(f);
    return 0;
}

static enum kms_status read_text(struct fixture *f, const struct operation *op, const char *text)
{
    struct op_input before = f->in;
    struct json     root = body_str(&f->body, text);

    kms_error_clear(&f->err);
    enum kms_status status = operation_read(op, root, &f->in, &f->err);
    if (status != KMS_OK) { /* a refusal leaves the result alone */
        assert_memory_equal(&before, &f->in, sizeof before);
        assert_int_equal(f->err.status, status);
    }
    return status;
}

static void accepts(struct fixture *f, const struct operation *op, const char *text)
{
    if (read_text(f, op, text) != KMS_OK)
        fail_msg("%s: %s %s", text, kms_status_wire(f->err.status), f->err.message);
}

static void refuses(struct fixture *f, const struct operation *op, const char *text,
                    enum kms_status status, const char *message)
{
    assert_int_equal(read_text(f, op, text), status);
    assert_string_equal(f->err.message, message);
}

static void invalid(struct fixture *f, const struct operation *op, const char *text,
                    const char *message)
{
    refuses(f, op, text, KMS_E_VALIDATION, message);
}

static void malformed(struct fixture *f, const struct operation *op, const char *text,
                      const char *message)
{
    refuses(f, op, text, KMS_E_SERIALIZATION, message);
}

/* --- kms-behaviour 1.6 ------------------------------------------------------------------------ */

/* "Missing required member" */
static void test_missing(void **state)
{
    struct fixture *f = *state;

    invalid(f, row_of("DescribeKey"), "{}",
            ONE "Value null at 'keyId' failed to satisfy constraint: Member must not be null");
    invalid(f, row_of("DescribeKey"), "{\"KeyId\":null}",
            ONE "Value null at 'keyId' failed to satisfy constraint: Member must not be null");
    /* a member in the wrong case is an unknown one (1.1) */
    invalid(f, row_of("DescribeKey"), "{\"keyId\":\"x\"}",
            ONE "Value null at 'keyId' failed to satisfy constraint: Member must not be null");
    invalid(f, row_of("CreateAlias"), "{\"AliasName\":\"alias/a\"}",
            ONE
            "Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null");
    invalid(f, row_of("TagResource"), "{\"KeyId\":\"x\"}",
            ONE "Value null at 'tags' failed to satisfy constraint: Member must not be null");
}

/* "Missing sensitive blobs also drop the word null; other blobs keep it" */
static void test_missing_blobs(void **state)
{
    struct fixture *f = *state;

    invalid(f, &bytes_op, "{\"KeyId\":\"x\",\"CiphertextBlob\":\"AA==\"}",
            ONE "Value at 'plaintext' failed to satisfy constraint: Member must not be null");
    invalid(f, &bytes_op, "{\"KeyId\":\"x\",\"Plaintext\":\"AA==\"}",
            ONE
            "Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null");
}

/* "Blob members omit the value" */
static void test_blob_lengths(void **state)
{
    struct fixture *f = *state;
    char           *zeros = repeated('A', 5464); /* 4098 bytes */
    char *text = textf("{\"KeyId\":\"x\",\"CiphertextBlob\":\"AA==\",\"Plaintext\":\"%s\"}", zeros);

    invalid(f, &bytes_op, text,
            ONE
            "Value at 'plaintext' failed to satisfy constraint: Member must have length less than "
            "or equal to 4096");
    free(text);
    text = textf("{\"KeyId\":\"x\",\"CiphertextBlob\":\"AA==\",\"Plaintext\":\"%.5460sAA==\"}",
                 zeros);
    accepts(f, &bytes_op, text); /* 4096 */
    assert_int_equal(f->in.plaintext.len, 4096);
    free(text);
    free(zeros);
    invalid(
        f, &bytes_op, "{\"KeyId\":\"x\",\"CiphertextBlob\":\"\",\"Plaintext\":\"AA==\"}",
        ONE
        "Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length greater "
        "than or equal to 1");
}

/* "KeyId members have a wire-side pattern": the empty one gives two clauses */
static void test_key_id(void **state)
{
    struct fixture *f = *state;

    invalid(
        f, row_of("DescribeKey"), "{\"KeyId\":\"\"}",
        "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member "
        "must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$");
    invalid(
        f, row_of("DescribeKey"), "{\"KeyId\":\"k\xc3\xa9y\"}",
        ONE
        "Value 'k\xc3\xa9y' at 'keyId' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: ^\\p{ASCII}+$");
    invalid(
        f, &any_op, "{\"DestinationKeyId\":\"\xc3\xa9\"}",
        ONE
        "Value '\xc3\xa9' at 'destinationKeyId' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: ^\\p{ASCII}+$");
    invalid(f, &any_op, "{\"TargetKeyId\":\"\xc3\xa9\"}",
            ONE
            "Value '\xc3\xa9' at 'targetKeyId' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: ^\\p{ASCII}+$");
}

/* kms-behaviour 4.1: over-long ones are ValidationException; the value is shown whole */
static void test_key_id_length(void **state)
{
    struct fixture *f = *state;
    char           *id = repeated('a', 2049);
    char           *text = textf("{\"KeyId\":\"%s\"}", id);
    char *want = textf(ONE "Value '%s' at 'keyId' failed to satisfy constraint: Member must "
                           "have length less than or equal to 2048",
                       id);

    invalid(f, row_of("DescribeKey"), text, want);
    free(want);
    free(text);
    text = textf("{\"KeyId\":\"%.2048s\"}", id);
    accepts(f, row_of("DescribeKey"), text);
    assert_int_equal(f->in.key_id.len, 2048);
    free(text);
    free(id);
}

/* the recorded examples of values and of the rotation period (J7) */
static void test_values(void **state)
{
    struct fixture *f = *state;

    invalid(f, &any_op, "{\"NumberOfBytes\":0}",
            ONE "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value "
                "greater than or equal to 1");
    invalid(f, &any_op, "{\"NumberOfBytes\":1025}",
            ONE
            "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value "
            "less than or equal to 1024");
    invalid(f, &any_op, "{\"RotationPeriodInDays\":2561}",
            ONE
            "Value '2561' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have "
            "value less than or equal to 2560");
    invalid(f, &any_op, "{\"NumberOfBytes\":-9223372036854775808}",
            ONE
            "Value '-9223372036854775808' at 'numberOfBytes' failed to satisfy constraint: Member "
            "must have value greater than or equal to 1");
    accepts(f, &any_op, "{\"NumberOfBytes\":1024,\"RotationPeriodInDays\":90}");
    assert_true(f->in.number_of_bytes.set);
    assert_int_equal(f->in.number_of_bytes.v, 1024);
    /* 13.3: the documented ranges of the listings */
    invalid(f, row_of("ListAliases"), "{\"Limit\":101}",
            ONE
            "Value '101' at 'limit' failed to satisfy constraint: Member must have value less than "
            "or equal to 100");
    invalid(
        f, row_of("ListKeys"), "{\"Limit\":1001}",
        ONE
        "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than "
        "or equal to 1000");
    invalid(
        f, row_of("ListResourceTags"), "{\"KeyId\":\"x\",\"Limit\":51}",
        ONE
        "Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or "
        "equal to 50");
    accepts(f, row_of("ListKeys"), "{\"Limit\":1000}");
}

/* the enum lists as the service prints them */
static void test_enums(void **state)
{
    struct fixture *f = *state;

    invalid(f, &any_op, "{\"EncryptionAlgorithm\":\"INVALID\"}",
            ONE
            "Value 'INVALID' at 'encryptionAlgorithm' failed to satisfy constraint: Member must "
            "satisfy enum value set: [RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, "
            "SYMMETRIC_DEFAULT]");
    /* GenerateDataKey refuses RSA_2048 with a list that has it */
    invalid(
        f, &any_op, "{\"KeySpec\":\"RSA_2048\"}",
        ONE
        "Value 'RSA_2048' at 'keySpec' failed to satisfy constraint: Member must satisfy enum "
        "value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, "
        "ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, "
        "HMAC_384, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87]");
    accepts(f, &any_op, "{\"KeySpec\":\"AES_128\",\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}");
    assert_int_equal(f->in.data_key_spec.v, 1);
    assert_int_equal(f->in.encryption_algorithm.v, ALGORITHM_SYMMETRIC_DEFAULT);
    invalid(f, row_of("CreateKey"), "{\"Origin\":\"aws_kms\"}",
            ONE
            "Value 'aws_kms' at 'origin' failed to satisfy constraint: Member must satisfy enum "
            "value set: [AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]");
    /* the deprecated enum never got the newer specs (16.2) */
    invalid(
        f, row_of("CreateKey"), "{\"CustomerMasterKeySpec\":\"ML_DSA_44\"}",
        ONE
        "Value 'ML_DSA_44' at 'customerMasterKeySpec' failed to satisfy constraint: Member must "
        "satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, "
        "ECC_NIST_P521, ECC_SECG_P256K1, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, "
        "HMAC_512, SM2]");
    accepts(f, row_of("CreateKey"),
            "{\"CustomerMasterKeySpec\":\"SM2\",\"KeySpec\":\"ML_KEM_768\"}");
    assert_int_equal(f->in.customer_master_key_spec.v, SPEC_SM2);
    assert_int_equal(f->in.key_spec.v, SPEC_ML_KEM_768);
}

/* Every name of a list gives its own index, and key/record.c agrees about the names. */
static void test_enum_indices(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < SPEC_COUNT; i++) {
        char *text = textf("{\"KeySpec\":\"%s\"}", key_spec_name((enum key_spec)i));
        accepts(f, row_of("CreateKey"), text);
        assert_int_equal(f->in.key_spec.v, i);
        free(text);
    }
    for (size_t i = 0; i < USAGE_COUNT; i++) {
        char *text = textf("{\"KeyUsage\":\"%s\"}", key_usage_name((enum key_usage)i));
        accepts(f, row_of("CreateKey"), text);
        assert_int_equal(f->in.key_usage.v, i);
        free(text);
    }
    for (size_t i = 0; i < ORIGIN_COUNT; i++) {
        char *text = textf("{\"Origin\":\"%s\"}", key_origin_name((enum key_origin)i));
        accepts(f, row_of("CreateKey"), text);
        assert_int_equal(f->in.origin.v, i);
        free(text);
    }
    assert_string_equal(shape_wrapping_algorithms[0], "RSAES_PKCS1_V1_5");
    assert_string_equal(shape_wrapping_algorithms[1 + WRAP_RSA_AES_KEY_WRAP_SHA_256],
                        "RSA_AES_KEY_WRAP_SHA_256");
}

/* "List elements are 1-based": the recorded tag key of 129 characters */
static void test_tags(void **state)
{
    struct fixture *f = *state;
    char           *name = repeated('k', 129);
    char *text = textf("{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"%s\",\"TagValue\":\"v\"}]}", name);
    char *want = textf(ONE
                       "Value '%s' at 'tags.1.member.tagKey' failed to satisfy constraint: Member "
                       "must have length less than or equal to 128",
                       name);

    invalid(f, row_of("TagResource"), text, want);
    free(text);
    free(want);
    free(name);
    name = repeated('v', 257);
    text = textf("{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"\"},"
                 "{\"TagKey\":\"b\",\"TagValue\":\"%s\"}]}",
                 name);
    want = textf(ONE
                 "Value '%s' at 'tags.2.member.tagValue' failed to satisfy constraint: Member must "
                 "have length less than or equal to 256",
                 name);
    invalid(f, row_of("TagResource"), text, want);
    free(text);
    free(want);
    free(name);
    invalid(f, row_of("TagResource"), "{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"\"}]}",
            "2 validation errors detected: Value '' at 'tags.1.member.tagKey' failed to satisfy "
            "constraint: Member must have length greater than or equal to 1; Value null at "
            "'tags.1.member.tagValue' failed to satisfy constraint: Member must not be null");
    invalid(f, row_of("TagResource"), "{\"KeyId\":\"x\",\"Tags\":[null]}",
            ONE
            "Value null at 'tags.1.member' failed to satisfy constraint: Member must not be null");
    invalid(f, row_of("UntagResource"), "{\"KeyId\":\"x\",\"TagKeys\":[\"a\",\"\"]}",
            ONE
            "Value '' at 'tagKeys.2.member' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1");
    accepts(f, row_of("TagResource"), "{\"KeyId\":\"x\",\"Tags\":[]}");
}

/* Lengths count characters: 128 of two bytes each are allowed, 129 are not. */
static void test_characters(void **state)
{
    struct fixture *f = *state;
    char            name[129 * 2 + 1] = "";

    for (size_t i = 0; i < 128; i++)
        memcpy(name + 2 * i, "\xc3\xa9", 3);
    char *text = textf("{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"%s\",\"TagValue\":\"v\"}]}", name);

    accepts(f, row_of("TagResource"), text);
    free(text);
    memcpy(name + 256, "\xc3\xa9", 3);
    text = textf("{\"KeyId\":\"x\",\"Tags\":[{\"TagKey\":\"%s\",\"TagValue\":\"v\"}]}", name);
    assert_int_equal(read_text(f, row_of("TagResource"), text), KMS_E_VALIDATION);
    free(text);
    text = textf("{\"CustomKeyStoreId\":\"%.128s\"}", name); /* 64 of at most 64 */
    accepts(f, row_of("CreateKey"), text);
    free(text);
    text = textf("{\"CustomKeyStoreId\":\"%.130s\"}", name);
    assert_int_equal(read_text(f, row_of("CreateKey"), text), KMS_E_VALIDATION);
    free(text);
    assert_int_equal(shape_characters(bytes_str("a\xf0\x9d\x84\x9e\xe2\x82\xac")), 3);
}

/* Patterns of 16.1 */
static void test_patterns(void **state)
{
    struct fixture *f = *state;

    invalid(f, row_of("DeleteAlias"), "{\"AliasName\":\"alias/a b\"}",
            ONE
            "Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: ^[a-zA-Z0-9:/_-]+$");
    invalid(f, row_of("ListKeys"), "{\"Marker\":\"\xe2\x82\xac\"}",
            ONE
            "Value '\xe2\x82\xac' at 'marker' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: [\\u0020-\\u00FF]*");
    accepts(f, row_of("ListKeys"), "{\"Marker\":\"\xc3\xbf ~\"}");
    invalid(f, row_of("ListKeys"), "{\"Marker\":\"a\\tb\"}",
            ONE
            "Value 'a\tb' at 'marker' failed to satisfy constraint: Member must satisfy regular "
            "expression pattern: [\\u0020-\\u00FF]*");
    assert_true(shape_is_policy(bytes_str("{\n\t\"a\":\"\xc3\xbf\"\r\n}")));
    assert_false(shape_is_policy(bytes_str("\xc4\x80")));
    assert_false(shape_is_policy(bytes_str("")));
    assert_true(shape_is_material_description(bytes_str("a Z9:/_.-\n")));
    assert_false(shape_is_material_description(bytes_str("a,b")));
    assert_false(shape_is_material_description(bytes_str("")));
    assert_true(shape_is_xks_key_id(bytes_str("a-Z_0.9")));
    assert_false(shape_is_xks_key_id(bytes_str("a/b")));
}

static void test_material_id(void **state)
{
    struct fixture *f = *state;
    char           *id = repeated('0', 64);
    char           *text = textf("{\"KeyMaterialId\":\"%s\"}", id);

    accepts(f, &any_op, text);
    assert_true(f->in.has_key_material_id);
    assert_int_equal(f->in.key_material_id.len, 64);
    free(text);
    free(id);
    accepts(f, &any_op, "{}");
    assert_false(f->in.has_key_material_id);
    invalid(f, &any_op, "{\"KeyMaterialId\":\"ABC\"}",
            "2 validation errors detected: Value 'ABC' at 'keyMaterialId' failed to satisfy "
            "constraint: "
            "Member must have length greater than or equal to 64; Value 'ABC' at 'keyMaterialId' "
            "failed "
            "to satisfy constraint: Member must satisfy regular expression pattern: ^[a-f0-9]+$");
}

/* "More than one failure": all of them, in the order of the members */
static void test_several(void **state)
{
    struct fixture *f = *state;

    invalid(
        f, row_of("ScheduleKeyDeletion"), "{\"PendingWindowInDays\":366,\"KeyId\":\"\"}",
        "3 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member "
        "must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$; Value '366' at "
        "'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or "
        "equal to 365");
}

/* Grant tokens are credentials: texts never show them. */
static void test_grant_tokens(void **state)
{
    struct fixture *f = *state;
    char           *token = repeated('t', 8193);
    char           *text = textf("{\"KeyId\":\"x\",\"GrantTokens\":[\"%s\"]}", token);

    invalid(f, row_of("DescribeKey"), text,
            ONE
            "Value at 'grantTokens.1.member' failed to satisfy constraint: Member must have length "
            "less than or equal to 8192");
    invalid(
        f, row_of("DescribeKey"),
        "{\"KeyId\":\"x\",\"GrantTokens\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
        "\"a\",\"a\"]}",
        ONE
        "Value at 'grantTokens' failed to satisfy constraint: Member must have length less than "
        "or equal to 10");
    free(text);
    free(token);
}

static void test_modifiers(void **state)
{
    struct fixture *f = *state;

    accepts(f, &any_op, "{\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}");
    invalid(
        f, &any_op, "{\"DryRunModifiers\":[\"IGNORE\"]}",
        ONE
        "Value 'IGNORE' at 'dryRunModifiers.1.member' failed to satisfy constraint: Member must "
        "satisfy enum value set: [IGNORE_CIPHERTEXT]");
}

/* However much is wrong the text stays within its limit, and the number is right. */
static void test_endless(void **state)
{
    struct fixture *f = *state;
    struct buf      text = BUF_INIT(1024 * 1024);

    buf_add_str(&text, "{\"KeyId\":\"\",\"Tags\":[");
    for (int i = 0; i < 200; i++)
        buf_addf(&text, "%s{\"TagKey\":\"%0150d\",\"TagValue\":\"v\"}", i == 0 ? "" : ",", i);
    buf_add_str(&text, "]}");
    buf_add_byte(&text, 0);
    assert_int_equal(read_text(f, row_of("TagResource"), (const char *)text.ptr), KMS_E_VALIDATION);
    assert_true(f->err.message_len < KMS_MESSAGE_MAX);
    assert_memory_equal(f->err.message, "202 validation errors detected: Value '' at 'keyId'", 50);
    buf_release(&text);
    /* whole clauses only */
    const char *tail = "Member must have length less than or equal to 128";

    assert_string_equal(f->err.message + f->err.message_len - strlen(tail), tail);
}

static void test_long_value(void **state)
{
    struct fixture *f = *state;
    char           *name = repeated('d', 9000);
    char           *text = textf("{\"KeyId\":\"x\",\"Description\":\"%s\"}", name);
    char *want = textf(ONE "Value '%.256s...' at 'description' failed to satisfy constraint: "
                           "Member must have length less than or equal to 8192",
                       name);

    invalid(f, row_of("UpdateKeyDescription"), text, want);
    free(want);
    free(text);
    free(name);
}

/* --- kms-behaviour 1.1 and 1.5: framing ------------------------------------------------------- */

static void test_wrong_types(void **state)
{
    struct fixture *f = *state;

    malformed(f, &any_op, "{\"NumberOfBytes\":\"5\"}",
              "STRING_VALUE can not be converted to an Integer");
    malformed(f, &any_op, "{\"KeyId\":{}}", "Start of structure or map found where not expected.");
    malformed(f, &any_op, "{\"NumberOfBytes\":{\"a\":1}}",
              "Start of structure or map found where not expected.");
    malformed(f, &any_op, "{\"KeyId\":[]}", "Start of list found where not expected.");
    malformed(f, &any_op, "{\"KeyId\":5}", "NUMBER_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"KeyId\":true}", "TRUE_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"NumberOfBytes\":1.5}",
              "NUMBER_VALUE can not be converted to an Integer");
    malformed(f, &any_op, "{\"NumberOfBytes\":18446744073709551615}",
              "NUMBER_VALUE can not be converted to an Integer");
    malformed(f, &any_op, "{\"DryRun\":\"true\"}",
              "STRING_VALUE can not be converted to a Boolean");
    malformed(f, &any_op, "{\"DryRun\":0}", "NUMBER_VALUE can not be converted to a Boolean");
    malformed(f, &any_op, "{\"KeySpec\":false}", "FALSE_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"ValidTo\":\"2026\"}",
              "STRING_VALUE can not be converted to milliseconds since epoch");
    malformed(f, &any_op, "{\"Tags\":{}}", "Expected list or null");
    malformed(f, &any_op, "{\"Tags\":[1]}", "Expected structure or null");
    malformed(f, &any_op, "{\"Tags\":[{\"TagKey\":1,\"TagValue\":\"\"}]}",
              "NUMBER_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"GrantTokens\":\"t\"}", "Expected list or null");
    malformed(f, &any_op, "{\"GrantTokens\":[1]}", "NUMBER_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"Recipient\":1}", "Expected structure or null");
    malformed(f, &bytes_op, "{\"Plaintext\":1}", "NUMBER_VALUE can not be converted to a Blob");
}

/* 18 #27: values of an encryption context that are no strings */
static void test_context_values(void **state)
{
    struct fixture *f = *state;

    accepts(f, &any_op, "{\"EncryptionContext\":{\"a\":\"b\",\"\":\"\"}}");
    assert_int_equal(json_count(f->in.encryption_context), 2);
    malformed(f, &any_op, "{\"EncryptionContext\":{\"a\":1}}",
              "NUMBER_VALUE can not be converted to a String");
    malformed(f, &any_op, "{\"EncryptionContext\":{\"a\":{}}}",
              "Start of structure or map found where not expected.");
    malformed(f, &any_op, "{\"EncryptionContext\":[]}", "Expected map or null");
}

/* A type that is wrong comes before any constraint, wherever it stands. */
static void test_type_before_constraint(void **state)
{
    struct fixture *f = *state;

    malformed(f, &any_op, "{\"KeyId\":\"\",\"NumberOfBytes\":\"x\"}",
              "STRING_VALUE can not be converted to an Integer");
}

static void test_base64(void **state)
{
    struct fixture          *f = *state;
    static const char *const bad[] = { "A",       "AA",   "AAA",  "A===", "AA=A",
                                       "AA==\\n", "AA-_", "AB==", "!AAA" };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = textf("{\"KeyId\":\"x\",\"Plaintext\":\"%s\",\"CiphertextBlob\":\"AA==\"}",
                           bad[i]);
        malformed(f, &bytes_op, text, "");
        free(text);
    }
    accepts(f, &bytes_op,
            "{\"KeyId\":\"x\",\"Plaintext\":\"aGVsbG8=\",\"CiphertextBlob\":\"AP8=\"}");
    assert_int_equal(f->in.plaintext.len, 5);
    assert_memory_equal(f->in.plaintext.ptr, "hello", 5);
    assert_int_equal(f->in.ciphertext_blob.len, 2);
    assert_memory_equal(f->in.ciphertext_blob.ptr, "\x00\xff", 2);
}

static void test_not_an_object(void **state)
{
    struct fixture *f = *state;

    malformed(f, row_of("ListKeys"), "[]", "");
    malformed(f, row_of("ListKeys"), "\"x\"", "");
    malformed(f, row_of("ListKeys"), "null", "");
    accepts(f, row_of("ListKeys"), "{}");
}

/* "Unknown members are ignored", "null is the same as absent", and absent is told from empty */
static void test_absent(void **state)
{
    struct fixture *f = *state;

    accepts(f, row_of("CreateKey"),
            "{\"Unknown\":{\"a\":[1,{}]},\"Description\":null,\"Tags\":null,\"MultiRegion\":null,"
            "\"KeySpec\":null}");
    assert_null(f->in.description.ptr);
    assert_null(f->in.tags.node);
    assert_false(f->in.multi_region.set);
    assert_false(f->in.key_spec.set);
    accepts(f, row_of("CreateKey"), "{\"Description\":\"\",\"MultiRegion\":false,\"Tags\":[]}");
    assert_non_null(f->in.description.ptr);
    assert_int_equal(f->in.description.len, 0);
    assert_non_null(f->in.tags.node);
    assert_true(f->in.multi_region.set);
    assert_int_equal(f->in.multi_region.v, 0);
}

static void test_times(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sent;
        int64_t     ms;
    } rows[] = {
        { "1568289600", 1568289600000 },
        { "1568289600.0", 1568289600000 },
        { "1789209580.5", 1789209580500 },
        { "1.790597408E9", 1790597408000 },
        { "0", 0 },
        { "-1.5", -1500 },
        { "-0.0001", -1 },
        { "1e300", 9007199254740000 },
        { "-1e300", -9007199254740000 },
        { "18446744073709551615", 9007199254740000 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = textf("{\"ValidTo\":%s}", rows[i].sent);
        accepts(f, &any_op, text);
        assert_true(f->in.valid_to.set);
        assert_int_equal(f->in.valid_to.v, rows[i].ms);
        free(text);
    }
    /* R13: what counts are whole seconds, cut off and never rounded up */
    accepts(f, &any_op, "{\"ValidTo\":1789209320.9999997}");
    assert_int_equal(f->in.valid_to.v / 1000, 1789209320);
}

/* Our own limit on lists and maps (base/limits.h). */
static void test_items(void **state)
{
    struct fixture *f = *state;
    struct buf      text = BUF_INIT(64 * 1024);

    buf_add_str(&text, "{\"EncryptionContext\":{");
    for (int i = 0; i < LIMIT_LIST_ITEMS + 1; i++)
        buf_addf(&text, "%s\"%d\":\"\"", i == 0 ? "" : ",", i);
    buf_add_str(&text, "}}");
    buf_add_byte(&text, 0);
    invalid(
        f, &any_op, (const char *)text.ptr,
        ONE
        "Value at 'encryptionContext' failed to satisfy constraint: Member must have length less "
        "than or equal to 256");
    buf_release(&text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_missing),        CASE(test_missing_blobs),
        CASE(test_blob_lengths),   CASE(test_key_id),
        CASE(test_key_id_length),  CASE(test_values),
        CASE(test_enums),          CASE(test_enum_indices),
        CASE(test_tags),           CASE(test_characters),
        CASE(test_patterns),       CASE(test_material_id),
        CASE(test_several),        CASE(test_grant_tokens),
        CASE(test_modifiers),      CASE(test_endless),
        CASE(test_long_value),     CASE(test_wrong_types),
        CASE(test_context_values), CASE(test_type_before_constraint),
        CASE(test_base64),         CASE(test_not_an_object),
        CASE(test_absent),         CASE(test_times),
        CASE(test_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
