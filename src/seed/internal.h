/* seed/internal.h - a seed as it is held: a list of things to make, each with its place in the file. */
#pragma once

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "iam/iam.h"
#include "identity/record.h"
#include "json/read.h"
#include "seed/seed.h"

enum seed_kind {
    SEED_ACCOUNT,    /* `name`, for people */
    SEED_CALL,       /* an operation of IAM about `identity`: op, form */
    SEED_ACCESS_KEY, /* access_key */
    SEED_KEY,        /* key, in */
    SEED_REPLICA,    /* of the key `primary`; in */
    SEED_ALIAS,      /* in */
    SEED_GRANT,      /* in */
};

struct seed_access_key {
    struct bytes id;
    struct bytes secret; /* in seed->plain */
    bool         active;
};

struct seed_material {
    struct bytes bytes; /* in seed->plain */
    int64_t      valid_to;
    int64_t      rotation_date; /* 0: when it is seeded */
    bool         has_description;
    struct bytes description;
    unsigned     line; /* with `path`: where it stands */
    const char  *path;
    /* what the vault calls it, once it has been asked: that takes long for RSA keys */
    bool               known;
    struct material_id id;
    uint8_t            check[32];
};

struct seed_key {
    struct bytes  id;
    struct bytes *regions; /* of all relatives, the primary's first; n_regions 1: no replicas */
    size_t        n_regions;
    struct seed_material *materials; /* oldest first */
    size_t                n_materials;
    bool                  rotates;
    struct op_int         rotation_period;
};

/* One thing to make. Views and lists lie in the seed's arenas. */
struct seed_item {
    enum seed_kind kind;
    unsigned       line;
    const char    *path;
    struct bytes   account;
    struct bytes   region; /* of keys, replicas, aliases and grants */

    enum identity_kind      identity; /* SEED_CALL, SEED_ACCESS_KEY: whom it is about */
    struct bytes            name;     /* of the account, the user ...; empty: the root user */
    const struct operation *op;       /* the row that checks it, and makes it */
    struct form             form;
    bool                    makes; /* it makes the identity; the calls after it add to that */
    struct seed_access_key  access_key;

    struct op_input  in;
    struct seed_key *key;     /* SEED_REPLICA: that of the primary */
    size_t           primary; /* SEED_REPLICA: which item */
    bool             disabled;
};

struct seed {
    char             *file;
    struct arena     *arena;
    struct buf        text;  /* the JSON, which `in` and others have views into */
    struct buf        plain; /* decoded key material: never moves */
    struct json_doc  *doc;
    struct json       root;
    struct seed_item *items;
    size_t            n, cap;
};

/* Refuses with "FILE:LINE: PATH: text". */
__attribute__((format(printf, 5, 6))) KMS_MUST_CHECK enum kms_status seed_refuse(
    const char *file, unsigned line, const char *path, struct kms_error *reterr, const char *fmt,
    ...);
/* The same with what an operation has refused, which is in *reterr. */
KMS_MUST_CHECK enum kms_status seed_blame(const char *file, unsigned line, const char *path,
                                          struct kms_error *reterr);
/* A call as the row of an item gets it: its scratch, answer and change are the caller's to set. */
struct op_call seed_call_of(const struct seed_item *item);

/* --- reading (read.c) ------------------------------------------------------------------------- */

/* Where the reader is: a chain up to the root, on the stack. */
struct place {
    const struct place *up;
    const char         *name;  /* of the member; NULL: an element of a list */
    size_t              index; /* of the element */
    const uint8_t      *near;  /* a string that stands there; NULL: see `up` */
};

struct reader {
    struct seed       *seed;
    size_t            *lines; /* where each begins, before the text was modified */
    size_t             n_lines;
    bool               check_material;
    struct bytes       account, region; /* those that hold where an object names none */
    enum identity_kind identity;        /* of the user, role or policy that is being read */
    struct bytes       name;            /* its name; empty: the account itself */
    struct seed_item  *item;            /* the key, replica ... that is being read */
    size_t             primary;         /* which item the key is that a replica belongs to */
    struct bytes       key_id;          /* of the key whose aliases and grants are being read */
    struct kms_error  *reterr;
};

typedef enum kms_status read_fn(struct reader *r, const struct place *at, struct json v);

/* Refuses what stands at a place. */
__attribute__((format(printf, 3, 4))) KMS_MUST_CHECK enum kms_status reader_refuse(
    struct reader *r, const struct place *at, const char *fmt, ...);
/* What an operation has refused, which is in *r->reterr, is refused at this place: at the member of
 * `object` that its text names, if it names one. */
KMS_MUST_CHECK enum kms_status reader_blame(struct reader *r, const struct place *at,
                                            struct json object);
/* It is an object, all of whose members are among `names` (NULL at the end) or "Comment". */
KMS_MUST_CHECK enum kms_status reader_object(struct reader *r, const struct place *at,
                                             struct json v, const char *const *names);
/* A member and its place; node NULL (and the place that of the object) if it is not there. */
struct json reader_member(const struct place *at, struct json object, const char *name,
                          struct place *ret);
/* A string; ptr NULL if it is absent, which it may be unless `required` says what it would be. */
KMS_MUST_CHECK enum kms_status reader_string(struct reader *r, const struct place *at,
                                             struct json object, const char *name,
                                             const char *required, struct bytes *ret);
KMS_MUST_CHECK enum kms_status reader_bool(struct reader *r, const struct place *at,
                                           struct json object, const char *name, bool *ret);
/* Calls `fn` for each element of the list `name`, if it is there. */
KMS_MUST_CHECK enum kms_status reader_each(struct reader *r, const struct place *at,
                                           struct json object, const char *name, read_fn *fn);
/* A policy document: its text, or the object itself, which is written as text. */
KMS_MUST_CHECK enum kms_status reader_document(struct reader *r, const struct place *at,
                                               struct json v, struct bytes *ret);
/* AccountId and Region of an object, which hold for what is in it. */
KMS_MUST_CHECK enum kms_status reader_account(struct reader *r, const struct place *at,
                                              struct json object);
KMS_MUST_CHECK enum kms_status reader_region(struct reader *r, const struct place *at,
                                             struct json object);
/* A new item that stands there, in the present account and Region. Valid until the next one. */
struct seed_item *reader_add(struct reader *r, enum seed_kind kind, const struct place *at);
unsigned reader_line(const struct reader *r, const struct place *at);
/* "$.Keys[3].Material", in the seed's arena. */
const char *reader_path(struct reader *r, const struct place *at);

/* read_identity.c, read_key.c: elements of the lists Accounts, Keys, Aliases and Grants. */
read_fn read_account, read_key, read_alias, read_grant;
