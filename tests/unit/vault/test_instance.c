/* tests/unit/vault/test_instance.c - creating and opening an instance, and every refusal to. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "fixture.h"
#include "memory_scan.h"
#include "vault/vault_internal.h"

/* Opens a second time, which must fail with a line that says `want`. */
static void assert_refused(struct fixture *f, const uint64_t *min_generation, const char *want)
{
    struct vault    *v = NULL;
    struct kms_error err;

    assert_int_equal(vault_open(&f->config, min_generation, &v, &err), KMS_E_INTERNAL);
    if (strstr(err.detail, want) == NULL)
        fail_msg("'%s' does not say '%s'", err.detail, want);
    assert_null(strchr(err.detail, '\n'));
    assert_null(v);
}

static void close_only(struct fixture *f)
{
    vault_close(f->v);
    f->v = NULL;
}

static void read_all(const char *path, struct buf *out)
{
    struct kms_error err;

    buf_init(out, 4 << 20);
    assert_int_equal(file_read(path, out, &err), KMS_OK);
}

static void write_at(const char *path, uint64_t at, struct bytes what)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_pwrite_all(fd, what, at, NULL), KMS_OK);
    (void)close(fd);
}

static void copy_file(const char *from, const char *to)
{
    CLEANUP(buf_release) struct buf content;

    read_all(from, &content);
    (void)unlink(to);
    assert_int_equal(file_write(to, buf_bytes(&content), 0600, true, NULL), KMS_OK);
}

/* --- what works ------------------------------------------------------------------------------------- */

static void test_opens_as_the_same_instance(void **state)
{
    struct fixture      f;
    uint8_t             id[16], public[32], mac[32], mac_again[32], sig[64];
    struct vault_status s;
    char                room[128];
    struct stat         st;

    (void)state;
    fixture_open(&f);
    memcpy(id, vault_instance_id(f.v), 16);
    vault_audit_public_key(f.v, public);
    vault_row_mac(f.v, BYTES_LIT("row"), mac);
    fixture_reopen(&f);
    assert_memory_equal(id, vault_instance_id(f.v), 16);
    vault_row_mac(f.v, BYTES_LIT("row"), mac_again);
    assert_memory_equal(mac, mac_again, 32);
    vault_row_mac(f.v, BYTES_LIT("rox"), mac_again);
    assert_memory_not_equal(mac, mac_again, 32);
    assert_int_equal(vault_audit_sign(f.v, BYTES_LIT("checkpoint"), sig, NULL), KMS_OK);
    assert_true(
        crypto_ed25519_verify(bytes_of(public, 32), BYTES_LIT("checkpoint"), bytes_of(sig, 64)));

    vault_status(f.v, &s);
    assert_int_equal(s.memory, secret_memory_grade());
    assert_int_equal(s.generation[SLOT_ERASABLE], 1);
    assert_int_equal(s.slots_total[SLOT_DURABLE], 8192);
    assert_int_equal(s.slots_used[SLOT_DURABLE], 0);
    assert_true(s.root_on_data_filesystem);
    assert_true(strlen(s.grade_reason) > 0 && strlen(s.filesystem) > 0);

    assert_int_equal(stat(f.root_key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(stat(fixture_path(&f, "instance.sealed", room), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_int_equal(stat(fixture_path(&f, "erasable.slots", room), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_true((uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size); /* real zeros, no holes */
    fixture_close(&f);
    assert_int_equal(secret_count(), fixture_own_secrets());
}

static void test_two_instances_share_nothing(void **state)
{
    struct fixture a, b;
    uint8_t        mac_a[32], mac_b[32];

    (void)state;
    fixture_open(&a);
    fixture_open(&b);
    vault_row_mac(a.v, BYTES_LIT("row"), mac_a);
    vault_row_mac(b.v, BYTES_LIT("row"), mac_b);
    assert_memory_not_equal(mac_a, mac_b, 32);
    assert_memory_not_equal(vault_instance_id(a.v), vault_instance_id(b.v), 16);
    fixture_close(&b);
    fixture_close(&a);
}

/* The root key is used and wiped: a dump of the running server does not have it. */
static void test_root_key_does_not_stay(void **state)
{
    static uint8_t root[32];
    struct fixture f;

    (void)state;
    fixture_open(&f);
    int fd = open(f.root_key, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, root, sizeof root), 32);
    (void)close(fd);
    uint8_t copy[32];
    memcpy(copy, root, sizeof root);
    assert_int_equal(memory_copies(root, sizeof root), 1); /* the scan works */
    explicit_bzero(copy, sizeof copy);
    fixture_reopen(&f);
    assert_int_equal(memory_copies(root, sizeof root), 0);
    fixture_close(&f);
}

/* --- creating --------------------------------------------------------------------------------------- */

static void test_create_replaces_nothing(void **state)
{
    static const char *const names[] = { "instance.sealed", "erasable.slots", "durable.slots",
                                         "root.key" };
    struct fixture           f;
    struct kms_error         err;

    (void)state;
    fixture_open(&f);
    close_only(&f);
    assert_int_equal(vault_create(&f.config, &err), KMS_E_INTERNAL);
    assert_non_null(strstr(err.detail, "there is an instance here"));

    for (size_t keep = 0; keep < ARRAY_LEN(names); keep++) {
        char                            room[128];
        CLEANUP(buf_release) struct buf before, after;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            if (i != keep)
                (void)unlink(fixture_path(&f, names[i], room));
        }
        read_all(fixture_path(&f, names[keep], room), &before);
        assert_int_equal(vault_create(&f.config, &err), KMS_E_INTERNAL);
        assert_non_null(strstr(err.detail, names[keep]));
        read_all(fixture_path(&f, names[keep], room), &after);
        assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
        for (size_t i = 0; i < ARRAY_LEN(names); i++) /* refused before anything was written */
            assert_int_equal(file_exists(fixture_path(&f, names[i], room)), i == keep);
        (void)unlink(fixture_path(&f, names[keep], room));
        assert_int_equal(vault_create(&f.config, &err), KMS_OK);
    }
    fixture_close(&f);
}

/* --- refusals ---------------------------------------------------------------------------------------- */

static void test_refuses_a_bad_root_key_file(void **state)
{
    struct fixture f;
    char           room[128];

    (void)state;
    fixture_open(&f);
    close_only(&f);
    assert_int_equal(chmod(f.root_key, 0440), 0);
    assert_refused(&f, NULL, "can be read by others (mode 0440)");
    assert_int_equal(chmod(f.root_key, 0404), 0);
    assert_refused(&f, NULL, "can be read by others (mode 0404)");
    assert_int_equal(chmod(f.root_key, 0600), 0);

    const char *elsewhere = fixture_path(&f, "elsewhere", room);
    assert_int_equal(rename(f.root_key, elsewhere), 0);
    assert_refused(&f, NULL, "is missing");
    assert_int_equal(symlink(elsewhere, f.root_key), 0);
    assert_refused(&f, NULL, "symbolic link");
    assert_int_equal(unlink(f.root_key), 0);
    assert_int_equal(mkdir(f.root_key, 0700), 0);
    assert_refused(&f, NULL, "not a regular file");
    assert_int_equal(rmdir(f.root_key), 0);
    assert_int_equal(rename(elsewhere, f.root_key), 0);

    assert_int_equal(truncate(f.root_key, 31), 0);
    assert_refused(&f, NULL, "has 31 bytes instead of 32");
    assert_int_equal(truncate(f.root_key, 33), 0);
    assert_refused(&f, NULL, "has 33 bytes instead of 32");
    assert_int_equal(truncate(f.root_key, 32), 0); /* its last byte is zero now: another key */
    assert_refused(&f, NULL, "sealed by another root key");
    if (geteuid() == 0) {
        assert_int_equal(chown(f.root_key, 65534, 65534), 0);
        assert_refused(&f, NULL, "belongs to user 65534");
    }
    fixture_close(&f);
}

static void test_refuses_a_bad_instance_file(void **state)
{
    struct fixture                  a, b;
    char                            room_a[128], room_b[128];
    CLEANUP(buf_release) struct buf good;

    (void)state;
    fixture_open(&a);
    fixture_open(&b);
    close_only(&a);
    const char *path = fixture_path(&a, "instance.sealed", room_a);
    read_all(path, &good);

    copy_file(fixture_path(&b, "instance.sealed", room_b), path);
    assert_refused(&a, NULL, "sealed by another root key");
    (void)unlink(path);
    assert_refused(&a, NULL, "is missing");
    assert_int_equal(file_write(path, bytes_of(good.ptr, good.len - 1), 0600, true, NULL), KMS_OK);
    assert_refused(&a, NULL, "not an instance file");
    fixture_close(&b);
    fixture_close(&a);
}

/* Every bit of the instance file counts: checked on the parser itself. */
static void test_instance_file_bits(void **state)
{
    struct fixture                  f;
    char                            room[128];
    CLEANUP(buf_release) struct buf file;
    struct instance                 in = { 0 };

    (void)state;
    fixture_open(&f);
    read_all(fixture_path(&f, "instance.sealed", room), &file);
    CLEANUP(secret_freep) struct secret *root = secret_new(32);
    int                                  fd = open(f.root_key, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, secret_data(root), 32), 32);
    (void)close(fd);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(instance_parse(buf_bytes(&file), "x", root, &in, NULL), KMS_E_INTERNAL);
        file.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(instance_parse(buf_bytes(&file), "x", root, &in, NULL), KMS_OK);
    assert_memory_equal(in.id, vault_instance_id(f.v), 16);
    instance_close(&in);
    fixture_close(&f);
}

static void test_refuses_bad_slot_files(void **state)
{
    struct fixture a, b;
    char           room[128], room_b[128];
    const uint8_t  junk = 0x55;

    (void)state;
    fixture_open(&a);
    fixture_open(&b);
    close_only(&a);
    const char *path = fixture_path(&a, "durable.slots", room);

    copy_file(fixture_path(&b, "durable.slots", room_b), path);
    assert_refused(&a, NULL, "belongs to another instance");
    copy_file(fixture_path(&a, "erasable.slots", room_b), path); /* the other class */
    assert_refused(&a, NULL, "belongs to another instance");
    (void)unlink(path);
    assert_refused(&a, NULL, "is missing: put it back from the backup");
    fixture_close(&b);
    fixture_close(&a);

    fixture_open(&a);
    close_only(&a);
    path = fixture_path(&a, "erasable.slots", room);
    for (uint64_t at = 0; at < SLOT_HEADER;
         at++) { /* one copy is there: the first page is not used yet */
        CLEANUP(buf_release) struct buf before;
        read_all(path, &before);
        uint8_t flipped = before.ptr[SLOT_PAGE + at] ^ 1;
        write_at(path, SLOT_PAGE + at, bytes_of(&flipped, 1));
        assert_refused(&a, NULL, at >= 12 && at < 32 ? "another instance" : "is damaged");
        write_at(path, SLOT_PAGE + at, bytes_of(before.ptr + SLOT_PAGE + at, 1));
    }
    write_at(path, 3, bytes_of(&junk, 1)); /* rubbish in the other copy: a write that was cut off */
    assert_int_equal(vault_open(&a.config, NULL, &a.v, NULL), KMS_OK);
    close_only(&a);
    assert_int_equal(truncate(path, SLOT_FIRST_AT + SLOT_CHUNK - 1), 0);
    assert_refused(&a, NULL, "is cut off");
    fixture_close(&a);
}

/* trust-model 2.7.5: an old copy of a slot file is refused. */
static void test_refuses_an_old_slot_file(void **state)
{
    struct fixture      f;
    char                path[128], old[128];
    struct vault_status s;
    struct erase_proof  proof;

    (void)state;
    fixture_open(&f);
    struct key_record *key = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, key);
    close_only(&f);
    copy_file(fixture_path(&f, "durable.slots", path), fixture_path(&f, "old.slots", old));
    assert_int_equal(vault_open(&f.config, NULL, &f.v, NULL), KMS_OK);
    fixture_delete(&f, &key->materials[0], &proof);
    vault_status(f.v, &s);
    assert_int_equal(s.generation[SLOT_DURABLE], 2);
    assert_int_equal(proof.file_generation, 2);
    close_only(&f);

    const uint64_t seen[2] = { s.generation[0], s.generation[1] };
    const uint64_t ahead[2] = { s.generation[0], s.generation[1] + 1 };
    assert_refused(&f, ahead, "is an old copy: generation 2, the database has seen 3");
    assert_int_equal(vault_open(&f.config, seen, &f.v, NULL), KMS_OK);
    close_only(&f);
    copy_file(old, path);
    assert_refused(&f, seen, "is an old copy: generation 1, the database has seen 2");
    key_record_free(key);
    fixture_close(&f);
}

static void test_one_process_only(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f);
    assert_refused(&f, NULL, "is in use by another process");
    fixture_close(&f);
}

/* --- the erase grade ---------------------------------------------------------------------------------- */

static void test_grade_of_memory_filesystem(void **state)
{
    struct grade     g;
    struct kms_error err;
    uint8_t          page[SLOT_PAGE] = { 0 };
    int              fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    (void)state;
    if (fd < 0)
        skip();
    assert_int_equal(write(fd, page, sizeof page), SLOT_PAGE);
    assert_int_equal(grade_probe(fd, 0, &g, &err), KMS_OK);
    assert_int_equal(g.grade, ERASE_GRADE_C);
    assert_string_equal(g.filesystem, "tmpfs");
    assert_string_equal(g.reason, "tmpfs: not known to overwrite in place");
    (void)close(fd);
    assert_string_equal(erase_grade_name(ERASE_GRADE_A), "A");
    assert_string_equal(erase_grade_name(ERASE_GRADE_B), "B");
    assert_string_equal(erase_grade_name(ERASE_GRADE_C), "C");
}

/* Grade C is refused unless it is allowed; what works on tmpfs works, and says what it is. */
static void test_grade_c_needs_permission(void **state)
{
    struct fixture       f;
    struct vault_status  s;
    struct erase_proof   proof;
    const char          *before = getenv("TMPDIR");
    CLEANUP(freep) char *keep = before == NULL ? NULL : strdup(before);

    (void)state;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    (void)setenv("TMPDIR", "/dev/shm", 1);
    fixture_open(&f);
    vault_status(f.v, &s);
    assert_int_equal(s.grade, ERASE_GRADE_C);
    struct key_record *key = fixture_key("us-east-1", 1, ORIGIN_AWS_KMS);
    (void)fixture_generate(&f, key);
    fixture_delete(&f, &key->materials[0], &proof);
    assert_int_equal(proof.grade, ERASE_GRADE_C);
    assert_string_equal(proof.filesystem, "tmpfs");
    close_only(&f);
    f.config.allow_grade_c = false;
    assert_refused(&f, NULL, "cannot be erased for certain (tmpfs: not known");
    key_record_free(key);
    fixture_close(&f);
    if (keep != NULL)
        (void)setenv("TMPDIR", keep, 1);
    else
        (void)unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_as_the_same_instance),
        cmocka_unit_test(test_two_instances_share_nothing),
        cmocka_unit_test(test_root_key_does_not_stay),
        cmocka_unit_test(test_create_replaces_nothing),
        cmocka_unit_test(test_refuses_a_bad_root_key_file),
        cmocka_unit_test(test_refuses_a_bad_instance_file),
        cmocka_unit_test(test_instance_file_bits),
        cmocka_unit_test(test_refuses_bad_slot_files),
        cmocka_unit_test(test_refuses_an_old_slot_file),
        cmocka_unit_test(test_one_process_only),
        cmocka_unit_test(test_grade_of_memory_filesystem),
        cmocka_unit_test(test_grade_c_needs_permission),
    };

    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
