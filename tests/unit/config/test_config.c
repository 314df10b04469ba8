/* Unit tests of config/: the table, the file, the flags, and the manual that describes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "config/config.h"

/* Loads from a NULL-terminated list of arguments after the program's name. */
static enum kms_status load(struct config *c, enum config_action *action, struct kms_error *err,
                            const char *const *arguments)
{
    const char *argv[16] = { "trentd" };
    int         argc = 1;

    while (arguments[argc - 1] != NULL) {
        argv[argc] = arguments[argc - 1];
        argc++;
    }
    return config_load(argc, argv, c, action, err);
}

#define LOAD(...) load(&c, &action, &err, (const char *const[]){ __VA_ARGS__, NULL })

static void write_temp(char path[64], const char *text)
{
    (void)snprintf(path, 64, "/tmp/trent-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void defaults_are_development(void **state)
{
    struct config      c;
    enum config_action action;
    struct kms_error   err;

    (void)state;
    assert_int_equal(LOAD("--dev"), KMS_OK);
    assert_true(c.dev);
    assert_string_equal(c.listen, "127.0.0.1:8080");
    assert_string_equal(c.data, "./trent-data");
    assert_int_equal(c.rotation_delay_s, 0);
    assert_true(config_region(&c, BYTES_LIT("anything-1")));
    config_free(&c);
}

static void flags_win_over_the_file(void **state)
{
    struct config      c;
    enum config_action action;
    struct kms_error   err;
    char               path[64];

    (void)state;
    write_temp(path, "# a comment\n\nregions = eu-central-1, us-east-1\n  rotation-delay=7  "
                     "\nlisten = [::1]:1\n");
    assert_int_equal(LOAD("--listen", "127.0.0.1:0", "--config", path), KMS_OK);
    assert_string_equal(c.listen, "127.0.0.1:0");
    assert_int_equal(c.rotation_delay_s, 7);
    assert_true(config_region(&c, BYTES_LIT("us-east-1")));
    assert_false(config_region(&c, BYTES_LIT("us-east-2")));
    assert_false(config_region(&c, BYTES_LIT("")));
    config_free(&c);
    (void)unlink(path);
}

static void days_are_a_list(void **state)
{
    static const char *const wrong[] = {
        ",", "1,", "0", "366", "-1", "1;2", "1,,2", "x", "1,2,3,4,5,6,7,8,9", "30 7"
    };
    struct config      c;
    enum config_action action;
    struct kms_error   err;
    uint16_t           days[CONFIG_DAYS_MAX];

    (void)state;
    assert_int_equal(LOAD("--dev"), KMS_OK);
    assert_int_equal(config_warning_days(&c, days), 3);
    assert_true(days[0] == 30 && days[1] == 7 && days[2] == 1);
    config_free(&c);
    assert_int_equal(LOAD("--dev", "--expiry-warning-days="), KMS_OK);
    assert_int_equal(config_warning_days(&c, days), 0);
    config_free(&c);
    assert_int_equal(LOAD("--dev", "--expiry-warning-days=365, 2"), KMS_OK);
    assert_int_equal(config_warning_days(&c, days), 2);
    assert_true(days[0] == 365 && days[1] == 2);
    config_free(&c);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(LOAD("--dev", "--expiry-warning-days", wrong[i]), KMS_E_VALIDATION);
        config_free(&c);
    }
}

/* Each refusal names the place and what would be right. */
static void refusals_say_where(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "regions = a-b-1\nnonsense = 1\n", ":2: there is no setting 'nonsense'" },
        { "rotation-delay = soon\n",
          ":1: 'soon' for rotation-delay is not a whole number from 0 to 86400" },
        { "rotation-delay = 86401\n", "not a whole number from 0 to 86400" },
        { "audit-sync = never\n", ":1: 'never' for audit-sync is not one of: written, always" },
        { "dev = yes\n", "neither true nor false" },
        { "regions\n", ":1: expected 'name = value'" },
    };
    struct config      c;
    enum config_action action;
    struct kms_error   err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[64];
        write_temp(path, cases[i].text);
        assert_int_equal(LOAD("--config", path), KMS_E_VALIDATION);
        if (strstr(err.detail, cases[i].expected) == NULL)
            fail_msg("'%s' gave '%s'", cases[i].text, err.detail);
        config_free(&c);
        (void)unlink(path);
    }
}

static void what_does_not_fit_together(void **state)
{
    struct config      c;
    enum config_action action;
    struct kms_error   err;

    (void)state;
    assert_int_equal(LOAD("--listen=:1"), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, "regions is empty"));
    config_free(&c);
    assert_int_equal(LOAD("--dev", "--tls-cert=x"), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, "tls-cert and tls-key"));
    config_free(&c);
    assert_int_equal(LOAD("--dev", "--listen"), KMS_E_VALIDATION);
    assert_non_null(strstr(err.detail, "a value is missing"));
    config_free(&c);
    assert_int_equal(LOAD("--dev", "stray"), KMS_E_VALIDATION);
    config_free(&c);
}

static void actions(void **state)
{
    struct config      c;
    enum config_action action;
    struct kms_error   err;

    (void)state;
    assert_int_equal(LOAD("--help"), KMS_OK);
    assert_int_equal(action, CONFIG_HELP);
    config_free(&c);
    assert_int_equal(LOAD("--print-config"), KMS_OK); /* without Regions: shows them as empty */
    assert_int_equal(action, CONFIG_PRINT);
    config_free(&c);
    assert_int_equal(LOAD("--check-config"), KMS_E_VALIDATION);
    config_free(&c);
}

/* What --print-config prints is a configuration file that gives the same settings. */
static void printed_settings_load_again(void **state)
{
    struct config      c;
    enum config_action action;
    struct kms_error   err;
    char               path[64];

    (void)state;
    CLEANUP(buf_release) struct buf first = BUF_INIT(65536);
    CLEANUP(buf_release) struct buf second = BUF_INIT(65536);
    assert_int_equal(LOAD("--dev", "--rotation-delay=5", "--audit-sync=always", "--regions=a-b-1"),
                     KMS_OK);
    config_print(&c, &first);
    config_free(&c);
    buf_add_byte(&first, '\0');
    write_temp(path, (const char *)first.ptr);
    assert_int_equal(LOAD("--config", path), KMS_OK);
    config_print(&c, &second);
    buf_add_byte(&second, '\0');
    assert_string_equal((const char *)first.ptr, (const char *)second.ptr);
    config_free(&c);
    (void)unlink(path);
}

/* trentd.conf(5) has an entry for every setting, and none that does not exist. */
static void manual_has_every_setting(void **state)
{
    CLEANUP(buf_release) struct buf page = BUF_INIT(1 << 20);
    struct kms_error                err;
    size_t                          entries = 0;

    (void)state;
    if (!file_exists("man/trentd.conf.5"))
        fail_msg("run from the project's root");
    assert_int_equal(file_read("man/trentd.conf.5", &page, &err), KMS_OK);
    buf_add_byte(&page, '\0');
    for (size_t i = 0; i < config_setting_count(); i++) {
        char entry[128] = ".TP\n.B ";
        for (const char *n = config_setting_name(i); *n != '\0'; n++)
            (void)strncat(entry, *n == '-' ? "\\-" : (char[2]){ *n, '\0' },
                          sizeof entry - strlen(entry) - 1);
        (void)strncat(entry, "\n", sizeof entry - strlen(entry) - 1);
        if (strstr((const char *)page.ptr, entry) == NULL)
            fail_msg("trentd.conf(5) says nothing about %s", config_setting_name(i));
    }
    for (const char *at = (const char *)page.ptr; (at = strstr(at, ".TP\n.B ")) != NULL; at++)
        entries++;
    assert_int_equal(entries, config_setting_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_development),
        cmocka_unit_test(flags_win_over_the_file),
        cmocka_unit_test(days_are_a_list),
        cmocka_unit_test(refusals_say_where),
        cmocka_unit_test(what_does_not_fit_together),
        cmocka_unit_test(actions),
        cmocka_unit_test(printed_settings_load_again),
        cmocka_unit_test(manual_has_every_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
