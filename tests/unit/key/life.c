/* tests/unit/key/life.c - see life.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "fixture.h"
#include "life.h"

enum { TEXT_MAX = 4000 };

static const uint32_t may_import = KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED) |
                                   KEY_IN(KEY_PENDING_IMPORT);
static const uint32_t may_delete = KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED) |
                                   KEY_IN(KEY_PENDING_IMPORT) | KEY_IN(KEY_PENDING_DELETION);

void life_begin(struct life *life, enum key_origin origin, enum multi_region multi_region,
                struct kms_error *err)
{
    *life = (struct life){ .now = LIFE_START_S * 1000, .err = err };
    life->key = fixture_key("us-east-1", 1, origin);
    life->key->multi_region = multi_region;
    if (origin == ORIGIN_AWS_KMS) {
        struct key_material *m = key_record_add_material(life->key);
        m->id = fixture_material_id('A');
        m->present = true;
        m->sealed = fixture_sealed(life->key->arena, ++life->slots);
    }
    key_created(life->key);
}

void life_end(struct life *life)
{
    key_record_freep(&life->key);
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_material(const struct life *life, const struct key_material *m, struct buf *out)
{
    buf_addf(out, " [%c %s", m->id.b[0], material_role_name(m->role));
    if (life->key->origin == ORIGIN_EXTERNAL) {
        buf_add_str(out, m->present ? " IMPORTED" : " PENDING_IMPORT");
        if (m->expiration == EXPIRES)
            buf_addf(out, " EXP %lld", (long long)m->valid_to / 1000 - LIFE_START_S);
        else if (m->expiration == DOES_NOT_EXPIRE)
            buf_add_str(out, " NOEXP");
    }
    if (m->has_description)
        buf_addf(out, " \"%.*s\"", BYTES_FMT(m->description));
    if (m->rotation_type != ROTATION_NONE)
        buf_addf(out, " rot %lld", (long long)m->rotation_date / 1000 - LIFE_START_S);
    buf_add_str(out, "]");
}

void life_print(const struct life *life, struct buf *out)
{
    buf_add_str(out, key_state_name(key_state_at(life->key, life->now)));
    for (size_t i = 0; i < life->key->n_materials; i++)
        print_material(life, &life->key->materials[i], out);
}

void life_expand(const struct life *life, const char *text, struct buf *out)
{
    for (; *text != '\0'; text++) {
        if (strncmp(text, "<arn>", 5) == 0) {
            buf_add(out, life->key->name.arn);
            text += 4;
        } else if (text[0] == '<' && text[2] == '>') {
            struct material_id id = fixture_material_id(text[1]);
            hex_add(out, bytes_of(id.b, sizeof id.b));
            text += 2;
        } else {
            buf_add_byte(out, (uint8_t)*text);
        }
    }
}

/* --- the operations --------------------------------------------------------------------------- */

static enum kms_status check(const struct life *life, uint32_t allowed)
{
    return key_state_check(life->key, key_state_at(life->key, life->now), allowed, life->err);
}

static enum kms_status do_import(struct life *life, struct key_record *edit, const char *word,
                                 struct sealed *ret_erased)
{
    struct import_request rq = { .id = fixture_material_id(*word++),
                                 .expiration = DOES_NOT_EXPIRE };
    struct key_material  *m = NULL;

    for (; *word != '\0' && *word != ' '; word++) {
        rq.new_type = rq.new_type || *word == '!';
        rq.existing_type = rq.existing_type || *word == '=';
        if (*word == '@') {
            char *end;
            rq.expiration = EXPIRES; /* not a whole second, so that the cut shows */
            rq.valid_to = life->now + strtol(word + 1, &end, 10) * 1000 + 926;
            word = end - 1;
        } else if (*word == '#') {
            rq.has_expected_id = true;
            rq.expected_id = fixture_material_id(*++word);
        } else if (*word == '"') {
            rq.has_description = true;
            rq.description = bytes_of(word + 1, strcspn(word + 1, " "));
            break;
        }
    }
    TRY(check(life, may_import));
    TRY(key_import(edit, &rq, life->now, &m, life->err));
    assert_non_null(m);
    *ret_erased = m->sealed;
    m->sealed = fixture_sealed(edit->arena, ++life->slots);
    return KMS_OK;
}

static enum kms_status do_delete(struct life *life, struct key_record *edit, const char *word,
                                 struct sealed *ret_erased)
{
    bool               named = word[1] != '\0' && word[1] != ' ';
    struct material_id id = fixture_material_id(word[1]);

    TRY(check(life, may_delete));
    life->has_id = false;
    return key_delete_material(edit, named ? &id : NULL, life->now, ret_erased, &life->id,
                               &life->has_id, life->err);
}

static enum kms_status do_complete(struct life *life, struct key_record *edit,
                                   enum rotation_type type)
{
    if (edit->origin == ORIGIN_AWS_KMS) { /* as the job does it */
        struct key_material *m = key_record_add_material(edit);
        m->id = fixture_material_id((char)('A' + edit->n_materials - 1));
        m->role = MATERIAL_PENDING_ROTATION;
        m->present = true;
        m->sealed = fixture_sealed(edit->arena, ++life->slots);
    }
    (void)key_rotation_complete(edit, life->now, type);
    return KMS_OK;
}

static enum kms_status do_expire(struct life *life, struct key_record *edit,
                                 struct sealed *ret_erased)
{
    const struct key_material *m = key_expired_material(edit, life->now);

    if (m == NULL)
        return KMS_OK;
    struct material_id id = m->id;
    *ret_erased = m->sealed;
    key_material_expired(edit, &id);
    return KMS_OK;
}

static enum kms_status do_lose(struct life *life, struct key_record *edit, char name,
                               struct sealed *ret_erased)
{
    struct material_id         id = fixture_material_id(name);
    const struct key_material *m = key_record_material(edit, &id);

    *ret_erased = m->sealed;
    key_material_lost(edit, &id, life->now);
    return KMS_OK;
}

static enum kms_status do_word(struct life *life, struct key_record *edit, const char *word,
                               struct sealed *ret_erased)
{
    switch (*word) {
    case 'd':
        TRY(check(life, KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED)));
        key_disable(edit);
        return KMS_OK;
    case 'e':
        TRY(check(life, KEY_IN(KEY_ENABLED) | KEY_IN(KEY_DISABLED)));
        key_enable(edit);
        return KMS_OK;
    case 's':
        TRY(check(life, may_import));
        key_schedule_deletion(edit, life->now, 7);
        return KMS_OK;
    case 'u':
        TRY(check(life, STATES_PENDING_DELETION));
        key_cancel_deletion(edit, life->now);
        return KMS_OK;
    case 'r':
        TRY(check(life, KEY_IN(KEY_ENABLED)));
        return key_rotation_request(edit, life->now, life->err);
    case 'c':
        return edit->on_demand_start == 0 ? KMS_OK : do_complete(life, edit, ROTATION_ON_DEMAND);
    case 'a': return do_complete(life, edit, ROTATION_AUTOMATIC);
    case 'x': return do_expire(life, edit, ret_erased);
    case '?': return do_lose(life, edit, word[1], ret_erased);
    case '-': return do_delete(life, edit, word, ret_erased);
    case '+': life->now += strtol(word + 1, NULL, 10) * 1000; return KMS_OK;
    default:  return do_import(life, edit, word, ret_erased);
    }
}

/* --- what every step has to keep -------------------------------------------------------------- */

static bool names_slot(const struct key_record *k, uint32_t slot)
{
    for (size_t i = 0; i < k->n_materials; i++) {
        if (k->materials[i].sealed.wrapped.len > 0 && k->materials[i].sealed.slot == slot)
            return true;
    }
    return false;
}

static void check_erased(const struct key_record *before, const struct key_record *after,
                         const struct sealed *erased)
{
    for (size_t i = 0; i < before->n_materials; i++) {
        const struct sealed *s = &before->materials[i].sealed;
        if (s->wrapped.len > 0 && !names_slot(after, s->slot) &&
            !(erased->wrapped.len > 0 && erased->slot == s->slot))
            fail_msg("slot %u is neither named nor erased", s->slot);
    }
    if (erased->wrapped.len > 0 && names_slot(after, erased->slot))
        fail_msg("slot %u is erased and named", erased->slot);
}

static void assert_same(const struct life *life, const struct key_record *before)
{
    CLEANUP(buf_release) struct buf a = BUF_INIT(TEXT_MAX);
    CLEANUP(buf_release) struct buf b = BUF_INIT(TEXT_MAX);
    struct life                     old = *life;

    old.key = (struct key_record *)(uintptr_t)before;
    life_print(life, &a);
    life_print(&old, &b);
    assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
    assert_int_equal(life->key->state, before->state);
    assert_true(life->key->on_demand_start == before->on_demand_start);
}

enum kms_status life_step(struct life *life, const char *word)
{
    struct key_record *before = life->key;
    struct sealed      erased = { 0 };

    life->key = key_record_clone(before);
    assert_non_null(life->key);
    kms_error_clear(life->err);
    struct key_record *edit = life->key;
    life->key = before; /* texts and checks are about what is published */
    enum kms_status status = do_word(life, edit, word, &erased);
    life->key = edit;
    if (status == KMS_OK)
        check_erased(before, edit, &erased);
    else
        assert_same(life, before); /* R6 */
    key_record_free(before);
    return status;
}

enum kms_status life_run(struct life *life, const char *words)
{
    enum kms_status status = KMS_OK;

    while (*words != '\0') {
        bool refused = *words == '~';
        words += refused;
        const char *next = words + strcspn(words, " ");
        status = life_step(life, words);
        if (*next == ' ' && (status != KMS_OK) != refused)
            fail_msg("'%.*s' came to %s: %s", (int)(next - words), words, kms_status_word(status),
                     life->err->message);
        words = *next == ' ' ? next + 1 : next;
    }
    return status;
}
