/* tests/unit/key/relatives.c - see relatives.h. */
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
#include "relatives.h"

static const char *const region_names[RELATIVES_MAX] = { "us-east-1", "us-west-2", "ap-east-1" };
static const char        region_letters[] = "ewa";
static const size_t      by_name[RELATIVES_MAX] = { 2, 0, 1 };

static size_t region_of(char letter)
{
    const char *at = strchr(region_letters, letter);

    assert_true(letter != '\0' && at != NULL);
    return (size_t)(at - region_letters);
}

void relatives_begin(struct relatives *w, enum key_origin origin, struct kms_error *err)
{
    struct life life;

    *w = (struct relatives){ .err = err };
    life_begin(&life, origin, REGION_PRIMARY, err);
    w->of[0] = life.key;
    w->now = life.now;
    w->slots = life.slots + 1000;
    w->of[0]->primary_region = arena_copy(w->of[0]->arena, bytes_str(region_names[0]));
    key_record_add_region(w->of[0], bytes_str(region_names[0]));
    kms_error_clear(err);
}

void relatives_end(struct relatives *w)
{
    for (size_t i = 0; i < RELATIVES_MAX; i++)
        key_record_freep(&w->of[i]);
}

/* Regions in the order e, w, a. */
void relatives_print(const struct relatives *w, struct buf *out)
{
    for (size_t i = 0; i < RELATIVES_MAX; i++) {
        struct life one = { .key = w->of[i], .now = w->now };
        if (one.key == NULL)
            continue;
        buf_add_str(out, out->len > 0 ? " | " : "");
        life_print(&one, out);
    }
    assert_true(buf_ok(out));
}

/* --- what holds always ------------------------------------------------------------------------ */

static bool same_material(const struct key_material *a, const struct key_material *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0 &&
           memcmp(a->check, b->check, sizeof a->check) == 0 && a->role == b->role &&
           a->has_description == b->has_description && bytes_eq(a->description, b->description) &&
           a->rotation_date == b->rotation_date && a->rotation_type == b->rotation_type &&
           a->created == b->created;
}

static const char *disagree(const struct key_record *a, const struct key_record *b)
{
    if (a->n_materials != b->n_materials)
        return "the list of materials";
    for (size_t i = 0; i < a->n_materials; i++) {
        if (!same_material(&a->materials[i], &b->materials[i]))
            return "a material";
    }
    if (!bytes_eq(a->primary_region, b->primary_region) || !bytes_eq(a->regions, b->regions))
        return "the Regions";
    if (!bytes_eq(a->name.id, b->name.id) || a->spec != b->spec || a->usage != b->usage ||
        a->origin != b->origin)
        return "what the key is";
    if (a->rotation_enabled != b->rotation_enabled || a->next_rotation != b->next_rotation ||
        a->rotation_period_days != b->rotation_period_days)
        return "the rotation switch";
    if (a->on_demand_start != b->on_demand_start || a->on_demand_count != b->on_demand_count)
        return "the requested rotation";
    return NULL;
}

const struct key_record *relatives_primary(const struct relatives *w)
{
    const struct key_record *primary = NULL;

    for (size_t i = 0; i < RELATIVES_MAX; i++) {
        if (w->of[i] != NULL && w->of[i]->multi_region == REGION_PRIMARY) {
            assert_null(primary); /* I1 */
            primary = w->of[i];
        }
    }
    return primary;
}

void relatives_check(const struct relatives *w, const char *word)
{
    const struct key_record        *primary = relatives_primary(w);
    CLEANUP(buf_release) struct buf regions = BUF_INIT(200);

    for (size_t i = 0; i < RELATIVES_MAX; i++) {
        const struct key_record *k = w->of[by_name[i]];
        if (k == NULL)
            continue;
        assert_non_null(primary); /* I1 */
        buf_add_str(&regions, regions.len > 0 ? " " : "");
        buf_add(&regions, k->name.region);
        const char *what = disagree(primary, k);
        if (what != NULL)
            fail_msg("I1: after '%s' %s do not agree in %s", word, region_names[by_name[i]], what);
    }
    if (primary == NULL)
        return;
    assert_true(bytes_eq(buf_bytes(&regions), primary->regions));
    for (size_t m = 0; m < primary->n_materials; m++) {
        enum material_role role = primary->materials[m].role;
        bool               everywhere = true;
        for (size_t i = 0; i < RELATIVES_MAX; i++)
            everywhere = everywhere && (w->of[i] == NULL || w->of[i]->materials[m].present);
        if ((role == MATERIAL_PENDING_ROTATION && !everywhere) ||
            (role == MATERIAL_PENDING_MULTI_REGION && everywhere))
            fail_msg("I2: after '%s' a material is %s", word, material_role_name(role));
    }
}

static bool names_slot(const struct relatives *w, uint32_t slot)
{
    for (size_t i = 0; i < RELATIVES_MAX; i++) {
        for (size_t m = 0; w->of[i] != NULL && m < w->of[i]->n_materials; m++) {
            const struct sealed *s = &w->of[i]->materials[m].sealed;
            if (s->wrapped.len > 0 && s->slot == slot)
                return true;
        }
    }
    return false;
}

static void assert_erased(const struct relatives *w, const struct key_record *before,
                          const char *word)
{
    for (size_t m = 0; before != NULL && m < before->n_materials; m++) {
        const struct sealed *s = &before->materials[m].sealed;
        bool                 erased = false;
        for (size_t i = 0; i < w->n_erased; i++)
            erased = erased || w->erased[i] == s->slot;
        if (s->wrapped.len > 0 && names_slot(w, s->slot) == erased)
            fail_msg("after '%s' a slot is %s", word, erased ? "erased and named" : "forgotten");
    }
}

/* --- the operations --------------------------------------------------------------------------- */

static void erase(struct relatives *w, const struct sealed *s)
{
    if (s->wrapped.len == 0)
        return;
    assert_true(w->n_erased < RELATIVES_SEALED);
    w->erased[w->n_erased++] = s->slot;
}

static enum kms_status do_import(struct relatives *w, struct key_family *f, const char *word)
{
    struct key_record    *named = f->of[f->named];
    struct import_request rq = { .id = fixture_material_id(*word++),
                                 .expiration = DOES_NOT_EXPIRE };
    struct key_material  *m = NULL;

    for (; *word != '\0' && *word != ' '; word++) {
        rq.new_type = rq.new_type || *word == '!';
        if (*word == '@') {
            char *end;
            rq.expiration = EXPIRES;
            rq.valid_to = w->now + strtol(word + 1, &end, 10) * 1000;
            word = end - 1;
        } else if (*word == '"') {
            rq.has_description = true;
            rq.description = bytes_of(word + 1, strcspn(word + 1, " "));
            break;
        }
    }
    if (named->multi_region == REGION_REPLICA && (rq.new_type || rq.has_description))
        return KMS_FAIL(w->err, KMS_E_VALIDATION, "R9, R10: the operation");
    const struct key_material *known = key_record_material(named, &rq.id);
    if (known != NULL)
        erase(w, &known->sealed);
    enum kms_status status = family_import(f, &rq, w->now, &m, w->err);
    if (status != KMS_OK) {
        w->n_erased = 0;
        return status;
    }
    memcpy(m->check, rq.id.b, sizeof m->check); /* as vault_import_seal */
    m->sealed = fixture_sealed(named->arena, ++w->slots);
    family_sealed(f, m);
    return KMS_OK;
}

static enum kms_status do_delete(struct relatives *w, struct key_family *f, const char *word)
{
    bool                  named = word[1] != '\0' && word[1] != ' ';
    struct material_id    id = fixture_material_id(word[1]);
    struct family_deleted gone;

    TRY(family_delete_material(f, named ? &id : NULL, w->now, &gone, w->err));
    w->had = gone.had;
    for (size_t i = 0; i < f->n; i++)
        erase(w, &gone.sealed[i]);
    return KMS_OK;
}

/* As vault_generate_next. */
static void generate(struct relatives *w, struct key_family *f)
{
    char name = (char)('A' + f->of[0]->n_materials);

    for (size_t i = 0; i < f->n; i++) {
        struct key_material *m = key_record_add_material(f->of[i]);
        m->id = fixture_material_id(name);
        m->role = MATERIAL_PENDING_ROTATION;
        m->present = true;
        m->created = w->now;
        m->sealed = fixture_sealed(f->of[i]->arena, ++w->slots);
    }
}

static enum kms_status do_complete(struct relatives *w, struct key_family *f,
                                   enum rotation_type type)
{
    if (type == ROTATION_ON_DEMAND && f->of[f->primary]->on_demand_start == 0)
        return KMS_FAIL(w->err, KMS_E_KEY_STATE, "nothing was asked for");
    if (type == ROTATION_AUTOMATIC && !key_automatic_due(f->of[f->primary], w->now))
        return KMS_FAIL(w->err, KMS_E_KEY_STATE, "none is due");
    if (f->of[0]->origin == ORIGIN_AWS_KMS)
        generate(w, f);
    (void)family_rotation_complete(f, w->now, type);
    return KMS_OK;
}

static enum kms_status do_expire(struct relatives *w, struct key_family *f)
{
    struct key_record         *named = f->of[f->named];
    const struct key_material *m = key_expired_material(named, w->now);

    if (m == NULL)
        return KMS_FAIL(w->err, KMS_E_KEY_STATE, "nothing has expired");
    struct material_id id = m->id;
    erase(w, &m->sealed);
    key_material_expired(named, &id);
    return KMS_OK;
}

static enum kms_status do_lose(struct relatives *w, struct key_family *f, char name)
{
    struct material_id         id = fixture_material_id(name);
    const struct key_material *m = key_record_material(f->of[f->named], &id);

    if (m == NULL || m->sealed.wrapped.len == 0)
        return KMS_FAIL(w->err, KMS_E_NOT_FOUND, "it has no slot");
    erase(w, &m->sealed);
    family_material_lost(f, f->named, &id, w->now);
    return KMS_OK;
}

static enum kms_status do_replicate(struct relatives *w, struct key_family *f, const char *word)
{
    size_t region = region_of(word[1]);

    if (w->of[region] != NULL || f->named != f->primary)
        return KMS_FAIL(w->err, KMS_E_ALREADY_EXISTS, "there is one");
    struct key_record *replica = fixture_key(region_names[region], 1, ORIGIN_AWS_KMS);
    size_t             at = family_replicated(f, replica, w->now, w->now + RELATIVES_SETTLE_MS);
    assert_ptr_equal(f->of[at], replica);
    for (size_t i = 0; replica->origin == ORIGIN_AWS_KMS && i < replica->n_materials; i++) {
        replica->materials[i].present = true; /* as vault_copy_material */
        replica->materials[i].sealed = fixture_sealed(replica->arena, ++w->slots);
    }
    return KMS_OK;
}

static enum kms_status do_promote(struct relatives *w, struct key_family *f, const char *word)
{
    const uint32_t fit = KEY_IN(KEY_ENABLED);
    size_t         region = region_of(word[1]);

    if (w->of[region] == NULL || f->named != f->primary)
        return KMS_FAIL(w->err, KMS_E_VALIDATION, "no replica there");
    for (size_t i = 0; i < f->n; i++) {
        if (!bytes_eq_str(f->of[i]->name.region, region_names[region]))
            continue;
        TRY(key_state_check(f->of[i], key_state_at(f->of[i], w->now), fit, w->err));
        family_promote(f, i, w->now + RELATIVES_SETTLE_MS);
        return KMS_OK;
    }
    fail_msg("a relative is missing");
    return KMS_E_INTERNAL;
}

/* The rows of a key that goes: the tombstones of all that it had. */
static enum kms_status do_leave(struct relatives *w, struct key_family *f)
{
    const struct key_record *named = f->of[f->named];

    if (!key_gone(named, w->now))
        return KMS_FAIL(w->err, KMS_E_KEY_STATE, "its window has not ended");
    for (size_t i = 0; i < named->n_materials; i++)
        erase(w, &named->materials[i].sealed);
    family_left(f, w->now);
    return KMS_OK;
}

static uint32_t states_of(char word)
{
    const uint32_t import = KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED) | KEY_IN(KEY_PENDING_IMPORT);

    switch (word) {
    case '-': return import | STATES_PENDING_DELETION;
    case 'd':
    case 'e': return KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED);
    case 's': return import | KEY_IN(KEY_CREATING);
    case 'u': return STATES_PENDING_DELETION;
    case 'r':
    case 'R':
    case 'P': return KEY_IN(KEY_ENABLED);
    case 'a':
    case 'c':
    case 'x':
    case '?':
    case 'X': return STATES_ALL;
    default:  return import | KEY_IN(KEY_UPDATING);
    }
}

static enum kms_status do_word(struct relatives *w, struct key_family *f, const char *word)
{
    struct key_record *named = f->of[f->named];

    TRY(key_state_check(named, key_state_at(named, w->now), states_of(*word), w->err));
    if (named->origin != ORIGIN_EXTERNAL && strchr("-?ABCD", *word) != NULL)
        return KMS_FAIL(w->err, KMS_E_UNSUPPORTED, "the origin");
    switch (*word) {
    case 'd': key_disable(named); return KMS_OK;
    case 'e': key_enable(named); return KMS_OK;
    case 's': key_schedule_deletion(named, w->now, 7); return KMS_OK;
    case 'u': key_cancel_deletion(named, w->now); return KMS_OK;
    case 'r': return family_rotation_request(f, w->now, w->err);
    case 'c': return do_complete(w, f, ROTATION_ON_DEMAND);
    case 'a': return do_complete(w, f, ROTATION_AUTOMATIC);
    case 'x': return do_expire(w, f);
    case '?': return do_lose(w, f, word[1]);
    case 'R': return do_replicate(w, f, word);
    case 'P': return do_promote(w, f, word);
    case 'X': return do_leave(w, f);
    case '-': return do_delete(w, f, word);
    default:  return do_import(w, f, word);
    }
}

size_t relatives_list(const struct relatives *w, const struct key_record **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < RELATIVES_MAX; i++) {
        if (w->of[by_name[i]] != NULL)
            ret[n++] = w->of[by_name[i]];
    }
    return n;
}

void relatives_publish(struct relatives *w, struct key_family *f, bool leaves)
{
    for (size_t i = 0; i < f->n; i++) {
        for (size_t r = 0; r < RELATIVES_MAX; r++) {
            if (!bytes_eq_str(f->of[i]->name.region, region_names[r]))
                continue;
            key_record_free(w->of[r]);
            w->of[r] = NULL;
            if (!leaves || i != f->named) {
                w->of[r] = f->of[i];
                f->of[i] = NULL;
            }
            break;
        }
    }
}

static size_t primary_place(const struct relatives *w)
{
    const struct key_record *primary = relatives_primary(w);
    size_t                   at = 0;

    while (w->of[at] != primary)
        at++;
    return at;
}

enum kms_status relatives_step(struct relatives *w, const char *word)
{
    const struct key_record *list[RELATIVES_MAX];
    struct key_family        f;
    struct relatives         before = *w;

    w->n_erased = 0;
    kms_error_clear(w->err);
    if (*word == '+') {
        w->now += strtol(word + 1, NULL, 10) * 1000;
        return KMS_OK;
    }
    size_t region = *word == 'c' ? primary_place(w) : region_of(*word++);
    if (w->of[region] == NULL)
        return KMS_FAIL(w->err, KMS_E_NOT_FOUND, "no key there");
    size_t n = relatives_list(w, list);
    assert_true(family_clone(list, n, w->of[region], w->now, &f));
    enum kms_status status = do_word(w, &f, word);
    if (status == KMS_OK) { /* the old records are needed once more */
        for (size_t i = 0; i < RELATIVES_MAX; i++) {
            before.of[i] = w->of[i] == NULL ? NULL : key_record_clone(w->of[i]);
            assert_true(w->of[i] == NULL || before.of[i] != NULL);
        }
        relatives_publish(w, &f, *word == 'X');
        for (size_t i = 0; i < RELATIVES_MAX; i++)
            assert_erased(w, before.of[i], word);
        relatives_end(&before);
    }
    family_release(&f);
    relatives_check(w, word);
    return status;
}

/* All words; every one must succeed, but the last and those after a '~'. */
enum kms_status relatives_run(struct relatives *w, const char *words)
{
    enum kms_status status = KMS_OK;

    while (*words != '\0') {
        bool refused = *words == '~';
        words += refused;
        const char *next = words + strcspn(words, " ");
        status = relatives_step(w, words);
        if (*next == ' ' && (status != KMS_OK) != refused)
            fail_msg("'%.*s' came to %s: %s", (int)(next - words), words, kms_status_word(status),
                     w->err->message);
        words = *next == ' ' ? next + 1 : next;
    }
    return status;
}
