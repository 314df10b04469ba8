/* sigv4/inside.h - what the files of this folder share; nobody else includes it. */
#pragma once

#include "sigv4/sigv4.h"

#define SIGV4_ALGORITHM  "AWS4-HMAC-SHA256"
#define SIGV4_TERMINATOR "aws4_request"

/* --- headers ---------------------------------------------------------------------------------- */

/* The headers that decide something here or later; each may be sent only once. Those with names of one
 * length stand together. */
enum notable {
    NOTABLE_AUTHORIZATION,
    NOTABLE_HOST,
    NOTABLE_DATE,
    NOTABLE_AMZ_DATE,
    NOTABLE_AMZ_TARGET,
    NOTABLE_AMZ_TOKEN,
    NOTABLE_AMZ_SHA256,
    NOTABLE_COUNT
};

struct sigv4_notables {
    struct bytes value[NOTABLE_COUNT]; /* of the first one; {NULL, 0} if absent */
    unsigned     count[NOTABLE_COUNT];
};

/* One pass over the headers. */
void sigv4_notables_find(const struct http_request *rq, struct sigv4_notables *ret);
/* Which of them has this name, in whatever case? NOTABLE_COUNT: none. */
enum notable sigv4_notable_named(struct bytes name);
/* The lower-case name. */
struct bytes sigv4_notable_name(enum notable which);

/* The list of signed headers, split: names in strictly ascending order, as SigV4 writes it. Then there is one
 * reading of it, and what it costs is bounded, however long it is. */
struct sigv4_signed {
    size_t n;
    struct {
        struct bytes name;
        enum notable which; /* of exactly this name; NOTABLE_COUNT: none */
    } at[LIMIT_HEADERS];
};

/* KMS_E_INVALID_SIG if they do not ascend, or are more than a request can have. */
KMS_MUST_CHECK enum kms_status sigv4_signed_split(struct bytes list, struct sigv4_signed *ret,
                                                  struct kms_error *reterr);

/* --- the parts of a signature ----------------------------------------------------------------- */

/* sigv4_parse, for who has looked for the notable headers already. */
KMS_MUST_CHECK enum kms_status sigv4_parse_found(const struct http_request   *rq,
                                                 const struct sigv4_notables *found,
                                                 struct buf *scratch, struct sigv4_auth *ret,
                                                 struct kms_error *reterr);
/* sigv4_canonical_request, for who has looked for the notable headers and split the list of signed ones. */
KMS_MUST_CHECK enum kms_status sigv4_canonical_found(const struct http_request   *rq,
                                                     const struct sigv4_notables *found,
                                                     const struct sigv4_signed   *names,
                                                     const struct sigv4_auth     *auth,
                                                     const struct sigv4_options  *options,
                                                     struct bytes payload_hash_hex, struct buf *out,
                                                     struct kms_error *reterr);
/* The time of the request as it is signed, "20261121T174501Z": a Date header's is written to `room`. */
struct bytes sigv4_basic_time(const struct sigv4_auth *auth, char room[16]);

/* --- query ------------------------------------------------------------------------------------ */

/* One query parameter as sent, percent-encoding and all. */
struct query_param {
    struct bytes name;
    struct bytes value; /* len 0 also without '=' */
};

/* Takes the next parameter off `rest`; empty ones ("&&") are skipped. False at the end. */
bool query_next(struct bytes *rest, struct query_param *ret);
/* Is every '%' followed by two hex digits? */
bool query_well_formed(struct bytes query);
/* Is the decoded text of `raw` this name? */
bool query_is(struct bytes raw, const char *name);
/* Order of the *encoded* names, then of the encoded values: negative, 0, positive. */
int query_order(const struct query_param *a, const struct query_param *b);
/* Appends the one canonical encoding of `raw`: RFC 3986 unreserved as they are, else %XX. */
void query_add_canonical(struct buf *out, struct bytes raw);
/* Appends the decoded text and returns a view of it. There must be room for raw.len bytes. */
struct bytes query_decode(struct buf *scratch, struct bytes raw);
/* A-Z a-z 0-9 - . _ ~ */
bool uri_unreserved(uint8_t c);
/* Appends %XX. */
void uri_add_escaped(struct buf *out, uint8_t c);

/* --- refusing --------------------------------------------------------------------------------- */

/* KMS_E_INVALID_SIG with the one text that every mismatch has; the reason is for the operator. */
#define SIGV4_MISMATCH(reterr, ...) sigv4_mismatch((reterr), KMS_SITE, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) enum kms_status sigv4_mismatch(struct kms_error *reterr,
                                                                     const char       *site,
                                                                     const char       *fmt, ...);
