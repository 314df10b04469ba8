/* base/clock.h - the time of the key life cycle, and the wall clock.
 *
 * Two clocks. clock_wall_* is the machine's clock: signatures, Date headers. clock_now is the time
 * by which keys live: it never goes back (trust-model 2.8: expired stays expired), and in
 * development mode it can be moved forward. Both in milliseconds since the Unix epoch, UTC.
 *
 * A forward jump of more than a minute against the machine's monotonic boot clock makes the time
 * doubtful: uses that would be refused are refused at once, but erasing waits (clock_certain)
 * until ten minutes have passed with the new time, because refusing can be undone and erasing not.
 * When the machine's clock is set back, in the same run or before it, clock_now stays where it was, and
 * erasing waits until the machine's clock has come there again.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct clock;

enum { CLOCK_JUMP_MS = 60 * 1000 }; /* against the boot clock: more is a jump, less is slewing */

/* `floor_ms`: the highest time this data directory has ever seen (0 for none). Never fails except
 * for memory (NULL). Thread-safe from then on. */
struct clock *clock_new(int64_t floor_ms);
void clock_free(struct clock *c);

/* Now, for keys: max(wall clock + development offset, highest value ever returned). */
int64_t clock_now(struct clock *c);
/* The same for who has just read the machine's clock. */
int64_t clock_now_at(struct clock *c, int64_t wall_ms);
/* The machine's clock. */
int64_t clock_wall_ms(void);
/* Milliseconds that only move forward, for deadlines and durations. */
int64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);

/* A condition variable whose timed waits no change of the machine's clock makes longer or shorter. */
void clock_cond_init(pthread_cond_t *c);
/* Waits with `lock` held until it is signalled, at most `ms`; may return early for no reason. */
void clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t ms);
/* The same in nanoseconds. */
void clock_cond_wait_ns(pthread_cond_t *c, pthread_mutex_t *lock, int64_t ns);

/* False while a forward jump has not been confirmed, or clock_now is ahead of the machine's clock by more
 * than a minute: do not erase. */
bool clock_certain(struct clock *c);
/* The machine's clock minus its boot clock, in milliseconds: only setting the clock changes it. */
int64_t clock_drift_ms(void);
/* The present time is doubtful, as after a forward jump: one that was found by other means. */
void clock_doubt(struct clock *c);
/* An operator confirms the present time. False, and nothing changes, while clock_now is ahead of the
 * machine's clock: then that has not come to what would be confirmed. */
bool clock_confirm(struct clock *c);
/* Development mode only: moves clock_now forward. Negative values are refused (false), and what leads
 * beyond the year 9999. */
bool clock_advance(struct clock *c, int64_t by_ms);
/* Back to the machine's clock (development reset). The high-water mark is dropped. */
void clock_reset(struct clock *c);
/* Raises the high-water mark, e.g. from a database or an audit record read at start. */
void clock_raise_floor(struct clock *c, int64_t floor_ms);
