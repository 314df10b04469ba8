/* tests/unit/ctl/test_status.c - `trent status`: from a server on the local socket, else from the files. */
#include "tool.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A server that gives one answer to whoever connects. */
struct answering {
    int         fd;
    const char *answer;
    pthread_t   thread;
    char        request[512];
};

static void *answer_once(void *arg)
{
    struct answering *a = arg;
    int               fd = accept(a->fd, NULL, NULL);
    ssize_t           n = fd < 0 ? -1 : read(fd, a->request, sizeof a->request - 1);

    if (n > 0)
        n = write(fd, a->answer, strlen(a->answer));
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

static void answering_start(struct answering *a, const char *folder, const char *answer)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    *a = (struct answering){ .fd = socket(AF_UNIX, SOCK_STREAM, 0), .answer = answer };
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/trent.sock", folder);
    assert_int_equal(bind(a->fd, (struct sockaddr *)(void *)&address, sizeof address), 0);
    assert_int_equal(listen(a->fd, 1), 0);
    assert_int_equal(pthread_create(&a->thread, NULL, answer_once, a), 0);
}

static void answering_stop(struct answering *a)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    (void)close(a->fd);
}

static struct tool_run status_of(const char *folder, const char *args, const char *answer,
                                 char request[512])
{
    struct answering a;
    char             path[256];

    answering_start(&a, folder, answer);
    struct tool_run run = tool(folder, args, NULL);
    answering_stop(&a);
    if (request != NULL)
        memcpy(request, a.request, sizeof a.request);
    (void)snprintf(path, sizeof path, "%s/trent.sock", folder);
    (void)unlink(path);
    return run;
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

static void test_a_running_server_is_asked(void **state)
{
    char                               request[512];
    CLEANUP(tool_free) struct tool_run run = status_of(
        *state, "status --data %", HEAD "{\"version\":\"1\",\"audit\":{\"healthy\":true}}\n",
        request);
    CLEANUP(tool_free) struct tool_run json = status_of(*state, "status --data % --json",
                                                        HEAD "{\"version\":\"1\"}\n", NULL);

    assert_int_equal(strncmp(request, "GET /_trent/status HTTP/1.1\r\n", 29), 0);
    assert_code(run, EX_OK);
    assert_string_equal(run.out, "version                          1\n"
                                 "audit.healthy                    yes\n");
    assert_code(json, EX_OK);
    assert_string_equal(json.out, "{\"version\":\"1\"}\n");
}

static void test_strange_answers(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 404 Not Found\r\n\r\n{}",
        HEAD "not JSON",
        HEAD "[1]",
        HEAD "",
        "HTTP/1.1 200 OK\r\n",
        "x",
    };

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        CLEANUP(tool_free) struct tool_run run = status_of(*state, "status --data %", answers[i],
                                                           NULL);
        assert_code(run, EX_PROTOCOL);
        assert_string_equal(run.out, "");
    }
}

static void test_a_stopped_server_left_files(void **state)
{
    CLEANUP(tool_free) struct tool_run made = tool(*state, "init --data %/data", NULL);
    CLEANUP(tool_free) struct tool_run run = tool(*state, "status --data %/data", NULL);
    CLEANUP(tool_free) struct tool_run json = tool(*state, "status --data %/data --json", NULL);

    assert_code(made, EX_OK);
    assert_code(run, CTL_NOT_RUNNING);
    assert_says(run.out, "running                          no\n");
    assert_says(run.out, "audit.sequence                   2\n");
    assert_says(run.out, "database.commit                  1\n");
    assert_code(json, CTL_NOT_RUNNING);
    assert_says(json.out, "{\"running\":false,");
}

static void test_a_damaged_audit_is_named(void **state)
{
    char                               command[512];
    CLEANUP(tool_free) struct tool_run made = tool(*state, "init --data %/data", NULL);

    assert_code(made, EX_OK);
    (void)snprintf(command, sizeof command,
                   "sed -i 's/lastCommit/LastCommit/' '%s'/data/audit/trent-*.jsonl",
                   (char *)*state);
    assert_int_equal(system(command), 0);
    CLEANUP(tool_free) struct tool_run run = tool(*state, "status --data %/data", NULL);
    assert_code(run, CTL_NOT_RUNNING);
    assert_says(run.out, "audit.problem");
}

static void test_no_data_directory(void **state)
{
    CLEANUP(tool_free) struct tool_run run = tool(*state, "status --data %/nothing", NULL);

    assert_code(run, EX_NOINPUT);
    assert_says(run.err, "trent init");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_running_server_is_asked),   IN_FOLDER(test_strange_answers),
        IN_FOLDER(test_a_stopped_server_left_files), IN_FOLDER(test_a_damaged_audit_is_named),
        IN_FOLDER(test_no_data_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
