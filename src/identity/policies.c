/* identity/policies.c - the policies of users, roles and sessions, each with what it says now. */
#include "identity/book.h"

#include <assert.h>

static const struct policy *policy_of(const struct key_rights *rights)
{
    return rights == NULL ? NULL : rights->policy;
}

static struct authz_policy managed_of(const struct identity_book *b, struct bytes arn)
{
    const struct identity_record   *r = book_identity_by_arn(b, arn);
    const struct identity_document *doc = NULL;

    if (r != NULL && r->kind == IDENTITY_POLICY)
        doc = identity_default_version(r);
    return (struct authz_policy){ doc == NULL ? NULL : policy_of(doc->rights), arn };
}

size_t book_policies(const struct identity_book *b, const struct identity_record *r,
                     struct authz_policy *ret)
{
    size_t n = 0;

    assert(r->n_documents <= INLINE_MAX && r->n_attached <= ATTACHED_MAX);
    for (size_t i = 0; i < r->n_documents; i++)
        ret[n++] = (struct authz_policy){ policy_of(r->documents[i].rights), r->documents[i].name };
    for (size_t i = 0; i < r->n_attached; i++)
        ret[n++] = managed_of(b, r->attached[i]);
    return n;
}

size_t book_session_policies(const struct identity_book *b, const struct session *s,
                             struct authz_policy *ret)
{
    assert(s->n_policies <= SESSION_POLICIES_MAX);
    for (size_t i = 0; i < s->n_policies; i++) {
        const struct identity_document *doc = &s->policies[i];
        ret[i] = doc->name.len == 0 ? (struct authz_policy){ policy_of(doc->rights), doc->name }
                                    : managed_of(b, doc->name);
    }
    return s->n_policies;
}

struct authz_policy book_boundary(const struct identity_book *b, const struct identity_record *r)
{
    return managed_of(b, r->boundary);
}
