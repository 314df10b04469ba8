/* tests/unit/vault/test_read_back.c - slots are read back many pages at once: of each it is its own bytes that
 * are looked at. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "crypto/crypto.h"
#include "vault/slot_file.h"

enum { PER_PAGE = SLOT_PAGE / SLOT_BYTES, ALL = 40 * PER_PAGE };

/* Neighbours, pages with three and with four between them, and pages too far from where a read began. */
static const uint32_t pick[] = {
    0,
    1,
    PER_PAGE - 1,
    PER_PAGE,
    5 * PER_PAGE,
    10 * PER_PAGE,
    11 * PER_PAGE + 5,
    14 * PER_PAGE,
    18 * PER_PAGE,
    22 * PER_PAGE,
    26 * PER_PAGE,
    ALL - 1,
};

struct world {
    char              dir[64], copy[80], path[96];
    struct slot_keys  keys;
    struct slot_file *f;
    struct grade      grade;
    struct slot_name  names[ARRAY_LEN(pick)];
};

/* Slots 0 to ALL are in use; `names` are the picked ones. */
static void write_all(struct world *w)
{
    CLEANUP(freep) struct slot_new *list = calloc(ALL, sizeof *list);

    assert_non_null(list);
    assert_int_equal(slot_file_write(w->f, list, ALL, NULL), KMS_OK);
    for (size_t i = 0; i < ARRAY_LEN(pick); i++)
        w->names[i] = (struct slot_name){ pick[i], list[pick[i]].generation, false };
    for (size_t i = 0; i < ALL; i++) {
        assert_int_equal(list[i].slot, i);
        secret_free(list[i].shred);
    }
}

static int set_up(void **state)
{
    const char   *base = getenv("TMPDIR");
    struct world *w = calloc(1, sizeof *w);

    if (w == NULL || crypto_init(NULL) != KMS_OK)
        return -1;
    w->keys.wrap = secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"));
    w->keys.mac = secret_copy(BYTES_LIT("fedcba9876543210fedcba9876543210"));
    w->grade = (struct grade){ .grade = ERASE_GRADE_B, .filesystem = "testfs" };
    (void)snprintf(w->dir, sizeof w->dir, "%.40s/back-XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(w->dir) == NULL)
        return -1;
    (void)snprintf(w->copy, sizeof w->copy, "%s/copy", w->dir);
    (void)snprintf(w->path, sizeof w->path, "%s/erasable.slots", w->dir);
    assert_int_equal(slot_file_create(w->dir, SLOT_ERASABLE, &w->keys, 1, NULL), KMS_OK);
    assert_int_equal(slot_file_open(w->dir, SLOT_ERASABLE, &w->keys, 0, &w->f, NULL), KMS_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    slot_file_close(w->f);
    (void)unlink(w->path);
    (void)unlink(w->copy);
    (void)rmdir(w->dir);
    secret_free(w->keys.wrap);
    secret_free(w->keys.mac);
    free(w);
    crypto_cleanup();
    return 0;
}

/* A copy of the file in which all picked slots are empty, but for the last byte of this one. */
static void write_copy(struct world *w, struct buf *all, uint32_t but)
{
    for (size_t k = 0; k < ARRAY_LEN(pick); k++)
        memset(all->ptr + slot_offset(pick[k]), 0, SLOT_BYTES);
    all->ptr[slot_offset(but) + SLOT_BYTES - 1] = 1;
    (void)unlink(w->copy);
    assert_int_equal(file_write(w->copy, buf_bytes(all), 0600, false, NULL), KMS_OK);
}

static void test_each_slot_is_looked_at(void **state)
{
    struct world                   *w = *state;
    struct erase_proof              proofs[ARRAY_LEN(pick)];
    struct kms_error                err;
    char                            want[32];
    CLEANUP(buf_release) struct buf all = BUF_INIT(4 << 20);

    write_all(w);
    assert_int_equal(file_read(w->path, &all, NULL), KMS_OK);
    int keep = w->f->direct_fd;
    for (size_t i = 0; i < ARRAY_LEN(pick); i++) {
        write_copy(w, &all, pick[i]);
        w->f->direct_fd = open(w->copy, O_RDONLY | O_CLOEXEC); /* reads come from there */
        assert_int_equal(slot_file_erase(w->f, &w->grade, w->names, ARRAY_LEN(pick), NULL, &err),
                         KMS_E_INTERNAL);
        (void)snprintf(want, sizeof want, "slot %u of ", pick[i]);
        assert_non_null(strstr(err.detail, want));
        (void)close(w->f->direct_fd);
    }
    w->f->direct_fd = keep;
    assert_int_equal(slot_file_erase(w->f, &w->grade, w->names, ARRAY_LEN(pick), proofs, &err),
                     KMS_OK);
    for (size_t i = 0; i < ARRAY_LEN(pick); i++)
        assert_int_equal(proofs[i].verified, keep >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_slot_is_looked_at, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
