/* The table of operations: complete, sorted, and in agreement with the reference column by
 * column. */
#include "body.h"

#include "base/cleanup.h"

/* kms-behaviour 15, and the two of newer-operations. */
static const char *const names[] = {
    /* 15.1 */ "CreateKey",
    "DescribeKey",
    "ListKeys",
    "EnableKey",
    "DisableKey",
    "UpdateKeyDescription",
    "ScheduleKeyDeletion",
    "CancelKeyDeletion",
    "GetKeyLastUsage",
    "GetPublicKey",
    /* 15.2 */ "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "Sign",
    "Verify",
    "DeriveSharedSecret",
    "GenerateRandom",
    /* 15.3 */ "CreateAlias",
    "UpdateAlias",
    "DeleteAlias",
    "ListAliases",
    "CreateGrant",
    "ListGrants",
    "ListRetirableGrants",
    "RetireGrant",
    "RevokeGrant",
    "GetKeyPolicy",
    "PutKeyPolicy",
    "ListKeyPolicies",
    "TagResource",
    "UntagResource",
    "ListResourceTags",
    /* 15.4 */ "EnableKeyRotation",
    "DisableKeyRotation",
    "GetKeyRotationStatus",
    "RotateKeyOnDemand",
    "ListKeyRotations",
    "GetParametersForImport",
    "ImportKeyMaterial",
    "DeleteImportedKeyMaterial",
    /* 15.5 */ "ReplicateKey",
    "UpdatePrimaryRegion",
    /* 15.6 */ "CreateCustomKeyStore",
    "ConnectCustomKeyStore",
    "DisconnectCustomKeyStore",
    "DeleteCustomKeyStore",
    "UpdateCustomKeyStore",
    "DescribeCustomKeyStores",
    /* newer */ "Encapsulate",
    "Decapsulate",
};

/* The operations of this release: their members (kms-behaviour 15), "*" before those that the model
 * requires; and the states of 5.1 (as corrected by recorded-imports) that may proceed: E
 * Enabled, D Disabled, P the two deletion states, I PendingImport, U Unavailable, C Creating, G
 * Updating. */
static const struct expected {
    const char *name;
    const char *states;
    const char *members;
} expected[] = {
    { "CancelKeyDeletion", "P", "*KeyId" },
    { "CreateAlias", "EDIUCG", "*AliasName *TargetKeyId" },
    { "CreateGrant", "EUG",
      "*KeyId GranteePrincipal GranteeServicePrincipal RetiringPrincipal RetiringServicePrincipal "
      "*Operations Constraints GrantTokens Name DryRun" },
    { "CreateKey", "EDPIUCG",
      "Policy Description KeyUsage CustomerMasterKeySpec KeySpec Origin CustomKeyStoreId "
      "BypassPolicyLockoutSafetyCheck Tags MultiRegion XksKeyId" },
    { "Decapsulate", "EG",
      "*KeyId *SharedSecretCiphertextBlob *EncapsulationAlgorithm GrantTokens DryRun" },
    { "Decrypt", "EG",
      "CiphertextBlob EncryptionContext GrantTokens KeyId EncryptionAlgorithm Recipient DryRun "
      "DryRunModifiers" },
    { "DeleteAlias", "EDPIUCG", "*AliasName" },
    { "DeleteImportedKeyMaterial", "EDPI", "*KeyId KeyMaterialId" },
    { "DeriveSharedSecret", "EG",
      "*KeyId *KeyAgreementAlgorithm *PublicKey GrantTokens DryRun Recipient" },
    { "DescribeKey", "EDPIUCG", "*KeyId GrantTokens" },
    { "DisableKey", "EDU", "*KeyId" },
    { "DisableKeyRotation", "EG", "*KeyId" },
    { "EnableKey", "EDU", "*KeyId" },
    { "EnableKeyRotation", "EG", "*KeyId RotationPeriodInDays" },
    { "Encapsulate", "EG", "*KeyId *EncapsulationAlgorithm GrantTokens DryRun" },
    { "Encrypt", "EG",
      "*KeyId *Plaintext EncryptionContext GrantTokens EncryptionAlgorithm DryRun" },
    { "GenerateDataKey", "EG",
      "*KeyId EncryptionContext NumberOfBytes KeySpec GrantTokens Recipient DryRun" },
    { "GenerateDataKeyPair", "EG",
      "EncryptionContext *KeyId *KeyPairSpec GrantTokens DryRun Recipient" },
    { "GenerateDataKeyPairWithoutPlaintext", "EG",
      "EncryptionContext *KeyId *KeyPairSpec GrantTokens DryRun" },
    { "GenerateDataKeyWithoutPlaintext", "EG",
      "*KeyId EncryptionContext KeySpec NumberOfBytes GrantTokens DryRun" },
    { "GenerateMac", "EG", "*Message *KeyId *MacAlgorithm GrantTokens DryRun" },
    { "GenerateRandom", "EDPIUCG", "NumberOfBytes CustomKeyStoreId Recipient" },
    { "GetKeyRotationStatus", "EDPIUCG", "*KeyId" },
    { "GetKeyLastUsage", "EDPIUCG", "*KeyId" },
    { "GetKeyPolicy", "EDPIUCG", "*KeyId PolicyName" },
    { "GetParametersForImport", "EDI", "*KeyId *WrappingAlgorithm *WrappingKeySpec" },
    { "GetPublicKey", "EDG", "*KeyId GrantTokens" },
    { "ImportKeyMaterial", "EDIG",
      "*KeyId *ImportToken *EncryptedKeyMaterial ValidTo ExpirationModel ImportType "
      "KeyMaterialDescription KeyMaterialId" },
    { "ListAliases", "EDPIUCG", "KeyId Limit Marker" },
    { "ListGrants", "EDPIUCG",
      "Limit Marker *KeyId GrantId GranteePrincipal GranteeServicePrincipal" },
    { "ListKeyPolicies", "EDPIUCG", "*KeyId Limit Marker" },
    { "ListKeyRotations", "EDPIUCG", "*KeyId IncludeKeyMaterial Limit Marker" },
    { "ListKeys", "EDPIUCG", "Limit Marker" },
    { "ListResourceTags", "EDPIUCG", "*KeyId Limit Marker" },
    { "ListRetirableGrants", "EDPIUCG", "Limit Marker *RetiringPrincipal" },
    { "PutKeyPolicy", "EDPIUCG", "*KeyId PolicyName *Policy BypassPolicyLockoutSafetyCheck" },
    { "ReEncrypt", "EG",
      "CiphertextBlob SourceEncryptionContext SourceKeyId *DestinationKeyId "
      "DestinationEncryptionContext SourceEncryptionAlgorithm DestinationEncryptionAlgorithm "
      "GrantTokens DryRun DryRunModifiers" },
    { "RetireGrant", "EDPIUCG", "GrantToken KeyId GrantId DryRun" },
    { "RevokeGrant", "EDPIUCG", "*KeyId *GrantId DryRun" },
    { "RotateKeyOnDemand", "E", "*KeyId" },
    { "ScheduleKeyDeletion", "EDIUC", "*KeyId PendingWindowInDays" },
    { "Sign", "EG", "*KeyId *Message MessageType GrantTokens *SigningAlgorithm DryRun" },
    { "TagResource", "EDIUCG", "*KeyId *Tags" },
    { "UntagResource", "EDIUCG", "*KeyId *TagKeys" },
    { "UpdateAlias", "EDIUCG", "*AliasName *TargetKeyId" },
    { "UpdateKeyDescription", "EDIUCG", "*KeyId *Description" },
    { "Verify", "EG",
      "*KeyId *Message MessageType *Signature *SigningAlgorithm GrantTokens DryRun" },
    { "VerifyMac", "EG", "*Message *KeyId *MacAlgorithm *Mac GrantTokens DryRun" },
};

static bool among(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0)
            return true;
    }
    return false;
}

static void test_all_names(void **state)
{
    size_t                  n = 0;
    const struct operation *rows = operation_rows(&n);

    (void)state;
    assert_int_equal(ARRAY_LEN(names), 56);
    assert_int_equal(n, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)row_of(names[i]);
    for (size_t i = 1; i < n; i++)
        assert_true(strcmp(rows[i - 1].name, rows[i].name) < 0);
}

static void test_find(void **state)
{
    static const char *const unknown[] = {
        "",
        "Encrypt",
        "TrentService",
        "TrentService.",
        "TrentService.encrypt",
        "trentservice.Encrypt",
        "TrentService.Encryp",
        "TrentService.Encrypts",
        "TrentService.Encrypt ",
        "KMS.Encrypt",
        "TrentService.VerifyMacs",
        "TrentService.A",
        "TrentService.Zzz",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(operation_find(bytes_str(unknown[i])));
    assert_null(operation_find((struct bytes){ NULL, 0 }));
    assert_null(operation_find(bytes_of("TrentService.\0", 14)));
}

/* A row is either whole or not built at all. */
static void test_rows_are_whole(void **state)
{
    size_t                  n = 0;
    const struct operation *rows = operation_rows(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const struct operation *op = &rows[i];
        if (op->shape == NULL) {
            assert_null(op->prepare);
            assert_null(op->usage);
            assert_null(op->begin);
            assert_null(op->finish);
            continue;
        }
        assert_non_null(op->finish);
        assert_int_not_equal(op->states, 0);
        assert_int_equal(op->states & ~(uint32_t)STATES_ALL, 0);
        if ((op->flags & OP_CHANGES) != 0) /* what changes waits for the committer */
            assert_int_equal(op->lane, LANE_SLOW);
        if ((op->flags & (OP_EMPTY_ANSWER | OP_TAKES_AWAY | OP_AUDIT_ANSWER)) != 0)
            assert_true((op->flags & OP_CHANGES) != 0);
        assert_false((op->flags & OP_SECRET_REPLY) != 0 && (op->flags & OP_AUDIT_ANSWER) != 0);
        if (op->key == OP_KEY_NONE) {
            assert_int_equal(op->states, STATES_ALL);
            assert_int_equal(op->usages, 0);
            assert_int_equal(op->origin, OP_ANY_ORIGIN);
        }
    }
}

static uint32_t states_of(const char *letters)
{
    static const struct {
        char     letter;
        uint32_t mask;
    } rows[] = {
        { 'E', KEY_IN(KEY_ENABLED) },     { 'D', KEY_IN(KEY_DISABLED) },
        { 'P', STATES_PENDING_DELETION }, { 'I', KEY_IN(KEY_PENDING_IMPORT) },
        { 'U', KEY_IN(KEY_UNAVAILABLE) }, { 'C', KEY_IN(KEY_CREATING) },
        { 'G', KEY_IN(KEY_UPDATING) },
    };
    uint32_t mask = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strchr(letters, rows[i].letter) != NULL)
            mask |= rows[i].mask;
    }
    return mask;
}

static void test_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(row_of(expected[i].name)->states, states_of(expected[i].states));
}

/* Every state that a row lets through has a transition for what the handler does. */
static void test_transitions(void **state)
{
    static const struct {
        const char    *name;
        enum key_event event;
    } rows[] = {
        { "EnableKey", EVENT_ENABLE },
        { "DisableKey", EVENT_DISABLE },
        { "ScheduleKeyDeletion", EVENT_SCHEDULE_DELETION },
        { "CancelKeyDeletion", EVENT_CANCEL },
        { "CancelKeyDeletion", EVENT_CANCEL_MISSING },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t from = 0; from < KEY_STATE_COUNT; from++) {
            if ((row_of(rows[i].name)->states & KEY_IN(from)) != 0)
                assert_int_not_equal(key_state_after((enum key_state)from, rows[i].event),
                                     KEY_STATE_COUNT);
        }
    }
}

/* Takes the word off the list; false if it is not there. */
static bool cross_out(char *list, const char *word)
{
    size_t len = strlen(word);

    for (char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
        bool starts = at == list || at[-1] == ' ';
        if (starts && (at[len] == ' ' || at[len] == '\0')) {
            memset(at, ' ', len);
            return true;
        }
    }
    return false;
}

static void test_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct shape_member *m = row_of(expected[i].name)->shape;
        char                      *left = textf("%s", expected[i].members);

        for (; m != NULL && m->name != NULL; m++) {
            char *word = textf("%s%s", (m->flags & SHAPE_REQUIRED) != 0 ? "*" : "", m->name);
            if (!cross_out(left, word))
                fail_msg("%s: %s is not among %s", expected[i].name, word, expected[i].members);
            free(word);
        }
        if (row_of(expected[i].name)->shape != NULL && strspn(left, " ") != strlen(left))
            fail_msg("%s lacks %s", expected[i].name, left);
        free(left);
    }
}

/* kms-behaviour 1.2: no output shape, empty body. */
static void test_empty_answers(void **state)
{
    static const char *const empty[] = {
        "CreateAlias",          "DeleteAlias",         "DisableKey",
        "DisableKeyRotation",   "EnableKey",           "EnableKeyRotation",
        "PutKeyPolicy",         "RetireGrant",         "RevokeGrant",
        "TagResource",          "UntagResource",       "UpdateAlias",
        "UpdateKeyDescription", "UpdatePrimaryRegion", NULL,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal((row_of(expected[i].name)->flags & OP_EMPTY_ANSWER) != 0,
                         among(expected[i].name, empty));
}

/* kms-behaviour 4.2 and 4.3 */
static void test_identifiers(void **state)
{
    static const char *const any[] = { "Encrypt",
                                       "GenerateDataKey",
                                       "GenerateDataKeyWithoutPlaintext",
                                       "GenerateDataKeyPair",
                                       "GenerateDataKeyPairWithoutPlaintext",
                                       "GenerateMac",
                                       "VerifyMac",
                                       "Sign",
                                       "Verify",
                                       "DeriveSharedSecret",
                                       "Encapsulate",
                                       "Decapsulate",
                                       "GetPublicKey",
                                       "DescribeKey",
                                       NULL };
    static const char *const foreign[] = { "Encrypt",
                                           "Decrypt",
                                           "ReEncrypt",
                                           "GenerateDataKey",
                                           "GenerateDataKeyWithoutPlaintext",
                                           "GenerateDataKeyPair",
                                           "GenerateDataKeyPairWithoutPlaintext",
                                           "GenerateMac",
                                           "VerifyMac",
                                           "Sign",
                                           "Verify",
                                           "DeriveSharedSecret",
                                           "Encapsulate",
                                           "Decapsulate",
                                           "GetPublicKey",
                                           "DescribeKey",
                                           "GetKeyRotationStatus",
                                           "CreateGrant",
                                           "ListGrants",
                                           "RetireGrant",
                                           "RevokeGrant",
                                           NULL };
    /* RetireGrant names its key by a token, or by an ARN alone: its `resolve` finds it */
    static const char *const none[] = { "CreateKey",   "ListKeys",    "GenerateRandom",
                                        "DeleteAlias", "RetireGrant", "ListRetirableGrants",
                                        NULL };
    static const char *const target[] = { "CreateAlias", "UpdateAlias", NULL };
    static const char *const other[] = { "Decrypt", "ReEncrypt", "ListAliases", NULL };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct operation *op = row_of(expected[i].name);
        assert_int_equal(op->key == OP_KEY_ANY, among(op->name, any));
        assert_int_equal(op->key == OP_KEY_NONE, among(op->name, none));
        assert_int_equal(op->key == OP_KEY_TARGET, among(op->name, target));
        assert_int_equal(op->key == OP_KEY_ID, !among(op->name, any) && !among(op->name, none) &&
                                                   !among(op->name, target) &&
                                                   !among(op->name, other));
        assert_int_equal((op->flags & OP_CROSS_ACCOUNT) != 0, among(op->name, foreign));
    }
    assert_int_equal(row_of("Decrypt")->key, OP_KEY_BLOB);
    assert_int_equal(row_of("ReEncrypt")->key, OP_KEY_BLOB_AND_DESTINATION);
    assert_int_equal(row_of("ListAliases")->key, OP_KEY_OPTIONAL);
}

/* kms-behaviour 5.1 (1), (3), R4: calls that depend on the origin */
static void test_origins(void **state)
{
    static const char *const imported[] = { "GetParametersForImport", "ImportKeyMaterial",
                                            "DeleteImportedKeyMaterial", NULL };
    static const char *const generated[] = { "EnableKeyRotation", "DisableKeyRotation", NULL };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct operation *op = row_of(expected[i].name);
        assert_int_equal(op->origin == OP_ONLY_EXTERNAL, among(op->name, imported));
        assert_int_equal(op->origin == OP_ONLY_AWS_KMS, among(op->name, generated));
    }
}

static void test_secrets_and_dry_run(void **state)
{
    static const char *const secret[] = {
        "Decrypt",     "GenerateDataKey", "GenerateDataKeyPair", "GenerateMac", "GenerateRandom",
        "Encapsulate", "Decapsulate",     "DeriveSharedSecret",  NULL
    };
    /* by usage */
    static const char *const crypto[USAGE_COUNT][8] = {
        [USAGE_ENCRYPT_DECRYPT] = { "Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey",
                                    "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair",
                                    "GenerateDataKeyPairWithoutPlaintext", NULL },
        [USAGE_SIGN_VERIFY] = { "Sign", "Verify", NULL },
        [USAGE_GENERATE_VERIFY_MAC] = { "GenerateMac", "VerifyMac", NULL },
        [USAGE_KEY_AGREEMENT] = { "DeriveSharedSecret", NULL },
        [USAGE_ENCAPSULATE_DECAPSULATE] = { "Encapsulate", "Decapsulate", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct operation *op = row_of(expected[i].name);
        assert_int_equal((op->flags & OP_SECRET_REPLY) != 0, among(op->name, secret));
        uint32_t usages = 0;
        for (size_t usage = 0; usage < USAGE_COUNT; usage++)
            usages |= among(op->name, crypto[usage]) ? 1u << usage : 0;
        assert_int_equal((op->flags & OP_CRYPTO) != 0, usages != 0);
        assert_int_equal(op->usages, usages);
    }
}

/* What is cryptographic and what counts as use of a key are the same, by names that the model has. */
static void test_what_counts_as_use(void **state)
{
    size_t                  n = 0;
    const struct operation *rows = operation_rows(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].shape != NULL)
            assert_int_equal((rows[i].flags & OP_CRYPTO) != 0,
                             tracked_operation_of(rows[i].name) != TRACKED_NONE);
    }
    for (size_t i = 1; i < TRACKED_COUNT; i++)
        (void)row_of(tracked_operation_name((enum tracked_operation)i));
}

/* Members with what must never be in a record (trust-model 5.2), and fields that do not overlap. */
static void test_shapes(void **state)
{
    static const char *const unseen[] = { "Plaintext",
                                          "CiphertextBlob",
                                          "EncryptedKeyMaterial",
                                          "ImportToken",
                                          "GrantTokens",
                                          "Policy",
                                          "Recipient",
                                          "Message",
                                          "Signature",
                                          "Mac",
                                          "PublicKey",
                                          "SharedSecretCiphertextBlob",
                                          "GrantToken",
                                          NULL };
    size_t                   n = 0;
    const struct operation  *rows = operation_rows(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (const struct shape_member *m = rows[i].shape; m != NULL && m->name != NULL; m++) {
            assert_true(m->name[0] >= 'A' && m->name[0] <= 'Z');
            assert_true(m->offset + sizeof(struct op_int) <= sizeof(struct op_input));
            assert_int_equal((m->flags & SHAPE_NO_AUDIT) != 0, among(m->name, unseen));
            assert_int_equal(m->type == SHAPE_BLOB && (m->flags & SHAPE_NO_AUDIT) == 0, 0);
            assert_int_equal(m->type == SHAPE_ENUM && m->values == NULL, 0);
            assert_int_equal(m->matches != NULL && m->type != SHAPE_ENUM && m->pattern == NULL, 0);
            for (const struct shape_member *o = rows[i].shape; o != m; o++) {
                assert_string_not_equal(o->name, m->name);
                assert_int_not_equal(o->offset, m->offset);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_names),      cmocka_unit_test(test_find),
        cmocka_unit_test(test_rows_are_whole), cmocka_unit_test(test_states),
        cmocka_unit_test(test_transitions),    cmocka_unit_test(test_members),
        cmocka_unit_test(test_empty_answers),  cmocka_unit_test(test_identifiers),
        cmocka_unit_test(test_origins),        cmocka_unit_test(test_secrets_and_dry_run),
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_what_counts_as_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
