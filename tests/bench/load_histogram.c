/* tests/bench/load_histogram.c - see load_histogram.h. */
#include "load_histogram.h"

#include <stddef.h>

enum { WIDTH = 1 << HISTOGRAM_BITS };

/* Values below WIDTH are their own bucket. Above, `shift` says by how many powers of two, and the
 * WIDTH leading bits, the first of which is always set, say which bucket of these. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < WIDTH)
        return (size_t)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
    return ((size_t)(shift + 1) << HISTOGRAM_BITS) + (size_t)(ns >> shift) - WIDTH;
}

/* The middle of a bucket. */
static double value_of(size_t bucket)
{
    if (bucket < WIDTH)
        return (double)bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_BITS) - 1;
    uint64_t low = (uint64_t)(WIDTH + (bucket & (WIDTH - 1))) << shift;
    return (double)low + (double)(((uint64_t)1 << shift) - 1) / 2;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->buckets[bucket_of(ns)]++;
    h->count++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->count += from->count;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
}

double histogram_percentile_us(const struct histogram *h, double p)
{
    uint64_t rank = (uint64_t)((double)h->count * p), seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank) {
            double ns = value_of(i);
            return (ns < (double)h->max_ns ? ns : (double)h->max_ns) / 1000;
        }
    }
    return (double)h->max_ns / 1000;
}
