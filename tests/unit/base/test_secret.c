/* tests/unit/base/test_secret.c - secret memory: wiping, guards, threads, and what a machine offers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/secret.h"
#include "instrumented.h"

static const char *this_program;

static bool all(const uint8_t *p, size_t len, uint8_t want)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != want)
            return false;
    }
    return true;
}

/* How a process that does nothing but the named case ends: exit code, or minus the signal that killed
 * it. Not just a fork: what a child inherits of secret memory is wiped, and it must not go on with it. */
static int outcome(const char *name)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nothing, 2);
        /* the crash we ask for is none that a sanitizer should report */
        (void)setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0", 1);
        (void)setenv("TSAN_OPTIONS", "handle_segv=0:handle_abort=0", 1);
        (void)execl(this_program, this_program, name, (char *)NULL);
        _exit(126);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_new_is_zeroed_and_apart(void **state)
{
    static const size_t sizes[] = { 1,   8,    16,   31,   32,   40,    41,    64,
                                    200, 2400, 4072, 8168, 8169, 16384, 65535, 65536 };
    struct secret      *s[ARRAY_LEN(sizes)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        s[i] = secret_new(sizes[i]);
        assert_non_null(s[i]);
        assert_int_equal(secret_len(s[i]), sizes[i]);
        assert_true(all(secret_data(s[i]), sizes[i], 0));
        assert_int_equal((uintptr_t)secret_data(s[i]) % 16, 0);
        memset(secret_data(s[i]), (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        assert_true(all(secret_data(s[i]), sizes[i], (uint8_t)(i + 1)));
    assert_int_equal(secret_count(), ARRAY_LEN(sizes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        secret_freep(&s[i]);
    assert_null(s[0]);
    assert_int_equal(secret_count(), 0);
    assert_null(secret_new(0));
    assert_null(secret_new(LIMIT_SECRET_BYTES + 1));
}

static void test_free_wipes(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 4096; len = len * 3 + 1) {
        struct secret *s = secret_new(len);
        uint8_t       *p = secret_data(s); /* the block stays mapped after it is freed */
        memset(p, 0xa5, len);
        secret_free(s);
        /* the pool may keep a link in the first bytes of a block, and no more */
        assert_true(all(p, len, 0) || (len > 8 && all(p + 8, len - 8, 0)));
        struct secret *again = secret_new(len);
        assert_true(all(secret_data(again), len, 0));
        secret_free(again);
    }
    secret_free(NULL);
}

static void test_copy(void **state)
{
    CLEANUP(secret_freep) struct secret *s = secret_copy(BYTES_LIT("a key"));

    (void)state;
    assert_true(bytes_eq(secret_view(s), BYTES_LIT("a key")));
    assert_null(secret_copy((struct bytes){ NULL, 0 }));
}

static void test_ct_equal(void **state)
{
    uint8_t a[64] = { 0 };
    uint8_t b[64] = { 0 };

    (void)state;
    assert_false(ct_equal(bytes_of(a, 64), bytes_of(b, 63)));
    assert_true(ct_equal((struct bytes){ NULL, 0 }, (struct bytes){ NULL, 0 }));
    for (size_t len = 0; len <= sizeof a; len++) { /* in words and without */
        assert_true(ct_equal(bytes_of(a, len), bytes_of(b, len)));
        for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
            b[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(ct_equal(bytes_of(a, len), bytes_of(b, len)), bit / 8 >= len);
            b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* --- damage -------------------------------------------------------------------------------------- */

static void in_order(void)
{
    struct secret *s = secret_new(32);

    memset(secret_data(s), 1, 32);
    secret_free(s);
    s = secret_new(60000);
    memset(secret_data(s), 1, 60000);
    secret_free(s);
}

static void write_behind(void)
{
    struct secret *s = secret_new(32);

    secret_data(s)[32] ^= 1;
    secret_free(s);
}

static void write_before(void)
{
    struct secret *s = secret_new(32);

    *(secret_data(s) - 16) ^= 1;
    secret_free(s);
}

static void free_twice(void)
{
    struct secret *s = secret_new(32);

    secret_free(s);
    secret_free(s);
}

static void write_after_free(void)
{
    struct secret *s = secret_new(32);
    uint8_t       *p = secret_data(s);

    secret_free(s);
    *(p - 16) ^= 1; /* the header; the data are wiped again when the block is given out */
    (void)secret_new(32);
}

static void run_off_the_end(void)
{
    struct secret *s = secret_new(60000); /* a mapping of its own: the guard page is near */

    for (size_t i = 0; i < 65536 + 4096; i++)
        secret_data(s)[i] = 1;
}

static void run_off_the_start(void)
{
    struct secret    *s = secret_new(60000);
    volatile uint8_t *p = secret_data(s);

    for (size_t i = 0; i < 4096; i++)
        *p-- = 1;
}

static void test_damage_aborts(void **state)
{
    (void)state;
    assert_int_equal(outcome("in_order"), 0);
    assert_int_equal(outcome("write_behind"), -SIGABRT);
    assert_int_equal(outcome("write_before"), -SIGABRT);
    assert_int_equal(outcome("free_twice"), -SIGABRT);
    assert_int_equal(outcome("write_after_free"), -SIGABRT);
}

static void test_guard_pages(void **state)
{
    (void)state;
    assert_int_equal(outcome("run_off_the_end"), -SIGSEGV);
    assert_int_equal(outcome("run_off_the_start"), -SIGSEGV);
}

/* --- threads ------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000, HELD = 64 };

static struct secret *_Atomic exchange[HELD];

/* Makes secrets and frees those that other threads made. */
static void *churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        seed = seed * 1103515245u + 12345u;
        size_t         len = 1 + (seed >> 8) % 600;
        struct secret *s = secret_new(len);
        if (s == NULL || !all(secret_data(s), len, 0))
            abort();
        memset(secret_data(s), 0x5a, len);
        s = atomic_exchange(&exchange[(seed >> 20) % HELD], s);
        if (s != NULL && !all(secret_data(s), secret_len(s), 0x5a))
            abort();
        secret_free(s);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, churn, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    size_t held = 0;
    for (size_t i = 0; i < HELD; i++)
        held += atomic_load(&exchange[i]) != NULL;
    assert_int_equal(secret_count(), held); /* made here, freed there, threads ended */
    for (size_t i = 0; i < HELD; i++)
        secret_free(atomic_load(&exchange[i]));
    assert_int_equal(secret_count(), 0);
}

/* --- what the machine offers, each in a process of its own -------------------------------------------- */

enum { FINE = 0, WRONG = 3 /* not a sanitizer's 1 */, NOT_HERE = 77 };

static bool has_memfd_secret(void)
{
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}

static void memfd_hidden(void)
{
    struct kms_error err;
    uint8_t          got[32];

    if (!has_memfd_secret())
        _exit(NOT_HERE);
    if (secret_memory_init(false, &err) != KMS_OK || secret_memory_grade() != SECRET_MEMFD)
        _exit(WRONG);
    struct secret *s = secret_copy(BYTES_LIT("a key that root does not read..."));
    int            fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (s == NULL || fd < 0)
        _exit(WRONG);
    if (pread(fd, got, sizeof got, (off_t)(uintptr_t)secret_data(s)) >= 0)
        _exit(WRONG);
    _exit(bytes_eq(secret_view(s), BYTES_LIT("a key that root does not read...")) ? FINE : WRONG);
}

static struct secret *inherited;

/* What a child finds in its parent's secret: FINE if not the key, or minus the signal it died of. */
static int read_in_child(void)
{
    int   status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(secret_data(inherited)[0] == 'k' ? WRONG : FINE);
    (void)waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void memfd_not_inherited(void)
{
    struct kms_error err;

    if (!has_memfd_secret())
        _exit(NOT_HERE);
    if (secret_memory_init(false, &err) != KMS_OK)
        _exit(WRONG);
    inherited = secret_copy(BYTES_LIT("key"));
    int how = read_in_child();
    _exit(how == -SIGSEGV ? FINE : WRONG);
}

/* From now on memfd_secret does not exist, as under Valgrind and on old kernels. */
static bool without_memfd_secret(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_secret, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { (unsigned short)ARRAY_LEN(code), code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void falls_back_to_mlock(void)
{
    struct kms_error err;
    char             line[128];
    unsigned         locked_kb = 0;

    if (!without_memfd_secret())
        _exit(NOT_HERE);
    if (secret_memory_init(false, &err) != KMS_OK || secret_memory_grade() != SECRET_LOCKED)
        _exit(WRONG);
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "VmLck: %u kB", &locked_kb);
    inherited = secret_copy(BYTES_LIT("key"));
    if (read_in_child() != FINE) /* wiped on fork */
        _exit(WRONG);
    _exit(locked_kb >= 512 || INSTRUMENTED ? FINE : WRONG); /* sanitizers ignore mlock */
}

static void refuses_unlocked(void)
{
    struct rlimit    none = { 0, 0 };
    struct kms_error err;

    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        _exit(NOT_HERE);
    if (secret_memory_init(false, &err) != KMS_E_INTERNAL ||
        strstr(err.detail, "LimitMEMLOCK") == NULL)
        _exit(WRONG);
    if (secret_memory_init(true, &err) != KMS_OK || secret_memory_grade() != SECRET_UNLOCKED)
        _exit(WRONG);
    _exit(secret_new(32) != NULL ? FINE : WRONG);
}

static void run(const char *name)
{
    int how = outcome(name);

    if (how == NOT_HERE)
        skip();
    assert_int_equal(how, FINE);
}

static void test_memfd_hidden(void **state)
{
    (void)state;
    run("memfd_hidden");
}

static void test_memfd_not_inherited(void **state)
{
    (void)state;
    run("memfd_not_inherited");
}

static void test_falls_back_to_mlock(void **state)
{
    (void)state;
    run("falls_back_to_mlock");
}

static void test_refuses_unlocked(void **state)
{
    (void)state;
    if (INSTRUMENTED)
        skip(); /* sanitizers ignore mlock */
    run("refuses_unlocked");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(secret_grade_name(SECRET_MEMFD), "memfd_secret");
    assert_string_equal(secret_grade_name(SECRET_LOCKED), "mlock");
    assert_string_equal(secret_grade_name(SECRET_UNLOCKED), "unlocked");
    assert_int_equal(secret_memory_grade(), SECRET_UNLOCKED); /* nobody called init here */
}

/* The cases that run in a process of their own. */
static int run_case(const char *name)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } cases[] = {
        { "in_order", in_order },
        { "write_behind", write_behind },
        { "write_before", write_before },
        { "free_twice", free_twice },
        { "write_after_free", write_after_free },
        { "run_off_the_end", run_off_the_end },
        { "run_off_the_start", run_off_the_start },
        { "memfd_hidden", memfd_hidden },
        { "memfd_not_inherited", memfd_not_inherited },
        { "falls_back_to_mlock", falls_back_to_mlock },
        { "refuses_unlocked", refuses_unlocked },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (strcmp(cases[i].name, name) == 0) {
            cases[i].fn();
            return 0;
        }
    }
    return 125;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_zeroed_and_apart),
        cmocka_unit_test(test_free_wipes),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_ct_equal),
        cmocka_unit_test(test_damage_aborts),
        cmocka_unit_test(test_guard_pages),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_memfd_hidden),
        cmocka_unit_test(test_memfd_not_inherited),
        cmocka_unit_test(test_falls_back_to_mlock),
        cmocka_unit_test(test_refuses_unlocked),
        cmocka_unit_test(test_names),
    };

    this_program = argv[0];
    if (argc > 1)
        return run_case(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
