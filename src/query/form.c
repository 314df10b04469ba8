/* query/form.c - see form.h. */
#include "query/form.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "http/http.h"

/* --- decoding --------------------------------------------------------------------------------- */

bool form_content_type(struct bytes value)
{
    struct bytes head = value;

    if (!bytes_cut(&value, ';', &head))
        head = value;
    while (head.len > 0 && (head.ptr[head.len - 1] == ' ' || head.ptr[head.len - 1] == '\t'))
        head.len--;
    return http_name_is(head, "application/x-www-form-urlencoded");
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place: what comes out is never longer. False for a percent sign that no two hexadecimal
 * digits follow, and for a byte that a form writes percent-encoded only. */
static bool decode(uint8_t *text, size_t len, struct bytes *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        } else if (c <= ' ' || c >= 0x7f) {
            return false;
        }
        text[n++] = c;
    }
    *ret = bytes_of(text, n);
    return true;
}

/* UTF-8 without what XML 1.0 cannot write at all (its section 2.2): it would not come back. */
static bool is_text(struct bytes in)
{
    while (in.len > 0) {
        uint8_t c = in.ptr[0];
        size_t  n = c < 0x80 ? 1 : utf8_sequence(in);
        if (n == 0 || c == 0x7f || (c < ' ' && c != '\t' && c != '\n' && c != '\r'))
            return false;
        if (c == 0xef && in.ptr[1] == 0xbf && in.ptr[2] >= 0xbe)
            return false; /* U+FFFE, U+FFFF */
        in = bytes_of(in.ptr + n, in.len - n);
    }
    return true;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct form_param *x = a;
    const struct form_param *y = b;

    return bytes_cmp(x->name, y->name);
}

static size_t count_params(const uint8_t *body, size_t len)
{
    size_t n = len > 0;

    for (size_t i = 0; i < len; i++)
        n += body[i] == '&';
    return n;
}

static enum kms_status read_param(uint8_t *at, size_t len, struct form_param *ret,
                                  struct kms_error *reterr)
{
    const uint8_t *equals = len > 0 ? memchr(at, '=', len) : NULL;
    size_t         name = equals != NULL ? (size_t)(equals - at) : len;
    size_t         skip = equals != NULL ? name + 1 : len;

    if (!decode(at, name, &ret->name) || !decode(at + skip, len - skip, &ret->value) ||
        !is_text(ret->name) || !is_text(ret->value))
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION,
                          "The request body is not a well-formed list of parameters.");
    if (ret->name.len == 0 || ret->name.len > LIMIT_FORM_NAME)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION,
                          "The name of a parameter is empty or too long.");
    return KMS_OK;
}

static enum kms_status sort_params(struct form *f, struct kms_error *reterr)
{
    qsort(f->params, f->n, sizeof f->params[0], by_name);
    for (size_t i = 1; i < f->n; i++) {
        if (bytes_eq(f->params[i - 1].name, f->params[i].name))
            return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "The parameter %.*s occurs twice.",
                              BYTES_FMT(f->params[i].name));
    }
    f->action = form_get_str(f, "Action");
    f->version = form_get_str(f, "Version");
    return KMS_OK;
}

/* Fills f->params, which has room for all: there are no more than `room`. */
static enum kms_status read_params(uint8_t *body, size_t len, struct form *f, size_t room,
                                   struct kms_error *reterr)
{
    while (f->n < room) {
        const uint8_t *end = len > 0 ? memchr(body, '&', len) : NULL;
        size_t         n = end != NULL ? (size_t)(end - body) : len;

        TRY(read_param(body, n, &f->params[f->n], reterr));
        f->n++;
        if (end == NULL)
            break;
        body += n + 1;
        len -= n + 1;
    }
    return sort_params(f, reterr);
}

enum kms_status form_parse(uint8_t *body, size_t len, struct form *ret, struct kms_error *reterr)
{
    struct form f = { .n = 0 };
    size_t      room = count_params(body, len);

    if (room > LIMIT_FORM_PARAMS)
        return KMS_REFUSE(reterr, KMS_E_SERIALIZATION, "The request has more than %d parameters.",
                          LIMIT_FORM_PARAMS);
    if (room > 0) {
        f.params = calloc(room, sizeof f.params[0]);
        if (f.params == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a form");
        enum kms_status status = read_params(body, len, &f, room, reterr);
        if (status != KMS_OK) {
            form_release(&f);
            return status;
        }
    }
    *ret = f;
    return KMS_OK;
}

void form_release(struct form *f)
{
    free(f->params);
    *f = (struct form){ .n = 0 };
}

/* --- access ----------------------------------------------------------------------------------- */

/* The first parameter whose name is not less than `name`. */
static size_t lower_bound(const struct form *f, struct bytes name)
{
    size_t low = 0;
    size_t high = f->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_cmp(f->params[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct bytes form_get(const struct form *f, struct bytes name)
{
    size_t at = lower_bound(f, name);

    return at < f->n && bytes_eq(f->params[at].name, name) ? f->params[at].value
                                                           : (struct bytes){ NULL, 0 };
}

struct bytes form_get_str(const struct form *f, const char *name)
{
    return form_get(f, bytes_str(name));
}

struct form_name form_name(struct bytes list, size_t i, const char *field)
{
    struct form_name name = { .len = 0 };
    int n = snprintf(name.text, sizeof name.text, "%.*s.member.%zu%s%s", BYTES_FMT(list), i,
                     field != NULL ? "." : "", field != NULL ? field : "");

    if (n > 0 && (size_t)n < sizeof name.text)
        name.len = (size_t)n;
    return name; /* one that is too long is empty: no parameter has that name */
}

struct bytes form_element(const struct form *f, struct bytes list, size_t i, const char *field)
{
    struct form_name name = form_name(list, i, field);

    return form_get(f, bytes_of(name.text, name.len));
}

/* Takes "12" or "12.Key" as 12; 0 for what is no number of an element. */
static size_t element_number(struct bytes rest)
{
    size_t number = 0;
    size_t i = 0;

    while (i < rest.len && i < 4 && rest.ptr[i] >= '0' && rest.ptr[i] <= '9')
        number = number * 10 + (size_t)(rest.ptr[i++] - '0');
    if (i == 0 || rest.ptr[0] == '0' || (i < rest.len && rest.ptr[i] != '.'))
        return 0;
    return number;
}

/* Marks the elements that parameters name, and finds the highest number. */
static enum kms_status mark_elements(const struct form *f, struct bytes name, size_t max,
                                     bool seen[LIMIT_LIST_ITEMS + 1], size_t *ret,
                                     struct kms_error *reterr)
{
    static const char separator[] = ".member.";
    size_t            highest = 0;

    for (size_t i = lower_bound(f, name); i < f->n && bytes_starts(f->params[i].name, name); i++) {
        struct bytes rest = f->params[i].name;
        struct bytes head;

        if (!bytes_take(&rest, name.len, &head) || !bytes_starts(rest, bytes_str(separator)) ||
            !bytes_take(&rest, sizeof separator - 1, &head))
            continue;
        size_t number = element_number(rest);
        if (number == 0)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "The elements of the list %.*s are not numbered 1, 2, 3 ...",
                              BYTES_FMT(name));
        if (number > max)
            return KMS_REFUSE(reterr, KMS_E_VALIDATION, "The list %.*s has more than %zu elements.",
                              BYTES_FMT(name), max);
        seen[number] = true;
        highest = number > highest ? number : highest;
    }
    *ret = highest;
    return KMS_OK;
}

enum kms_status form_list(const struct form *f, struct bytes name, size_t max, size_t *ret,
                          struct kms_error *reterr)
{
    bool         seen[LIMIT_LIST_ITEMS + 1] = { false };
    struct bytes whole = form_get(f, name);
    size_t       n = 0;

    TRY(mark_elements(f, name, max < LIMIT_LIST_ITEMS ? max : LIMIT_LIST_ITEMS, seen, &n, reterr));
    if (whole.len > 0 || (whole.ptr != NULL && n > 0))
        return KMS_REFUSE(reterr, KMS_E_VALIDATION, "%.*s is a list.", BYTES_FMT(name));
    for (size_t i = 1; i <= n; i++) {
        if (!seen[i])
            return KMS_REFUSE(reterr, KMS_E_VALIDATION,
                              "The elements of the list %.*s are not numbered 1, 2, 3 ...",
                              BYTES_FMT(name));
    }
    *ret = n;
    return KMS_OK;
}
