/* The canonical encryption context (trust-model 2.5). */
#include "body.h"

struct fixture {
    struct body      body;
    struct body      other;
    struct buf       scratch;
    struct op_call   call;
    struct kms_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    body_init(&f->body);
    body_init(&f->other);
    buf_init(&f->scratch, 64 * 1024);
    f->call.scratch = &f->scratch;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    body_release(&f->body);
    body_release(&f->other);
    buf_release(&f->scratch);
    free(f);
    return 0;
}

static struct bytes canonical(struct fixture *f, const char *text)
{
    struct bytes got = { NULL, 0 };

    assert_int_equal(op_context(&f->call, body_str(&f->body, text), &got, &f->err), KMS_OK);
    return got;
}

static void gives(struct fixture *f, const char *text, struct bytes want)
{
    struct bytes got = canonical(f, text);

    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, want.len);
}

static void test_layout(void **state)
{
    struct fixture *f = *state;

    gives(f, "{\"b\":\"22\",\"a\":\"\"}",
          BYTES_LIT("\0\0\0\2"
                    "\0\0\0\1"
                    "a"
                    "\0\0\0\0"
                    "\0\0\0\1"
                    "b"
                    "\0\0\0\2"
                    "22"));
}

/* "Absent and empty map encode alike" */
static void test_empty(void **state)
{
    struct fixture *f = *state;
    struct bytes    got = BYTES_LIT("x");

    assert_int_equal(canonical(f, "{}").len, 0);
    assert_int_equal(op_context(&f->call, (struct json){ NULL }, &got, &f->err), KMS_OK);
    assert_int_equal(got.len, 0);
    assert_int_equal(f->scratch.len, 0);
}

/* Sorted by the bytes of UTF-8: U+E000 before U+10000, which UTF-16 has the other way round; a
 * prefix before what goes on; no case folding. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    struct bytes    want = BYTES_LIT("\0\0\0\4"
                                        "\0\0\0\1"
                                        "A"
                                        "\0\0\0\0"
                                        "\0\0\0\2"
                                        "AA"
                                        "\0\0\0\0"
                                        "\0\0\0\3"
                                        "\xee\x80\x80"
                                        "\0\0\0\0"
                                        "\0\0\0\4"
                                        "\xf0\x90\x80\x80"
                                        "\0\0\0\0");

    gives(f, "{\"\xf0\x90\x80\x80\":\"\",\"AA\":\"\",\"\xee\x80\x80\":\"\",\"A\":\"\"}", want);
    gives(f, "{\"A\":\"\",\"\xee\x80\x80\":\"\",\"\xf0\x90\x80\x80\":\"\",\"AA\":\"\"}", want);
    assert_false(bytes_eq(canonical(f, "{\"A\":\"\"}"), canonical(f, "{\"a\":\"\"}")));
}

/* Pairs must not run into each other: lengths stand before them. */
static void test_unambiguous(void **state)
{
    struct fixture *f = *state;
    struct bytes    ab = canonical(f, "{\"a\":\"b\"}");

    assert_false(bytes_eq(ab, canonical(f, "{\"ab\":\"\"}")));
    assert_false(bytes_eq(ab, canonical(f, "{\"\":\"ab\"}")));
}

/* ReEncrypt holds two contexts at once: the first must not move away when the second is made. */
static void test_two_stay(void **state)
{
    struct fixture *f = *state;
    struct buf      text = BUF_INIT(64 * 1024);
    char           *value = repeated('v', 8000);
    struct bytes    first;
    struct bytes    second;

    buf_addf(&text, "{\"k\":\"%s\"}", value);
    struct json one = body_parse(&f->body, buf_bytes(&text));
    struct json two = body_parse(&f->other, buf_bytes(&text));

    assert_int_equal(op_context(&f->call, one, &first, &f->err), KMS_OK);
    assert_int_equal(op_context(&f->call, two, &second, &f->err), KMS_OK);
    assert_true(first.ptr >= f->scratch.ptr && first.ptr < f->scratch.ptr + f->scratch.len);
    assert_true(bytes_eq(first, second));
    free(value);
    buf_release(&text);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct bytes    got;
    char           *value = repeated('v', LIMIT_CONTEXT_BYTES);
    size_t          fits = LIMIT_CONTEXT_BYTES - 4 - 8 - 1;
    char           *text = textf("{\"k\":\"%.*s\"}", (int)fits, value);

    assert_int_equal(canonical(f, text).len, LIMIT_CONTEXT_BYTES);
    free(text);
    text = textf("{\"k\":\"%.*s\"}", (int)fits + 1, value);
    assert_int_equal(op_context(&f->call, body_str(&f->body, text), &got, &f->err),
                     KMS_E_VALIDATION);
    assert_string_equal(f->err.message, "EncryptionContext must not be larger than 8192 bytes");
    free(text);
    free(value);
}

static void test_many_pairs(void **state)
{
    struct fixture *f = *state;

    for (int n = 1; n <= LIMIT_CONTEXT_PAIRS + 1; n++) {
        struct buf   text = BUF_INIT(64 * 1024);
        struct bytes got = { NULL, 0 };

        buf_add_str(&text, "{");
        for (int i = n; i > 0; i--)
            buf_addf(&text, "\"%03d\":\"%d\"%s", i, i, i == 1 ? "}" : ",");
        buf_reset(&f->scratch);
        enum kms_status status = op_context(&f->call, body_parse(&f->body, buf_bytes(&text)), &got,
                                            &f->err);
        assert_int_equal(status, n <= LIMIT_CONTEXT_PAIRS ? KMS_OK : KMS_E_VALIDATION);
        if (status == KMS_OK)
            assert_memory_equal(got.ptr + 4,
                                "\0\0\0\3"
                                "001"
                                "\0\0\0\1"
                                "1",
                                12);
        buf_release(&text);
    }
}

/* kms-behaviour 3.2 */
static void test_null_value(void **state)
{
    struct fixture *f = *state;
    struct bytes    got;

    assert_int_equal(op_context(&f->call, body_str(&f->body, "{\"a\":null}"), &got, &f->err),
                     KMS_E_VALIDATION);
    assert_string_equal(f->err.message, "Invalid EncryptionContext");
}

/* Between two requests nothing of the first is left; the buffers of its result are kept, empty. */
static void test_clear(void **state)
{
    struct fixture *f = *state;
    struct op_call  nothing;

    memset(&nothing, 0, sizeof nothing);
    vault_result_init(&f->call.result);
    buf_add(&f->call.result.plain, BYTES_LIT("secret"));
    f->call.now = 1;
    f->call.in.recipient = body_str(&f->body, "{}");
    f->call.attestation.public_key = BYTES_LIT("key");
    f->call.attestation.pcr[ATTESTATION_PCRS - 1] = BYTES_LIT("pcr");
    f->call.audit_extra = BYTES_LIT("{}");
    op_call_clear(&f->call);
    assert_memory_equal(&f->call, &nothing, offsetof(struct op_call, result));
    assert_int_equal(f->call.result.plain.len, 0);
    assert_memory_equal(f->call.result.plain.ptr, "\0\0\0\0\0", 6);
    vault_result_release(&f->call.result);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_layout),      CASE(test_empty),      CASE(test_order),
        CASE(test_unambiguous), CASE(test_two_stay),   CASE(test_limits),
        CASE(test_many_pairs),  CASE(test_null_value), CASE(test_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
