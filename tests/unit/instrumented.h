/* tests/unit/instrumented.h - is this build what users run, or do sanitizers watch it?
 *
 * A sanitizer makes code slower by a factor that depends on the code, the compiler and the machine,
 * brings an allocator of its own and keeps copies of memory. So what a test says about time, about
 * the size of the heap or about what is left in memory counts in the other builds only. Every unit
 * test asks here; scripts/lint sees to it.
 */
#pragma once

#include <stdarg.h> /* cmocka.h wants them */
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__)
#define INSTRUMENTED_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define INSTRUMENTED_THREADS 1
#endif
#endif
#ifndef INSTRUMENTED_THREADS
#define INSTRUMENTED_THREADS 0 /* or by the thread sanitizer, whose memory is terabytes */
#endif

#if INSTRUMENTED_THREADS || defined(__SANITIZE_ADDRESS__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED 0
#endif

/* The bound on a cost - time or heap - which holds for what users run. */
#define assert_cost(COST, BOUND)                                                                   \
    do {                                                                                           \
        if (!((COST) < (BOUND)) && !INSTRUMENTED)                                                  \
            fail_msg("%s is not below %s", #COST, #BOUND);                                         \
    } while (0)
