/* authz/value.c - numbers, dates, truth values and addresses as conditions write them
 * (recorded-authz-multiregion 5.2). */
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>

#include "authz/policy_internal.h"

enum { NUMBER_MAX = 40 };

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* --- numbers ---------------------------------------------------------------------------------- */

static size_t digits(struct bytes *in)
{
    size_t n = 0;

    while (in->len > 0 && is_digit(in->ptr[0])) {
        *in = bytes_of(in->ptr + 1, in->len - 1);
        n++;
    }
    return n;
}

static bool skip(struct bytes *in, const char *any_of)
{
    if (in->len == 0 || strchr(any_of, in->ptr[0]) == NULL || in->ptr[0] == 0)
        return false;
    *in = bytes_of(in->ptr + 1, in->len - 1);
    return true;
}

/* [+-] digits [. digits] [e [+-] digits]: what strtod takes beyond that (NaN, hex) is no number. */
static bool is_number(struct bytes in)
{
    (void)skip(&in, "+-");
    size_t n = digits(&in);
    if (skip(&in, "."))
        n += digits(&in);
    if (n == 0)
        return false;
    if (skip(&in, "eE")) {
        (void)skip(&in, "+-");
        if (digits(&in) == 0)
            return false;
    }
    return in.len == 0;
}

bool read_number(struct bytes text, double *ret)
{
    char copy[NUMBER_MAX + 1];

    if (text.len > NUMBER_MAX || !is_number(text))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret = strtod(copy, NULL);
    return isfinite(*ret);
}

/* --- dates ------------------------------------------------------------------------------------ */

/* Exactly `n` digits. */
static bool take_field(struct bytes *in, size_t n, int *ret)
{
    struct bytes field;

    if (!bytes_take(in, n, &field))
        return false;
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(field.ptr[i]))
            return false;
        *ret = *ret * 10 + (field.ptr[i] - '0');
    }
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool             leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01 in the Gregorian calendar (years from 1 on). */
static double days_since_epoch(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* a year begins in March: leap days come last */
    int64_t m = (month + 9) % 12;
    int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + (day - 1) - 719468;

    return (double)days;
}

/* "hh:mm[:ss[.fraction]]" in milliseconds. */
static bool take_time(struct bytes *in, double *ret)
{
    int hour = 0;
    int minute = 0;
    int second = 0;

    if (!take_field(in, 2, &hour) || !skip(in, ":") || !take_field(in, 2, &minute))
        return false;
    double ms = 0;
    if (skip(in, ":")) {
        if (!take_field(in, 2, &second))
            return false;
        if (skip(in, ".")) {
            double       unit = 100;
            struct bytes rest = *in;
            if (digits(in) == 0)
                return false;
            for (size_t i = 0; i < rest.len - in->len; i++, unit /= 10)
                ms += (rest.ptr[i] - '0') * unit;
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret = ((hour * 60 + minute) * 60 + second) * 1000.0 + ms;
    return true;
}

/* "Z" or "+hh:mm", in milliseconds to subtract. */
static bool take_zone(struct bytes *in, double *ret)
{
    int  hour = 0;
    int  minute = 0;
    bool west = in->len > 0 && in->ptr[0] == '-';

    *ret = 0;
    if (skip(in, "Z"))
        return true;
    if (!skip(in, "+-") || !take_field(in, 2, &hour) || !skip(in, ":") ||
        !take_field(in, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ret = (west ? -1 : 1) * (hour * 60 + minute) * 60000.0;
    return true;
}

/* yyyy-mm[-dd[Thh:mm[:ss[.s]](Z|+hh:mm)]] */
static bool read_iso_date(struct bytes in, double *ret)
{
    int    year = 0;
    int    month = 0;
    int    day = 1;
    double time = 0;
    double zone = 0;

    if (!take_field(&in, 4, &year) || !skip(&in, "-") || !take_field(&in, 2, &month) || year < 1 ||
        month < 1 || month > 12)
        return false;
    bool has_day = skip(&in, "-");
    if (has_day && (!take_field(&in, 2, &day) || day < 1 || day > days_in_month(year, month)))
        return false;
    if (has_day && skip(&in, "T") && (!take_time(&in, &time) || !take_zone(&in, &zone)))
        return false;
    *ret = days_since_epoch(year, month, day) * 86400000.0 + time - zone;
    return in.len == 0;
}

/* Seconds since the epoch, whole or with a fraction, or an ISO 8601 date. */
bool read_date(struct bytes text, double *ret)
{
    double seconds = 0;

    if (read_iso_date(text, ret))
        return true;
    if (!read_number(text, &seconds))
        return false;
    *ret = seconds * 1000.0;
    return true;
}

/* --- truth ------------------------------------------------------------------------------------ */

static bool equals_no_case(struct bytes a, const char *lower_case)
{
    size_t i = 0;

    for (; i < a.len && lower_case[i] != '\0'; i++) {
        uint8_t c = a.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c) != (uint8_t)lower_case[i])
            return false;
    }
    return i == a.len && lower_case[i] == '\0';
}

bool read_truth(struct bytes text, bool *ret)
{
    bool yes = equals_no_case(text, "true");

    if (!yes && !equals_no_case(text, "false"))
        return false;
    *ret = yes;
    return true;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Up to three digits up to `max`, leading zeros or not. */
static bool take_small(struct bytes *in, unsigned max, unsigned *ret)
{
    struct bytes before = *in;
    size_t       n = digits(in);

    *ret = 0;
    for (size_t i = 0; i < n && i < 3; i++)
        *ret = *ret * 10 + (unsigned)(before.ptr[i] - '0');
    return n >= 1 && n <= 3 && *ret <= max;
}

static bool read_ipv4(struct bytes text, uint8_t ret[16])
{
    for (size_t i = 0; i < 4; i++) {
        unsigned part = 0;
        if ((i > 0 && !skip(&text, ".")) || !take_small(&text, 255, &part))
            return false;
        ret[i] = (uint8_t)part;
    }
    return text.len == 0;
}

bool read_address(struct bytes text, struct network *ret)
{
    char copy[INET6_ADDRSTRLEN];

    *ret = (struct network){ .family = 4, .bits = 32 };
    if (read_ipv4(text, ret->address))
        return true;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret = (struct network){ .family = 6, .bits = 128 };
    return inet_pton(AF_INET6, copy, ret->address) == 1;
}

bool read_network(struct bytes text, struct network *ret)
{
    struct bytes address;
    unsigned     bits = 0;

    if (!bytes_cut(&text, '/', &address))
        return read_address(text, ret);
    if (!read_address(address, ret) || !take_small(&text, ret->bits, &bits) || text.len > 0)
        return false;
    ret->bits = bits;
    return true;
}

/* Host bits of the network do not count. */
bool network_holds(const struct network *net, const struct network *address)
{
    if (net->family != address->family)
        return false;
    for (unsigned i = 0; i < net->bits; i += 8) {
        unsigned left = net->bits - i;
        unsigned mask = left >= 8 ? 0xFF : 0xFFu << (8 - left) & 0xFF;
        if (((net->address[i / 8] ^ address->address[i / 8]) & mask) != 0)
            return false;
    }
    return true;
}
