/* key/rights.h - compiled policies: one for all records whose document has the same text.
 *
 * A million keys with the default policy share one compiled form. What a policy means is not this
 * folder's business: compiling is handed in. The writer of the directory is the only user; a
 * reader finds what it needs in the record, where it stays as long as the record does.
 */
#pragma once

#include "base/index.h"

struct policy; /* authz/policy.h */

/* How policies are compiled: NULL for a text that cannot be, and then nobody has any right by it.
 * `principals` as policy_compile takes them. Only ever called by one thread at a time. */
struct rights_compiler {
    struct policy *(*compile)(struct bytes text, struct bytes principals);
    void (*release)(struct policy *policy);
};

struct rights_book;

struct key_rights {
    struct index_node   node; /* the text of the policy, a zero byte, its principals */
    struct rights_book *book;
    struct policy      *policy; /* NULL: no rights */
    size_t              users;  /* the writer's */
};

/* NULL when out of memory. `epoch` as index_insert takes it. */
struct rights_book *rights_book_new(struct epoch *epoch, uint64_t seed,
                                    struct rights_compiler with);
void rights_book_free(struct rights_book *book); /* nobody may have any of them; NULL is fine */
size_t rights_count(const struct rights_book *book);
/* Those of the policy with this text and these principals; to be given back. Memory that runs out
 * ends the process. */
const struct key_rights *rights_take(struct rights_book *book, struct bytes text,
                                     struct bytes principals);
void rights_give_back(const struct key_rights *rights); /* NULL is fine */
