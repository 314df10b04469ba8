/* base/limits.h - every limit on what a client can make us hold or do, with its reason.
 *
 * What has no limit is limited by the attacker. Sources: trust-model 4.7 (TM), kms-behaviour
 * sections 13 and 16 (KB). Limits that are settings have their defaults here.
 */
#pragma once

// clang-format off
enum {
    /* HTTP (TM 4.7) */
    LIMIT_HEAD_BYTES                  = 16 * 1024,   /* presigned queries and SDK headers fit 3 times */
    LIMIT_HEADERS                     = 100,         /* header fields: SDKs send about 15 */
    LIMIT_BODY_BYTES                  = 128 * 1024,  /* a 6,144-byte blob twice in base64, a policy */
    LIMIT_REQUESTS_PER_CONN           = 10000,       /* then close: bounds what one can accumulate */
    LIMIT_ANSWER_BYTES                = 4096 * 1024, /* longest: a page of 1,000 keys is 0.2 MB */

    /* connections (TM 4.7) */
    LIMIT_CONNECTIONS                 = 4096,        /* in total: descriptors and memory */
    LIMIT_CONNECTIONS_PER_ADDRESS     = 256,         /* one host cannot take all of them */
    LIMIT_UNAUTHENTICATED_PER_ADDRESS = 64,          /* without one good signature yet */
    LIMIT_LOCAL_CONNECTIONS           = 64,          /* beside the others: for the operator */
    LIMIT_UNPROVEN_INPUT              = 32 * 1024,   /* held for one without a good signature yet ... */
    LIMIT_UNPROVEN_INPUT_MORE         = 32 * 1024 * 1024, /* ... and more only out of this, for all */

    /* deadlines in milliseconds (TM 4.7) */
    LIMIT_TLS_HANDSHAKE_MS            = 5 * 1000,
    LIMIT_HEAD_MS                     = 10 * 1000,   /* slow-loris */
    LIMIT_REQUEST_MS                  = 15 * 1000,   /* first byte to answer */
    LIMIT_READY_MS                    = 12 * 1000,   /* of that, waiting for an RSA key to be made */
    LIMIT_KEEPALIVE_MS                = 60 * 1000,   /* idle between requests */
    LIMIT_BODY_GRACE_MS               = 5 * 1000,    /* then a body must come at LIMIT_BODY_RATE */
    LIMIT_BODY_RATE                   = 1000,        /* bytes a second */
    LIMIT_LINGER_MS                   = 1000,        /* closing at once could take the answer away */
    LIMIT_LINGER_BYTES                = 256 * 1024,  /* read and dropped meanwhile: a refused body */
    LIMIT_DRAIN_MS                    = 4 * 1000,    /* SIGTERM: the process is gone within 5 s */

    /* requests per second (TM 4.7) */
    LIMIT_RATE_PRINCIPAL              = 500,
    LIMIT_RATE_ACCOUNT                = 5000,
    LIMIT_RATE_FAILURES               = 20,          /* of one address; then it is refused unseen */

    /* JSON (TM 4.7) */
    LIMIT_JSON_DEPTH                  = 16,
    LIMIT_JSON_VALUES                 = 64 * 1024,

    /* Query protocol: a list of 256 elements with three members each, and the rest */
    LIMIT_FORM_PARAMS                 = 1024,
    LIMIT_FORM_NAME                   = 128,         /* longest of IAM: about 70 */

    /* API shapes (KB 16.1) */
    LIMIT_KEY_ID                      = 2048,
    LIMIT_ARN_BYTES                   = 4096,        /* made from a KeyId of LIMIT_KEY_ID and ours */
    LIMIT_PLAINTEXT                   = 4096,
    LIMIT_CIPHERTEXT                  = 6144,
    LIMIT_PUBLIC_KEY                  = 8192,
    LIMIT_ATTESTATION                 = 256 * 1024,  /* real documents have 5 KiB; KB 16.1 */
    LIMIT_IDENTITIES                  = 20000,       /* users, roles, policies: of each in an account */
    LIMIT_TAGS                        = 50,          /* KB 13.2 */
    LIMIT_POLICY_BYTES                = 32 * 1024,   /* of a key policy: KB 13.4 */
    LIMIT_ALIASES_PER_KEY             = 50,          /* KB 13.4 */
    LIMIT_IMPORT_TOKENS               = 1000,        /* of one key, unexpired: each holds a row and a slot for 24 h */
    LIMIT_GRANT_TOKENS                = 10,
    LIMIT_ON_DEMAND_ROTATIONS         = 25,          /* KB 8 */
    LIMIT_CONTEXT_BYTES               = 8 * 1024,    /* of a context, canonical form (TM 2.5) */
    LIMIT_CONTEXT_PAIRS               = 256,         /* in one context: each costs a sort step */
    LIMIT_LIST_ITEMS                  = 256,         /* elements of any list or map in a request */

    /* identities */
    LIMIT_SESSIONS                    = 100 * 1000,  /* of one account: each holds a row and 1 KiB */

    /* signature (KB 2) */
    LIMIT_SKEW_S                      = 5 * 60,
    LIMIT_PRESIGN_S                   = 604800,

    /* attestation documents (Recipient): those of the security module have about 5 KB */
    LIMIT_ATTESTATION_BYTES           = 96 * 1024,   /* more does not fit into a body in base64 */
    LIMIT_ATTESTATION_AGE_S           = 5 * 60,      /* replay: made for this call, or just before */

    /* secret memory */
    LIMIT_SECRET_BYTES                = 64 * 1024,   /* of one secret; also the arena size (TM 4.1) */
};
// clang-format on
