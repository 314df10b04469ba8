/* tests/unit/webhook/test_sign.c - secrets as they stand in files, and the signature of an event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "webhook/internal.h"

static bool good(const char *text)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;
    struct kms_error                     err;

    return webhook_secret_parse(bytes_str(text), &secret, &err) == KMS_OK;
}

static void secrets_of_files(void **state)
{
    char long_one[SECRET_MAX + 2];

    (void)state;
    memset(long_one, 'x', sizeof long_one);
    long_one[SECRET_MAX] = '\0';
    assert_true(good(long_one));
    long_one[SECRET_MAX] = 'x';
    long_one[SECRET_MAX + 1] = '\0';
    assert_false(good(long_one));
    assert_true(good("123456789012345678901234"));
    assert_true(good("123456789012345678901234 \r\n\n"));
    assert_false(good("12345678901234567890123\n"));
    assert_false(good("123456789012345678901234\n123456789012345678901234"));
    assert_true(good("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"));
    assert_false(good("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La"));     /* 21 bytes */
    assert_false(good("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!")); /* no base64 */
    assert_false(good(""));
    assert_false(good("whsec_"));
}

/* The example of the specification that the headers follow, also computed by Python's hmac. */
static void signature(void **state)
{
    CLEANUP(secret_freep) struct secret *secret = NULL;
    struct kms_error                     err;
    struct webhook_headers               h;
    struct delivery                      d = { .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                               .body = BYTES_LIT("{\"test\": 2432232314}") };

    (void)state;
    assert_int_equal(
        webhook_secret_parse(BYTES_LIT("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &secret, &err),
        KMS_OK);
    webhook_sign(secret, &d, 1614265330, &h);
    assert_string_equal(h.id, "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_string_equal(h.timestamp, "webhook-timestamp: 1614265330");
    assert_string_equal(h.signature,
                        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_string_equal(h.list[0], "content-type: application/json");
    assert_true(h.list[1] == h.id && h.list[2] == h.timestamp && h.list[3] == h.signature &&
                h.list[4] == NULL);
}

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_of_files),
        cmocka_unit_test(signature),
    };

    if (crypto_init(&err) != KMS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    crypto_cleanup();
    return failed;
}
