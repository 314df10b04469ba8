/* operation/list_grants.c - ListGrants: of one key; ListRetirableGrants: of a principal that may
 * retire them, on whatever keys; both oldest first.
 */
#include "base/cleanup.h"
#include "identity/book.h"
#include "key/grants.h"
#include "operation/handlers.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 100, CHUNK = 128, PRINCIPAL_TEXT = 2048 };

const struct shape_member op_list_grants_shape[] = {
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_GRANT_ID(0),
    SHAPE_PRINCIPAL("GranteePrincipal", grantee_principal, 0),
    SHAPE_SERVICE("GranteeServicePrincipal", grantee_service),
    SHAPE_END,
};

const struct shape_member op_list_retirable_grants_shape[] = {
    SHAPE_LIMIT(LIST_MAX),
    SHAPE_MARKER,
    SHAPE_PRINCIPAL("RetiringPrincipal", retiring_principal, SHAPE_REQUIRED),
    SHAPE_END,
};

/* --- one entry (recorded-authz-multiregion 4.1) ----------------------------------------------- */

static void put_principal(struct op_call *call, const char *name, const char *service_name,
                          struct bytes identity, bool is_service)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(PRINCIPAL_TEXT);

    if (identity.len == 0)
        return;
    if (is_service) {
        json_put_string(call->answer, service_name, identity);
        return;
    }
    book_principal_text(call->env->identities, identity, &text);
    json_put_string(call->answer, name, buf_bytes(&text));
}

static void put_constraints(struct json_writer *w, const struct grant_record *g)
{
    if (g->constraint == GRANT_UNCONSTRAINED && g->source_arn.len == 0)
        return;
    json_open_object(w, "Constraints");
    if (g->constraint != GRANT_UNCONSTRAINED) {
        json_open_object(w, g->constraint == GRANT_CONTEXT_EQUALS ? "EncryptionContextEquals"
                                                                  : "EncryptionContextSubset");
        for (size_t i = 0; i < g->n_pairs; i++)
            json_put_pair(w, g->pairs[i].key, g->pairs[i].value);
        json_close_object(w);
    }
    if (g->source_arn.len > 0)
        json_put_string(w, "SourceArn", g->source_arn);
    json_close_object(w);
}

static void put_grant(struct op_call *call, const struct grant_record *g)
{
    CLEANUP(buf_release) struct buf issuer = BUF_INIT(PRINCIPAL_TEXT);
    struct json_writer             *w = call->answer;

    root_arn_add(&issuer, g->issuing_account);
    json_open_object(w, NULL);
    json_put_string(w, "KeyId", g->key.arn);
    json_put_string(w, "GrantId", g->id);
    json_put_string(w, "Name", g->name);
    json_put_time(w, "CreationDate", g->created);
    put_principal(call, "GranteePrincipal", "GranteeServicePrincipal", g->grantee,
                  g->grantee_is_service);
    put_principal(call, "RetiringPrincipal", "RetiringServicePrincipal", g->retiring,
                  g->retiring_is_service);
    json_put_string(w, "IssuingAccount", buf_bytes(&issuer));
    json_open_array(w, "Operations");
    for (size_t i = 0; i < GRANT_OPERATION_COUNT; i++) {
        if ((g->operations & 1u << i) != 0)
            json_put_str(w, NULL, grant_operation_names[i]);
    }
    json_close_array(w);
    put_constraints(w, g);
    json_close_object(w);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* Constraints can be long: a page ends before the answer's room does. */
static bool page_is_full(const struct op_call *call, size_t written, size_t limit)
{
    const struct buf *out = call->answer->out;

    return written == limit || (written > 0 && out->len > out->limit / 4);
}

/* Of which grants: those of call->key (to `identity` unless that is empty), or those that
 * `identity` may retire. */
static size_t chunk_after(const struct op_call *call, struct bytes identity, uint64_t after,
                          const struct grant_record *ret[CHUNK])
{
    const struct grant_book *book = directory_grants(call->env->directory);

    if (call->key != NULL)
        return grants_list(book, &call->key->name, identity, after, ret, CHUNK);
    return grants_list_retirable(book, call->region, identity, after, ret, CHUNK);
}

/* Grants end with their key's window, although the job may not have removed them yet. */
static bool is_live(const struct op_call *call, const struct grant_record *g)
{
    return directory_lives(call->env->directory, g->key.account, g->key.region, g->key.id,
                           call->now);
}

/* Writes up to `limit` grants after `*position` and moves it to the last one; true if there are
 * more. */
static bool put_grants(struct op_call *call, struct bytes identity, uint64_t *position,
                       size_t limit)
{
    const struct grant_record *chunk[CHUNK];
    uint64_t                   after = *position;
    size_t                     written = 0;

    for (;;) {
        size_t n = chunk_after(call, identity, after, chunk);
        for (size_t i = 0; i < n; i++) {
            if (!is_live(call, chunk[i]))
                continue;
            if (page_is_full(call, written, limit))
                return true;
            put_grant(call, chunk[i]);
            *position = chunk[i]->serial;
            written++;
        }
        if (n < CHUNK)
            return false;
        after = chunk[n - 1]->serial;
    }
}

static enum kms_status list(struct op_call *call, struct bytes identity, struct kms_error *reterr)
{
    size_t   limit = call->in.limit.set ? (size_t)call->in.limit.v : LIST_DEFAULT;
    uint64_t position = 0;

    TRY(op_marker_read(call, &position, reterr));
    json_open_array(call->answer, "Grants");
    bool more = put_grants(call, identity, &position, limit);

    json_close_array(call->answer);
    return op_marker_write(call, more, position, reterr);
}

/* --- ListGrants ------------------------------------------------------------------------------- */

/* Whose grants are asked for; empty: everybody's. */
static enum kms_status wanted_grantee(const struct op_call *call, struct buf *ret,
                                      struct kms_error *reterr)
{
    if (call->in.grantee_service.ptr != NULL) {
        buf_add(ret, call->in.grantee_service);
        return KMS_OK;
    }
    if (call->in.grantee_principal.ptr == NULL)
        return KMS_OK;
    return op_grant_principal(call, call->in.grantee_principal,
                              "Input does not refer to a valid principal", ret, reterr);
}

enum kms_status op_list_grants_begin(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf unused = BUF_INIT(GRANT_PRINCIPAL_MAX);

    if (call->in.grantee_service.ptr != NULL && call->in.grantee_principal.ptr != NULL)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "GranteePrincipal and GranteeServicePrincipal cannot both be specified");
    if (call->in.grant_id.ptr != NULL)
        TRY(op_check_grant_id(call->in.grant_id, reterr));
    return wanted_grantee(call, &unused, reterr);
}

/* The one grant, if it is there and to the grantee that was asked for. */
static enum kms_status list_one(struct op_call *call, struct bytes grantee,
                                struct kms_error *reterr)
{
    const struct grant_record *g = op_find_grant(call);

    json_open_array(call->answer, "Grants");
    if (g != NULL && (grantee.len == 0 || bytes_eq(g->grantee, grantee)))
        put_grant(call, g);
    json_close_array(call->answer);
    return op_marker_write(call, false, 0, reterr);
}

enum kms_status op_list_grants_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf grantee = BUF_INIT(GRANT_PRINCIPAL_MAX);

    TRY(wanted_grantee(call, &grantee, reterr));
    if (call->in.grant_id.ptr != NULL)
        return list_one(call, buf_bytes(&grantee), reterr);
    return list(call, buf_bytes(&grantee), reterr);
}

/* --- ListRetirableGrants ---------------------------------------------------------------------- */

/* An unknown unique id is NotFoundException here (recorded-authz-multiregion 4.6 row 10). */
static enum kms_status wanted_retirer(const struct op_call *call, struct buf *ret,
                                      struct kms_error *reterr)
{
    struct bytes         text = call->in.retiring_principal;
    enum principal_found found = book_resolve_principal(call->env->identities, text, ret);

    if (found != FOUND && !bytes_starts(text, BYTES_LIT("arn:")))
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Retiring principal %.*s could not be found",
                          BYTES_FMT(text));
    buf_reset(ret);
    return op_grant_principal(call, text, "", ret, reterr);
}

/* The account that a principal belongs to: it stands in the ARN that names it. */
static bool in_account(const struct op_call *call, struct bytes identity)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(PRINCIPAL_TEXT);
    struct bytes                    part;

    book_principal_text(call->env->identities, identity, &text);
    struct bytes rest = buf_bytes(&text);

    for (int i = 0; i < 4; i++) { /* arn:aws:iam:: */
        if (!bytes_cut(&rest, ':', &part))
            return false;
    }
    return bytes_cut(&rest, ':', &part) && bytes_eq(part, call->account);
}

enum kms_status op_list_retirable_grants_begin(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf identity = BUF_INIT(GRANT_PRINCIPAL_MAX);

    TRY(wanted_retirer(call, &identity, reterr));
    if (in_account(call, buf_bytes(&identity)))
        return KMS_OK;
    return KMS_REFUSE(reterr, KMS_E_ARN, "ARN does not refer to a valid principal: %.*s",
                      BYTES_FMT(call->in.retiring_principal));
}

enum kms_status op_list_retirable_grants_finish(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf identity = BUF_INIT(GRANT_PRINCIPAL_MAX);

    TRY(wanted_retirer(call, &identity, reterr));
    return list(call, buf_bytes(&identity), reterr);
}
