/* tests/unit/seed/test_read.c - errors name the line and the path of what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "seed/seed.h"

static void check_refused(const char *text, const char *begins)
{
    CLEANUP(seed_freep) struct seed *seed = NULL;
    struct kms_error                 err;

    assert_int_equal(seed_read("f", bytes_str(text), true, &seed, &err), KMS_E_VALIDATION);
    assert_null(seed);
    if (strncmp(err.message, begins, strlen(begins)) != 0)
        fail_msg("'%s' does not begin with '%s'", err.message, begins);
}

static void test_line_and_path(void **state)
{
    (void)state;
    check_refused("{\n\n \"Kyes\": []}", "f:3: $: there is no member 'Kyes'");
    check_refused("{\"Region\":\n\"Frankfurt\"\n}", "f:1: $.Region: "); /* where its name stands */
    check_refused("{\"Keys\": [\n{\"Region\": \"a-b-1\",\n\"KeyId\": 7}]}",
                  "f:3: $.Keys[0].KeyId: ");
    check_refused("{\"Accounts\": [{\"AccountId\": \"111122223333\"},\n\n"
                  "{\"AccountId\": \"1\"}]}",
                  "f:3: $.Accounts[1].AccountId: ");
    check_refused("[]", "f:1: $: ");
}

static void test_line_of_broken_json(void **state)
{
    (void)state;
    check_refused("{\n\"Keys\": [}\n}\n", "f:2: $: ");
    check_refused("", "f:1: $: ");
}

/* Strings are unescaped in place; the lines behind them are those of the file all the same. */
static void test_escapes_do_not_move_lines(void **state)
{
    (void)state;
    check_refused("{\"Comment\": \"\\n\\n\\u000a\\u00e4\",\n\"Region\": \"a-b-1\",\n"
                  "\"Keys\": [\n{\"Description\": \"\\n\\n\",\n\"KeyId\": \"orders\"}]}",
                  "f:5: $.Keys[0].KeyId: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_and_path),
        cmocka_unit_test(test_line_of_broken_json),
        cmocka_unit_test(test_escapes_do_not_move_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
