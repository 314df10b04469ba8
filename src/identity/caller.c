/* identity/caller.c - see caller.h. */
#include "identity/caller.h"

#include "base/cleanup.h"

/* --- copies ----------------------------------------------------------------------------------- */

struct writer {
    char  *at;
    size_t left; /* one byte is kept for the NUL */
};

static void put(struct writer *w, struct bytes text)
{
    size_t n = text.len < w->left ? text.len : w->left;

    if (n > 0)
        memcpy(w->at, text.ptr, n);
    w->at += n;
    w->left -= n;
    *w->at = '\0';
}

static struct bytes written(const char *start, const struct writer *w)
{
    return bytes_of(start, (size_t)(w->at - start));
}

/* --- names ------------------------------------------------------------------------------------ */

static void name_root(struct caller *c, struct writer *arn, struct writer *id)
{
    put(arn, BYTES_LIT("arn:aws:iam::"));
    put(arn, c->key->account);
    put(arn, BYTES_LIT(":root"));
    put(id, c->key->account);
    c->authz.as.kind = CALLER_ROOT;
}

static void name_user(struct caller *c, struct writer *arn, struct writer *id)
{
    put(arn, c->identity->arn);
    put(id, c->identity->unique_id);
    c->authz.as.kind = CALLER_USER;
}

/* Without the role's path (recorded-authz-multiregion 0). */
static void name_session(struct caller *c, struct writer *arn, struct writer *id)
{
    put(arn, BYTES_LIT("arn:aws:sts::"));
    put(arn, c->key->account);
    put(arn, BYTES_LIT(":assumed-role/"));
    put(arn, c->identity->name);
    put(arn, BYTES_LIT("/"));
    put(arn, c->key->session.name);
    put(id, c->identity->unique_id);
    put(id, BYTES_LIT(":"));
    put(id, c->key->session.name);
    c->authz.as.kind = CALLER_SESSION;
    c->authz.as.role_arn = c->identity->arn;
}

static void name_caller(struct caller *c)
{
    struct writer arn = { c->arn, sizeof c->arn - 1 };
    struct writer id = { c->unique_id, sizeof c->unique_id - 1 };
    struct writer key = { c->access_key_id, sizeof c->access_key_id - 1 };
    struct writer account = { c->account_id, sizeof c->account_id - 1 };

    put(&key, c->key->id);
    put(&account, c->key->account);
    c->authz.as.account = written(c->account_id, &account);
    if (c->identity == NULL)
        name_root(c, &arn, &id);
    else if (c->key->session.kind == SESSION_ROLE)
        name_session(c, &arn, &id);
    else
        name_user(c, &arn, &id);
    c->arn_view = c->authz.as.arn = written(c->arn, &arn);
    c->unique_id_view = c->authz.as.unique_id = written(c->unique_id, &id);
}

/* --- finding ---------------------------------------------------------------------------------- */

/* Is there still who the key was given to? */
static bool find_identity(const struct identity_book *b, struct caller *c)
{
    enum identity_kind wanted = c->key->session.kind == SESSION_ROLE ? IDENTITY_ROLE
                                                                     : IDENTITY_USER;

    c->account = book_account(b, c->key->account);
    c->identity = NULL;
    if (c->account == NULL || c->key->root)
        return c->account != NULL;
    c->identity = book_identity_by_id(b, c->key->principal_id);
    return c->identity != NULL && c->identity->kind == wanted;
}

bool caller_find(const struct identity_book *b, struct bytes access_key_id, int64_t now,
                 struct caller *ret)
{
    const struct access_key_record *k = book_access_key(b, access_key_id);

    if (k == NULL || !k->active || (k->session.kind != SESSION_NONE && k->session.expires <= now))
        return false;
    ret->key = k;
    ret->authz = (struct authz_caller){ .as.kind = CALLER_ROOT };
    if (!find_identity(b, ret))
        return false;
    name_caller(ret);
    return true;
}

void caller_policies(const struct identity_book *b, struct caller *ret)
{
    const struct identity_record *r = ret->identity;
    const struct session         *s = &ret->key->session;

    ret->authz.limited = s->n_policies > 0;
    ret->authz.session = ret->session;
    ret->authz.n_session = s->n_policies > 0 ? book_session_policies(b, s, ret->session) : 0;
    ret->authz.identity = ret->policies;
    ret->authz.n_identity = r == NULL ? 0 : book_policies(b, r, ret->policies);
    ret->authz.bounded = r != NULL && r->boundary.len > 0;
    if (ret->authz.bounded)
        ret->authz.boundary = book_boundary(b, r);
}

const char *caller_type(const struct caller *c)
{
    static const char *const types[] = {
        [CALLER_ROOT] = "Root",           [CALLER_USER] = "IAMUser",
        [CALLER_SESSION] = "AssumedRole", [CALLER_FEDERATED] = "FederatedUser",
        [CALLER_SERVICE] = "AWSService",
    };

    return types[c->authz.as.kind];
}
