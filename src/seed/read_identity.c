/* seed/read_identity.c - the accounts of a seed, and their policies, users, roles and access keys.
 *
 * Each becomes the calls of IAM that would make it - CreateUser, PutUserPolicy, AttachUserPolicy, ... -
 * as forms, which the rows of those operations check.
 */
#include <stdio.h>

#include "seed/internal.h"

enum { FORM_MAX = 1024 * 1024, SECRET_MAX = 128, ACCESS_KEY_ID_MIN = 3, ACCESS_KEY_ID_MAX = 128 };

/* --- forms ------------------------------------------------------------------------------------ */

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
}

static void add_encoded(struct buf *form, struct bytes text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_plain(c)) {
            buf_add_byte(form, c);
            continue;
        }
        buf_add_byte(form, '%');
        buf_add_byte(form, (uint8_t)digits[c >> 4]);
        buf_add_byte(form, (uint8_t)digits[c & 15]);
    }
}

/* Nothing for a member that is not there. */
static void add_param(struct buf *form, const char *name, struct bytes value)
{
    if (value.ptr == NULL)
        return;
    if (form->len > 0)
        buf_add_byte(form, '&');
    buf_add_str(form, name);
    buf_add_byte(form, '=');
    add_encoded(form, value);
}

/* Strings and whole numbers go as they are. */
static enum kms_status add_member(struct reader *r, const struct place *at, struct json object,
                                  const char *name, struct buf *form)
{
    struct place place;
    struct json  v = reader_member(at, object, name, &place);
    int64_t      number = 0;
    struct bytes text = { NULL, 0 };

    if (json_type(v) == JSON_INT && json_int(v, &number)) {
        char decimal[24];
        (void)snprintf(decimal, sizeof decimal, "%lld", (long long)number);
        add_param(form, name, bytes_str(decimal));
        return KMS_OK;
    }
    TRY(reader_string(r, at, object, name, NULL, &text));
    add_param(form, name, text);
    return KMS_OK;
}

static enum kms_status add_document(struct reader *r, const struct place *at, struct json object,
                                    const char *name, struct buf *form)
{
    struct place place;
    struct bytes text = { NULL, 0 };
    struct json  v = reader_member(at, object, name, &place);

    if (v.node != NULL)
        TRY(reader_document(r, &place, v, &text));
    add_param(form, name, text);
    return KMS_OK;
}

static const char *const tag_members[] = { "Key", "Value", NULL };

static enum kms_status add_tags(struct reader *r, const struct place *at, struct json object,
                                struct buf *form)
{
    struct place place;
    struct json  tag;
    struct json  list = reader_member(at, object, "Tags", &place);

    if (list.node != NULL && json_type(list) != JSON_ARRAY)
        return reader_refuse(r, &place, "this must be a list of { \"Key\": ..., \"Value\": ... }");
    struct place element = { .up = &place, .index = 0 };

    for (struct json_iter it = json_iterate(list); json_next(&it, NULL, &tag); element.index++) {
        element.near = json_near(tag);
        TRY(reader_object(r, &element, tag, tag_members));
        for (size_t i = 0; i < 2; i++) {
            struct bytes text = { NULL, 0 };
            char         name[64];
            TRY(reader_string(r, &element, tag, tag_members[i], "tags have Key and Value", &text));
            (void)snprintf(name, sizeof name, "Tags.member.%zu.%s", element.index + 1,
                           tag_members[i]);
            add_param(form, name, text);
        }
    }
    return KMS_OK;
}

/* The form becomes a call of this action, which its row checks: everything but what depends on what is
 * there. `object` is where the members stand that it may complain about. */
static enum kms_status add_call(struct reader *r, const struct place *at, struct json object,
                                const char *action, const struct buf *form, bool makes)
{
    struct seed_item *item = reader_add(r, SEED_CALL, at);
    struct bytes      copy;

    item->makes = makes;
    item->op = iam_find(BYTES_LIT("iam"), bytes_str(action));
    if (!buf_ok(form))
        return reader_refuse(r, at, "this is too long");
    copy = arena_copy(r->seed->arena, buf_bytes(form));
    if (form_parse((uint8_t *)(uintptr_t)copy.ptr, copy.len, &item->form, r->reterr) != KMS_OK)
        return reader_blame(r, at, object);
    struct op_call call = seed_call_of(item);

    if (item->op->prepare(&call, r->reterr) != KMS_OK)
        return reader_blame(r, at, object);
    return KMS_OK;
}

struct op_call seed_call_of(const struct seed_item *item)
{
    return (struct op_call){
        .op = item->op,
        .in = item->in,
        .account = item->account,
        .region = item->region,
        .form = &item->form,
    };
}

/* --- what users and roles have ---------------------------------------------------------------- */

static const char *name_member(enum identity_kind kind)
{
    static const char *const names[IDENTITY_KIND_COUNT] = { "UserName", "RoleName", "PolicyName" };

    return names[kind];
}

static const char *const inline_members[] = { "PolicyName", "PolicyDocument", NULL };

static enum kms_status read_inline(struct reader *r, const struct place *at, struct json v)
{
    CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);
    bool                            user = r->identity == IDENTITY_USER;

    TRY(reader_object(r, at, v, inline_members));
    add_param(&form, name_member(r->identity), r->name);
    TRY(add_member(r, at, v, "PolicyName", &form));
    TRY(add_document(r, at, v, "PolicyDocument", &form));
    return add_call(r, at, v, user ? "PutUserPolicy" : "PutRolePolicy", &form, false);
}

static enum kms_status read_attached(struct reader *r, const struct place *at, struct json v)
{
    CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);
    bool                            user = r->identity == IDENTITY_USER;

    if (json_type(v) != JSON_STRING)
        return reader_refuse(r, at, "this must be the ARN of a managed policy");
    add_param(&form, name_member(r->identity), r->name);
    add_param(&form, "PolicyArn", json_string(v));
    return add_call(r, at, v, user ? "AttachUserPolicy" : "AttachRolePolicy", &form, false);
}

static bool is_access_key_id(struct bytes id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (!is_plain(id.ptr[i]) && id.ptr[i] != '_' && id.ptr[i] != '-')
            return false;
    }
    return id.len >= ACCESS_KEY_ID_MIN && id.len <= ACCESS_KEY_ID_MAX;
}

static const char *const access_key_members[] = { "AccessKeyId", "SecretAccessKey", "Status",
                                                  NULL };

static enum kms_status read_access_key(struct reader *r, const struct place *at, struct json v)
{
    struct seed_access_key k = { .active = true };
    struct bytes           status = { NULL, 0 };
    struct place           place;

    TRY(reader_object(r, at, v, access_key_members));
    TRY(reader_string(r, at, v, "AccessKeyId", "what the client signs with", &k.id));
    TRY(reader_string(r, at, v, "SecretAccessKey", "what the client signs with", &k.secret));
    TRY(reader_string(r, at, v, "Status", NULL, &status));
    if (!is_access_key_id(k.id)) {
        (void)reader_member(at, v, "AccessKeyId", &place);
        return reader_refuse(r, &place,
                             "an access key id has %d to %d letters, digits, '_', '-' "
                             "and '.'",
                             ACCESS_KEY_ID_MIN, ACCESS_KEY_ID_MAX);
    }
    if (k.secret.len == 0 || k.secret.len > SECRET_MAX) {
        (void)reader_member(at, v, "SecretAccessKey", &place);
        return reader_refuse(r, &place, "a secret has 1 to %d bytes", SECRET_MAX);
    }
    if (status.ptr != NULL && !bytes_eq_str(status, "Active") &&
        !bytes_eq_str(status, "Inactive")) {
        (void)reader_member(at, v, "Status", &place);
        return reader_refuse(r, &place, "this must be Active or Inactive");
    }
    k.active = !bytes_eq_str(status, "Inactive");
    reader_add(r, SEED_ACCESS_KEY, at)->access_key = k;
    return KMS_OK;
}

/* --- identities ------------------------------------------------------------------------------- */

/* The name is what calls after the first one name it by. */
static enum kms_status begin_identity(struct reader *r, const struct place *at, struct json v,
                                      enum identity_kind kind, const char *const *members,
                                      struct buf *form)
{
    TRY(reader_object(r, at, v, members));
    r->identity = kind;
    TRY(reader_string(r, at, v, name_member(kind), "how is it called?", &r->name));
    add_param(form, name_member(kind), r->name);
    TRY(add_member(r, at, v, "Path", form));
    TRY(add_member(r, at, v, "Description", form));
    TRY(add_member(r, at, v, "PermissionsBoundary", form));
    TRY(add_member(r, at, v, "MaxSessionDuration", form));
    return add_tags(r, at, v, form);
}

static const char *const policy_members[] = { "PolicyName",     "Path", "Description",
                                              "PolicyDocument", "Tags", NULL };

static enum kms_status read_policy(struct reader *r, const struct place *at, struct json v)
{
    CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);

    TRY(begin_identity(r, at, v, IDENTITY_POLICY, policy_members, &form));
    TRY(add_document(r, at, v, "PolicyDocument", &form));
    return add_call(r, at, v, "CreatePolicy", &form, true);
}

static const char *const user_members[] = { "UserName",       "Path",
                                            "Tags",           "PermissionsBoundary",
                                            "InlinePolicies", "AttachedPolicies",
                                            "AccessKeys",     NULL };

static enum kms_status read_user(struct reader *r, const struct place *at, struct json v)
{
    CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);

    TRY(begin_identity(r, at, v, IDENTITY_USER, user_members, &form));
    TRY(add_call(r, at, v, "CreateUser", &form, true));
    TRY(reader_each(r, at, v, "InlinePolicies", read_inline));
    TRY(reader_each(r, at, v, "AttachedPolicies", read_attached));
    return reader_each(r, at, v, "AccessKeys", read_access_key);
}

static const char *const role_members[] = {
    "RoleName",           "Path", "AssumeRolePolicyDocument", "Description",
    "MaxSessionDuration", "Tags", "PermissionsBoundary",      "InlinePolicies",
    "AttachedPolicies",   NULL,
};

static enum kms_status read_role(struct reader *r, const struct place *at, struct json v)
{
    CLEANUP(buf_release) struct buf form = BUF_INIT(FORM_MAX);

    TRY(begin_identity(r, at, v, IDENTITY_ROLE, role_members, &form));
    TRY(add_document(r, at, v, "AssumeRolePolicyDocument", &form));
    TRY(add_call(r, at, v, "CreateRole", &form, true));
    TRY(reader_each(r, at, v, "InlinePolicies", read_inline));
    return reader_each(r, at, v, "AttachedPolicies", read_attached);
}

/* --- accounts --------------------------------------------------------------------------------- */

static const char *const account_members[] = { "AccountId", "Name",  "AccessKeys", "Policies",
                                               "Users",     "Roles", NULL };

enum kms_status read_account(struct reader *r, const struct place *at, struct json v)
{
    const struct bytes outer = r->account;
    const struct bytes nobody = { NULL, 0 };
    struct bytes       name = nobody;
    struct place       place;

    TRY(reader_object(r, at, v, account_members));
    TRY(reader_account(r, at, v));
    TRY(reader_string(r, at, v, "Name", NULL, &name));
    if (name.len >= sizeof((struct account_record *)NULL)->name) {
        (void)reader_member(at, v, "Name", &place);
        return reader_refuse(r, &place, "an account's name has at most 50 bytes");
    }
    r->name = name;
    (void)reader_add(r, SEED_ACCOUNT, at);
    r->name = nobody;
    TRY(reader_each(r, at, v, "AccessKeys", read_access_key));
    TRY(reader_each(r, at, v, "Policies", read_policy));
    TRY(reader_each(r, at, v, "Users", read_user));
    TRY(reader_each(r, at, v, "Roles", read_role));
    r->account = outer;
    r->name = nobody;
    return KMS_OK;
}
