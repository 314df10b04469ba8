/* iam/sts_session.c - temporary credentials: an access key, a secret that the vault wraps, and a token
 * of which only the hash is kept.
 */
#include "iam/sts.h"

#include "authz/policy.h"
#include "base/encode.h"
#include "crypto/crypto.h"

static const struct bytes tag_list = { (const uint8_t *)"Tags", 4 };
static const struct bytes transitive_list = { (const uint8_t *)"TransitiveTagKeys", 17 };

/* --- session policies ----------------------------------------------------------------------------- */

/* PolicyArns.member.N.arn */
static size_t count_policy_arns(const struct form *form)
{
    size_t n = 0;

    while (n <= STS_POLICY_ARNS_MAX &&
           form_element(form, BYTES_LIT("PolicyArns"), n + 1, "arn").ptr != NULL)
        n++;
    return n;
}

static struct bytes policy_arn(const struct form *form, size_t i)
{
    return form_element(form, BYTES_LIT("PolicyArns"), i, "arn");
}

static enum kms_status check_policies(const struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(policy_freep) struct policy *p = NULL;
    struct bytes                         text = iam_arg(call, "Policy");
    struct bytes                         nobody = { NULL, 0 };
    size_t                               listed = 0;
    size_t                               n = count_policy_arns(call->form);

    TRY(form_list(call->form, BYTES_LIT("PolicyArns"), LIMIT_LIST_ITEMS, &listed, reterr));
    if (n > STS_POLICY_ARNS_MAX)
        return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                          "1 validation error detected: Value at 'policyArns' failed to satisfy "
                          "constraint: Member must have length less than or equal to %d",
                          STS_POLICY_ARNS_MAX);
    if (n != listed)
        return KMS_REFUSE(
            reterr, KMS_E_VALIDATION,
            "1 validation error detected: Value at 'policyArns.%zu.member.arn' failed "
            "to satisfy constraint: Member must not be null",
            n + 1);
    if (text.ptr == NULL)
        return KMS_OK;
    enum kms_status status = policy_compile(POLICY_SESSION, text, nobody, &p, reterr);
    if (status == KMS_E_POLICY && (reterr == NULL || reterr->message_len == 0))
        return KMS_REFUSE(reterr, KMS_E_POLICY, "Syntax errors in policy.");
    return status;
}

static void add_document(struct access_key_record *k, struct bytes name, struct bytes text)
{
    k->session.policies[k->session.n_policies++] = (struct identity_document){
        .name = arena_copy(k->arena, name),
        .text = arena_copy(k->arena, text),
        .created = k->created,
        .is_default = true,
    };
}

static enum kms_status add_policies(const struct op_call *call, struct access_key_record *k,
                                    struct kms_error *reterr)
{
    struct bytes text = iam_arg(call, "Policy");
    size_t       n = count_policy_arns(call->form);

    if (text.ptr == NULL && n == 0)
        return KMS_OK;
    k->session.policies = arena_alloc(k->arena, (n + 1) * sizeof *k->session.policies);
    if (text.ptr != NULL)
        add_document(k, (struct bytes){ NULL, 0 }, text);
    for (size_t i = 1; i <= n; i++) {
        struct bytes                  arn = policy_arn(call->form, i);
        const struct identity_record *r = book_identity_by_arn(call->env->identities, arn);
        if (r == NULL || r->kind != IDENTITY_POLICY ||
            (!iam_is_built_in(r) && !bytes_eq(r->account, k->account)))
            return KMS_REFUSE(reterr, KMS_E_POLICY, "Policy %.*s is not valid for this session.",
                              BYTES_FMT(arn));
        add_document(k, arn, (struct bytes){ NULL, 0 });
    }
    return KMS_OK;
}

/* --- session tags --------------------------------------------------------------------------------- */

static size_t count_tags(const struct form *form)
{
    size_t n = 0;

    while (n < LIMIT_TAGS && form_element(form, tag_list, n + 1, "Key").ptr != NULL)
        n++;
    return n;
}

/* Is the tag number `i` of the request one of TransitiveTagKeys? Keys have no case. */
static bool is_transitive(const struct form *form, size_t i)
{
    struct key_tag tag = { .key = form_element(form, tag_list, i, "Key") };
    struct bytes   key;

    for (size_t k = 1; (key = form_element(form, transitive_list, k, NULL)).ptr != NULL; k++) {
        if (iam_find_tag(&tag, 1, key) != NULL)
            return true;
    }
    return false;
}

static bool names_a_tag(const struct form *form, size_t n, struct bytes key)
{
    for (size_t i = 1; i <= n; i++) {
        struct key_tag tag = { .key = form_element(form, tag_list, i, "Key") };
        if (iam_find_tag(&tag, 1, key) != NULL)
            return true;
    }
    return false;
}

static enum kms_status check_tags(const struct op_call *call, struct kms_error *reterr)
{
    size_t       n = count_tags(call->form);
    struct bytes key;

    for (size_t i = 1; i <= n; i++) {
        key = form_element(call->form, tag_list, i, "Key");
        if (key.len >= 4 && (key.ptr[0] | 0x20) == 'a' && (key.ptr[1] | 0x20) == 'w' &&
            (key.ptr[2] | 0x20) == 's' && key.ptr[3] == ':')
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "System tags can not be provided by the requester.");
        if (names_a_tag(call->form, i - 1, key))
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "Duplicate tag keys found. Please note that Tag keys are case "
                              "insensitive.");
    }
    for (size_t i = 1; (key = form_element(call->form, transitive_list, i, NULL)).ptr != NULL;
         i++) {
        if (!names_a_tag(call->form, n, key))
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "The specified transitive tag key must be included in the requested "
                              "tags.");
    }
    return KMS_OK;
}

static void add_tag(struct access_key_record *k, struct bytes key, struct bytes value)
{
    k->session.tags[k->session.n_tags++] = (struct key_tag){ arena_copy(k->arena, key),
                                                             arena_copy(k->arena, value) };
}

/* Inherited ones first, then those of the request that go on, then the others. */
static enum kms_status add_tags(const struct op_call *call, const struct session *made_by,
                                struct access_key_record *k, struct kms_error *reterr)
{
    const struct form *form = call->form;
    size_t             inherited = made_by != NULL ? made_by->n_transitive : 0;
    size_t             n = count_tags(form);

    if (inherited + n == 0)
        return KMS_OK;
    k->session.tags = arena_alloc(k->arena, (inherited + n) * sizeof *k->session.tags);
    for (size_t i = 0; i < inherited; i++)
        add_tag(k, made_by->tags[i].key, made_by->tags[i].value);
    for (size_t i = 1; i <= n; i++) {
        struct bytes key = form_element(form, tag_list, i, "Key");
        if (iam_find_tag(k->session.tags, inherited, key) != NULL)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "The tag key %.*s is inherited and cannot be set again.",
                              BYTES_FMT(key));
        if (is_transitive(form, i))
            add_tag(k, key, form_element(form, tag_list, i, "Value"));
    }
    k->session.n_transitive = (uint32_t)k->session.n_tags;
    for (size_t i = 1; i <= n; i++) {
        if (!is_transitive(form, i))
            add_tag(k, form_element(form, tag_list, i, "Key"),
                    form_element(form, tag_list, i, "Value"));
    }
    if (k->session.n_tags > LIMIT_TAGS)
        return KMS_REFUSE(reterr, KMS_E_PACKED_POLICY,
                          "A session has at most %d tags, inherited ones included.", LIMIT_TAGS);
    return KMS_OK;
}

/* --- how much that is ------------------------------------------------------------------------------ */

/* In per cent of what there may be; -1: nothing. */
static int packed_size(const struct op_call *call, bool tags)
{
    const struct form *form = call->form;
    struct bytes       policy = iam_arg(call, "Policy");
    size_t             n_arns = count_policy_arns(form);
    size_t             n_tags = tags ? count_tags(form) : 0;
    size_t             bytes = policy.ptr != NULL ? iam_document_size(policy) : 0;

    for (size_t i = 1; i <= n_arns; i++)
        bytes += policy_arn(form, i).len;
    for (size_t i = 1; i <= n_tags; i++)
        bytes += form_element(form, tag_list, i, "Key").len +
                 form_element(form, tag_list, i, "Value").len;
    if (policy.ptr == NULL && n_arns + n_tags == 0)
        return -1;
    return (int)((bytes * 100 + STS_PACKED_MAX - 1) / STS_PACKED_MAX);
}

enum kms_status sts_check_session(struct op_call *call, bool tags, struct kms_error *reterr)
{
    TRY(check_policies(call, reterr));
    if (tags)
        TRY(check_tags(call, reterr));
    int packed = packed_size(call, tags);
    if (packed > 100)
        return KMS_REFUSE(
            reterr, KMS_E_PACKED_POLICY,
            "Packed policy consumes %d%% of allotted space, please use smaller policy.", packed);
    return KMS_OK;
}

/* --- the session ----------------------------------------------------------------------------------- */

static void put_credentials(struct op_call *call, const struct access_key_record *k,
                            struct bytes secret, struct bytes token)
{
    xml_open(call->xml, "Credentials");
    xml_put(call->xml, "AccessKeyId", k->id);
    xml_put(call->xml, "SecretAccessKey", secret);
    xml_put(call->xml, "SessionToken", token);
    xml_put_time(call->xml, "Expiration", k->session.expires);
    xml_close(call->xml);
}

/* 64 characters, since three bytes make four; the bytes are nowhere else. */
static void new_token(struct access_key_record *k, struct buf *ret_text)
{
    uint8_t random[STS_TOKEN_BYTES];

    crypto_random(random, sizeof random);
    base64_add(ret_text, bytes_of(random, sizeof random));
    explicit_bzero(random, sizeof random);
    crypto_sha256(buf_bytes(ret_text), k->session.token_hash);
}

static void fill_session(const struct op_call *call, const struct sts_wanted *wanted,
                         struct access_key_record *k)
{
    struct session *s = &k->session;

    k->account = arena_copy(k->arena, wanted->account);
    k->root = wanted->kind == SESSION_ROOT;
    s->kind = wanted->kind;
    s->name = arena_copy(k->arena, wanted->name);
    s->expires = (call->now / 1000 + wanted->duration_s) * 1000; /* as it is shown */
    s->source_identity = arena_copy(k->arena, wanted->source_identity);
    s->provider = arena_copy(k->arena, wanted->provider);
}

/* Which credentials were made, and for whom: what they do later is recorded under their id. */
static enum kms_status note_for_audit(struct op_call *call, const struct sts_wanted *wanted,
                                      const struct access_key_record *k, struct kms_error *reterr)
{
    struct buf        *scratch = op_scratch(call);
    size_t             start = scratch->len;
    struct json_writer w;

    json_writer_init(&w, scratch);
    json_open_object(&w, NULL);
    json_put_string(&w, "accessKeyId", k->id);
    json_put_date(&w, "expiration", k->session.expires);
    json_put_string(&w, "principalId", k->principal_id);
    if (wanted->provider.len > 0)
        json_put_string(&w, "identityProvider", wanted->provider);
    if (wanted->subject.len > 0)
        json_put_string(&w, "subjectFromWebIdentityToken", wanted->subject);
    json_close_object(&w);
    return op_scratch_since(call, start, &call->audit_extra, reterr);
}

enum kms_status sts_new_session(struct op_call *call, const struct sts_wanted *wanted,
                                int *ret_packed, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf secret = BUF_INIT(256);
    CLEANUP(buf_release) struct buf token = BUF_INIT(256);
    struct access_key_record       *k = NULL;

    if (book_sessions_of(call->env->identities, wanted->account) >= LIMIT_SESSIONS)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for SessionsPerAccount: %d",
                          LIMIT_SESSIONS);
    TRY(iam_new_access_key(call, "ASIA", wanted->principal_id, &secret, &k, reterr));
    fill_session(call, wanted, k);
    if (wanted->with_policies)
        TRY(add_policies(call, k, reterr));
    if (wanted->with_tags)
        TRY(add_tags(call, wanted->made_by, k, reterr));
    new_token(k, &token);
    if (!buf_ok(&secret) || !buf_ok(&token))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for credentials");
    put_credentials(call, k, buf_bytes(&secret), buf_bytes(&token));
    TRY(note_for_audit(call, wanted, k, reterr));
    *ret_packed = wanted->with_policies ? packed_size(call, wanted->with_tags) : -1;
    return KMS_OK;
}
