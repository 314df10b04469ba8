/* base/secret.c - see secret.h.
 *
 * Memory comes in arenas of 64 KiB between two guard pages; an arena is cut into blocks of one
 * size. A thread keeps a few free blocks of each size for itself and goes to the shared pool, under
 * a lock, only for batches. Secrets too large for a block get a mapping of their own.
 *
 * Block: canary (8), length (4), size class (4), data, canary (8) right behind the data.
 *
 * This is the one allocator of the process, so its state is global, as malloc's is.
 *
 * Invariants:
 *   I1  A free block is all zeros behind its header, but for the link of the pool's list.
 *   I2  The canary depends on the block's address and on whether it is free: freeing twice,
 *       freeing what is not a secret, and writing past either end abort.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"

enum {
    ARENA_BYTES = 64 * 1024,
    CLASS_FIRST = 64, /* bytes of the smallest block; each class doubles   */
    CLASSES = 8,      /* 64 ... 8192; larger ones are mapped alone         */
    CACHE_MAX = 16,   /* free blocks of one class a thread keeps           */
    PROBE = 8,        /* arenas locked at start: less would not do anyway  */
    CANARY = 8,
};

struct secret {
    uint64_t canary;
    uint32_t len;
    uint32_t size_class; /* CLASSES: a mapping of its own */
};

/* What a thread keeps. `live` is written by its thread only, read by secret_count. */
struct cache {
    struct cache   *next;
    bool            registered;
    _Atomic int64_t live;
    unsigned        n[CLASSES];
    struct secret  *block[CLASSES][CACHE_MAX];
};

static struct {
    pthread_once_t    once;
    pthread_mutex_t   lock;
    pthread_key_t     thread_end;
    uint64_t          canary;
    size_t            page;
    enum secret_grade grade;
    uint8_t          *spare[PROBE]; /* arenas of the probe, not yet cut */
    unsigned          n_spare;
    struct secret    *free[CLASSES];
    struct cache     *caches;
    int64_t           departed; /* live secrets of threads that have ended */
} pool = { .once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .grade = SECRET_UNLOCKED };

static _Thread_local struct cache mine;

/* --- blocks ------------------------------------------------------------------------------------ */

static uint64_t canary_live(const struct secret *s)
{
    return pool.canary ^ (uint64_t)(uintptr_t)s;
}

static uint8_t *tail_of(struct secret *s)
{
    return secret_data(s) + s->len;
}

static size_t class_bytes(unsigned size_class)
{
    return (size_t)CLASS_FIRST << size_class;
}

static struct secret *next_free(struct secret *s)
{
    struct secret *next;

    memcpy(&next, secret_data(s), sizeof next);
    return next;
}

static void set_next_free(struct secret *s, struct secret *next)
{
    memcpy(secret_data(s), &next, sizeof next);
}

/* --- mappings ---------------------------------------------------------------------------------- */

/* Puts memory of the grade at [at, at + len), which is reserved already. */
static bool map_at(uint8_t *at, size_t len, enum secret_grade grade)
{
    if (grade == SECRET_MEMFD) {
        int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
        if (fd < 0)
            return false;
        bool ok = ftruncate(fd, (off_t)len) == 0 &&
                  mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at &&
                  madvise(at, len, MADV_DONTFORK) == 0; /* a child that touches it dies */
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return ok;
    }
    if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
        return false;
    if (grade == SECRET_LOCKED && mlock(at, len) != 0)
        return false;
    return madvise(at, len, MADV_DONTDUMP) == 0 && madvise(at, len, MADV_WIPEONFORK) == 0;
}

/* Zeroed memory between two guard pages, or NULL with errno set. `len` is in whole pages. */
static uint8_t *map_new(size_t len, enum secret_grade grade)
{
    uint8_t *whole = mmap(NULL, len + 2 * pool.page, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (whole == MAP_FAILED)
        return NULL;
    if (map_at(whole + pool.page, len, grade))
        return whole + pool.page;
    int saved = errno;
    (void)munmap(whole, len + 2 * pool.page);
    errno = saved;
    return NULL;
}

static void map_free(uint8_t *at, size_t len)
{
    (void)munmap(at - pool.page, len + 2 * pool.page);
}

/* --- the pool ---------------------------------------------------------------------------------- */

/* Gives all that the thread keeps back. Later destructors of the same thread may still free
 * secrets: they register it anew, and this runs again. */
static void thread_end(void *arg)
{
    struct cache  *c = arg;
    struct cache **link = &pool.caches;

    (void)pthread_mutex_lock(&pool.lock);
    for (unsigned k = 0; k < CLASSES; k++) {
        while (c->n[k] > 0) {
            struct secret *s = c->block[k][--c->n[k]];
            set_next_free(s, pool.free[k]);
            pool.free[k] = s;
        }
    }
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    pool.departed += atomic_load_explicit(&c->live, memory_order_relaxed);
    atomic_store_explicit(&c->live, 0, memory_order_relaxed);
    c->registered = false;
    (void)pthread_mutex_unlock(&pool.lock);
}

static void pool_start(void)
{
    /* without canaries or the end-of-thread hook nothing here holds: do not start */
    if (getrandom(&pool.canary, sizeof pool.canary, 0) != (ssize_t)sizeof pool.canary ||
        pthread_key_create(&pool.thread_end, thread_end) != 0)
        abort();
    pool.page = (size_t)sysconf(_SC_PAGESIZE);
}

static struct cache *my_cache(void)
{
    if (mine.registered)
        return &mine;
    (void)pthread_once(&pool.once, pool_start);
    if (pthread_setspecific(pool.thread_end, &mine) != 0)
        return NULL;
    (void)pthread_mutex_lock(&pool.lock);
    mine.next = pool.caches;
    pool.caches = &mine;
    mine.registered = true;
    (void)pthread_mutex_unlock(&pool.lock);
    return &mine;
}

/* Cuts a fresh arena into free blocks of the class. Called with the lock held. */
static bool cut_arena(unsigned size_class)
{
    size_t   step = class_bytes(size_class);
    uint8_t *at = pool.n_spare > 0 ? pool.spare[--pool.n_spare] : map_new(ARENA_BYTES, pool.grade);

    if (at == NULL)
        return false;
    for (size_t used = 0; used + step <= ARENA_BYTES; used += step) {
        struct secret *s = (struct secret *)(void *)(at + used);
        *s = (struct secret){ .canary = ~canary_live(s), .size_class = size_class };
        set_next_free(s, pool.free[size_class]);
        pool.free[size_class] = s;
    }
    return true;
}

/* Moves half a cache of free blocks from the pool to the thread. */
static bool refill(struct cache *c, unsigned size_class)
{
    (void)pthread_mutex_lock(&pool.lock);
    if (pool.free[size_class] != NULL || cut_arena(size_class)) {
        while (c->n[size_class] < CACHE_MAX / 2 && pool.free[size_class] != NULL) {
            struct secret *s = pool.free[size_class];
            pool.free[size_class] = next_free(s);
            set_next_free(s, NULL);
            c->block[size_class][c->n[size_class]++] = s;
        }
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return c->n[size_class] > 0;
}

static void spill(struct cache *c, unsigned size_class)
{
    (void)pthread_mutex_lock(&pool.lock);
    while (c->n[size_class] > CACHE_MAX / 2) {
        struct secret *s = c->block[size_class][--c->n[size_class]];
        set_next_free(s, pool.free[size_class]);
        pool.free[size_class] = s;
    }
    (void)pthread_mutex_unlock(&pool.lock);
}

static void count(struct cache *c, int64_t by)
{
    int64_t live = atomic_load_explicit(&c->live, memory_order_relaxed);

    atomic_store_explicit(&c->live, live + by, memory_order_relaxed);
}

static size_t alone_bytes(size_t len)
{
    return (sizeof(struct secret) + len + CANARY + pool.page - 1) / pool.page * pool.page;
}

static struct secret *take_block(struct cache *c, unsigned size_class)
{
    if (c->n[size_class] == 0 && !refill(c, size_class))
        return NULL;
    struct secret *s = c->block[size_class][--c->n[size_class]];
    if (s->canary != ~canary_live(s))
        abort(); /* I2: somebody wrote into free memory */
    return s;
}

/* --- the interface ----------------------------------------------------------------------------- */

/* SECRET_MEMFD, unless a test asked for memory that it can look into. */
static size_t first_grade(void)
{
#ifdef KMS_CRASH_POINTS
    const char *want = getenv("TRENT_SECRET_MEMORY");

    if (want != NULL && strcmp(want, "mlock") == 0)
        return 1;
#endif
    return 0;
}

enum kms_status secret_memory_init(bool allow_unlocked, struct kms_error *reterr)
{
    static const enum secret_grade order[] = { SECRET_MEMFD, SECRET_LOCKED, SECRET_UNLOCKED };
    const size_t                   end = allow_unlocked ? 3 : 2;

    (void)pthread_once(&pool.once, pool_start);
    (void)pthread_mutex_lock(&pool.lock);
    for (size_t i = first_grade(); i < end && pool.n_spare < PROBE; i++) {
        pool.grade = order[i];
        while (pool.n_spare > 0) /* of the better grade that did not get this far */
            map_free(pool.spare[--pool.n_spare], ARENA_BYTES);
        uint8_t *at;
        while (pool.n_spare < PROBE && (at = map_new(ARENA_BYTES, order[i])) != NULL)
            pool.spare[pool.n_spare++] = at;
    }
    bool ok = pool.n_spare == PROBE;
    int  why = errno;
    (void)pthread_mutex_unlock(&pool.lock);
    if (ok)
        return KMS_OK;
    return KMS_FAIL(reterr, KMS_E_INTERNAL,
                    "cannot lock %d KiB of memory for keys: %s; raise LimitMEMLOCK (ulimit -l), "
                    "8 MiB is enough, or allow unlocked memory",
                    PROBE * ARENA_BYTES / 1024, strerror(why));
}

enum secret_grade secret_memory_grade(void)
{
    return pool.grade;
}

const char *secret_grade_name(enum secret_grade grade)
{
    switch (grade) {
    case SECRET_MEMFD:    return "memfd_secret";
    case SECRET_LOCKED:   return "mlock";
    case SECRET_UNLOCKED: break;
    }
    return "unlocked";
}

struct secret *secret_new(size_t len)
{
    unsigned      k = 0;
    struct cache *c = my_cache();

    if (c == NULL || len == 0 || len > LIMIT_SECRET_BYTES)
        return NULL;
    while (k < CLASSES && class_bytes(k) < sizeof(struct secret) + len + CANARY)
        k++;

    struct secret *s;
    if (k < CLASSES)
        s = take_block(c, k);
    else
        s = (struct secret *)(void *)map_new(alone_bytes(len), pool.grade);
    if (s == NULL)
        return NULL;
    uint64_t canary = canary_live(s);
    *s = (struct secret){ .canary = canary, .len = (uint32_t)len, .size_class = k };
    memcpy(tail_of(s), &canary, sizeof canary);
    count(c, 1);
    return s;
}

struct secret *secret_copy(struct bytes from)
{
    struct secret *s = secret_new(from.len);

    if (s != NULL)
        memcpy(secret_data(s), from.ptr, from.len);
    return s;
}

void secret_free(struct secret *s)
{
    if (s == NULL)
        return;
    uint64_t canary = canary_live(s);
    if (s->canary != canary || memcmp(tail_of(s), &canary, sizeof canary) != 0)
        abort(); /* I2 */

    struct cache *c = my_cache();
    explicit_bzero(secret_data(s), s->len + CANARY);
    if (c == NULL) /* no memory for one pointer per thread: lost, but wiped */
        return;
    count(c, -1);
    if (s->size_class == CLASSES) {
        map_free((uint8_t *)s, alone_bytes(s->len));
        return;
    }
    s->canary = ~canary;
    s->len = 0;
    if (c->n[s->size_class] == CACHE_MAX)
        spill(c, s->size_class);
    c->block[s->size_class][c->n[s->size_class]++] = s;
}

void secret_freep(struct secret **s)
{
    secret_free(*s);
    *s = NULL;
}

uint8_t *secret_data(struct secret *s)
{
    return (uint8_t *)(s + 1);
}

size_t secret_len(const struct secret *s)
{
    return s->len;
}

bool ct_equal(struct bytes a, struct bytes b)
{
    volatile uint64_t differ = 0; /* volatile: the loops must not stop early */
    size_t            i = 0;

    if (a.len != b.len)
        return false;
    for (; a.len - i >= sizeof differ; i += sizeof differ) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, a.ptr + i, sizeof x);
        memcpy(&y, b.ptr + i, sizeof y);
        differ |= x ^ y;
    }
    for (; i < a.len; i++)
        differ |= (uint64_t)(a.ptr[i] ^ b.ptr[i]);
    return differ == 0;
}

size_t secret_count(void)
{
    int64_t sum;

    (void)pthread_mutex_lock(&pool.lock);
    sum = pool.departed;
    for (const struct cache *c = pool.caches; c != NULL; c = c->next)
        sum += atomic_load_explicit(&c->live, memory_order_relaxed);
    (void)pthread_mutex_unlock(&pool.lock);
    return sum < 0 ? 0 : (size_t)sum;
}
