/* tests/unit/store/test_deliveries.c - what the webhook is to be told: it comes with its event or not at
 * all, in order, a page at a time, until it is deleted. */
#include "fixture.h"

/* Names of the deliveries that were read, in order. */
struct names {
    char     text[16];
    size_t   n;
    uint64_t last;
};

static enum kms_status take(void *ctx, const struct delivery *d, struct kms_error *reterr)
{
    struct names *to = ctx;
    char          name = (char)d->key_arn.ptr[4];
    char          body[32];

    (void)reterr;
    assert_true(d->serial > to->last && to->n + 1 < sizeof to->text);
    to->last = d->serial;
    to->text[to->n++] = name;
    (void)snprintf(body, sizeof body, "{\"body\":\"%c\"}", name);
    assert_true(bytes_eq_str(d->body, body));
    assert_int_equal(d->at, 1000 + name);
    assert_true(strlen(d->id) == UUID_TEXT && d->id[0] == name);
    return KMS_OK;
}

static void expect(struct fixture *f, uint64_t after, size_t max, const char *names)
{
    struct names         got = { .n = 0 };
    struct store_visitor v = { .ctx = &got, .delivery = take };

    assert_ok(f, f->store->ops->read_deliveries(f->store, after, max, &v, &f->error));
    assert_string_equal(got.text, names);
}

static void add(struct fixture *f, const char *names)
{
    CLEANUP(change_release) struct change c = { .event = BUF_INIT(100) };

    buf_add_str(&c.event, "{\"a\":1");
    for (size_t i = 0; names[i] != '\0'; i++)
        fixture_add_caused(&c, names[i]);
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
}

static void take_away(struct fixture *f, const uint64_t *serials, size_t n)
{
    CLEANUP(change_release) struct change c = { 0 };

    for (size_t i = 0; i < n; i++)
        change_add(&c, ROW_DELIVERY_DELETE)->delivery = serials[i];
    assert_int_equal(fixture_apply(f, &c), KMS_OK);
}

static void test_in_order_until_deleted(void **state)
{
    struct fixture      *f = *state;
    struct names         all = { .n = 0 };
    struct store_visitor v = { .ctx = &all, .delivery = take };

    expect(f, 0, 10, "");
    add(f, "ab"); /* events 1 to 3: the change's own and two that it caused */
    add(f, "c");  /* 4 and 5 */
    expect(f, 0, 10, "abc");
    expect(f, 0, 2, "ab");
    expect(f, 3, 2, "c");
    fixture_reopen(f);
    assert_ok(f, f->store->ops->load(f->store, &v, &f->error));
    assert_string_equal(all.text, "abc");
    take_away(f, (const uint64_t[]){ 2, 5 }, 2);
    expect(f, 0, 10, "b");
    take_away(f, (const uint64_t[]){ 2, 3, 77 }, 3); /* what is gone is gone */
    expect(f, 0, 10, "");
    assert_ok(f, f->store->ops->check(f->store, &f->error));
}

/* A batch that drops the event from the outbox leaves what is to be delivered. */
static void test_the_outbox_goes_first(void **state)
{
    struct fixture    *f = *state;
    struct store_batch b = { .outbox_done = 2 };

    add(f, "a");
    assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
    fixture_reopen(f);
    expect(f, 0, 10, "a");
    add(f, "b");
    expect(f, 2, 10, "b");
}

/* Refused with its change, and when nobody is to be told. */
static void test_none_without_its_change(void **state)
{
    struct fixture                       *f = *state;
    CLEANUP(change_release) struct change refused = { 0 };
    CLEANUP(change_release) struct change silent = { 0 };

    change_add(&refused, ROW_TOMBSTONE_ERASED)->tombstone = random_tombstone(f);
    refused.rows[0].tombstone->serial = 5; /* there is none */
    fixture_add_caused(&refused, 'r');
    assert_int_equal(fixture_apply(f, &refused), KMS_E_CHANGED);
    fixture_add_caused(&silent, 's');
    silent.caused[0].tell = false;
    assert_int_equal(fixture_apply(f, &silent), KMS_OK);
    expect(f, 0, 10, "");
    add(f, "x"); /* 1 was the silent one's */
    expect(f, 2, 10, "x");
}

static void test_a_changed_row_is_refused(void **state)
{
    struct fixture      *f = *state;
    struct names         got = { .n = 0 };
    struct store_visitor v = { .ctx = &got, .delivery = take };

    add(f, "a");
    fixture_close(f);
    fixture_sql(f, "UPDATE deliveries SET body = '{}'");
    fixture_open(f);
    assert_int_equal(f->store->ops->read_deliveries(f->store, 0, 10, &v, &f->error),
                     KMS_E_INTERNAL);
    assert_non_null(strstr(f->error.detail, "deliveries"));
    assert_int_equal(got.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_in_order_until_deleted),
        TEST(test_the_outbox_goes_first),
        TEST(test_none_without_its_change),
        TEST(test_a_changed_row_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
