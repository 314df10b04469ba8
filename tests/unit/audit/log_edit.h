/* tests/unit/audit/log_edit.h - an audit log in memory, and ways to tamper with it. */
#pragma once

#include "fixture.h"

enum { LOG_FILES_MAX = 16 };

struct log_file {
    char       name[AUDIT_NAME_MAX];
    struct buf text;
    bool       gone; /* dropped by an edit */
};

struct log_image {
    struct log_file files[LOG_FILES_MAX];
    size_t          n;
};

void log_load(struct log_image *image, const char *dir);
void log_copy(struct log_image *to, const struct log_image *from);
void log_store(const struct log_image *image, const char *dir);
void log_release(struct log_image *image);
bool log_same(const struct log_image *a, const struct log_image *b);
/* Is `image` what `whole` was after one of its checkpoints? That is a shorter honest log. */
bool log_is_shorter(const struct log_image *image, const struct log_image *whole);
/* The i-th line of a file, with its newline; NULL bytes if there is none. */
struct bytes log_line(const struct log_file *file, size_t i);
size_t log_lines(const struct log_file *file);
/* The last checkpoint of the log, without newline. */
struct bytes log_last_checkpoint(const struct log_image *image);

/* Pseudo-random numbers that a seed repeats (splitmix64). */
uint64_t log_random(uint64_t *state);

enum log_edit {
    EDIT_BIT_FLIP,
    EDIT_DROP,
    EDIT_SWAP,
    EDIT_DUPLICATE,
    EDIT_TRUNCATE,
    EDIT_SPLICE,
    EDIT_REHASH,
    EDIT_RESIGN,
    EDIT_DROP_FILE,
    EDIT_SWAP_FILES,
    EDIT_INSERT,
    EDIT_CUT_OUT,
    LOG_EDIT_COUNT
};
extern const char *const log_edit_names[LOG_EDIT_COUNT];

/* Makes one edit at random places. `other` is a log of another node. Some come out as no change at
 * all (log_same). */
void log_edit(struct log_image *image, const struct log_image *other, enum log_edit edit,
              uint64_t *random);
