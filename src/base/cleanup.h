/* base/cleanup.h - resources released by scope.
 *
 * Declare with CLEANUP(fn), initialise to NULL or -1, hand over with TAKE or TAKE_FD. `fn` takes a
 * pointer to the variable and tolerates NULL or -1 inside, like every release function we write.
 */
#pragma once

#include <stddef.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* A local that -ftrivial-auto-var-init=zero need not clear. Only for a large one that a fast lane would
 * clear at every request, of which nothing is read that was not written before, and which is wiped like
 * any other if secrets are written to it. Of a struct one function sets every member that is read
 * before it is filled: an error, or an asked_init. Not for what is handed out. */
#define UNINITIALIZED __attribute__((uninitialized))

/* Hands the pointer over: the expression's value is the pointer, the variable becomes NULL. */
#define TAKE(ptr)                                                                                  \
    __extension__({                                                                                \
        __typeof__(ptr) taken_ = (ptr);                                                            \
        (ptr) = NULL;                                                                              \
        taken_;                                                                                    \
    })

/* The same for a file descriptor, which becomes -1. */
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

void freep(void *pointer_to_pointer); /* free(*p), *p = NULL */
void closep(int *fd);                 /* close if >= 0, keeps errno, sets it to -1 */
