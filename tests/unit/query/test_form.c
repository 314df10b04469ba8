/* Query forms: what is read, what is refused, and lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "query/form.h"

/* A form with the memory that its views lie in. */
struct read {
    struct buf       body;
    struct form      form;
    enum kms_status  status;
    struct kms_error error;
};

static void release(struct read *r)
{
    form_release(&r->form);
    buf_release(&r->body);
}

static struct read read_bytes(struct bytes text)
{
    struct read r = { .body = BUF_INIT(256 * 1024) };

    buf_add(&r.body, text);
    assert_true(buf_ok(&r.body));
    r.status = form_parse(r.body.ptr, r.body.len, &r.form, &r.error);
    return r;
}

static struct read read_text(const char *text)
{
    return read_bytes(bytes_str(text));
}

static void is(struct bytes got, const char *want)
{
    assert_non_null(got.ptr);
    if (!bytes_eq_str(got, want))
        fail_msg("got '%.*s', want '%s'", BYTES_FMT(got), want);
}

static void values_are_decoded(void **state)
{
    CLEANUP(release) struct read r = read_text(
        "Version=2010-05-08&UserName=J%C3%BCrgen+%2b%26%3D&Empty=&Bare&"
        "Action=CreateUser&Equals=a=b");

    (void)state;
    assert_int_equal(r.status, KMS_OK);
    assert_int_equal(r.form.n, 6);
    is(r.form.action, "CreateUser");
    is(r.form.version, "2010-05-08");
    is(form_get_str(&r.form, "UserName"), "J\xc3\xbcrgen +&=");
    is(form_get_str(&r.form, "Empty"), "");
    is(form_get_str(&r.form, "Bare"), "");
    is(form_get_str(&r.form, "Equals"), "a=b");
    assert_null(form_get_str(&r.form, "username").ptr); /* names have case */
    assert_null(form_get_str(&r.form, "User").ptr);
    assert_null(form_get_str(&r.form, "UserNames").ptr);
    assert_null(form_get_str(&r.form, "").ptr);
}

static void a_name_may_be_encoded(void **state)
{
    CLEANUP(release) struct read r = read_text("%41ction=GetUser");

    (void)state;
    assert_int_equal(r.status, KMS_OK);
    is(r.form.action, "GetUser");
    assert_null(r.form.version.ptr);
}

static void nothing_is_a_form_too(void **state)
{
    CLEANUP(release) struct read r = read_text("");

    (void)state;
    assert_int_equal(r.status, KMS_OK);
    assert_int_equal(r.form.n, 0);
    assert_null(r.form.action.ptr);
    assert_null(form_get_str(&r.form, "Action").ptr);
}

static void what_can_be_read_two_ways_is_refused(void **state)
{
    static const char *const texts[] = {
        "A=1&A=2",                                                  /* twice */
        "A=1&%41=2",                                                /* twice, written differently */
        "A=1&&B=2",                                                 /* no name */
        "=1",          "A=1&",     "A=%",                           /* percent-encoding */
        "A=%4",        "A=%4g",    "A=%g4",       "%=1",   "A=a b", /* what a form writes encoded */
        "A=\xc3\xbc",  "A=a\nb",   "A=%00",                         /* what XML cannot write */
        "A=%1b",       "A=%7F",    "A=%EF%BF%BF", "A=%C3",          /* no UTF-8 */
        "A=%ED%A0%80", "A=%C0%80", "%C3=1",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(release) struct read r = read_text(texts[i]);
        if (r.status != KMS_E_SERIALIZATION)
            fail_msg("'%s' was read", texts[i]);
        assert_true(r.error.message_len > 0);
        assert_null(r.form.params);
    }
}

static void white_space_that_xml_can_write_is_fine(void **state)
{
    CLEANUP(release) struct read r = read_text("A=%09%0A%0D&B=%EF%BF%BD&C=%F0%9F%94%91");

    (void)state;
    assert_int_equal(r.status, KMS_OK);
    is(form_get_str(&r.form, "A"), "\t\n\r");
    is(form_get_str(&r.form, "B"), "\xef\xbf\xbd");
    is(form_get_str(&r.form, "C"), "\xf0\x9f\x94\x91");
}

static enum kms_status read_many(size_t n)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(256 * 1024);

    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%sp%zu=%zu", i > 0 ? "&" : "", i, i);
    CLEANUP(release) struct read r = read_bytes(buf_bytes(&text));
    for (size_t i = 0; r.status == KMS_OK && i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "p%zu", i);
        is(form_get_str(&r.form, name), name + 1);
    }
    return r.status;
}

static void the_number_of_parameters_is_limited(void **state)
{
    (void)state;
    assert_int_equal(read_many(LIMIT_FORM_PARAMS), KMS_OK);
    assert_int_equal(read_many(LIMIT_FORM_PARAMS + 1), KMS_E_SERIALIZATION);
}

static enum kms_status read_name(size_t len)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);

    for (size_t i = 0; i < len; i++)
        buf_add_byte(&text, 'n');
    buf_add_str(&text, "=1");
    CLEANUP(release) struct read r = read_bytes(buf_bytes(&text));
    return r.status;
}

static void the_length_of_names_is_limited(void **state)
{
    (void)state;
    assert_int_equal(read_name(LIMIT_FORM_NAME), KMS_OK);
    assert_int_equal(read_name(LIMIT_FORM_NAME + 1), KMS_E_SERIALIZATION);
}

static void lists_are_numbered(void **state)
{
    CLEANUP(release) struct read r = read_text(
        "Tags.member.2.Value=b&Tags.member.1.Key=k&Tags.member.1.Value=&"
        "Tags.member.2.Key=l&TagsX.member.7=no&Names.member.1=one&None=");
    struct bytes tags = BYTES_LIT("Tags");
    size_t       n = 99;

    (void)state;
    assert_int_equal(r.status, KMS_OK);
    assert_int_equal(form_list(&r.form, tags, 2, &n, &r.error), KMS_OK);
    assert_int_equal(n, 2);
    is(form_element(&r.form, tags, 1, "Key"), "k");
    is(form_element(&r.form, tags, 1, "Value"), "");
    is(form_element(&r.form, tags, 2, "Key"), "l");
    is(form_element(&r.form, tags, 2, "Value"), "b");
    assert_null(form_element(&r.form, tags, 3, "Key").ptr);
    assert_null(form_element(&r.form, tags, 1, NULL).ptr);
    is(form_element(&r.form, BYTES_LIT("Names"), 1, NULL), "one");
    assert_int_equal(form_list(&r.form, tags, 1, &n, &r.error), KMS_E_VALIDATION);
    assert_int_equal(form_list(&r.form, BYTES_LIT("None"), 5, &n, &r.error), KMS_OK);
    assert_int_equal(n, 0);
    n = 99;
    assert_int_equal(form_list(&r.form, BYTES_LIT("Absent"), 5, &n, &r.error), KMS_OK);
    assert_int_equal(n, 0);
}

static void lists_within_lists_have_names(void **state)
{
    CLEANUP(release) struct read r = read_text(
        "E.member.1.Values.member.1=x&E.member.1.Values.member.2=y&"
        "E.member.1.Name=n");
    struct form_name inner = form_name(BYTES_LIT("E"), 1, "Values");
    struct bytes     name = bytes_of(inner.text, inner.len);
    size_t           n = 0;

    (void)state;
    is(name, "E.member.1.Values");
    assert_int_equal(form_list(&r.form, BYTES_LIT("E"), 5, &n, &r.error), KMS_OK);
    assert_int_equal(n, 1);
    assert_int_equal(form_list(&r.form, name, 5, &n, &r.error), KMS_OK);
    assert_int_equal(n, 2);
    is(form_element(&r.form, name, 2, NULL), "y");
}

static void a_name_that_is_too_long_names_nothing(void **state)
{
    char             text[LIMIT_FORM_NAME];
    struct form_name name;

    (void)state;
    memset(text, 'n', sizeof text);
    name = form_name(bytes_of(text, sizeof text), 1, NULL);
    assert_int_equal(name.len, 0);
}

static void other_lists_are_refused(void **state)
{
    static const char *const texts[] = {
        "L.member.2=a", /* a gap */
        "L.member.1=a&L.member.3=c",
        "L.member.0=a",
        "L.member.01=a",
        "L.member.=a",
        "L.member.x=a",
        "L.member.1x=a",
        "L.member.-1=a",
        "L.member.11=a", /* more than asked for */
        "L.member.99999999999999999999=a",
        "L=a", /* no list */
        "L=&L.member.1=a",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(release) struct read r = read_text(texts[i]);
        size_t                       n = 99;
        assert_int_equal(r.status, KMS_OK);
        if (form_list(&r.form, BYTES_LIT("L"), 10, &n, &r.error) != KMS_E_VALIDATION)
            fail_msg("'%s' is a list", texts[i]);
        assert_int_equal(n, 99);
    }
}

static void content_types(void **state)
{
    (void)state;
    assert_true(form_content_type(BYTES_LIT("application/x-www-form-urlencoded")));
    assert_true(form_content_type(BYTES_LIT("Application/X-WWW-form-urlencoded; charset=utf-8")));
    assert_true(form_content_type(BYTES_LIT("application/x-www-form-urlencoded ;charset=UTF-8")));
    assert_false(form_content_type(BYTES_LIT("application/x-www-form-urlencoded2")));
    assert_false(form_content_type(BYTES_LIT("application/json")));
    assert_false(form_content_type(BYTES_LIT("; application/x-www-form-urlencoded")));
    assert_false(form_content_type((struct bytes){ NULL, 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(a_name_may_be_encoded),
        cmocka_unit_test(nothing_is_a_form_too),
        cmocka_unit_test(what_can_be_read_two_ways_is_refused),
        cmocka_unit_test(white_space_that_xml_can_write_is_fine),
        cmocka_unit_test(the_number_of_parameters_is_limited),
        cmocka_unit_test(the_length_of_names_is_limited),
        cmocka_unit_test(lists_are_numbered),
        cmocka_unit_test(lists_within_lists_have_names),
        cmocka_unit_test(a_name_that_is_too_long_names_nothing),
        cmocka_unit_test(other_lists_are_refused),
        cmocka_unit_test(content_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
