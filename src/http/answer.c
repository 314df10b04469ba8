/* http/answer.c - answers into bytes; see http.h. */
#include "http/http.h"

#include "json/write.h"

/* What a browser's SDK may read; Date is not among it with AWS either (kms-behaviour 1.7). */
#define CORS_LINES                                                                                 \
    "Access-Control-Allow-Origin: *\r\n"                                                           \
    "Access-Control-Expose-Headers: x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage\r\n"
/* On answers of the API: none of them may be kept on the way (kms-behaviour 1.2). */
#define NO_CACHE_LINES                                                                             \
    "Cache-Control: no-cache, no-store, must-revalidate, private\r\n"                              \
    "Expires: 0\r\n"                                                                               \
    "Pragma: no-cache\r\n"

static const struct {
    int         status;
    const char *reason;
} reasons[] = {
    { 200, "OK" },
    { 204, "No Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 411, "Length Required" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 503, "Service Unavailable" },
    { 505, "HTTP Version Not Supported" },
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

static void add_start(struct buf *out, int status, const char date[29])
{
    if (status == 200) {
        buf_add(out, BYTES_LIT("HTTP/1.1 200 OK\r\nDate: "));
    } else {
        buf_add(out, BYTES_LIT("HTTP/1.1 "));
        buf_add_decimal(out, (uint64_t)status);
        buf_add_byte(out, ' ');
        buf_add_str(out, reason_of(status));
        buf_add(out, BYTES_LIT("\r\nDate: "));
    }
    buf_add(out, bytes_of(date, 29));
    buf_add(out, BYTES_LIT("\r\n"));
}

void http_answer_add(struct buf *out, const struct http_answer *a, const char date[29])
{
    add_start(out, a->status, date);
    if (a->content_type != NULL) {
        buf_add(out, BYTES_LIT("Content-Type: "));
        buf_add_str(out, a->content_type);
        buf_add(out, BYTES_LIT("\r\n"));
    }
    if (a->request_id[0] != '\0') {
        buf_add(out, BYTES_LIT("x-amzn-RequestId: "));
        buf_add(out, bytes_of(a->request_id, strnlen(a->request_id, sizeof a->request_id)));
        buf_add(out, BYTES_LIT("\r\n" NO_CACHE_LINES));
    }
    if (a->cors)
        buf_add(out, BYTES_LIT(CORS_LINES));
    if (a->extra != NULL)
        buf_add_str(out, a->extra);
    if (a->close)
        buf_add(out, BYTES_LIT("Connection: close\r\n"));
    buf_add(out, BYTES_LIT("Content-Length: "));
    buf_add_decimal(out, a->body.len);
    buf_add(out, BYTES_LIT("\r\n\r\n"));
    if (!a->head)
        buf_add(out, a->body);
}

/* Names of headers, commas and blanks: nothing that could begin another header line. */
static bool names_only(struct bytes names)
{
    for (size_t i = 0; i < names.len; i++) {
        uint8_t c = names.ptr[i];
        bool    alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || strchr("!#$%&'*+-.^_`|~, ", c) == NULL))
            return false;
    }
    return names.len > 0;
}

void http_preflight_add(struct buf *out, const struct http_request *rq, const char date[29])
{
    static const char usual[] = "authorization,content-type,x-amz-date,x-amz-target,"
                                "x-amz-security-token,x-amz-user-agent,x-amz-content-sha256,"
                                "amz-sdk-invocation-id,amz-sdk-request";
    struct bytes      asked = http_header(rq, "access-control-request-headers");

    add_start(out, 200, date);
    buf_add(out, BYTES_LIT("Access-Control-Allow-Origin: *\r\n"
                           "Access-Control-Allow-Methods: POST\r\n"
                           "Access-Control-Allow-Headers: "));
    buf_add(out, names_only(asked) ? asked : bytes_str(usual));
    buf_add(out, BYTES_LIT("\r\nAccess-Control-Max-Age: 172800\r\n"));
    if (!rq->keep_alive)
        buf_add(out, BYTES_LIT("Connection: close\r\n"));
    buf_add(out, BYTES_LIT("Content-Length: 0\r\n\r\n"));
}

void http_refusal_add(struct buf *out, int status, const char date[29])
{
    add_start(out, status, date);
    buf_add(out, BYTES_LIT("Connection: close\r\nContent-Length: 0\r\n\r\n"));
}

void http_error_body(struct buf *out, const struct kms_error *err)
{
    struct json_writer w;
    bool               upper = kms_status_text_member(err->status) == KMS_TEXT_UPPER;

    json_writer_init(&w, out);
    json_open_object(&w, NULL);
    json_put_str(&w, "__type", kms_status_wire(err->status));
    if (err->message_len > 0)
        json_put_string(&w, upper ? "Message" : "message",
                        bytes_of(err->message, err->message_len));
    json_close_object(&w);
}
