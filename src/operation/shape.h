/* operation/shape.h - descriptions of input members, and the checker's vocabulary.
 *
 * The checker produces the recorded validation texts (kms-behaviour 1.6): all failures of one
 * request in the order of the row's members, "N validation errors detected: ...; ...".
 */
#pragma once

#include <stddef.h>

#include "base/limits.h"
#include "operation/operation.h"

enum shape_type {
    SHAPE_STRING,
    SHAPE_KEY_ID, /* string 1..2048 with the wire-side pattern ^\p{ASCII}+$ */
    SHAPE_BLOB,   /* base64 */
    SHAPE_INT,
    SHAPE_BOOL,
    SHAPE_TIME, /* number of seconds */
    SHAPE_ENUM,
    SHAPE_TAGS,    /* list of {TagKey, TagValue} */
    SHAPE_STRINGS, /* list of strings */
    SHAPE_MAP,     /* string -> string */
    SHAPE_OBJECT,  /* a structure of single values and maps */
};

enum shape_flags {
    SHAPE_REQUIRED = 1 << 0,
    SHAPE_SENSITIVE = 1 << 1, /* texts leave the value out; missing: no "null" either */
    SHAPE_NO_AUDIT = 1 << 2,  /* never in requestParameters (trust-model 5.2) */
};

struct shape_member {
    const char     *name; /* "KeyId" */
    enum shape_type type;
    uint32_t        flags;
    /* length of strings, list elements and blobs (max 0: no limit); value of ints (both 0: any) */
    int64_t min, max;
    size_t  max_items; /* of lists and maps; 0: no limit */
    /* SHAPE_ENUM: accepted names, NULL-terminated; the index is the result. SHAPE_STRINGS: the
     * elements must be among them. */
    const char *const *values;
    const char        *enum_text; /* the list as the service prints it, if not that of `values` */
    const char        *pattern;   /* printed when `matches` says no */
    /* SHAPE_ENUM: which of `values` this member takes */
    bool (*matches)(struct bytes text);
    size_t offset; /* of the field in struct op_input; of SHAPE_OBJECT: of a struct json */
    const struct shape_member *members; /* of SHAPE_OBJECT; ending with name NULL */
};

/* "Value '...' at 'keyId' failed ..." path of a member: first letter in lower case. */
/* Names of specs, usages and algorithms: crypto/spec.h; of origins: key/record.h. */
extern const char *const shape_message_types[];       /* in enum message_type order */
extern const char *const shape_wrapping_algorithms[]; /* see shape_names.c */
extern const char *const shape_wrapping_specs[];
extern const char *const shape_data_key_specs[];
extern const char *const shape_expiration_models[];
extern const char *const shape_import_types[];
extern const char *const shape_include_key_material[];
extern const char *const shape_dry_run_modifiers[];

/* The lists as the service prints them (kms-behaviour 1.6). */
extern const char shape_key_spec_text[];
extern const char shape_data_key_spec_text[];   /* oddly that of the KMS keys */
extern const char shape_deprecated_spec_text[]; /* CustomerMasterKeySpec */
extern const char shape_key_usage_text[];
extern const char shape_encryption_algorithm_text[];
extern const char shape_signing_algorithm_text[];
extern const char shape_mac_algorithm_text[];
extern const char shape_key_agreement_algorithm_text[];
extern const char shape_encapsulation_algorithm_text[];
extern const char shape_data_key_pair_spec_text[];

/* Which of algorithm_names, of key_spec_names, a member takes. */
bool shape_is_encryption_algorithm(struct bytes name);
bool shape_is_signing_algorithm(struct bytes name);
bool shape_is_mac_algorithm(struct bytes name);
bool shape_is_key_agreement_algorithm(struct bytes name);
bool shape_is_encapsulation_algorithm(struct bytes name);
bool shape_is_data_key_pair_spec(struct bytes name);

/* Patterns of kms-behaviour 16.1, matched against the whole string. */
bool shape_is_ascii(struct bytes text);                /* ^\p{ASCII}+$ */
bool shape_is_alias(struct bytes text);                /* ^[a-zA-Z0-9:/_-]+$ */
bool shape_is_hex(struct bytes text);                  /* ^[a-f0-9]+$ */
bool shape_is_material_description(struct bytes text); /* ^[a-zA-Z0-9:/_\s.-]+$ */
bool shape_is_latin(struct bytes text);                /* [\u0020-\u00FF]* */
bool shape_is_policy(struct bytes text);               /* [\u0009\u000A\u000D\u0020-\u00FF]+ */
bool shape_is_word(struct bytes text);                 /* [\w]+ */
bool shape_is_xks_key_id(struct bytes text);           /* ^[a-zA-Z0-9-_.]+$ */
bool shape_is_principal(struct bytes text);            /* ^[\w+=,.@:/-]+$ */
/* ^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$ */
bool shape_is_service(struct bytes text);

/* Characters (code points) of a UTF-8 text: what length constraints count. */
size_t shape_characters(struct bytes text);

/* --- members that many operations share: initialisers of struct shape_member ------------------ */

// clang-format off
#define SHAPE_AT(FIELD) .offset = offsetof(struct op_input, FIELD)
#define SHAPE_END       { .name = NULL }

#define SHAPE_KEY(NAME, FIELD, FLAGS)                                                              \
    { .name = (NAME), .type = SHAPE_KEY_ID, .flags = (FLAGS), .min = 1, .max = LIMIT_KEY_ID,       \
      .pattern = "^\\p{ASCII}+$", .matches = shape_is_ascii, SHAPE_AT(FIELD) }
#define SHAPE_ALIAS_NAME                                                                           \
    { .name = "AliasName", .type = SHAPE_STRING, .flags = SHAPE_REQUIRED, .min = 1, .max = 256,    \
      .pattern = "^[a-zA-Z0-9:/_-]+$", .matches = shape_is_alias, SHAPE_AT(alias_name) }
#define SHAPE_POLICY(FLAGS)                                                                        \
    { .name = "Policy", .type = SHAPE_STRING, .flags = SHAPE_NO_AUDIT | (FLAGS), .min = 1,         \
      .max = 131072, .pattern = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",                       \
      .matches = shape_is_policy, SHAPE_AT(policy) }
#define SHAPE_REGION(NAME, FIELD)                                                                  \
    { .name = (NAME), .type = SHAPE_STRING, .flags = SHAPE_REQUIRED, .min = 1, .max = REGION_MAX,  \
      .pattern = "^([a-z]+-){2,3}\\d+$", .matches = region_valid, SHAPE_AT(FIELD) }
#define SHAPE_FLAG(NAME, FIELD) { .name = (NAME), .type = SHAPE_BOOL, SHAPE_AT(FIELD) }
#define SHAPE_DRY_RUN           SHAPE_FLAG("DryRun", dry_run)
#define SHAPE_DRY_RUN_MODIFIERS                                                                    \
    { .name = "DryRunModifiers", .type = SHAPE_STRINGS, .min = 1, .max = 64,                       \
      .max_items = LIMIT_LIST_ITEMS, .values = shape_dry_run_modifiers,                            \
      SHAPE_AT(dry_run_modifiers) }
#define SHAPE_GRANT_TOKENS                                                                         \
    { .name = "GrantTokens", .type = SHAPE_STRINGS, .flags = SHAPE_NO_AUDIT | SHAPE_SENSITIVE,     \
      .min = 1, .max = 8192, .max_items = LIMIT_GRANT_TOKENS, SHAPE_AT(grant_tokens) }
/* `page` is the largest Limit of this listing (kms-behaviour 13.3). */
#define SHAPE_LIMIT(PAGE)                                                                          \
    { .name = "Limit", .type = SHAPE_INT, .min = 1, .max = (PAGE), SHAPE_AT(limit) }
#define SHAPE_MARKER                                                                               \
    { .name = "Marker", .type = SHAPE_STRING, .min = 1, .max = 1024,                               \
      .pattern = "[\\u0020-\\u00FF]*", .matches = shape_is_latin, SHAPE_AT(marker) }
#define SHAPE_TAG_LIST(FLAGS)                                                                      \
    { .name = "Tags", .type = SHAPE_TAGS, .flags = (FLAGS), .max_items = LIMIT_LIST_ITEMS,         \
      SHAPE_AT(tags) }
#define SHAPE_CONTEXT(NAME, FIELD)                                                                 \
    { .name = (NAME), .type = SHAPE_MAP, .max_items = LIMIT_LIST_ITEMS, SHAPE_AT(FIELD) }
/* KIND: encryption, signing, mac, key_agreement, encapsulation. The result is an enum algorithm. */
#define SHAPE_ALGORITHM(NAME, FIELD, FLAGS, KIND)                                                  \
    { .name = (NAME), .type = SHAPE_ENUM, .flags = (FLAGS), .values = algorithm_names,             \
      .enum_text = shape_##KIND##_algorithm_text, .matches = shape_is_##KIND##_algorithm,          \
      SHAPE_AT(FIELD) }
/* Blobs: texts never show the value (kms-behaviour 1.6). */
#define SHAPE_BYTES(NAME, FIELD, FLAGS, MAX)                                                       \
    { .name = (NAME), .type = SHAPE_BLOB, .flags = SHAPE_NO_AUDIT | (FLAGS), .min = 1,             \
      .max = (MAX), SHAPE_AT(FIELD) }
/* Operations that can answer to an enclave (kms-behaviour 10.1). */
extern const struct shape_member shape_recipient_members[];
#define SHAPE_RECIPIENT                                                                            \
    { .name = "Recipient", .type = SHAPE_OBJECT, .flags = SHAPE_NO_AUDIT,                          \
      .members = shape_recipient_members, SHAPE_AT(recipient) }
#define SHAPE_PRINCIPAL(NAME, FIELD, FLAGS)                                                        \
    { .name = (NAME), .type = SHAPE_STRING, .flags = (FLAGS), .min = 1, .max = 256,                \
      .pattern = "^[\\w+=,.@:/-]+$", .matches = shape_is_principal, SHAPE_AT(FIELD) }
#define SHAPE_SERVICE(NAME, FIELD)                                                                 \
    { .name = (NAME), .type = SHAPE_STRING, .min = 1, .max = 128,                                  \
      .pattern = "^([A-Za-z0-9\\-]+)\\.([A-Za-z0-9\\-]+)(\\.[A-Za-z0-9\\-]+)+$",                  \
      .matches = shape_is_service, SHAPE_AT(FIELD) }
#define SHAPE_GRANT_ID(FLAGS)                                                                      \
    { .name = "GrantId", .type = SHAPE_STRING, .flags = (FLAGS), .min = 1, .max = 128,             \
      SHAPE_AT(grant_id) }
#define SHAPE_MESSAGE                                                                              \
    SHAPE_BYTES("Message", message, SHAPE_REQUIRED | SHAPE_SENSITIVE, LIMIT_PLAINTEXT)
// clang-format on
