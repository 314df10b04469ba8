/* Unit tests of authz/: numbers, dates, truth values and addresses as conditions write them
 * (recorded-authz-multiregion 5.2). Every text is read from memory that ends with it, so that a
 * reader that goes further is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "authz/policy_internal.h"
#include "base/cleanup.h"

/* The text, followed by bytes that would go on with it. */
struct exact {
    uint8_t     *memory;
    struct bytes text;
};

static struct exact exactly(const char *text, char follows)
{
    size_t       n = strlen(text);
    struct exact e = { .memory = malloc(n + 4) };

    assert_non_null(e.memory);
    memset(e.memory, follows, n + 4);
    memcpy(e.memory, text, n);
    e.text = bytes_of(e.memory, n);
    return e;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    bool        good;
    double      value;
} numbers[] = {
    { "0", true, 0 },
    { "9", true, 9 },
    { "1", true, 1 },
    { "01", true, 1 },
    { "+1", true, 1 },
    { "-1", true, -1 },
    { "1.0", true, 1 },
    { "1.", true, 1 },
    { ".5", true, 0.5 },
    { "1e0", true, 1 },
    { "1E2", true, 100 },
    { "1e+2", true, 100 },
    { "1e-2", true, 0.01 },
    { "-12.75e1", true, -127.5 },
    { "1234567890123456789012345678901234567890", true,
      1234567890123456789012345678901234567890.0 },
    { "12345678901234567890123456789012345678901", false, 0 }, /* longer than we read */
    { "", false, 0 },
    { "+", false, 0 },
    { ".", false, 0 },
    { "e5", false, 0 },
    { "1e", false, 0 },
    { "1e+", false, 0 },
    { "1 ", false, 0 },
    { " 1", false, 0 },
    { "1,0", false, 0 },
    { "0x10", false, 0 },
    { "--1", false, 0 },
    { "1e1.5", false, 0 },
    { "NaN", false, 0 },
    { "Infinity", false, 0 },
    { "1e999", false, 0 },
    { "1/", false, 0 },
    { "1:", false, 0 },
};

static void numbers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct exact e = exactly(numbers[i].text, '7');
        double       value = 0;
        bool         good = read_number(e.text, &value);
        if (good != numbers[i].good || (good && value != numbers[i].value))
            fail_msg("'%s': %d, %g", numbers[i].text, (int)good, value);
        free(e.memory);
    }
}

static void zero_bytes_are_no_signs(void **state)
{
    double value = 0;

    (void)state;
    assert_false(read_number(BYTES_LIT("\0"
                                       "1"),
                             &value));
    assert_false(read_number(BYTES_LIT("1\0"), &value));
    assert_false(read_date(BYTES_LIT("1970\0"
                                     "01"),
                           &value));
}

/* --- dates ------------------------------------------------------------------------------------ */

static const struct {
    const char *text;
    bool        good;
    double      ms;
} dates[] = {
    { "1970-01-01", true, 0 },
    { "1970-01", true, 0 },
    { "1970-01-01T00:00Z", true, 0 },
    { "1970-01-01T00:00:00Z", true, 0 },
    { "1970-01-01T23:59:59Z", true, 86399000 },
    { "1970-01-01T00:00:00.25Z", true, 250 },
    { "1970-01-01T00:00:00.001Z", true, 1 },
    { "1970-01-01T01:00:00+01:00", true, 0 },
    { "1970-01-01T00:00:00-01:30", true, 5400000 },
    { "1970-01-01T00:00:00+23:59", true, -86340000 },
    { "2000-02-29", true, 951782400000 },
    { "1893456000", true, 1893456000000 },
    { "0.25", true, 250 },
    { "-1", true, -1000 },
    { "", false, 0 },
    { "1970", true, 1970000 }, /* seconds, not a year */
    { "1970-", false, 0 },
    { "1970-1", false, 0 },
    { "1970-00", false, 0 },
    { "1970-13", false, 0 },
    { "0000-01", false, 0 },
    { "0001-01-01", true, -62135596800000 },
    { "1970-12-31", true, 31449600000 },
    { "1970-0:-01", false, 0 },
    { "1970-01-", false, 0 },
    { "1970-01-1", false, 0 },
    { "1970-01-01T00:Z", false, 0 },
    { "1970-01-01T00:00:Z", false, 0 },
    { "1970-1/-01", false, 0 },
    { "197:-01-01", false, 0 },
    { "1970-01-00", false, 0 },
    { "1970-01-32", false, 0 },
    { "1970-01-01T", false, 0 },
    { "1970-01-01T00", false, 0 },
    { "1970-01-01T00:00", false, 0 },
    { "1970-01-01T00:00:00", false, 0 },
    { "1970-01-01T24:00:00Z", false, 0 },
    { "1970-01-01T00:60:00Z", false, 0 },
    { "1970-01-01T00:00:60Z", false, 0 },
    { "1970-01-01T00:00:0Z", false, 0 },
    { "1970-01-01T00:00:00.Z", false, 0 },
    { "1970-01-01T0a:00:00Z", false, 0 },
    { "1970-01-01 00:00:00Z", false, 0 },
    { "1970-01-01T00-00-00Z", false, 0 },
    { "1970-01-01T00:00:00+24:00", false, 0 },
    { "1970-01-01T00:00:00+00:60", false, 0 },
    { "1970-01-01T00:00:00+0000", false, 0 },
    { "1970-01-01T00:00:00+00", false, 0 },
    { "1970-01-01T00:00:00+0:00", false, 0 },
    { "1970-01-01T00:00:00+00:0", false, 0 },
    { "1970-01-01T00:00:00X", false, 0 },
    { "1970-01-01T00:00:00ZZ", false, 0 },
    { "1970-01T00:00:00Z", false, 0 },
    { "1970/01/01", false, 0 },
    { "not-a-date", false, 0 },
};

static void dates_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct exact e = exactly(dates[i].text, '0');
        double       ms = 0;
        bool         good = read_date(e.text, &ms);
        if (good != dates[i].good || (good && ms != dates[i].ms))
            fail_msg("'%s': %d, %f", dates[i].text, (int)good, ms);
        free(e.memory);
    }
}

/* Every day of 500 years is what the C library takes it for, and no other day exists. */
static void calendar(void **state)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    (void)state;
    for (int year = 1800; year < 2300; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            int last = month == 2 && leap ? 29 : days[month - 1];
            for (int day = 1; day <= 32; day++) {
                char      text[40];
                struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
                double    ms = 0;
                (void)snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
                assert_true(read_date(bytes_str(text), &ms) == (day <= last));
                if (day <= last)
                    assert_true(ms == (double)timegm(&tm) * 1000.0);
            }
        }
    }
}

/* --- truth values ----------------------------------------------------------------------------- */

static void truth_is_read(void **state)
{
    static const struct {
        const char *text;
        bool        good, truth;
    } rows[] = {
        { "true", true, true },   { "TRUE", true, true },    { "tRuE", true, true },
        { "false", true, false }, { "False", true, false },  { "FALSE", true, false },
        { "", false, false },     { "tru", false, false },   { "truee", false, false },
        { "1", false, false },    { " true", false, false }, { "falsy", false, false },
        { "urue", false, false }, { "gals", false, false },  { "galse", false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool truth = !rows[i].truth;
        bool good = read_truth(bytes_str(rows[i].text), &truth);
        if (good != rows[i].good || (good && truth != rows[i].truth))
            fail_msg("'%s'", rows[i].text);
    }
    bool truth = false;
    assert_false(read_truth(bytes_of("true", 3), &truth));
    assert_false(read_truth(bytes_of("false", 4), &truth));
}

/* --- addresses -------------------------------------------------------------------------------- */

static const struct {
    const char *network, *address;
    bool        good, holds; /* is the network one; the address always is */
} networks[] = {
    { "192.0.2.0/24", "192.0.2.77", true, true },
    { "192.0.2.0/24", "192.0.3.77", true, false },
    { "192.0.2.5/24", "192.0.2.9", true, true },
    { "192.0.2.1", "192.0.2.1", true, true },
    { "192.0.2.1", "192.0.2.0", true, false },
    { "192.0.2.1/32", "192.0.2.0", true, false },
    { "192.0.2.0/31", "192.0.2.1", true, true },
    { "192.0.2.0/31", "192.0.2.2", true, false },
    { "128.0.0.0/1", "255.0.0.1", true, true },
    { "128.0.0.0/1", "127.0.0.1", true, false },
    { "10.0.0.0/8", "10.255.0.1", true, true },
    { "10.0.0.0/8", "11.0.0.1", true, false },
    { "10.128.0.0/9", "10.129.0.1", true, true },
    { "10.128.0.0/9", "10.1.0.1", true, false },
    { "0.0.0.0/0", "203.0.113.9", true, true },
    { "0.0.0.0/0", "2001:db8::1", true, false },
    { "::/0", "2001:db8::1", true, true },
    { "::/0", "192.0.2.1", true, false },
    { "2001:db8::/33", "2001:db8:7fff::1", true, true },
    { "2001:db8::/33", "2001:db8:8000::1", true, false },
    { "2001:db8::1/128", "2001:db8::1", true, true },
    { "2001:db8::1/128", "2001:db8::2", true, false },
    { "2001:db8::1", "2001:db8::1", true, true },
    { "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1", true, true },
    { "192.000.002.001", "192.0.2.1", true, true },
    { "255.255.255.255", "255.255.255.255", true, true },
    { "192.0.2.0/33", "192.0.2.0", false, false },
    { "192.0.2.0/", "192.0.2.0", false, false },
    { "192.0.2.0/x", "192.0.2.0", false, false },
    { "192.0.2.0/24x", "192.0.2.0", false, false },
    { "192.0.2.0/24/24", "192.0.2.0", false, false },
    { "192.0.2.0/0024", "192.0.2.0", false, false },
    { "192.0.2/24", "192.0.2.0", false, false },
    { "192.0.2.0.1", "192.0.2.0", false, false },
    { "192.0.2.256", "192.0.2.0", false, false },
    { "192.0.2.0000", "192.0.2.0", false, false },
    { "192.0..1", "192.0.2.0", false, false },
    { "192.0.2.", "192.0.2.0", false, false },
    { "192.0.2.1 ", "192.0.2.0", false, false },
    { "2001:db8::/129", "2001:db8::1", false, false },
    { "2001:db8:::1", "2001:db8::1", false, false },
    { "", "192.0.2.0", false, false },
    { "/24", "192.0.2.0", false, false },
    { "2001:0db8:0000:0000:0000:0000:255.255.255.2555", "192.0.2.0", false, false },
};

static void addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(networks); i++) {
        struct exact   text = exactly(networks[i].network, '1');
        struct exact   other = exactly(networks[i].address, '1');
        struct network net;
        struct network address;
        bool           good = read_network(text.text, &net);
        assert_true(read_address(other.text, &address));
        if (good != networks[i].good ||
            (good && network_holds(&net, &address) != networks[i].holds))
            fail_msg("%s: %d, %s", networks[i].network, (int)good, networks[i].address);
        free(text.memory);
        free(other.memory);
    }
    struct network address;
    char           text[300];
    memset(text, '1', sizeof text);
    assert_false(read_address(bytes_of(text, sizeof text), &address));
    assert_false(read_address(BYTES_LIT("192.0.2.1/32"), &address));
    assert_false(read_address(BYTES_LIT("2001:db8::1\0"), &address));
    assert_false(read_address(BYTES_LIT("not-an-ip"), &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read), cmocka_unit_test(zero_bytes_are_no_signs),
        cmocka_unit_test(dates_are_read),   cmocka_unit_test(calendar),
        cmocka_unit_test(truth_is_read),    cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
