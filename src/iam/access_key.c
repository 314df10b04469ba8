/* iam/access_key.c - CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey,
 * GetAccessKeyLastUsed: of users, and of the root user of the account.
 *
 * A secret access key is shown by the answer that makes it, and after that only the vault can use it.
 */
#include "iam/handlers.h"

#include <stdlib.h>

#include "crypto/crypto.h"

enum { ID_RANDOM = 16, WRAPPED_MAX = 512 };

#define ACCESS_KEY_ID                                                                              \
    { .name = "AccessKeyId", .type = IAM_STRING, .flags = IAM_REQUIRED, .min = 16, .max = 128,     \
      IAM_PATTERN("[\\w]+", iam_is_word) }

static const char *const statuses[] = { "Active", "Inactive", "Expired", NULL };

const struct iam_param iam_list_access_keys_params[] = {
    IAM_USER_NAME_OR_CALLER,
    IAM_PAGE,
    IAM_END,
};
const struct iam_param iam_update_access_key_params[] = {
    IAM_USER_NAME_OR_CALLER,
    ACCESS_KEY_ID,
    { .name = "Status", .type = IAM_STRING, .flags = IAM_REQUIRED, .values = statuses },
    IAM_END,
};
const struct iam_param iam_delete_access_key_params[] = {
    IAM_USER_NAME_OR_CALLER,
    ACCESS_KEY_ID,
    IAM_END,
};
const struct iam_param iam_access_key_params[] = { ACCESS_KEY_ID, IAM_END };

/* Whose keys the request is about: unique id of the user, or the account. */
static struct bytes owner_of(const struct op_call *call)
{
    return call->identity != NULL ? call->identity->unique_id : call->account;
}

/* Names of users only: root users have none. */
static void put_owner(struct op_call *call)
{
    if (call->identity != NULL)
        xml_put(call->xml, "UserName", call->identity->name);
}

static void put_key(struct op_call *call, const struct access_key_record *k)
{
    put_owner(call);
    xml_put(call->xml, "AccessKeyId", k->id);
    xml_put_str(call->xml, "Status", k->active ? "Active" : "Inactive");
    xml_put_time(call->xml, "CreateDate", k->created);
}

/* The owner's versions go on with each change of its keys: of two requests for the last place one runs
 * again, and a user whose key is being made is not deleted. */
static void hold_owner(struct op_call *call)
{
    if (call->identity != NULL)
        iam_hold(call, call->identity);
    else
        iam_hold_account(call);
}

/* --- making ----------------------------------------------------------------------------------- */

static struct bytes new_id(struct arena *arena, const char prefix[4])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t           text[4 + ID_RANDOM];

    memcpy(text, prefix, 4);
    crypto_random(text + 4, ID_RANDOM);
    for (size_t i = 4; i < sizeof text; i++)
        text[i] = (uint8_t)alphabet[text[i] % 32];
    return arena_copy(arena, bytes_of(text, sizeof text));
}

enum kms_status iam_new_access_key(struct op_call *call, const char prefix[4],
                                   struct bytes principal_id, struct buf *ret_secret,
                                   struct access_key_record **ret, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    struct access_key_record       *k = access_key_record_new();

    if (k == NULL) /* as arenas do: half a change must not exist */
        abort();
    change_add(call->change, ROW_ACCESS_KEY_INSERT)->access_key = k;
    k->id = new_id(k->arena, prefix);
    k->account = arena_copy(k->arena, call->account);
    k->principal_id = arena_copy(k->arena, principal_id);
    k->active = true;
    k->created = call->now;
    k->version = 1;
    TRY(vault_new_secret_key(call->env->vault, k->id, ret_secret, &wrapped, reterr));
    k->wrapped_secret = arena_copy(k->arena, buf_bytes(&wrapped));
    *ret = k;
    return KMS_OK;
}

enum kms_status iam_create_access_key(struct op_call *call, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf secret = BUF_INIT(SECRET_KEY_LEN);
    const struct access_key_record *keys[IAM_KEYS_PER_USER];
    struct access_key_record       *k = NULL;

    if (book_list_access_keys(call->env->identities, owner_of(call), keys, IAM_KEYS_PER_USER) ==
        IAM_KEYS_PER_USER)
        return KMS_REFUSE(reterr, KMS_E_LIMIT, "Cannot exceed quota for AccessKeysPerUser: %d",
                          IAM_KEYS_PER_USER);
    TRY(iam_new_access_key(call, "AKIA", owner_of(call), &secret, &k, reterr));
    k->root = call->identity == NULL;
    hold_owner(call);

    xml_open(call->xml, "AccessKey");
    put_key(call, k);
    xml_put(call->xml, "SecretAccessKey", buf_bytes(&secret));
    xml_close(call->xml);
    return KMS_OK;
}

/* --- the others ------------------------------------------------------------------------------- */

enum kms_status iam_list_access_keys(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *keys[LIMIT_LIST_ITEMS];
    size_t                          from = 0;
    size_t                          to = 0;
    size_t n = book_list_access_keys(call->env->identities, owner_of(call), keys, ARRAY_LEN(keys));

    TRY(iam_slice(call, n, &from, &to, reterr));
    put_owner(call);
    xml_open(call->xml, "AccessKeyMetadata");
    for (size_t i = from; i < to; i++) {
        xml_open(call->xml, "member");
        put_key(call, keys[i]);
        xml_close(call->xml);
    }
    xml_close(call->xml);
    return iam_slice_end(call, n, to, reterr);
}

/* The long-term key of this owner that the request names. */
static enum kms_status find_key(struct op_call *call, const struct access_key_record **ret,
                                struct kms_error *reterr)
{
    struct bytes                    id = iam_arg(call, "AccessKeyId");
    const struct access_key_record *k = book_access_key(call->env->identities, id);

    if (k == NULL || k->session.kind != SESSION_NONE || !bytes_eq(k->account, call->account) ||
        !bytes_eq(k->principal_id, owner_of(call)))
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "The Access Key with id %.*s cannot be found.",
                          BYTES_FMT(id));
    *ret = k;
    return KMS_OK;
}

static struct access_key_record *clone_of(const struct access_key_record *k)
{
    struct access_key_record *edit = access_key_record_clone(k);

    if (edit == NULL)
        abort();
    return edit;
}

enum kms_status iam_update_access_key(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *k = NULL;
    struct bytes                    status = iam_arg(call, "Status");

    TRY(find_key(call, &k, reterr));
    if (bytes_eq_str(status, "Expired")) /* IAM says it of keys of its own making */
        return KMS_REFUSE(reterr, KMS_E_INPUT,
                          "The status of an access key cannot be set to "
                          "Expired.");
    struct access_key_record *edit = clone_of(k);

    edit->active = bytes_eq_str(status, "Active");
    edit->version = k->version + 1;
    change_add(call->change, ROW_ACCESS_KEY_UPDATE)->access_key = edit;
    return KMS_OK;
}

enum kms_status iam_delete_access_key(struct op_call *call, struct kms_error *reterr)
{
    const struct access_key_record *k = NULL;

    TRY(find_key(call, &k, reterr));
    struct row *row = change_add(call->change, ROW_ACCESS_KEY_DELETE);

    row->access_key = clone_of(k);
    row->expected_version = k->version;
    return KMS_OK;
}

enum kms_status iam_get_access_key_last_used(struct op_call *call, struct kms_error *reterr)
{
    static const char *const services[USED_SERVICE_COUNT] = { "N/A", "kms", "iam", "sts" };
    struct access_key_use    use = { .service = USED_NONE };
    bool used = book_last_used(call->env->identities, iam_arg(call, "AccessKeyId"), &use);

    (void)reterr;
    put_owner(call);
    xml_open(call->xml, "AccessKeyLastUsed");
    if (used)
        xml_put_time(call->xml, "LastUsedDate", use.at);
    xml_put_str(call->xml, "ServiceName", services[used ? use.service : USED_NONE]);
    xml_put_str(call->xml, "Region", used ? use.region : "N/A");
    xml_close(call->xml);
    return KMS_OK;
}
