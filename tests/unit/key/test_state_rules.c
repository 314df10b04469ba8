/* tests/unit/key/test_state_rules.c - every rule of recorded-imports that the state machine
 * decides, as one or more short lives (life.h). `chosen` marks what no recording shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "fixture.h"
#include "life.h"

enum kind { SINGLE, PRIMARY, REPLICA, GENERATED };

struct rule {
    const char     *name;
    enum kind       kind;
    const char     *words;
    enum kms_status status;  /* of the last word */
    const char     *message; /* of a refusal */
    const char     *after;
};

#define UNEXPECTED(id) "Imported key material does not have the expected identifier (" id ")."
#define ASSOCIATED(id)                                                                              \
    "Key material (id: " id ") being imported as NEW_KEY_MATERIAL is already associated with KMS "  \
    "key <arn>."
#define WAITING(fresh, waiting)                                                                     \
    "New key material (id: " fresh ") cannot be imported into KMS key <arn>, because another key "  \
    "material (id: " waiting ") is pending rotation."
#define NEVER(id)       "Key material (id: " id ") has never been imported into KMS key <arn>."
#define NOTHING_PENDING "No available key material pending rotation for the key: <arn>."
#define IMPORT          "<arn> is pending import."
#define DELETION        "<arn> is pending deletion."
#define DISABLED        "<arn> is disabled."
#define NOT_DELETION    "<arn> is not pending deletion."
#define LACKING                                                                                     \
    "Cannot perform key material rotation: Key material has not been imported for replicas of the " \
    "Multi-Region key."

#define WRONG KMS_E_INCORRECT_MATERIAL
#define STATE KMS_E_KEY_STATE

static const struct rule rules[] = {
    /* clang-format off */
    { "R1",          SINGLE, "+0",            KMS_OK, "", "PendingImport" },
    { "R1 (AWS_KMS)", GENERATED, "+0",        KMS_OK, "", "Enabled [A CURRENT]" },
    { "R13",         SINGLE, "A@10",          KMS_OK, "", "Enabled [A CURRENT IMPORTED EXP 10]" },
    { "R18",         SINGLE, "A\"first",      KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP \"first\"]" },
    { "R18 NEW (7.5)", SINGLE, "A!",          KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R18, R22 chosen: existing, but nothing there",
                     SINGLE, "A=",            WRONG, UNEXPECTED("<A>"), "PendingImport" },
    { "R18, R22 chosen: existing with an id, but nothing there",
                     SINGLE, "A=#A",          WRONG, UNEXPECTED("<A>"), "PendingImport" },
    { "R18, R22: first import with another id",
                     SINGLE, "A#B",           WRONG, UNEXPECTED("<B>"), "PendingImport" },
    { "R18 chosen: first import with its own id",
                     SINGLE, "A#A",           KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },

    { "R19",         SINGLE, "A A!",          WRONG, ASSOCIATED("<A>"), "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R19 pending", SINGLE, "A B! B!",       WRONG, ASSOCIATED("<B>"),
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R19 pending past its ValidTo", SINGLE, "A B!@10 +11 B!", WRONG, ASSOCIATED("<B>"),
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED EXP 10]" },
    { "R19 missing", SINGLE, "A - A!",        WRONG, ASSOCIATED("<A>"), "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R20",         SINGLE, "A B! C!",       STATE, WAITING("<C>", "<B>"),
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R21",         SINGLE, "A@10 B!\"p",    KMS_OK, "",
      "Enabled [A CURRENT IMPORTED EXP 10] [B PENDING_ROTATION IMPORTED NOEXP \"p\"]" },
    { "R21 Disabled stays", SINGLE, "A d B!", KMS_OK, "",
      "Disabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R21 (7.5): NEW while an older one is missing", SINGLE, "A - B!", KMS_OK, "",
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },

    { "R22",         SINGLE, "A B",           WRONG, UNEXPECTED("<A>"), "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R22 KeyMaterialId of the request", SINGLE, "A A#0", WRONG, UNEXPECTED("<0>"),
      "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R22 known, but not the one asked for", SINGLE, "A B! r c A#B", WRONG, UNEXPECTED("<B>"),
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R22 its own id, not in the list", SINGLE, "A B#B", WRONG, UNEXPECTED("<B>"),
      "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R22 names the current one", SINGLE, "A B! r c C", WRONG, UNEXPECTED("<B>"),
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R22 explicit", SINGLE, "A B=",         WRONG, UNEXPECTED("<A>"), "Enabled [A CURRENT IMPORTED NOEXP]" },

    { "R23 nothing missing", SINGLE, "A A",   KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R23 explicit", SINGLE, "A A=#A",       KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R23 missing", SINGLE, "A - A",         KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R23 expired, not carried out", SINGLE, "A@10 +10 A", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R23 expired, carried out", SINGLE, "A@10 +10 x A", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R23 NON_CURRENT, without an id", SINGLE, "A B! r c -A A", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R23 rotation in progress", SINGLE, "A B! r A@10", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED EXP 10] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R23 chosen: the pending one is refreshed", SINGLE, "A B!@10 B", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R23 chosen: refreshing the pending one enables nothing", SINGLE, "A B! d B=", KMS_OK, "",
      "Disabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },

    { "R24 description kept", SINGLE, "A\"first A@10", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED EXP 10 \"first\"]" },
    { "R24 description kept through deletion", SINGLE, "A\"first - A", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP \"first\"]" },
    { "R24 description replaced (7.5)", SINGLE, "A\"first A\"second", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP \"second\"]" },
    { "R24 expiration replaced", SINGLE, "A@10 A@30", KMS_OK, "", "Enabled [A CURRENT IMPORTED EXP 30]" },
    { "R24 rotation data kept", SINGLE, "A B! +5 r c B@10", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED EXP 15 rot 5]" },

    { "R25 from PendingImport", SINGLE, "A - A", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R25 from Disabled, nothing missing", SINGLE, "A d A", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R25 Disabled, then missing", SINGLE, "A d - A", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R25 another one is still missing", SINGLE, "A B! r c -A - B", KMS_OK, "",
      "PendingImport [A NON_CURRENT PENDING_IMPORT] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R25 another one has expired", SINGLE, "A@10 B! r c - +10 B", KMS_OK, "",
      "PendingImport [A NON_CURRENT IMPORTED EXP 10] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R25 the last missing one", SINGLE, "A B! r c -A - B A", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]" },

    { "R27",         SINGLE, "A B! r c -",    KMS_OK, "",
      "PendingImport [A NON_CURRENT IMPORTED NOEXP] [B CURRENT PENDING_IMPORT rot 0]" },
    { "R27 not the pending one", SINGLE, "A B! -", KMS_OK, "",
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R28",         SINGLE, "A -0",          KMS_E_VALIDATION, NEVER("<0>"), "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R28 never imported", SINGLE, "-A",     KMS_E_VALIDATION, NEVER("<A>"), "PendingImport" },
    { "R28 a forgotten pending one", SINGLE, "A B! -B -B", KMS_E_VALIDATION, NEVER("<B>"),
      "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R29 never had a material", SINGLE, "-", KMS_OK, "", "PendingImport" },
    { "R29 again",   SINGLE, "A - -",         KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R30 CURRENT", SINGLE, "A@10\"first -", KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT \"first\"]" },
    { "R30 NON_CURRENT", SINGLE, "A\"first B! r c -A", KMS_OK, "",
      "PendingImport [A NON_CURRENT PENDING_IMPORT \"first\"] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R30 Disabled", SINGLE, "A d -",        KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R30 PendingDeletion stays (7.9)", SINGLE, "A s -", KMS_OK, "",
      "PendingDeletion [A CURRENT PENDING_IMPORT]" },
    { "R30 after an expiry that was carried out", SINGLE, "A@10 +10 x -", KMS_OK, "",
      "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R31",         SINGLE, "A B!\"p -B",    KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R31 the same one may follow, without its description", SINGLE, "A B!\"p -B B!", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R31 another one may follow", SINGLE, "A B! -B C!", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [C PENDING_ROTATION IMPORTED NOEXP]" },
    { "R31 primary", PRIMARY, "A B! -B",      KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R31 Disabled", SINGLE, "A B! d -B",    KMS_OK, "", "Disabled [A CURRENT IMPORTED NOEXP]" },
    { "R32",         SINGLE, "A B! r -B +9 c", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },

    { "R33 expired", SINGLE, "A@10 +10",      KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R33 not yet", SINGLE, "A@10 +9",       KMS_OK, "", "Enabled [A CURRENT IMPORTED EXP 10]" },
    { "R33 NON_CURRENT expired", SINGLE, "A@10 B! r c +10", KMS_OK, "",
      "PendingImport [A NON_CURRENT IMPORTED EXP 10] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R33 Disabled and expired", SINGLE, "A@10 d +10", KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },

    { "R35 EnableKey", SINGLE, "e",           STATE, IMPORT, "PendingImport" },
    { "R35 DisableKey", SINGLE, "d",          STATE, IMPORT, "PendingImport" },
    { "R35 RotateKeyOnDemand", SINGLE, "r",   STATE, IMPORT, "PendingImport" },
    { "R35 by the clock alone", SINGLE, "A@10 +10 d", STATE, IMPORT, "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R36 schedule", SINGLE, "A - s",        KMS_OK, "", "PendingDeletion [A CURRENT PENDING_IMPORT]" },
    { "R36 cancel",  SINGLE, "A - s u",       KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R36 never imported", SINGLE, "s u",    KMS_OK, "", "PendingImport" },
    { "R36 deleted meanwhile", SINGLE, "A s - u", KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT]" },
    { "R36 expired meanwhile", SINGLE, "A@10 s +10 u", KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R36 expired and carried out meanwhile", SINGLE, "A@10 s +10 x u", KMS_OK, "",
      "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "9.2 cancel with everything there", SINGLE, "A s u", KMS_OK, "", "Disabled [A CURRENT IMPORTED NOEXP]" },
    { "9.2 cancel, AWS_KMS", GENERATED, "s u", KMS_OK, "", "Disabled [A CURRENT]" },
    { "9.2 twice",   GENERATED, "s s",        STATE, DELETION, "PendingDeletion [A CURRENT]" },
    { "9.2 cancel without", SINGLE, "A u",    STATE, NOT_DELETION, "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "9.2 cancel, Disabled", SINGLE, "A d u", STATE, NOT_DELETION, "Disabled [A CURRENT IMPORTED NOEXP]" },
    { "9.2 cancel, PendingImport", SINGLE, "u", STATE, NOT_DELETION, "PendingImport" },
    { "5.1 import while PendingDeletion", SINGLE, "A s A", STATE, DELETION,
      "PendingDeletion [A CURRENT IMPORTED NOEXP]" },
    { "5.1 enable, disable", SINGLE, "A d d e e", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },

    { "R37",         SINGLE, "A@10 +10 x",    KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R37 long after", SINGLE, "A@10 +10 x +999", KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "R37 PendingDeletion stays", SINGLE, "A@10 s +10 x", KMS_OK, "",
      "PendingDeletion [A CURRENT IMPORTED EXP 10]" },
    { "R38 nothing happens", SINGLE, "A B!@10 +892 x", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED EXP 10]" },
    { "R38 rotation is accepted", SINGLE, "A B!@10 +20 r", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED EXP 10]" },
    { "R38 deletion works", SINGLE, "A B!@10 +20 -B", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R39",         SINGLE, "A B!@10 +20 r +148 c", KMS_OK, "",
      "PendingImport [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED EXP 10 rot 168]" },
    { "R39 restored", SINGLE, "A B!@10 +20 r +148 c x B", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 168]" },

    { "R40 the list is unchanged meanwhile", SINGLE, "A B! r", KMS_OK, "",
      "Enabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R40 the replacement is promoted", SINGLE, "A B! r -B C! +9 c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [C CURRENT IMPORTED NOEXP rot 9]" },
    { "R40 nothing pending any more", SINGLE, "A B! r -B c", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R41",         SINGLE, "A\"a B!\"b r +48 c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP \"a\"] [B CURRENT IMPORTED NOEXP \"b\" rot 48]" },
    { "R41 twice",   SINGLE, "A B! r c C! r +1 c", KMS_OK, "",
      "Enabled [A NON_CURRENT IMPORTED NOEXP] [B NON_CURRENT IMPORTED NOEXP rot 0] "
      "[C CURRENT IMPORTED NOEXP rot 1]" },
    { "R41 AWS_KMS", GENERATED, "r +99 c",    KMS_OK, "", "Enabled [A NON_CURRENT] [B CURRENT rot 99]" },
    { "R41 while an older one is missing", SINGLE, "A B! r - c", KMS_OK, "",
      "PendingImport [A NON_CURRENT PENDING_IMPORT] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R42 nothing pending", SINGLE, "A r",   STATE, NOTHING_PENDING, "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "R42 Disabled", SINGLE, "A B! d r",     KMS_E_DISABLED, DISABLED,
      "Disabled [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R42 PendingDeletion", SINGLE, "A B! s r", STATE, DELETION,
      "PendingDeletion [A CURRENT IMPORTED NOEXP] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R42 PendingImport", SINGLE, "A B! - r", STATE, IMPORT,
      "PendingImport [A CURRENT PENDING_IMPORT] [B PENDING_ROTATION IMPORTED NOEXP]" },
    { "R42 a second request adds none", GENERATED, "r r c c", KMS_OK, "",
      "Enabled [A NON_CURRENT] [B CURRENT rot 0]" },
    { "R42 completes while Disabled", GENERATED, "r d +111 c", KMS_OK, "",
      "Disabled [A NON_CURRENT] [B CURRENT rot 111]" },
    { "R42 completes while PendingDeletion", GENERATED, "r s +131 c", KMS_OK, "",
      "PendingDeletion [A NON_CURRENT] [B CURRENT rot 131]" },
    { "R42 completes while Disabled, EXTERNAL", SINGLE, "A B! r d c", KMS_OK, "",
      "Disabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]" },
    { "R39 in PendingDeletion", SINGLE, "A B!@10 r s +20 c", KMS_OK, "",
      "PendingDeletion [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED EXP 10 rot 20]" },
    { "R50 (8) automatic", GENERATED, "+5 a", KMS_OK, "", "Enabled [A NON_CURRENT] [B CURRENT rot 5]" },

    { "lost slot counts as deleted", SINGLE, "A\"a ?A", KMS_OK, "", "PendingImport [A CURRENT PENDING_IMPORT \"a\"]" },
    { "lost slot, pending", SINGLE, "A B! ?B", KMS_OK, "", "Enabled [A CURRENT IMPORTED NOEXP]" },
    { "lost slot, past its ValidTo", SINGLE, "A@10 +10 ?A", KMS_OK, "", "PendingImport [A CURRENT IMPORTED EXP 10]" },
    { "lost slot, AWS_KMS", GENERATED, "?A",  KMS_OK, "", "Enabled [A CURRENT]" },
    /* clang-format on */
};

static void run(const struct rule *r)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(4000);
    CLEANUP(buf_release) struct buf want = BUF_INIT(4000);
    struct kms_error                err;
    struct life                     life;

    life_begin(&life, r->kind == GENERATED ? ORIGIN_AWS_KMS : ORIGIN_EXTERNAL,
               r->kind == PRIMARY   ? REGION_PRIMARY
               : r->kind == REPLICA ? REGION_REPLICA
                                    : REGION_SINGLE,
               &err);
    enum kms_status status = life_run(&life, r->words);
    if (status != r->status)
        fail_msg("%s: '%s' came to %s: %s", r->name, r->words, kms_status_word(status),
                 err.message);
    life_expand(&life, r->message, &want);
    if (status != KMS_OK && !bytes_eq(buf_bytes(&want), bytes_of(err.message, err.message_len)))
        fail_msg("%s: '%s' says\n%s", r->name, r->words, err.message);
    life_print(&life, &got);
    if (!bytes_eq_str(buf_bytes(&got), r->after))
        fail_msg("%s: '%s' leaves\n%.*s", r->name, r->words, BYTES_FMT(buf_bytes(&got)));
    life_end(&life);
}

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        run(&rules[i]);
}

/* --- what a table of lives cannot show -------------------------------------------------------- */

static void begin(struct life *life, struct kms_error *err, enum multi_region multi_region)
{
    life_begin(life, ORIGIN_EXTERNAL, multi_region, err);
}

static void assert_life(const struct life *life, const char *want)
{
    CLEANUP(buf_release) struct buf got = BUF_INIT(4000);

    life_print(life, &got);
    buf_add_byte(&got, 0);
    assert_string_equal((const char *)got.ptr, want);
}

static void assert_refused(const struct life *life, const char *text)
{
    CLEANUP(buf_release) struct buf want = BUF_INIT(4000);

    life_expand(life, text, &want);
    buf_add_byte(&want, 0);
    assert_string_equal(life->err->message, (const char *)want.ptr);
}

static void test_r29_what_an_answer_names(void **state)
{
    struct kms_error   err;
    struct life        life;
    struct material_id b = fixture_material_id('B');

    (void)state;
    begin(&life, &err, REGION_SINGLE);
    assert_int_equal(life_run(&life, "-"), KMS_OK);
    assert_false(life.has_id);
    /* missing already: named all the same */
    assert_int_equal(life_run(&life, "A B! r c - -"), KMS_OK);
    assert_true(life.has_id);
    assert_memory_equal(life.id.b, b.b, sizeof b.b);
    life_end(&life);

    begin(&life, &err, REGION_SINGLE);
    life.key->spec = SPEC_HMAC_256; /* not named in the answer, but erased like any other */
    assert_int_equal(life_run(&life, "A -"), KMS_OK);
    assert_true(life.has_id);
    assert_life(&life, "PendingImport [A CURRENT PENDING_IMPORT]");
    life_end(&life);
}

static void make_role(struct life *life, char name, enum material_role role)
{
    struct material_id id = fixture_material_id(name);

    key_record_material(life->key, &id)->role = role;
}

static void test_r44_replicas_lack_the_material(void **state)
{
    struct kms_error err;
    struct life      life;

    (void)state;
    begin(&life, &err, REGION_PRIMARY);
    assert_int_equal(life_run(&life, "A B!"), KMS_OK);
    make_role(&life, 'B', MATERIAL_PENDING_MULTI_REGION);
    assert_int_equal(life_run(&life, "r"), KMS_E_KEY_STATE);
    assert_refused(&life, LACKING);
    assert_int_equal(life_run(&life, "C!"), KMS_E_KEY_STATE); /* R20 counts it as pending, too */
    assert_int_equal(life_run(&life, "-B"), KMS_OK);
    assert_life(&life, "Enabled [A CURRENT IMPORTED NOEXP]");
    life_end(&life);
}

/* R45..R48: a replica gets its list from the primary; only what is present is its own. */
static void test_r47_replica(void **state)
{
    struct kms_error err;
    struct life      life;

    (void)state;
    begin(&life, &err, REGION_REPLICA);
    key_record_add_material(life.key)->id = fixture_material_id('A');
    key_record_add_material(life.key)->id = fixture_material_id('B');
    life.key->materials[1].role = MATERIAL_PENDING_MULTI_REGION;
    assert_life(&life, "PendingImport [A CURRENT PENDING_IMPORT] "
                       "[B PENDING_MULTI_REGION_IMPORT_AND_ROTATION PENDING_IMPORT]");
    assert_int_equal(life_run(&life, "C"), KMS_E_INCORRECT_MATERIAL); /* G9 */
    assert_refused(&life, UNEXPECTED("<A>"));
    assert_int_equal(life_run(&life, "B"), KMS_OK); /* R23, G22: M1 is still missing */
    assert_int_equal(key_state_at(life.key, life.now), KEY_PENDING_IMPORT);
    assert_int_equal(life_run(&life, "A -B -B"), KMS_OK); /* marked missing only, also again */
    assert_life(&life, "Enabled [A CURRENT IMPORTED NOEXP] "
                       "[B PENDING_MULTI_REGION_IMPORT_AND_ROTATION PENDING_IMPORT]");

    /* R48, I18: it becomes current here although it is missing here */
    assert_true(key_rotation_complete(life.key, life.now, ROTATION_ON_DEMAND));
    assert_life(&life,
                "PendingImport [A NON_CURRENT IMPORTED NOEXP] [B CURRENT PENDING_IMPORT rot 0]");
    assert_int_equal(life.key->state, KEY_PENDING_IMPORT);
    assert_int_equal(life_run(&life, "B"), KMS_OK);
    assert_life(&life, "Enabled [A NON_CURRENT IMPORTED NOEXP] [B CURRENT IMPORTED NOEXP rot 0]");
    life_end(&life);
}

static void test_r40_dates_of_a_request(void **state)
{
    struct kms_error err;
    struct life      life;
    const int64_t    start = (LIFE_START_S + 3) * 1000;

    (void)state;
    begin(&life, &err, REGION_SINGLE);
    assert_int_equal(life_run(&life, "A B! +3 r"), KMS_OK);
    assert_true(life.key->on_demand_start == start);
    assert_int_equal(life_run(&life, "+2 r -B C! d"), KMS_OK);
    assert_true(life.key->on_demand_start == start); /* whatever happens meanwhile */
    assert_false(key_on_demand_due(life.key, start + 9, 10));
    assert_true(key_on_demand_due(life.key, start + 10, 10));
    assert_int_equal(life.key->on_demand_count, 0);
    assert_int_equal(life_run(&life, "c"), KMS_OK);
    assert_true(life.key->on_demand_start == 0);
    assert_int_equal(life.key->on_demand_count, 1);
    assert_false(key_on_demand_due(life.key, INT64_MAX, 10));

    /* one that ends without effect is over, and does not count */
    assert_int_equal(life_run(&life, "e D! r -D c"), KMS_OK);
    assert_true(life.key->on_demand_start == 0);
    assert_int_equal(life.key->on_demand_count, 1);
    life_end(&life);
}

static void test_limit_of_on_demand_rotations(void **state)
{
    struct kms_error err;
    struct life      life;

    (void)state;
    life_begin(&life, ORIGIN_AWS_KMS, REGION_SINGLE, &err);
    for (int i = 0; i < LIMIT_ON_DEMAND_ROTATIONS; i++)
        assert_int_equal(life_run(&life, "r c a"), KMS_OK); /* automatic ones do not count */
    assert_int_equal(life.key->on_demand_count, LIMIT_ON_DEMAND_ROTATIONS);
    assert_int_equal(life_run(&life, "r"), KMS_E_LIMIT);
    assert_refused(&life,
                   "The on-demand rotations limit has been reached for the given keyId. No more "
                   "on-demand rotations can be performed for this key: <arn>");
    assert_true(life.key->on_demand_start == 0);
    life_end(&life);
}

static void test_a_full_list_rotates_no_more(void **state)
{
    struct kms_error err;
    struct life      life;

    (void)state;
    life_begin(&life, ORIGIN_AWS_KMS, REGION_SINGLE, &err);
    key_rotation_enable(life.key, life.now, false, 0);
    while (life.key->n_materials < KEY_MATERIALS_MAX) {
        struct key_material *m = key_record_add_material(life.key);
        m->role = MATERIAL_NON_CURRENT;
        m->id.b[31] = (uint8_t)life.key->n_materials;
    }
    assert_int_equal(life_run(&life, "r"), KMS_E_LIMIT);
    assert_false(key_automatic_due(life.key, INT64_MAX));
    assert_true(key_next_event(life.key, 0) == INT64_MAX);
    life_end(&life);
}

static void test_r50_r51_r52_automatic_rotation(void **state)
{
    const int64_t    day = 24 * 60 * 60 * 1000;
    struct kms_error err;
    struct life      life;

    (void)state;
    life_begin(&life, ORIGIN_AWS_KMS, REGION_SINGLE, &err);
    struct key_record *k = life.key;
    key_rotation_disable(k); /* R52: never on */
    assert_false(k->rotation_enabled);
    key_rotation_enable(k, 1000, true, 90); /* R50 */
    assert_true(k->rotation_enabled && k->rotation_period_days == 90);
    assert_true(k->next_rotation == 1000 + 90 * day);
    key_rotation_enable(k, 2000, true, 2560); /* R51: another period restarts */
    assert_true(k->rotation_period_days == 2560 && k->next_rotation == 2000 + 2560 * day);
    key_rotation_enable(k, 3000, false, 0);   /* R51: omitted changes nothing */
    key_rotation_enable(k, 3000, true, 2560); /* R51: the same, likewise */
    assert_true(k->rotation_period_days == 2560 && k->next_rotation == 2000 + 2560 * day);
    key_rotation_disable(k);
    assert_true(!k->rotation_enabled && k->next_rotation == 0);
    key_rotation_enable(k, 4000, false, 0); /* R50: the former period is forgotten */
    assert_true(k->rotation_period_days == 365 && k->next_rotation == 4000 + 365 * day);

    int64_t next = k->next_rotation;
    assert_int_equal(life_run(&life, "r c"), KMS_OK); /* R52: on-demand moves nothing */
    assert_true(life.key->next_rotation == next);
    assert_int_equal(life_run(&life, "d e s u e"), KMS_OK); /* R53: kept through it all */
    assert_true(life.key->next_rotation == next && life.key->rotation_period_days == 365);

    assert_false(key_automatic_due(life.key, next - 1));
    assert_true(key_automatic_due(life.key, next));
    assert_int_equal(life_run(&life, "d"), KMS_OK);
    assert_false(key_automatic_due(life.key, next));
    life.now = next + 7; /* it comes late, after having been Disabled */
    assert_int_equal(life_run(&life, "e a"), KMS_OK);
    assert_true(life.key->next_rotation == next + 7 + 365 * day);
    assert_int_equal(life.key->materials[2].rotation_type, ROTATION_AUTOMATIC);
    life_end(&life);
}

static void test_next_event(void **state)
{
    struct kms_error err;
    struct life      life;
    const int64_t    t0 = LIFE_START_S * 1000;

    (void)state;
    begin(&life, &err, REGION_SINGLE);
    assert_true(key_next_event(life.key, 5) == INT64_MAX);
    assert_int_equal(life_run(&life, "A@100 B!@10"), KMS_OK); /* R38: a pending one is no event */
    assert_true(key_next_event(life.key, 5) == t0 + 100000);
    assert_true(key_valid_to(life.key) == t0 + 100000);
    assert_int_equal(life_run(&life, "r"), KMS_OK);
    assert_true(key_next_event(life.key, 5) == t0 + 5);
    assert_int_equal(life_run(&life, "c"), KMS_OK); /* now it counts */
    assert_true(key_next_event(life.key, 5) == t0 + 10000);
    assert_true(key_valid_to(life.key) == t0 + 10000);
    assert_int_equal(life_run(&life, "+10 x"), KMS_OK); /* carried out: the next one */
    assert_null(key_expired_material(life.key, life.now));
    assert_true(key_next_event(life.key, 5) == t0 + 100000);
    assert_int_equal(life_run(&life, "+90 x"), KMS_OK);
    assert_true(key_next_event(life.key, 5) == INT64_MAX);

    assert_int_equal(life_run(&life, "s"), KMS_OK);
    int64_t end = life.now + 7 * 24 * 60 * 60 * 1000;
    assert_true(life.key->deletion_date == end);
    assert_int_equal(life.key->pending_window_days, 7);
    assert_true(key_next_event(life.key, 5) == end);
    assert_false(key_gone(life.key, end - 1));
    assert_true(key_gone(life.key, end));
    assert_int_equal(life_run(&life, "u"), KMS_OK);
    assert_true(life.key->deletion_date == 0 && life.key->pending_window_days == 0);
    assert_false(key_gone(life.key, INT64_MAX));
    life_end(&life);
}

static void test_several_expire_one_by_one(void **state)
{
    struct kms_error err;
    struct life      life;

    (void)state;
    begin(&life, &err, REGION_SINGLE);
    assert_int_equal(life_run(&life, "A@10 B!@20 r c +30"), KMS_OK);
    assert_int_equal(key_expired_material(life.key, life.now)->id.b[0], 'A');
    assert_int_equal(life_run(&life, "x"), KMS_OK);
    assert_int_equal(key_expired_material(life.key, life.now)->id.b[0], 'B');
    assert_int_equal(life_run(&life, "x"), KMS_OK);
    assert_null(key_expired_material(life.key, life.now));
    assert_life(&life,
                "PendingImport [A NON_CURRENT IMPORTED EXP 10] [B CURRENT IMPORTED EXP 20 rot 0]");
    life_end(&life);
}

static void test_state_texts(void **state)
{
    static const struct {
        enum key_state  state;
        enum kms_status status;
        const char     *text;
    } texts[] = {
        { KEY_CREATING, KMS_E_KEY_STATE, "<arn> is creating." },
        { KEY_DISABLED, KMS_E_DISABLED, "<arn> is disabled." },
        { KEY_PENDING_DELETION, KMS_E_KEY_STATE, "<arn> is pending deletion." },
        { KEY_PENDING_IMPORT, KMS_E_KEY_STATE, "<arn> is pending import." },
        { KEY_PENDING_REPLICA_DELETION, KMS_E_KEY_STATE, "<arn> is pending replica deletion." },
        { KEY_UNAVAILABLE, KMS_E_KEY_STATE, "<arn> is unavailable." },
        { KEY_UPDATING, KMS_E_KEY_STATE, "<arn> is updating." },
    };
    struct kms_error err;
    struct life      life;

    (void)state;
    begin(&life, &err, REGION_SINGLE);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum key_state s = texts[i].state;
        assert_int_equal(key_state_check(life.key, s, STATES_ALL & ~KEY_IN(s), &err),
                         texts[i].status);
        assert_refused(&life, texts[i].text);
        assert_int_equal(key_state_check(life.key, s, KEY_IN(s), &err), KMS_OK);
        enum kms_status cancel = key_state_check(life.key, s, STATES_PENDING_DELETION, &err);
        bool            pending = s == KEY_PENDING_DELETION || s == KEY_PENDING_REPLICA_DELETION;
        assert_int_equal(cancel, pending ? KMS_OK : KMS_E_KEY_STATE);
        if (!pending)
            assert_refused(&life, NOT_DELETION);
    }
    /* no operation but CancelKeyDeletion refuses an Enabled key: a row that does is our mistake */
    assert_int_equal(key_state_check(life.key, KEY_ENABLED, KEY_IN(KEY_DISABLED), &err),
                     KMS_E_KEY_STATE);
    assert_int_equal(err.message_len, 0);
    life_end(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_r29_what_an_answer_names),
        cmocka_unit_test(test_r44_replicas_lack_the_material),
        cmocka_unit_test(test_r47_replica),
        cmocka_unit_test(test_r40_dates_of_a_request),
        cmocka_unit_test(test_limit_of_on_demand_rotations),
        cmocka_unit_test(test_a_full_list_rotates_no_more),
        cmocka_unit_test(test_r50_r51_r52_automatic_rotation),
        cmocka_unit_test(test_next_event),
        cmocka_unit_test(test_several_expire_one_by_one),
        cmocka_unit_test(test_state_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
