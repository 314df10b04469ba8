/* base/encode.c - see encode.h. */
#include "base/encode.h"

#include <stdio.h>

static char hex_digit(unsigned v)
{
    /* '0'..'9' or 'a'..'f' without a table: 39 is the distance from '9' + 1 to 'a' */
    return (char)('0' + v + (((9u - v) >> 8) & 39u));
}

void hex_write(char *out, struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        out[2 * i] = hex_digit(in.ptr[i] >> 4);
        out[2 * i + 1] = hex_digit(in.ptr[i] & 15u);
    }
}

void hex_add(struct buf *out, struct bytes in)
{
    if (in.len == 0 || !buf_reserve(out, 2 * in.len))
        return;
    hex_write((char *)out->ptr + out->len, in);
    out->len += 2 * in.len;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_read(struct bytes text, uint8_t *ret, size_t len)
{
    if (text.len != 2 * len)
        return false;
    int bad = 0;
    for (size_t i = 0; i < text.len; i++)
        bad |= hex_value(text.ptr[i]);
    if (bad < 0)
        return false;
    for (size_t i = 0; i < len; i++)
        ret[i] = (uint8_t)(hex_value(text.ptr[2 * i]) << 4 | hex_value(text.ptr[2 * i + 1]));
    return true;
}

/* 0..63 -> its character, by arithmetic: an unsigned difference that went below zero has its high
 * bits set, which selects the distance to the next range. */
static uint8_t b64_char(unsigned v)
{
    unsigned c = v + 'A';

    c += ((25u - v) >> 8) & 6;  /* 26..51: 'a' is 6 above 'Z' + 1 */
    c -= ((51u - v) >> 8) & 75; /* 52..61: '0' */
    c -= ((61u - v) >> 8) & 15; /* 62: '+' */
    c += ((62u - v) >> 8) & 3;  /* 63: '/' */
    return (uint8_t)c;
}

/* The other way; 0..63, or a value with bit 6 or above set for a character outside the alphabet, of
 * which `last` are the two that differ between the alphabets. */
static unsigned b64_value(unsigned c, const char last[2])
{
    unsigned c62 = (unsigned char)last[0];
    unsigned c63 = (unsigned char)last[1];
    unsigned v = ~0u;

    v += ((('A' - 1u - c) & (c - ('Z' + 1u))) >> 8) & (c - 'A' + 1);
    v += ((('a' - 1u - c) & (c - ('z' + 1u))) >> 8) & (c - 'a' + 27);
    v += ((('0' - 1u - c) & (c - ('9' + 1u))) >> 8) & (c - '0' + 53);
    v += (((c62 - 1u - c) & (c - (c62 + 1u))) >> 8) & 63;
    v += (((c63 - 1u - c) & (c - (c63 + 1u))) >> 8) & 64;
    return v;
}

void base64_add(struct buf *out, struct bytes in)
{
    size_t need = (in.len + 2) / 3 * 4;

    if (need == 0 || !buf_reserve(out, need))
        return;
    uint8_t *to = out->ptr + out->len;
    size_t   i = 0;
    for (; i + 3 <= in.len; i += 3) {
        unsigned v = (unsigned)in.ptr[i] << 16 | (unsigned)in.ptr[i + 1] << 8 | in.ptr[i + 2];
        *to++ = b64_char(v >> 18);
        *to++ = b64_char(v >> 12 & 63);
        *to++ = b64_char(v >> 6 & 63);
        *to++ = b64_char(v & 63);
    }
    if (in.len - i == 1) {
        unsigned v = (unsigned)in.ptr[i] << 16;
        *to++ = b64_char(v >> 18);
        *to++ = b64_char(v >> 12 & 63);
        *to++ = '=';
        *to++ = '=';
    } else if (in.len - i == 2) {
        unsigned v = (unsigned)in.ptr[i] << 16 | (unsigned)in.ptr[i + 1] << 8;
        *to++ = b64_char(v >> 18);
        *to++ = b64_char(v >> 12 & 63);
        *to++ = b64_char(v >> 6 & 63);
        *to++ = '=';
    }
    out->len += need;
}

/* `pad` characters are missing at the end of the last four. */
static bool b64_decode(struct bytes text, size_t pad, const char last[2], uint8_t *ret,
                       size_t *ret_len)
{
    unsigned bad = 0;
    size_t   at = 0;

    for (size_t i = 0; i < text.len; i += 4) {
        size_t   skip = i + 4 > text.len ? pad : 0;
        unsigned v[4];
        for (size_t k = 0; k < 4; k++)
            v[k] = k < 4 - skip ? b64_value(text.ptr[i + k], last) : 0;
        bad |= (v[0] | v[1] | v[2] | v[3]) & ~63u;
        unsigned w = (v[0] & 63) << 18 | (v[1] & 63) << 12 | (v[2] & 63) << 6 | (v[3] & 63);
        if (skip == 1)
            bad |= w & 0xff; /* bits that no byte uses must be zero */
        if (skip == 2)
            bad |= w & 0xffff;
        ret[at++] = (uint8_t)(w >> 16);
        if (skip < 2)
            ret[at++] = (uint8_t)(w >> 8);
        if (skip < 1)
            ret[at++] = (uint8_t)w;
    }
    if (bad != 0)
        return false;
    *ret_len = at;
    return true;
}

bool base64_read(struct bytes text, uint8_t *ret, size_t *ret_len)
{
    size_t pad = 0;

    if (text.len % 4 != 0)
        return false;
    if (text.len > 0 && text.ptr[text.len - 1] == '=')
        pad = text.ptr[text.len - 2] == '=' ? 2 : 1;
    text.len -= pad;
    return b64_decode(text, pad, "+/", ret, ret_len);
}

bool base64url_read(struct bytes text, uint8_t *ret, size_t *ret_len)
{
    size_t rest = text.len % 4;

    if (rest == 1)
        return false;
    return b64_decode(text, rest == 0 ? 0 : 4 - rest, "-_", ret, ret_len);
}

void uuid_write(char *out, const uint8_t uuid[16])
{
    static const size_t groups[] = { 4, 2, 2, 2, 6 };
    size_t              at = 0;

    for (size_t g = 0; g < 5; g++) {
        hex_write(out, bytes_of(uuid + at, groups[g]));
        out += 2 * groups[g];
        at += groups[g];
        if (g < 4)
            *out++ = '-';
    }
}

void uuid_make_v4(uint8_t uuid[16])
{
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* Days since 1970-01-01 <-> civil date, proleptic Gregorian; the usual era arithmetic. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t  era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + (int64_t)doe - 719468;
}

struct civil {
    unsigned year, month, day, hour, minute, second, weekday; /* weekday 0 = Sunday */
};

static struct civil civil_of(int64_t ms)
{
    int64_t  s = ms / 1000;
    int64_t  days = s / 86400;
    int64_t  rest = s % 86400;
    int64_t  z = days + 719468;
    int64_t  era = z / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned m = mp < 10 ? mp + 3 : mp - 9;

    return (struct civil){
        .year = (unsigned)((int64_t)yoe + era * 400 + (m <= 2)),
        .month = m,
        .day = doy - (153 * mp + 2) / 5 + 1,
        .hour = (unsigned)(rest / 3600),
        .minute = (unsigned)(rest / 60 % 60),
        .second = (unsigned)(rest % 60),
        .weekday = (unsigned)((days + 4) % 7),
    };
}

static void digits(char *out, unsigned v, unsigned n)
{
    while (n-- > 0) {
        out[n] = (char)('0' + v % 10);
        v /= 10;
    }
}

void date_iso8601_add(struct buf *out, int64_t ms)
{
    struct civil c = civil_of(ms);
    char         text[20] = "0000-00-00T00:00:00Z";

    digits(text, c.year, 4);
    digits(text + 5, c.month, 2);
    digits(text + 8, c.day, 2);
    digits(text + 11, c.hour, 2);
    digits(text + 14, c.minute, 2);
    digits(text + 17, c.second, 2);
    buf_add(out, bytes_of(text, sizeof text));
}

void date_basic_write(char out[16], int64_t ms)
{
    struct civil c = civil_of(ms);

    digits(out, c.year, 4);
    digits(out + 4, c.month, 2);
    digits(out + 6, c.day, 2);
    out[8] = 'T';
    digits(out + 9, c.hour, 2);
    digits(out + 11, c.minute, 2);
    digits(out + 13, c.second, 2);
    out[15] = 'Z';
}

static bool number(struct bytes text, size_t at, size_t n, unsigned *ret)
{
    unsigned v = 0;

    for (size_t i = at; i < at + n; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

static bool civil_to_ms(const struct civil *c, int64_t *ret_ms)
{
    static const unsigned lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool                  leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;

    if (c->year < 1970 || c->month < 1 || c->month > 12 || c->day < 1 || c->hour > 23 ||
        c->minute > 59 || c->second > 59)
        return false;
    if (c->day > lengths[c->month - 1] + (c->month == 2 && leap ? 1u : 0u))
        return false;
    int64_t days = days_from_civil(c->year, c->month, c->day);
    *ret_ms = (days * 86400 + c->hour * 3600 + c->minute * 60 + c->second) * 1000;
    return true;
}

bool date_iso8601_read(struct bytes text, int64_t *ret_ms)
{
    struct civil c = { 0 };

    if (text.len != 20 || text.ptr[4] != '-' || text.ptr[7] != '-' || text.ptr[10] != 'T' ||
        text.ptr[13] != ':' || text.ptr[16] != ':' || text.ptr[19] != 'Z')
        return false;
    return number(text, 0, 4, &c.year) && number(text, 5, 2, &c.month) &&
           number(text, 8, 2, &c.day) && number(text, 11, 2, &c.hour) &&
           number(text, 14, 2, &c.minute) && number(text, 17, 2, &c.second) &&
           civil_to_ms(&c, ret_ms);
}

bool date_basic_read(struct bytes text, int64_t *ret_ms)
{
    struct civil c = { 0 };

    if (text.len != 16 || text.ptr[8] != 'T' || text.ptr[15] != 'Z')
        return false;
    return number(text, 0, 4, &c.year) && number(text, 4, 2, &c.month) &&
           number(text, 6, 2, &c.day) && number(text, 9, 2, &c.hour) &&
           number(text, 11, 2, &c.minute) && number(text, 13, 2, &c.second) &&
           civil_to_ms(&c, ret_ms);
}

static const char weekdays[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void date_http_write(char out[29], int64_t ms)
{
    struct civil c = civil_of(ms);
    char         text[30] = "Sun, 00 Jan 0000 00:00:00 GMT";

    memcpy(text, weekdays[c.weekday], 3);
    digits(text + 5, c.day, 2);
    memcpy(text + 8, months[c.month - 1], 3);
    digits(text + 12, c.year, 4);
    digits(text + 17, c.hour, 2);
    digits(text + 20, c.minute, 2);
    digits(text + 23, c.second, 2);
    memcpy(out, text, 29);
}

bool date_http_read(struct bytes text, int64_t *ret_ms)
{
    struct civil c = { 0 };

    if (text.len != 29)
        return false;
    for (unsigned m = 0; m < 12; m++) {
        if (memcmp(text.ptr + 8, months[m], 3) == 0)
            c.month = m + 1;
    }
    int64_t ms;
    char    again[29];

    if (!number(text, 5, 2, &c.day) || !number(text, 12, 4, &c.year) ||
        !number(text, 17, 2, &c.hour) || !number(text, 20, 2, &c.minute) ||
        !number(text, 23, 2, &c.second) || !civil_to_ms(&c, &ms))
        return false;
    date_http_write(again, ms); /* the weekday and every mark between the numbers */
    if (memcmp(text.ptr, again, sizeof again) != 0)
        return false;
    *ret_ms = ms;
    return true;
}
