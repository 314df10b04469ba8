/* tests/unit/key/test_state_docs.c - the tables of docs/key-states.md are those of the code. A
 * table that differs is printed as it should be. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "fixture.h"
#include "key/state.h"

enum { DOC_MAX = 256 * 1024, TABLE_MAX = 16 * 1024, LEVELS_MAX = 8 };

/* Reads docs/key-states.md in a folder above `start`. */
static bool read_above(const char *start, struct buf *doc)
{
    struct kms_error err;
    char             at[PATH_MAX];
    char             path[PATH_MAX + 32];

    (void)snprintf(at, sizeof at, "%s", start);
    for (int i = 0; i < LEVELS_MAX && strrchr(at, '/') != NULL; i++) {
        (void)snprintf(path, sizeof path, "%s/docs/key-states.md", at);
        if (file_exists(path))
            return file_read(path, doc, &err) == KMS_OK;
        *strrchr(at, '/') = '\0';
    }
    return false;
}

/* The tree is above the test program, or above where it was started. */
static int read_doc(void **state)
{
    static struct buf doc;
    char              program[PATH_MAX] = { 0 };
    char              here[PATH_MAX] = { 0 };

    buf_init(&doc, DOC_MAX);
    *state = &doc;
    if (readlink("/proc/self/exe", program, sizeof program - 1) > 0 && read_above(program, &doc))
        return 0;
    if (getcwd(here, sizeof here) != NULL && read_above(here, &doc))
        return 0;
    print_error("no docs/key-states.md above the test\n");
    return -1;
}

static int release_doc(void **state)
{
    buf_release(*state);
    return 0;
}

static void assert_in_doc(const struct buf *doc, struct buf *table)
{
    assert_true(buf_ok(table));
    if (memmem(doc->ptr, doc->len, table->ptr, table->len) == NULL)
        fail_msg("docs/key-states.md lacks this table:\n%.*s", BYTES_FMT(buf_bytes(table)));
}

static void test_states_and_events(void **state)
{
    CLEANUP(buf_release) struct buf t = BUF_INIT(TABLE_MAX);

    buf_add_str(&t, "| |");
    for (int e = 0; e < KEY_EVENT_COUNT; e++)
        buf_addf(&t, " %s |", key_event_name((enum key_event)e));
    buf_add_str(&t, "\n|---|");
    for (int e = 0; e < KEY_EVENT_COUNT; e++)
        buf_add_str(&t, "---|");
    for (int s = 0; s < KEY_STATE_COUNT; s++) {
        buf_addf(&t, "\n| **%s** |", key_state_name((enum key_state)s));
        for (int e = 0; e < KEY_EVENT_COUNT; e++) {
            enum key_state to = key_state_after((enum key_state)s, (enum key_event)e);
            buf_addf(&t, " %s |", to == KEY_STATE_COUNT ? "-" : key_state_name(to));
        }
    }
    buf_add_str(&t, "\n\n");
    assert_in_doc(*state, &t);
}

static const char *role_after(enum material_role role)
{
    return role == MATERIAL_ROLE_COUNT ? "the entry goes" : material_role_name(role);
}

static void test_roles(void **state)
{
    CLEANUP(buf_release) struct buf t = BUF_INIT(TABLE_MAX);

    buf_add_str(&t, "| role | after a completed rotation | after DeleteImportedKeyMaterial |\n"
                    "|---|---|---|");
    for (int r = 0; r < MATERIAL_ROLE_COUNT; r++) {
        enum material_role role = (enum material_role)r;
        buf_addf(&t, "\n| `%s` | `%s` | %s%s%s |", material_role_name(role),
                 role_after(material_role_rotated(role)),
                 material_role_deleted(role) == MATERIAL_ROLE_COUNT ? "" : "`",
                 role_after(material_role_deleted(role)),
                 material_role_deleted(role) == MATERIAL_ROLE_COUNT ? "" : "`, missing");
    }
    buf_add_str(&t, "\n\n");
    assert_in_doc(*state, &t);
}

static void test_refusals(void **state)
{
    CLEANUP(buf_release) struct buf              t = BUF_INIT(TABLE_MAX);
    CLEANUP(key_record_freep) struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_EXTERNAL);
    struct kms_error                             err;

    buf_add_str(&t, "| state | refusal |\n|---|---|");
    for (int s = 0; s < KEY_STATE_COUNT; s++) {
        enum key_state now = (enum key_state)s;
        if (now == KEY_ENABLED)
            continue; /* only CancelKeyDeletion refuses it, and that has a text of its own */
        enum kms_status status = key_state_check(k, now, STATES_ALL & ~KEY_IN(now), &err);
        buf_addf(&t, "\n| %s | %s `<arn>%s` |", key_state_name(now), kms_status_wire(status),
                 err.message + k->name.arn.len);
    }
    buf_add_str(&t, "\n\n");
    assert_in_doc(*state, &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_and_events),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, read_doc, release_doc);
}
