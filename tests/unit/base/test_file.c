/* tests/unit/base/test_file.c - whole files read with a limit, written durably, and clear
 * refusals. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

struct folder {
    char dir[64];
    char path[FILE_PATH_MAX];
    char tmp[FILE_PATH_MAX];
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/trent-file-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_true(file_join(f->path, f->dir, "x"));
    assert_true(file_join(f->tmp, f->dir, "x.tmp"));
    *state = f;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;

    (void)unlink(f->path);
    (void)unlink(f->tmp);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static void test_write_and_read(void **state)
{
    struct folder                  *f = *state;
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    struct kms_error                err;
    struct stat                     st;

    assert_false(file_exists(f->path));
    assert_int_equal(file_write(f->path, BYTES_LIT("a\0b"), 0600, false, &err), KMS_OK);
    assert_true(file_exists(f->path));
    assert_false(file_exists(f->tmp));
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(file_read(f->path, &b, &err), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&b), BYTES_LIT("a\0b")));
}

static void test_does_not_replace_unless_asked(void **state)
{
    struct folder                  *f = *state;
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    struct kms_error                err;

    assert_int_equal(file_write(f->path, BYTES_LIT("old"), 0600, false, &err), KMS_OK);
    assert_int_equal(file_write(f->path, BYTES_LIT("new"), 0600, false, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, f->path));
    assert_non_null(strstr(err.detail, "exists already"));
    assert_int_equal(err.message_len, 0); /* nothing for a client to read */
    assert_int_equal(file_read(f->path, &b, &err), KMS_OK);
    assert_true(bytes_eq_str(buf_bytes(&b), "old"));

    buf_reset(&b);
    assert_int_equal(file_write(f->path, BYTES_LIT("new"), 0600, true, &err), KMS_OK);
    assert_int_equal(file_read(f->path, &b, &err), KMS_OK);
    assert_true(bytes_eq_str(buf_bytes(&b), "new"));
}

static void test_what_a_crash_left_is_overwritten(void **state)
{
    struct folder                  *f = *state;
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    struct kms_error                err;
    FILE                           *left = fopen(f->tmp, "w");

    assert_non_null(left);
    (void)fputs("a long text from a crash", left);
    (void)fclose(left);
    assert_int_equal(file_write(f->path, BYTES_LIT("new"), 0600, false, &err), KMS_OK);
    assert_int_equal(file_read(f->path, &b, &err), KMS_OK);
    assert_true(bytes_eq_str(buf_bytes(&b), "new"));
}

static void test_read_has_a_limit(void **state)
{
    struct folder   *f = *state;
    struct kms_error err;

    assert_int_equal(file_write(f->path, BYTES_LIT("12345678"), 0600, false, &err), KMS_OK);
    CLEANUP(buf_release) struct buf exact = BUF_INIT(8);
    assert_int_equal(file_read(f->path, &exact, &err), KMS_OK);
    assert_true(bytes_eq_str(buf_bytes(&exact), "12345678"));
    CLEANUP(buf_release) struct buf small = BUF_INIT(7);
    assert_int_equal(file_read(f->path, &small, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "longer than 7 bytes"));
}

static void test_refusals_name_the_file(void **state)
{
    struct folder                  *f = *state;
    CLEANUP(buf_release) struct buf b = BUF_INIT(1000);
    struct kms_error                err;
    char                            nowhere[FILE_PATH_MAX];

    assert_int_equal(file_read(f->path, &b, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, f->path));
    assert_non_null(strstr(err.detail, "No such file"));
    assert_true(file_join(nowhere, f->path, "y"));
    assert_int_equal(file_write(nowhere, BYTES_LIT("x"), 0600, false, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, nowhere));
    assert_int_equal(file_sync_dir(nowhere, &err), KMS_E_INTERNAL);
    assert_int_equal(file_sync_dir(f->dir, &err), KMS_OK);
}

static void test_positions(void **state)
{
    struct folder      *f = *state;
    struct kms_error    err;
    CLEANUP(closep) int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char                back[6];

    assert_true(fd >= 0);
    assert_int_equal(file_append_all(fd, BYTES_LIT("abcdef"), &err), KMS_OK);
    assert_int_equal(file_pwrite_all(fd, BYTES_LIT("XY"), 2, &err), KMS_OK);
    assert_int_equal(file_pread_all(fd, back, 6, 0, &err), KMS_OK);
    assert_memory_equal(back, "abXYef", 6);
    assert_int_equal(file_pread_all(fd, back, 2, 4, &err), KMS_OK);
    assert_memory_equal(back, "ef", 2);
    assert_int_equal(file_pread_all(fd, back, 3, 4, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "ends 1 bytes early"));
    assert_int_equal(file_pwrite_all(-1, BYTES_LIT("x"), 0, &err), KMS_E_INTERNAL);
    assert_int_equal(file_append_all(-1, BYTES_LIT("x"), &err), KMS_E_INTERNAL);
}

static void test_join(void **state)
{
    char  out[FILE_PATH_MAX];
    char *longest = calloc(1, FILE_PATH_MAX);

    (void)state;
    assert_non_null(longest);
    assert_true(file_join(out, "/a", "b"));
    assert_string_equal(out, "/a/b");
    memset(longest, 'x', FILE_PATH_MAX - 3);
    assert_true(file_join(out, longest, "b"));
    assert_int_equal(strlen(out), FILE_PATH_MAX - 1);
    assert_false(file_join(out, longest, "bc"));
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_does_not_replace_unless_asked, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_what_a_crash_left_is_overwritten, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_read_has_a_limit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_refusals_name_the_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_positions, make_folder, remove_folder),
        cmocka_unit_test(test_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
