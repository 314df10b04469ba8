/* tests/unit/store/test_load_speed.c - 10,000 keys, each with a material, two tags and an alias,
 * are loaded in less than 300 ms: a restart may take 500 ms to the first answer (trust-model 6.1).
 * CPU time is judged, so that other programs on the machine do not count. */
#include "fixture.h"
#include "instrumented.h"

#include <sys/stat.h>
#include <time.h>

enum { KEYS = INSTRUMENTED ? 600 : 10000, BATCH = 100, LIMIT_MS = 300 };

static int64_t cpu_us(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A key as CreateKey makes it: the default policy, one wrapped material. */
static struct key_record *ordinary_key(struct fixture *f)
{
    static const char policy[] =
        "{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{\"Sid\":\"Enable IAM "
        "User "
        "Permissions\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:"
        "root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}";
    struct key_record *k = random_key(f);
    uint8_t            wrapped[48];

    k->policy = bytes_str(policy);
    k->description = BYTES_LIT("what this key is for, in a few words");
    k->multi_region = REGION_SINGLE;
    k->primary_region = k->regions = (struct bytes){ NULL, 0 };
    k->n_materials = 0;
    k->n_tags = 2;
    k->tags = arena_alloc(k->arena, 2 * sizeof *k->tags);
    for (size_t i = 0; i < 2; i++)
        k->tags[i] = (struct key_tag){ BYTES_LIT("Department"), BYTES_LIT("Accounting") };
    struct key_material *m = key_record_add_material(k);

    random_fill(f, m->id.b, sizeof m->id.b);
    random_fill(f, wrapped, sizeof wrapped);
    m->sealed.wrapped = arena_copy(k->arena, bytes_of(wrapped, sizeof wrapped));
    return k;
}

static void fill(struct fixture *f)
{
    for (size_t done = 0; done < KEYS; done += BATCH) {
        struct change      changes[BATCH] = { 0 };
        struct change     *list[BATCH];
        enum kms_status    results[BATCH];
        struct store_batch b = { .changes = list, .results = results, .n = BATCH };
        for (size_t i = 0; i < BATCH; i++) {
            struct key_record *k = ordinary_key(f);
            change_add(&changes[i], ROW_KEY_INSERT)->key = k;
            change_add(&changes[i], ROW_ALIAS_INSERT)->alias = random_alias(f, k);
            list[i] = &changes[i];
        }
        assert_ok(f, f->store->ops->apply(f->store, &b, &f->error));
        for (size_t i = 0; i < BATCH; i++) {
            assert_int_equal(results[i], KMS_OK);
            change_release(&changes[i]);
        }
    }
}

static void test_load_speed(void **state)
{
    struct fixture *f = *state;
    struct loaded   l;
    struct stat     st;
    int64_t         best = INT64_MAX;

    int64_t start = cpu_us();
    fill(f);
    int64_t filled = cpu_us() - start;
    fixture_close(f);
    start = cpu_us();
    fixture_open(f);
    int64_t opened = cpu_us() - start;
    for (size_t i = 0; i < 3; i++) {
        int64_t wall = wall_us();
        start = cpu_us();
        loaded_from(f, &l);
        int64_t took = cpu_us() - start;
        wall = wall_us() - wall;
        assert_int_equal(l.keys.n, KEYS);
        assert_int_equal(l.aliases.n, KEYS);
        loaded_release(&l);
        print_message("load of %d keys and aliases: %lld us CPU, %lld us elapsed\n", KEYS,
                      (long long)took, (long long)wall);
        best = took < best ? took : best;
    }
    start = cpu_us();
    assert_ok(f, f->store->ops->check(f->store, &f->error));
    assert_int_equal(stat(f->path, &st), 0);
    print_message(
        "open (with quick_check): %lld us; full check: %lld us; creating: %lld us a key with its "
        "alias; file: %lld bytes\n",
        (long long)opened, (long long)(cpu_us() - start), (long long)(filled / KEYS),
        (long long)st.st_size);
    assert_cost(best, LIMIT_MS * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load_speed, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
