/* tests/unit/ctl/test_common.c - finding the command, its options, and saying things in rows. */
#include "tool.h"

#define RUN(name, args) CLEANUP(tool_free) struct tool_run name = tool("/nonexistent", args, NULL)

static void test_help_lists_every_command(void **state)
{
    RUN(run, "--help");

    (void)state;
    assert_code(run, EX_OK);
    for (size_t i = 0; i < ctl_command_count; i++)
        assert_says(run.out, ctl_commands[i].name);
    assert_string_equal(run.err, "");
}

static void test_every_command_has_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < ctl_command_count; i++) {
        char args[100];
        (void)snprintf(args, sizeof args, "%s --help", ctl_commands[i].name);
        RUN(run, args);
        assert_code(run, EX_OK);
        assert_says(run.out, "usage: trent ");
        assert_says(run.out, ctl_commands[i].synopsis);
        assert_says(run.out, "--data DIR");
    }
}

static void test_version(void **state)
{
    RUN(run, "--version");

    (void)state;
    assert_code(run, EX_OK);
    assert_string_equal(run.out, "trent " TRENT_VERSION "\n");
}

static void test_what_is_wrong_is_said_in_one_line(void **state)
{
    static const struct {
        const char *args, *says;
    } cases[] = {
        { "", "which command?" },
        { "nope", "no command 'nope'" },
        { "audit", "no command 'audit'; is 'trent audit verify' meant?" },
        { "audit nope", "no command 'audit'" },
        { "init extra", "'extra' is one argument too many" },
        { "receipts a b", "'b' is one argument too many" },
        { "init --nope", "no option '--nope'; see 'trent init --help'" },
        { "init --account", "--account needs a value" },
        { "init --account=", "--account needs a value" },
        { "audit verify --allow-tail=yes", "--allow-tail takes no value" },
        { "audit verify --from x", "--from needs a whole number, not 'x'" },
        { "audit verify --to -1", "--to needs a whole number, not '-1'" },
        { "audit verify --to 99999999999999999999", "--to needs a whole number" },
        { "status --data", "--data needs a folder" },
        { "status --data=", "--data needs a folder" },
        { "init --account 12345", "'12345' is not an account id" },
        { "nope\x1b[2J", "no command 'nope?[2J'" }, /* nothing reaches the terminal unfiltered */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        RUN(run, cases[i].args);
        assert_code(run, EX_USAGE);
        assert_says(run.err, cases[i].says);
        assert_string_equal(run.out, "");
        assert_ptr_equal(strchr(run.err, '\n'), run.err + run.err_len - 1);
    }
}

static void test_global_options_stand_anywhere(void **state)
{
    static const char *const places[] = {
        "--data %/x status",
        "status --data %/x",
        "status --data=%/x",
        "--json status --data %/x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        RUN(run, places[i]);
        assert_code(run, EX_NOINPUT);
        assert_says(run.err, "no data directory '/nonexistent/x'");
    }
}

static void test_rows_name_values_by_path(void **state)
{
    static const char text[] =
        "{\"a\":1,\"b\":{\"c\":\"x\\ny\",\"d\":{\"e\":true}},\"f\":[10,{\"g\":null}],"
        "\"h\":{},\"i\":1.5}";
    CLEANUP(buf_release) struct buf          in = BUF_INIT(4096);
    CLEANUP(buf_release) struct buf          out = BUF_INIT(4096);
    CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
    struct json                              root;

    (void)state;
    buf_add_str(&in, text);
    assert_true(buf_reserve(&in, JSON_PADDING));
    assert_int_equal(json_parse(doc, in.ptr, in.len, &root, NULL), KMS_OK);
    ctl_rows(&out, root);
    buf_add_byte(&out, 0);
    assert_string_equal((char *)out.ptr, "a                                1\n"
                                         "b.c                              x?y\n"
                                         "b.d.e                            yes\n"
                                         "f.0                              10\n"
                                         "f.1.g                            -\n"
                                         "i                                1.5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_lists_every_command),
        cmocka_unit_test(test_every_command_has_help),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_what_is_wrong_is_said_in_one_line),
        cmocka_unit_test(test_global_options_stand_anywhere),
        cmocka_unit_test(test_rows_name_values_by_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
