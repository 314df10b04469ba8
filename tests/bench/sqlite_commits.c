/* tests/bench/sqlite_commits.c - how many commits per second SQLite itself makes on this disk: the
 * yardstick of the rows that change something (tests/bench/durable.py).
 *
 *   sqlite_commits FOLDER SECONDS
 *
 * One connection, WAL, synchronous=FULL, one small row per transaction: what a server that did
 * nothing but store it durably could do without sharing transactions. The other settings are those of
 * src/store/sqlite/open.c as far as they cost anything. The database is made in FOLDER and removed.
 * Prints one JSON object: commits, seconds, rate, and the latency of one commit in microseconds.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROW_BYTES = 300, SAMPLES_MAX = 1000 * 1000 };

static const char *const settings[] = {
    "PRAGMA page_size=4096",   "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON", "CREATE TABLE t (id INTEGER PRIMARY KEY, row BLOB) STRICT",
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void check(sqlite3 *db, int rc)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return;
    (void)fprintf(stderr, "sqlite_commits: %s\n", sqlite3_errmsg(db));
    exit(1);
}

/* One transaction: a statement outside of BEGIN is one. */
static void commit_one(sqlite3 *db, sqlite3_stmt *insert)
{
    uint8_t row[ROW_BYTES];

    sqlite3_randomness(sizeof row, row);
    check(db, sqlite3_bind_blob(insert, 1, row, sizeof row, SQLITE_TRANSIENT));
    check(db, sqlite3_step(insert));
    check(db, sqlite3_reset(insert));
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void measure(sqlite3 *db, double seconds, uint32_t *samples)
{
    sqlite3_stmt *insert = NULL;
    size_t        n = 0;

    check(db, sqlite3_prepare_v2(db, "INSERT INTO t (row) VALUES (?1)", -1, &insert, NULL));
    uint64_t start = now_ns();
    uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t now = start;
    while (now < end && n < SAMPLES_MAX) {
        uint64_t before = now;
        commit_one(db, insert);
        now = now_ns();
        samples[n++] = (uint32_t)((now - before) / 1000);
    }
    check(db, sqlite3_finalize(insert));

    double took = (double)(now - start) / 1e9;
    qsort(samples, n, sizeof *samples, by_value);
    (void)printf("{\"commits\":%zu,\"seconds\":%.3f,\"rate\":%.0f,\"p50\":%u,\"p99\":%u}\n", n,
                 took, (double)n / took, n > 0 ? samples[n / 2] : 0,
                 n > 0 ? samples[n * 99 / 100] : 0);
}

static void remove_files(const char *path)
{
    static const char *const beside[] = { "", "-wal", "-shm", "-journal" };

    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        char name[4200];
        (void)snprintf(name, sizeof name, "%s%s", path, beside[i]);
        (void)unlink(name); /* most are not there */
    }
}

int main(int argc, char **argv)
{
    uint32_t *samples = calloc(SAMPLES_MAX, sizeof *samples);
    sqlite3  *db = NULL;
    char      path[4096];

    if (argc != 3 || samples == NULL) {
        (void)fprintf(stderr, "usage: sqlite_commits FOLDER SECONDS\n");
        return 64;
    }
    (void)snprintf(path, sizeof path, "%s/sqlite_commits.db", argv[1]);
    remove_files(path);
    check(db, sqlite3_open(path, &db));
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        check(db, sqlite3_exec(db, settings[i], NULL, NULL, NULL));
    measure(db, atof(argv[2]), samples);
    check(db, sqlite3_close(db));
    remove_files(path);
    free(samples);
    return 0;
}
