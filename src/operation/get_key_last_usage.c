/* operation/get_key_last_usage.c - GetKeyLastUsage: what a key was last used for (kms-behaviour
 * 15.1). */
#include "base/encode.h"
#include "key/last_use.h"
#include "operation/handlers.h"

// clang-format off
const struct shape_member op_get_key_last_usage_shape[] = {
    SHAPE_KEY("KeyId", key_id, SHAPE_REQUIRED),
    SHAPE_END,
};
// clang-format on

static void put_uuid(struct json_writer *w, const char *name, const uint8_t uuid[16])
{
    char text[UUID_TEXT];

    uuid_write(text, uuid);
    json_put_string(w, name, bytes_of(text, sizeof text));
}

/* Of a key that was never used: an empty object, as the API model says. */
static void put_use(struct json_writer *w, const struct key_usage_mark *use)
{
    json_open_object(w, "KeyLastUsage");
    if (use->operation == TRACKED_NONE) {
        json_close_object(w);
        return;
    }
    json_put_str(w, "Operation", tracked_operation_name(use->operation));
    json_put_time(w, "Timestamp", use->at);
    put_uuid(w, "CloudTrailEventId", use->event_id);
    put_uuid(w, "KmsRequestId", use->request_id);
    json_close_object(w);
}

enum kms_status op_get_key_last_usage_finish(struct op_call *call, struct kms_error *reterr)
{
    const struct key_record *key = call->key;
    struct key_usage_record  usage;

    if (!directory_last_usage(call->env->directory, &key->name, &usage)) {
        /* gone or cold since the request found it */
        if (op_key(call, key->name.account, key->name.region, key->name.id) != NULL)
            return KMS_FAIL(reterr, KMS_E_CHANGED, "the key was loaded again");
        return KMS_REFUSE(reterr, KMS_E_NOT_FOUND, "Key '%.*s' does not exist",
                          BYTES_FMT(key->name.arn));
    }
    json_put_string(call->answer, "KeyId", key->name.arn);
    put_use(call->answer, &usage.last);
    json_put_time(call->answer, "TrackingStartDate",
                  usage.since > key->created ? usage.since : key->created);
    json_put_time(call->answer, "KeyCreationDate", key->created);
    return KMS_OK;
}
