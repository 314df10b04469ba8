/* The number of unexpired import tokens of one key has a limit. */
#include "world.h"

#include "base/limits.h"

/* A token as the directory has it: what it protects does not matter here. */
static void put_token(struct world *w, const struct key_record *key, uint32_t number)
{
    struct import_key_record *k = import_key_record_new();

    assert_non_null(k);
    memcpy(k->id, &number, sizeof number);
    k->key.account = arena_copy(k->arena, key->name.account);
    k->key.region = arena_copy(k->arena, key->name.region);
    k->key.id = arena_copy(k->arena, key->name.id);
    k->key.arn = arena_copy(k->arena, key->name.arn);
    k->valid_to = clock_now(w->clock) + 1000;
    directory_put_import_key(w->directory, k);
}

/* As far as the vault, which has no wrapping key ready here: then the request would wait for one. */
static enum kms_status ask(struct world *w, const char *id, struct kms_error *ret_err)
{
    struct run      r;
    char           *body = textf("{\"KeyId\":\"%s\",\"WrappingAlgorithm\":\"RSAES_OAEP_SHA_256\","
                                           "\"WrappingKeySpec\":\"RSA_2048\"}",
                                 id);
    enum kms_status status = run_start(w, &r, "GetParametersForImport", body);

    *ret_err = r.err;
    run_release(&r);
    free(body);
    return status;
}

static void test_limit(void **state)
{
    struct world    *w = *state;
    char             id[KEY_ID_MAX + 1], other[KEY_ID_MAX + 1];
    struct kms_error err;

    world_key(w, "\"Origin\":\"EXTERNAL\"", id);
    world_key(w, "\"Origin\":\"EXTERNAL\"", other);
    const struct key_record *key = world_record(w, id);
    for (uint32_t i = 0; i < LIMIT_IMPORT_TOKENS - 1; i++)
        put_token(w, key, i);
    assert_int_equal(ask(w, id, &err), KMS_E_THROTTLED);
    put_token(w, key, LIMIT_IMPORT_TOKENS);
    assert_int_equal(ask(w, id, &err), KMS_E_LIMIT);
    assert_string_equal(err.message, "Unexpired import tokens per key quota is 1000, current usage "
                                     "is 1000. Each is valid for 24 hours.");
    assert_int_equal(ask(w, other, &err), KMS_E_THROTTLED); /* of each key by itself */

    const uint8_t expired[16] = { 7 };
    directory_remove_import_key(w->directory, expired);
    assert_int_equal(ask(w, id, &err), KMS_E_THROTTLED);
    epoch_barrier(w->epoch);
    directory_reclaim(w->directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limit, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, world_start, world_stop);
}
