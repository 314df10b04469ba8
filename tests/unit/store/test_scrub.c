/* tests/unit/store/test_scrub.c - deleted bytes are in no file after a scrub
 * (trust-model 2.7.1, 6.9). */
#include "fixture.h"
#include "instrumented.h"

#include <sys/stat.h>

static size_t wal_size(const struct fixture *f)
{
    char        path[128];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s-wal", f->path);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* A key with one material of `len` random bytes. */
static struct key_record *key_with_material(struct fixture *f, size_t len)
{
    struct key_record      *k = random_key(f);
    CLEANUP(freep) uint8_t *wrapped = malloc(len);

    assert_non_null(wrapped);
    random_fill(f, wrapped, len);
    k->n_materials = 0;
    key_record_add_material(k)->sealed.wrapped = arena_copy(k->arena, bytes_of(wrapped, len));
    return k;
}

/* Every way a material goes: taken out of its key, overwritten, with its key. */
static void test_deleted_material_is_gone(void **state)
{
    static const size_t sizes[] = { 48, 140, 1300, 2400, 9000 }; /* 9000: on overflow pages */
    struct fixture     *f = *state;

    for (size_t i = 0; i < 3 * ARRAY_LEN(sizes); i++) {
        CLEANUP(key_record_freep) struct key_record *k = key_with_material(f, sizes[i / 3]);
        uint8_t                                      copy[9000];
        size_t                                       len = k->materials[0].sealed.wrapped.len;
        struct bytes                                 start = bytes_of(copy, 24);
        struct bytes                                 end = bytes_of(copy + len - 24, 24);

        memcpy(copy, k->materials[0].sealed.wrapped.ptr, len);
        add_key(f, k);
        fixture_scrub(f);
        assert_true(fixture_occurrences(f, start) == 1 && fixture_occurrences(f, end) == 1);

        k->version++;
        if (i % 3 == 0) {
            k->n_materials = 0;
            assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
        } else if (i % 3 == 1) {
            k->materials[0].sealed.wrapped = bytes_of("x", 1);
            assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
        } else {
            k->version--;
            assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_OK);
        }
        assert_true(fixture_occurrences(f, start) >=
                    1); /* it is still in the file, which proves the scan */
        fixture_scrub(f);
        assert_int_equal(wal_size(f), 0);
        assert_int_equal(fixture_occurrences(f, start), 0);
        assert_int_equal(fixture_occurrences(f, end), 0);
    }
}

static void test_deleted_import_key_is_gone(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    CLEANUP(change_release) struct change        add = { 0 };
    CLEANUP(change_release) struct change        del = { 0 };
    uint8_t                                      wrapped[1700];

    add_key(f, k);
    random_fill(f, wrapped, sizeof wrapped);
    change_add(&add, ROW_IMPORT_KEY_INSERT)->import_key = random_import_key(f, k);
    add.rows[0].import_key->sealed.wrapped = bytes_of(wrapped, sizeof wrapped);
    memcpy(change_add(&del, ROW_IMPORT_KEY_DELETE)->import_key_id, add.rows[0].import_key->id, 16);
    assert_int_equal(fixture_apply(f, &add), KMS_OK);
    assert_int_equal(fixture_occurrences(f, bytes_of(wrapped + 800, 24)), 1);
    assert_int_equal(fixture_apply(f, &del), KMS_OK);
    fixture_scrub(f);
    for (size_t i = 0; i + 24 <= sizeof wrapped; i += 24)
        assert_int_equal(fixture_occurrences(f, bytes_of(wrapped + i, 24)), 0);
}

/* --- churn ------------------------------------------------------------------------------------ */

/* SQLite moves rows when it balances its trees, and leaves copies where they were (page.c). Wrapped
 * bytes here are a mark and a number again and again, so that any 31 of them tell whose they are. */

enum { MATERIALS = 6000, UNIT = 16 };
static const uint8_t mark[8] = { 0xd1, 0xe5, 0x0f, 0xa7, 0x1b, 0xc3, 0x88, 0x2e };

struct churn {
    struct fixture    *f;
    struct key_record *keys[1200];
    size_t             n_keys;
    uint32_t           n;               /* materials made so far */
    uint32_t           died[MATERIALS]; /* gone after this scrub; 0: alive */
    uint32_t           scrubs;
};

static struct bytes marked(struct churn *c, struct arena *arena)
{
    static const size_t sizes[] = { 48, 1300 };
    size_t              len = sizes[random_below(c->f, ARRAY_LEN(sizes))];
    uint8_t            *to = arena_alloc(arena, len + UNIT);

    c->n++;
    assert_true(c->n < MATERIALS);
    for (size_t at = 0; at < len; at += UNIT) {
        memcpy(to + at, mark, sizeof mark);
        memset(to + at + sizeof mark, 0, UNIT - sizeof mark);
        memcpy(to + at + sizeof mark, &c->n, sizeof c->n);
    }
    return bytes_of(to, len);
}

static void kill_material(struct churn *c, struct bytes wrapped)
{
    uint32_t n;

    memcpy(&n, wrapped.ptr + sizeof mark, sizeof n);
    c->died[n] = c->scrubs + 1;
}

/* One random change: a new key, a material more, one less, another in its place, a key less. */
static void churn_step(struct churn *c)
{
    struct fixture *f = c->f;
    size_t          at = c->n_keys > 0 ? random_below(f, c->n_keys) : 0;
    uint64_t        what = random_below(f, 10);

    if (c->n_keys < 20 || (what < 5 && c->n_keys < ARRAY_LEN(c->keys))) {
        struct key_record *k = random_key(f);
        k->n_materials = 0;
        key_record_add_material(k)->sealed.wrapped = marked(c, k->arena);
        add_key(f, k);
        c->keys[c->n_keys++] = k;
        return;
    }
    struct key_record *k = c->keys[at];
    if (what < 6) { /* the key and all it has */
        for (size_t i = 0; i < k->n_materials; i++)
            kill_material(c, k->materials[i].sealed.wrapped);
        assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_OK);
        key_record_free(k);
        c->keys[at] = c->keys[--c->n_keys];
        return;
    }
    k->version++;
    size_t m = k->n_materials > 0 ? random_below(f, k->n_materials) : 0;
    if (k->n_materials == 0 || (what < 8 && k->n_materials < 20)) {
        key_record_add_material(k)->sealed.wrapped = marked(c, k->arena);
    } else if (what < 9) {
        kill_material(c, k->materials[m].sealed.wrapped);
        key_record_remove_material(k, m);
    } else {
        kill_material(c, k->materials[m].sealed.wrapped);
        k->materials[m].sealed.wrapped = marked(c, k->arena);
    }
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
}

/* Looks at every mark in a file: none is of a material that died before the last scrub. */
static void scan(struct churn *c, const char *suffix, bool *seen)
{
    char   path[128];
    size_t len;

    (void)snprintf(path, sizeof path, "%s%s", c->f->path, suffix);
    CLEANUP(freep) uint8_t *content = fixture_file(path, &len);
    const uint8_t          *at = content;
    while (content != NULL && len > UNIT &&
           (at = memmem(at, (size_t)(content + len - at), mark, sizeof mark)) != NULL) {
        uint32_t n;
        if ((size_t)(content + len - at) < UNIT)
            break;
        memcpy(&n, at + sizeof mark, sizeof n);
        if (n < MATERIALS && c->died[n] != 0 && c->died[n] <= c->scrubs)
            fail_msg("material %u died before scrub %u and is at %zu of '%s' after %u scrubs", n,
                     c->died[n], (size_t)(at - content), path, c->scrubs);
        if (n < MATERIALS)
            seen[n] = true;
        at++;
    }
}

static void scan_all(struct churn *c, bool all_alive_are_there)
{
    CLEANUP(freep) bool *seen = calloc(MATERIALS, sizeof *seen);

    assert_non_null(seen);
    scan(c, "", seen);
    scan(c, "-wal", seen);
    for (uint32_t n = 1; n <= c->n && all_alive_are_there; n++) {
        if (c->died[n] == 0)
            assert_true(seen[n]);
    }
}

enum { CHURN_ROUNDS = INSTRUMENTED ? 1000 : 5000 }; /* looking through the files takes minutes */

static void test_churn_leaves_nothing(void **state)
{
    CLEANUP(freep) struct churn *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->f = *state;
    c->f->random += 6; /* a run that is known to need all of scrub (see page.c) */
    for (size_t round = 0; round < CHURN_ROUNDS; round++) {
        churn_step(c);
        if (round % 100 == 0) {
            scan_all(c, false); /* nor did the page cache bring anything back into the WAL */
            fixture_scrub(c->f);
            c->scrubs++;
            scan_all(c, true);
        }
        if (round % 1000 == 999)
            fixture_reopen(c->f);
    }
    for (size_t i = 0; i < c->n_keys; i++)
        key_record_free(c->keys[i]);
}

/* --- the parts -------------------------------------------------------------------------------- */

/* While a read is under way on this connection the WAL cannot be truncated; later it can. */
static void test_busy(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    struct sqlite_store                         *s = (struct sqlite_store *)f->store;
    bool                                         clean = true;

    add_key(f, k);
    assert_int_equal(sqlite3_step(s->statements[STMT_META]), SQLITE_ROW);
    assert_ok(f, f->store->ops->scrub(f->store, &clean, &f->error));
    assert_false(clean);
    assert_true(wal_size(f) > 0);
    assert_int_equal(sqlite3_reset(s->statements[STMT_META]), SQLITE_OK);
    fixture_scrub(f);
    assert_int_equal(wal_size(f), 0);
}

static void test_gap_of_a_page(void **state)
{
    uint8_t page[PAGE_BYTES];
    uint8_t want[PAGE_BYTES];

    (void)state;
    memset(page, 0xaa, sizeof page);
    page[0] = 13;                /* table leaf: header of 8 */
    page[3] = 0, page[4] = 2;    /* two cells */
    page[5] = 0x0f, page[6] = 0; /* content begins at 0xf00 */
    page[8] = 0x0f, page[9] = 0;
    page[10] = 0x0f, page[11] = 0x80;
    memcpy(want, page, sizeof page);
    memset(want + 12, 0, 0xf00 - 12);
    page_wipe_gap(page, PAGE_BYTES);
    assert_memory_equal(page, want, sizeof page);

    /* a cell in front of where content begins: not as SQLite writes it */
    memset(page + 12, 0xaa, 0xf00 - 12);
    page[8] = 0x0e;
    memcpy(want, page, sizeof page);
    page_wipe_gap(page, PAGE_BYTES);
    assert_memory_equal(page, want, sizeof page);
    /* more cells than fit, content past the end */
    page[3] = 0xff;
    want[3] = 0xff;
    page_wipe_gap(page, PAGE_BYTES);
    assert_memory_equal(page, want, sizeof page);
    page[3] = want[3] = 0;
    page[5] = want[5] = 0x10, page[6] = want[6] = 1;
    page_wipe_gap(page, PAGE_BYTES);
    assert_memory_equal(page, want, sizeof page);
}

/* Overflow pages and the free list begin with a page number and are left alone. */
static void test_other_pages(void **state)
{
    uint8_t page[PAGE_BYTES];
    uint8_t want[PAGE_BYTES];

    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        if (first == 2 || first == 5 || first == 10 || first == 13)
            continue;
        memset(page, 0, sizeof page);
        memset(page + 200, 0xaa, sizeof page - 200);
        page[0] = (uint8_t)first;
        memcpy(want, page, sizeof page);
        page_wipe_gap(page, PAGE_BYTES);
        assert_memory_equal(page, want, sizeof page);
    }
}

/* In the file every gap is zero already: wiping again changes nothing. */
static void test_file_has_no_gaps(void **state)
{
    struct fixture *f = *state;
    size_t          len;

    for (size_t i = 0; i < 200; i++) {
        CLEANUP(key_record_freep) struct key_record *k = random_key(f);
        add_key(f, k);
        if (i % 3 == 0)
            assert_int_equal(put_key(f, ROW_KEY_DELETE, k), KMS_OK);
    }
    fixture_close(f);
    CLEANUP(freep) uint8_t *content = fixture_file(f->path, &len);
    assert_true(len > 50 * (size_t)PAGE_BYTES && len % PAGE_BYTES == 0);
    for (size_t at = 0; at < len; at += PAGE_BYTES) {
        uint8_t page[PAGE_BYTES];
        memcpy(page, content + at, sizeof page);
        page_wipe_gap(page, (sqlite3_int64)at);
        assert_memory_equal(page, content + at, sizeof page);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_deleted_material_is_gone),  TEST(test_deleted_import_key_is_gone),
        TEST(test_churn_leaves_nothing),      TEST(test_busy),
        cmocka_unit_test(test_gap_of_a_page), cmocka_unit_test(test_other_pages),
        TEST(test_file_has_no_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
