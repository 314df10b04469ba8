/* tests/unit/ctl/test_restore.c - `trent restore accept`: when it acts, and what it leaves. What the
 * server makes of it: tests/faults/test_restore.py. */
#include "tool.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"

static void make(const char *folder)
{
    CLEANUP(tool_free) struct tool_run run = tool(folder, "init --data %/data", NULL);

    assert_code(run, EX_OK);
}

static void path_of(const char *folder, const char *name, char ret[256])
{
    (void)snprintf(ret, 256, "%s/data/%s", folder, name);
}

static void lose(const char *folder, const char *name)
{
    char path[256];

    path_of(folder, name, path);
    assert_int_equal(unlink(path), 0);
}

static bool is_there(const char *folder, const char *name)
{
    char path[256];

    path_of(folder, name, path);
    return access(path, F_OK) == 0;
}

static void test_says_what_it_means_first(void **state)
{
    const char *folder = *state;

    make(folder);
    lose(folder, "erasable.slots");
    CLEANUP(tool_free) struct tool_run text = tool(folder, "restore accept --data %/data", NULL);
    CLEANUP(tool_free) struct tool_run json = tool(folder, "restore accept --json --data %/data",
                                                   NULL);
    assert_code(text, 1);
    assert_says(text.out, "erasable.slots' is missing");
    assert_says(text.out, "All imported key material in this directory is gone for good");
    assert_says(text.out, "add --forget-imported");
    assert_code(json, 1);
    assert_says(json.out, "\"accepted\":false");
    assert_false(is_there(folder, "erasable.slots"));
}

static void test_makes_an_empty_one(void **state)
{
    const char *folder = *state;

    make(folder);
    lose(folder, "erasable.slots");
    CLEANUP(tool_free) struct tool_run run = tool(
        folder, "restore accept --forget-imported --json --data %/data", NULL);
    assert_code(run, EX_OK);
    assert_string_equal(run.err, "");
    assert_says(run.out, "\"accepted\":true");
    assert_says(run.out, "\"slotFileGeneration\":1048576"); /* far above what anybody has seen */
    assert_true(is_there(folder, "erasable.slots"));
    assert_false(is_there(folder, "erasable.slots.new"));

    CLEANUP(tool_free) struct tool_run verify = tool(folder, "audit verify --data %/data", NULL);
    assert_code(verify, 0);
    char command[512];
    (void)snprintf(command, sizeof command,
                   "grep -q '\"TrentRestoreAccepted\".*\"slotFileGeneration\":1048576' "
                   "'%s'/data/audit/trent-*.jsonl",
                   folder);
    assert_int_equal(system(command), 0);

    CLEANUP(tool_free) struct tool_run again = tool(
        folder, "restore accept --forget-imported --data %/data", NULL);
    assert_code(again, EX_DATAERR);
    assert_says(again.err, "nothing is lost, and nothing was changed");
}

static void test_a_root_key_elsewhere(void **state)
{
    const char                        *folder = *state;
    CLEANUP(tool_free) struct tool_run made = tool(folder, "init --data %/data --root-key %/my.key",
                                                   NULL);

    assert_code(made, EX_OK);
    lose(folder, "erasable.slots");
    CLEANUP(tool_free) struct tool_run without = tool(
        folder, "restore accept --forget-imported --data %/data", NULL);
    assert_code(without, EX_DATAERR);
    assert_says(without.err, "root.key' is missing");
    assert_false(is_there(folder, "erasable.slots"));
    CLEANUP(tool_free) struct tool_run with = tool(
        folder, "restore accept --forget-imported --root-key %/my.key --data %/data", NULL);
    assert_code(with, EX_OK);
    assert_says(with.out, "An empty '");
    assert_true(is_there(folder, "erasable.slots"));
}

/* Whatever else is missing has to be put back first: nothing is made beside half a backup. */
static void test_half_a_backup(void **state)
{
    static const char *const names[] = { "durable.slots", "trent.db", "instance.sealed" };
    const char              *folder = *state;

    make(folder);
    lose(folder, "erasable.slots");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char there[256], aside[256];
        path_of(folder, names[i], there);
        path_of(folder, "aside", aside);
        assert_int_equal(rename(there, aside), 0);
        CLEANUP(tool_free) struct tool_run run = tool(
            folder, "restore accept --forget-imported --data %/data", NULL);
        assert_code(run, EX_DATAERR);
        assert_says(run.err, names[i]);
        assert_says(run.err, "is missing: put everything back");
        assert_false(is_there(folder, "erasable.slots"));
        assert_int_equal(rename(aside, there), 0);
    }
}

static void test_no_directory(void **state)
{
    CLEANUP(tool_free) struct tool_run run = tool(*state, "restore accept --data %/none", NULL);

    assert_code(run, EX_DATAERR);
    assert_says(run.err, "there is no data directory");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_says_what_it_means_first),
        IN_FOLDER(test_makes_an_empty_one),
        IN_FOLDER(test_a_root_key_elsewhere),
        IN_FOLDER(test_half_a_backup),
        IN_FOLDER(test_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
