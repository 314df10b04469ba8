/* tests/bench/load_histogram.h - how long requests took, in buckets that grow with the time.
 *
 * As in HdrHistogram: up to 256 ns a bucket is a nanosecond, beyond that every power of two has 256
 * buckets, so what is read is at most 0.4 % from what was added. Nothing is sorted or lost, adding
 * costs a few instructions, and histograms of threads can be summed.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BITS = 8, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

/* All zero is an empty one. */
struct histogram {
    uint64_t count, max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* Microseconds that the part `p` (0 to 1) of all took at most, as far as a bucket is wide; 0 when empty. */
double histogram_percentile_us(const struct histogram *h, double p);
