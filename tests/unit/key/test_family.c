/* tests/unit/key/test_family.c - a key and its relatives as short words (life.h), each with the letter of
 * the Region in front that it is said in: e us-east-1, where it was created, w us-west-2, a ap-east-1.
 *
 *   eA eA! eA@10 eA"text e- e-A ed ee es eu er ea ex   as in life.h
 *   c         the rotation that was asked for completes      +10   10 seconds pass
 *   eRw       ReplicateKey to us-west-2                      ePw   UpdatePrimaryRegion to us-west-2
 *   wX        the end of the deletion window in us-west-2
 *
 * After every word the invariants of family.h hold, and each sealed form that is no longer named was handed
 * out for erasing.
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
#include "key/family.h"
#include "life.h"

enum { REGIONS = 3, TEXT_MAX = 8000, SETTLING_MS = 1000, SEALED_MAX = 32 };

static const char *const region_names[REGIONS] = { "us-east-1", "us-west-2", "ap-east-1" };
static const char        region_letters[] = "ewa";
static const size_t      by_name[REGIONS] = { 2, 0, 1 };

struct world {
    struct key_record *of[REGIONS]; /* NULL: not there */
    int64_t            now;
    uint32_t           slots;
    uint32_t           erased[SEALED_MAX]; /* by the last word */
    size_t             n_erased;
    bool               had;
    struct kms_error  *err;
};

static size_t region_of(char letter)
{
    const char *at = strchr(region_letters, letter);

    assert_true(letter != '\0' && at != NULL);
    return (size_t)(at - region_letters);
}

static void world_begin(struct world *w, enum key_origin origin, struct kms_error *err)
{
    struct life life;

    *w = (struct world){ .err = err };
    life_begin(&life, origin, REGION_PRIMARY, err);
    w->of[0] = life.key;
    w->now = life.now;
    w->slots = life.slots + 1000;
    w->of[0]->primary_region = arena_copy(w->of[0]->arena, bytes_str(region_names[0]));
    key_record_add_region(w->of[0], bytes_str(region_names[0]));
    kms_error_clear(err);
}

static void world_end(struct world *w)
{
    for (size_t i = 0; i < REGIONS; i++)
        key_record_freep(&w->of[i]);
}

/* Regions in the order e, w, a. */
static void print(const struct world *w, struct buf *out)
{
    for (size_t i = 0; i < REGIONS; i++) {
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

static const struct key_record *primary_of(const struct world *w)
{
    const struct key_record *primary = NULL;

    for (size_t i = 0; i < REGIONS; i++) {
        if (w->of[i] != NULL && w->of[i]->multi_region == REGION_PRIMARY) {
            assert_null(primary); /* I1 */
            primary = w->of[i];
        }
    }
    return primary;
}

static void assert_invariants(const struct world *w, const char *word)
{
    const struct key_record        *primary = primary_of(w);
    CLEANUP(buf_release) struct buf regions = BUF_INIT(200);

    for (size_t i = 0; i < REGIONS; i++) {
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
        for (size_t i = 0; i < REGIONS; i++)
            everywhere = everywhere && (w->of[i] == NULL || w->of[i]->materials[m].present);
        if ((role == MATERIAL_PENDING_ROTATION && !everywhere) ||
            (role == MATERIAL_PENDING_MULTI_REGION && everywhere))
            fail_msg("I2: after '%s' a material is %s", word, material_role_name(role));
    }
}

static bool names_slot(const struct world *w, uint32_t slot)
{
    for (size_t i = 0; i < REGIONS; i++) {
        for (size_t m = 0; w->of[i] != NULL && m < w->of[i]->n_materials; m++) {
            const struct sealed *s = &w->of[i]->materials[m].sealed;
            if (s->wrapped.len > 0 && s->slot == slot)
                return true;
        }
    }
    return false;
}

static void assert_erased(const struct world *w, const struct key_record *before, const char *word)
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

static void erase(struct world *w, const struct sealed *s)
{
    if (s->wrapped.len == 0)
        return;
    assert_true(w->n_erased < SEALED_MAX);
    w->erased[w->n_erased++] = s->slot;
}

static enum kms_status do_import(struct world *w, struct key_family *f, const char *word)
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

static enum kms_status do_delete(struct world *w, struct key_family *f, const char *word)
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
static void generate(struct world *w, struct key_family *f)
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

static enum kms_status do_complete(struct world *w, struct key_family *f, enum rotation_type type)
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

static enum kms_status do_expire(struct world *w, struct key_family *f)
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

static enum kms_status do_replicate(struct world *w, struct key_family *f, const char *word)
{
    size_t region = region_of(word[1]);

    if (w->of[region] != NULL || f->named != f->primary)
        return KMS_FAIL(w->err, KMS_E_ALREADY_EXISTS, "there is one");
    struct key_record *replica = fixture_key(region_names[region], 1, ORIGIN_AWS_KMS);
    size_t             at = family_replicated(f, replica, w->now, w->now + SETTLING_MS);
    assert_ptr_equal(f->of[at], replica);
    for (size_t i = 0; replica->origin == ORIGIN_AWS_KMS && i < replica->n_materials; i++) {
        replica->materials[i].present = true; /* as vault_copy_material */
        replica->materials[i].sealed = fixture_sealed(replica->arena, ++w->slots);
    }
    return KMS_OK;
}

static enum kms_status do_promote(struct world *w, struct key_family *f, const char *word)
{
    const uint32_t fit = KEY_IN(KEY_ENABLED);
    size_t         region = region_of(word[1]);

    if (w->of[region] == NULL || f->named != f->primary)
        return KMS_FAIL(w->err, KMS_E_VALIDATION, "no replica there");
    for (size_t i = 0; i < f->n; i++) {
        if (!bytes_eq_str(f->of[i]->name.region, region_names[region]))
            continue;
        TRY(key_state_check(f->of[i], key_state_at(f->of[i], w->now), fit, w->err));
        family_promote(f, i, w->now + SETTLING_MS);
        return KMS_OK;
    }
    fail_msg("a relative is missing");
    return KMS_E_INTERNAL;
}

/* The rows of a key that goes: the tombstones of all that it had. */
static enum kms_status do_leave(struct world *w, struct key_family *f)
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
    case 'X': return STATES_ALL;
    default:  return import | KEY_IN(KEY_UPDATING);
    }
}

static enum kms_status do_word(struct world *w, struct key_family *f, const char *word)
{
    struct key_record *named = f->of[f->named];

    TRY(key_state_check(named, key_state_at(named, w->now), states_of(*word), w->err));
    if (named->origin != ORIGIN_EXTERNAL && strchr("-ABCD", *word) != NULL)
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
    case 'R': return do_replicate(w, f, word);
    case 'P': return do_promote(w, f, word);
    case 'X': return do_leave(w, f);
    case '-': return do_delete(w, f, word);
    default:  return do_import(w, f, word);
    }
}

static size_t relatives(const struct world *w, const struct key_record **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < REGIONS; i++) {
        if (w->of[by_name[i]] != NULL)
            ret[n++] = w->of[by_name[i]];
    }
    return n;
}

static void publish(struct world *w, struct key_family *f, bool leaves)
{
    for (size_t i = 0; i < f->n; i++) {
        for (size_t r = 0; r < REGIONS; r++) {
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

static size_t primary_place(const struct world *w)
{
    const struct key_record *primary = primary_of(w);
    size_t                   at = 0;

    while (w->of[at] != primary)
        at++;
    return at;
}

static enum kms_status step(struct world *w, const char *word)
{
    const struct key_record *list[REGIONS];
    struct key_family        f;
    struct world             before = *w;

    w->n_erased = 0;
    kms_error_clear(w->err);
    if (*word == '+') {
        w->now += strtol(word + 1, NULL, 10) * 1000;
        return KMS_OK;
    }
    size_t region = *word == 'c' ? primary_place(w) : region_of(*word++);
    if (w->of[region] == NULL)
        return KMS_FAIL(w->err, KMS_E_NOT_FOUND, "no key there");
    size_t n = relatives(w, list);
    assert_true(family_clone(list, n, w->of[region], w->now, &f));
    enum kms_status status = do_word(w, &f, word);
    if (status == KMS_OK) { /* the old records are needed once more */
        for (size_t i = 0; i < REGIONS; i++) {
            before.of[i] = w->of[i] == NULL ? NULL : key_record_clone(w->of[i]);
            assert_true(w->of[i] == NULL || before.of[i] != NULL);
        }
        publish(w, &f, *word == 'X');
        for (size_t i = 0; i < REGIONS; i++)
            assert_erased(w, before.of[i], word);
        world_end(&before);
    }
    family_release(&f);
    assert_invariants(w, word);
    return status;
}

/* All words; every one must succeed, but the last and those after a '~'. */
static enum kms_status run_words(struct world *w, const char *words)
{
    enum kms_status status = KMS_OK;

    while (*words != '\0') {
        bool refused = *words == '~';
        words += refused;
        const char *next = words + strcspn(words, " ");
        status = step(w, words);
        if (*next == ' ' && (status != KMS_OK) != refused)
            fail_msg("'%.*s' came to %s: %s", (int)(next - words), words, kms_status_word(status),
                     w->err->message);
        words = *next == ' ' ? next + 1 : next;
    }
    return status;
}

/* --- the rules -------------------------------------------------------------------------------- */

struct rule {
    const char     *name;
    const char     *words;
    enum kms_status status;  /* of the last word */
    const char     *message; /* <arn> is that of us-east-1 */
    const char     *after;
};

#define LACKING                                                                                     \
    "Cannot perform key material rotation: Key material has not been imported for replicas of the " \
    "Multi-Region key."
#define UNEXPECTED(id) "Imported key material does not have the expected identifier (" id ")."
#define MULTI          "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"

static const struct rule imported[] = {
    /* clang-format off */
    { "R45, G2: a primary without material is not replicated", "eRw", KMS_E_KEY_STATE, "<arn> is pending import.",
      "PendingImport" },
    { "R45: Creating first",        "eA eRw",          KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | Creating [A CURRENT PENDING_IMPORT]" },
    { "R45, R46, G6, G7: then PendingImport, with the primary's list", "eA\"first eRw +1", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP \"first\"] | PendingImport [A CURRENT PENDING_IMPORT \"first\"]" },
    { "6.2 step 8: the primary's state comes first", "eA eRw ed eRw", KMS_E_DISABLED, "<arn> is disabled.",
      "Disabled [A CURRENT IMPORTED NOEXP] | Creating [A CURRENT PENDING_IMPORT]" },
    { "R22, G9: other material",    "eA eRw +1 wB",    KMS_E_INCORRECT_MATERIAL, UNEXPECTED("<A>"),
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R46, I7: its own import and expiry", "eA eRw +1 wA@9", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED EXP 10]" },
    { "R43, G13, G14",              "eA eRw +1 eB!",   KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R43 without replicas",       "eA eB!",          KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R43: every replica has it",  "eA eRw eRa +1 eB! wB aB", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R43: one of two lacks it",   "eA eRw eRa +1 eB! wB", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R43 chosen: a replica comes while one is pending", "eA eB! eRw +1", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R43 chosen: the one that lacked it goes", "eA eB! eRw +1 ws +604800 wX", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R44, G15",                   "eA eRw +1 eB! er", KMS_E_KEY_STATE, LACKING,
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R44, G27, G30: only the pending one is looked at", "eA eRw +1 eB! wB er +30 c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 31] | "
      "PendingImport [A NON_CURRENT PENDING_IMPORT] [B CURRENT IMPORTED NOEXP rot 31]" },
    { "R20 on a family",            "eA eRw +1 eB! eC!", KMS_E_KEY_STATE,
      "New key material (id: <C>) cannot be imported into KMS key <arn>, because another key material (id: <B>) is "
      "pending rotation.",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R23, G22: the pending one on a replica, whatever else is missing", "eA eRw +1 eB! wB", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R23, G34: a NON_CURRENT one on a replica", "eA eRw +1 eB! wB er c wA", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 1] | "
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 1]" },
    { "R24: a new description is everybody's", "eA\"one eRw +1 eA\"two", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP \"two\"] | PendingImport [A CURRENT PENDING_IMPORT \"two\"]" },
    { "R47, G20, G21: never imported on the replica", "eA eRw +1 eB! w-B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R47 (I2): the replica gives it up", "eA eRw +1 eB! wB w-B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "R47, G23, G24: the primary's deletion is everybody's", "eA eRw +1 eB! wB e-B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R17, G25, G26: staged again", "eA eRw +1 eB! wB e-B eB! wB", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R48, I10 to I19",            "eA eRw +1 wA eB! wB er w-B +48 c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 49] | "
      "PendingImport [A NON_CURRENT IMPORTED NOEXP] [B CURRENT PENDING_IMPORT rot 49]" },
    { "R48, I21",                   "eA eRw +1 wA eB! wB er w-B +48 c wB", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 49] | "
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 49]" },
    { "R40 on a family: nothing is pending any more", "eA eRw +1 wA eB! wB er e-B c", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R40 on a family: the replacement, which the replica lacks", "eA eRw +1 wA eB! wB er e-B eC! c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [C CURRENT IMPORTED NOEXP rot 1] | "
      "PendingImport [A NON_CURRENT IMPORTED NOEXP] [C CURRENT PENDING_IMPORT rot 1]" },
    { "R49, G31 to G33: loss on the replica", "eA eRw +1 wA w-", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R49: loss on the primary",   "eA eRw +1 wA e-", KMS_OK, "",
      "PendingImport [A CURRENT PENDING_IMPORT] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R49, G37, G38: expiry on the primary", "eA@10 eRw +1 wA +9 ex", KMS_OK, "",
      "PendingImport [A CURRENT IMPORTED EXP 10] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R49: expiry on a replica",   "eA eRw +1 wA@9 +9 wx", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R49: states are per Region (6.3 step 13)", "eA eRw +1 wA ed", KMS_OK, "",
      "Disabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R39 on a family: expired in one Region when it is rotated in", "eA eRw +1 wA eB! wB@5 +10 er c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 11] | "
      "PendingImport [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED EXP 6 rot 11]" },

    { "6.8 rule 6: both are Updating", "eA eRw +1 wA ePw", KMS_OK, "",
      "Updating [A CURRENT IMPORTED NOEXP] | Updating [A CURRENT IMPORTED NOEXP]" },
    { "6.8 rule 6: for a while",    "eA eRw +1 wA ePw +1", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "5: Updating ends at once where a material is missing", "eA@3 eRw +2 wA ePw +1", KMS_OK, "",
      "PendingImport [A CURRENT IMPORTED EXP 3] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "6.8 rule 4: it is the primary already", "eA ePe", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "6.8 rule 5: the replica's state is asked, too", "eA eRw +1 ePw", KMS_E_KEY_STATE, "<west> is pending import.",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "after a change of roles the new primary decides (R47)", "eA eRw +1 wA ePw +1 wB! eB w-B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED NOEXP]" },
    { "after a change of roles the old one is a replica (R9)", "eA eRw +1 wA ePw +1 eB!", KMS_E_VALIDATION, NULL,
      "Enabled [A CURRENT IMPORTED NOEXP] | Enabled [A CURRENT IMPORTED NOEXP]" },

    { "6.6 step 1, 9.2: a primary with replicas waits", "eA eRw +1 es", KMS_OK, "",
      "PendingReplicaDeletion [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "6.6 step 4: cancelled",      "eA eRw +1 es eu", KMS_OK, "",
      "Disabled [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "6.6 step 4, R36: cancelled, material missing", "eA eRw +1 e- es eu", KMS_OK, "",
      "PendingImport [A CURRENT PENDING_IMPORT] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "6.6 step 5: a replica does not wait", "eA eRw +1 ws", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingDeletion [A CURRENT PENDING_IMPORT]" },
    { "9.2 twice",                  "eA eRw +1 es es", KMS_E_KEY_STATE, "<arn> is pending replica deletion.",
      "PendingReplicaDeletion [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "6.8 rule 13: not while one replica is left", "eA eRw eRa +1 es ws +604800 wX", KMS_OK, "",
      "PendingReplicaDeletion [A CURRENT IMPORTED NOEXP] | PendingImport [A CURRENT PENDING_IMPORT]" },
    { "6.8 rule 13: the window begins when the last one is gone", "eA eRw +1 es ws +604800 wX", KMS_OK, "",
      "PendingDeletion [A CURRENT IMPORTED NOEXP]" },
    { "6.8 rule 13: not before",    "eA eRw +1 es ws +604800 eX", KMS_E_KEY_STATE, NULL,
      "PendingReplicaDeletion [A CURRENT IMPORTED NOEXP] | PendingDeletion [A CURRENT PENDING_IMPORT]" },
    { "6.8 rule 13: then it ends",  "eA eRw +1 es ws +604800 wX +604800 eX", KMS_OK, "", "" },
    { "a replica goes, the primary lives on", "eA eRw +1 ws +604800 wX", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "5.1: a replica that is Creating may be deleted", "eA eRw ws", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] | PendingDeletion [A CURRENT PENDING_IMPORT]" },
    { "R42 on a family: it completes while the primary waits for its replicas",
      "eA eRw +1 eB! wB er es c", KMS_OK, "",
      "PendingReplicaDeletion [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 1] | "
      "PendingImport [A NON_CURRENT PENDING_IMPORT] [B CURRENT IMPORTED NOEXP rot 1]" },
    /* clang-format on */
};

static const struct rule generated[] = {
    /* clang-format off */
    { "6.2 step 5",                 "eRw",             KMS_OK, "", "Enabled [A CURRENT] | Creating [A CURRENT]" },
    { "6.3 step 4",                 "eRw +1",          KMS_OK, "", "Enabled [A CURRENT] | Enabled [A CURRENT]" },
    { "6.5: all rotate",            "eRw eRa +1 er +460 c", KMS_OK, "",
      "Enabled [A NON_CURRENT] [B CURRENT rot 461] | Enabled [A NON_CURRENT] [B CURRENT rot 461] | "
      "Enabled [A NON_CURRENT] [B CURRENT rot 461]" },
    { "6.5: a replica gets all that there was", "er c er c eRw +1", KMS_OK, "",
      "Enabled [A NON_CURRENT] [B NON_CURRENT rot 0] [C CURRENT rot 0] | "
      "Enabled [A NON_CURRENT] [B NON_CURRENT rot 0] [C CURRENT rot 0]" },
    { "R42: also a Disabled replica and one that is being deleted", "eRw eRa +1 er wd as c", KMS_OK, "",
      "Enabled [A NON_CURRENT] [B CURRENT rot 1] | Disabled [A NON_CURRENT] [B CURRENT rot 1] | "
      "PendingDeletion [A NON_CURRENT] [B CURRENT rot 1]" },
    { "R42: also one that is Creating", "er eRw c",    KMS_OK, "",
      "Enabled [A NON_CURRENT] [B CURRENT rot 0] | Creating [A NON_CURRENT] [B CURRENT rot 0]" },
    { "6.4 step 11: a Disabled primary stays", "eRw +1 ed wd ePw", KMS_E_DISABLED, "<arn> is disabled.",
      "Disabled [A CURRENT] | Disabled [A CURRENT]" },
    { "6.4 step 12: a Disabled replica is not promoted", "eRw +1 wd ePw", KMS_E_DISABLED, "<west> is disabled.",
      "Enabled [A CURRENT] | Disabled [A CURRENT]" },
    { "6.4 step 13: nor one that is being deleted", "eRw +1 ws ePw", KMS_E_KEY_STATE, "<west> is pending deletion.",
      "Enabled [A CURRENT] | PendingDeletion [A CURRENT]" },
    { "a change of roles during a rotation", "eRw +1 er ePw c +1", KMS_OK, "",
      "Enabled [A NON_CURRENT] [B CURRENT rot 1] | Enabled [A NON_CURRENT] [B CURRENT rot 1]" },
    /* clang-format on */
};

static void expand(const struct world *w, const char *text, struct buf *out)
{
    struct life east = { .key = w->of[0] };
    const char *west = strstr(text, "<west>");

    if (west != NULL) {
        buf_add(out, w->of[1]->name.arn);
        buf_add_str(out, west + strlen("<west>"));
        return;
    }
    life_expand(&east, text, out);
}

static void run_rule(const struct rule *r, enum key_origin origin)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(TEXT_MAX);
    CLEANUP(buf_release) struct buf want = BUF_INIT(TEXT_MAX);
    struct kms_error                err;
    struct world                    w;

    world_begin(&w, origin, &err);
    enum kms_status status = run_words(&w, r->words);
    if (status != r->status)
        fail_msg("%s: '%s' came to %s: %s", r->name, r->words, kms_status_word(status),
                 err.message);
    if (status != KMS_OK && r->message != NULL) {
        expand(&w, r->message, &want);
        if (!bytes_eq(buf_bytes(&want), bytes_of(err.message, err.message_len)))
            fail_msg("%s: '%s' says\n%s", r->name, r->words, err.message);
    }
    print(&w, &got);
    if (!bytes_eq_str(buf_bytes(&got), r->after))
        fail_msg("%s: '%s' leaves\n%.*s", r->name, r->words, BYTES_FMT(buf_bytes(&got)));
    world_end(&w);
}

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(imported); i++)
        run_rule(&imported[i], ORIGIN_EXTERNAL);
    for (size_t i = 0; i < ARRAY_LEN(generated); i++)
        run_rule(&generated[i], ORIGIN_AWS_KMS);
}

/* --- what words cannot show ------------------------------------------------------------------- */

static const int64_t day_ms = 24 * 60 * 60 * 1000;

/* The family of a world, to be edited by hand; `finish` publishes it. */
static struct key_family edit(struct world *w, size_t region)
{
    const struct key_record *list[REGIONS];
    struct key_family        f;
    size_t                   n = relatives(w, list);

    assert_true(family_clone(list, n, w->of[region], w->now, &f));
    return f;
}

static void finish(struct world *w, struct key_family *f)
{
    publish(w, f, false);
    family_release(f);
    assert_invariants(w, "by hand");
}

/* 6.8 rules 1 and 9, R50 to R52, kms-behaviour 8 */
static void test_the_switch_is_shared(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw +1"), KMS_OK);
    struct key_family f = edit(&w, 0);
    family_rotation_enable(&f, w.now, true, 90);
    finish(&w, &f);
    int64_t next = w.now + 90 * day_ms;
    assert_true(w.of[1]->rotation_enabled && w.of[1]->rotation_period_days == 90);
    assert_true(w.of[1]->next_rotation == next);

    /* only the primary drives */
    assert_true(key_next_event(w.of[0], 0) == next && key_next_event(w.of[1], 0) == INT64_MAX);
    assert_true(key_automatic_due(w.of[0], next) && !key_automatic_due(w.of[1], next));
    assert_false(key_automatic_due(w.of[0], next - 1));

    /* 6.4 step 9: still on after a change of roles, and the other one drives */
    assert_int_equal(run_words(&w, "ePw"), KMS_OK);
    assert_true(key_next_event(w.of[0], 0) == INT64_MAX && key_next_event(w.of[1], 0) == next);
    /* a Disabled primary waits, a Disabled replica is not asked */
    assert_int_equal(run_words(&w, "+1 wd"), KMS_OK);
    assert_true(key_next_event(w.of[1], 0) == INT64_MAX && !key_automatic_due(w.of[1], next));
    assert_int_equal(run_words(&w, "we ed"), KMS_OK);
    w.now = next + 5;
    assert_int_equal(run_words(&w, "wa"), KMS_OK);
    assert_true(w.of[0]->next_rotation == w.now + 90 * day_ms); /* R50: from the rotation on */
    assert_int_equal(w.of[0]->materials[1].rotation_type, ROTATION_AUTOMATIC);
    assert_int_equal(w.of[0]->on_demand_count, 0);
    assert_int_equal(w.of[0]->state, KEY_DISABLED);

    f = edit(&w, 1);
    family_rotation_disable(&f);
    finish(&w, &f);
    assert_true(!w.of[0]->rotation_enabled && w.of[0]->next_rotation == 0);
    world_end(&w);
}

/* kms-behaviour 8: while Updating the key is not Enabled, so it rotates right after */
static void test_an_updating_primary_rotates_afterwards(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw +1"), KMS_OK);
    struct key_family f = edit(&w, 0);
    family_rotation_enable(&f, w.now, true, 90);
    finish(&w, &f);
    int64_t next = w.of[0]->next_rotation;
    w.now = next - 1;
    assert_int_equal(run_words(&w, "ePw"), KMS_OK);
    assert_false(key_automatic_due(w.of[1], next));
    assert_true(key_next_event(w.of[1], 0) == next - 1 + SETTLING_MS);
    assert_true(key_automatic_due(w.of[1], next - 1 + SETTLING_MS));
    world_end(&w);
}

/* kms-behaviour 3, 8: ConflictException within 20 minutes of an automatic rotation */
static void test_a_request_just_before_an_automatic_rotation(void **state)
{
    static const char *const text = "An automatic rotation of the key is in progress or due within "
                                    "20 minutes: <arn>";
    const int64_t                   minute = 60 * 1000;
    CLEANUP(buf_release) struct buf want = BUF_INIT(TEXT_MAX);
    struct kms_error                err;
    struct world                    w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw +1"), KMS_OK);
    struct key_family f = edit(&w, 0);
    family_rotation_enable(&f, w.now, true, 90);
    finish(&w, &f);
    int64_t next = w.of[0]->next_rotation;
    w.now = next - 20 * minute;
    assert_int_equal(run_words(&w, "er"), KMS_E_CONFLICT);
    expand(&w, text, &want);
    assert_true(bytes_eq(buf_bytes(&want), bytes_of(err.message, err.message_len)));
    w.now = next + 1;
    assert_int_equal(run_words(&w, "er"), KMS_E_CONFLICT);
    w.now = next - 20 * minute - 1;
    assert_int_equal(run_words(&w, "er"), KMS_OK);
    w.now = next; /* the second request of one in progress is no conflict (J27) */
    assert_int_equal(run_words(&w, "er"), KMS_OK);
    world_end(&w);
}

/* R42, kms-behaviour 8: 25 in the whole family */
static void test_the_limit_is_the_family_s(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    for (int i = 0; i < 12; i++)
        assert_int_equal(run_words(&w, "er c"), KMS_OK);
    assert_int_equal(run_words(&w, "eRw +1 ePw +1"), KMS_OK);
    for (int i = 12; i < 25; i++)
        assert_int_equal(run_words(&w, "wr c"), KMS_OK);
    assert_int_equal(run_words(&w, "wr"), KMS_E_LIMIT);
    assert_int_equal(w.of[0]->n_materials, 26);
    world_end(&w);
}

static void test_only_the_primary_s_request_falls_due(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw +1 er"), KMS_OK);
    assert_true(w.of[1]->on_demand_start == w.now);
    assert_true(key_on_demand_due(w.of[0], w.now + 5, 5) &&
                !key_on_demand_due(w.of[1], w.now + 5, 5));
    assert_true(key_next_event(w.of[0], 5) == w.now + 5);
    assert_true(key_next_event(w.of[1], 5) == INT64_MAX);
    world_end(&w);
}

/* 6.6, 6.8 rule 13 */
static void test_dates_of_a_deletion(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw +1 es"), KMS_OK);
    assert_true(w.of[0]->deletion_date == 0 && w.of[0]->pending_window_days == 7);
    assert_true(key_next_event(w.of[0], 0) == INT64_MAX && !key_gone(w.of[0], INT64_MAX));
    assert_int_equal(run_words(&w, "eu es +5 ws"), KMS_OK);
    assert_true(w.of[1]->deletion_date == w.now + 7 * day_ms);
    w.now = w.of[1]->deletion_date + 48 * 60 * 60 * 1000; /* the replica goes late, as recorded */
    assert_int_equal(run_words(&w, "wX"), KMS_OK);
    assert_true(w.of[0]->deletion_date == w.now + 7 * day_ms);
    assert_true(key_next_event(w.of[0], 0) == w.of[0]->deletion_date);
    assert_int_equal(run_words(&w, "eu"), KMS_OK);
    assert_true(w.of[0]->deletion_date == 0 && w.of[0]->pending_window_days == 0);
    world_end(&w);
}

/* Creating and Updating end by themselves, and are written down with the next edit. */
static void test_settling(void **state)
{
    struct kms_error err;
    struct world     w;

    (void)state;
    world_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(run_words(&w, "eRw"), KMS_OK);
    assert_int_equal(key_state_at(w.of[1], w.now + SETTLING_MS - 1), KEY_CREATING);
    assert_int_equal(key_state_at(w.of[1], w.now + SETTLING_MS), KEY_ENABLED);
    assert_true(w.of[1]->created == w.now && w.of[1]->version == 1);
    key_settle(w.of[1], w.now + SETTLING_MS - 1);
    assert_int_equal(w.of[1]->state, KEY_CREATING);
    w.now += SETTLING_MS;
    struct key_family f = edit(&w, 0);
    assert_int_equal(f.of[1]->state, KEY_ENABLED);
    assert_true(f.of[1]->settles == 0 && f.of[1]->version == 2);
    assert_true(f.named == 0 && f.primary == 0);
    finish(&w, &f);
    world_end(&w);
}

static void test_a_single_key_is_a_family_of_one(void **state)
{
    const struct key_record *list[1];
    struct kms_error         err;
    struct life              life;
    struct key_family        f;

    (void)state;
    life_begin(&life, ORIGIN_EXTERNAL, REGION_SINGLE, &err);
    assert_int_equal(life_run(&life, "A B!"), KMS_OK);
    list[0] = life.key;
    assert_true(family_clone(list, 1, life.key, life.now, &f));
    assert_true(f.n == 1 && f.named == 0 && f.primary == 0);
    assert_int_equal(family_rotation_request(&f, life.now, &err), KMS_OK);
    assert_true(family_rotation_complete(&f, life.now, ROTATION_ON_DEMAND));
    assert_int_equal(f.of[0]->materials[1].role, MATERIAL_CURRENT);
    assert_int_equal(f.of[0]->version, life.key->version + 1);
    family_left(&f, life.now); /* nobody is left behind */
    family_release(&f);
    life_end(&life);
}

/* --- random lives ----------------------------------------------------------------------------- */

static const char *const words[] = {
    "eA",  "eA!", "eA@9", "eB",   "eB!", "eB!@9", "eB\"x", "eC!", "eD!",  "wA",  "wA@9", "wB",
    "wB!", "wB@9", "wC",  "wD",   "aA",  "aB",    "aC",    "aB!", "aC!",  "wC!", "e-",   "e-A",
    "e-B", "e-C", "w-",   "w-A",  "w-B", "w-C",   "a-",    "a-B", "a-C",  "ed",  "wd",   "ee",
    "we",  "ae",  "er",   "wr",   "c",   "c",     "ea",    "eRw", "eRa",  "wRe", "wRa",  "ePw",
    "ePa", "wPe", "wPa",  "aPe",  "aPw", "es",    "ws",    "as",  "eu",   "wu",  "au",   "eu",
    "wu",  "au",  "ex",   "wx",   "ax",  "eX",    "wX",    "aX",  "+1",   "+1",  "+5",   "+700000",
};

enum { LIVES = 300, WORDS = 400 };

static uint32_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void random_life(uint64_t *seed, enum key_origin origin, size_t done[ARRAY_LEN(words)])
{
    struct kms_error err;
    struct world     w;

    world_begin(&w, origin, &err);
    for (int i = 0; i < WORDS && primary_of(&w) != NULL; i++) {
        CLEANUP(buf_release) struct buf before = BUF_INIT(TEXT_MAX);
        CLEANUP(buf_release) struct buf after = BUF_INIT(TEXT_MAX);
        size_t                          at = draw(seed) % ARRAY_LEN(words);
        print(&w, &before);
        if (w.of[0] != NULL && w.of[0]->n_materials > 20)
            break; /* long enough, and A to Z are the names there are */
        if (step(&w, words[at]) == KMS_OK) {
            done[at]++;
            continue;
        }
        print(&w, &after);
        if (!bytes_eq(buf_bytes(&before), buf_bytes(&after)))
            fail_msg("I3: '%s' was refused, and changed\n%.*s\ninto\n%.*s", words[at],
                     BYTES_FMT(buf_bytes(&before)), BYTES_FMT(buf_bytes(&after)));
    }
    world_end(&w);
}

static void test_random_lives(void **state)
{
    size_t   done[ARRAY_LEN(words)] = { 0 };
    uint64_t seed = 7;
    size_t   steps = 0;

    (void)state;
    for (int i = 0; i < LIVES; i++)
        random_life(&seed, i % 3 == 0 ? ORIGIN_AWS_KMS : ORIGIN_EXTERNAL, done);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        steps += done[i];
        /* no automatic rotation is ever switched on here; all else must have happened */
        bool never = strcmp(words[i], "ea") == 0 ||
                     (strchr("w", words[i][0]) == NULL && strcmp(words[i], "aC!") == 0);
        if (done[i] == 0 && !never)
            print_message("# never: %s\n", words[i]);
    }
    print_message("# %zu steps succeeded\n", steps);
    assert_true(steps > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_the_switch_is_shared),
        cmocka_unit_test(test_an_updating_primary_rotates_afterwards),
        cmocka_unit_test(test_a_request_just_before_an_automatic_rotation),
        cmocka_unit_test(test_the_limit_is_the_family_s),
        cmocka_unit_test(test_only_the_primary_s_request_falls_due),
        cmocka_unit_test(test_dates_of_a_deletion),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_a_single_key_is_a_family_of_one),
        cmocka_unit_test(test_random_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
