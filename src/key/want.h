/* key/want.h - a key that is not in memory although the store may have it (directory_unsure).
 *
 * Whoever looked for it has the committer bring it (commit/load.c), and then looks again.
 */
#pragma once

#include "key/id.h"

enum want_kind {
    WANT_NOTHING,
    WANT_KEY,      /* account, region, key_id */
    WANT_MATERIAL, /* region, material: the key that has it there */
    WANT_SERIAL,   /* serial */
    WANT_PAGE,  /* the keys of account and region in order of their serials, those above `serial` */
    WANT_CHECK, /* that the next ones above `serial` are as we wrote them; none comes into memory */
};

struct key_want {
    enum want_kind     kind;
    char               account[ACCOUNT_LEN + 1];
    char               region[REGION_MAX + 1];
    char               key_id[KEY_ID_MAX + 1];
    struct material_id material;
    uint64_t           serial;
};

/* False, and nothing is wanted, if no key has such a name: one is too long, or has a zero byte. */
bool key_want_named(struct key_want *ret, struct bytes account, struct bytes region,
                    struct bytes key_id);
bool key_want_material(struct key_want *ret, struct bytes region, const struct material_id *id);
/* Do both name the same key, or the same page? One check is like another. */
bool key_want_same(const struct key_want *a, const struct key_want *b);

/* What one request wants: one after the other, and never again what the store was found not to have. */
enum { KEY_ABSENT_MAX = 4 }; /* a request names three keys at most */
struct key_wants {
    size_t          n_absent;
    struct key_want next; /* WANT_NOTHING: what was looked for was here, or is nowhere */
    struct key_want absent[KEY_ABSENT_MAX];
};
/* The first one counts. */
void key_wants_add(struct key_wants *w, const struct key_want *want);
/* `next` has been looked for in the store. */
void key_wants_served(struct key_wants *w, bool found);

/* A page of keys out of the store, for a listing while keys are cold. */
enum { KEY_PAGE = 1024 };
struct key_page {
    uint64_t after; /* the serials are above this one */
    size_t   n;     /* less than KEY_PAGE: there are no more */
    struct {
        uint64_t serial;
        char     key_id[KEY_ID_MAX + 1];
        bool     deleting;      /* waits for its deletion, */
        int64_t  deletion_date; /* until then */
    } list[KEY_PAGE];
};
