/* base/epoch.h - when may shared memory go? After everyone who could see it has looked away.
 *
 * Readers (loop threads and pool threads) never lock: they say when they start and when they stop
 * looking at shared snapshots. A writer unlinks something, then waits with epoch_barrier() until
 * every reader that might still see it has stopped; then it may free, or erase a key. This is
 * the barrier of trust-model 3.7: "raise the generation, wait for the readers of the old one".
 *
 * A reader's section must be short (one request, never a wait), since barriers wait for it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct epoch;

enum { EPOCH_READERS_MAX = 256 };

struct epoch *epoch_new(void);
void epoch_free(struct epoch *e);

/* Registers the calling thread as a reader; returns its number, or -1 if there are too many. */
int epoch_register(struct epoch *e);
/* Start and stop looking. Not reentrant. */
void epoch_enter(struct epoch *e, int reader);
void epoch_leave(struct epoch *e, int reader);
/* Returns once every section that was open at the time of the call has been left. The calling
 * thread must not be inside a section. Several threads may call it at once. */
void epoch_barrier(struct epoch *e);
/* The barrier in two, for who has something else to do meanwhile: epoch_wait() returns once every section that
 * was open at the time of epoch_mark() has been left. What readers may still see is unlinked before the mark. */
uint64_t epoch_mark(struct epoch *e);
void epoch_wait(struct epoch *e, uint64_t mark);
/* Between these two nobody is inside a section: the first waits for those who are, and who wants to enter
 * waits for the second. For a change of everything that nobody may see half of (a development reset);
 * it stops the whole server, so it must be short. One thread at a time; it is in no section. */
void epoch_close(struct epoch *e);
void epoch_open(struct epoch *e);
