/* A toy server on the listener, and clients for it, for the tests of this folder.
 *
 * The path of a request says what its handler does; `n=` in the query is its number:
 *
 *   /echo      answers at once with the body, or the target if there is none
 *   /turn      the same from the turn hook
 *   /thread    the same from another thread, n ms later (listener_post)
 *   /hold      the same when toy_release is called
 *   /block     the same, and keeps its loop busy until then
 *   /big       answers with n bytes
 *   /auth      as /echo, the signature counts as good
 *   /secret    as /echo, the answer counts as secret
 *   /close     as /echo, and closes
 *   /overflow  an answer that is too long
 *   /info      answers with what the exchange says about the connection
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "listener/listener.h"

enum { PATIENCE_MS = 20000 }; /* for what must happen: only a broken test waits so long */

struct toy;

/* Starts a server; address and hooks are filled in, the rest is the caller's. The test fails if it
 * does not start. Signals are set up as main.c does. */
struct toy *toy_start(const struct listener_config *config);
struct listener *toy_listener(struct toy *t);
unsigned toy_port(const struct toy *t);
/* Stops with `ms` of grace, checks that nothing is left open, frees. */
void toy_stop(struct toy *t, int64_t ms);
/* The same in two steps. */
void toy_halt(struct toy *t, int64_t ms);
void toy_free(struct toy *t);
/* Waits until n requests are held, then lets them be answered. */
void toy_wait_held(struct toy *t, unsigned n);
void toy_release(struct toy *t);
/* Waits until so many connections are open. */
void toy_wait_open(struct toy *t, uint64_t n);
struct listener_counts toy_counts(struct toy *t);
/* How often the turn hook and the request hook were called. */
unsigned toy_turns(struct toy *t);
unsigned toy_requests(struct toy *t);

/* Writes cert.pem and cert.key into a folder: a self-signed P-256 certificate with this common name. */
void toy_certificate(const char *dir, const char *name);
/* A folder of its own below the system's temporary folder, and its end. */
void toy_dir_make(char out[64]);
void toy_dir_remove(const char *dir);
/* Number of open descriptors of this process. */
unsigned toy_descriptors(void);
int64_t toy_now_ms(void);
void toy_sleep_ms(int64_t ms);

/* --- clients ------------------------------------------------------------------------------------- */

struct client {
    int        fd;
    void      *ssl; /* SSL, see toy_tls.h; NULL: plain */
    struct buf in;
};

struct client *client_new(struct toy *t);
/* One whose kernel takes little, so that the server soon has to wait for it to read. */
struct client *client_new_narrow(struct toy *t);
struct client *client_local(const char *path);
void client_free(struct client *c);
void client_send(struct client *c, const char *text);
void client_send_bytes(struct client *c, struct bytes in);
/* No more sending (FIN), or gone at once (RST). */
void client_finish_sending(struct client *c);
void client_reset(struct client *c);
/* The next answer must have this status and (unless NULL) body. */
void client_expect(struct client *c, int status, const char *body);
/* ... body of n bytes, each as /big makes it. */
void client_expect_big(struct client *c, size_t n);
/* The head of the next answer, which client_expect reads afterwards; valid until then. */
struct bytes client_head(struct client *c);
/* The server closes without a further byte; with `reset_too`, a reset is as good. */
void client_expect_end(struct client *c, bool reset_too);
/* Nothing comes for so long. */
void client_expect_silence(struct client *c, int64_t ms);

#define HOST "Host: toy\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
