/* tests/unit/vault/test_slots.c - shred keys in their file, and what a crash or a stranger's hand leaves. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "alarm.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "fixture.h"
#include "vault/vault_internal.h"

static const char *this_program;

/* In the place of the C library's: counts. */
static _Atomic unsigned syncs;

int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

/* A slot file alone, with keys of its own. */
struct lone {
    char              dir[64];
    struct slot_keys  keys;
    struct slot_file *f;
    struct grade      grade;
};

static const uint8_t owner_a[SLOT_OWNER] = "owner a";
static const uint8_t owner_b[SLOT_OWNER] = "owner b";

static void lone_keys(struct lone *l)
{
    l->keys.wrap = secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"));
    l->keys.mac = secret_copy(BYTES_LIT("fedcba9876543210fedcba9876543210"));
    memcpy(l->keys.instance, "this is instance", 16);
    l->grade = (struct grade){ .grade = ERASE_GRADE_B, .filesystem = "testfs" };
}

static void lone_open(struct lone *l)
{
    const char *base = getenv("TMPDIR");

    *l = (struct lone){ .f = NULL };
    lone_keys(l);
    (void)snprintf(l->dir, sizeof l->dir, "%.40s/slots-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(l->dir));
    assert_int_equal(slot_file_create(l->dir, SLOT_ERASABLE, &l->keys, 1, NULL), KMS_OK);
    assert_int_equal(slot_file_open(l->dir, SLOT_ERASABLE, &l->keys, 0, &l->f, NULL), KMS_OK);
}

static void lone_reopen(struct lone *l)
{
    slot_file_close(l->f);
    l->f = NULL;
    assert_int_equal(slot_file_open(l->dir, SLOT_ERASABLE, &l->keys, 0, &l->f, NULL), KMS_OK);
}

static void lone_close(struct lone *l)
{
    char path[128];

    slot_file_close(l->f);
    (void)snprintf(path, sizeof path, "%s/erasable.slots", l->dir);
    (void)unlink(path);
    (void)rmdir(l->dir);
    secret_free(l->keys.wrap);
    secret_free(l->keys.mac);
}

struct slot {
    uint32_t at;
    uint64_t generation;
};

static struct slot write_slot(struct lone *l, const uint8_t *owner, struct secret **ret_shred)
{
    struct slot_new one = { .slot = 0 };

    memcpy(one.owner, owner, SLOT_OWNER);
    assert_int_equal(slot_file_write(l->f, &one, 1, NULL), KMS_OK);
    assert_int_equal(slot_file_sync(l->f, NULL), KMS_OK);
    if (ret_shred != NULL)
        *ret_shred = TAKE(one.shred);
    secret_free(one.shred);
    return (struct slot){ one.slot, one.generation };
}

static enum kms_status read_slot(struct lone *l, struct slot s, const uint8_t *owner)
{
    CLEANUP(secret_freep) struct secret *shred = NULL;

    return slot_file_read(l->f, s.at, s.generation, owner, &shred, NULL);
}

static void raw(struct lone *l, struct slot s, uint8_t ret[SLOT_BYTES])
{
    assert_int_equal(file_pread_all(l->f->fd, ret, SLOT_BYTES, slot_offset(s.at), NULL), KMS_OK);
}

static void set_raw(struct lone *l, struct slot s, const uint8_t bytes[SLOT_BYTES])
{
    assert_int_equal(
        file_pwrite_all(l->f->fd, bytes_of(bytes, SLOT_BYTES), slot_offset(s.at), NULL), KMS_OK);
}

static struct erase_proof erase_slot(struct lone *l, struct slot s)
{
    struct erase_proof proof;
    struct slot_name   name = { s.at, s.generation, false };

    assert_int_equal(slot_file_erase(l->f, &l->grade, &name, 1, &proof, NULL), KMS_OK);
    return proof;
}

/* Copies of the bytes anywhere in the file. */
static unsigned in_file(struct lone *l, const uint8_t *what, size_t len)
{
    struct stat st;
    unsigned    found = 0;

    assert_int_equal(fstat(l->f->fd, &st), 0);
    size_t                  size = (size_t)st.st_size;
    CLEANUP(freep) uint8_t *all = malloc(size);
    assert_non_null(all);
    assert_int_equal(file_pread_all(l->f->fd, all, size, 0, NULL), KMS_OK);
    for (uint8_t *at = all; (at = memmem(at, size - (size_t)(at - all), what, len)) != NULL; at++)
        found++;
    return found;
}

static uint32_t used(struct lone *l)
{
    uint32_t n, total;
    uint64_t generation;

    slot_file_counts(l->f, &n, &total, &generation);
    return n;
}

/* --- life of a slot ---------------------------------------------------------------------------------- */

static void test_write_read_erase(void **state)
{
    struct lone    l;
    uint8_t        bytes[SLOT_BYTES], zeros[SLOT_BYTES] = { 0 };
    struct secret *shred = NULL, *back = NULL;

    (void)state;
    lone_open(&l);
    struct slot s = write_slot(&l, owner_a, &shred);
    assert_int_equal(s.generation, 1);
    assert_true(slot_file_alive(l.f, s.at, s.generation));
    assert_false(slot_file_alive(l.f, s.at, s.generation + 1));
    assert_int_equal(slot_file_read(l.f, s.at, s.generation, owner_a, &back, NULL), KMS_OK);
    assert_true(bytes_eq(secret_view(shred), secret_view(back)));
    secret_freep(&back);
    assert_int_equal(read_slot(&l, s, owner_b), KMS_E_KEY_UNAVAILABLE);
    assert_int_equal(read_slot(&l, (struct slot){ s.at, 2 }, owner_a), KMS_E_KEY_STATE);
    assert_int_equal(read_slot(&l, (struct slot){ s.at + 1, 1 }, owner_a), KMS_E_KEY_STATE);
    assert_int_equal(read_slot(&l, (struct slot){ 1u << 30, 1 }, owner_a), KMS_E_KEY_STATE);

    raw(&l, s, bytes);
    assert_int_equal(in_file(&l, secret_data(shred), 32), 0); /* wrapped, never in the clear */
    assert_int_equal(in_file(&l, bytes + 32, SLOT_WRAPPED), 1);
    lone_reopen(&l);
    assert_int_equal(slot_file_read(l.f, s.at, s.generation, owner_a, &back, NULL), KMS_OK);
    assert_true(bytes_eq(secret_view(shred), secret_view(back)));

    struct erase_proof proof = erase_slot(&l, s);
    assert_false(proof.already_empty);
    assert_int_equal(proof.file_generation, 2);
    assert_string_equal(proof.filesystem, "testfs");
    assert_memory_equal(proof.extents_before, proof.extents_after, 32);
    assert_int_equal(proof.verified, l.f->direct_fd >= 0);
    assert_int_equal(in_file(&l, bytes + 32, SLOT_WRAPPED), 0);
    for (size_t at = 0; at + 16 <= 88; at += 8) /* nor any part of it */
        assert_int_equal(in_file(&l, bytes + at, 16), at == 0 ? in_file(&l, bytes, 16) : 0);
    raw(&l, s, bytes);
    assert_memory_equal(bytes, zeros, SLOT_BYTES);
    assert_int_equal(read_slot(&l, s, owner_a), KMS_E_KEY_STATE);
    proof = erase_slot(&l, s);
    assert_true(proof.already_empty);
    assert_false(proof.verified);
    assert_int_equal(proof.file_generation, 2); /* nothing was erased */
    secret_free(shred);
    secret_free(back);
    lone_close(&l);
}

/* I2: a slot that is used again has another generation, also after a restart. */
static void test_generations_never_repeat(void **state)
{
    struct lone l;
    uint64_t    last = 0;

    (void)state;
    lone_open(&l);
    for (unsigned i = 0; i < 6; i++) {
        struct slot s = write_slot(&l, owner_a, NULL);
        assert_int_equal(s.at, 0); /* the only one that was used */
        assert_true(s.generation > last);
        last = s.generation;
        (void)erase_slot(&l, s);
        if (i % 2 == 0)
            lone_reopen(&l);
        assert_int_equal(read_slot(&l, s, owner_a), KMS_E_KEY_STATE);
    }
    assert_int_equal(l.f->generation, 7);
    lone_close(&l);
}

static void test_group_erase(void **state)
{
    enum { N = 100 };
    struct lone        l;
    struct slot        s[N];
    struct slot_name   names[N + 2];
    struct erase_proof proofs[N + 2];
    uint8_t            before[SLOT_BYTES], after[SLOT_BYTES];

    (void)state;
    lone_open(&l);
    for (size_t i = 0; i < N; i++) {
        s[i] = write_slot(&l, owner_a, NULL);
        names[i] = (struct slot_name){ s[i].at, s[i].generation, false };
    }
    names[7].generation++;                                  /* another generation */
    names[N] = (struct slot_name){ 1u << 30, 1, false };    /* not in the file    */
    names[N + 1] = (struct slot_name){ s[3].at, 1, false }; /* twice in the list  */
    raw(&l, s[7], before);
    uint64_t writes = l.f->written;
    assert_int_equal(slot_file_erase(l.f, &l.grade, names, N + 2, proofs, NULL), KMS_OK);
    for (size_t i = 0; i < N + 2; i++) {
        assert_int_equal(proofs[i].already_empty, i == 7 || i >= N);
        assert_int_equal(proofs[i].file_generation, 2); /* one for all */
    }
    assert_int_equal(l.f->written - writes, 2 * 4 + 1); /* pages, and a header */
    assert_int_equal(used(&l), 1);
    raw(&l, s[7], after);
    assert_memory_equal(before, after, SLOT_BYTES); /* its neighbours went, it stayed */
    assert_int_equal(read_slot(&l, s[7], owner_a), KMS_OK);
    lone_close(&l);
}

#define GROUP 100

static void group_of(struct slot_new list[GROUP])
{
    for (unsigned i = 0; i < GROUP; i++) {
        list[i] = (struct slot_new){ .owner = "one of many " };
        list[i].owner[15] = (uint8_t)i;
    }
}

static void group_release(struct slot_new list[GROUP])
{
    for (unsigned i = 0; i < GROUP; i++)
        secret_free(list[i].shred);
}

/* Many slots are written with one sync, each with a key and an owner of its own. */
static void test_group_write(void **state)
{
    struct lone     l;
    struct slot_new list[GROUP];

    (void)state;
    lone_open(&l);
    (void)write_slot(&l, owner_a, NULL);
    unsigned before = syncs;
    group_of(list);
    assert_int_equal(slot_file_write(l.f, list, GROUP, NULL), KMS_OK);
    assert_int_equal(syncs, before);
    assert_int_equal(slot_file_sync(l.f, NULL), KMS_OK);
    assert_int_equal(slot_file_sync(l.f, NULL), KMS_OK); /* nothing is left to do */
    assert_int_equal(syncs, before + 1);
    assert_int_equal(used(&l), GROUP + 1);
    lone_reopen(&l);
    for (unsigned i = 0; i < GROUP; i++) {
        struct slot                          s = { list[i].slot, list[i].generation };
        const struct slot_new               *next = &list[(i + 1) % GROUP];
        CLEANUP(secret_freep) struct secret *shred = NULL;
        assert_int_equal(slot_file_read(l.f, s.at, s.generation, list[i].owner, &shred, NULL),
                         KMS_OK);
        assert_true(bytes_eq(secret_view(shred), secret_view(list[i].shred)));
        assert_false(bytes_eq(secret_view(shred), secret_view(next->shred)));
        assert_int_equal(read_slot(&l, s, next->owner), KMS_E_KEY_UNAVAILABLE);
    }
    group_release(list);
    lone_close(&l);
}

/* All or none: no slot of a group that failed is in use, and none that may have been written is given out
 * again before the next start has looked at it. */
static void test_group_write_fails(void **state)
{
    struct rung     rung = { 0 };
    struct lone     l;
    struct slot_new list[GROUP];

    (void)state;
    for (int grows = 0; grows < 2; grows++) {
        lone_open(&l);
        l.f->alarm = rung_alarm(&rung);
        uint32_t all = l.f->n_free;
        if (grows == 1)
            l.f->n_free = GROUP / 2; /* as if the others were in use */
        int keep = dup(l.f->fd);
        int other = open(l.f->path, O_RDONLY | O_CLOEXEC);
        assert_true(keep >= 0 && other >= 0 && dup2(other, l.f->fd) >= 0);
        group_of(list);
        assert_int_equal(slot_file_write(l.f, list, GROUP, NULL), KMS_E_INTERNAL);
        for (unsigned i = 0; i < GROUP; i++)
            assert_null(list[i].shred);
        /* growing failed before anything was written; else one write was tried */
        assert_int_equal(l.f->n_free, grows == 1 ? GROUP / 2 : all - 1);
        assert_true(dup2(keep, l.f->fd) >= 0);
        (void)close(keep);
        (void)close(other);
        lone_reopen(&l);
        assert_int_equal(used(&l), 0);
        (void)write_slot(&l, owner_a, NULL);
        lone_close(&l);
    }
}

static void test_grows(void **state)
{
    struct lone l;
    struct stat st;

    (void)state;
    lone_open(&l);
    l.f->n_free = 0; /* as if all were taken: filling 8192 would take a while */
    struct slot s = write_slot(&l, owner_a, NULL);
    assert_int_equal(s.at, 8192);
    assert_int_equal(fstat(l.f->fd, &st), 0);
    assert_int_equal(st.st_size, SLOT_FIRST_AT + 2 * SLOT_CHUNK);
    assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size);
    lone_reopen(&l);
    assert_int_equal(l.f->n_entries, 16384);
    assert_int_equal(read_slot(&l, s, owner_a), KMS_OK);

    /* a machine that stopped while the file grew */
    assert_int_equal(ftruncate(l.f->fd, st.st_size + 12345), 0);
    lone_reopen(&l);
    assert_int_equal(l.f->n_entries, 16384);
    l.f->n_free = 0;
    assert_int_equal(write_slot(&l, owner_b, NULL).at, 16384);
    lone_close(&l);
}

/* --- tampering --------------------------------------------------------------------------------------- */

static void test_every_bit_of_a_slot(void **state)
{
    struct lone         l;
    uint8_t             bytes[SLOT_BYTES];
    struct slot_content content;

    (void)state;
    lone_open(&l);
    struct slot s = write_slot(&l, owner_a, NULL);
    raw(&l, s, bytes);
    slot_decode(&l.keys, SLOT_ERASABLE, s.at, bytes, &content);
    assert_int_equal(content.state, SLOT_USED);
    for (size_t bit = 0; bit < SLOT_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        slot_decode(&l.keys, SLOT_ERASABLE, s.at, bytes, &content);
        assert_int_equal(content.state, SLOT_DAMAGED);
        set_raw(&l, s, bytes);
        assert_int_equal(read_slot(&l, s, owner_a), KMS_E_KEY_UNAVAILABLE);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    set_raw(&l, s, bytes);
    assert_int_equal(read_slot(&l, s, owner_a), KMS_OK);
    slot_decode(&l.keys, SLOT_DURABLE, s.at, bytes, &content); /* in the other file */
    assert_int_equal(content.state, SLOT_DAMAGED);
    slot_decode(&l.keys, SLOT_ERASABLE, s.at + 1, bytes, &content); /* in another place */
    assert_int_equal(content.state, SLOT_DAMAGED);
    lone_close(&l);
}

/* The two headers take turns: a write of one that was cut off leaves the other. */
static void test_torn_header(void **state)
{
    struct lone   l;
    const uint8_t junk[SLOT_HEADER] = { 0x55 };

    (void)state;
    lone_open(&l);
    for (uint64_t generation = 2; generation <= 5; generation++) {
        (void)erase_slot(&l, write_slot(&l, owner_a, NULL));
        assert_int_equal(l.f->generation, generation);
        CLEANUP(buf_release) struct buf all = BUF_INIT(4 << 20);
        assert_int_equal(file_read(l.f->path, &all, NULL), KMS_OK);
        uint64_t at = (generation & 1) * SLOT_PAGE;
        assert_int_equal(file_pwrite_all(l.f->fd, bytes_of(junk, sizeof junk), at, NULL), KMS_OK);
        lone_reopen(&l);
        assert_int_equal(l.f->generation, generation - 1);
        struct bytes good = bytes_of(all.ptr + at, SLOT_PAGE);
        assert_int_equal(file_pwrite_all(l.f->fd, good, at, NULL), KMS_OK);
        lone_reopen(&l);
        assert_int_equal(l.f->generation, generation);
    }
    lone_close(&l);
}

static void test_swapped_slots(void **state)
{
    struct lone l;
    uint8_t     a[SLOT_BYTES], b[SLOT_BYTES];

    (void)state;
    lone_open(&l);
    struct slot sa = write_slot(&l, owner_a, NULL);
    struct slot sb = write_slot(&l, owner_a, NULL);
    raw(&l, sa, a);
    raw(&l, sb, b);
    set_raw(&l, sa, b);
    set_raw(&l, sb, a);
    assert_int_equal(read_slot(&l, sa, owner_a), KMS_E_KEY_UNAVAILABLE);
    lone_reopen(&l);
    assert_int_equal(l.f->entries[sa.at].state, SLOT_DAMAGED);
    assert_int_equal(read_slot(&l, sa, owner_a), KMS_E_KEY_UNAVAILABLE);
    assert_false(slot_file_alive(l.f, sa.at, sa.generation));
    assert_int_equal(used(&l), 2); /* a damaged slot is not given out */
    assert_int_equal(write_slot(&l, owner_a, NULL).at, 2);
    /* and it can be erased under whatever generation it is asked for */
    assert_false(erase_slot(&l, (struct slot){ sa.at, 99 }).already_empty);
    lone_close(&l);
}

/* --- failing devices ----------------------------------------------------------------------------------- */

/* /dev/zero takes writes, gives zeros, and cannot be synced. */
static void test_failed_sync_is_final(void **state)
{
    struct rung      rung = { 0 };
    struct lone      l;
    struct kms_error err;
    struct slot_new  one = { .owner = "owner a" };

    (void)state;
    lone_open(&l);
    l.f->alarm = rung_alarm(&rung);
    int keep = dup(l.f->fd);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    assert_true(keep >= 0 && zero >= 0);
    assert_true(dup2(zero, l.f->fd) >= 0);
    assert_int_equal(slot_file_write(l.f, &one, 1, &err), KMS_OK);
    secret_free(TAKE(one.shred));
    assert_int_equal(slot_file_sync(l.f, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "cannot sync"));
    assert_int_equal(rung.times, 1);
    assert_string_equal(rung.what, err.detail);
    assert_non_null(strstr(rung.what, l.f->path));
    assert_true(dup2(keep, l.f->fd) >= 0); /* the disk is well again: too late (I3) */
    assert_int_equal(slot_file_write(l.f, &one, 1, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "could not be written earlier"));
    assert_null(one.shred);
    assert_int_equal(slot_file_sync(l.f, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "could not be written earlier"));
    assert_int_equal(rung.times, 1);
    (void)close(keep); /* it shares the lock */
    (void)close(zero);
    lone_reopen(&l);
    (void)write_slot(&l, owner_a, NULL);
    lone_close(&l);
}

/* So is a write that fails, of a slot or of the header; a descriptor for reading only makes it so. */
static void test_failed_write_is_final(void **state)
{
    struct lone      l;
    struct kms_error err;
    struct rung      rung = { 0 };

    (void)state;
    lone_open(&l);
    struct slot      s = write_slot(&l, owner_a, NULL);
    struct slot_name name = { s.at, s.generation, false };
    int              keep = dup(l.f->fd);
    int              other = open(l.f->path, O_RDONLY | O_CLOEXEC);
    assert_true(keep >= 0 && other >= 0);
    l.f->alarm = rung_alarm(&rung);
    assert_true(dup2(other, l.f->fd) >= 0);
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, NULL, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(rung.what, "cannot write slot file"));
    assert_true(dup2(keep, l.f->fd) >= 0);
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, NULL, &err), KMS_E_INTERNAL);
    assert_int_equal(rung.times, 1);
    (void)close(keep);
    (void)close(other);

    lone_reopen(&l);
    l.f->alarm = rung_alarm(&rung);
    other = open(l.f->path, O_RDONLY | O_CLOEXEC);
    assert_true(other >= 0 && dup2(other, l.f->fd) >= 0);
    (void)pthread_mutex_lock(&l.f->lock);
    assert_int_equal(slot_file_put_header(l.f, 7, &err), KMS_E_INTERNAL);
    (void)pthread_mutex_unlock(&l.f->lock);
    assert_int_equal(rung.times, 2);
    (void)close(other);
    lone_reopen(&l);
    assert_false(erase_slot(&l, s).already_empty);
    lone_close(&l);
}

/* An erasure that fails says so, leaves the slot out of use, and can be repeated. */
static void test_failed_erase_can_be_repeated(void **state)
{
    struct lone        l;
    struct kms_error   err;
    struct erase_proof proof;

    (void)state;
    struct rung rung = { 0 };
    lone_open(&l);
    l.f->alarm = rung_alarm(&rung);
    struct slot      s = write_slot(&l, owner_a, NULL);
    struct slot_name name = { s.at, s.generation, false };
    int              keep = dup(l.f->fd);
    int              full = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(keep >= 0 && full >= 0);
    assert_true(dup2(full, l.f->fd) >= 0);
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, &proof, &err), KMS_E_INTERNAL);
    assert_false(proof.verified);
    assert_true(dup2(keep, l.f->fd) >= 0);
    assert_false(slot_file_alive(l.f, s.at, s.generation));
    assert_int_equal(write_slot(&l, owner_b, NULL).at, s.at + 1);
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, &proof, &err), KMS_OK);
    assert_false(proof.already_empty);
    assert_int_equal(rung.times, 0);
    (void)close(keep);
    (void)close(full);
    lone_close(&l);
}

/* A disk that says "written" and is not: the read-back finds it. */
static void test_read_back_is_compared(void **state)
{
    struct lone      l;
    struct kms_error err;
    char             other[128];

    (void)state;
    lone_open(&l);
    struct slot      s = write_slot(&l, owner_a, NULL);
    struct slot_name name = { s.at, s.generation, false };
    (void)snprintf(other, sizeof other, "%s/copy", l.dir);
    CLEANUP(buf_release) struct buf all = BUF_INIT(4 << 20);
    assert_int_equal(file_read(l.f->path, &all, NULL), KMS_OK);
    assert_int_equal(file_write(other, buf_bytes(&all), 0600, false, NULL), KMS_OK);
    int keep = l.f->direct_fd; /* reads come from the copy, where nothing was erased */
    l.f->direct_fd = open(other, O_RDONLY | O_CLOEXEC);
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, NULL, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "is not empty after erasing"));
    assert_false(slot_file_alive(l.f, s.at, s.generation));
    (void)close(l.f->direct_fd);
    l.f->direct_fd = keep;
    assert_int_equal(slot_file_erase(l.f, &l.grade, &name, 1, NULL, &err), KMS_OK);
    (void)unlink(other);
    lone_close(&l);
}

/* Where the cache cannot be read around, the proof does not claim it was. */
static void test_without_direct_reads(void **state)
{
    struct lone l;

    (void)state;
    lone_open(&l);
    closep(&l.f->direct_fd);
    struct erase_proof proof = erase_slot(&l, write_slot(&l, owner_a, NULL));
    assert_false(proof.verified);
    assert_false(proof.already_empty);
    lone_close(&l);
}

/* --- sweeping ------------------------------------------------------------------------------------------ */

struct sweep {
    uint32_t keep[4];
    size_t   n_keep;
    uint32_t swept[16];
    size_t   n_swept;
};

static bool named(uint32_t slot, uint64_t generation, void *ctx)
{
    const struct sweep *s = ctx;

    (void)generation;
    for (size_t i = 0; i < s->n_keep; i++) {
        if (s->keep[i] == slot)
            return true;
    }
    return false;
}

static void swept(uint32_t slot, uint64_t generation, void *ctx)
{
    struct sweep *s = ctx;

    (void)generation;
    s->swept[s->n_swept++] = slot;
}

static void damage(struct fixture *f, enum slot_class slot_class, uint32_t slot)
{
    uint8_t x;
    int     fd = f->v->slots[slot_class]->fd;

    assert_int_equal(file_pread_all(fd, &x, 1, slot_offset(slot) + 40, NULL), KMS_OK);
    x ^= 1;
    assert_int_equal(file_pwrite_all(fd, bytes_of(&x, 1), slot_offset(slot) + 40, NULL), KMS_OK);
}

/* Start-up repair: orphans go; of the damaged ones only a durable one that is named stays. */
static void test_sweep(void **state)
{
    struct fixture f;

    (void)state;
    for (int c = 0; c < 2; c++) {
        enum slot_class slot_class = (enum slot_class)c;
        struct sweep    s = { .keep = { 0, 2 }, .n_keep = 2 };
        size_t          count = 0;
        fixture_open(&f);
        for (unsigned i = 0; i < 4; i++) {
            struct slot_new one = { .owner = "owner a" };
            assert_int_equal(slot_file_write(f.v->slots[c], &one, 1, NULL), KMS_OK);
            secret_free(one.shred);
            assert_int_equal(one.slot, i);
        }
        damage(&f, slot_class, 2); /* named   */
        damage(&f, slot_class, 3); /* orphan  */
        fixture_reopen(&f);
        assert_int_equal(vault_sweep(f.v, slot_class, named, swept, &s, &count, NULL), KMS_OK);
        assert_int_equal(count, slot_class == SLOT_DURABLE ? 2 : 3);
        assert_int_equal(s.n_swept, count);
        assert_int_equal(s.swept[0], 1);
        assert_int_equal(s.swept[count - 1], 3);
        assert_true(slot_file_alive(f.v->slots[c], 0, 1));
        assert_int_equal(f.v->slots[c]->entries[2].state,
                         slot_class == SLOT_DURABLE ? SLOT_DAMAGED : SLOT_FREE);
        assert_int_equal(vault_sweep(f.v, slot_class, named, swept, &s, &count, NULL), KMS_OK);
        assert_int_equal(count, 0);
        fixture_close(&f);
    }
}

/* --- crashes ------------------------------------------------------------------------------------------- */

#ifdef KMS_CRASH_POINTS

/* The child: opens the file of `dir`, writes a slot or erases slot 0, and is killed on the way. */
static int crash_case(const char *dir, const char *what)
{
    struct lone l = { .f = NULL };
    struct slot s = { 0, 1 };

    lone_keys(&l);
    if (slot_file_open(dir, SLOT_ERASABLE, &l.keys, 0, &l.f, NULL) != KMS_OK)
        return 2;
    if (strcmp(what, "grow") == 0)
        l.f->n_free = 0;
    if (strcmp(what, "erase") == 0)
        (void)erase_slot(&l, s);
    else
        (void)write_slot(&l, owner_b, NULL);
    return 0;
}

static int run_child(const struct lone *l, const char *point, const char *what)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv("TRENT_CRASH_POINT", point, 1);
        (void)execl(this_program, this_program, l->dir, what, (char *)NULL);
        _exit(126);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Killed at any step of an erasure: the slot opens either as before or never again, another slot of the
 * same page is untouched, and repeating the erasure ends it. */
static void test_crash_while_erasing(void **state)
{
    static const char *const points[] = {
        "vault-erase-claimed",       "vault-erase-random-written", "vault-erase-random-synced",
        "vault-erase-zeros-written", "vault-erase-zeros-synced",   "vault-erase-verified",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        struct lone l;
        uint8_t     bytes[SLOT_BYTES];
        lone_open(&l);
        struct slot gone = write_slot(&l, owner_a, NULL);
        struct slot stays = write_slot(&l, owner_a, NULL);
        raw(&l, gone, bytes);
        slot_file_close(l.f);
        l.f = NULL;
        assert_int_equal(run_child(&l, points[i], "erase"), -SIGKILL);
        assert_int_equal(slot_file_open(l.dir, SLOT_ERASABLE, &l.keys, 0, &l.f, NULL), KMS_OK);
        enum kms_status status = read_slot(&l, gone, owner_a);
        assert_true(i == 0 ? status == KMS_OK : status == KMS_E_KEY_STATE);
        assert_int_equal(in_file(&l, bytes + 32, SLOT_WRAPPED), i == 0 ? 1 : 0);
        assert_int_equal(read_slot(&l, stays, owner_a), KMS_OK);
        struct erase_proof proof = erase_slot(&l, gone);
        assert_int_equal(proof.already_empty, i >= 3);
        assert_int_equal(in_file(&l, bytes + 32, SLOT_WRAPPED), 0);
        struct slot again = write_slot(&l, owner_b, NULL);
        assert_int_equal(again.at, gone.at);
        assert_true(again.generation > gone.generation);
        lone_close(&l);
    }
}

/* Killed while writing: what is there is an orphan that the sweep finds, or nothing. */
static void test_crash_while_writing(void **state)
{
    static const char *const points[][2] = {
        { "vault-slot-written", "write" },
        { "vault-slots-grown", "grow" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        struct lone l;
        lone_open(&l);
        struct slot first = write_slot(&l, owner_a, NULL);
        slot_file_close(l.f);
        l.f = NULL;
        assert_int_equal(run_child(&l, points[i][0], points[i][1]), -SIGKILL);
        assert_int_equal(slot_file_open(l.dir, SLOT_ERASABLE, &l.keys, 0, &l.f, NULL), KMS_OK);
        assert_int_equal(read_slot(&l, first, owner_a), KMS_OK);
        assert_int_equal(used(&l), i < 1 ? 2 : 1);
        (void)write_slot(&l, owner_b, NULL);
        lone_close(&l);
    }
}

#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read_erase),
        cmocka_unit_test(test_generations_never_repeat),
        cmocka_unit_test(test_group_erase),
        cmocka_unit_test(test_group_write),
        cmocka_unit_test(test_group_write_fails),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_every_bit_of_a_slot),
        cmocka_unit_test(test_torn_header),
        cmocka_unit_test(test_swapped_slots),
        cmocka_unit_test(test_failed_sync_is_final),
        cmocka_unit_test(test_failed_write_is_final),
        cmocka_unit_test(test_failed_erase_can_be_repeated),
        cmocka_unit_test(test_read_back_is_compared),
        cmocka_unit_test(test_without_direct_reads),
        cmocka_unit_test(test_sweep),
#ifdef KMS_CRASH_POINTS
        cmocka_unit_test(test_crash_while_erasing),
        cmocka_unit_test(test_crash_while_writing),
#endif
    };

    this_program = argv[0];
#ifdef KMS_CRASH_POINTS
    if (argc == 3) {
        (void)fixture_start(NULL);
        return crash_case(argv[1], argv[2]);
    }
#else
    (void)argc;
#endif
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
