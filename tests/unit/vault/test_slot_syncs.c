/* tests/unit/vault/test_slot_syncs.c - what a sync says, and until when it has not said it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypto/crypto.h"
#include "vault/slot_file.h"

enum { PATIENCE_MS = 300 };

struct world {
    char              dir[64], path[96];
    struct slot_keys  keys;
    struct slot_file *f;
    struct slot_new   one; /* in use */
};

static struct {
    struct slot_file *asked; /* for its generation, at each sync; NULL: none */
    uint64_t          generations[4];
    size_t            n;

    _Atomic bool fails;   /* the next sync is told of the lost write */
    _Atomic bool told;    /* one was */
    _Atomic bool elapsed; /* the other one is over */
} disk;

static void nap(void)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * 1000 }, NULL);
}

static uint64_t generation(struct slot_file *f)
{
    uint32_t used, total;
    uint64_t now;

    slot_file_counts(f, &used, &total, &now);
    return now;
}

/* In the place of the C library's. The one that is told comes back when the other one is over, or does not begin. */
int fdatasync(int fd)
{
    if (disk.asked != NULL && disk.n < ARRAY_LEN(disk.generations))
        disk.generations[disk.n++] = generation(disk.asked);
    if (!atomic_exchange(&disk.fails, false))
        return (int)syscall(SYS_fdatasync, fd);
    atomic_store(&disk.told, true);
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&disk.elapsed); i++)
        nap();
    errno = EIO;
    return -1;
}

static void *sync_first(void *arg)
{
    struct slot_file *f = arg;

    return slot_file_sync(f, NULL) == KMS_OK ? f : NULL;
}

/* The kernel says so once for an open file: of two syncs at the same time the other one succeeds. */
static void test_both_hear_of_a_lost_write(void **state)
{
    struct world *w = *state;
    pthread_t     first;
    void         *succeeded;

    atomic_store(&disk.fails, true);
    assert_int_equal(pthread_create(&first, NULL, sync_first, w->f), 0);
    while (!atomic_load(&disk.told))
        nap();
    enum kms_status second = slot_file_sync(w->f, NULL);
    atomic_store(&disk.elapsed, true);
    assert_int_equal(pthread_join(first, &succeeded), 0);
    assert_null(succeeded);
    assert_int_equal(second, KMS_E_INTERNAL);
}

/* Or a commit remembers a generation that the power takes away, and the next start calls the file an old copy. */
static void test_a_generation_counts_when_it_is_on_disk(void **state)
{
    struct world    *w = *state;
    struct grade     grade = { .grade = ERASE_GRADE_B, .filesystem = "testfs" };
    struct slot_name name = { w->one.slot, w->one.generation, false };
    uint64_t         before = generation(w->f);

    disk.asked = w->f;
    disk.n = 0;
    assert_int_equal(slot_file_erase(w->f, &grade, &name, 1, NULL, NULL), KMS_OK);
    disk.asked = NULL;
    assert_int_equal(disk.n, 2);
    assert_int_equal(disk.generations[0], before);
    assert_int_equal(disk.generations[1], before + 1);

    slot_file_close(w->f);
    assert_int_equal(slot_file_open(w->dir, SLOT_ERASABLE, &w->keys, before + 1, &w->f, NULL),
                     KMS_OK);
    assert_int_equal(generation(w->f), before + 1);
}

static int set_up(void **state)
{
    const char   *base = getenv("TMPDIR");
    struct world *w = calloc(1, sizeof *w);

    if (w == NULL || crypto_init(NULL) != KMS_OK)
        return -1;
    w->keys.wrap = secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"));
    w->keys.mac = secret_copy(BYTES_LIT("fedcba9876543210fedcba9876543210"));
    (void)snprintf(w->dir, sizeof w->dir, "%.40s/syncs-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof w->path, "%s/erasable.slots", w->dir);
    assert_int_equal(slot_file_create(w->dir, SLOT_ERASABLE, &w->keys, 1, NULL), KMS_OK);
    assert_int_equal(slot_file_open(w->dir, SLOT_ERASABLE, &w->keys, 0, &w->f, NULL), KMS_OK);
    assert_int_equal(slot_file_write(w->f, &w->one, 1, NULL), KMS_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    slot_file_close(w->f);
    secret_free(w->one.shred);
    secret_free(w->keys.wrap);
    secret_free(w->keys.mac);
    (void)unlink(w->path);
    (void)rmdir(w->dir);
    free(w);
    crypto_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_hear_of_a_lost_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_generation_counts_when_it_is_on_disk, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
