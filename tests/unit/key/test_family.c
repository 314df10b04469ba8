/* tests/unit/key/test_family.c - every rule of recorded-imports and recorded-authz-multiregion 6.8 that
 * key/family.c decides, as short lives of relatives (relatives.h), and many random ones. */
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

enum { TEXT_MAX = 8000 };

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

    { "a lost slot on the primary: the pending one stays listed", "eA eRw +1 eB! wB e?B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " PENDING_IMPORT] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " IMPORTED NOEXP]" },
    { "a lost slot on the primary: brought back", "eA eRw +1 eB! wB e?B eB", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "a lost slot on a replica",   "eA eRw +1 wA eB! wB w?B w?A", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B " MULTI " IMPORTED NOEXP] | "
      "PendingImport [A CURRENT PENDING_IMPORT] [B " MULTI " PENDING_IMPORT]" },
    { "a lost slot without relatives", "eA eB! e?B",   KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },

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

static void expand(const struct relatives *w, const char *text, struct buf *out)
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
    struct relatives                w;

    relatives_begin(&w, origin, &err);
    enum kms_status status = relatives_run(&w, r->words);
    if (status != r->status)
        fail_msg("%s: '%s' came to %s: %s", r->name, r->words, kms_status_word(status),
                 err.message);
    if (status != KMS_OK && r->message != NULL) {
        expand(&w, r->message, &want);
        if (!bytes_eq(buf_bytes(&want), bytes_of(err.message, err.message_len)))
            fail_msg("%s: '%s' says\n%s", r->name, r->words, err.message);
    }
    relatives_print(&w, &got);
    if (!bytes_eq_str(buf_bytes(&got), r->after))
        fail_msg("%s: '%s' leaves\n%.*s", r->name, r->words, BYTES_FMT(buf_bytes(&got)));
    relatives_end(&w);
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
static struct key_family edit(struct relatives *w, size_t region)
{
    const struct key_record *list[RELATIVES_MAX];
    struct key_family        f;
    size_t                   n = relatives_list(w, list);

    assert_true(family_clone(list, n, w->of[region], w->now, &f));
    return f;
}

static void finish(struct relatives *w, struct key_family *f)
{
    relatives_publish(w, f, false);
    family_release(f);
    relatives_check(w, "by hand");
}

/* 6.8 rules 1 and 9, R50 to R52, kms-behaviour 8 */
static void test_the_switch_is_shared(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw +1"), KMS_OK);
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
    assert_int_equal(relatives_run(&w, "ePw"), KMS_OK);
    assert_true(key_next_event(w.of[0], 0) == INT64_MAX && key_next_event(w.of[1], 0) == next);
    /* a Disabled primary waits, a Disabled replica is not asked */
    assert_int_equal(relatives_run(&w, "+1 wd"), KMS_OK);
    assert_true(key_next_event(w.of[1], 0) == INT64_MAX && !key_automatic_due(w.of[1], next));
    assert_int_equal(relatives_run(&w, "we ed"), KMS_OK);
    w.now = next + 5;
    assert_int_equal(relatives_run(&w, "wa"), KMS_OK);
    assert_true(w.of[0]->next_rotation == w.now + 90 * day_ms); /* R50: from the rotation on */
    assert_int_equal(w.of[0]->materials[1].rotation_type, ROTATION_AUTOMATIC);
    assert_int_equal(w.of[0]->on_demand_count, 0);
    assert_int_equal(w.of[0]->state, KEY_DISABLED);

    f = edit(&w, 1);
    family_rotation_disable(&f);
    finish(&w, &f);
    assert_true(!w.of[0]->rotation_enabled && w.of[0]->next_rotation == 0);
    relatives_end(&w);
}

/* kms-behaviour 8: while Updating the key is not Enabled, so it rotates right after */
static void test_an_updating_primary_rotates_afterwards(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw +1"), KMS_OK);
    struct key_family f = edit(&w, 0);
    family_rotation_enable(&f, w.now, true, 90);
    finish(&w, &f);
    int64_t next = w.of[0]->next_rotation;
    w.now = next - 1;
    assert_int_equal(relatives_run(&w, "ePw"), KMS_OK);
    assert_false(key_automatic_due(w.of[1], next));
    assert_true(key_next_event(w.of[1], 0) == next - 1 + RELATIVES_SETTLE_MS);
    assert_true(key_automatic_due(w.of[1], next - 1 + RELATIVES_SETTLE_MS));
    relatives_end(&w);
}

/* kms-behaviour 3, 8: ConflictException within 20 minutes of an automatic rotation */
static void test_a_request_just_before_an_automatic_rotation(void **state)
{
    static const char *const text = "An automatic rotation of the key is in progress or due within "
                                    "20 minutes: <arn>";
    const int64_t            minute = 60 * 1000;
    CLEANUP(buf_release) struct buf want = BUF_INIT(TEXT_MAX);
    struct kms_error                err;
    struct relatives                w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw +1"), KMS_OK);
    struct key_family f = edit(&w, 0);
    family_rotation_enable(&f, w.now, true, 90);
    finish(&w, &f);
    int64_t next = w.of[0]->next_rotation;
    w.now = next - 20 * minute;
    assert_int_equal(relatives_run(&w, "er"), KMS_E_CONFLICT);
    expand(&w, text, &want);
    assert_true(bytes_eq(buf_bytes(&want), bytes_of(err.message, err.message_len)));
    w.now = next + 1;
    assert_int_equal(relatives_run(&w, "er"), KMS_E_CONFLICT);
    w.now = next - 20 * minute - 1;
    assert_int_equal(relatives_run(&w, "er"), KMS_OK);
    w.now = next; /* the second request of one in progress is no conflict (J27) */
    assert_int_equal(relatives_run(&w, "er"), KMS_OK);
    relatives_end(&w);
}

/* R42, kms-behaviour 8: 25 in the whole family */
static void test_the_limit_is_the_family_s(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    for (int i = 0; i < 12; i++)
        assert_int_equal(relatives_run(&w, "er c"), KMS_OK);
    assert_int_equal(relatives_run(&w, "eRw +1 ePw +1"), KMS_OK);
    for (int i = 12; i < 25; i++)
        assert_int_equal(relatives_run(&w, "wr c"), KMS_OK);
    assert_int_equal(relatives_run(&w, "wr"), KMS_E_LIMIT);
    assert_int_equal(w.of[0]->n_materials, 26);
    relatives_end(&w);
}

static void test_only_the_primary_s_request_falls_due(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw +1 er"), KMS_OK);
    assert_true(w.of[1]->on_demand_start == w.now);
    assert_true(key_on_demand_due(w.of[0], w.now + 5, 5) &&
                !key_on_demand_due(w.of[1], w.now + 5, 5));
    assert_true(key_next_event(w.of[0], 5) == w.now + 5);
    assert_true(key_next_event(w.of[1], 5) == INT64_MAX);
    relatives_end(&w);
}

/* 6.6, 6.8 rule 13 */
static void test_dates_of_a_deletion(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw +1 es"), KMS_OK);
    assert_true(w.of[0]->deletion_date == 0 && w.of[0]->pending_window_days == 7);
    assert_true(key_next_event(w.of[0], 0) == INT64_MAX && !key_gone(w.of[0], INT64_MAX));
    assert_int_equal(relatives_run(&w, "eu es +5 ws"), KMS_OK);
    assert_true(w.of[1]->deletion_date == w.now + 7 * day_ms);
    w.now = w.of[1]->deletion_date + 48 * 60 * 60 * 1000; /* the replica goes late, as recorded */
    assert_int_equal(relatives_run(&w, "wX"), KMS_OK);
    assert_true(w.of[0]->deletion_date == w.now + 7 * day_ms);
    assert_true(key_next_event(w.of[0], 0) == w.of[0]->deletion_date);
    assert_int_equal(relatives_run(&w, "eu"), KMS_OK);
    assert_true(w.of[0]->deletion_date == 0 && w.of[0]->pending_window_days == 0);
    relatives_end(&w);
}

/* Creating and Updating end by themselves, and are written down with the next edit. */
static void test_settling(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_AWS_KMS, &err);
    assert_int_equal(relatives_run(&w, "eRw"), KMS_OK);
    assert_int_equal(key_state_at(w.of[1], w.now + RELATIVES_SETTLE_MS - 1), KEY_CREATING);
    assert_int_equal(key_state_at(w.of[1], w.now + RELATIVES_SETTLE_MS), KEY_ENABLED);
    assert_true(w.of[1]->created == w.now && w.of[1]->version == 1);
    key_settle(w.of[1], w.now + RELATIVES_SETTLE_MS - 1);
    assert_int_equal(w.of[1]->state, KEY_CREATING);
    w.now += RELATIVES_SETTLE_MS;
    struct key_family f = edit(&w, 0);
    assert_int_equal(f.of[1]->state, KEY_ENABLED);
    assert_true(f.of[1]->settles == 0 && f.of[1]->version == 2);
    assert_true(f.named == 0 && f.primary == 0);
    finish(&w, &f);
    relatives_end(&w);
}

/* As Enabled: also before it has ended (kms-behaviour 5.1 lets imports proceed then). */
static void test_an_updating_key_expires(void **state)
{
    struct kms_error err;
    struct relatives w;

    (void)state;
    relatives_begin(&w, ORIGIN_EXTERNAL, &err);
    assert_int_equal(relatives_run(&w, "eA@3 eRw +1 wA ePw"), KMS_OK);
    int64_t expiry = w.of[0]->materials[0].valid_to;
    w.of[0]->settles = expiry + 10000; /* as with a long region-delay */
    assert_int_equal(key_state_at(w.of[0], expiry - 1), KEY_UPDATING);
    assert_int_equal(key_state_at(w.of[0], expiry), KEY_PENDING_IMPORT);
    key_settle(w.of[0], expiry - 1);
    assert_int_equal(w.of[0]->state, KEY_UPDATING);
    key_settle(w.of[0], expiry);
    assert_int_equal(w.of[0]->state, KEY_PENDING_IMPORT);
    assert_true(w.of[0]->settles == 0);
    relatives_end(&w);
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
    "eA",  "eA!", "eA@9", "eB",  "eB!", "eB!@9", "eB\"x", "eC!", "eD!",     "wA",  "wA@9",
    "wB",  "wB!", "wB@9", "wC",  "wD",  "aA",    "aB",    "aC",  "aB!",     "aC!", "wC!",
    "e-",  "e-A", "e-B",  "e-C", "w-",  "w-A",   "w-B",   "w-C", "a-",      "a-B", "a-C",
    "ed",  "wd",  "ee",   "we",  "ae",  "er",    "wr",    "c",   "c",       "ea",  "eRw",
    "eRa", "wRe", "wRa",  "ePw", "ePa", "wPe",   "wPa",   "aPe", "aPw",     "es",  "ws",
    "as",  "eu",  "wu",   "au",  "eu",  "wu",    "au",    "ex",  "wx",      "ax",  "eX",
    "wX",  "aX",  "+1",   "+1",  "+5",  "e?B",   "w?A",   "w?B", "+700000",
};

enum { LIVES = 300, WORDS = 800 };

static uint32_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void random_life(uint64_t *seed, enum key_origin origin, size_t done[ARRAY_LEN(words)])
{
    struct kms_error err;
    struct relatives w;

    relatives_begin(&w, origin, &err);
    if (origin == ORIGIN_AWS_KMS)
        key_rotation_enable(w.of[0], w.now, true, 90);
    for (int i = 0; i < WORDS && relatives_primary(&w) != NULL; i++) {
        CLEANUP(buf_release) struct buf before = BUF_INIT(TEXT_MAX);
        CLEANUP(buf_release) struct buf after = BUF_INIT(TEXT_MAX);
        size_t                          at = draw(seed) % ARRAY_LEN(words);
        relatives_print(&w, &before);
        if (w.of[0] != NULL && w.of[0]->n_materials > 20)
            break; /* long enough, and A to Z are the names there are */
        if (relatives_step(&w, words[at]) == KMS_OK) {
            done[at]++;
            continue;
        }
        relatives_print(&w, &after);
        if (!bytes_eq(buf_bytes(&before), buf_bytes(&after)))
            fail_msg("I3: '%s' was refused, and changed\n%.*s\ninto\n%.*s", words[at],
                     BYTES_FMT(buf_bytes(&before)), BYTES_FMT(buf_bytes(&after)));
    }
    relatives_end(&w);
}

static void test_random_lives(void **state)
{
    size_t   done[ARRAY_LEN(words)] = { 0 };
    uint64_t seed = 7;
    size_t   steps = 0;
    size_t   never = 0;

    (void)state;
    for (int i = 0; i < LIVES; i++)
        random_life(&seed, i % 3 == 0 ? ORIGIN_AWS_KMS : ORIGIN_EXTERNAL, done);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        steps += done[i];
        never += done[i] == 0;
    }
    print_message("# %zu steps succeeded, %zu words never did\n", steps, never);
    assert_true(steps > 10000 && never <= 2);
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
        cmocka_unit_test(test_an_updating_key_expires),
        cmocka_unit_test(test_a_single_key_is_a_family_of_one),
        cmocka_unit_test(test_random_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
