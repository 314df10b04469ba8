/* tests/unit/key/test_state_all.c - every state that a key can get into with up to three materials:
 * each is reached once, and from each every event is tried.
 *
 * What should happen is computed a second time by a plain model that has no state machine: it keeps
 * facts (what is there, was the key disabled, is it being deleted) and derives the state from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture.h"
#include "life.h"

enum { NAMES = 3, TEXT_MAX = 2000 };

/* --- the model -------------------------------------------------------------------------------- */

enum role { UNKNOWN, PENDING, NON_CURRENT, CURRENT };
enum ends { NEVER, LATER, PAST };

struct model {
    struct {
        enum role role;
        bool      present;
        enum ends ends;
    } m[NAMES];
    bool disabled, deleting, rotating;
};

static enum key_state model_state(const struct model *model)
{
    bool any = false;
    bool whole = true;

    for (int i = 0; i < NAMES; i++) {
        bool needed = model->m[i].role == CURRENT || model->m[i].role == NON_CURRENT;
        any = any || needed;
        whole = whole && (!needed || (model->m[i].present && model->m[i].ends != PAST));
    }
    if (model->deleting)
        return KEY_PENDING_DELETION;
    if (!any || !whole)
        return KEY_PENDING_IMPORT;
    return model->disabled ? KEY_DISABLED : KEY_ENABLED;
}

static int find(const struct model *model, enum role role)
{
    for (int i = 0; i < NAMES; i++) {
        if (model->m[i].role == role)
            return i;
    }
    return -1;
}

static enum kms_status model_import(struct model *model, const char *word)
{
    int       at = word[0] - 'A';
    bool      fresh = word[1] == '!';
    enum role was = model->m[at].role;

    if (model->deleting)
        return KMS_E_KEY_STATE;
    if (fresh && was != UNKNOWN)
        return KMS_E_INCORRECT_MATERIAL;
    if (fresh && find(model, PENDING) >= 0)
        return KMS_E_KEY_STATE;
    if (!fresh && was == UNKNOWN && find(model, CURRENT) >= 0)
        return KMS_E_INCORRECT_MATERIAL;
    if (was == UNKNOWN)
        model->m[at].role = find(model, CURRENT) < 0 ? CURRENT : PENDING;
    model->m[at].present = true;
    model->m[at].ends = strchr(word, '@') != NULL ? LATER : NEVER;
    if (model->m[at].role != PENDING)
        model->disabled = false;
    return KMS_OK;
}

static enum kms_status model_delete(struct model *model, char name)
{
    int at = name == '\0' ? find(model, CURRENT) : name - 'A';

    if (at < 0)
        return KMS_OK;
    if (model->m[at].role == UNKNOWN)
        return KMS_E_VALIDATION;
    if (model->m[at].role == PENDING)
        model->m[at].role = UNKNOWN;
    model->m[at].present = false;
    model->m[at].ends = NEVER;
    return KMS_OK;
}

static enum kms_status refusal(enum key_state state)
{
    return state == KEY_DISABLED ? KMS_E_DISABLED : KMS_E_KEY_STATE;
}

static enum kms_status model_complete(struct model *model)
{
    int next = find(model, PENDING);

    if (model->rotating && next >= 0) {
        model->m[find(model, CURRENT)].role = NON_CURRENT;
        model->m[next].role = CURRENT;
    }
    model->rotating = false;
    return KMS_OK;
}

static enum kms_status model_switch(struct model *model, bool disable)
{
    enum key_state state = model_state(model);

    if (state != KEY_ENABLED && state != KEY_DISABLED)
        return KMS_E_KEY_STATE;
    model->disabled = disable;
    return KMS_OK;
}

static enum kms_status model_rotate(struct model *model)
{
    if (model_state(model) != KEY_ENABLED)
        return refusal(model_state(model));
    if (!model->rotating && find(model, PENDING) < 0)
        return KMS_E_KEY_STATE;
    model->rotating = true;
    return KMS_OK;
}

static enum kms_status model_delete_key(struct model *model, bool schedule)
{
    if (model->deleting == schedule)
        return KMS_E_KEY_STATE;
    model->deleting = schedule;
    if (!schedule && model_state(model) != KEY_PENDING_IMPORT)
        model->disabled = true;
    return KMS_OK;
}

static enum kms_status model_step(struct model *model, const char *word)
{
    switch (*word) {
    case 'd':
    case 'e': return model_switch(model, *word == 'd');
    case 's':
    case 'u': return model_delete_key(model, *word == 's');
    case 'r': return model_rotate(model);
    case 'c': return model_complete(model);
    case 'x': return KMS_OK;
    case '-': return model_delete(model, word[1]);
    case '+':
        for (int i = 0; i < NAMES; i++)
            model->m[i].ends = model->m[i].ends == NEVER ? NEVER : PAST;
        return KMS_OK;
    default: return model_import(model, word);
    }
}

/* --- one state of the real thing -------------------------------------------------------------- */

struct node {
    struct life  life;
    struct model model;
    struct node *next;
    char         path[400]; /* how we got here, for the message */
};

static bool lasting(const struct key_material *m)
{
    return m->role == MATERIAL_CURRENT || m->role == MATERIAL_NON_CURRENT;
}

/* The invariants of state.c, I2..I4, and the order of the list. */
static const char *broken_invariant(const struct key_record *k)
{
    size_t current = 0;
    size_t pending = 0;

    for (size_t i = 0; i < k->n_materials; i++) {
        const struct key_material *m = &k->materials[i];
        bool                       there = m->present && m->sealed.wrapped.len > 0;
        bool                       has_expired = m->present && m->expiration == EXPIRES;
        current += m->role == MATERIAL_CURRENT;
        pending += !lasting(m);
        if (!lasting(m) && i + 1 != k->n_materials)
            return "the pending material is not the newest";
        if (!m->present &&
            (m->expiration != EXPIRATION_NONE || m->valid_to != 0 || m->sealed.wrapped.len > 0))
            return "a missing material has an expiration or bytes (I4)";
        if (m->present && m->expiration == EXPIRATION_NONE)
            return "a present material has no expiration model";
        if (m->valid_to % 1000 != 0)
            return "a ValidTo is not in whole seconds (R13)";
        if (!lasting(m) && m->rotation_type != ROTATION_NONE)
            return "a pending material has rotation data (R41)";
        if (i == 0 && m->rotation_type != ROTATION_NONE)
            return "the first material has rotation data (R41)";
        if (i > 0 && lasting(m) && m->rotation_type == ROTATION_NONE)
            return "a material became current without a rotation (R41)";
        if ((k->state == KEY_ENABLED || k->state == KEY_DISABLED) && lasting(m) && !there)
            return "an Enabled or Disabled key lacks a material (I3)";
        if (lasting(m) && m->present && !there && !has_expired)
            return "bytes are gone without a reason";
    }
    if (k->n_materials > 0 && current != 1)
        return "there is not one current material (I2)";
    if (pending > 1)
        return "there is more than one pending material (I2)";
    return NULL;
}

/* All that decides what can happen next; times only as before or after now. */
static uint64_t fingerprint(const struct life *life)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(TEXT_MAX);
    const struct key_record        *k = life->key;
    uint64_t                        hash = 14695981039346656037u;

    buf_addf(&text, "%u %d", k->state, k->on_demand_start != 0);
    for (size_t i = 0; i < k->n_materials; i++) {
        const struct key_material *m = &k->materials[i];
        buf_addf(&text, " %c%u%d%u%d%d", m->id.b[0], m->role, m->present, m->expiration,
                 m->valid_to <= life->now, m->sealed.wrapped.len > 0);
    }
    assert_true(buf_ok(&text));
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ text.ptr[i]) * 1099511628211u;
    return hash;
}

static void compare(const struct node *n, const char *path)
{
    static const enum material_role as[] = { [PENDING] = MATERIAL_PENDING_ROTATION,
                                             [NON_CURRENT] = MATERIAL_NON_CURRENT,
                                             [CURRENT] = MATERIAL_CURRENT };
    const struct key_record        *k = n->life.key;
    const char                     *broken = broken_invariant(k);

    if (broken != NULL)
        fail_msg("after '%s' %s", path, broken);
    if (key_state_at(k, n->life.now) != model_state(&n->model))
        fail_msg("after '%s' the key is %s, not %s", path,
                 key_state_name(key_state_at(k, n->life.now)),
                 key_state_name(model_state(&n->model)));
    if ((k->on_demand_start != 0) != n->model.rotating)
        fail_msg("after '%s' a rotation is %s progress", path, n->model.rotating ? "not in" : "in");
    for (int i = 0; i < NAMES; i++) {
        struct material_id         id = fixture_material_id((char)('A' + i));
        const struct key_material *m = key_record_material(k, &id);
        enum role                  role = n->model.m[i].role;
        if ((m == NULL) != (role == UNKNOWN))
            fail_msg("after '%s' material %c is %slisted", path, 'A' + i, m == NULL ? "not " : "");
        if (m != NULL && (m->role != as[role] || m->present != n->model.m[i].present ||
                          (m->expiration == EXPIRES) != (n->model.m[i].ends != NEVER)))
            fail_msg("after '%s' material %c is not what it should be", path, 'A' + i);
    }
}

/* --- the walk --------------------------------------------------------------------------------- */

static const char *const words[] = {
    "A", "A@10", "A!", "A!@10", "B", "B@10", "B!", "B!@10", "C", "C@10", "C!",  "C!@10",
    "-", "-A",   "-B", "-C",    "r", "c",    "d",  "e",     "s", "u",    "+20", "x",
};

struct walk {
    uint64_t    *seen;
    size_t       seen_cap; /* a power of two */
    size_t       states;
    size_t       steps;
    struct node *first, **last;
};

static bool see(struct walk *w, uint64_t hash)
{
    size_t at = hash & (w->seen_cap - 1);

    while (w->seen[at] != 0 && w->seen[at] != hash)
        at = (at + 1) & (w->seen_cap - 1);
    if (w->seen[at] == hash)
        return false;
    w->seen[at] = hash;
    w->states++;
    assert_true(w->states < w->seen_cap / 2);
    return true;
}

/* Names are as good as each other: a new one is the first that is not known. */
static bool pointless(const struct node *n, const char *word)
{
    return word[0] == 'C' && n->model.m[1].role == UNKNOWN && word[1] == '!';
}

static void try_word(struct walk *w, const struct node *from, const char *word)
{
    struct node *n = malloc(sizeof *n);

    assert_non_null(n);
    *n = *from;
    n->life.key = key_record_clone(from->life.key);
    (void)snprintf(n->path, sizeof n->path, "%.380s %.10s", from->path, word);

    struct model    before = n->model;
    enum kms_status want = model_step(&n->model, word);
    enum kms_status got = life_step(&n->life, word);
    if (want != KMS_OK)
        n->model = before;
    if (got != want)
        fail_msg("'%s' came to %s, not %s", n->path, kms_status_word(got), kms_status_word(want));
    n->life.key->on_demand_count = 0; /* the limit has its own test */
    compare(n, n->path);
    w->steps++;
    if (!see(w, fingerprint(&n->life))) {
        life_end(&n->life);
        free(n);
        return;
    }
    n->next = NULL;
    *w->last = n;
    w->last = &n->next;
}

static void test_every_reachable_state(void **state)
{
    struct walk      w = { .seen_cap = 1 << 20 };
    struct kms_error err;
    struct node     *n = calloc(1, sizeof *n);

    (void)state;
    w.seen = calloc(w.seen_cap, sizeof *w.seen);
    assert_non_null(n);
    assert_non_null(w.seen);
    life_begin(&n->life, ORIGIN_EXTERNAL, REGION_SINGLE, &err);
    (void)see(&w, fingerprint(&n->life));
    w.first = n;
    w.last = &n->next;
    while (w.first != NULL) {
        n = w.first;
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            if (!pointless(n, words[i]))
                try_word(&w, n, words[i]);
        }
        w.first = n->next;
        if (w.first == NULL)
            w.last = &w.first;
        life_end(&n->life);
        free(n);
    }
    print_message("# %zu states, %zu steps\n", w.states, w.steps);
    assert_true(w.states > 1000); /* the walk got somewhere */
    free(w.seen);
}

/* The same without forgetting equal states, so that nothing hangs on what `fingerprint` looks
 * at. */
static void all_sequences(const struct node *from, unsigned depth, size_t *steps)
{
    for (size_t i = 0; depth > 0 && i < ARRAY_LEN(words); i++) {
        struct node n = *from;
        n.life.key = key_record_clone(from->life.key);
        (void)snprintf(n.path, sizeof n.path, "%.380s %.10s", from->path, words[i]);
        enum kms_status want = model_step(&n.model, words[i]);
        enum kms_status got = life_step(&n.life, words[i]);
        if (want != KMS_OK)
            n.model = from->model;
        if (got != want)
            fail_msg("'%s' came to %s", n.path, kms_status_word(got));
        compare(&n, n.path);
        (*steps)++;
        all_sequences(&n, depth - 1, steps);
        life_end(&n.life);
    }
}

static void run_prefix(struct node *n, const char *prefix)
{
    (void)snprintf(n->path, sizeof n->path, "%s", prefix);
    for (const char *p = prefix; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
        char word[16] = { 0 };
        memcpy(word, p, strcspn(p, " "));
        assert_int_equal(life_step(&n->life, word), KMS_OK);
        assert_int_equal(model_step(&n->model, word), KMS_OK);
    }
}

static void test_every_short_sequence(void **state)
{
    static const char *const starts[] = { "", "A B!@10", "A B! r c C!@10 r" };
    struct kms_error         err;
    size_t                   steps = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct node n = { .path = "" };
        life_begin(&n.life, ORIGIN_EXTERNAL, REGION_SINGLE, &err);
        run_prefix(&n, starts[i]);
        all_sequences(&n, i == 0 ? 4 : 3, &steps);
        life_end(&n.life);
    }
    print_message("# %zu steps\n", steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reachable_state),
        cmocka_unit_test(test_every_short_sequence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
