/* The XML writer: exact texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "query/xml.h"

static void is(const struct buf *out, const char *want)
{
    assert_true(buf_ok(out));
    if (!bytes_eq_str(buf_bytes(out), want))
        fail_msg("got\n%.*s\nwant\n%s", BYTES_FMT(buf_bytes(out)), want);
}

static void values_of_every_type(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct xml                      w;

    (void)state;
    xml_writer_init(&w, &out);
    xml_open_root(&w, "Root", "https://example.com/");
    xml_open(&w, "List");
    xml_put_str(&w, "member", "text");
    xml_put_bool(&w, "Yes", true);
    xml_put_bool(&w, "No", false);
    xml_put_int(&w, "Number", -12345678901);
    xml_put_time(&w, "Date", 1795283101000);
    xml_put(&w, "Empty", (struct bytes){ NULL, 0 });
    xml_close(&w);
    xml_close(&w);
    is(&out, "<Root xmlns=\"https://example.com/\"><List><member>text</member><Yes>true</Yes>"
             "<No>false</No><Number>-12345678901</Number><Date>2026-11-21T17:45:01Z</Date>"
             "<Empty></Empty></List></Root>");
    assert_int_equal(w.depth, 0);
}

static void text_is_escaped(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct xml                      w;

    (void)state;
    xml_writer_init(&w, &out);
    xml_put(&w, "a", BYTES_LIT("<b x=\"1\">'&amp;'</b>]]>\t\r\n\xc3\xbc"));
    is(&out, "<a>&lt;b x=&quot;1&quot;&gt;'&amp;amp;'&lt;/b&gt;]]&gt;\t&#xD;\n\xc3\xbc</a>");
}

static void what_xml_cannot_write_is_replaced(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct xml                      w;

    (void)state;
    xml_writer_init(&w, &out);
    xml_put(&w, "a",
            BYTES_LIT("1\0002\0333\xc3"
                      "4\xef\xbf\xbf"
                      "5"));
    is(&out, "<a>1\xef\xbf\xbd"
             "2\xef\xbf\xbd"
             "3\xef\xbf\xbd"
             "4\xef\xbf\xbd\xef\xbf\xbd"
             "\xef\xbf\xbd"
             "5</a>");
}

static void documents_are_percent_encoded(void **state)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(4096);
    struct xml                      w;

    (void)state;
    xml_writer_init(&w, &out);
    xml_put_encoded(&w, "D", BYTES_LIT("{\"a-._~Z9\": \"*+/\xc3\xbc\"}\n"));
    is(&out, "<D>%7B%22a-._~Z9%22%3A%20%22%2A%2B%2F%C3%BC%22%7D%0A</D>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(what_xml_cannot_write_is_replaced),
        cmocka_unit_test(documents_are_percent_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
