/* The life of a key through its operations: states, descriptions, deletion, listings. */
#include "world.h"

static const int64_t DAY = 24 * 60 * 60 * INT64_C(1000);

static char *arn_of(const char *id)
{
    return textf("arn:aws:kms:us-east-1:111122223333:key/%s", id);
}

/* "<arn> is ...", as the state refuses it. */
static void state_refuses(struct world *w, const char *operation, const char *id, const char *more,
                          enum kms_status status, const char *is)
{
    char *body = textf("{\"KeyId\":\"%s\"%s}", id, more);
    char *arn = arn_of(id);
    char *want = textf("%s is %s.", arn, is);

    world_refused(w, operation, body, status, want);
    free(body);
    free(arn);
    free(want);
}

static enum key_state state_of(struct world *w, const char *id)
{
    return key_state_at(world_record(w, id), clock_now(w->clock));
}

/* --- enable, disable -------------------------------------------------------------------------- */

static void test_switch(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    assert_string_equal(world_ok(w, "DisableKey", "{\"KeyId\":\"%s\"}", id), "");
    assert_int_equal(state_of(w, id), KEY_DISABLED);
    assert_string_equal(world_ok(w, "EnableKey", "{\"KeyId\":\"%s\"}", id), "");
    assert_int_equal(state_of(w, id), KEY_ENABLED);
    assert_int_equal(world_record(w, id)->version, 3);
}

/* kms-behaviour 15.1: idempotent; nothing is written where nothing changes */
static void test_switch_twice(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    (void)world_ok(w, "EnableKey", "{\"KeyId\":\"%s\"}", id);
    assert_int_equal(world_record(w, id)->version, 1);
    (void)world_ok(w, "DisableKey", "{\"KeyId\":\"%s\"}", id);
    (void)world_ok(w, "DisableKey", "{\"KeyId\":\"%s\"}", id);
    assert_int_equal(world_record(w, id)->version, 2);
}

/* recorded-imports A4, A5 (R35); kms-behaviour 5.1 */
static void test_switch_states(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    state_refuses(w, "EnableKey", id, "", KMS_E_KEY_STATE, "pending import");
    state_refuses(w, "DisableKey", id, "", KMS_E_KEY_STATE, "pending import");
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    state_refuses(w, "EnableKey", id, "", KMS_E_KEY_STATE, "pending deletion");
    state_refuses(w, "DisableKey", id, "", KMS_E_KEY_STATE, "pending deletion");
}

/* --- description ------------------------------------------------------------------------------ */

static void test_description(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Description\":\"old\"", id);
    assert_string_equal(world_ok(w, "UpdateKeyDescription",
                                 "{\"KeyId\":\"%s\",\"Description\":\"new \xe2\x82\xac\"}", id),
                        "");
    assert_true(bytes_eq_str(world_record(w, id)->description, "new \xe2\x82\xac"));
    (void)world_ok(w, "UpdateKeyDescription", "{\"KeyId\":\"%s\",\"Description\":\"\"}", id);
    assert_int_equal(world_record(w, id)->description.len, 0);
    world_reopen(w);
    assert_int_equal(world_record(w, id)->version, 3);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    state_refuses(w, "UpdateKeyDescription", id, ",\"Description\":\"\"", KMS_E_KEY_STATE,
                  "pending deletion");
}

/* A lost update is run again, not forgotten. */
static void test_conflict(void **state)
{
    struct world *w = *state;
    struct run    a;
    struct run    b;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    char *first = textf("{\"KeyId\":\"%s\",\"Description\":\"first\"}", id);
    char *second = textf("{\"KeyId\":\"%s\"}", id);
    assert_int_equal(run_start(w, &a, "UpdateKeyDescription", first), KMS_OK);
    assert_int_equal(run_start(w, &b, "DisableKey", second), KMS_OK);
    assert_int_equal(run_commit(w, &b), KMS_OK);
    assert_int_equal(run_commit(w, &a), KMS_E_CHANGED);
    run_release(&a);
    run_release(&b);
    (void)world_ok(w, "UpdateKeyDescription", "%s", first);
    assert_int_equal(state_of(w, id), KEY_DISABLED);
    assert_true(bytes_eq_str(world_record(w, id)->description, "first"));
    free(first);
    free(second);
}

/* --- deletion --------------------------------------------------------------------------------- */

/* recorded-imports A61, 4.3: exactly these members; DeletionDate = call + window */
static void test_schedule(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
    const struct key_record *key = world_record(w, id);
    char *want = textf("{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:key/%s\",\"DeletionDate\":",
                       id);
    assert_memory_equal(w->answer.ptr, want, strlen(want));
    const char *rest = strchr((const char *)w->answer.ptr + strlen(want), ',');
    assert_string_equal(rest, ",\"KeyState\":\"PendingDeletion\",\"PendingWindowInDays\":7}");
    assert_in_range(clock_now(w->clock) + 7 * DAY - key->deletion_date, 0, 60 * 1000);
    assert_int_equal(key->state, KEY_PENDING_DELETION);
    free(want);
    state_refuses(w, "ScheduleKeyDeletion", id, ",\"PendingWindowInDays\":8", KMS_E_KEY_STATE,
                  "pending deletion");
    assert_int_equal(world_record(w, id)->pending_window_days, 7);
}

static void test_schedule_default(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    assert_non_null(strstr(world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id),
                           "\"PendingWindowInDays\":30}"));
    assert_in_range(clock_now(w->clock) + 30 * DAY - world_record(w, id)->deletion_date, 0,
                    60 * 1000);
}

/* kms-behaviour 9.2: the shape allows 1..365, the service 7..30 */
static void test_schedule_window(void **state)
{
    struct world    *w = *state;
    static const int refused[] = { 1, 6, 31, 365 };
    char             id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char *body = textf("{\"KeyId\":\"%s\",\"PendingWindowInDays\":%d}", id, refused[i]);
        world_refused(w, "ScheduleKeyDeletion", body, KMS_E_VALIDATION,
                      "PendingWindowInDays must be between 7 and 30");
        free(body);
    }
    world_refused(
        w, "ScheduleKeyDeletion", "{\"KeyId\":\"k\",\"PendingWindowInDays\":366}", KMS_E_VALIDATION,
        "1 validation error detected: Value '366' at 'pendingWindowInDays' failed to satisfy "
        "constraint: Member must have value less than or equal to 365");
    /* before any lookup */
    world_refused(w, "ScheduleKeyDeletion", "{\"KeyId\":\"nonsense\",\"PendingWindowInDays\":5}",
                  KMS_E_VALIDATION, "PendingWindowInDays must be between 7 and 30");
    assert_int_equal(state_of(w, id), KEY_ENABLED);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":30}", id);
}

/* CancelKeyDeletion: to Disabled, never straight to Enabled (9.2) */
static void test_cancel(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    state_refuses(w, "CancelKeyDeletion", id, "", KMS_E_KEY_STATE, "not pending deletion");
    (void)world_ok(w, "DisableKey", "{\"KeyId\":\"%s\"}", id);
    state_refuses(w, "CancelKeyDeletion", id, "", KMS_E_KEY_STATE, "not pending deletion");
    (void)world_ok(w, "EnableKey", "{\"KeyId\":\"%s\"}", id);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    char *arn = arn_of(id);
    char *want = textf("{\"KeyId\":\"%s\"}", arn);
    assert_string_equal(world_ok(w, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id), want);
    assert_int_equal(state_of(w, id), KEY_DISABLED);
    assert_int_equal(world_record(w, id)->deletion_date, 0);
    free(arn);
    free(want);
}

/* recorded-imports A63, R36 */
static void test_cancel_external(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    state_refuses(w, "CancelKeyDeletion", id, "", KMS_E_KEY_STATE, "not pending deletion");
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    (void)world_ok(w, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    assert_int_equal(state_of(w, id), KEY_PENDING_IMPORT);
}

/* The end of the window, before any job has run. */
static void test_gone(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
    world_wait(w, 7 * DAY + 1000);
    char *body = textf("{\"KeyId\":\"%s\"}", id);
    char *want = textf("Key 'arn:aws:kms:us-east-1:111122223333:key/%s' does not exist", id);
    world_refused(w, "DescribeKey", body, KMS_E_NOT_FOUND, want);
    world_refused(w, "CancelKeyDeletion", body, KMS_E_NOT_FOUND, want);
    assert_string_equal(world_ok(w, "ListKeys", "{}"), "{\"Keys\":[],\"Truncated\":false}");
    free(body);
    free(want);
}

/* --- DescribeKey ------------------------------------------------------------------------------ */

static void test_describe(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Description\":\"d\"", id);
    char *created = textf("%s", (const char *)w->answer.ptr);
    assert_string_equal(world_ok(w, "DescribeKey", "{\"KeyId\":\"%s\"}", id), created);
    assert_string_equal(
        world_ok(w, "DescribeKey", "{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:key/%s\"}", id),
        created);
    (void)world_ok(w, "CreateAlias", "{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"%s\"}", id);
    assert_string_equal(world_ok(w, "DescribeKey", "{\"KeyId\":\"alias/a\",\"GrantTokens\":[]}"),
                        created);
    world_refused(w, "DescribeKey", "{\"KeyId\":\"alias/a\",\"GrantTokens\":[\"t\"]}",
                  KMS_E_GRANT_TOKEN, "");
    assert_string_equal(
        world_ok(w, "DescribeKey", "{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:alias/a\"}"),
        created);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    assert_non_null(strstr(world_ok(w, "DescribeKey", "{\"KeyId\":\"%s\"}", id),
                           "\"KeyState\":\"PendingDeletion\",\"DeletionDate\":"));
    free(created);
}

/* --- ListKeys --------------------------------------------------------------------------------- */

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

static void test_list(void **state)
{
    struct world *w = *state;
    char          id[2][KEY_ID_MAX + 1];

    assert_string_equal(world_ok(w, "ListKeys", "{}"), "{\"Keys\":[],\"Truncated\":false}");
    world_key(w, "", id[0]);
    world_key(w, "\"Origin\":\"EXTERNAL\"", id[1]);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id[0]); /* still listed */
    char *want = textf(
        "{\"Keys\":[{\"KeyId\":\"%s\",\"KeyArn\":\"arn:aws:kms:us-east-1:111122223333:key/"
        "%s\"},{\"KeyId\":\"%s\",\"KeyArn\":\"arn:aws:kms:us-east-1:111122223333:key/%s\"}],"
        "\"Truncated\":false}",
        id[0], id[0], id[1], id[1]);
    assert_string_equal(world_ok(w, "ListKeys", "{}"), want);
    free(want);
    w->region = "us-west-2";
    assert_string_equal(world_ok(w, "ListKeys", "{}"), "{\"Keys\":[],\"Truncated\":false}");
    w->region = REGION;
    w->account = "444455556666";
    assert_string_equal(world_ok(w, "ListKeys", "{}"), "{\"Keys\":[],\"Truncated\":false}");
}

/* kms-behaviour 13.3: every key once, in order, NextMarker only when Truncated */
static void test_pages(void **state)
{
    struct world *w = *state;
    char          id[5][KEY_ID_MAX + 1];
    char          marker[1024] = "";
    size_t        seen = 0;

    for (size_t i = 0; i < 5; i++)
        world_key(w, "", id[i]);
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id[3]);
    world_wait(w, 8 * DAY); /* one in the middle is gone */
    for (;;) {
        const char *answer = marker[0] == '\0'
                                 ? world_ok(w, "ListKeys", "{\"Limit\":2}")
                                 : world_ok(w, "ListKeys", "{\"Limit\":2,\"Marker\":\"%s\"}",
                                            marker);
        assert_non_null(strstr(answer, id[seen]));
        assert_null(strstr(answer, id[3]));
        seen += count(answer, "KeyArn");
        if (strstr(answer, "\"Truncated\":true") == NULL) {
            assert_null(strstr(answer, "NextMarker"));
            break;
        }
        assert_int_equal(seen, 2);
        (void)snprintf(marker, sizeof marker, "%s", world_text(w, "NextMarker"));
    }
    assert_int_equal(seen, 4);
    /* a page that ends exactly at the end is not truncated */
    assert_non_null(strstr(world_ok(w, "ListKeys", "{\"Limit\":4}"), "\"Truncated\":false"));
    assert_non_null(strstr(world_ok(w, "ListKeys", "{\"Limit\":3}"), "\"Truncated\":true"));
}

/* More keys than are taken from the directory at once. */
static void test_many(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    for (int i = 0; i < 150; i++)
        world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    const char *answer = world_ok(w, "ListKeys", "{}");
    assert_int_equal(count(answer, "KeyArn"), 100); /* default */
    assert_non_null(strstr(answer, "\"Truncated\":true"));
    char *marker = textf("%s", world_text(w, "NextMarker"));
    answer = world_ok(w, "ListKeys", "{\"Limit\":1000,\"Marker\":\"%s\"}", marker);
    assert_int_equal(count(answer, "KeyArn"), 50);
    assert_non_null(strstr(answer, id));
    assert_int_equal(count(world_ok(w, "ListKeys", "{\"Limit\":1000}"), "KeyArn"), 150);
    free(marker);
}

/* recorded-imports J36: no message. A marker belongs to its account, Region and operation. */
static void test_markers(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    for (int i = 0; i < 2; i++) {
        world_key(w, "", id);
        (void)world_ok(w, "CreateAlias", "{\"AliasName\":\"alias/%d\",\"TargetKeyId\":\"%s\"}", i,
                       id);
    }
    world_refused(w, "ListKeys", "{\"Marker\":\"invalid\"}", KMS_E_MARKER, "");
    (void)world_ok(w, "ListKeys", "{\"Limit\":1}");
    char *body = textf("{\"Marker\":\"%s\"}", world_text(w, "NextMarker"));
    assert_int_equal(world_call(w, "ListKeys", body), KMS_OK);
    world_refused(w, "ListAliases", body, KMS_E_MARKER, "");
    w->region = "us-west-2";
    world_refused(w, "ListKeys", body, KMS_E_MARKER, "");
    w->region = REGION;
    w->account = "444455556666";
    world_refused(w, "ListKeys", body, KMS_E_MARKER, "");
    w->account = ACCOUNT;
    body[strlen(body) - 4] = body[strlen(body) - 4] == 'A' ? 'B' : 'A';
    world_refused(w, "ListKeys", body, KMS_E_MARKER, "");
    free(body);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_switch),
        CASE(test_switch_twice),
        CASE(test_switch_states),
        CASE(test_description),
        CASE(test_conflict),
        CASE(test_schedule),
        CASE(test_schedule_default),
        CASE(test_schedule_window),
        CASE(test_cancel),
        CASE(test_cancel_external),
        CASE(test_gone),
        CASE(test_describe),
        CASE(test_list),
        CASE(test_pages),
        CASE(test_many),
        CASE(test_markers),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
