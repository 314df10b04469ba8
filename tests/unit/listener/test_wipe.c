/* What a request or a secret answer said is in no memory of the process once it has been answered.
 *
 * The client is another process, so that its own copies do not count, and what is looked for is
 * spelled differently in this file (each byte plus one), so that the search finds no copy of its own. */
#include "toy_tls.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CANARY = 32,
    ROUNDS = 8,
    MAPPING_MAX = 512 * 1024 * 1024, /* larger ones are a sanitizer's books */
};

/* "canary-NN-..." by arithmetic; `which` makes it differ between the places. */
static void canary(char out[CANARY], unsigned which)
{
    static const char shifted[] = "dbobsz.dbobsz.dbobsz.dbobsz.yyy"; /* plus one */

    for (size_t i = 0; i < CANARY - 1; i++)
        out[i] = (char)(shifted[i] - 1);
    out[CANARY - 4] = (char)('a' + which);
    out[CANARY - 1] = '\0';
}

/* Finds the canary in a piece of memory without having it in memory. */
static size_t count_in(const uint8_t *at, size_t len)
{
    static const char shifted[] = "dbobsz.dbobsz.dbobsz.dbobsz.";
    size_t            n = sizeof shifted - 1;
    size_t            found = 0;

    for (const uint8_t *end = at + len;
         (at = memchr(at, shifted[0] - 1, (size_t)(end - at))) != NULL; at++) {
        size_t k = 0;
        while (k < n && at + k < end && at[k] == (uint8_t)(shifted[k] - 1))
            k++;
        found += k == n;
    }
    return found;
}

/* In all writable memory of this process. What is read for searching is wiped piece by piece. */
static size_t count_in_process(void)
{
    enum { PIECE = 1024 * 1024, OVERLAP = 64 };
    static uint8_t piece[PIECE];
    FILE          *maps = fopen("/proc/self/maps", "r");
    int            mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    char           line[512];
    size_t         found = 0;

    assert_true(maps != NULL && mem >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        char          rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[1] != 'w' ||
            to - from > MAPPING_MAX)
            continue;
        for (unsigned long at = from; at < to; at += PIECE - OVERLAP) {
            size_t want = to - at < PIECE ? to - at : PIECE;
            if (at <= (unsigned long)piece + PIECE && at + want >= (unsigned long)piece)
                continue; /* not our own window */
            ssize_t n = pread(mem, piece, want, (off_t)at);
            if (n > 0)
                found += count_in(piece, (size_t)n);
            explicit_bzero(piece, PIECE);
        }
    }
    (void)fclose(maps);
    (void)close(mem);
    return found;
}

/* --- the client's process -------------------------------------------------------------------------- */

static void talk(struct client *c)
{
    char text[512];
    char word[CANARY];

    for (unsigned i = 0; i < ROUNDS; i++) {
        canary(word, i);
        (void)snprintf(text, sizeof text,
                       "POST /secret HTTP/1.1\r\n" HOST "X-Secret: %s\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       word, CANARY - 1, word);
        client_send(c, text);
        if (i % 2 == 0) { /* in pieces, and with another request behind it */
            client_send(c, "POST /secret HTTP/1.1\r\n" HOST "Content-Length: 31\r\n\r\ncanary-");
            toy_sleep_ms(5);
            client_send(c, word + strlen("canary-"));
        }
        client_expect(c, 200, word);
        if (i % 2 == 0)
            client_expect(c, 200, word);
    }
}

/* Told the port, talks, says that it is done, waits until told to go. */
static void client_process(int in, int out, bool tls)
{
    unsigned port = 0;
    char     done = 'd';

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nobody behind */
    if (read(in, &port, sizeof port) != sizeof port)
        _exit(1);
    talk(client_at(port, tls));
    if (write(out, &done, 1) != 1 || read(in, &done, 1) != 1)
        _exit(1);
    _exit(0);
}

static void is_run(void *arg)
{
    atomic_store((_Atomic bool *)arg, true);
}

/* The loop has come to its next turn. */
static void wait_for_a_task(struct toy *t)
{
    _Atomic bool         run = false;
    struct listener_task task = { .fn = is_run, .arg = &run };

    listener_post(toy_listener(t), 0, &task);
    while (!atomic_load(&run))
        toy_sleep_ms(1);
}

static void nothing_remains(bool tls)
{
    struct listener_config config = { 0 };
    char                   dir[64];
    char                   cert[96];
    char                   key[96];
    int                    to[2];
    int                    from[2];
    char                   byte;

    assert_true(pipe(to) == 0 && pipe(from) == 0);
    pid_t pid = fork(); /* before the server has threads */
    assert_true(pid >= 0);
    if (pid == 0)
        client_process(to[0], from[1], tls);

    toy_dir_make(dir);
    toy_certificate(dir, "wipe.example");
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    (void)snprintf(key, sizeof key, "%s/cert.key", dir);
    if (tls) {
        config.tls_cert = cert;
        config.tls_key = key;
    }
    struct toy *t = toy_start(&config);
    unsigned    port = toy_port(t);
    assert_int_equal(write(to[1], &port, sizeof port), sizeof port);
    assert_int_equal(read(from[0], &byte, 1), 1);
    assert_int_equal(toy_requests(t), ROUNDS + ROUNDS / 2);
    for (int turn = 0; turn < 3;
         turn++) /* the last answer is written: its buffer is wiped by then */
        wait_for_a_task(t);
    assert_int_equal(count_in_process(), 0);
    assert_int_equal(write(to[1], &byte, 1), 1);
    int status = 0;
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    toy_wait_open(t, 0);
    toy_stop(t, 0);
    toy_dir_remove(dir);
    for (int i = 0; i < 2; i++) {
        (void)close(to[i]);
        (void)close(from[i]);
    }
}

static void the_search_finds_what_is_there(void **state)
{
    char *word = malloc(CANARY);

    (void)state;
    assert_int_equal(count_in_process(), 0);
    canary(word, 0);
    assert_int_equal(count_in_process(), 1);
    explicit_bzero(word, CANARY);
    free(word);
    assert_int_equal(count_in_process(), 0);
}

static void nothing_remains_of_plain_requests(void **state)
{
    (void)state;
    nothing_remains(false);
}

static void nothing_remains_of_requests_over_tls(void **state)
{
    (void)state;
    nothing_remains(true);
}

/* Binding a function at its first call saves the vector registers on the stack, with what the last
 * memcpy left in them. trentd binds all at its start; this program has itself started that way. */
static void bind_at_start(char **argv)
{
    if (getenv("LD_BIND_NOW") != NULL)
        return;
    if (setenv("LD_BIND_NOW", "1", 1) == 0)
        (void)execv("/proc/self/exe", argv);
    perror("test_wipe");
    exit(1);
}

int main(int argc, char **argv)
{
    (void)argc;
    bind_at_start(argv);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_finds_what_is_there),
        cmocka_unit_test(nothing_remains_of_plain_requests),
        cmocka_unit_test(nothing_remains_of_requests_over_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
