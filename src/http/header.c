/* http/header.c - finding headers; see http.h. */
#include "http/http.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool name_is(struct bytes name, const char *want, size_t len)
{
    if (name.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (lower(name.ptr[i]) != lower((uint8_t)want[i]))
            return false;
    }
    return true;
}

bool http_name_is(struct bytes name, const char *want)
{
    return name_is(name, want, strlen(want));
}

struct bytes http_header(const struct http_request *rq, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < rq->n_headers; i++) {
        if (name_is(rq->headers[i].name, name, len))
            return rq->headers[i].value;
    }
    return (struct bytes){ NULL, 0 };
}
