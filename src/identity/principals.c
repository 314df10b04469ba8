/* identity/principals.c - from names to identities and back; see book.h and principals.h. */
#include "identity/principals.h"

#include "base/cleanup.h"
#include "identity/internal.h"

enum { SESSION_NAME_MIN = 2 };

/* --- reading names ---------------------------------------------------------------------------- */

static bool is_account(struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] < '0' || in.ptr[i] > '9')
            return false;
    }
    return in.len == ACCOUNT_LEN;
}

/* [A-Za-z0-9_+=,.@-]: names of users, roles, sessions. */
static bool is_name(struct bytes in, size_t min, size_t max)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            memchr("_+=,.@-", c, 7) == NULL)
            return false;
    }
    return in.len >= min && in.len <= max;
}

static bool is_unique_id(struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return (bytes_starts(in, BYTES_LIT("AIDA")) || bytes_starts(in, BYTES_LIT("AROA"))) &&
           in.len > 4 && in.len <= UNIQUE_ID_MAX;
}

static bool skip(struct bytes *in, const char *prefix)
{
    struct bytes head;

    return bytes_starts(*in, bytes_str(prefix)) && bytes_take(in, strlen(prefix), &head);
}

/* --- names to identities ---------------------------------------------------------------------- */

static enum principal_found resolve_session(const struct identity_book *b, struct bytes account,
                                            struct bytes rest, struct buf *ret)
{
    struct bytes role;

    if (!bytes_cut(&rest, '/', &role) || !is_name(role, 1, SESSION_NAME_MAX) ||
        !is_name(rest, SESSION_NAME_MIN, SESSION_NAME_MAX)) /* a path has more slashes */
        return FOUND_MALFORMED;
    const struct identity_record *r = book_identity(b, account, IDENTITY_ROLE, role);
    if (r == NULL || !bytes_eq(r->name, role))
        return FOUND_UNKNOWN;
    buf_add(ret, r->unique_id);
    buf_add_byte(ret, ':');
    buf_add(ret, rest);
    return FOUND;
}

static enum principal_found resolve_federated(const struct identity_book *b, struct bytes account,
                                              struct bytes name, struct buf *ret)
{
    if (!is_name(name, SESSION_NAME_MIN, SESSION_NAME_MAX))
        return FOUND_MALFORMED;
    if (book_account(b, account) == NULL)
        return FOUND_UNKNOWN;
    buf_add(ret, account);
    buf_add_byte(ret, ':');
    buf_add(ret, name);
    return FOUND;
}

static enum principal_found resolve_iam(const struct identity_book *b, struct bytes account,
                                        struct bytes resource, struct bytes arn, struct buf *ret)
{
    if (bytes_eq(resource, BYTES_LIT("root"))) {
        if (book_account(b, account) == NULL)
            return FOUND_UNKNOWN;
        buf_add(ret, account);
        return FOUND;
    }
    if (!skip(&resource, "user/") && !skip(&resource, "role/"))
        return FOUND_MALFORMED;
    for (size_t i = 0; i < resource.len; i++) {
        if (resource.ptr[i] <= ' ' || resource.ptr[i] > '~')
            return FOUND_MALFORMED;
    }
    if (resource.len == 0 || resource.ptr[resource.len - 1] == '/')
        return FOUND_MALFORMED;
    const struct identity_record *r = book_identity_by_arn(b, arn);
    if (r == NULL)
        return FOUND_UNKNOWN;
    buf_add(ret, r->unique_id);
    return FOUND;
}

static enum principal_found resolve_arn(const struct identity_book *b, struct bytes arn,
                                        struct buf *ret)
{
    struct bytes part[5]; /* arn, partition, service, Region, account */
    struct bytes resource = arn;

    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        if (!bytes_cut(&resource, ':', &part[i]))
            return FOUND_MALFORMED;
    }
    if (!bytes_starts(part[1], BYTES_LIT("aws")) || part[3].len > 0 || !is_account(part[4]))
        return FOUND_MALFORMED;
    bool known_partition = bytes_eq(part[1], BYTES_LIT("aws"));
    if (bytes_eq(part[2], BYTES_LIT("iam")))
        return known_partition ? resolve_iam(b, part[4], resource, arn, ret) : FOUND_UNKNOWN;
    if (!bytes_eq(part[2], BYTES_LIT("sts")))
        return FOUND_MALFORMED;
    if (!known_partition)
        return FOUND_UNKNOWN;
    if (skip(&resource, "assumed-role/"))
        return resolve_session(b, part[4], resource, ret);
    if (skip(&resource, "federated-user/"))
        return resolve_federated(b, part[4], resource, ret);
    return FOUND_MALFORMED;
}

static enum principal_found resolve_id(const struct identity_book *b, struct bytes text,
                                       struct buf *ret)
{
    struct bytes name = text;
    struct bytes id = text;
    bool         session = bytes_cut(&name, ':', &id);

    if (!is_unique_id(id) || (session && (!bytes_starts(id, BYTES_LIT("AROA")) ||
                                          !is_name(name, SESSION_NAME_MIN, SESSION_NAME_MAX))))
        return FOUND_MALFORMED;
    if (book_identity_by_id(b, id) == NULL)
        return FOUND_UNKNOWN;
    buf_add(ret, text);
    return FOUND;
}

enum principal_found book_resolve_principal(const struct identity_book *b, struct bytes text,
                                            struct buf *ret)
{
    if (bytes_starts(text, BYTES_LIT("arn:")))
        return resolve_arn(b, text, ret);
    return resolve_id(b, text, ret);
}

/* --- identities to names ---------------------------------------------------------------------- */

static void sts_arn_add(struct buf *out, struct bytes account, const char *kind)
{
    buf_add_str(out, "arn:aws:sts::");
    buf_add(out, account);
    buf_add_byte(out, ':');
    buf_add_str(out, kind);
}

void book_principal_text(const struct identity_book *b, struct bytes identity, struct buf *out)
{
    struct bytes name = identity;
    struct bytes id = identity;
    bool         named = bytes_cut(&name, ':', &id);

    if (is_account(id) && !named) {
        root_arn_add(out, id);
        return;
    }
    if (is_account(id)) {
        sts_arn_add(out, id, "federated-user/");
        buf_add(out, name);
        return;
    }
    const struct identity_record *r = book_identity_by_id(b, id);
    if (r == NULL) {
        buf_add(out, identity);
    } else if (!named) {
        buf_add(out, r->arn);
    } else {
        sts_arn_add(out, r->account, "assumed-role/");
        buf_add(out, r->name); /* without its path */
        buf_add_byte(out, '/');
        buf_add(out, name);
    }
}

/* --- documents -------------------------------------------------------------------------------- */

enum { LINE_ID_MAX = UNIQUE_ID_MAX + 1 + SESSION_NAME_MAX };

static bool known(const struct identity_book *b, const struct policy_principal *p, bool issuers)
{
    uint8_t    room[LINE_ID_MAX];
    struct buf id = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    switch (p->kind) {
    case PRINCIPAL_ACCOUNT:        return book_account(b, p->text) != NULL;
    case PRINCIPAL_ARN:
    case PRINCIPAL_UNIQUE_ID:      return book_resolve_principal(b, p->text, &id) == FOUND;
    case PRINCIPAL_SERVICE:        return true;
    case PRINCIPAL_FEDERATED:      return issuers;
    case PRINCIPAL_CANONICAL_USER: break;
    }
    return false;
}

bool principal_known(const struct policy_principal *p, const void *ctx)
{
    return known(ctx, p, false);
}

bool principal_known_to_trust(const struct policy_principal *p, const void *ctx)
{
    return known(ctx, p, true);
}

struct binding {
    const struct identity_book *b;
    struct buf                 *lines;
};

struct bytes principal_line(struct bytes lines, struct bytes arn)
{
    struct bytes line;
    struct bytes name;

    while (bytes_cut(&lines, '\n', &line)) {
        if (bytes_cut(&line, ' ', &name) && bytes_eq(name, arn))
            return line;
    }
    return (struct bytes){ NULL, 0 };
}

static bool bind_one(const struct policy_principal *p, const void *ctx)
{
    const struct binding *to = ctx;
    uint8_t               room[LINE_ID_MAX];
    struct buf            id = { .ptr = room, .cap = sizeof room, .limit = sizeof room };

    if (p->kind != PRINCIPAL_ARN || principal_line(buf_bytes(to->lines), p->text).len > 0 ||
        book_resolve_principal(to->b, p->text, &id) != FOUND || !buf_ok(&id) ||
        is_account(bytes_of(id.ptr, id.len < ACCOUNT_LEN ? id.len : ACCOUNT_LEN)))
        return true; /* federated users are named by their account: nothing to bind */
    buf_add(to->lines, p->text);
    buf_add_byte(to->lines, ' ');
    buf_add(to->lines, buf_bytes(&id));
    buf_add_byte(to->lines, '\n');
    return true;
}

void principals_bind(const struct identity_book *b, const struct policy *document,
                     struct buf *ret_lines)
{
    struct binding to = { b, ret_lines };

    (void)policy_principals_known(document, bind_one, &to);
}

enum kms_status principals_of(const struct identity_book *b, enum policy_kind kind,
                              struct bytes text, struct buf *ret_lines, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;

    TRY(policy_compile(kind, text, (struct bytes){ NULL, 0 }, &p, reterr));
    principals_bind(b, p, ret_lines);
    if (!buf_ok(ret_lines))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "a policy names more than there is memory for");
    return KMS_OK;
}
