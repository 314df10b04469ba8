/* tests/fuzz/fuzz_slots.c - slot files: what was changed is detected, never used, and never takes what was
 * not changed with it.
 *
 * An input is a list of patches of four bytes (place, place, what, how) to a file with two headers and 32
 * slots that we made. Some are applied to the bytes alone (the codec), one in eight inputs to a file that
 * is then opened. What the MACs let through must be what we made.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto_start.h"
#include "base/file.h"
#include "vault/slot_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOTS = 32, IMAGE = 2 * SLOT_HEADER + SLOTS * SLOT_BYTES };

static struct slot_keys    keys;
static struct slot_content made[SLOTS];
static uint8_t             image[IMAGE]; /* both headers, then the slots of the first page */
static char                dir[64];

static void remove_files(void)
{
    char path[FILE_PATH_MAX];

    if (file_join(path, dir, "erasable.slots"))
        (void)unlink(path);
    (void)rmdir(dir);
}

static void make_image(void)
{
    slot_header_encode(&keys, SLOT_ERASABLE, 6, image);
    slot_header_encode(&keys, SLOT_ERASABLE, 7, image + SLOT_HEADER);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint8_t *at = image + 2 * SLOT_HEADER + i * SLOT_BYTES;
        size_t   len;
        if (i % 4 == 3)
            continue; /* free */
        made[i] = (struct slot_content){ .state = SLOT_USED, .generation = 1 + i };
        memset(made[i].owner, (int)i, SLOT_OWNER);
        uint8_t shred[32] = { (uint8_t)i };
        if (crypto_kwp_wrap(secret_view(keys.wrap), bytes_of(shred, 32), made[i].wrapped, &len,
                            NULL) != KMS_OK)
            abort();
        slot_encode(&keys, SLOT_ERASABLE, i, &made[i], at);
    }
}

static void start(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    if (keys.mac != NULL)
        return;
    if (start_crypto() != KMS_OK)
        abort();
    keys.wrap = secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"));
    keys.mac = secret_copy(BYTES_LIT("fedcba9876543210fedcba9876543210"));
    memcpy(keys.instance, "this is instance", 16);
    make_image();
    (void)snprintf(dir, sizeof dir, "%s/fuzz-slots-XXXXXX", base);
    if (mkdtemp(dir) == NULL || slot_file_create(dir, SLOT_ERASABLE, &keys, 1, NULL) != KMS_OK ||
        atexit(remove_files) != 0)
        abort();
}

/* --- the codec ---------------------------------------------------------------------------------------- */

static void check_header(const uint8_t *now, const uint8_t *before, uint64_t made_generation)
{
    uint64_t generation = 0;
    bool     same = bytes_eq(bytes_of(now, SLOT_HEADER), bytes_of(before, SLOT_HEADER));
    bool     good = slot_header_decode(&keys, SLOT_ERASABLE, now, &generation) == SLOT_HEADER_GOOD;

    if (good != same || (good && generation != made_generation))
        abort();
}

static void check_slot(uint32_t slot, const uint8_t *now, const uint8_t *before)
{
    struct slot_content content;
    uint8_t             again[SLOT_BYTES];
    bool                same = bytes_eq(bytes_of(now, SLOT_BYTES), bytes_of(before, SLOT_BYTES));

    slot_decode(&keys, SLOT_ERASABLE, slot, now, &content);
    if (content.state == SLOT_USED) {
        slot_encode(&keys, SLOT_ERASABLE, slot, &content, again);
        if (!same || !bytes_eq(bytes_of(again, SLOT_BYTES), bytes_of(now, SLOT_BYTES)))
            abort();
    } else if (same && made[slot].state == SLOT_USED) {
        abort();
    }
}

/* --- a whole file ------------------------------------------------------------------------------------- */

static void write_image(const uint8_t *from)
{
    char path[FILE_PATH_MAX];

    if (!file_join(path, dir, "erasable.slots"))
        abort();
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || file_pwrite_all(fd, bytes_of(from, SLOT_HEADER), 0, NULL) != KMS_OK ||
        file_pwrite_all(fd, bytes_of(from + SLOT_HEADER, SLOT_HEADER), SLOT_PAGE, NULL) != KMS_OK ||
        file_pwrite_all(fd, bytes_of(from + 2 * SLOT_HEADER, SLOTS * SLOT_BYTES), SLOT_FIRST_AT,
                        NULL) != KMS_OK)
        abort();
    (void)close(fd);
}

static void check_use(struct slot_file *f, const uint8_t *now)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        size_t at = 2 * SLOT_HEADER + i * SLOT_BYTES;
        bool   same = bytes_eq(bytes_of(now + at, SLOT_BYTES), bytes_of(image + at, SLOT_BYTES));
        struct secret *shred = NULL;
        if (made[i].state != SLOT_USED)
            continue;
        enum kms_status status = slot_file_read(f, i, made[i].generation, made[i].owner, &shred,
                                                NULL);
        if (status == KMS_OK && secret_data(shred)[0] != i)
            abort();
        secret_free(shred);
        if ((status == KMS_OK) != same || slot_file_alive(f, i, made[i].generation) != same ||
            (status != KMS_OK && status != KMS_E_KEY_STATE && status != KMS_E_KEY_UNAVAILABLE))
            abort();
    }
}

static void check_file(const uint8_t *now)
{
    struct slot_file *f = NULL;
    bool              first = bytes_eq(bytes_of(now, SLOT_HEADER), bytes_of(image, SLOT_HEADER));
    bool              second = bytes_eq(bytes_of(now + SLOT_HEADER, SLOT_HEADER),
                                        bytes_of(image + SLOT_HEADER, SLOT_HEADER));

    write_image(now);
    enum kms_status status = slot_file_open(dir, SLOT_ERASABLE, &keys, 6, &f, NULL);
    if ((status == KMS_OK) != (first || second))
        abort();
    if (status != KMS_OK)
        return;
    if (f->generation != (second ? 7 : 6))
        abort();
    check_use(f, now);
    slot_file_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t now[IMAGE];

    start();
    memcpy(now, image, sizeof now);
    for (size_t i = 0; i + 4 <= size; i += 4) {
        size_t at = ((size_t)data[i] << 8 | data[i + 1]) % IMAGE;
        if ((data[i + 3] & 1) != 0)
            now[at] = data[i + 2];
        else
            now[at] ^= data[i + 2];
    }
    check_header(now, image, 6);
    check_header(now + SLOT_HEADER, image + SLOT_HEADER, 7);
    for (uint32_t i = 0; i < SLOTS; i++) {
        size_t at = 2 * SLOT_HEADER + i * SLOT_BYTES;
        check_slot(i, now + at, image + at);
    }
    if (size % 8 == 0)
        check_file(now);
    return 0;
}
