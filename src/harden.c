/* harden.c - see harden.h. */
#include "harden.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE            65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* Sanitizers map memory in ways that memory-deny-write-execute forbids. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DENY_WRITE_EXECUTE = 0 };
#else
enum { DENY_WRITE_EXECUTE = 1 };
#endif

enum kms_status harden_process(struct kms_error *reterr)
{
    const struct rlimit no_core = { 0, 0 };
    struct rlimit       files;

    (void)umask(077);
#ifdef __GLIBC__
    /* Large buffers go back to the system when they are freed; the default raises this bound with each
     * that was, and keeps what a burst of large requests took. */
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
#endif
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot ignore SIGPIPE: %s", strerror(errno));
    if (setrlimit(RLIMIT_CORE, &no_core) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot switch core dumps off: %s",
                        strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot make the process undumpable: %s",
                        strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return KMS_FAIL(reterr, KMS_E_INTERNAL, "cannot set no_new_privs: %s", strerror(errno));
    if (DENY_WRITE_EXECUTE)
        (void)prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); /* since Linux 6.3 */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        /* or else fewer connections than configured, nothing worse */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    return KMS_OK;
}
