/* tests/unit/key/test_directory_stress.c - readers while the writer puts, replaces, moves, removes
 * and frees. What a reader gets is whole, in order, and never freed under it; what stays is always
 * found. Its worth is in the sanitizers: run under ThreadSanitizer and AddressSanitizer by make
 * check. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "key/directory.h"

enum {
    READERS = 3,
    STAYING = 100,
    COMING = 400,
    ALIASES = 120,
    TARGETS = 4,
    CHANGES = 10000,
    LOOKS = 20000,
    PAGE = 20
};

#define ACCOUNT BYTES_LIT("111122223333")
#define EAST    BYTES_LIT("us-east-1")

struct stress {
    struct epoch     *epoch;
    struct directory *d;
    _Atomic bool      stop;
    _Atomic int       started;
    _Atomic size_t    wrong;
    _Atomic size_t    looked;
};

/* Serials 1..STAYING are never removed; the others come and go. */
static struct material_id material_of(uint64_t serial, uint64_t version)
{
    struct material_id id = { { 0 } };

    memcpy(id.b, &serial, sizeof serial);
    id.b[30] = (uint8_t)(version % 3); /* so that updates add and remove materials */
    return id;
}

/* A record in which everything can be computed from serial and version. */
static struct key_record *make_key(uint64_t serial, uint64_t version)
{
    struct key_record *k = fixture_key("us-east-1", serial, ORIGIN_EXTERNAL);
    char               text[64];

    k->version = version;
    (void)snprintf(text, sizeof text, "%llu of %llu", (unsigned long long)version,
                   (unsigned long long)serial);
    k->description = arena_copy(k->arena, bytes_str(text));
    key_record_add_material(k)->id = material_of(serial, 0);
    if (version % 3 != 0)
        key_record_add_material(k)->id = material_of(serial, version);
    return k;
}

static bool key_whole(const struct key_record *k)
{
    char text[64];
    char id[KEY_ID_MAX + 1];

    (void)snprintf(text, sizeof text, "%llu of %llu", (unsigned long long)k->version,
                   (unsigned long long)k->serial);
    fixture_key_id(id, k->serial);
    return bytes_eq_str(k->description, text) && bytes_eq_str(k->name.id, id) &&
           k->n_materials == (k->version % 3 != 0 ? 2u : 1u);
}

/* An alias's serial is its number, and its key the one that `updated` says. */
static struct alias_record *make_alias(uint64_t number, uint64_t key)
{
    char name[32];

    (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)number);
    struct alias_record *a = alias_record_new(ACCOUNT, EAST, bytes_str(name));
    assert_non_null(a);
    fixture_key_id(a->key_id, key);
    a->serial = number;
    a->updated = (int64_t)key;
    return a;
}

static bool alias_whole(const struct alias_record *a)
{
    char id[KEY_ID_MAX + 1];
    char name[32];

    fixture_key_id(id, (uint64_t)a->updated);
    (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)a->serial);
    return bytes_eq_str(bytes_str(id), a->key_id) && bytes_eq_str(a->name.name, name);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* --- readers ---------------------------------------------------------------------------------- */

static bool look_up(const struct directory *d, uint64_t serial)
{
    char id[KEY_ID_MAX + 1];

    fixture_key_id(id, serial);
    const struct key_record *k = directory_key(d, ACCOUNT, EAST, bytes_str(id));
    return k == NULL ? serial > STAYING : k->serial == serial && key_whole(k);
}

static bool look_up_material(const struct directory *d, uint64_t serial)
{
    struct material_id       id = material_of(serial, 0);
    const struct key_record *k = directory_key_by_material(d, EAST, &id);

    return k == NULL ? serial > STAYING : k->serial == serial && key_whole(k);
}

static bool list_keys(const struct directory *d, uint64_t after)
{
    const struct key_record *page[PAGE];
    size_t                   n = directory_list_keys(d, ACCOUNT, EAST, after, page, PAGE);

    for (size_t i = 0; i < n; i++) {
        if (!key_whole(page[i]) || page[i]->serial <= after)
            return false;
        if (after < STAYING && page[i]->serial != after + 1)
            return false; /* one that stays is missing from the page */
        after = page[i]->serial;
    }
    return after >= STAYING || n == PAGE;
}

static bool list_aliases(const struct directory *d, uint64_t serial)
{
    const struct alias_record *page[PAGE];
    char                       id[KEY_ID_MAX + 1];
    uint64_t                   after = 0;

    fixture_key_id(id, serial);
    size_t n = directory_list_aliases(d, ACCOUNT, EAST, bytes_str(id), 0, page, PAGE);
    for (size_t i = 0; i < n; i++) {
        if (!alias_whole(page[i]) || page[i]->serial <= after ||
            !bytes_eq_str(bytes_str(id), page[i]->key_id))
            return false;
        after = page[i]->serial;
    }
    n = directory_list_aliases(d, ACCOUNT, EAST, (struct bytes){ NULL, 0 }, serial, page, PAGE);
    for (size_t i = 0; i < n; i++) {
        if (!alias_whole(page[i]) || page[i]->serial <= serial)
            return false;
    }
    return true;
}

static bool look_up_alias(const struct directory *d, uint64_t number)
{
    char name[32];

    (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)number);
    const struct alias_record *a = directory_alias(d, ACCOUNT, EAST, bytes_str(name));
    return a == NULL || (a->serial == number && alias_whole(a));
}

static void *read_on(void *arg)
{
    struct stress *s = arg;
    int            me = epoch_register(s->epoch);
    uint64_t       random = (uint64_t)me + 1;

    atomic_fetch_add(&s->started, 1);
    while (!atomic_load(&s->stop)) {
        uint64_t serial = 1 + next_random(&random) % (STAYING + COMING);
        bool     ok = true;
        epoch_enter(s->epoch, me);
        ok = ok && look_up(s->d, serial);
        ok = ok && look_up_material(s->d, serial);
        ok = ok && look_up_alias(s->d, 1 + serial % ALIASES);
        ok = ok && list_aliases(s->d, 1 + serial % TARGETS);
        if (serial % 8 == 0)
            ok = ok && list_keys(s->d, serial);
        epoch_leave(s->epoch, me);
        if (!ok)
            atomic_fetch_add(&s->wrong, 1);
        if (atomic_fetch_add(&s->looked, 1) % 32 == 0)
            (void)sched_yield(); /* outside a section, as a thread that waits for a request */
    }
    return NULL;
}

/* --- the writer ------------------------------------------------------------------------------- */

static void remove_alias(struct directory *d, uint64_t number)
{
    char name[32];

    (void)snprintf(name, sizeof name, "alias/%llu", (unsigned long long)number);
    directory_remove_alias(d, ACCOUNT, EAST, bytes_str(name));
}

static void change(struct stress *s, uint64_t *random, uint64_t version)
{
    uint64_t serial = 1 + next_random(random) % (STAYING + COMING);
    uint64_t alias = 1 + next_random(random) % ALIASES;
    char     id[KEY_ID_MAX + 1];

    fixture_key_id(id, serial);
    switch (next_random(random) % 8) {
    case 0:
    case 1:
        if (serial > STAYING)
            directory_remove_key(s->d, ACCOUNT, EAST, bytes_str(id));
        else
            directory_put_key(s->d, make_key(serial, version));
        break;
    case 2:  remove_alias(s->d, alias); break;
    case 3:
    case 4:  directory_put_alias(s->d, make_alias(alias, 1 + serial % TARGETS)); break;
    default: directory_put_key(s->d, make_key(serial, version)); break;
    }
}

static void test_readers_and_a_writer(void **state)
{
    struct stress s = { .epoch = epoch_new() };
    pthread_t     thread[READERS];
    uint64_t      random = 99;

    (void)state;
    s.d = directory_new(s.epoch, 5);
    for (uint64_t i = 1; i <= STAYING; i++)
        directory_put_key(s.d, make_key(i, 1));
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &s), 0);
    while (atomic_load(&s.started) < READERS)
        (void)sched_yield();

    uint64_t changes = 0;
    for (; changes < CHANGES || atomic_load(&s.looked) < LOOKS; changes++) {
        change(&s, &random, changes + 2);
        if (changes % 16 == 15) { /* a committed batch */
            epoch_barrier(s.epoch);
            directory_reclaim(s.d);
        }
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    print_message("# %zu looks during %zu changes\n", atomic_load(&s.looked), (size_t)changes);
    assert_int_equal(atomic_load(&s.wrong), 0);
    directory_free(s.d);
    epoch_free(s.epoch);
}

/* --- relatives --------------------------------------------------------------------------------- */

/* A family of up to RELATIVES records, one in each Region. All have the version of the family's last
 * change; `settles` says which places of the Regions have one. The first is always there. */
enum { FAMILIES = 5, RELATIVES = 4, ROUNDS = 4000 };

static const char *const region_names[RELATIVES] = { "eu-west-1", "eu-west-2", "us-east-1",
                                                     "us-west-2" };

struct families {
    struct epoch     *epoch;
    struct directory *d;
    _Atomic bool      stop;
    _Atomic int       started;
    _Atomic size_t    wrong;
    _Atomic size_t    looked;
    _Atomic uint64_t  seen[FAMILIES + 1]; /* the highest version that anybody has seen */
};

static struct key_record *make_relative(uint64_t family, uint64_t place, uint64_t version,
                                        uint64_t there)
{
    struct key_record *k = fixture_key(region_names[place], family, ORIGIN_AWS_KMS);

    k->multi_region = place == 0 ? REGION_PRIMARY : REGION_REPLICA;
    k->version = version;
    k->settles = (int64_t)there;
    for (uint64_t i = 0; i < RELATIVES; i++) {
        if (there >> i & 1)
            key_record_add_region(k, bytes_str(region_names[i]));
    }
    key_record_add_material(k)->id = material_of(family, 0);
    key_record_add_material(k)->id = material_of(family, version);
    return k;
}

enum look { BY_NAME, BY_MATERIAL, BY_LIST, LOOK_COUNT };

static const struct key_record *find_relative(const struct directory *d, enum look look,
                                              uint64_t family, uint64_t place)
{
    struct bytes             region = bytes_str(region_names[place]);
    struct material_id       id = material_of(family, 0);
    const struct key_record *page[1];
    char                     key_id[KEY_ID_MAX + 1];

    fixture_key_id(key_id, family);
    if (look == BY_MATERIAL)
        return directory_key_by_material(d, region, &id);
    if (look == BY_NAME)
        return directory_key(d, ACCOUNT, region, bytes_str(key_id));
    size_t n = directory_list_keys(d, ACCOUNT, region, family - 1, page, 1);
    return n == 1 && page[0]->serial == family ? page[0] : NULL;
}

static void note_seen(_Atomic uint64_t *seen, uint64_t version)
{
    uint64_t old = atomic_load(seen);

    while (old < version && !atomic_compare_exchange_weak(seen, &old, version))
        continue;
}

/* Looks at two relatives, one after the other. */
static bool agree(struct families *f, uint64_t *random)
{
    uint64_t                 family = 1 + next_random(random) % FAMILIES;
    uint64_t                 a = next_random(random) % RELATIVES;
    uint64_t                 b = next_random(random) % RELATIVES;
    enum look                look = (enum look)(next_random(random) % LOOK_COUNT);
    enum look                then = (enum look)(next_random(random) % LOOK_COUNT);
    uint64_t                 before = atomic_load(&f->seen[family]);
    const struct key_record *first = find_relative(f->d, look, family, a);

    if (first != NULL) {
        if (first->version < before) /* somebody has seen a newer one */
            return false;
        note_seen(&f->seen[family], first->version);
        before = first->version;
    }
    const struct key_record *second = find_relative(f->d, then, family, b);
    if (second != NULL)
        return second->version >= before && (second->settles >> b & 1) != 0;
    if (first == NULL || (first->settles >> b & 1) == 0)
        return b != 0;
    /* it was there when the first was as we saw it: it has gone since, which the primary knows */
    const struct key_record *primary = find_relative(f->d, BY_NAME, family, 0);
    return primary != NULL && primary->version > first->version;
}

static void *compare_on(void *arg)
{
    struct families *f = arg;
    int              me = epoch_register(f->epoch);
    uint64_t         random = (uint64_t)me + 77;

    atomic_fetch_add(&f->started, 1);
    while (!atomic_load(&f->stop)) {
        epoch_enter(f->epoch, me);
        bool ok = agree(f, &random);
        epoch_leave(f->epoch, me);
        if (!ok)
            atomic_fetch_add(&f->wrong, 1);
        if (atomic_fetch_add(&f->looked, 1) % 32 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void publish_family(struct families *f, uint64_t family, uint64_t version, uint64_t old,
                           uint64_t there)
{
    struct key_record *put[RELATIVES];
    struct key_name    removed[RELATIVES];
    char               id[KEY_ID_MAX + 1];
    size_t             n_put = 0;
    size_t             n_removed = 0;

    fixture_key_id(id, family);
    for (uint64_t i = 0; i < RELATIVES; i++) {
        if (there >> i & 1)
            put[n_put++] = make_relative(family, i, version, there);
        else if (old >> i & 1)
            removed[n_removed++] = (struct key_name){ .account = ACCOUNT,
                                                      .region = bytes_str(region_names[i]),
                                                      .id = bytes_str(id) };
    }
    directory_publish(f->d, put, n_put, removed, n_removed);
}

/* Replicas come and go, materials too, so that tables grow while readers wait at the gate. */
static void test_relatives_agree(void **state)
{
    struct families f = { .epoch = epoch_new() };
    pthread_t       thread[READERS];
    uint64_t        there[FAMILIES + 1];
    uint64_t        random = 7;
    uint64_t        extra = FAMILIES;

    (void)state;
    f.d = directory_new(f.epoch, 5);
    for (uint64_t i = 1; i <= FAMILIES; i++)
        publish_family(&f, i, 1, 0, there[i] = 1);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, compare_on, &f), 0);
    while (atomic_load(&f.started) < READERS)
        (void)sched_yield();

    uint64_t version = 2;
    for (; version < ROUNDS || atomic_load(&f.looked) < LOOKS; version++) {
        uint64_t family = 1 + next_random(&random) % FAMILIES;
        uint64_t now = 1 | next_random(&random) % (1u << RELATIVES);
        publish_family(&f, family, version, there[family], now);
        there[family] = now;
        if (version % 8 == 0)
            publish_family(&f, ++extra, 1, 0, (1u << RELATIVES) - 1);
        if (version % 16 == 15) {
            epoch_barrier(f.epoch);
            directory_reclaim(f.d);
        }
    }
    atomic_store(&f.stop, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    print_message("# %zu looks during %zu changes\n", atomic_load(&f.looked), (size_t)version);
    assert_int_equal(atomic_load(&f.wrong), 0);
    directory_free(f.d);
    epoch_free(f.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_and_a_writer),
        cmocka_unit_test(test_relatives_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
