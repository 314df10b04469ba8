/* tests/unit/crypto/test_recorded.c - the signatures of the real service, 49 of them, verify here; its public
 * keys are read, and written again as they were (recorded-crypto 14). */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

static int start(void **state)
{
    struct kms_error err;

    (void)state;
    return crypto_init(&err) == KMS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    crypto_cleanup();
    return 0;
}

static struct bytes base64(yyjson_val *object, const char *name, struct vector_value *room)
{
    yyjson_val  *v = yyjson_obj_get(object, name);
    struct bytes text = bytes_of(yyjson_get_str(v), yyjson_get_len(v));

    assert_true(yyjson_is_str(v) && base64_decoded_max(text.len) <= VECTOR_MAX);
    assert_true(base64_read(text, room->b, &room->len));
    return bytes_of(room->b, room->len);
}

/* Where the text of a member stands in a list of names. */
static unsigned index_of(yyjson_val *object, const char *member, const char *const *names)
{
    yyjson_val *v = yyjson_obj_get(object, member);
    unsigned    i = 0;

    assert_true(yyjson_is_str(v));
    while (names[i] != NULL && !yyjson_equals_str(v, names[i]))
        i++;
    assert_non_null(names[i]);
    return i;
}

static struct crypto_key *read_and_write(yyjson_val *object)
{
    static struct vector_value      room;
    enum key_spec                   spec = index_of(object, "key_spec", key_spec_names);
    struct bytes                    spki = base64(object, "public_key", &room);
    CLEANUP(buf_release) struct buf again = BUF_INIT(8192);
    struct crypto_key              *key = NULL;

    assert_int_equal(crypto_key_read_public(spec, spki, &key, NULL), KMS_OK);
    assert_int_equal(crypto_key_public(key, &again, NULL), KMS_OK);
    assert_true(bytes_eq(buf_bytes(&again), spki));
    return key;
}

static void verify(yyjson_val *v)
{
    static const char *const                     types[] = { "RAW", "DIGEST", "EXTERNAL_MU", NULL };
    static struct vector_value                   message_room, signature_room;
    CLEANUP(crypto_key_freep) struct crypto_key *key = read_and_write(v);
    enum algorithm    algorithm = index_of(v, "signing_algorithm", algorithm_names);
    enum message_type type = index_of(v, "message_type", types);
    struct bytes      message = base64(v, "message", &message_room);
    struct bytes      signature = base64(v, "signature", &signature_room);

    assert_true(yyjson_is_true(yyjson_obj_get(v, "valid")));
    assert_int_equal(crypto_key_verify(key, algorithm, type, message, signature, NULL), KMS_OK);
    signature_room.b[signature.len / 2] ^= 4;
    assert_int_equal(crypto_key_verify(key, algorithm, type, message, signature, NULL),
                     KMS_E_SIGNATURE);
}

static void test_signatures(void **state)
{
    yyjson_doc *doc = vectors_reference("recorded-vectors.json");
    yyjson_val *v;
    size_t      i, max;
    unsigned    signatures = 0, keys = 0;

    (void)state;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "vectors"), i, max, v)
    {
        verify(v);
        signatures++;
    }
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "public_keys"), i, max, v)
    {
        crypto_key_free(read_and_write(v));
        keys++;
    }
    yyjson_doc_free(doc);
    assert_int_equal(signatures, 49);
    assert_int_equal(keys, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
