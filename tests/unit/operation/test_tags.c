/* Tags (kms-behaviour 3.2, 13.2, 18 #25). */
#include "world.h"

static void list_is(struct world *w, const char *id, const char *want)
{
    char *whole = textf("{\"Tags\":[%s],\"Truncated\":false}", want);

    assert_string_equal(world_ok(w, "ListResourceTags", "{\"KeyId\":\"%s\"}", id), whole);
    free(whole);
}

static void tag_refused(struct world *w, const char *id, const char *tags, const char *message)
{
    char *body = textf("{\"KeyId\":\"%s\",\"Tags\":[%s]}", id, tags);

    world_refused(w, "TagResource", body, KMS_E_TAG, message);
    free(body);
}

#define TAG(key, value) "{\"TagKey\":\"" key "\",\"TagValue\":\"" value "\"}"

/* "ListResourceTags returned tags in insertion order, updated ones in place" */
static void test_order(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    list_is(w, id, "");
    assert_string_equal(world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id,
                                 TAG("b", "1") "," TAG("a", "2") "," TAG("c", "")),
                        "");
    list_is(w, id, TAG("b", "1") "," TAG("a", "2") "," TAG("c", ""));
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id,
                   TAG("d", "4") "," TAG("a", "new") "," TAG("A", "case"));
    world_reopen(w);
    list_is(
        w, id,
        TAG("b", "1") "," TAG("a", "new") "," TAG("c", "") "," TAG("d", "4") "," TAG("A", "case"));
}

static void test_untag(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Tags\":[" TAG("a", "1") "," TAG("b", "2") "," TAG("c", "3") "]", id);
    assert_string_equal(world_ok(w, "UntagResource",
                                 "{\"KeyId\":\"%s\",\"TagKeys\":[\"b\",\"unknown\",\"B\"]}", id),
                        "");
    list_is(w, id, TAG("a", "1") "," TAG("c", "3"));
    (void)world_ok(w, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"a\",\"a\",\"c\"]}", id);
    world_reopen(w);
    list_is(w, id, "");
    (void)world_ok(w, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[]}", id);
}

static void test_texts(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Tags\":[" TAG("a", "1") "]", id);
    tag_refused(w, id, TAG("b", "1") "," TAG("b", "2"), "Duplicate tag keys");
    tag_refused(w, id, TAG("aws:b", "1"), "Tags beginning with aws: are reserved");
    tag_refused(w, id, TAG("AwS:b", "1"), "Tags beginning with aws: are reserved");
    tag_refused(w, id, TAG("AWS:", "1"), "Tags beginning with aws: are reserved");
    tag_refused(w, id, TAG("a,b", "1"), "Invalid tag");
    tag_refused(w, id, TAG("b", "1,2"), "Invalid tag");
    tag_refused(w, id, TAG("b", "\\u0001"), "Invalid tag");
    list_is(w, id, TAG("a", "1")); /* nothing of the refused ones */
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id,
                   TAG("aws", "aws:x") "," TAG("Az9 _.:/=+-@", "\xc3\xa9 \xf0\x9d\x84\x9e"));
}

static void add_tags(struct buf *out, int from, int to)
{
    for (int i = from; i < to; i++)
        buf_addf(out, "%s{\"TagKey\":\"k%d\",\"TagValue\":\"v\"}", i == from ? "" : ",", i);
    buf_add_byte(out, 0);
}

/* At most 50, however they come. */
static void test_limit(void **state)
{
    struct world *w = *state;
    struct buf    tags = BUF_INIT(64 * 1024);
    char          id[KEY_ID_MAX + 1];

    world_key(w, "", id);
    add_tags(&tags, 0, 51);
    tag_refused(w, id, (const char *)tags.ptr, "Too many tags");
    buf_reset(&tags);
    add_tags(&tags, 0, 49);
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id,
                   (const char *)tags.ptr);
    tag_refused(w, id, TAG("x", "") "," TAG("y", ""), "Too many tags");
    assert_int_equal(world_record(w, id)->n_tags, 49);
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id,
                   TAG("x", "") "," TAG("k0", "again"));
    assert_int_equal(world_record(w, id)->n_tags, 50);
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id, TAG("k0", "more"));
    tag_refused(w, id, TAG("z", ""), "Too many tags");
    buf_release(&tags);
}

/* kms-behaviour 5.1; recorded-authz-multiregion 6.6 steps 10 and 11 */
static void test_states(void **state)
{
    struct world *w = *state;
    char          id[KEY_ID_MAX + 1];

    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    (void)world_ok(w, "TagResource", "{\"KeyId\":\"%s\",\"Tags\":[%s]}", id, TAG("a", "1"));
    (void)world_ok(w, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", id);
    char *want = textf("arn:aws:kms:us-east-1:111122223333:key/%s is pending deletion.", id);
    char *body = textf("{\"KeyId\":\"%s\",\"Tags\":[" TAG("b", "1") "]}", id);
    world_refused(w, "TagResource", body, KMS_E_KEY_STATE, want);
    free(body);
    body = textf("{\"KeyId\":\"%s\",\"TagKeys\":[\"a\"]}", id);
    world_refused(w, "UntagResource", body, KMS_E_KEY_STATE, want);
    list_is(w, id, TAG("a", "1"));
    free(body);
    free(want);
}

/* kms-behaviour 13.3 */
static void test_pages(void **state)
{
    struct world *w = *state;
    struct buf    tags = BUF_INIT(64 * 1024);
    char          id[2][KEY_ID_MAX + 1];

    add_tags(&tags, 0, 5);
    char *members = textf("\"Tags\":[%s]", (const char *)tags.ptr);
    world_key(w, members, id[0]);
    world_key(w, members, id[1]);
    const char *answer = world_ok(w, "ListResourceTags", "{\"KeyId\":\"%s\",\"Limit\":3}", id[0]);
    assert_non_null(strstr(answer, "\"k2\""));
    assert_null(strstr(answer, "\"k3\""));
    assert_non_null(strstr(answer, "\"Truncated\":true"));
    char *marker = textf("%s", world_text(w, "NextMarker"));
    assert_string_equal(
        world_ok(w, "ListResourceTags", "{\"KeyId\":\"%s\",\"Limit\":2,\"Marker\":\"%s\"}", id[0],
                 marker),
        "{\"Tags\":[{\"TagKey\":\"k3\",\"TagValue\":\"v\"},{\"TagKey\":\"k4\",\"TagValue\""
        ":\"v\"}],\"Truncated\":false}");
    /* tags that went meanwhile leave a shorter or empty page, not an error */
    (void)world_ok(w, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"k0\",\"k1\",\"k2\"]}",
                   id[0]);
    assert_string_equal(
        world_ok(w, "ListResourceTags", "{\"KeyId\":\"%s\",\"Marker\":\"%s\"}", id[0], marker),
        "{\"Tags\":[],\"Truncated\":false}");
    char *body = textf("{\"KeyId\":\"%s\",\"Marker\":\"%s\"}", id[1], marker);
    world_refused(w, "ListResourceTags", body, KMS_E_MARKER, "");
    free(body);
    free(marker);
    free(members);
    buf_release(&tags);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_order), CASE(test_untag),  CASE(test_texts),
        CASE(test_limit), CASE(test_states), CASE(test_pages),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
