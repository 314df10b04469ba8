/* tests/fuzz/fuzz_policy.c - policy documents, and the patterns in them.
 *
 * The first line says what to do. "p" and a line with a pattern, then a text: what the matcher says
 * must be what a slow and simple one says. Otherwise the line is the value of every condition key,
 * the second line the caller's ARN, and the rest a document; then
 *
 *   D1  a whole document says what the weightiest of its statements says alone, so what one of its
 *       statements denies is never allowed;
 *   D2  a statement that allows a request denies it when its effect is turned round;
 *   D3  saying it takes no more than the steps of one evaluation, and where they ran out it is no.
 */
#include <stdlib.h>

#include "authz/policy_internal.h"
#include "base/cleanup.h"

enum { UNITS_MAX = 300, TEXT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* --- patterns --------------------------------------------------------------------------------- */

/* UTF-16 units of a text; false if it is not UTF-8 or too long for the slow matcher. */
static bool units_of(struct bytes in, uint32_t units[UNITS_MAX], size_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t                n = 0;

    for (size_t i = 0; i < in.len;) {
        uint8_t  c = in.ptr[i];
        size_t   len = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        uint32_t v = len == 1 ? c : c & (0xFFu >> (len + 1));
        if ((c >= 0x80 && c < 0xC0) || c > 0xF4 || i + len > in.len || n + 2 > UNITS_MAX)
            return false;
        for (size_t k = 1; k < len; k++) {
            if ((in.ptr[i + k] & 0xC0) != 0x80)
                return false;
            v = v << 6 | (in.ptr[i + k] & 0x3Fu);
        }
        if (v < least[len] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
            return false;
        if (v >= 0x10000) {
            units[n++] = 0xD800 + ((v - 0x10000) >> 10);
            units[n++] = 0xDC00 + ((v - 0x10000) & 0x3FF);
        } else {
            units[n++] = v;
        }
        i += len;
    }
    *ret = n;
    return true;
}

/* reach[k]: the pattern so far matches the first k units. */
static bool slowly(const uint32_t *pattern, size_t p, const uint32_t *text, size_t t)
{
    bool reach[UNITS_MAX + 1] = { true };

    for (size_t i = 0; i < p; i++) {
        bool next[UNITS_MAX + 1] = { false };
        for (size_t k = 0; k <= t; k++) {
            if (pattern[i] == '*')
                next[k] = reach[k] || (k > 0 && next[k - 1]);
            else
                next[k] = k > 0 && reach[k - 1] && (pattern[i] == '?' || pattern[i] == text[k - 1]);
        }
        memcpy(reach, next, sizeof reach);
    }
    return reach[t];
}

static void test_pattern(struct bytes pattern, struct bytes text)
{
    struct policy_request rq = { .values = NULL };
    struct evaluation     ev = { .rq = &rq, .left = EVALUATION_STEPS };
    uint32_t              p[UNITS_MAX];
    uint32_t              t[UNITS_MAX];
    size_t                n_p = 0;
    size_t                n_t = 0;
    struct pattern        compiled;
    struct arena         *arena = arena_new(pattern.len + 64);

    must(arena != NULL);
    must(pattern_compile(arena, pattern, PATTERN_WILD, &compiled, NULL) == KMS_OK);
    bool got = pattern_matches(&ev, &compiled, text);
    if (!ev.unsure && units_of(pattern, p, &n_p) && units_of(text, t, &n_t))
        must(got == slowly(p, n_p, t, n_t));
    must(!ev.unsure || !got);
    arena_free(arena);
}

/* --- documents -------------------------------------------------------------------------------- */

static enum condition_answer value_of(void *ctx, const struct condition_key *key, size_t i,
                                      char room[CONDITION_ROOM], struct bytes *ret)
{
    const struct bytes *value = ctx;

    (void)room;
    if (i > (condition_key_many(key->id) ? 2 : 0) || value->len == 0)
        return CONDITION_ABSENT;
    *ret = bytes_of(value->ptr, value->len - (i < value->len ? i : 0));
    return CONDITION_VALUE;
}

/* One statement as a document of its own; `turned`: with the other effect. */
static struct policy_result alone(const struct policy *p, size_t i, bool turned,
                                  const struct policy_request *rq)
{
    struct statement s = p->statements[i];
    struct policy    one = { .kind = p->kind, .statements = &s, .n_statements = 1 };

    s.deny = s.deny != turned;
    return policy_evaluate(&one, rq);
}

static void test_document(const struct policy *p, const struct policy_request *rq)
{
    struct policy_result whole = policy_evaluate(p, rq);
    enum policy_verdict  weightiest = POLICY_NOTHING;
    bool                 unsure = whole.unsure;

    must(!whole.unsure || whole.verdict == POLICY_DENIES); /* D3 */
    must((whole.statement == POLICY_NO_STATEMENT) ==
         (whole.verdict == POLICY_NOTHING || whole.unsure));
    for (size_t i = 0; i < p->n_statements && i < 64; i++) {
        struct policy_result one = alone(p, i, false, rq);
        struct policy_result turned = alone(p, i, true, rq);
        unsure = unsure || one.unsure;
        weightiest = one.verdict > weightiest ? one.verdict : weightiest;
        if (one.verdict == POLICY_ALLOWS || one.verdict == POLICY_DELEGATES) /* D2 */
            must(turned.verdict == POLICY_DENIES);
        must(one.verdict != POLICY_DENIES || whole.verdict == POLICY_DENIES); /* D1 */
    }
    if (!unsure && p->n_statements <= 64)
        must(whole.verdict == weightiest); /* D1 */
}

static void test_documents(struct bytes value, struct bytes arn, struct bytes text)
{
    bool                  session = bytes_starts(arn, BYTES_LIT("arn:aws:sts:"));
    struct policy_request rq = {
        .caller = { .kind = session ? CALLER_SESSION : CALLER_USER,
                    .account = BYTES_LIT("111111111111"),
                    .arn = arn,
                    .role_arn = session ? BYTES_LIT("arn:aws:iam::111111111111:role/r")
                                        : (struct bytes){ NULL, 0 },
                    .unique_id = BYTES_LIT("AROAEXAMPLEEXAMPLE12:s") },
        .action = BYTES_LIT("kms:Encrypt"),
        .resource = BYTES_LIT("arn:aws:kms:us-east-1:111111111111:key/k"),
        .values = value_of,
        .ctx = &value,
    };

    for (int kind = 0; kind < POLICY_KIND_COUNT; kind++) {
        CLEANUP(policy_freep) struct policy *p = NULL;
        struct kms_error                     err;
        kms_error_clear(&err);
        enum kms_status status = policy_compile((enum policy_kind)kind, text,
                                                (struct bytes){ NULL, 0 }, &p, &err);
        must((p != NULL) == (status == KMS_OK));
        must(status == KMS_OK || status == KMS_E_POLICY || status == KMS_E_ARN);
        if (p == NULL)
            continue;
        test_document(p, &rq);
        rq.caller.kind = CALLER_ROOT;
        test_document(p, &rq);
        rq.caller.kind = session ? CALLER_SESSION : CALLER_USER;
        rq.lasting = true;
        test_document(p, &rq);
        rq.lasting = false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct bytes first;
    struct bytes second;

    if (size > TEXT_MAX || !bytes_cut(&rest, '\n', &first) || !bytes_cut(&rest, '\n', &second))
        return 0;
    if (bytes_eq(first, BYTES_LIT("p")))
        test_pattern(second, rest);
    else
        test_documents(first, second, rest);
    return 0;
}
