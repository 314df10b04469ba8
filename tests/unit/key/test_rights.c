/* Unit tests of key/rights: one compiled policy for all keys with the same text, for as long as any
 * of them is there, in the book itself and in the directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "key/directory.h"

/* Stands for a compiled policy: how many there are is what these tests count. */
struct policy {
    struct bytes text, principals;
};
static const struct bytes nobody = { NULL, 0 };
static int                alive;
static int                compiled;

static struct policy *compile(struct bytes text, struct bytes principals)
{
    struct policy *p = calloc(1, sizeof *p);

    assert_non_null(p);
    p->text = text;
    p->principals = principals;
    if (bytes_eq(text, BYTES_LIT("bad"))) {
        free(p);
        return NULL;
    }
    alive++;
    compiled++;
    return p;
}

static void release(struct policy *p)
{
    alive--;
    free(p);
}

static const struct rights_compiler compiler = { compile, release };

static int reset(void **state)
{
    (void)state;
    alive = compiled = 0;
    return 0;
}

static void equal_texts_share(void **state)
{
    struct rights_book *book = rights_book_new(NULL, 7, compiler);

    (void)state;
    assert_non_null(book);
    const struct key_rights *a = rights_take(book, BYTES_LIT("text"), nobody);
    const struct key_rights *b = rights_take(book, BYTES_LIT("text"), nobody);
    const struct key_rights *c = rights_take(book, BYTES_LIT("other"), nobody);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(rights_count(book), 2);
    assert_int_equal(compiled, 2);
    rights_give_back(a);
    assert_int_equal(alive, 2); /* b still has it */
    rights_give_back(b);
    assert_int_equal(alive, 1);
    rights_give_back(c);
    rights_give_back(NULL);
    assert_int_equal(alive, 0);
    assert_int_equal(rights_count(book), 0);
    rights_book_free(book);
}

/* The same text with other principals says something else. */
static void equal_principals_share(void **state)
{
    struct rights_book *book = rights_book_new(NULL, 7, compiler);

    (void)state;
    const struct key_rights *a = rights_take(book, BYTES_LIT("text"), BYTES_LIT("a 1\n"));
    const struct key_rights *b = rights_take(book, BYTES_LIT("text"), BYTES_LIT("a 1\n"));
    const struct key_rights *c = rights_take(book, BYTES_LIT("text"), BYTES_LIT("a 2\n"));
    const struct key_rights *d = rights_take(book, BYTES_LIT("texta 1\n"), nobody);
    assert_ptr_equal(a, b);
    assert_int_equal(rights_count(book), 3);
    assert_true(bytes_eq(c->policy->principals, BYTES_LIT("a 2\n")));
    assert_int_equal(d->policy->principals.len, 0);
    rights_give_back(a);
    rights_give_back(b);
    rights_give_back(c);
    rights_give_back(d);
    assert_int_equal(alive, 0);
    rights_book_free(book);
}

static void bad_texts_give_none(void **state)
{
    struct rights_book *book = rights_book_new(NULL, 7, compiler);

    (void)state;
    const struct key_rights *a = rights_take(book, BYTES_LIT("bad"), nobody);
    assert_non_null(a);
    assert_null(a->policy);
    rights_give_back(a);
    const struct key_rights *none = rights_take(book, nobody, nobody);
    assert_non_null(none->policy);
    rights_give_back(none);
    assert_int_equal(alive, 0);
    rights_book_free(book);
}

static struct key_record *key_with(const char *id, uint64_t serial, const char *policy)
{
    struct key_record *k = key_record_new();

    assert_non_null(k);
    key_record_set_name(k, BYTES_LIT("111111111111"), BYTES_LIT("us-east-1"), bytes_str(id));
    k->serial = serial;
    k->policy = arena_copy(k->arena, bytes_str(policy));
    return k;
}

#define FIRST  "0d990263-018e-4e65-a703-eff731de951e"
#define SECOND "1d990263-018e-4e65-a703-eff731de951e"

static const struct key_record *find(const struct directory *d, const char *id)
{
    return directory_key(d, BYTES_LIT("111111111111"), BYTES_LIT("us-east-1"), bytes_str(id));
}

/* Published records have the rights of their policy, clones have none until they are published; the
 * old ones go with the record that had them, not before. */
static void published_records_have_them(void **state)
{
    struct epoch     *epoch = epoch_new();
    struct directory *d = directory_new(epoch, 3);

    (void)state;
    assert_true(directory_use_rights(d, 3, compiler));
    directory_put_key(d, key_with(FIRST, 1, "one"));
    directory_put_key(d, key_with(SECOND, 2, "one"));
    const struct key_record *before = find(d, FIRST);
    assert_ptr_equal(before->rights, find(d, SECOND)->rights);
    assert_int_equal(compiled, 1);

    struct key_record *edit = key_record_clone(before);
    assert_null(edit->rights);
    edit->policy = arena_copy(edit->arena, BYTES_LIT("two"));
    directory_put_key(d, edit);
    assert_true(bytes_eq_str(find(d, FIRST)->rights->policy->text, "two"));
    assert_true(
        bytes_eq_str(before->rights->policy->text, "one")); /* a reader may still look at it */
    directory_remove_key(d, BYTES_LIT("111111111111"), BYTES_LIT("us-east-1"), BYTES_LIT(SECOND));
    assert_int_equal(alive, 2);
    epoch_barrier(epoch);
    directory_reclaim(d);
    assert_int_equal(alive, 1);
    directory_free(d);
    assert_int_equal(alive, 0);
    epoch_free(epoch);
}

/* A million keys of one account: here 20,000, and one compiled policy. */
static void many_keys_one_policy(void **state)
{
    enum { KEYS = 20000 };
    struct epoch     *epoch = epoch_new();
    struct directory *d = directory_new(epoch, 3);
    char              id[] = FIRST;

    (void)state;
    assert_true(directory_use_rights(d, 3, compiler));
    for (unsigned i = 0; i < KEYS; i++) {
        for (unsigned k = 0; k < 8; k++)
            id[k] = "0123456789abcdef"[i >> (4 * k) & 15];
        directory_put_key(d, key_with(id, i + 1, "the default policy"));
    }
    assert_int_equal(directory_counts(d).keys, KEYS);
    assert_int_equal(compiled, 1);
    directory_free(d);
    assert_int_equal(alive, 0);
    epoch_free(epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equal_texts_share, reset),
        cmocka_unit_test_setup(equal_principals_share, reset),
        cmocka_unit_test_setup(bad_texts_give_none, reset),
        cmocka_unit_test_setup(published_records_have_them, reset),
        cmocka_unit_test_setup(many_keys_one_policy, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
