/* audit/event.c - one request or service event as CloudTrail would write it (trust-model 5.1).
 *
 * Once per request, so no printf and no parsing. The event id comes first, before anything a client
 * has a hand in: whoever looks for an event by its id looks there and nowhere else.
 */
#include "audit/format.h"

#include <assert.h>

#include "base/encode.h"
#include "json/write.h"

enum { USER_AGENT_MAX = 256, EVENT_TYPICAL = 1536 };

#define SERVICE_NAME "AWS Internal" /* as CloudTrail names the service acting for itself */

static void put_text(struct json_writer *w, const char *name, struct bytes value)
{
    if (value.len > 0)
        json_put_string(w, name, value);
}

static void put_object(struct json_writer *w, const char *name, struct bytes json)
{
    if (json.len > 0)
        json_put_raw(w, name, json);
    else
        json_put_null(w, name);
}

static void put_identity(struct json_writer *w, const struct audit_event *e)
{
    json_open_object(w, "userIdentity");
    put_text(w, "type", e->principal_type);
    put_text(w, "principalId", e->principal_id);
    put_text(w, "arn", e->principal_arn);
    put_text(w, "accountId", e->account);
    put_text(w, "accessKeyId", e->access_key_id);
    if (e->principal_type.len == 0)
        json_put_str(w, "invokedBy", SERVICE_NAME);
    json_close_object(w);
}

/* The account field of an ARN; empty if there is none. */
static struct bytes arn_account(struct bytes arn)
{
    struct bytes field = { NULL, 0 };

    for (int i = 0; i < 5; i++) {
        if (!bytes_cut(&arn, ':', &field))
            return bytes_of(NULL, 0);
    }
    return field;
}

static void put_resources(struct json_writer *w, const struct audit_event *e)
{
    if (e->key_arns[0].len == 0 && e->key_arns[1].len == 0)
        return;
    json_open_array(w, "resources");
    for (size_t i = 0; i < 2; i++) {
        if (e->key_arns[i].len == 0)
            continue;
        json_open_object(w, NULL);
        put_text(w, "accountId", arn_account(e->key_arns[i]));
        json_put_str(w, "type", "AWS::KMS::Key");
        json_put_string(w, "ARN", e->key_arns[i]);
        json_close_object(w);
    }
    json_close_array(w);
}

/* At most `max` bytes, not cutting a UTF-8 sequence in two. */
static struct bytes shortened(struct bytes text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && (text.ptr[max] & 0xc0) == 0x80)
        max--;
    return bytes_of(text.ptr, max);
}

static void put_origin(struct json_writer *w, const struct audit_event *e)
{
    const char *internal = e->principal_type.len == 0 ? SERVICE_NAME : "";

    json_put_str(w, "sourceIPAddress", e->source_ip != NULL ? e->source_ip : internal);
    if (e->user_agent.len > 0)
        json_put_string(w, "userAgent", shortened(e->user_agent, USER_AGENT_MAX));
    else
        json_put_str(w, "userAgent", internal);
}

void audit_event_write(struct buf *out, const struct audit_event *e)
{
    struct json_writer w;
    bool service = e->event_type != NULL && strcmp(e->event_type, "AwsServiceEvent") == 0;

    assert(e->event_id[UUID_TEXT - 1] != '\0' && e->event_id[UUID_TEXT] == '\0');
    size_t room = out->limit - out->len;
    if (!buf_reserve(out, room < EVENT_TYPICAL ? room : EVENT_TYPICAL))
        return;
    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "eventVersion", "1.11");
    json_put_string(&w, "eventID", bytes_of(e->event_id, UUID_TEXT));
    put_identity(&w, e);
    json_put_date(&w, "eventTime", e->time);
    json_put_str(&w, "eventSource", e->source != NULL ? e->source : "kms.amazonaws.com");
    json_put_str(&w, "eventName", e->event_name);
    put_text(&w, "awsRegion", e->region);
    put_origin(&w, e);
    if (e->error_code != NULL)
        json_put_str(&w, "errorCode", e->error_code);
    put_text(&w, "errorMessage", e->error_message);
    put_object(&w, "requestParameters", e->request_parameters);
    put_object(&w, "responseElements", e->response_elements);
    if (e->additional.len > 0)
        json_put_raw(&w, service ? "serviceEventDetails" : "additionalEventData", e->additional);
    if (e->request_id != NULL)
        json_put_str(&w, "requestID", e->request_id);
    json_put_bool(&w, "readOnly", e->read_only);
    put_resources(&w, e);
    json_put_str(&w, "eventType", service ? "AwsServiceEvent" : "AwsApiCall");
    json_put_bool(&w, "managementEvent", true);
    put_text(&w, "recipientAccountId", e->account);
    if (e->tls_version != NULL) {
        json_open_object(&w, "tlsDetails");
        json_put_str(&w, "tlsVersion", e->tls_version);
        put_text(&w, "cipherSuite", bytes_str(e->tls_cipher));
        json_close_object(&w);
    }
    json_put_int(&w, "eventTimeMs", e->time);
    if (e->commit != 0)
        audit_event_commit(out, e->commit);
}

void audit_event_commit(struct buf *event, uint64_t commit)
{
    buf_add(event, BYTES_LIT(",\"commit\":"));
    buf_add_decimal(event, commit);
}
