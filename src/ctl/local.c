/* ctl/local.c - asking the running server through the local socket in its data directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"

enum { ANSWER_SECONDS = 5 };

/* Through a descriptor of its folder: a socket's path may be 107 bytes long, a data directory's is not
 * limited so. -1 with errno. */
static int connect_local(const struct instance_paths *p)
{
    struct sockaddr_un  address = { .sun_family = AF_UNIX };
    struct timeval      patience = { .tv_sec = ANSWER_SECONDS };
    CLEANUP(closep) int dir = open(p->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/trent.sock", dir);
    if (dir < 0 || fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) != 0)
        return -1;
    return TAKE_FD(fd);
}

int ctl_local_connect(struct ctl *c, const struct instance_paths *p, int *ret_fd)
{
    int fd = connect_local(p);

    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        ctl_error(c, "no access to '%s': run it as the user of trentd", p->data);
        return EX_NOPERM;
    }
    if (fd < 0)
        return CTL_NOT_RUNNING;
    *ret_fd = fd;
    return 0;
}

static enum kms_status read_answer(int fd, struct buf *answer, struct kms_error *reterr)
{
    for (;;) {
        if (!buf_reserve(answer, 4096))
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "the server's answer is too long");
        ssize_t n = read(fd, answer->ptr + answer->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return KMS_FAIL(reterr, KMS_E_INTERNAL, "the server does not answer: %s",
                            strerror(errno));
        if (n == 0)
            return KMS_OK;
        answer->len += (size_t)n;
    }
}

/* Status and body of a complete answer; 0 for anything else. */
static int status_of(struct bytes answer, struct bytes *ret_body)
{
    static const char version[] = "HTTP/1.1 ";
    const uint8_t    *end = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);
    size_t            at = sizeof version - 1;
    int               status = 0;

    if (end == NULL || !bytes_starts(answer, bytes_str(version)))
        return 0;
    for (size_t i = at; i < at + 3; i++) {
        if (answer.ptr[i] < '0' || answer.ptr[i] > '9')
            return 0;
        status = status * 10 + (answer.ptr[i] - '0');
    }
    size_t head = (size_t)(end - answer.ptr) + 4;
    *ret_body = bytes_of(answer.ptr + head, answer.len - head);
    return answer.ptr[at + 3] == ' ' ? status : 0;
}

enum kms_status ctl_local_send(int fd, const char *what, struct bytes json, struct buf *answer,
                               int *ret_status, struct bytes *ret_body, struct kms_error *reterr)
{
    CLEANUP(buf_release) struct buf request = BUF_INIT(64 * 1024);

    buf_addf(&request, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n", what, json.len);
    if (json.len > 0)
        buf_add_str(&request, "Content-Type: application/json\r\n");
    buf_add_str(&request, "Connection: close\r\n\r\n");
    buf_add(&request, json);
    if (!buf_ok(&request))
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "out of memory");
    TRY(file_append_all(fd, buf_bytes(&request), reterr));
    TRY(read_answer(fd, answer, reterr));
    *ret_status = status_of(buf_bytes(answer), ret_body);
    return KMS_OK;
}

enum kms_status ctl_local_ask(int fd, const char *what, struct buf *answer, int *ret_status,
                              struct bytes *ret_body, struct kms_error *reterr)
{
    return ctl_local_send(fd, what, (struct bytes){ NULL, 0 }, answer, ret_status, ret_body,
                          reterr);
}
