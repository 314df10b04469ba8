/* tests/unit/ctl/test_init.c - `trent init`: a data directory that is complete and private. */
#include "tool.h"

#include <sys/stat.h>
#include <unistd.h>

static void assert_mode(const char *folder, const char *name, mode_t want)
{
    char        path[256];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (stat(path, &st) != 0)
        fail_msg("no '%s'", path);
    if ((st.st_mode & 07777) != want)
        fail_msg("'%s' has mode %o", path, (unsigned)st.st_mode & 07777);
}

/* The value of a row "name   value". */
static void value_of(const char *text, const char *name, char ret[128])
{
    const char *row = strstr(text, name);

    assert_non_null(row);
    assert_int_equal(sscanf(row + strlen(name), " %127s", ret), 1);
}

static void test_makes_a_private_directory(void **state)
{
    const char                        *folder = *state;
    char                               value[128];
    CLEANUP(tool_free) struct tool_run run = tool(folder, "init --data %/data", NULL);

    assert_code(run, EX_OK);
    assert_string_equal(run.err, "");
    value_of(run.out, "account", value);
    assert_int_equal(strlen(value), 12);
    assert_int_equal(strspn(value, "0123456789"), 12);
    assert_int_not_equal(value[0], '0');
    value_of(run.out, "access key id", value);
    assert_int_equal(strncmp(value, "AKIA", 4), 0);
    assert_int_equal(strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 20);
    value_of(run.out, "secret access key", value);
    assert_int_equal(strlen(value), 40);

    assert_mode(folder, "data", 0700);
    assert_mode(folder, "data/root.key", 0400);
    assert_mode(folder, "data/instance.sealed", 0600);
    assert_mode(folder, "data/trent.db", 0600);
    assert_mode(folder, "data/audit", 0700);
    assert_mode(folder, "data/audit/audit.pub", 0644);
}

static void test_the_secret_is_not_in_the_files(void **state)
{
    const char                        *folder = *state;
    char                               secret[128];
    char                               command[512];
    CLEANUP(tool_free) struct tool_run run = tool(folder, "init --data %/data", NULL);

    assert_code(run, EX_OK);
    value_of(run.out, "secret access key", secret);
    (void)snprintf(command, sizeof command, "grep -rqF -- '%s' '%s'", secret, folder);
    assert_int_not_equal(system(command), 0);
    (void)snprintf(command, sizeof command, "grep -rqF -- TrentInstanceCreated '%s'", folder);
    assert_int_equal(system(command), 0); /* the search finds what is there */
}

static void test_never_touches_what_is_there(void **state)
{
    const char                        *folder = *state;
    CLEANUP(tool_free) struct tool_run first = tool(folder, "init --data %/data", NULL);
    CLEANUP(tool_free) struct tool_run again = tool(folder, "init --data %/data", NULL);
    CLEANUP(tool_free) struct tool_run after = tool(folder, "audit verify --data %/data", NULL);

    assert_code(first, EX_OK);
    assert_code(again, EX_CANTCREAT);
    assert_says(again.err, "exists already");
    assert_string_equal(again.out, "");
    assert_code(after, 0);
}

/* Nothing is left behind that a second try would stumble over. */
static void test_no_folder_for_the_root_key(void **state)
{
    const char                        *folder = *state;
    CLEANUP(tool_free) struct tool_run bad = tool(
        folder, "init --data %/data --root-key %/none/root", NULL);
    CLEANUP(tool_free) struct tool_run good = tool(folder, "init --data %/data --root-key %/root",
                                                   NULL);
    CLEANUP(tool_free) struct tool_run taken = tool(folder, "init --data %/other --root-key %/root",
                                                    NULL);

    assert_code(bad, EX_CANTCREAT);
    assert_says(bad.err, "none' for the root key: make it first");
    assert_code(good, EX_OK);
    assert_code(taken, EX_CANTCREAT);
    assert_says(taken.err, "name another file for it");
}

static void test_a_root_key_elsewhere(void **state)
{
    const char                        *folder = *state;
    CLEANUP(tool_free) struct tool_run run = tool(
        folder, "init --data %/data --root-key %/my.key --account 123456789012 --json", NULL);

    assert_code(run, EX_OK);
    assert_mode(folder, "my.key", 0400);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/data/root.key", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_says(run.out, "\"account\":\"123456789012\"");
    assert_says(run.out, "\"accessKeyId\":\"AKIA");
    assert_says(run.out, "\"secretAccessKey\":\"");
    assert_says(run.out, "/my.key\"");

    /* and an existing key file is not overwritten */
    CLEANUP(tool_free) struct tool_run other = tool(
        folder, "init --data %/other --root-key %/my.key", NULL);
    assert_code(other, EX_CANTCREAT);
    assert_says(other.err, "my.key");
}

static void test_a_folder_that_cannot_be_made(void **state)
{
    CLEANUP(tool_free) struct tool_run run = tool(*state, "init --data %/no/such/parent", NULL);

    assert_code(run, EX_CANTCREAT);
    assert_says(run.err, "/no/such/parent");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_makes_a_private_directory),   IN_FOLDER(test_the_secret_is_not_in_the_files),
        IN_FOLDER(test_never_touches_what_is_there), IN_FOLDER(test_no_folder_for_the_root_key),
        IN_FOLDER(test_a_root_key_elsewhere),        IN_FOLDER(test_a_folder_that_cannot_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
