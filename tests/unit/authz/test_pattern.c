/* Unit tests of authz/: patterns against a second matcher, which is slow and simple: it takes texts
 * apart into UTF-16 units and fills a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "authz/policy_internal.h"
#include "base/buf.h"
#include "base/cleanup.h"

enum { UNITS = 64, STAR = -1, ANY_ONE = -2, ROOM = 256 };

/* As numbers, a character beyond U+FFFF as two of them; wildcards as above if `wild`. */
static size_t units_of(struct bytes text, bool wild, int ret[UNITS])
{
    size_t n = 0;

    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.ptr[i];
        size_t  len = c < 0x80 ? 1 : (c >= 0xF0 ? 4 : (c >= 0xE0 ? 3 : 2));
        int     value = 0;
        for (size_t k = 0; k < len; k++)
            value = (value * 67 + text.ptr[i + k]) & 0xFFFFFF;
        if (wild && (c == '*' || c == '?'))
            value = c == '*' ? STAR : ANY_ONE;
        ret[n++] = value;
        if (len == 4)
            ret[n++] = value + 0x1000000; /* its second half */
        i += len;
    }
    return n;
}

static bool expected(struct bytes pattern, struct bytes text)
{
    int    p[UNITS];
    int    t[UNITS];
    size_t np = units_of(pattern, true, p);
    size_t nt = units_of(text, false, t);
    bool   reach[UNITS + 1] = { true }; /* of the text, with what of the pattern is done */

    for (size_t i = 0; i < np; i++) {
        bool next[UNITS + 1] = { false };
        for (size_t k = 0; k <= nt; k++) {
            if (p[i] == STAR)
                next[k] = reach[k] || (k > 0 && next[k - 1]);
            else
                next[k] = k > 0 && reach[k - 1] && (p[i] == ANY_ONE || p[i] == t[k - 1]);
        }
        memcpy(reach, next, sizeof reach);
    }
    return reach[nt];
}

struct matcher {
    struct policy_request rq;
    struct evaluation     ev;
};

static void matcher_init(struct matcher *m, condition_source *values)
{
    m->rq = (struct policy_request){ .values = values };
    m->ev.rq = &m->rq;
    m->ev.left = EVALUATION_STEPS;
    m->ev.unsure = false;
}

static bool matches(struct bytes pattern, unsigned flags, struct bytes text, bool arn)
{
    struct arena  *arena = arena_new(256);
    struct pattern p;
    struct matcher m;

    assert_non_null(arena);
    assert_int_equal(pattern_compile(arena, pattern, flags, &p, NULL), KMS_OK);
    matcher_init(&m, NULL);
    bool got = arn ? pattern_matches_arn(&m.ev, &p, text) : pattern_matches(&m.ev, &p, text);
    assert_false(m.ev.unsure);
    arena_free(arena);
    return got;
}

static const char *const letters[] = { "a", "b", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x90\x90\x80",
                                       "*", "?", "*?" };

static void random_text(unsigned *seed, size_t max, size_t n_letters, struct buf *out)
{
    buf_reset(out);
    for (size_t n = (size_t)rand_r(seed) % (max + 1); n > 0; n--)
        buf_add_str(out, letters[(size_t)rand_r(seed) % n_letters]);
}

static void fail_with(struct bytes pattern, struct bytes text, bool got)
{
    fail_msg("'%.*s' on '%.*s': %d", BYTES_FMT(pattern), BYTES_FMT(text), (int)got);
}

static void random_patterns(void **state)
{
    CLEANUP(buf_release) struct buf pattern = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf text = BUF_INIT(ROOM);
    unsigned                        seed = 1;
    unsigned                        hits = 0;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        random_text(&seed, 7, ARRAY_LEN(letters), &pattern);
        random_text(&seed, 8, i % 2 == 0 ? 2 : 5, &text);
        bool want = expected(buf_bytes(&pattern), buf_bytes(&text));
        bool got = matches(buf_bytes(&pattern), PATTERN_WILD, buf_bytes(&text), false);
        if (got != want)
            fail_with(buf_bytes(&pattern), buf_bytes(&text), got);
        hits += want;
    }
    assert_true(hits > 3000);
}

/* A part of an ARN matches a part, the last takes all colons that are left. */
static bool expected_arn(struct bytes pattern, struct bytes text)
{
    for (size_t i = 0; i < 5; i++) {
        struct bytes p;
        struct bytes t;
        if (!bytes_cut(&pattern, ':', &p) || !bytes_cut(&text, ':', &t) || !expected(p, t))
            return false;
    }
    return expected(pattern, text);
}

static void random_arns(void **state)
{
    CLEANUP(buf_release) struct buf pattern = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf text = BUF_INIT(ROOM);
    CLEANUP(buf_release) struct buf part = BUF_INIT(ROOM);
    unsigned                        seed = 1;
    unsigned                        hits = 0;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        buf_reset(&pattern);
        buf_reset(&text);
        for (int k = rand_r(&seed) % 3 + 6; k > 0; k--) {
            random_text(&seed, 1, i % 4 == 0 ? ARRAY_LEN(letters) : 2, &part);
            buf_add(&pattern, rand_r(&seed) % 4 != 0 ? buf_bytes(&part) : BYTES_LIT("*"));
            if (rand_r(&seed) % 8 == 0)
                random_text(&seed, 1, 2, &part);
            buf_add(&text, buf_bytes(&part));
            buf_add_str(&pattern, k > 1 ? ":" : "");
            buf_add_str(&text, k > 1 ? ":" : "");
        }
        bool want = expected_arn(buf_bytes(&pattern), buf_bytes(&text));
        bool got = matches(buf_bytes(&pattern), PATTERN_WILD, buf_bytes(&text), true);
        if (got != want)
            fail_with(buf_bytes(&pattern), buf_bytes(&text), got);
        hits += want;
    }
    assert_true(hits > 3000);
}

/* --- what is no UTF-8, flags, variables ------------------------------------------------------- */

static enum condition_answer value_of(void *ctx, const struct condition_key *key, size_t i,
                                      char room[CONDITION_ROOM], struct bytes *ret)
{
    static uint8_t long_value[2000];

    (void)ctx;
    if (key->id == ASK_USER_ID) {
        memcpy(room, "me", 2);
        *ret = bytes_of(room, 2);
        return i == 0 ? CONDITION_VALUE : CONDITION_ABSENT;
    }
    if (key->id == ASK_SOURCE_IP)
        return CONDITION_UNSURE;
    if (key->id == ASK_USER_AGENT) {
        *ret = BYTES_LIT("\xFF");
        return CONDITION_VALUE;
    }
    if (key->id != ASK_REFERER)
        return CONDITION_ABSENT;
    memset(long_value, 'r', sizeof long_value);
    *ret = bytes_of(long_value, sizeof long_value);
    return CONDITION_VALUE;
}

enum outcome { NO, YES, UNSURE, REFUSED };

static const struct {
    const char  *pattern;
    unsigned     flags;
    const char  *text;
    enum outcome outcome;
} rows[] = {
    { "?", PATTERN_WILD, "\xC3", NO },
    { "*?", PATTERN_WILD, "a\x80", NO },
    { "?*", PATTERN_WILD, "\x80", NO },
    { "?", PATTERN_WILD, "\xF0", NO },
    { "a*", 0, "a*", YES },
    { "a*", 0, "ab", NO },
    { "a?", 0, "ab", NO },
    { "AbC", PATTERN_LOWER, "abc", YES },
    { "AbC", 0, "abc", NO },
    { "A*Z", PATTERN_LOWER | PATTERN_WILD, "a-z", YES },
    { "[\x40", PATTERN_LOWER, "[\x40", YES },
    { "${aws:userid}", PATTERN_VARIABLES, "me", YES },
    { "${aws:userid}", PATTERN_VARIABLES, "you", NO },
    { "${aws:userid}", 0, "${aws:userid}", YES },
    { "${ aws:userid }", PATTERN_VARIABLES, "me", YES },
    { "${aws:userid, 'x'}", PATTERN_VARIABLES, "me", YES },
    { "${aws:username, 'x'}", PATTERN_VARIABLES, "x", YES },
    { "${aws:username, ''}", PATTERN_VARIABLES, "", YES },
    { "${aws:username,'x y'}", PATTERN_VARIABLES, "x y", YES },
    { "${aws:username}", PATTERN_VARIABLES, "", NO },
    { "${aws:username, '}", PATTERN_VARIABLES, "", REFUSED },
    { "${aws:username, x'}", PATTERN_VARIABLES, "", REFUSED },
    { "${aws:username, 'x}", PATTERN_VARIABLES, "", REFUSED },
    { "${aws:username, }", PATTERN_VARIABLES, "", REFUSED },
    { "${aws:userid", PATTERN_VARIABLES, "", REFUSED },
    { "${aws:userid}${aws:userid}-${aws:username, 'x'}", PATTERN_VARIABLES, "meme-x", YES },
    { "*${aws:userid}", PATTERN_WILD | PATTERN_VARIABLES, "thatisme", YES },
    { "*${aws:userid}*", PATTERN_WILD | PATTERN_VARIABLES, "meta", YES },
    { "${*}${?}${$}", PATTERN_WILD | PATTERN_VARIABLES, "*?$", YES },
    { "${*}", PATTERN_WILD | PATTERN_VARIABLES, "x", NO },
    { "${?}", PATTERN_WILD | PATTERN_VARIABLES, "x", NO },
    { "${*x}", PATTERN_WILD | PATTERN_VARIABLES, "*", NO },
    { "${}", PATTERN_VARIABLES, "", NO },
    { "$x{}", PATTERN_VARIABLES, "$x{}", YES },
    { "${aws:SourceIp}", PATTERN_VARIABLES, "", UNSURE },
    { "${aws:TagKeys, 'x'}", PATTERN_VARIABLES, "x", NO },
    { "${aws:TagKeys, 'x'}", PATTERN_VARIABLES, "", NO },
    { "${aws:UserAgent}", PATTERN_VARIABLES, "", NO },
    { "*${aws:Referer}${aws:Referer}", PATTERN_WILD | PATTERN_VARIABLES, "r", NO },
    { "*${aws:Referer}${aws:Referer}${aws:Referer}", PATTERN_WILD | PATTERN_VARIABLES, "r",
      UNSURE },
    { "${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}${$}", PATTERN_VARIABLES,
      "$$$$$$$$$$$$$$$$$", YES },
#define FOUR(X) X X X X
#define VARIABLE "${aws:userid}"
    { FOUR(FOUR(VARIABLE)), PATTERN_VARIABLES, FOUR(FOUR("me")), YES },
    { FOUR(FOUR(VARIABLE)) VARIABLE, PATTERN_VARIABLES, "", REFUSED },
};

static void special_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena    *arena = arena_new(256);
        struct pattern   p;
        struct matcher   m;
        struct kms_error err;
        enum outcome     got = REFUSED;
        assert_non_null(arena);
        matcher_init(&m, value_of);
        enum kms_status status = pattern_compile(arena, bytes_str(rows[i].pattern), rows[i].flags,
                                                 &p, &err);
        if (status == KMS_OK) {
            got = pattern_matches(&m.ev, &p, bytes_str(rows[i].text)) ? YES : NO;
            got = m.ev.unsure ? UNSURE : got;
        } else {
            assert_int_equal(status, KMS_E_POLICY);
        }
        if (got != rows[i].outcome)
            fail_msg("'%s' on '%s': %d", rows[i].pattern, rows[i].text, (int)got);
        arena_free(arena);
    }
}

/* A pattern with its variables filled in has at most EXPANDED_MAX bytes; without any it may be as
 * long as the document. */
static void long_patterns(void **state)
{
    static const char variables[] = "*${aws:Referer}${aws:Referer}"; /* 4,001 bytes */
    char              text[6000];

    (void)state;
    for (size_t more = 94; more <= 97; more++) {
        struct arena  *arena = arena_new(256);
        struct pattern p;
        struct matcher m;
        assert_non_null(arena);
        memset(text, 'r', sizeof text);
        memcpy(text, variables, sizeof variables - 1);
        matcher_init(&m, value_of);
        assert_int_equal(pattern_compile(arena, bytes_of(text, sizeof variables - 1 + more),
                                         PATTERN_WILD | PATTERN_VARIABLES, &p, NULL),
                         KMS_OK);
        memset(text, 'r', sizeof text);
        bool fits = 4001 + more <= EXPANDED_MAX;
        assert_true(pattern_matches(&m.ev, &p, bytes_of(text, sizeof text)) == fits);
        assert_true(m.ev.unsure == !fits);
        arena_free(arena);
    }
    text[0] = '*';
    assert_true(matches(bytes_of(text, 5000), PATTERN_WILD, bytes_of(text + 1, 5999), false));
    assert_false(matches(bytes_of(text, 5000), PATTERN_WILD, bytes_of(text + 1, 4998), false));
}

/* An ARN pattern whose variables make something else of it matches nothing. */
static void arns_with_variables(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool        matches;
    } arns[] = {
        { "arn:aws:iam::1:user/${aws:userid}", "arn:aws:iam::1:user/me", true },
        { "arn:aws:iam::1:user/${aws:userid}", "arn:aws:iam::1:user/you", false },
        { "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/", false },
        { "${aws:userid}", "arn:aws:iam::1:user/me", false },
        { "${aws:userid}", "me", false },
        { "arn:${aws:userid}:iam::1:x*", "arn:me:iam::1:xyz", true },
        { "arn:aws:iam::1*:x", "arn:aws:iam::1:y:x", false },
        { "arn:aws:iam::1:x:*", "arn:aws:iam::1:x:y:z", true },
        { "arn:aws:iam::1:x*", "arn:aws:iam::1:xy", true },
        { "arn:aws:iam::1:x", "arn:aws:iam::1:x", true },
        { "*", "arn:aws:iam::1:x", true },
        { "*", "arn:aws:iam::1", false },
        { "a:b:c:d:e", "a:b:c:d:e", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(arns); i++) {
        struct arena  *arena = arena_new(256);
        struct pattern p;
        struct matcher m;
        assert_non_null(arena);
        matcher_init(&m, value_of);
        assert_int_equal(pattern_compile(arena, bytes_str(arns[i].pattern),
                                         PATTERN_WILD | PATTERN_VARIABLES, &p, NULL),
                         KMS_OK);
        if (pattern_matches_arn(&m.ev, &p, bytes_str(arns[i].text)) != arns[i].matches)
            fail_msg("'%s' on '%s'", arns[i].pattern, arns[i].text);
        arena_free(arena);
    }
}

/* Without steps there is no answer, in whatever way the pattern is written. */
static void steps_run_out(void **state)
{
    static const char *const patterns[] = { "abc",  "ab*", "a*c",           "a?c", "*b*",
                                            "*?b*", "*?",  "${aws:userid}", "*c" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct arena  *arena = arena_new(256);
        struct pattern p;
        struct matcher m;
        uint32_t       left = 0;
        assert_non_null(arena);
        assert_int_equal(pattern_compile(arena, bytes_str(patterns[i]),
                                         PATTERN_WILD | PATTERN_VARIABLES, &p, NULL),
                         KMS_OK);
        for (; left < 40; left++) {
            matcher_init(&m, value_of);
            m.ev.left = left;
            bool matched = pattern_matches(&m.ev, &p, BYTES_LIT("abc"));
            assert_false(matched && m.ev.unsure);
            assert_int_equal(m.ev.unsure && m.ev.left != 0, 0);
            if (!m.ev.unsure)
                break;
        }
        assert_in_range(left, 1, 39);
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_patterns),     cmocka_unit_test(random_arns),
        cmocka_unit_test(special_patterns),    cmocka_unit_test(long_patterns),
        cmocka_unit_test(arns_with_variables), cmocka_unit_test(steps_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
