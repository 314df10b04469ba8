/* vault/slot_erase.c - overwriting slots for good, and the proof of it (trust-model 2.7.2, 2.7.6).
 *
 * Random bytes, sync, zeros, sync, then the page is read back past the page cache. A crash at any
 * step leaves bytes that open as nothing: the next start finds the slot damaged and erases it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "vault/slot_file.h"

enum fill { FILL_RANDOM, FILL_ZERO };

enum {
    READ_MAX = 16 * SLOT_PAGE, /* read back at once */
    READ_GAP = 4 * SLOT_PAGE,  /* between two that are: at most three pages are read for nothing */
};

/* A slot that is being erased, and which of the names it is. */
struct claimed {
    uint32_t slot;
    size_t   at;
};

static int by_slot(const void *a, const void *b)
{
    const struct claimed *x = a;
    const struct claimed *y = b;

    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Takes the slots that are to be erased now: marks them busy; the others are left alone. In the order of
 * the file, so that slots of one page are neighbours. */
static size_t claim(struct slot_file *f, const struct slot_name *names, size_t n,
                    struct claimed *mine)
{
    size_t count = 0;

    (void)pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        struct slot_entry *e = names[i].slot < f->n_entries ? &f->entries[names[i].slot] : NULL;
        /* a damaged slot can be half erased: whose it was does not matter, nothing opens with it */
        bool take = e != NULL &&
                    (e->state == SLOT_DAMAGED ||
                     (e->state == SLOT_USED &&
                      (names[i].any_generation || e->generation == names[i].generation)));
        if (take) {
            e->state = SLOT_BUSY;
            mine[count++] = (struct claimed){ names[i].slot, i };
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
    qsort(mine, count, sizeof *mine, by_slot);
    return count;
}

/* After success the slots are free; after a failure nobody knows, so they stay out of use. */
static void let_go(struct slot_file *f, const struct claimed *mine, size_t n, bool erased)
{
    (void)pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < n; i++) {
        struct slot_entry *e = &f->entries[mine[i].slot];
        if (erased) {
            *e = (struct slot_entry){ 0, SLOT_FREE };
            f->free[f->n_free++] = mine[i].slot;
        } else {
            e->state = SLOT_DAMAGED;
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
}

/* With the lock held: the slots from `i` on that lie in the same page, with one write. *ret_next: the first
 * of another page. */
static enum kms_status overwrite_page(struct slot_file *f, const struct claimed *mine, size_t n,
                                      size_t i, enum fill fill, size_t *ret_next,
                                      struct kms_error *reterr)
{
    uint8_t  page[SLOT_PAGE];
    uint64_t at = slot_page(mine[i].slot);

    TRY(slot_file_read_page(f, at, page, reterr));
    for (; i < n && slot_page(mine[i].slot) == at; i++) {
        uint8_t *slot = page + (slot_offset(mine[i].slot) - at);
        if (fill == FILL_RANDOM)
            crypto_random(slot, SLOT_BYTES);
        else
            memset(slot, 0, SLOT_BYTES);
    }
    *ret_next = i;
    return slot_file_write_page(f, at, page, reterr);
}

static enum kms_status overwrite(struct slot_file *f, const struct claimed *mine, size_t n,
                                 enum fill fill, struct kms_error *reterr)
{
    for (size_t i = 0; i < n;) {
        (void)pthread_mutex_lock(&f->lock);
        enum kms_status status = overwrite_page(f, mine, n, i, fill, &i, reterr);
        (void)pthread_mutex_unlock(&f->lock);
        TRY(status);
    }
    return KMS_OK;
}

/* I2: the next generation is on disk before the slot can look free. */
static enum kms_status raise_generation(struct slot_file *f, struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&f->lock);
    enum kms_status status = slot_file_put_header(f, f->generation + 1, reterr);
    if (status == KMS_OK)
        f->generation++;
    (void)pthread_mutex_unlock(&f->lock);
    return status;
}

/* Pages of the file that were read back together. */
struct read_back {
    uint8_t *bytes;
    uint64_t from, end; /* offsets in the file; no slot lies at 0 */
    bool     direct;
};

/* The pages from that of mine[i] up to the last one near it that has one of them: a disk takes about as long for
 * them as for one. */
static uint64_t run_end(const struct claimed *mine, size_t n, size_t i)
{
    uint64_t from = slot_page(mine[i].slot);
    uint64_t end = from + SLOT_PAGE;

    for (; i < n; i++) {
        uint64_t next = slot_page(mine[i].slot) + SLOT_PAGE;
        if (next - from > READ_MAX || next - end > READ_GAP)
            break;
        end = next;
    }
    return end;
}

static enum kms_status read_pages(struct slot_file *f, uint64_t from, uint64_t end,
                                  struct read_back *r, struct kms_error *reterr)
{
    size_t len = (size_t)(end - from);

    r->from = from;
    r->end = end;
    r->direct = f->direct_fd >= 0 &&
                pread(f->direct_fd, r->bytes, len, (off_t)from) == (ssize_t)len;
    if (r->direct)
        return KMS_OK;
    /* the filesystem cannot read around its cache: drop the pages from it, and do not call it proof */
    (void)posix_fadvise(f->fd, (off_t)from, (off_t)len, POSIX_FADV_DONTNEED);
    return file_pread_all(f->fd, r->bytes, len, from, reterr);
}

/* Each page once. */
static enum kms_status verify(struct slot_file *f, const struct claimed *mine, size_t n,
                              struct erase_proof *proofs, struct kms_error *reterr)
{
    static const uint8_t    zeros[SLOT_BYTES];
    const struct bytes      empty = { zeros, sizeof zeros };
    CLEANUP(freep) uint8_t *room = aligned_alloc(SLOT_PAGE, READ_MAX);
    struct read_back        r = { .bytes = room };

    if (room == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to read a slot back");
    for (size_t i = 0; i < n; i++) {
        if (slot_page(mine[i].slot) >= r.end)
            TRY(read_pages(f, slot_page(mine[i].slot), run_end(mine, n, i), &r, reterr));
        if (!bytes_eq(bytes_of(r.bytes + (slot_offset(mine[i].slot) - r.from), SLOT_BYTES), empty))
            return KMS_FAIL(reterr, KMS_E_INTERNAL,
                            "slot %u of '%s' is not empty after erasing: the "
                            "disk does not do what it says",
                            mine[i].slot, f->path);
        if (proofs != NULL)
            proofs[mine[i].at].verified = r.direct;
    }
    return KMS_OK;
}

static enum kms_status erase_claimed(struct slot_file *f, const struct claimed *mine, size_t n,
                                     struct erase_proof *proofs, struct kms_error *reterr)
{
    CRASH_POINT("vault-erase-claimed");
    TRY(overwrite(f, mine, n, FILL_RANDOM, reterr));
    TRY(raise_generation(f, reterr));
    CRASH_POINT("vault-erase-random-written");
    TRY(slot_file_sync(f, reterr));
    CRASH_POINT("vault-erase-random-synced");
    TRY(overwrite(f, mine, n, FILL_ZERO, reterr));
    CRASH_POINT("vault-erase-zeros-written");
    TRY(slot_file_sync(f, reterr));
    CRASH_POINT("vault-erase-zeros-synced");
    TRY(verify(f, mine, n, proofs, reterr));
    CRASH_POINT("vault-erase-verified");
    return KMS_OK;
}

/* Where the page of slot i lies; slots of one page have the same answer. */
static void extent_of(struct slot_file *f, const struct claimed *mine, size_t i,
                      uint8_t ret[SHA256_LEN])
{
    if (i == 0 || slot_page(mine[i].slot) != slot_page(mine[i - 1].slot))
        (void)grade_extent(f->fd, slot_page(mine[i].slot), ret);
}

static void begin_proofs(struct slot_file *f, const struct grade *grade, size_t n_names,
                         const struct claimed *mine, size_t n, struct erase_proof *proofs)
{
    uint8_t extent[SHA256_LEN] = { 0 };

    for (size_t i = 0; i < n_names; i++) {
        proofs[i] = (struct erase_proof){ .already_empty = true, .grade = grade->grade };
        memcpy(proofs[i].filesystem, grade->filesystem, sizeof proofs[i].filesystem);
    }
    for (size_t i = 0; i < n; i++) {
        struct erase_proof *p = &proofs[mine[i].at];
        extent_of(f, mine, i, extent);
        p->already_empty = false;
        memcpy(p->extents_before, extent, sizeof extent);
    }
}

static void end_proofs(struct slot_file *f, size_t n_names, const struct claimed *mine, size_t n,
                       struct erase_proof *proofs)
{
    uint8_t extent[SHA256_LEN] = { 0 };

    for (size_t i = 0; i < n_names; i++)
        proofs[i].file_generation = f->generation; /* only erasures change it, and we are the one */
    for (size_t i = 0; i < n; i++) {
        extent_of(f, mine, i, extent);
        memcpy(proofs[mine[i].at].extents_after, extent, sizeof extent);
    }
}

enum kms_status slot_file_erase(struct slot_file *f, const struct grade *grade,
                                const struct slot_name *names, size_t n,
                                struct erase_proof *ret_proofs, struct kms_error *reterr)
{
    CLEANUP(freep) struct claimed *mine = calloc(n + 1, sizeof *mine);
    enum kms_status                status = KMS_OK;

    if (mine == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to erase %zu slots", n);
    (void)pthread_mutex_lock(&f->erase_lock);
    size_t count = claim(f, names, n, mine);
    if (ret_proofs != NULL)
        begin_proofs(f, grade, n, mine, count, ret_proofs);
    if (count > 0) {
        status = erase_claimed(f, mine, count, ret_proofs, reterr);
        let_go(f, mine, count, status == KMS_OK);
    }
    if (ret_proofs != NULL)
        end_proofs(f, n, mine, count, ret_proofs);
    (void)pthread_mutex_unlock(&f->erase_lock);
    return status;
}
