/* audit/event.c - one request or service event as CloudTrail would write it (trust-model 5.1).
 *
 * Once per request, so no printf and no parsing, and what stands between the values of a record is
 * copied in one piece with them. The event id comes first, before anything a client has a hand in:
 * whoever looks for an event by its id looks there and nowhere else.
 */
#include "audit/format.h"

#include <assert.h>

#include "base/encode.h"
#include "json/write.h"

enum { USER_AGENT_MAX = 256, EVENT_TYPICAL = 1536 };

#define SERVICE_NAME "AWS Internal" /* as CloudTrail names the service acting for itself */

/* A member that is there if it has a value; `name` has its comma. Inline, so that a literal is copied without a
 * call. */
__attribute__((always_inline)) static inline void put_text(struct buf *out, struct bytes name,
                                                           struct bytes value)
{
    if (value.len > 0)
        json_append_string(out, name, value);
}

/* What was written from `at` on are the members of an object: the comma of the first becomes its brace. */
static void end_object(struct buf *out, size_t at)
{
    if (out->len > at)
        out->ptr[at] = '{';
    else
        buf_add_byte(out, '{');
    buf_add_byte(out, '}');
}

static void put_object(struct buf *out, struct bytes name, struct bytes json)
{
    buf_add(out, name);
    buf_add(out, json.len > 0 ? json : BYTES_LIT("null"));
}

static void put_identity(struct buf *out, const struct audit_event *e)
{
    buf_add(out, BYTES_LIT("\",\"userIdentity\":"));
    size_t at = out->len;
    put_text(out, BYTES_LIT(",\"type\":"), e->principal_type);
    put_text(out, BYTES_LIT(",\"principalId\":"), e->principal_id);
    put_text(out, BYTES_LIT(",\"arn\":"), e->principal_arn);
    put_text(out, BYTES_LIT(",\"accountId\":"), e->account);
    put_text(out, BYTES_LIT(",\"accessKeyId\":"), e->access_key_id);
    if (e->principal_type.len == 0)
        put_text(out, BYTES_LIT(",\"invokedBy\":"), BYTES_LIT(SERVICE_NAME));
    end_object(out, at);
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

static void put_resources(struct buf *out, const struct audit_event *e)
{
    struct bytes before = BYTES_LIT(",\"resources\":[");

    for (size_t i = 0; i < 2; i++) {
        if (e->key_arns[i].len == 0)
            continue;
        buf_add(out, before);
        size_t at = out->len;
        put_text(out, BYTES_LIT(",\"accountId\":"), arn_account(e->key_arns[i]));
        put_text(out, BYTES_LIT(",\"type\":"), BYTES_LIT("AWS::KMS::Key"));
        json_append_string(out, BYTES_LIT(",\"ARN\":"), e->key_arns[i]);
        end_object(out, at);
        before = BYTES_LIT(",");
    }
    if (e->key_arns[0].len > 0 || e->key_arns[1].len > 0)
        buf_add_byte(out, ']');
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

static void put_origin(struct buf *out, const struct audit_event *e)
{
    struct bytes internal = e->principal_type.len == 0 ? BYTES_LIT(SERVICE_NAME) : BYTES_LIT("");
    struct bytes agent = shortened(e->user_agent, USER_AGENT_MAX);

    json_append_string(out, BYTES_LIT(",\"sourceIPAddress\":"),
                       e->source_ip != NULL ? bytes_str(e->source_ip) : internal);
    json_append_string(out, BYTES_LIT(",\"userAgent\":"), agent.len > 0 ? agent : internal);
}

static void put_what(struct buf *out, const struct audit_event *e, bool service)
{
    put_text(out, BYTES_LIT(",\"errorCode\":"), bytes_str(e->error_code));
    put_text(out, BYTES_LIT(",\"errorMessage\":"), e->error_message);
    put_object(out, BYTES_LIT(",\"requestParameters\":"), e->request_parameters);
    put_object(out, BYTES_LIT(",\"responseElements\":"), e->response_elements);
    if (e->additional.len > 0)
        put_object(out,
                   service ? BYTES_LIT(",\"serviceEventDetails\":")
                           : BYTES_LIT(",\"additionalEventData\":"),
                   e->additional);
    put_text(out, BYTES_LIT(",\"requestID\":"), bytes_str(e->request_id));
    buf_add(out, e->read_only ? BYTES_LIT(",\"readOnly\":true") : BYTES_LIT(",\"readOnly\":false"));
}

static void put_tls(struct buf *out, const struct audit_event *e)
{
    if (e->tls_version == NULL)
        return;
    json_append_string(out, BYTES_LIT(",\"tlsDetails\":{\"tlsVersion\":"),
                       bytes_str(e->tls_version));
    put_text(out, BYTES_LIT(",\"cipherSuite\":"), bytes_str(e->tls_cipher));
    buf_add_byte(out, '}');
}

void audit_event_write(struct buf *out, const struct audit_event *e)
{
    bool   service = e->event_type != NULL && strcmp(e->event_type, "AwsServiceEvent") == 0;
    size_t room = out->limit - out->len;

    assert(e->event_id[UUID_TEXT - 1] != '\0' && e->event_id[UUID_TEXT] == '\0');
    assert(e->time >= 0);
    if (!buf_reserve(out, room < EVENT_TYPICAL ? room : EVENT_TYPICAL))
        return;
    buf_add(out, BYTES_LIT("{\"eventVersion\":\"1.11\",\"eventID\":\""));
    buf_add(out, bytes_of(e->event_id, UUID_TEXT));
    put_identity(out, e);
    buf_add(out, BYTES_LIT(",\"eventTime\":\""));
    date_iso8601_add(out, e->time);
    json_append_string(out, BYTES_LIT("\",\"eventSource\":"),
                       e->source != NULL ? bytes_str(e->source) : BYTES_LIT("kms.amazonaws.com"));
    json_append_string(out, BYTES_LIT(",\"eventName\":"), bytes_str(e->event_name));
    put_text(out, BYTES_LIT(",\"awsRegion\":"), e->region);
    put_origin(out, e);
    put_what(out, e, service);
    put_resources(out, e);
    buf_add(out, service ? BYTES_LIT(",\"eventType\":\"AwsServiceEvent\",\"managementEvent\":true")
                         : BYTES_LIT(",\"eventType\":\"AwsApiCall\",\"managementEvent\":true"));
    put_text(out, BYTES_LIT(",\"recipientAccountId\":"), e->account);
    put_tls(out, e);
    buf_add(out, BYTES_LIT(",\"eventTimeMs\":"));
    buf_add_decimal(out, (uint64_t)e->time);
    if (e->commit != 0)
        audit_event_commit(out, e->commit);
}

void audit_event_commit(struct buf *event, uint64_t commit)
{
    buf_add(event, BYTES_LIT(",\"commit\":"));
    buf_add_decimal(event, commit);
}
