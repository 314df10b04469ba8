/* tests/unit/store/test_power_loss.c - the database after the power has gone: what a commit has confirmed is
 * there, and what a scrub has called gone is not. wal.c leaves out syncs that SQLite asks for, so this is its test.
 *
 * Between SQLite and its files stands a disk that remembers what was written since the last sync. The power goes
 * at any write, cut or sync: of what was not synced by then any 512 bytes may have arrived and any others not.
 */
#include "fixture.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, OPS_MAX = 4096, CRASHES_MAX = 64, IMAGE_MAX = 8 << 20 };

struct op {
    size_t   at, len; /* a cut: the new size, and 0 */
    uint8_t *data;    /* NULL: a cut */
};

/* One file: what is on the disk, and what was done since. */
struct disk {
    sqlite3_io_methods        methods;
    const sqlite3_io_methods *real;
    uint8_t                  *synced;
    size_t                    len;
    struct op                 ops[OPS_MAX];
    size_t                    n_ops;
    size_t                    n_syncs;
};

static struct {
    struct fixture *f;
    struct disk     db, wal;
    uint64_t        one_in;    /* how many operations to one loss of power */
    size_t          n_crashes; /* whose files wait to be looked at, crash-0.db ... */
} power;

/* In the place of the C library's: counts those of WALs. */
static size_t wal_syncs;

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    char link[32];
    char path[128] = { 0 };

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "-wal") != NULL)
        wal_syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

/* --- the disk --------------------------------------------------------------------------------- */

static void image_put(uint8_t *image, size_t *len, size_t at, const uint8_t *from, size_t n)
{
    assert_true(at + n <= IMAGE_MAX);
    if (n == 0)
        return;
    if (at > *len)
        memset(image + *len, 0, at - *len);
    memcpy(image + at, from, n);
    *len = at + n > *len ? at + n : *len;
}

static void image_cut(uint8_t *image, size_t *len, size_t size)
{
    if (size > *len)
        memset(image + *len, 0, size - *len);
    *len = size;
}

/* What has arrived of what was not synced. */
enum luck { NOTHING, ANY_SECTORS, THE_FIRST, THE_LAST, LUCKS };

static bool arrives(enum luck luck, size_t i, size_t turn)
{
    switch (luck) {
    case NOTHING:     return false;
    case ANY_SECTORS: return random_below(power.f, 2) == 0;
    case THE_FIRST:   return i < turn;
    case THE_LAST:    return i >= turn;
    case LUCKS:       break;
    }
    return false;
}

/* As the next start finds the file. */
static void write_survivor(struct disk *d, const char *path, enum luck luck)
{
    CLEANUP(freep) uint8_t *image = malloc(IMAGE_MAX);
    size_t                  len = d->len;
    size_t                  turn = random_below(power.f, d->n_ops + 1);

    assert_non_null(image);
    memcpy(image, d->synced, len);
    for (size_t i = 0; i < d->n_ops; i++) {
        const struct op *op = &d->ops[i];
        if (op->data == NULL && arrives(luck, i, turn))
            image_cut(image, &len, op->at);
        for (size_t at = 0; at < op->len; at += SECTOR) {
            size_t n = op->len - at < SECTOR ? op->len - at : SECTOR;
            if (arrives(luck, i, turn))
                image_put(image, &len, op->at + at, op->data + at, n);
        }
    }
    fixture_write(path, image, len);
}

static void crash_path(char ret[128], size_t i, const char *end)
{
    (void)snprintf(ret, 128, "%s/crash-%zu.db%s", power.f->dir, i, end);
}

static void power_goes(void)
{
    char      path[128];
    enum luck luck = (enum luck)random_below(power.f, LUCKS);
    size_t    i = power.n_crashes++;

    crash_path(path, i, "");
    write_survivor(&power.db, path, luck);
    crash_path(path, i, "-wal");
    write_survivor(&power.wal, path, luck);
}

static void power_may_go(void)
{
    if (power.n_crashes < CRASHES_MAX && random_below(power.f, power.one_in) == 0)
        power_goes();
}

static void note(struct disk *d, const void *data, size_t len, size_t at)
{
    assert_true(d->n_ops < OPS_MAX);
    struct op *op = &d->ops[d->n_ops++];

    *op = (struct op){ .at = at, .len = len };
    if (data != NULL) {
        op->data = malloc(len);
        assert_non_null(op->data);
        memcpy(op->data, data, len);
    }
    power_may_go();
}

static void settle(struct disk *d)
{
    power_may_go();
    for (size_t i = 0; i < d->n_ops; i++) {
        const struct op *op = &d->ops[i];
        if (op->data == NULL)
            image_cut(d->synced, &d->len, op->at);
        else
            image_put(d->synced, &d->len, op->at, op->data, op->len);
        free(op->data);
    }
    d->n_ops = 0;
    d->n_syncs++;
    power_may_go();
}

/* The WAL is the file with the store's watch in front. */
static struct disk *disk_of(const sqlite3_file *file)
{
    const struct sqlite_store *s = (const struct sqlite_store *)power.f->store;

    return file->pMethods == &s->wal.methods ? &power.wal : &power.db;
}

static int noted_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
    struct disk *d = disk_of(file);

    note(d, from, (size_t)len, (size_t)at);
    return d->real->xWrite(file, from, len, at);
}

static int noted_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct disk *d = disk_of(file);

    note(d, NULL, 0, (size_t)size);
    return d->real->xTruncate(file, size);
}

static int noted_sync(sqlite3_file *file, int flags)
{
    struct disk *d = disk_of(file);

    settle(d);
    return d->real->xSync(file, flags);
}

static void disk_begin(struct disk *d, const char *path, const sqlite3_io_methods **below)
{
    size_t      len = 0;
    struct stat st;

    *d = (struct disk){ .methods = **below, .real = *below };
    d->synced = malloc(IMAGE_MAX);
    assert_non_null(d->synced);
    if (stat(path, &st) == 0) {
        CLEANUP(freep) uint8_t *content = fixture_file(path, &len);
        image_put(d->synced, &d->len, 0, content, len);
    }
    *below = &d->methods;
}

/* Under what the store has put between SQLite and its files. */
static void power_on(struct fixture *f)
{
    struct sqlite_store *s = (struct sqlite_store *)f->store;
    char                 wal[128];

    power.f = f;
    power.n_crashes = 0;
    (void)snprintf(wal, sizeof wal, "%s-wal", f->path);
    disk_begin(&power.db, f->path, &s->wiper.real);
    power.db.methods.xWrite = noted_write;
    s->wiper.methods.xTruncate = noted_truncate; /* page.c leaves these as they were */
    s->wiper.methods.xSync = noted_sync;
    disk_begin(&power.wal, wal, &s->wal.real);
    power.wal.methods.xWrite = noted_write;
    power.wal.methods.xTruncate = noted_truncate;
    power.wal.methods.xSync = noted_sync;
}

static void disk_end(struct disk *d)
{
    for (size_t i = 0; i < d->n_ops; i++)
        free(d->ops[i].data);
    free(d->synced);
    *d = (struct disk){ .synced = NULL };
}

static void power_off(struct fixture *f)
{
    if (f->store != NULL)
        fixture_close(f); /* it writes once more */
    disk_end(&power.db);
    disk_end(&power.wal);
}

static int teardown(void **state)
{
    power_off(*state);
    return fixture_teardown(state);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The files that a loss of power has left, closed. */
static struct fixture after_crash(size_t i)
{
    struct fixture after = *power.f;

    (void)snprintf(after.path, sizeof after.path, "%s/crash-%zu.db", power.f->dir, i);
    after.store = NULL;
    return after;
}

/* Opens what is left, as a start would. It must load, and have the key as it was confirmed last, or as the commit
 * wants it in which the power went. */
static void look_at(size_t i, const struct key_record *like, uint64_t confirmed)
{
    struct fixture after = after_crash(i);
    struct loaded  l;

    fixture_open(&after);
    loaded_from(&after, &l);
    const struct key_record *found = loaded_key(&l, like);
    if (found == NULL || found->version < confirmed || found->version > confirmed + 1)
        fail_msg("version %ju was confirmed, %jd is there", (uintmax_t)confirmed,
                 found == NULL ? (intmax_t)-1 : (intmax_t)found->version);
    loaded_release(&l);
    fixture_close(&after);
}

static size_t look_at_all(const struct key_record *like, uint64_t confirmed)
{
    size_t n = power.n_crashes;

    for (size_t i = 0; i < n; i++)
        look_at(i, like, confirmed);
    power.n_crashes = 0;
    return n;
}

/* The server starts with what the first loss of power has left. Returns which version of the key that has. */
static uint64_t start_again(struct fixture *f, const struct key_record *like)
{
    char          from[128], to[128];
    struct loaded l;

    power_off(f);
    crash_path(from, 0, "");
    assert_int_equal(rename(from, f->path), 0);
    crash_path(from, 0, "-wal");
    (void)snprintf(to, sizeof to, "%s-wal", f->path);
    assert_int_equal(rename(from, to), 0);
    wal_syncs = 0;
    fixture_open(f);
    loaded_from(f, &l);
    const struct key_record *found = loaded_key(&l, like);
    assert_non_null(found);
    uint64_t version = found->version;
    loaded_release(&l);
    return version;
}

static void edit(struct fixture *f, struct key_record *k)
{
    random_edit(f, k);
    assert_int_equal(put_key(f, ROW_KEY_UPDATE, k), KMS_OK);
}

/* Copies the WAL into the database and leaves it as long as it is, as with many changes and no deletion: the next
 * commit begins it anew over what stands there. */
static void copy_wal(struct fixture *f)
{
    sqlite3 *db = ((struct sqlite_store *)f->store)->db;

    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL),
                     SQLITE_OK);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Commits with a scrub now and then, as deletions come between other changes. */
static void test_what_is_confirmed_survives(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    size_t                                       looked = 0;

    add_key(f, k);
    power_on(f);
    power.one_in = 6;
    for (int round = 0; round < 120; round++) {
        uint64_t before = k->version;
        edit(f, k);
        looked += look_at_all(k, before);
        if (random_below(f, 3) == 0) {
            fixture_scrub(f);
            looked += look_at_all(k, k->version);
        }
        power_goes(); /* at rest */
        looked += look_at_all(k, k->version);
    }
    assert_true(looked > 300);
}

/* The same where the WAL is begun anew over old frames: SQLite's sync of the header is needed there. */
static void test_what_is_confirmed_survives_old_frames(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);
    size_t                                       looked = 0;

    add_key(f, k);
    power_on(f);
    power.one_in = 6;
    for (int round = 0; round < 120; round++) {
        for (uint64_t n = 1 + random_below(f, 3); n > 0; n--) {
            uint64_t before = k->version;
            edit(f, k);
            looked += look_at_all(k, before);
        }
        if (random_below(f, 4) == 0)
            fixture_scrub(f);
        else
            copy_wal(f);
        looked += look_at_all(k, k->version);
    }
    assert_true(looked > 300);
}

/* One start after the other, each with what the loss of power before has left. */
static void test_life_after_life(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);

    add_key(f, k);
    for (int life = 0; life < 40; life++) {
        uint64_t confirmed = k->version;
        power_on(f);
        if (random_below(f, 2) == 0)
            copy_wal(f);
        power.one_in = 12;
        while (power.n_crashes == 0) {
            confirmed = k->version;
            edit(f, k);
            if (power.n_crashes > 0)
                break;
            confirmed = k->version;
            if (random_below(f, 2) == 0)
                fixture_scrub(f);
        }
        k->version = start_again(f, k);
        if (k->version < confirmed || k->version > confirmed + 1)
            fail_msg("version %ju was confirmed, %ju is there", (uintmax_t)confirmed,
                     (uintmax_t)k->version);
    }
}

/* Not only in the files as they look while the power is on: an erasing batch says so in a signed receipt. */
static void test_what_is_scrubbed_stays_gone(void **state)
{
    struct fixture *f = *state;
    uint8_t         wrapped[1300];
    struct bytes    mark = bytes_of(wrapped + 600, 32);
    struct fixture  after;

    power_on(f);
    power.one_in = UINT64_MAX;
    for (int round = 0; round < 20; round++) {
        CLEANUP(key_record_freep) struct key_record *k = random_key(f);
        random_fill(f, wrapped, sizeof wrapped);
        k->n_materials = 0;
        key_record_add_material(k)->sealed.wrapped = arena_copy(k->arena,
                                                                bytes_of(wrapped, sizeof wrapped));
        add_key(f, k);
        power_goes();
        after = after_crash(0);
        assert_true(fixture_occurrences(&after, mark) > 0); /* which proves the search */
        k->n_materials = 0;
        edit(f, k);
        fixture_scrub(f);
        power.n_crashes = 0;
        for (int tries = 0; tries < 4; tries++)
            power_goes();
        for (size_t i = 0; i < power.n_crashes; i++) {
            after = after_crash(i);
            assert_int_equal(fixture_occurrences(&after, mark), 0);
        }
        (void)look_at_all(k, k->version);
    }
}

/* A killed server may have written what it did not sync. It is read as committed, and slots are erased for it. */
static void test_what_is_read_at_a_start_is_on_the_disk(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);

    power_on(f);
    power.one_in = UINT64_MAX;
    add_key(f, k);
    power_goes(); /* or the process: it does not matter */
    (void)start_again(f, k);
    assert_int_equal(wal_syncs, 1);
}

/* What all this is for: one sync for a commit, and for a scrub that of the database and one more. */
static void test_syncs_are_counted(void **state)
{
    struct fixture                              *f = *state;
    CLEANUP(key_record_freep) struct key_record *k = random_key(f);

    add_key(f, k);
    fixture_scrub(f);
    power_on(f);
    power.one_in = UINT64_MAX;
    for (size_t round = 1; round <= 5; round++) {
        edit(f, k);
        edit(f, k);
        assert_int_equal(power.wal.n_syncs, 3 * round - 1);
        fixture_scrub(f);
        assert_int_equal(power.wal.n_syncs, 3 * round);
        assert_int_equal(power.db.n_syncs, round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_confirmed_survives, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_confirmed_survives_old_frames, fixture_setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_life_after_life, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_scrubbed_stays_gone, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_read_at_a_start_is_on_the_disk, fixture_setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_syncs_are_counted, fixture_setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
