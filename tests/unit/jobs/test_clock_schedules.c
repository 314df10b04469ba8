/* tests/unit/jobs/test_clock_schedules.c - random schedules of a clock that is set forward and back, at rest
 * and between runs, of restarts, kills and confirmations (trust-model 2.8, 6.15).
 *
 * After every step what is due is served, and a small model, which knows what was done to the clock, says
 * whether the time is certain. Then: nothing is used after its expiry, and nothing is erased, deleted or
 * rotated before a moment at which its time had come and was certain. In the end, with a clock that is
 * right, everything that is due has been done.
 *
 * TRENT_CLOCK_SCHEDULES and TRENT_CLOCK_SEED set how many and which; a failure names its schedule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "authz/authz.h"
#include "base/cleanup.h"
#include "commit/event.h"
#include "crypto/crypto.h"
#include "folder.h"
#include "instance/instance.h"
#include "jobs/jobs.h"
#include "key/state.h"
#include "store/sqlite/sqlite.h"

enum { STEPS = 8, AT_ONE_SITE = 10, SCHEDULES = 60 };
/* Of a small step no sum comes near a minute, where the model and the server could differ by a millisecond. */
static const int64_t SMALL = 24300, S = 1000, MIN = 60 * 1000, HOUR = 3600 * 1000,
                     DAY = 86400 * 1000, YEAR = 365 * (int64_t)86400 * 1000;

#define ACCOUNT "111122223333"
#define REGION "us-east-1"

/* --- the machine: its clock is ours, and it need not sync ----------------------------------------- */

static _Atomic int64_t wall_ahead, boot_ahead; /* ms */

int clock_gettime(clockid_t id, struct timespec *ret)
{
    long    failed = syscall(SYS_clock_gettime, id, ret);
    int64_t ahead = id == CLOCK_REALTIME ? wall_ahead : id == CLOCK_BOOTTIME ? boot_ahead : 0;

    if (failed != 0 || ahead == 0)
        return (int)failed;
    int64_t ms = (int64_t)ret->tv_sec * 1000 + ret->tv_nsec / 1000000 + ahead;
    ret->tv_sec = (time_t)(ms / 1000);
    ret->tv_nsec = (long)(ms % 1000) * 1000000;
    return 0;
}

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

/* --- the server, without its sockets -------------------------------------------------------------- */

struct site {
    char                  dir[64], data[96];
    struct instance_paths paths;
    struct clock         *clock;
    struct epoch         *epoch;
    struct directory     *directory;
    struct identity_book *book;
    struct vault         *vault;
    struct store         *store;
    struct audit         *audit;
    struct jobs          *jobs;
    struct committer     *committer;
    struct kms_error      err;
    size_t                served; /* in all its runs */
};

#define ok(s, call)                                                                                \
    do {                                                                                           \
        if ((call) != KMS_OK)                                                                      \
            fail_msg("%s: %s", #call, (s)->err.detail);                                            \
    } while (0)

/* As main.c does in production mode. */
static void open_files(struct site *s, struct audit_head *head)
{
    struct store_meta meta;

    ok(s, store_sqlite_peek(s->paths.database, &meta, &s->err));
    s->clock = clock_new(meta.clock_floor);
    struct vault_config vc = { .data_dir = s->data,
                               .root_key_file = s->paths.root_key,
                               .allow_grade_c = true,
                               .clock = s->clock,
                               .epoch = s->epoch };
    ok(s, vault_open(&vc, meta.slot_generation, &s->vault, &s->err));
    ok(s, store_sqlite_open(s->paths.database, meta.instance_id, vault_row_mac, s->vault, &s->store,
                            &s->err));
    struct audit_config ac = { .dir = s->paths.audit,
                               .node = vault_instance_id(s->vault),
                               .clock = s->clock,
                               .reserve_bytes = 1024 * 1024,
                               .sign = vault_audit_sign,
                               .sign_ctx = s->vault };
    vault_audit_public_key(s->vault, ac.public_key);
    ok(s, audit_open(&ac, &s->audit, head, &s->err));
    clock_raise_floor(s->clock, head->time);
    instance_clock_check(&s->paths, s->clock,
                         meta.clock_floor > head->time ? meta.clock_floor : head->time);
}

static void open_site(struct site *s)
{
    const struct identity_compilers with = { authz_identity_compiler, authz_trust_compiler };
    struct audit_head               head;
    struct commit_recovery          found;
    size_t                          done = 0;

    s->epoch = epoch_new();
    s->directory = directory_new(s->epoch, 1);
    s->book = identity_book_new(s->epoch, 1, &with);
    open_files(s, &head);
    struct jobs_parts jp = { .directory = s->directory,
                             .identities = s->book,
                             .vault = s->vault,
                             .epoch = s->epoch,
                             .clock = s->clock };
    s->jobs = jobs_new(&jp);
    struct committer_parts cp = { .store = s->store,
                                  .audit = s->audit,
                                  .vault = s->vault,
                                  .directory = s->directory,
                                  .identities = s->book,
                                  .epoch = s->epoch,
                                  .clock = s->clock,
                                  .changed = jobs_key_changed,
                                  .changed_ctx = s->jobs };
    s->committer = committer_new(&cp);
    assert_true(s->jobs != NULL && s->committer != NULL);
    jobs_set_committer(s->jobs, s->committer);
    ok(s, commit_recover(s->committer, &head, &found, &s->err));
    ok(s, committer_start(s->committer, &s->err));
    jobs_load(s->jobs);
    ok(s, jobs_run_due(s->jobs, &done, &s->err));
    s->served += done;
}

static void close_site(struct site *s, bool orderly)
{
    committer_stop(s->committer);
    if (orderly) {
        ok(s, s->store->ops->set_clock_floor(s->store, clock_now(s->clock), &s->err));
        ok(s, instance_clock_note(&s->paths, s->clock, &s->err));
    }
    audit_close(s->audit);
    store_close(s->store);
    committer_free(s->committer);
    jobs_free(s->jobs);
    vault_close(s->vault);
    directory_free(s->directory);
    identity_book_free(s->book);
    epoch_free(s->epoch);
    clock_free(s->clock);
}

static void make_site(struct site *s)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    CLEANUP(buf_release) struct buf       wrapped = BUF_INIT(1024);
    struct instance_config                config = { .account = ACCOUNT, .development = true };
    struct instance_result                made;

    (void)snprintf(s->dir, sizeof s->dir, "/tmp/trent-clock-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    config.data_dir = s->data;
    ok(s, instance_create(&config, &made, &s->err));
    instance_result_wipe(&made);
    ok(s, instance_paths(s->data, NULL, &s->paths, &s->err));
    open_site(s);
    ok(s, vault_new_domain(s->vault, BYTES_LIT(ACCOUNT), BYTES_LIT(REGION), 1, &wrapped, &s->err));
    change_add(&change, ROW_DOMAIN_INSERT)->domain = domain_key_new(
        BYTES_LIT(ACCOUNT), BYTES_LIT(REGION), 1, buf_bytes(&wrapped));
    ok(s, commit_wait(s->committer, &change, false, NULL, &s->err));
}

/* --- keys ----------------------------------------------------------------------------------------- */

enum kind { EXPIRES_SOON, ROTATES, SCHEDULED, KINDS };

struct watched {
    char          id[KEY_ID_MAX + 1];
    int64_t       due;
    struct sealed sealed;  /* of its first material; the view is not used */
    bool          allowed; /* its time had come, and was certain */
    size_t        materials;
};

static void add_key(struct site *s, struct watched *w, enum kind kind, unsigned number, int64_t due)
{
    CLEANUP(change_release) struct change change = { .event = BUF_INIT(0) };
    struct key_record                    *k = key_record_new();
    struct key_material                   m = { .role = MATERIAL_CURRENT };
    const uint8_t bytes[32] = { (uint8_t)number, (uint8_t)(number >> 8), 1 };

    assert_non_null(k);
    *w = (struct watched){ .due = due / 1000 * 1000, .materials = 1 };
    (void)snprintf(w->id, sizeof w->id, "00000000-0000-4000-8000-%012x", number * KINDS + kind);
    key_record_set_name(k, BYTES_LIT(ACCOUNT), BYTES_LIT(REGION), bytes_str(w->id));
    k->spec = SPEC_SYMMETRIC_DEFAULT;
    k->usage = USAGE_ENCRYPT_DECRYPT;
    k->origin = kind == EXPIRES_SOON ? ORIGIN_EXTERNAL : ORIGIN_AWS_KMS;
    k->version = 1;
    k->policy = arena_copy(k->arena, BYTES_LIT("{}"));
    if (kind == EXPIRES_SOON) {
        m.expiration = EXPIRES;
        m.valid_to = w->due;
        ok(s,
           vault_place_material(s->vault, k, bytes_of(bytes, sizeof bytes), k->arena, &m, &s->err));
    } else {
        ok(s, vault_generate_material(s->vault, k, k->arena, &m, &s->err));
    }
    *key_record_add_material(k) = m;
    key_created(k);
    k->rotation_enabled = kind == ROTATES;
    k->rotation_period_days = 36500;
    k->next_rotation = w->due;
    if (kind == SCHEDULED) {
        key_schedule_deletion(k, clock_now(s->clock), 7);
        k->deletion_date = w->due;
    }
    w->sealed = m.sealed;
    change_add(&change, ROW_KEY_INSERT)->key = k;
    ok(s, commit_wait(s->committer, &change, false, NULL, &s->err));
}

static const struct key_record *find(struct site *s, const struct watched *w)
{
    return directory_key(s->directory, BYTES_LIT(ACCOUNT), BYTES_LIT(REGION), bytes_str(w->id));
}

/* --- the model ------------------------------------------------------------------------------------ */

struct model {
    struct site    s;
    uint64_t       random;
    unsigned       schedule, step, operation;
    struct watched keys[KINDS];
    int64_t        mark; /* the highest time that anybody was answered by */
    int64_t        drift, doubt_until, noted;
    bool           has_note;
    size_t         put_off; /* steps with something that had to wait */
};

static uint64_t next_random(struct model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static int64_t one_of(struct model *m, const int64_t *list, size_t n)
{
    return list[next_random(m) % n];
}

static int64_t boot_now(void)
{
    return clock_wall_ms() - clock_drift_ms();
}

static bool model_certain(const struct model *m)
{
    return boot_now() >= m->doubt_until && m->mark - clock_wall_ms() <= MIN;
}

/* The server looks at its clock at every step. */
static void look_at_drift(struct model *m)
{
    int64_t drift = clock_drift_ms();

    if (drift - m->drift > MIN)
        m->doubt_until = boot_now() + 10 * MIN;
    m->drift = drift;
}

static void set_forward(struct model *m)
{
    const int64_t by[] = { 1 * S, SMALL, 2 * MIN, HOUR, 3 * DAY, 10 * YEAR };

    wall_ahead += one_of(m, by, ARRAY_LEN(by));
}

static void set_back(struct model *m)
{
    const int64_t by[] = { 1 * S, SMALL, HOUR, 2 * DAY, 10 * YEAR };

    wall_ahead -= one_of(m, by, ARRAY_LEN(by));
}

static void pass(int64_t ms)
{
    wall_ahead += ms;
    boot_ahead += ms;
}

static void pass_some(struct model *m)
{
    const int64_t by[] = { 5 * S, 50 * S, 9 * MIN, 11 * MIN, HOUR + 7 * S, DAY + 11 * S };

    pass(one_of(m, by, ARRAY_LEN(by)));
}

static void restart(struct model *m, bool orderly)
{
    bool certain = model_certain(m);

    if (orderly && certain) {
        m->noted = clock_drift_ms();
        m->has_note = true;
    }
    close_site(&m->s, orderly);
    switch (next_random(m) % 4) { /* while it is down */
    case 0:  set_forward(m); break;
    case 1:  set_back(m); break;
    case 2:  pass_some(m); break;
    default: break;
    }
    int64_t drift = clock_drift_ms();
    bool    doubt = m->has_note ? drift - m->noted > MIN : clock_wall_ms() - m->mark > MIN;
    m->drift = drift;
    m->doubt_until = doubt ? boot_now() + 10 * MIN : 0;
    if (clock_wall_ms() > m->mark)
        m->mark = clock_wall_ms();
    for (size_t i = 0; i < KINDS; i++) /* before anything is served at start */
        m->keys[i].allowed = m->keys[i].allowed || (model_certain(m) && m->mark >= m->keys[i].due);
    open_site(&m->s);
}

static void confirm(struct model *m)
{
    look_at_drift(m);
    if (clock_confirm(m->s.clock))
        m->doubt_until = 0;
    pass(11 * S); /* what was put off is looked at again */
}

static void take_step(struct model *m)
{
    m->operation = (unsigned)(next_random(m) % 8);
    switch (m->operation) {
    case 0:
    case 1:  pass_some(m); break;
    case 2:
    case 3:  set_forward(m); break;
    case 4:  set_back(m); break;
    case 5:  restart(m, true); break;
    case 6:  restart(m, false); break;
    default: confirm(m); break;
    }
}

/* Somebody is answered: the record of it is what the next run knows the time by. */
static void answer(struct model *m)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(4096);
    int64_t                         now = clock_now(m->s.clock);

    if (now < m->mark)
        fail_msg("schedule %u, step %u: the time went back by %lld ms", m->schedule, m->step,
                 (long long)(m->mark - now));
    m->mark = now;
    service_event_text(&text, now, "TrentTest", (struct bytes){ NULL, 0 }, BYTES_LIT("{}"));
    struct bytes event = buf_bytes(&text);
    ok(&m->s, audit_append(m->s.audit, &event, 1, false, false, &m->s.err));
}

#define holds(m, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("schedule %u, step %u: not %s", (m)->schedule, (m)->step, #condition);        \
    } while (0)

static void check_expiring(struct model *m)
{
    const struct watched    *w = &m->keys[EXPIRES_SOON];
    const struct key_record *k = find(&m->s, w);
    bool                     usable = key_state_at(k, clock_now(m->s.clock)) == KEY_ENABLED;
    bool                     erased = !vault_slot_alive(m->s.vault, &w->sealed);

    holds(m, usable == (m->mark < w->due));
    holds(m, !erased || w->allowed);
}

static void check_rotating(struct model *m)
{
    struct watched          *w = &m->keys[ROTATES];
    const struct key_record *k = find(&m->s, w);

    holds(m, k->n_materials == 1 || w->allowed);
    holds(m, k->n_materials <= 2); /* what was missed happens once: the period is a century */
    holds(m, vault_slot_alive(m->s.vault, &w->sealed));
    w->materials = k->n_materials;
}

static void check_scheduled(struct model *m)
{
    const struct watched    *w = &m->keys[SCHEDULED];
    const struct key_record *k = find(&m->s, w);

    holds(m, (k == NULL || key_gone(k, clock_now(m->s.clock))) == (m->mark >= w->due));
    holds(m, k != NULL || w->allowed);
    holds(m, vault_slot_alive(m->s.vault, &w->sealed) || w->allowed);
}

static void serve_and_check(struct model *m)
{
    struct jobs_counts counts;
    size_t             done = 0;

    look_at_drift(m);
    answer(m);
    bool certain = clock_certain(m->s.clock);
    if (certain != model_certain(m))
        fail_msg("schedule %u, step %u (%u): certain %d, the machine's clock is %lld ms ahead of "
                 "the highest "
                 "time, doubt ends in %lld ms, drift %lld, noted %lld (%d)",
                 m->schedule, m->step, m->operation, certain,
                 (long long)(clock_wall_ms() - m->mark), (long long)(m->doubt_until - boot_now()),
                 (long long)m->drift, (long long)m->noted, m->has_note);
    for (size_t i = 0; i < KINDS; i++)
        m->keys[i].allowed = m->keys[i].allowed || (certain && m->mark >= m->keys[i].due);
    ok(&m->s, jobs_run_due(m->s.jobs, &done, &m->s.err));
    m->s.served += done;
    jobs_counts(m->s.jobs, &counts);
    m->put_off += counts.put_off > 0;
    check_expiring(m);
    check_rotating(m);
    check_scheduled(m);
}

/* The clock is right, and time has passed: nothing is left to do. */
static void come_to_rest(struct model *m)
{
    if (clock_wall_ms() < m->mark)
        wall_ahead += m->mark - clock_wall_ms();
    m->step = STEPS;
    serve_and_check(m);
    for (size_t i = 0; i < KINDS; i++) {
        if (m->keys[i].due > clock_wall_ms())
            pass(m->keys[i].due - clock_wall_ms() + S);
    }
    for (int i = 0; i < 3; i++) {
        pass(11 * MIN);
        serve_and_check(m);
    }
    holds(m, !vault_slot_alive(m->s.vault, &m->keys[EXPIRES_SOON].sealed));
    holds(m, m->keys[ROTATES].materials == 2);
    holds(m, find(&m->s, &m->keys[SCHEDULED]) == NULL);
    holds(m, !vault_slot_alive(m->s.vault, &m->keys[SCHEDULED].sealed));
}

static void run_schedule(struct model *m)
{
    const int64_t in[] = { 20 * S, 5 * MIN, HOUR, 2 * DAY, 300 * DAY };

    m->mark = clock_now(m->s.clock);
    for (unsigned i = 0; i < KINDS; i++)
        add_key(&m->s, &m->keys[i], (enum kind)i, m->schedule,
                m->mark + one_of(m, in, ARRAY_LEN(in)) + 999);
    answer(m);
    for (m->step = 0; m->step < STEPS; m->step++) {
        take_step(m);
        serve_and_check(m);
    }
    come_to_rest(m);
}

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

static void test_random_schedules(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    unsigned      n = setting("TRENT_CLOCK_SCHEDULES", SCHEDULES);

    (void)state;
    assert_non_null(m);
    m->random = 0x9e3779b97f4a7c15u + setting("TRENT_CLOCK_SEED", 0);
    while (m->schedule < n) {
        wall_ahead = boot_ahead = 0;
        m->has_note = false;
        make_site(&m->s);
        m->drift = clock_drift_ms();
        m->doubt_until = 0;
        for (unsigned i = 0; i < AT_ONE_SITE && m->schedule < n; i++, m->schedule++)
            run_schedule(m);
        close_site(&m->s, true);
        (void)folder_remove(m->s.dir);
    }
    print_message("%u schedules, %zu things served, %zu steps with something put off\n", n,
                  m->s.served, m->put_off);
    assert_true(m->s.served >= (size_t)n * KINDS && m->put_off > 0);
    free(m);
}

int main(void)
{
    struct kms_error        err;
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_schedules) };

    if (secret_memory_init(false, &err) != KMS_OK || crypto_init(&err) != KMS_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
