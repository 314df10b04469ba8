/* base/status.h - every outcome the server can have.
 *
 * One list for the whole program: symbol, HTTP status, wire name (`__type`), how the text member of
 * the error body is spelled, and a word for the operator's log. Nothing else maps an outcome to
 * HTTP. Statuses follow kms-behaviour 1.4 (400 for every client error, 500 for the three faults)
 * and the spelling of the text member follows kms-behaviour 1.3.
 */
#pragma once

enum kms_text_member {
    KMS_TEXT_LOWER, /* {"__type":..., "message":...}: all modelled exceptions */
    KMS_TEXT_UPPER, /* {"__type":..., "Message":...}: AccessDenied, Serialization */
};

/*    symbol                    http  wire name                             member           log word */
#define KMS_STATUS_LIST(X)                                                                              \
    X(KMS_OK,                   200, "",                                    KMS_TEXT_LOWER, "ok")       \
    X(KMS_E_VALIDATION,         400, "ValidationException",                 KMS_TEXT_LOWER, "validation")\
    X(KMS_E_SERIALIZATION,      400, "SerializationException",              KMS_TEXT_UPPER, "serialization")\
    X(KMS_E_UNKNOWN_OPERATION,  400, "UnknownOperationException",           KMS_TEXT_LOWER, "unknown-operation")\
    X(KMS_E_MISSING_AUTH,       400, "MissingAuthenticationTokenException", KMS_TEXT_LOWER, "missing-auth")\
    X(KMS_E_INCOMPLETE_SIG,     400, "IncompleteSignatureException",        KMS_TEXT_LOWER, "incomplete-signature")\
    X(KMS_E_INVALID_SIG,        400, "InvalidSignatureException",           KMS_TEXT_LOWER, "invalid-signature")\
    X(KMS_E_UNKNOWN_CLIENT,     400, "UnrecognizedClientException",         KMS_TEXT_LOWER, "unknown-client")\
    X(KMS_E_EXPIRED_CLIENT,     400, "ExpiredTokenException",               KMS_TEXT_LOWER, "expired-client")\
    X(KMS_E_ACCESS_DENIED,      400, "AccessDeniedException",               KMS_TEXT_UPPER, "access-denied")\
    X(KMS_E_NOT_AUTHORIZED,     400, "NotAuthorizedException",              KMS_TEXT_LOWER, "not-authorized")\
    X(KMS_E_THROTTLED,          400, "ThrottlingException",                 KMS_TEXT_LOWER, "throttled")\
    X(KMS_E_NOT_FOUND,          400, "NotFoundException",                   KMS_TEXT_LOWER, "not-found")\
    X(KMS_E_ALREADY_EXISTS,     400, "AlreadyExistsException",              KMS_TEXT_LOWER, "already-exists")\
    X(KMS_E_CONFLICT,           400, "ConflictException",                   KMS_TEXT_LOWER, "conflict")\
    X(KMS_E_DISABLED,           400, "DisabledException",                   KMS_TEXT_LOWER, "disabled")\
    X(KMS_E_KEY_STATE,          400, "KMSInvalidStateException",            KMS_TEXT_LOWER, "key-state")\
    X(KMS_E_KEY_USAGE,          400, "InvalidKeyUsageException",            KMS_TEXT_LOWER, "key-usage")\
    X(KMS_E_UNSUPPORTED,        400, "UnsupportedOperationException",       KMS_TEXT_LOWER, "unsupported")\
    X(KMS_E_CIPHERTEXT,         400, "InvalidCiphertextException",          KMS_TEXT_LOWER, "ciphertext")\
    X(KMS_E_INCORRECT_KEY,      400, "IncorrectKeyException",               KMS_TEXT_LOWER, "incorrect-key")\
    X(KMS_E_INCORRECT_MATERIAL, 400, "IncorrectKeyMaterialException",       KMS_TEXT_LOWER, "incorrect-material")\
    X(KMS_E_IMPORT_TOKEN,       400, "InvalidImportTokenException",         KMS_TEXT_LOWER, "import-token")\
    X(KMS_E_EXPIRED_TOKEN,      400, "ExpiredImportTokenException",         KMS_TEXT_LOWER, "expired-import-token")\
    X(KMS_E_GRANT_TOKEN,        400, "InvalidGrantTokenException",          KMS_TEXT_LOWER, "grant-token")\
    X(KMS_E_GRANT_ID,           400, "InvalidGrantIdException",             KMS_TEXT_LOWER, "grant-id") \
    X(KMS_E_ARN,                400, "InvalidArnException",                 KMS_TEXT_LOWER, "arn")      \
    X(KMS_E_ALIAS_NAME,         400, "InvalidAliasNameException",           KMS_TEXT_LOWER, "alias-name")\
    X(KMS_E_MARKER,             400, "InvalidMarkerException",              KMS_TEXT_LOWER, "marker")   \
    X(KMS_E_LIMIT,              400, "LimitExceededException",              KMS_TEXT_LOWER, "limit")    \
    X(KMS_E_POLICY,             400, "MalformedPolicyDocumentException",    KMS_TEXT_LOWER, "policy")   \
    X(KMS_E_TAG,                400, "TagException",                        KMS_TEXT_LOWER, "tag")      \
    X(KMS_E_DRY_RUN,            400, "DryRunOperationException",            KMS_TEXT_LOWER, "dry-run")  \
    X(KMS_E_MAC,                400, "KMSInvalidMacException",              KMS_TEXT_LOWER, "mac")      \
    X(KMS_E_SIGNATURE,          400, "KMSInvalidSignatureException",        KMS_TEXT_LOWER, "signature")\
    /* of IAM and STS alone; query/answer.c has their spelling for all others */                      \
    X(KMS_E_INPUT,              400, "InvalidInput",                        KMS_TEXT_LOWER, "input")    \
    X(KMS_E_NO_VERSION,         400, "NoSuchVersion",                       KMS_TEXT_LOWER, "no-version")\
    X(KMS_E_UNMODIFIABLE,       400, "UnmodifiableEntity",                  KMS_TEXT_LOWER, "unmodifiable")\
    X(KMS_E_WEB_TOKEN,          400, "InvalidIdentityToken",                KMS_TEXT_LOWER, "web-token")\
    X(KMS_E_WEB_TOKEN_EXPIRED,  400, "ExpiredTokenException",               KMS_TEXT_LOWER, "web-token-expired")\
    X(KMS_E_WEB_CLAIM,          403, "IDPRejectedClaim",                    KMS_TEXT_LOWER, "web-claim")\
    X(KMS_E_PACKED_POLICY,      400, "PackedPolicyTooLarge",                KMS_TEXT_LOWER, "packed-policy")\
    X(KMS_E_INTERNAL,           500, "KMSInternalException",                KMS_TEXT_LOWER, "internal") \
    /* of the store: there is no memory to read something, and nothing is wrong with it */            \
    X(KMS_E_MEMORY,             500, "KMSInternalException",                KMS_TEXT_LOWER, "memory")   \
    X(KMS_E_KEY_UNAVAILABLE,    500, "KeyUnavailableException",             KMS_TEXT_LOWER, "key-unavailable")\
    X(KMS_E_TIMEOUT,            500, "DependencyTimeoutException",          KMS_TEXT_LOWER, "timeout")  \
    /* never sent: the store found that a row had changed; request.c runs the request again */       \
    X(KMS_E_CHANGED,            500, "KMSInternalException",                KMS_TEXT_LOWER, "changed")

/* clang-format off */
enum kms_status {
#define X(symbol, http, wire, member, word) symbol,
    KMS_STATUS_LIST(X)
#undef X
    KMS_STATUS_COUNT
};
/* clang-format on */

#define KMS_MUST_CHECK __attribute__((warn_unused_result))

/* HTTP status code of an outcome. */
int kms_status_http(enum kms_status status);
/* The `__type` of the error body, e.g. "NotFoundException"; "" for KMS_OK. */
const char *kms_status_wire(enum kms_status status);
/* The spelling of the text member. */
enum kms_text_member kms_status_text_member(enum kms_status status);
/* A short word for the log and for metrics labels. */
const char *kms_status_word(enum kms_status status);
