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

/* --- base64 -------------------------------------------------------------------------------------
 *
 * The same with 32 characters, eight groups of four of 6 bits, which are eight groups of three bytes. The
 * processor's widest vectors that we know are used: the functions are compiled for them, too, and the dynamic
 * linker chooses. How such vectors are handed over differs between processors, so none is. */

enum { B64_BYTES = 24, B64_TEXT = 32 };

typedef int8_t   b64_row __attribute__((vector_size(B64_TEXT)));
typedef uint8_t  b64_octets __attribute__((vector_size(B64_TEXT)));
typedef uint32_t b64_groups __attribute__((vector_size(B64_TEXT)));
typedef uint64_t b64_words __attribute__((vector_size(B64_TEXT)));

/* not for the thread sanitizer, which is not ready yet when the linker chooses */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define WIDEST __attribute__((target_clones("avx2", "default")))
#else
#define WIDEST
#endif
#define INLINED __attribute__((always_inline)) static inline

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define B64_AT(i)   (8 * (i))       /* bits below byte i of a group */
#define B64_BYTE(i) ((2 - (i)) & 3) /* where byte i of three stands in a group, and what is none */
#else
#define B64_AT(i)   (24 - 8 * (i))
#define B64_BYTE(i) (((i) + 1) & 3)
#endif

/* 24 bytes, in groups of three as numbers; what is above them does not count. */
INLINED void b64_load(b64_groups *ret, const uint8_t in[B64_BYTES])
{
#define FROM(g, i) (B64_BYTE(i) == 3 ? 3 * (g) : 3 * (g) + B64_BYTE(i))
#define GROUP(g)   FROM(g, 0), FROM(g, 1), FROM(g, 2), FROM(g, 3)
    uint64_t w[3];

    memcpy(w, in, B64_BYTES);
    b64_octets v = (b64_octets)(b64_words){ w[0], w[1], w[2], 0 };
    *ret = (b64_groups)__builtin_shufflevector(v, v, GROUP(0), GROUP(1), GROUP(2), GROUP(3),
                                               GROUP(4), GROUP(5), GROUP(6), GROUP(7));
#undef GROUP
#undef FROM
}

INLINED void b64_store(uint8_t out[B64_BYTES], const b64_groups *groups)
{
#define GROUP(g) 4 * (g) + B64_BYTE(0), 4 * (g) + B64_BYTE(1), 4 * (g) + B64_BYTE(2)
    b64_octets v = (b64_octets)*groups;

    v = __builtin_shufflevector(v, v, GROUP(0), GROUP(1), GROUP(2), GROUP(3), GROUP(4), GROUP(5),
                                GROUP(6), GROUP(7), 3, 3, 3, 3, 3, 3, 3, 3);
    b64_words w = (b64_words)v;
    memcpy(out, (uint64_t[]){ w[0], w[1], w[2] }, B64_BYTES);
#undef GROUP
}

INLINED void b64_write_block(uint8_t out[B64_TEXT], const uint8_t in[B64_BYTES])
{
    b64_groups g;

    b64_load(&g, in);
    b64_row v = (b64_row)((g >> 18 & 63) << B64_AT(0) | (g >> 12 & 63) << B64_AT(1) |
                          (g >> 6 & 63) << B64_AT(2) | (g & 63) << B64_AT(3));
    /* what is to be added: 'A' first, 6 more from 26 ('a' is 6 above 'Z' + 1), and so on */
    v += 'A' + ((v > 25) & 6) - ((v > 51) & 75) - ((v > 61) & 15) + ((v > 62) & 3);
    memcpy(out, &v, sizeof v);
}

/* `n` whole blocks. */
WIDEST static void b64_write_blocks(uint8_t *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b64_write_block(out + i * B64_TEXT, in + i * B64_BYTES);
}

void base64_add(struct buf *out, struct bytes in)
{
    size_t need = (in.len + 2) / 3 * 4;
    size_t blocks = in.len / B64_BYTES;

    if (need == 0 || !buf_reserve(out, need))
        return;
    uint8_t *to = out->ptr + out->len;
    out->len += need;
    b64_write_blocks(to, take(&in, blocks * B64_BYTES), blocks);
    if (in.len == 0)
        return;
    struct {
        uint8_t in[B64_BYTES];
        uint8_t out[B64_TEXT];
    } end = { 0 };
    memcpy(end.in, in.ptr, in.len);
    b64_write_blocks(end.out, end.in, 1);
    if (in.len % 3 != 0)
        memset(end.out + in.len * 4 / 3 + 1, '=', 3 - in.len % 3);
    memcpy(to + blocks * B64_TEXT, end.out, (in.len + 2) / 3 * 4);
    explicit_bzero(&end, sizeof end);
}

/* The values of characters; *bad gets bits where one is not of the alphabet. Any byte may stand there, so that
 * subtracting may go below what is in a signed one. */
INLINED void b64_values(b64_row *v, int8_t c62, int8_t c63, b64_row *bad)
{
#define LESS(n) (b64_row)((b64_octets)c - (uint8_t)(n))
    b64_row c = *v;
    b64_row upper = (c >= 'A') & (c <= 'Z');
    b64_row lower = (c >= 'a') & (c <= 'z');
    b64_row digit = (c >= '0') & (c <= '9');
    b64_row is62 = c == c62;
    b64_row is63 = c == c63;

    *bad |= ~(upper | lower | digit | is62 | is63);
    *v = (upper & LESS('A')) | (lower & LESS('a' - 26)) | (digit & LESS('0' - 52)) | (is62 & 62) |
         (is63 & 63);
#undef LESS
}

INLINED void b64_read_block(uint8_t ret[B64_BYTES], const uint8_t text[B64_TEXT], int8_t c62,
                            int8_t c63, b64_row *bad)
{
    b64_row c;

    memcpy(&c, text, sizeof c);
    b64_values(&c, c62, c63, bad);
    b64_groups v = (b64_groups)c;
    v = (v >> B64_AT(0) & 63) << 18 | (v >> B64_AT(1) & 63) << 12 | (v >> B64_AT(2) & 63) << 6 |
        (v >> B64_AT(3) & 63);
    b64_store(ret, &v);
}

/* `n` whole blocks; false if a character was not of the alphabet. A block is read before less than a block is
 * written at or before its place: so `ret` may be the text. c62 and c63: all of them the characters in which the
 * alphabets differ. */
WIDEST static bool b64_read_blocks(uint8_t *ret, const uint8_t *text, size_t n, int8_t c62,
                                   int8_t c63)
{
    b64_row bad = { 0 };

    for (size_t i = 0; i < n; i++)
        b64_read_block(ret + i * B64_BYTES, text + i * B64_TEXT, c62, c63, &bad);
    b64_words w = (b64_words)bad;
    return (w[0] | w[1] | w[2] | w[3]) == 0;
}

/* Text without padding. */
static bool b64_decode(struct bytes text, int8_t c62, int8_t c63, uint8_t *ret, size_t *ret_len)
{
    size_t  blocks = text.len / B64_TEXT;
    size_t  left = text.len % B64_TEXT * 3 / 4;
    bool    good = b64_read_blocks(ret, take(&text, blocks * B64_TEXT), blocks, c62, c63);
    uint8_t unused = 0; /* bits that no byte uses must be zero */

    if (text.len > 0) {
        struct {
            uint8_t text[B64_TEXT];
            uint8_t out[B64_BYTES];
        } end;
        memset(end.text, 'A', sizeof end.text);
        memcpy(end.text, text.ptr, text.len);
        good &= b64_read_blocks(end.out, end.text, 1, c62, c63);
        for (size_t i = left; i < B64_BYTES; i++)
            unused |= end.out[i];
        memcpy(ret + blocks * B64_BYTES, end.out, left);
        explicit_bzero(&end, sizeof end);
    }
    if (!good || unused != 0)
        return false;
    *ret_len = blocks * B64_BYTES + left;
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
