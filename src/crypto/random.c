/* crypto/random.c - random bytes, drawn in blocks per thread.
 *
 * A call of OpenSSL's generator costs nearly as much for 16 bytes as for a thousand, and a request needs
 * a few short values. The block lies in a page of its own that a fork wipes in the child, its count of
 * unused bytes included: parent and child never serve the same bytes.
 */
#include "crypto/crypto_internal.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    BLOCK = 2040, /* some 30 requests' values. Who can read what waits here can read
                     the state of the generator, and so what it will give, as well */
    SMALL = 64,   /* longer requests go to the generator directly */
};

struct random_block {
    size_t  left;
    uint8_t data[BLOCK];
};

static void draw(uint8_t *ret, size_t len)
{
    while (len > 0) {
        int n = len < 65536 ? (int)len : 65536;
        if (RAND_bytes(ret, n) != 1)
            abort();
        ret += n;
        len -= (size_t)n;
    }
}

static struct random_block *block_new(void)
{
    void *p = mmap(NULL, sizeof(struct random_block), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || madvise(p, sizeof(struct random_block), MADV_WIPEONFORK) != 0 ||
        madvise(p, sizeof(struct random_block), MADV_DONTDUMP) != 0)
        abort();
    (void)mlock(p, sizeof(struct random_block)); /* a kindness; keys proper are in struct secret */
    return p;
}

void crypto_random_block_free(struct random_block *b)
{
    if (b == NULL)
        return;
    explicit_bzero(b, sizeof *b);
    (void)munmap(b, sizeof *b);
}

void crypto_random(uint8_t *ret, size_t len)
{
    if (len > SMALL) {
        draw(ret, len);
        return;
    }
    struct crypto_thread *t = crypto_thread_or_abort();
    if (t->random == NULL)
        t->random = block_new();
    struct random_block *b = t->random;
    if (b->left < len) {
        draw(b->data, BLOCK);
        b->left = BLOCK;
    }
    b->left -= len;
    memcpy(ret, b->data + b->left, len);
    explicit_bzero(b->data + b->left, len);
}
