/* vault/slot_file.c - opening, growing, writing and reading a slot file; see slot_file.h. */
#include "vault/slot_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crash_point.h"

enum {
    CHUNK_SLOTS = SLOT_CHUNK / SLOT_BYTES,
    SHRED_LEN = 32,
    ENTRIES_MAX = 16 * 1024 * 1024, /* 2 GiB of slots: a file that claims more is not ours */
};

const char *slot_file_name(enum slot_class slot_class)
{
    return slot_class == SLOT_ERASABLE ? "erasable.slots" : "durable.slots";
}

/* --- writing ------------------------------------------------------------------------------------------ */

/* With the lock held: I3. */
static enum kms_status lost(struct slot_file *f, const char *doing, int why,
                            struct kms_error *reterr)
{
    struct kms_error err;
    enum kms_status  status = KMS_FAIL(&err, KMS_E_INTERNAL, "cannot %s slot file '%s': %s", doing,
                                       f->path, strerror(why));

    if (!f->broken) {
        f->broken = true;
        file_alarm_ring(&f->alarm, err.detail);
    }
    if (reterr != NULL)
        *reterr = err;
    return status;
}

static enum kms_status refuse_broken(const struct slot_file *f, struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "slot file '%s' could not be written earlier: nothing more is written to it "
                    "until it is opened again",
                    f->path);
}

/* With the lock held. A full disk is not the end: the slots are there already, so nothing of them was lost. */
static enum kms_status write_at(struct slot_file *f, struct bytes from, uint64_t at,
                                struct kms_error *reterr)
{
    enum kms_status status = file_pwrite_all(f->fd, from, at, reterr);

    f->written++;
    return status == KMS_OK || file_full(errno) ? status : lost(f, "write", errno, reterr);
}

/* With the sync lock held. Growing syncs, too, but with the lock held, so its failure is seen here. */
static enum kms_status sync_in_turn(struct slot_file *f, struct kms_error *reterr)
{
    enum kms_status status = KMS_OK;

    (void)pthread_mutex_lock(&f->lock);
    uint64_t upto = f->written;
    uint64_t generation = f->generation;
    if (!f->broken && f->synced < upto) {
        (void)pthread_mutex_unlock(&f->lock);
        int why = fdatasync(f->fd) != 0 ? errno : 0;
        (void)pthread_mutex_lock(&f->lock);
        if (why != 0)
            status = lost(f, "sync", why, reterr);
        if (!f->broken) {
            f->synced = upto;
            f->generation_synced = generation;
        }
    }
    if (f->broken && status == KMS_OK)
        status = refuse_broken(f, reterr);
    (void)pthread_mutex_unlock(&f->lock);
    return status;
}

enum kms_status slot_file_sync(struct slot_file *f, struct kms_error *reterr)
{
    (void)pthread_mutex_lock(&f->sync_lock);
    enum kms_status status = sync_in_turn(f, reterr);
    (void)pthread_mutex_unlock(&f->sync_lock);
    return status;
}

enum kms_status slot_file_read_page(const struct slot_file *f, uint64_t at,
                                    uint8_t ret_page[SLOT_PAGE], struct kms_error *reterr)
{
    if (f->broken)
        return refuse_broken(f, reterr);
    return file_pread_all(f->fd, ret_page, SLOT_PAGE, at, reterr);
}

enum kms_status slot_file_write_page(struct slot_file *f, uint64_t at,
                                     const uint8_t page[SLOT_PAGE], struct kms_error *reterr)
{
    if (f->broken)
        return refuse_broken(f, reterr);
    return write_at(f, bytes_of(page, SLOT_PAGE), at, reterr);
}

/* With the lock held: changes the bytes of one slot in its page. */
static enum kms_status patch(struct slot_file *f, uint32_t slot, const uint8_t bytes[SLOT_BYTES],
                             struct kms_error *reterr)
{
    uint8_t  page[SLOT_PAGE];
    uint64_t at = slot_page(slot);

    TRY(slot_file_read_page(f, at, page, reterr));
    memcpy(page + (slot_offset(slot) - at), bytes, SLOT_BYTES);
    return slot_file_write_page(f, at, page, reterr);
}

/* The copies take turns, so that a write cut off halfway leaves the other one. */
static uint64_t header_at(uint64_t generation)
{
    return (generation & 1) * SLOT_PAGE;
}

enum kms_status slot_file_put_header(struct slot_file *f, uint64_t generation,
                                     struct kms_error *reterr)
{
    uint8_t page[SLOT_PAGE] = { 0 };

    slot_header_encode(&f->keys, f->slot_class, generation, page);
    return write_at(f, bytes_of(page, sizeof page), header_at(generation), reterr);
}

/* Real zeros, since unwritten blocks would move at their first write. */
static enum kms_status write_zeros(int fd, uint64_t at, uint64_t end, struct kms_error *reterr)
{
    CLEANUP(freep) uint8_t *zeros = calloc(1, SLOT_CHUNK);

    if (zeros == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory to grow a slot file");
    while (at < end) {
        size_t n = end - at < SLOT_CHUNK ? (size_t)(end - at) : SLOT_CHUNK;
        TRY(file_pwrite_all(fd, bytes_of(zeros, n), at, reterr));
        at += n;
    }
    return KMS_OK;
}

static enum kms_status fill_new(const char *path, enum slot_class slot_class,
                                const struct slot_keys *keys, uint64_t generation,
                                struct kms_error *reterr)
{
    uint8_t page[SLOT_PAGE] = { 0 };

    CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create '%s': %s", path, strerror(errno));
    TRY(write_zeros(fd, 0, SLOT_FIRST_AT + SLOT_CHUNK, reterr));
    slot_header_encode(keys, slot_class, generation, page);
    TRY(file_pwrite_all(fd, bytes_of(page, sizeof page), header_at(generation), reterr));
    if (fsync(fd) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot sync '%s': %s", path, strerror(errno));
    return KMS_OK;
}

enum kms_status slot_file_create(const char *dir, enum slot_class slot_class,
                                 const struct slot_keys *keys, uint64_t generation,
                                 struct kms_error *reterr)
{
    char path[FILE_PATH_MAX];
    char unfinished[FILE_PATH_MAX];

    if (!file_join(path, dir, slot_file_name(slot_class)) ||
        snprintf(unfinished, sizeof unfinished, "%s.new", path) >= (int)sizeof unfinished)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", dir);
    TRY(fill_new(unfinished, slot_class, keys, generation, reterr));
    if (renameat2(AT_FDCWD, unfinished, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        int why = errno;
        (void)unlink(unfinished);
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot create '%s': %s", path, strerror(why));
    }
    return file_sync_dir(dir, reterr);
}

/* --- opening ------------------------------------------------------------------------------------------ */

static enum kms_status check_header(struct slot_file *f, uint64_t min_generation,
                                    struct kms_error *reterr)
{
    bool foreign = false;

    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t  header[SLOT_HEADER];
        uint64_t generation = 0;
        TRY(file_pread_all(f->fd, header, sizeof header, copy * SLOT_PAGE, reterr));
        enum slot_header is = slot_header_decode(&f->keys, f->slot_class, header, &generation);
        foreign |= is == SLOT_HEADER_FOREIGN;
        if (is == SLOT_HEADER_GOOD && generation > f->generation)
            f->generation = generation;
    }
    if (f->generation == 0)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            foreign ? "slot file '%s' belongs to another instance; put the right one back"
                    : "the header of slot file '%s' is damaged; put an undamaged copy of the "
                      "same file back",
            f->path);
    if (f->generation < min_generation)
        return KMS_FAIL(
            reterr, KMS_E_INTERNAL,
            "slot file '%s' is an old copy: generation %llu, the database has seen %llu", f->path,
            (unsigned long long)f->generation, (unsigned long long)min_generation);
    return KMS_OK;
}

static bool make_room(struct slot_file *f, uint32_t n)
{
    struct slot_entry *entries = realloc(f->entries, n * sizeof *entries);
    if (entries == NULL)
        return false;
    f->entries = entries;
    uint32_t *free_slots = realloc(f->free, n * sizeof *free_slots);
    if (free_slots == NULL)
        return false;
    f->free = free_slots;
    return true;
}

/* Downwards, so that the lowest slots are on top of the stack. */
static void push_free(struct slot_file *f, uint32_t from, uint32_t end)
{
    for (uint32_t slot = end; slot-- > from;) {
        if (f->entries[slot].state == SLOT_FREE)
            f->free[f->n_free++] = slot;
    }
}

static enum kms_status read_entries(struct slot_file *f, uint32_t n, struct kms_error *reterr)
{
    CLEANUP(freep) uint8_t *chunk = malloc(SLOT_CHUNK);

    if (chunk == NULL || !make_room(f, n))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for %u slots", n);
    for (uint32_t first = 0; first < n; first += CHUNK_SLOTS) {
        TRY(file_pread_all(f->fd, chunk, SLOT_CHUNK, slot_offset(first), reterr));
        for (uint32_t i = 0; i < CHUNK_SLOTS; i++) {
            struct slot_content content;
            slot_decode(&f->keys, f->slot_class, first + i, chunk + (size_t)i * SLOT_BYTES,
                        &content);
            f->entries[first + i] = (struct slot_entry){ content.generation, content.state };
        }
    }
    f->n_entries = n;
    push_free(f, 0, n);
    return KMS_OK;
}

/* Whole chunks only: what is behind the last one was being grown when the machine stopped, and no
 * slot of it was ever given out. */
static enum kms_status count_slots(struct slot_file *f, uint32_t *ret, struct kms_error *reterr)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "slot file '%s' is not a regular file", f->path);
    uint64_t size = (uint64_t)st.st_size;
    if (size < SLOT_FIRST_AT + SLOT_CHUNK)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "slot file '%s' is cut off", f->path);
    uint64_t chunks = (size - SLOT_FIRST_AT) / SLOT_CHUNK;
    if (chunks > ENTRIES_MAX / CHUNK_SLOTS)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "slot file '%s' is too long", f->path);
    *ret = (uint32_t)chunks * CHUNK_SLOTS;
    return KMS_OK;
}

static enum kms_status open_fds(struct slot_file *f, const char *dir, struct kms_error *reterr)
{
    if (!file_join(f->path, dir, slot_file_name(f->slot_class)))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "path '%s' is too long", dir);
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 && errno == ENOENT)
        return KMS_FAIL(reterr, KMS_E_INTERNAL,
                        f->slot_class == SLOT_ERASABLE
                            ? "slot file '%s' is missing: put it back; if it is lost, as after "
                              "restoring a backup, see 'trent restore accept --help'"
                            : "slot file '%s' is missing: put it back from the backup",
                        f->path);
    if (f->fd < 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot open slot file '%s': %s", f->path,
                        strerror(errno));
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "slot file '%s' is in use by another process",
                        f->path);
    f->direct_fd = open(f->path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
    return KMS_OK;
}

static void slot_file_closep(struct slot_file **f)
{
    slot_file_close(*f);
}

enum kms_status slot_file_open(const char *dir, enum slot_class slot_class,
                               const struct slot_keys *keys, uint64_t min_generation,
                               struct slot_file **ret, struct kms_error *reterr)
{
    CLEANUP(slot_file_closep) struct slot_file *f = calloc(1, sizeof *f);

    if (f == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no memory for a slot file");
    *f = (struct slot_file){ .slot_class = slot_class,
                             .keys = *keys,
                             .fd = -1,
                             .direct_fd = -1,
                             .erase_lock = PTHREAD_MUTEX_INITIALIZER,
                             .sync_lock = PTHREAD_MUTEX_INITIALIZER,
                             .lock = PTHREAD_MUTEX_INITIALIZER,
                             .written = 1 }; /* for all that we know */
    uint32_t n = 0;
    TRY(open_fds(f, dir, reterr));
    TRY(count_slots(f, &n, reterr));
    TRY(check_header(f, min_generation, reterr));
    /* what a killed predecessor wrote and did not sync: what looks erased below must be so on disk */
    TRY(slot_file_sync(f, reterr));
    TRY(read_entries(f, n, reterr));
    *ret = TAKE(f);
    return KMS_OK;
}

void slot_file_close(struct slot_file *f)
{
    if (f == NULL)
        return;
    closep(&f->fd);
    closep(&f->direct_fd);
    free(f->entries);
    free(f->free);
    (void)pthread_mutex_destroy(&f->lock);
    (void)pthread_mutex_destroy(&f->sync_lock);
    (void)pthread_mutex_destroy(&f->erase_lock);
    free(f);
}

/* --- using slots -------------------------------------------------------------------------------------- */

/* With the lock held. The new chunk is durable before its first slot is given out. */
static enum kms_status grow(struct slot_file *f, struct kms_error *reterr)
{
    uint32_t old = f->n_entries;

    if (f->broken)
        return refuse_broken(f, reterr);
    if (old + CHUNK_SLOTS > ENTRIES_MAX || !make_room(f, old + CHUNK_SLOTS))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no room for more than %u slots", old);
    enum kms_status status = write_zeros(f->fd, slot_offset(old), slot_offset(old + CHUNK_SLOTS),
                                         reterr);
    if (status != KMS_OK && !file_full(errno) && errno != ENOMEM)
        return lost(f, "grow", errno, reterr);
    TRY(status);
    CRASH_POINT("vault-slots-grown");
    if (fdatasync(f->fd) != 0)
        return lost(f, "sync", errno, reterr);
    memset(f->entries + old, 0, CHUNK_SLOTS * sizeof *f->entries);
    f->n_entries = old + CHUNK_SLOTS;
    push_free(f, old, f->n_entries);
    return KMS_OK;
}

/* With the lock held. Slots that nothing was written to. */
static void give_back(struct slot_file *f, const struct slot_new *list, size_t n)
{
    while (n-- > 0) {
        f->entries[list[n].slot].state = SLOT_FREE;
        f->free[f->n_free++] = list[n].slot;
    }
}

static enum kms_status reserve(struct slot_file *f, struct slot_new *list, size_t n,
                               struct kms_error *reterr)
{
    enum kms_status status = KMS_OK;
    size_t          got = 0;

    (void)pthread_mutex_lock(&f->lock);
    while (got < n && status == KMS_OK) {
        if (f->n_free == 0)
            status = grow(f, reterr);
        if (status != KMS_OK)
            continue;
        struct slot_new *s = &list[got++];
        s->slot = f->free[--f->n_free];
        s->generation = f->generation; /* I2 */
        f->entries[s->slot] = (struct slot_entry){ f->generation, SLOT_BUSY };
    }
    if (status != KMS_OK)
        give_back(f, list, got);
    (void)pthread_mutex_unlock(&f->lock);
    return status;
}

static enum kms_status put_slot(struct slot_file *f, const struct slot_new *new,
                                struct kms_error *reterr)
{
    struct slot_content content = { .state = SLOT_USED, .generation = new->generation };
    uint8_t             bytes[SLOT_BYTES];
    size_t              len = 0;

    memcpy(content.owner, new->owner, SLOT_OWNER);
    TRY(crypto_kwp_wrap(secret_view(f->keys.wrap), secret_view(new->shred), content.wrapped, &len,
                        reterr));
    assert(len == SLOT_WRAPPED);
    slot_encode(&f->keys, f->slot_class, new->slot, &content, bytes);
    (void)pthread_mutex_lock(&f->lock);
    enum kms_status status = patch(f, new->slot, bytes, reterr);
    (void)pthread_mutex_unlock(&f->lock);
    return status;
}

/* *ret_tried: how many may have been written. */
static enum kms_status put_slots(struct slot_file *f, const struct slot_new *list, size_t n,
                                 size_t *ret_tried, struct kms_error *reterr)
{
    for (*ret_tried = 0; *ret_tried < n;)
        TRY(put_slot(f, &list[(*ret_tried)++], reterr));
    CRASH_POINT("vault-slot-written");
    return KMS_OK;
}

static enum kms_status make_shreds(struct slot_new *list, size_t n, struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++) {
        list[i].shred = secret_new(SHRED_LEN);
        if (list[i].shred == NULL)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a shred key");
        crypto_random(secret_data(list[i].shred), SHRED_LEN);
    }
    return KMS_OK;
}

static enum kms_status write_reserved(struct slot_file *f, struct slot_new *list, size_t n,
                                      struct kms_error *reterr)
{
    size_t          tried = 0;
    enum kms_status status = put_slots(f, list, n, &tried, reterr);

    (void)pthread_mutex_lock(&f->lock);
    /* what a failed write left there is unknown: erased at the next start, not used before */
    for (size_t i = 0; i < tried; i++)
        f->entries[list[i].slot].state = status == KMS_OK ? SLOT_USED : SLOT_DAMAGED;
    give_back(f, list + tried, n - tried);
    (void)pthread_mutex_unlock(&f->lock);
    return status;
}

enum kms_status slot_file_write(struct slot_file *f, struct slot_new *list, size_t n,
                                struct kms_error *reterr)
{
    for (size_t i = 0; i < n; i++)
        list[i].shred = NULL;

    enum kms_status status = make_shreds(list, n, reterr);
    if (status == KMS_OK)
        status = reserve(f, list, n, reterr);
    if (status == KMS_OK)
        status = write_reserved(f, list, n, reterr);
    for (size_t i = 0; i < n && status != KMS_OK; i++) {
        secret_free(list[i].shred);
        list[i].shred = NULL;
    }
    return status;
}

static struct slot_entry entry_of(struct slot_file *f, uint32_t slot)
{
    struct slot_entry e = { 0, SLOT_FREE };

    (void)pthread_mutex_lock(&f->lock);
    if (slot < f->n_entries)
        e = f->entries[slot];
    (void)pthread_mutex_unlock(&f->lock);
    return e;
}

bool slot_file_alive(struct slot_file *f, uint32_t slot, uint64_t generation)
{
    struct slot_entry e = entry_of(f, slot);

    return e.state == SLOT_USED && e.generation == generation;
}

static enum kms_status gone(uint32_t slot, struct kms_error *reterr)
{
    return KMS_FAIL(reterr, KMS_E_KEY_STATE, "slot %u is empty or has another generation", slot);
}

enum kms_status slot_file_read(struct slot_file *f, uint32_t slot, uint64_t generation,
                               const uint8_t owner[SLOT_OWNER], struct secret **ret_shred,
                               struct kms_error *reterr)
{
    uint8_t             bytes[SLOT_BYTES];
    struct slot_content content;
    struct slot_entry   e = entry_of(f, slot);

    if (e.generation != generation || e.state == SLOT_FREE || e.state == SLOT_BUSY)
        return gone(slot, reterr);
    TRY(file_pread_all(f->fd, bytes, sizeof bytes, slot_offset(slot), reterr));
    slot_decode(&f->keys, f->slot_class, slot, bytes, &content);
    e = entry_of(f, slot);
    if (e.generation != generation || e.state == SLOT_FREE || e.state == SLOT_BUSY)
        return gone(slot, reterr); /* erased while we read */
    if (content.state != SLOT_USED || content.generation != generation ||
        !ct_equal(bytes_of(content.owner, SLOT_OWNER), bytes_of(owner, SLOT_OWNER)))
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE, "slot %u of '%s' was tampered with", slot,
                        f->path);

    CLEANUP(secret_freep) struct secret *shred = secret_new(SLOT_WRAPPED);
    size_t                               len = 0;
    if (shred == NULL)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a shred key");
    if (crypto_kwp_unwrap(secret_view(f->keys.wrap), bytes_of(content.wrapped, SLOT_WRAPPED),
                          secret_data(shred), &len, NULL) != KMS_OK ||
        len != SHRED_LEN)
        return KMS_FAIL(reterr, KMS_E_KEY_UNAVAILABLE, "slot %u of '%s' does not unwrap", slot,
                        f->path);
    *ret_shred = secret_copy(bytes_of(secret_data(shred), len));
    return *ret_shred != NULL
               ? KMS_OK
               : KMS_FAIL(reterr, KMS_E_INTERNAL, "no secret memory for a shred key");
}

void slot_file_counts(struct slot_file *f, uint32_t *ret_used, uint32_t *ret_total,
                      uint64_t *ret_generation)
{
    (void)pthread_mutex_lock(&f->lock);
    *ret_used = f->n_entries - f->n_free;
    *ret_total = f->n_entries;
    *ret_generation = f->generation_synced;
    (void)pthread_mutex_unlock(&f->lock);
}
