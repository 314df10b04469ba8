/* request_caller.c - who asks: the signature, the caller behind it, and how often it may ask. */
#include "request_internal.h"

#include "sigv4/sigv4.h"

/* What is taken away takes effect at once: whoever goes on after its epoch section was left is
 * looked up again (identity/caller.h). */
enum kms_status request_caller_again(struct request *rq)
{
    struct caller *c = &rq->caller;
    struct bytes   id = bytes_str(c->access_key_id);

    if (rq->call.caller == NULL || rq->caller_fresh)
        return KMS_OK;
    char copy[ACCESS_KEY_ID_MAX + 1];
    memcpy(copy, id.ptr, id.len);
    if (!caller_find(rq->server->parts.identities, bytes_of(copy, id.len), rq->call.now, c))
        return KMS_REFUSE(&rq->error, KMS_E_UNKNOWN_CLIENT,
                          "The security token included in the request is invalid.");
    rq->call.account = c->authz.as.account;
    rq->call.caller_arn = c->arn_view;
    rq->caller_fresh = true;
    rq->has_policies = false;
    return KMS_OK;
}

const struct authz_caller *request_rights(struct request *rq)
{
    if (!rq->has_policies)
        caller_policies(rq->server->parts.identities, &rq->caller);
    rq->has_policies = true;
    return &rq->caller.authz;
}

/* --- the signature ---------------------------------------------------------------------------- */

static enum kms_status signature_mac(void *ctx, const struct sigv4_auth *auth,
                                     struct bytes string_to_sign, uint8_t ret[32],
                                     struct sigv4_key *ret_key, struct kms_error *reterr)
{
    struct request            *rq = ctx;
    const struct server_parts *parts = &rq->server->parts;
    struct sigv4_scope_text    scope = { auth->date, auth->region, auth->service };
    struct bytes               id = { NULL, 0 };
    struct bytes               secret = { NULL, 0 };

    /* that a session has ended is said to those only who can sign with it */
    ret_key->known = caller_find(parts->identities, auth->access_key_id, INT64_MIN, &rq->caller);
    if (ret_key->known) {
        const struct access_key_record *key = rq->caller.key;
        id = key->id;
        secret = key->wrapped_secret;
        ret_key->temporary = key->session.kind != SESSION_NONE;
        ret_key->expired = ret_key->temporary && key->session.expires <= rq->call.now;
        memcpy(ret_key->token_hash, key->session.token_hash, sizeof ret_key->token_hash);
    }
    return vault_sigv4_mac(parts->vault, id, secret, &scope, string_to_sign, ret, reterr);
}

/* The global services are asked for in us-east-1, whatever Region the keys are in. */
static bool region_answered(void *ctx, const struct sigv4_auth *auth)
{
    struct request *rq = ctx;

    rq->service = query_service(auth->service);
    return (rq->service != NULL && bytes_eq(auth->region, BYTES_LIT(GLOBAL_REGION))) ||
           server_answers_for(rq->server, rq->loop, auth->region);
}

static enum kms_status check_signature(struct request *rq)
{
    static const char *const services[] = { "kms", "iam", "sts", NULL };
    const struct sigv4_hooks hooks = { rq, signature_mac, region_answered };
    int64_t                  wall_ms = clock_wall_ms();
    struct sigv4_caller      signer;

    request_time(rq, wall_ms);
    /* until the credential scope has told: forms are of the Query protocol */
    if (form_content_type(request_header(&rq->ex->in, BYTES_LIT("content-type"))))
        rq->service = query_service(BYTES_LIT("sts"));
    enum kms_status status = sigv4_verify(&rq->ex->in, services, wall_ms, &hooks, &rq->scratch,
                                          &signer, &rq->error);
    if (status == KMS_E_MISSING_AUTH && rq->service != NULL) {
        rq->region = BYTES_LIT(GLOBAL_REGION);
        return KMS_OK; /* it may bring its own proof: its row will say (request_query.c) */
    }
    TRY(status);
    rq->region = signer.region;
    rq->target = signer.target;
    rq->authenticated = true;
    rq->ex->authenticated = true;
    rq->caller_fresh = true;
    rq->call.caller = &rq->caller;
    return KMS_OK;
}

enum kms_status request_too_often(struct kms_error *reterr)
{
    return KMS_REFUSE(reterr, KMS_E_THROTTLED,
                      "You have exceeded the rate at which you may call KMS. Reduce the frequency "
                      "of your calls.");
}

/* Who guesses signatures is refused before any more are computed. */
enum kms_status request_signature(struct request *rq)
{
    if (throttle_source_blocked(rq->server->parts.throttle, rq->ex->network, rq->ex->received_ns))
        return request_too_often(&rq->error);
    return check_signature(rq);
}

/* Sessions count for their role: who may make them chooses their names. */
static struct bytes rated_as(const struct caller *c)
{
    struct bytes rest = c->unique_id_view;
    struct bytes role;

    return bytes_cut(&rest, ':', &role) ? role : c->unique_id_view;
}

enum kms_status request_rate(struct request *rq)
{
    const struct caller *c = rq->call.caller;

    if (c == NULL || throttle_request(rq->server->parts.throttle, c->authz.as.account, rated_as(c),
                                      rq->ex->received_ns))
        return KMS_OK;
    return request_too_often(&rq->error);
}

/* Whose proof was good may send it again and again: that counts for the role it is good for. */
enum kms_status request_rate_unsigned(struct request *rq)
{
    const struct identity_record *role = rq->call.identity;

    if (rq->call.caller != NULL || role == NULL ||
        throttle_request(rq->server->parts.throttle, role->account, role->unique_id,
                         rq->ex->received_ns))
        return KMS_OK;
    return request_too_often(&rq->error);
}
