/* base/encode.c - see encode.h. */
#include "base/encode.h"

#include <endian.h>

/* --- sixteen characters at a time ---------------------------------------------------------------
 *
 * The vectors of GNU C: an operator works on all sixteen at once, and a comparison gives 0 or all
 * bits, so that `(c > 9) & 39` is 39 where it is true. No table and no branch on what is in them:
 * the time depends on the length alone. Signed, so that a byte of 0x80 or more is negative and in
 * none of the ranges of ASCII. What does not fill a vector is copied into one, which is wiped. */

typedef int8_t   chars __attribute__((vector_size(16)));
typedef uint8_t  octets __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

/* The first, third, fifth ... of two vectors; the others; the two of which those are made. */
#define EVEN(a, b)                                                                                 \
    __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b)                                                                                  \
    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define MIX_FIRST(a, b)                                                                            \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define MIX_LAST(a, b)                                                                             \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

static chars load(const void *from)
{
    chars v;

    memcpy(&v, from, sizeof v);
    return v;
}

static void store(void *to, chars v)
{
    memcpy(to, &v, sizeof v);
}

/* The first `n` bytes of `in`, which has them, and `in` goes on behind them. */
static const uint8_t *take(struct bytes *in, size_t n)
{
    const uint8_t *first = in->ptr;

    in->ptr += n;
    in->len -= n;
    return first;
}

static bool any(chars v)
{
    halves h = (halves)v;

    return (h[0] | h[1]) != 0;
}

static chars all(int8_t c)
{
    return (chars){ 0 } + c;
}

/* Any byte may stand there, so this may go below what is in a signed one. */
static chars minus(chars c, int8_t n)
{
    return (chars)((octets)c - (octets)all(n));
}

static chars between(chars c, int8_t first, int8_t last)
{
    return (c > all((int8_t)(first - 1))) & (c < all((int8_t)(last + 1)));
}

/* --- hex ---------------------------------------------------------------------------------------- */

enum { HEX_IN = 16, HEX_OUT = 2 * HEX_IN };

/* '0'..'9' or 'a'..'f': 39 is the distance from '9' + 1 to 'a'. */
static chars hex_digits(chars v)
{
    return v + '0' + ((v > 9) & 39);
}

static void hex_write_block(char out[HEX_OUT], const uint8_t in[HEX_IN])
{
    octets v = (octets)load(in);
    chars  high = hex_digits((chars)(v >> 4));
    chars  low = hex_digits((chars)(v & 15));

    store(out, MIX_FIRST(high, low));
    store(out + HEX_OUT / 2, MIX_LAST(high, low));
}

void hex_write(char *out, struct bytes in)
{
    for (; in.len >= HEX_IN; out += HEX_OUT)
        hex_write_block(out, take(&in, HEX_IN));
    if (in.len == 0)
        return;
    struct {
        uint8_t in[HEX_IN];
        char    out[HEX_OUT];
    } end = { 0 };
    memcpy(end.in, in.ptr, in.len);
    hex_write_block(end.out, end.in);
    memcpy(out, end.out, 2 * in.len);
    explicit_bzero(&end, sizeof end);
}

void hex_add(struct buf *out, struct bytes in)
{
    if (in.len == 0 || !buf_reserve(out, 2 * in.len))
        return;
    hex_write((char *)out->ptr + out->len, in);
    out->len += 2 * in.len;
}

/* The values of digits; *bad gets bits where there is none. */
static chars hex_values(chars c, chars *bad)
{
    chars lower = c | ('a' - 'A');
    chars digit = between(c, '0', '9');
    chars letter = between(lower, 'a', 'f');

    *bad |= ~(digit | letter);
    return (c & 15) + (letter & 9);
}

static chars hex_read_block(const uint8_t text[HEX_OUT], chars *bad)
{
    chars first = hex_values(load(text), bad);
    chars last = hex_values(load(text + HEX_OUT / 2), bad);

    return (chars)((octets)EVEN(first, last) << 4) | ODD(first, last);
}

bool hex_read(struct bytes text, uint8_t *ret, size_t len)
{
    size_t  whole = len - len % HEX_IN;
    uint8_t end[HEX_OUT];
    chars   bad = { 0 };
    chars   last;

    if (text.len != 2 * len)
        return false;
    memset(end, '0', sizeof end);
    if (len > whole)
        memcpy(end, text.ptr + 2 * whole, 2 * (len - whole));
    for (size_t i = 0; i < whole; i += HEX_IN)
        (void)hex_read_block(text.ptr + 2 * i, &bad);
    last = hex_read_block(end, &bad);
    if (!any(bad)) {
        for (size_t i = 0; i < whole; i += HEX_IN)
            store(ret + i, hex_read_block(text.ptr + 2 * i, &bad));
        if (len > whole)
            memcpy(ret + whole, &last, len - whole);
    }
    explicit_bzero(end, sizeof end);
    explicit_bzero(&last, sizeof last);
    return !any(bad);
}

/* --- base64 ------------------------------------------------------------------------------------- */

enum { B64_BYTES = 12, B64_TEXT = 16 };

/* 48 bits, the first byte on top -> eight groups of six, each in a byte, the first one on top; and
 * back. The groups of each half move apart, then those of each quarter, then of each eighth. */
static uint64_t b64_part(uint64_t v)
{
    v = (v & 0x0000000000ffffff) | (v & 0x0000ffffff000000) << 8;
    v = (v & 0x00000fff00000fff) | (v & 0x00fff00000fff000) << 4;
    return (v & 0x003f003f003f003f) | (v & 0x0fc00fc00fc00fc0) << 2;
}

static uint64_t b64_join(uint64_t v)
{
    v = (v & 0x003f003f003f003f) | (v & 0x3f003f003f003f00) >> 2;
    v = (v & 0x00000fff00000fff) | (v & 0x0fff00000fff0000) >> 4;
    return (v & 0x0000000000ffffff) | (v & 0x00ffffff00000000) >> 8;
}

static void b64_write_block(uint8_t out[B64_TEXT], const uint8_t in[B64_BYTES])
{
    uint64_t first;
    uint64_t last;

    memcpy(&first, in, sizeof first);
    memcpy(&last, in + B64_BYTES - sizeof last, sizeof last);
    first = b64_part(be64toh(first) >> 16);
    last = b64_part(be64toh(last) & 0xffffffffffff);
    chars v = (chars)(halves){ htobe64(first), htobe64(last) };
    /* what is to be added: 'A' first, 6 more from 26 ('a' is 6 above 'Z' + 1), and so on */
    chars add = 'A' + ((v > 25) & 6) - ((v > 51) & 75) - ((v > 61) & 15) + ((v > 62) & 3);
    store(out, v + add);
}

void base64_add(struct buf *out, struct bytes in)
{
    size_t need = (in.len + 2) / 3 * 4;

    if (need == 0 || !buf_reserve(out, need))
        return;
    uint8_t *to = out->ptr + out->len;
    out->len += need;
    for (; in.len >= B64_BYTES; to += B64_TEXT)
        b64_write_block(to, take(&in, B64_BYTES));
    if (in.len == 0)
        return;
    struct {
        uint8_t in[B64_BYTES];
        uint8_t out[B64_TEXT];
    } end = { 0 };
    memcpy(end.in, in.ptr, in.len);
    b64_write_block(end.out, end.in);
    if (in.len % 3 != 0)
        memset(end.out + in.len * 4 / 3 + 1, '=', 3 - in.len % 3);
    memcpy(to, end.out, (in.len + 2) / 3 * 4);
    explicit_bzero(&end, sizeof end);
}

/* c62 and c63: all of them the characters in which the alphabets differ. *bad gets bits where a
 * character is not of the alphabet. */
static void b64_read_block(uint8_t ret[B64_BYTES], const uint8_t text[B64_TEXT], chars c62,
                           chars c63, chars *bad)
{
    chars    c = load(text);
    chars    upper = between(c, 'A', 'Z');
    chars    lower = between(c, 'a', 'z');
    chars    digit = between(c, '0', '9');
    chars    is62 = c == c62;
    chars    is63 = c == c63;
    uint64_t first;
    uint64_t last;
    uint32_t end;

    *bad |= ~(upper | lower | digit | is62 | is63);
    halves v = (halves)((upper & minus(c, 'A')) | (lower & minus(c, 'a' - 26)) |
                        (digit & minus(c, '0' - 52)) | (is62 & 62) | (is63 & 63));
    first = b64_join(be64toh(v[0]));
    last = b64_join(be64toh(v[1]));
    end = htobe32((uint32_t)last);
    first = htobe64(first << 16 | last >> 32);
    memcpy(ret, &first, sizeof first);
    memcpy(ret + sizeof first, &end, sizeof end);
}

/* Text without padding. A block is read before less than a block is written at or before its place:
 * so `ret` may be the text. */
static bool b64_decode(struct bytes text, int8_t c62, int8_t c63, uint8_t *ret, size_t *ret_len)
{
    size_t  at = text.len / B64_TEXT * B64_BYTES;
    size_t  left = text.len % B64_TEXT * 3 / 4;
    chars   bad = { 0 };
    uint8_t unused = 0; /* bits that no byte uses must be zero */

    for (uint8_t *to = ret; text.len >= B64_TEXT; to += B64_BYTES)
        b64_read_block(to, take(&text, B64_TEXT), all(c62), all(c63), &bad);
    if (text.len > 0) {
        struct {
            uint8_t text[B64_TEXT];
            uint8_t out[B64_BYTES];
        } end;
        memset(end.text, 'A', sizeof end.text);
        memcpy(end.text, text.ptr, text.len);
        b64_read_block(end.out, end.text, all(c62), all(c63), &bad);
        for (size_t i = left; i < B64_BYTES; i++)
            unused |= end.out[i];
        memcpy(ret + at, end.out, left);
        explicit_bzero(&end, sizeof end);
    }
    if (any(bad) || unused != 0)
        return false;
    *ret_len = at + left;
    return true;
}

bool base64_read(struct bytes text, uint8_t *ret, size_t *ret_len)
{
    if (text.len % 4 != 0)
        return false;
    if (text.len > 0 && text.ptr[text.len - 1] == '=')
        text.len -= text.ptr[text.len - 2] == '=' ? 2 : 1;
    return b64_decode(text, '+', '/', ret, ret_len);
}

bool base64url_read(struct bytes text, uint8_t *ret, size_t *ret_len)
{
    return text.len % 4 != 1 && b64_decode(text, '-', '_', ret, ret_len);
}

/* --- UUIDs -------------------------------------------------------------------------------------- */

void uuid_write(char *out, const uint8_t uuid[16])
{
    char hex[HEX_OUT];

    hex_write_block(hex, uuid);
    memcpy(out, hex, 8);
    out[8] = '-';
    memcpy(out + 9, hex + 8, 4);
    out[13] = '-';
    memcpy(out + 14, hex + 12, 4);
    out[18] = '-';
    memcpy(out + 19, hex + 16, 4);
    out[23] = '-';
    memcpy(out + 24, hex + 20, 12);
}

void uuid_make_v4(uint8_t uuid[16])
{
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* --- dates -------------------------------------------------------------------------------------- */

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

static void two_digits(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

static void four_digits(char *out, unsigned v)
{
    two_digits(out, v / 100 % 100);
    two_digits(out + 2, v % 100);
}

void date_iso8601_add(struct buf *out, int64_t ms)
{
    struct civil c = civil_of(ms);
    char         text[20] = "0000-00-00T00:00:00Z";

    four_digits(text, c.year);
    two_digits(text + 5, c.month);
    two_digits(text + 8, c.day);
    two_digits(text + 11, c.hour);
    two_digits(text + 14, c.minute);
    two_digits(text + 17, c.second);
    buf_add(out, bytes_of(text, sizeof text));
}

void date_basic_write(char out[16], int64_t ms)
{
    struct civil c = civil_of(ms);

    four_digits(out, c.year);
    two_digits(out + 4, c.month);
    two_digits(out + 6, c.day);
    out[8] = 'T';
    two_digits(out + 9, c.hour);
    two_digits(out + 11, c.minute);
    two_digits(out + 13, c.second);
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
    two_digits(text + 5, c.day);
    memcpy(text + 8, months[c.month - 1], 3);
    four_digits(text + 12, c.year);
    two_digits(text + 17, c.hour);
    two_digits(text + 20, c.minute);
    two_digits(text + 23, c.second);
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
