/* tests/unit/vault/test_threads.c - many threads use materials while others are deleted, imported again,
 * forgotten for idleness and reclaimed. For ThreadSanitizer, and for the promise itself: once a deletion
 * has answered, nothing succeeds with what it took away. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "vault/vault_internal.h"

enum { USERS = 3, KEYS = 4, DELETIONS = 60 };

/* One key as the directory would publish it: readers take the record inside a section. */
struct published {
    struct key_record *_Atomic record; /* what requests see                                    */
    _Atomic uint64_t deleted;          /* deletions that have answered                          */
    _Atomic uint64_t imported;         /* imports that were published                           */
};

struct stage {
    struct fixture  *f;
    struct published key[KEYS];
    _Atomic bool     stop;
    _Atomic uint64_t succeeded, refused;
};

struct user {
    struct stage *s;
    unsigned      seed;
};

/* Encrypts, decrypts what it encrypted. Anything but success and "gone" ends the test. */
static void use(struct stage *s, const struct key_record *k, struct buf *blob, struct buf *plain)
{
    struct vault_material m = fixture_current(k);

    buf_reset(blob);
    buf_reset(plain);
    enum kms_status status = vault_encrypt(s->f->v, m, BLOB_ENCRYPT, BYTES_LIT("c"),
                                           BYTES_LIT("plaintext"), blob, NULL);
    if (status == KMS_OK)
        status = vault_decrypt(s->f->v, m, BYTES_LIT("c"), buf_bytes(blob), plain, NULL);
    if (status == KMS_OK) {
        if (!bytes_eq(buf_bytes(plain), BYTES_LIT("plaintext")))
            abort();
        atomic_fetch_add(&s->succeeded, 1);
    } else if (status == KMS_E_KEY_STATE) {
        atomic_fetch_add(&s->refused, 1);
    } else {
        abort();
    }
}

static void *user(void *arg)
{
    struct user  *u = arg;
    struct stage *s = u->s;
    struct buf    blob = BUF_INIT(8192), plain = BUF_INIT(8192);
    int           reader = epoch_register(s->f->epoch);

    if (reader < 0)
        abort();
    while (!atomic_load(&s->stop)) {
        u->seed = u->seed * 1103515245u + 12345u;
        struct published *p = &s->key[(u->seed >> 16) % KEYS];
        epoch_enter(s->f->epoch, reader);
        const struct key_record *k = atomic_load(&p->record);
        if (k != NULL)
            use(s, k, &blob, &plain);
        epoch_leave(s->f->epoch, reader);
    }
    buf_release(&blob);
    buf_release(&plain);
    return NULL;
}

/* What the jobs thread does. */
static void *sweeper(void *arg)
{
    struct stage *s = arg;

    while (!atomic_load(&s->stop)) {
        if (vault_forget_idle(s->f->v) > 0) {
            epoch_barrier(s->f->epoch);
            vault_reclaim(s->f->v);
        }
        (void)sched_yield();
    }
    return NULL;
}

static struct key_record *make(struct fixture *f, unsigned serial)
{
    struct key_record *k = fixture_key("us-east-1", serial, ORIGIN_EXTERNAL);
    uint8_t            material[32] = { (uint8_t)serial };

    (void)fixture_import(f, k, bytes_of(material, sizeof material));
    return k;
}

/* Deletes as the committer does. After it nothing may succeed with the old record. */
static void delete_key(struct stage *s, struct published *p)
{
    struct erase_proof              proof;
    struct key_record              *old = atomic_exchange(&p->record, NULL);
    CLEANUP(buf_release) struct buf out = BUF_INIT(8192);

    fixture_delete(s->f, &old->materials[0], &proof);
    assert_false(proof.already_empty);
    assert_int_equal(
        fixture_encrypt(s->f, fixture_current(old), BYTES_LIT("c"), BYTES_LIT("p"), &out),
        KMS_E_KEY_STATE);
    key_record_free(old);
}

static void test_use_against_deletion(void **state)
{
    struct fixture f;
    struct stage   s = { .f = &f };
    struct user    users[USERS];
    pthread_t      thread[USERS + 1];

    (void)state;
    fixture_open(&f);
    f.v->cache_idle_ms = 0; /* idle at once: entries come and go all the time */
    for (unsigned i = 0; i < KEYS; i++)
        atomic_store(&s.key[i].record, make(&f, i));
    for (unsigned i = 0; i < USERS; i++) {
        users[i] = (struct user){ &s, i + 1 };
        assert_int_equal(pthread_create(&thread[i], NULL, user, &users[i]), 0);
    }
    assert_int_equal(pthread_create(&thread[USERS], NULL, sweeper, &s), 0);

    for (unsigned i = 0; i < DELETIONS; i++) {
        struct published *p = &s.key[i % KEYS];
        uint64_t          before = atomic_load(&s.succeeded);
        delete_key(&s, p);
        atomic_store(&p->record, make(&f, i % KEYS));
        while (atomic_load(&s.succeeded) < before + 10) /* the others are really at work */
            (void)sched_yield();
    }
    atomic_store(&s.stop, true);
    for (unsigned i = 0; i <= USERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_true(atomic_load(&s.succeeded) >= 10 * DELETIONS);
    assert_int_equal(atomic_load(&s.refused), 0); /* who had the record in time was served */
    for (unsigned i = 0; i < KEYS; i++)
        key_record_free(atomic_load(&s.key[i].record));
    fixture_close(&f);
    assert_int_equal(secret_count(), fixture_own_secrets());
}

/* Two first users of one material: both are served, one entry is left. */
static void *first_user(void *arg)
{
    struct user *u = arg;
    struct buf   blob = BUF_INIT(8192), plain = BUF_INIT(8192);
    int          reader = epoch_register(u->s->f->epoch);

    epoch_enter(u->s->f->epoch, reader);
    use(u->s, atomic_load(&u->s->key[0].record), &blob, &plain);
    epoch_leave(u->s->f->epoch, reader);
    buf_release(&blob);
    buf_release(&plain);
    return NULL;
}

static void test_opening_twice(void **state)
{
    struct fixture      f;
    struct stage        s = { .f = &f };
    struct vault_status status;

    (void)state;
    fixture_open(&f);
    atomic_store(&s.key[0].record, make(&f, 0));
    for (unsigned round = 0; round < 20; round++) {
        pthread_t   thread[USERS];
        struct user u = { &s, 0 };
        vault_forget(f.v, &atomic_load(&s.key[0].record)->materials[0].id);
        vault_reclaim(f.v);
        for (unsigned i = 0; i < USERS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, first_user, &u), 0);
        for (unsigned i = 0; i < USERS; i++)
            assert_int_equal(pthread_join(thread[i], NULL), 0);
        vault_status(f.v, &status);
        assert_int_equal(status.cached_materials, 1);
    }
    assert_int_equal(atomic_load(&s.succeeded), 20 * USERS);
    key_record_free(atomic_load(&s.key[0].record));
    fixture_close(&f);
}

/* Slots are written and erased side by side, many in one page. */
static void *slot_user(void *arg)
{
    struct stage      *s = arg;
    struct key_record *k = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);

    for (unsigned i = 0; i < 25; i++) {
        struct key_material m = { .role = MATERIAL_CURRENT };
        struct erase_proof  proof;
        if (vault_generate_material(s->f->v, k, k->arena, &m, NULL) != KMS_OK ||
            !vault_slot_alive(s->f->v, &m.sealed))
            abort();
        if (vault_erase(s->f->v, &m.sealed, 1, &proof, NULL) != KMS_OK || proof.already_empty ||
            vault_slot_alive(s->f->v, &m.sealed))
            abort();
    }
    key_record_free(k);
    return NULL;
}

static void test_slots_side_by_side(void **state)
{
    struct fixture      f;
    struct stage        s = { .f = &f };
    pthread_t           thread[USERS];
    struct vault_status status;

    (void)state;
    fixture_open(&f);
    for (unsigned i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, slot_user, &s), 0);
    for (unsigned i = 0; i < USERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    vault_status(f.v, &status);
    assert_int_equal(status.slots_used[SLOT_DURABLE], 0);
    assert_int_equal(status.generation[SLOT_DURABLE], 1 + USERS * 25);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_use_against_deletion),
        cmocka_unit_test(test_opening_twice),
        cmocka_unit_test(test_slots_side_by_side),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
